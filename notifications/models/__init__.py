from .audience import Contact, Customer, SignUp, Subscriber, Topic
from .brand import Brand
from .outbox import Announcement, Delivery, Rendering

__all__ = ["Announcement", "Brand", "Contact", "Customer", "Delivery", "Rendering", "SignUp", "Subscriber", "Topic"]
