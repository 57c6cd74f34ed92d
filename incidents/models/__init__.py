from .incident import Incident, IncidentNumber, Obligation, TimelineEntry
from .policy import ChannelRule, Contradiction, Duty, Policy, PolicyVersion, Severity, SupportTarget, UpdateTemplate

__all__ = [
    "ChannelRule",
    "Contradiction",
    "Duty",
    "Incident",
    "IncidentNumber",
    "Obligation",
    "Policy",
    "PolicyVersion",
    "Severity",
    "SupportTarget",
    "TimelineEntry",
    "UpdateTemplate",
]
