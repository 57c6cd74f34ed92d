"""The moments of an incident, each with where it comes from, who set it and how it was corrected (R-1302)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.models import User

from incidents.enums import Verb
from incidents.models import Incident, TimelineEntry
from status.enums import Phase

#: When it happened, in that order, and what people call it.
HAPPENED = {
    "started_at": "Began",
    "detected_at": "Noticed",
    "mitigated_at": "Mitigated",
    "ended_at": "Stopped hurting",
}
#: When we said so.
SAID = {
    "declared_at": "Declared",
    "acknowledged_at": "Acknowledged",
    "verified_at": "Fix verified",
    "resolved_at": "Resolved",
    "closed_at": "Closed",
}
#: What is set by which entries.
_SET_BY: dict[str, tuple[Verb, ...]] = {
    "started_at": (Verb.DECLARED,),
    "detected_at": (Verb.DECLARED,),
    "declared_at": (Verb.DECLARED,),
    "acknowledged_at": (Verb.ACKNOWLEDGED, Verb.PUBLISHED, Verb.MITIGATED, Verb.RESOLVED),
    "mitigated_at": (Verb.MITIGATED, Verb.PUBLISHED, Verb.RESOLVED),
    "verified_at": (Verb.VERIFIED,),
    "ended_at": (Verb.RESOLVED,),
    "resolved_at": (Verb.RESOLVED,),
    "closed_at": (Verb.CLOSED, Verb.FALSE_ALARM, Verb.MERGED),
}


@dataclass(frozen=True)
class Correction:
    """A mark was moved; ``why`` is the reason that was given."""

    old: datetime
    new: datetime
    at: datetime
    by: User | None
    why: str


@dataclass(frozen=True)
class Mark:
    """One moment (UTC); None: not yet. ``source`` is the entry that set it first."""

    name: str
    label: str
    at: datetime | None
    happened: bool
    source: TimelineEntry | None = None
    corrections: list[Correction] = field(default_factory=list)


def of(incident: Incident) -> list[Mark]:
    """Every mark in the order of an incident's life. One query."""
    wanted = {verb for verbs in _SET_BY.values() for verb in verbs} | {Verb.TIMES}
    entries = list(incident.timeline.filter(verb__in=wanted).select_related("by").order_by("recorded_at", "id"))
    order = ("started_at", "detected_at", "declared_at", "acknowledged_at", "mitigated_at", "verified_at", "ended_at")
    return [_mark(incident, name, entries) for name in (*order, "resolved_at", "closed_at")]


def _mark(incident: Incident, name: str, entries: list[TimelineEntry]) -> Mark:
    moment: datetime | None = getattr(incident, name)
    label = HAPPENED.get(name) or SAID[name]
    if moment is None:
        return Mark(name, label, None, name in HAPPENED)
    corrections = [_correction(entry, name) for entry in entries if entry.verb == Verb.TIMES and name in entry.facts]
    first = corrections[0].old if corrections else moment
    return Mark(name, label, moment, name in HAPPENED, _source(name, first, entries), corrections)


def _source(name: str, moment: datetime, entries: list[TimelineEntry]) -> TimelineEntry | None:
    """The entry that says this very moment; of several the first, because the others only repeat it."""
    found = [entry for entry in entries if entry.verb in _SET_BY[name] and _may_set(name, entry)]
    return next((entry for entry in found if moment in (entry.at, entry.recorded_at)), next(iter(found), None))


def _may_set(name: str, entry: TimelineEntry) -> bool:
    if name == "mitigated_at" and entry.verb == Verb.PUBLISHED:
        return bool(entry.facts.get("phase") == Phase.MONITORING)
    return True


def _correction(entry: TimelineEntry, name: str) -> Correction:
    old, new = (datetime.fromisoformat(moment) for moment in entry.facts[name])
    return Correction(old, new, entry.recorded_at, entry.by, entry.words)
