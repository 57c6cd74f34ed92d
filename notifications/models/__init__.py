from .audience import Contact, Customer, SignUp, Subscriber, Topic
from .audit import AuditRun
from .brand import Brand
from .outbox import Announcement, Delivery, Rendering

__all__ = [
    "Announcement",
    "AuditRun",
    "Brand",
    "Contact",
    "Customer",
    "Delivery",
    "Rendering",
    "SignUp",
    "Subscriber",
    "Topic",
]
