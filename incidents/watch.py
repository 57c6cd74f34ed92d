"""The watch before "resolved": a verified fix is watched as long as the policy says (R-214). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents.enums import State
from incidents.models import Incident

_NONE = timedelta(0)


@dataclass(frozen=True)
class Watch:
    """Where the watch of an incident stands; moments are UTC.

    ``needed`` None: the policy names no watch. ``over_at`` None: the fix is not verified. ``suggest``: it is
    mitigated, verified and watched, so "resolved" may be suggested.
    """

    needed: timedelta | None
    verified_at: datetime | None
    over_at: datetime | None
    remaining: timedelta
    suggest: bool

    @property
    def verified(self) -> bool:
        return self.verified_at is not None


def stands(incident: Incident, at: datetime) -> Watch:
    """What is left of the watch. No query where the severity's version is loaded."""
    minutes = incident.severity.version.watch_minutes
    needed = None if minutes is None else timedelta(minutes=minutes)
    verified_at = incident.verified_at
    over_at = None if verified_at is None else verified_at + (needed or _NONE)
    remaining = (needed or _NONE) if over_at is None else max(_NONE, over_at - at)
    suggest = incident.state == State.MITIGATED and over_at is not None and not remaining
    return Watch(needed, verified_at, over_at, remaining, suggest)
