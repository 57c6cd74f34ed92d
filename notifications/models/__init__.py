from .audience import Contact, Customer, Follow, SignUp, Subscriber, Topic
from .audit import AuditRun
from .brand import Brand
from .channel import ChannelState
from .colleague import Colleague
from .endpoint import Endpoint
from .imports import ImportFile
from .outbox import Announcement, Delivery, Rendering
from .receipts import Code, Receipt, Reply
from .suppression import Suppression, Tally

__all__ = [
    "Announcement",
    "AuditRun",
    "Brand",
    "ChannelState",
    "Code",
    "Colleague",
    "Contact",
    "Customer",
    "Delivery",
    "Endpoint",
    "Follow",
    "ImportFile",
    "Receipt",
    "Rendering",
    "Reply",
    "SignUp",
    "Subscriber",
    "Suppression",
    "Tally",
    "Topic",
]
