"""Public words: levels of a component, phases of a notice (R-201, R-601, statuspage-v2.md)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import TextChoices


class Level(TextChoices):
    """What a component is able to do. The values are the wire's (statuspage-v2.md 5.4)."""

    OPERATIONAL = "operational", "Operational"
    MAINTENANCE = "under_maintenance", "Under maintenance"
    DEGRADED = "degraded_performance", "Degraded performance"
    PARTIAL = "partial_outage", "Partial outage"
    MAJOR = "major_outage", "Major outage"

    @property
    def gravity(self) -> int:
        """0 for operational, rising; the gravest of several impacts is a component's level."""
        return _GRAVITY[self.value]

    @classmethod
    def gravest(cls, levels: Iterable[str]) -> Level:
        return cls(max(levels, key=_GRAVITY.__getitem__, default=cls.OPERATIONAL))

    @property
    def colour(self) -> str:
        """The colour of R-601, as a name the stylesheet knows."""
        return _COLOURS[self.value]


# Asked hundreds of times whenever the page is pressed.
_GRAVITY: dict[str, int] = {level.value: place for place, level in enumerate(Level)}
_COLOURS = dict(zip(_GRAVITY, ("green", "blue", "yellow", "orange", "red"), strict=True))


#: Levels an incident can put a component at.
IMPACTS = (Level.DEGRADED, Level.PARTIAL, Level.MAJOR)


class NoticeKind(TextChoices):
    INCIDENT = "incident", "Incident"
    MAINTENANCE = "maintenance", "Maintenance"


class Phase(TextChoices):
    """Where a notice stands for the public (R-201); the last five belong to maintenance (R-501)."""

    INVESTIGATING = "investigating", "Investigating"
    IDENTIFIED = "identified", "Identified"
    MONITORING = "monitoring", "Monitoring"
    RESOLVED = "resolved", "Resolved"
    SCHEDULED = "scheduled", "Scheduled"
    IN_PROGRESS = "in_progress", "In progress"
    VERIFYING = "verifying", "Verifying"
    COMPLETED = "completed", "Completed"
    CANCELLED = "cancelled", "Cancelled"


#: Phases an operator may choose for an update of an open incident.
OPEN_PHASES = (Phase.INVESTIGATING, Phase.IDENTIFIED, Phase.MONITORING)
OVER = (Phase.RESOLVED, Phase.COMPLETED, Phase.CANCELLED)


class PublicImpact(TextChoices):
    """Impact of an incident on the public scale (statuspage-v2.md 5.5)."""

    NONE = "none", "No impact"
    MINOR = "minor", "Minor"
    MAJOR = "major", "Major"
    CRITICAL = "critical", "Critical"

    @classmethod
    def of(cls, level: Level) -> PublicImpact:
        """The default for a notice whose gravest component is at ``level`` (statuspage-v2.md 5.12 no. 2)."""
        return {Level.DEGRADED: cls.MINOR, Level.PARTIAL: cls.MAJOR, Level.MAJOR: cls.CRITICAL}.get(level, cls.NONE)
