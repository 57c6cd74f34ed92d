from .incident import Incident, IncidentNumber, TimelineEntry
from .links import IncidentLink, RunbookStep, Tool
from .maintenance import Maintenance
from .obligation import Obligation
from .people import Assignment, Insider, Presence, SavedForm
from .policy import (
    ChannelRule,
    Contradiction,
    Criterion,
    Duty,
    Policy,
    PolicyVersion,
    Severity,
    SupportTarget,
    UpdateTemplate,
)

__all__ = [
    "Assignment",
    "ChannelRule",
    "Contradiction",
    "Criterion",
    "Duty",
    "Incident",
    "IncidentLink",
    "IncidentNumber",
    "Insider",
    "Maintenance",
    "Obligation",
    "Policy",
    "PolicyVersion",
    "Presence",
    "RunbookStep",
    "SavedForm",
    "Severity",
    "SupportTarget",
    "TimelineEntry",
    "Tool",
    "UpdateTemplate",
]
