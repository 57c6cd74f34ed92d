from .audience import Contact, Customer, SignUp, Subscriber, Topic
from .audit import AuditRun
from .brand import Brand
from .imports import ImportFile
from .outbox import Announcement, Delivery, Rendering
from .suppression import Suppression, Tally

__all__ = [
    "Announcement",
    "AuditRun",
    "Brand",
    "Contact",
    "Customer",
    "Delivery",
    "ImportFile",
    "Rendering",
    "SignUp",
    "Subscriber",
    "Suppression",
    "Tally",
    "Topic",
]
