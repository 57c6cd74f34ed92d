"""Incidents that look like this one: the same trouble twice, parts of one storm, an old cause again (R-212, R-1311).

Proposes, never ties: people do. A fixed number of queries, however many incidents there are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet

from incidents.enums import OPEN, Cause, State, Tie
from incidents.models import Incident, IncidentLink
from status.models import Component, Notice

#: Open incidents that began so close to each other may be one.
NEAR = timedelta(minutes=30)
#: So many of them that share a component are a storm.
STORM = 3
#: What was real and is over.
DONE = (State.RESOLVED, State.CLOSED)
#: How far back the same cause is a repeat.
PAST = timedelta(days=90)
#: So many are proposed.
MOST = 5
#: So many of the newest candidates are looked at.
LOOKED_AT = 200
#: Words that say nothing about what is wrong.
_EMPTY = frozenset(
    {
        *("and", "are", "but", "can", "cannot", "for", "from", "has", "have", "not", "our", "some", "the", "their"),
        *("customer", "customers", "user", "users", "working"),
        *("this", "was", "were", "with", "down", "error", "errors", "fail", "failed", "failing", "fails", "slow"),
        *("incident", "issue", "issues", "outage", "problem", "problems", "service", "services", "unavailable"),
    }
)
_WORD = re.compile(r"[^\W_]{3,}")


@dataclass(frozen=True)
class Alike:
    """An incident that looks like this one, why in words, and how the two could be tied.

    ``tie``: DUPLICATE is offered as merging, PART as belonging to the other, REPEAT as its cause again.
    """

    incident: Incident
    reason: str
    tie: Tie
    open: bool


@dataclass(frozen=True)
class Storm:
    """Open incidents that share components and began together; ``parent`` is the worst, of equals the oldest."""

    parent: Incident
    parts: list[Incident]
    components: list[str]

    @property
    def reason(self) -> str:
        """``4 incidents in 30 min hit API and Web app``."""
        minutes = int(NEAR.total_seconds() // 60)
        return f"{len(self.parts) + 1} incidents within {minutes} min hit {_and(self.components)}"


@dataclass(frozen=True)
class Tied:
    """A link as one of the two reads it: ``words`` are "repeats" or "is repeated by"."""

    other: Incident
    words: str
    note: str
    #: Whether it was linked from this one: then it is unlinked from here.
    own: bool
    tie: Tie


@dataclass(frozen=True)
class Kin:
    """What an incident's screen says of others: links it has, and ties that are proposed."""

    links: list[Tied] = field(default_factory=list)
    alike: list[Alike] = field(default_factory=list)
    storm: Storm | None = None

    def __bool__(self) -> bool:
        return bool(self.links or self.alike or self.storm)


#: How a tie reads from the other end.
INVERSE = {
    Tie.DUPLICATE: "is the same as",
    Tie.PART: "has the part",
    Tie.FOLLOW_UP: "is followed up by",
    Tie.REPEAT: "is repeated by",
    Tie.RELATED: "is related to",
}


def alike(
    *,
    components: Collection[Component],
    title: str,
    at: datetime,
    user: User,
    incident: Incident | None = None,
) -> list[Alike]:
    """What looks like an incident with these components and title that begins at ``at`` (UTC), newest first.

    ``incident`` is None while it is being declared. Only what ``user`` may know of (R-213). Four queries.
    """
    keys = {component.pk for component in components}
    known = Incident.objects.visible_to(user)
    if incident is not None:
        known = known.exclude(pk=incident.pk).exclude(linked_from__incident=incident).exclude(links__other=incident)
    cause = incident.cause if incident else ""
    found = [_now(one, keys, title, at) for one in _with_components(known.open())]
    if keys and cause != Cause.UNKNOWN:
        touching = Notice.components.through.objects.filter(notice=OuterRef("notice"), component__in=keys)
        past = known.counted().filter(Exists(touching), state__in=DONE, declared_at__range=(at - PAST, at))
        if cause:
            past = past.filter(cause=cause)
        found += [_before(one, keys, title, cause, at) for one in _with_components(past)]
    proposed = [one for one in found if one is not None]
    return sorted(proposed, key=lambda one: one.incident.declared_at, reverse=True)[:MOST]


def storm(at: datetime, *, user: User, incident: Incident | None = None) -> Storm | None:
    """The largest group of open incidents that share a component and began within 30 minutes; None: there is none.

    With ``incident`` only a storm that it belongs to. Incidents that are parts of another already are left
    out. Two queries.
    """
    recent = Incident.objects.visible_to(user).open().counted().filter(declared_at__lte=at)
    found: dict[int, list[Incident]] = {}
    names: dict[int, str] = {}
    for one in _with_components(recent):
        for component in _components(one):
            found.setdefault(component.pk, []).append(one)
            names[component.pk] = component.name
    groups = [(window, pk) for pk, ones in found.items() for window in _windows(ones)]
    if incident is not None:
        groups = [(window, pk) for window, pk in groups if incident in window]
    if not groups:
        return None
    largest, _ = max(groups, key=lambda group: (len(group[0]), -group[1]))
    shared = sorted(names[pk] for window, pk in groups if set(window) == set(largest))
    parent, *parts = sorted(largest, key=lambda one: (one.severity.rank, one.declared_at, one.pk))
    return Storm(parent, parts, shared)


def for_screen(incident: Incident, user: User, at: datetime) -> Kin:
    """Links of an incident, and what is proposed while it is open or was just resolved. Nine queries at most."""
    links = ties(incident, user)
    if incident.state not in OPEN:
        return Kin(links)
    touched = list(incident.notice.components.all()) if incident.notice else []
    found = alike(components=touched, title=incident.title, at=incident.declared_at, user=user, incident=incident)
    return Kin(links, found, storm(at, user=user, incident=incident))


def ties(incident: Incident, user: User) -> list[Tied]:
    """Both ends of every link, without incidents this person may not know of. One query."""
    known = Incident.objects.visible_to(user)
    rows = IncidentLink.objects.filter(
        Q(incident=incident, other__in=known) | Q(other=incident, incident__in=known)
    ).select_related("incident__severity", "other__severity")
    return [
        Tied(row.other, row.get_tie_display(), row.note, True, Tie(row.tie))
        if row.incident_id == incident.pk
        else Tied(row.incident, INVERSE[Tie(row.tie)], row.note, False, Tie(row.tie))
        for row in rows
    ]


def similar(one: str, other: str) -> bool:
    """Whether two titles share half of the telling words of the shorter one."""
    first, second = _telling(one), _telling(other)
    fewest = min(len(first), len(second))
    return fewest > 0 and len(first & second) >= fewest / 2


def _now(one: Incident, keys: Collection[int], title: str, at: datetime) -> Alike | None:
    """Whether an open one may be the same trouble."""
    shared = [component.name for component in _components(one) if component.pk in keys]
    near = abs(at - one.declared_at) <= NEAR
    same = near and similar(title, one.title)
    if not shared and not same:
        return None
    reasons = [f"open, hits {_and(shared)} too" if shared else "open", "similar title" if same else ""]
    reasons.append(_when(at - one.declared_at))
    tie = Tie.DUPLICATE if same or near else Tie.RELATED
    return Alike(one, ", ".join(filter(None, reasons)), tie, True)


def _before(one: Incident, keys: Collection[int], title: str, cause: str, at: datetime) -> Alike | None:
    """Whether a past one may be what comes back: the same cause, or while it is unknown the same words."""
    if not cause and not similar(title, one.title):
        return None
    shared = [component.name for component in _components(one) if component.pk in keys]
    what = "same component" if len(shared) == 1 else f"same components ({_and(shared)})"
    why = "same cause" if cause else "similar title"
    return Alike(one, f"{what}, {why}, {_when(at - one.declared_at)}", Tie.REPEAT, False)


def _with_components(incidents: QuerySet[Incident]) -> list[Incident]:
    """The newest of them, with what they touch. Two queries."""
    newest = incidents.select_related("severity", "notice").order_by("-declared_at", "-pk")
    return list(newest.prefetch_related("notice__components")[:LOOKED_AT])


def _components(incident: Incident) -> list[Component]:
    return list(incident.notice.components.all()) if incident.notice else []


def _windows(incidents: Iterable[Incident]) -> list[list[Incident]]:
    """Groups of at least ``STORM`` that began within ``NEAR`` of their first."""
    ordered = sorted(incidents, key=lambda one: (one.declared_at, one.pk))
    groups = []
    for place, first in enumerate(ordered):
        group = [one for one in ordered[place:] if one.declared_at - first.declared_at <= NEAR]
        if len(group) >= STORM:
            groups.append(group)
    return groups


def _telling(title: str) -> set[str]:
    return {word for word in _WORD.findall(title.casefold()) if word not in _EMPTY}


def _when(span: timedelta) -> str:
    """``12 days ago``, ``3 h ago``, ``8 min ago``."""
    minutes = int(abs(span).total_seconds() // 60)
    days, hours = minutes // 1440, minutes // 60
    if days:
        return f"{days} day{'s' if days != 1 else ''} ago"
    if hours:
        return f"{hours} h ago"
    return f"{minutes} min ago" if minutes else "at the same time"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
