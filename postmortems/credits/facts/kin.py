"""Which incidents belong together: parts of one another, and whatever overlaps or touches (R-1311, reliability.md 5.2).

Generous on purpose: incidents of all components count here. What a customer had of them is for ``assess``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from incidents.enums import UNCOUNTED, State, Tie
from incidents.models import Incident, IncidentLink
from postmortems.credits.arithmetic.case import Span
from postmortems.credits.arithmetic.months import micros, moment
from postmortems.credits.arithmetic.spans import Spans, union
from status.models import Impact

SOURCE = "incident:"


@dataclass(frozen=True, slots=True)
class Families:
    """``of``: by incident, the reference of what it is part of in the end; ``members``: everything looked at."""

    of: Mapping[int, str]
    members: frozenset[int]


def families(ids: Collection[int]) -> Families:
    """What these are part of, and what is part of that. Two queries for each step from part to whole.

    A merged incident stands for what it went on under; a false alarm ties nothing together.
    """
    names: dict[int, str] = {}
    ties: set[tuple[int, int]] = set()
    frontier = set(ids)
    seen: set[int] = set()
    while frontier:
        seen |= frontier
        near: set[int] = set()
        for one, name, other, other_name in (*_parts(frontier), *_merged(frontier)):
            names |= {one: name, other: other_name}
            ties.add((one, other))
            near |= {one, other}
        frontier = near - seen
    return Families(_named(names, ties), frozenset(seen))


def around(spans: Spans, *, at: datetime) -> set[int]:
    """Counted incidents that reach into the spans, and those that make one outage with them.

    Three queries, or more where outages reach out of the spans or have parts.
    """
    reached: set[int] = set()
    while True:
        hulls = reaching(spans, at=at)
        tied = families(hulls.keys() - reached).members - hulls.keys()
        if tied:
            hulls |= _hulls(Incident.objects.filter(pk__in=tied).exclude(state__in=UNCOUNTED), at=at)
        wider = union([*spans, *hulls.values()])
        if wider == spans or hulls.keys() <= reached:
            return reached | hulls.keys()
        reached |= hulls.keys()
        spans = wider


def hull_of(incidents: Collection[int], *, at: datetime) -> Spans:
    """From where to where these reach, counted or not. Two queries."""
    return union(_hulls(Incident.objects.filter(pk__in=incidents), at=at).values())


def _parts(frontier: Collection[int]) -> Iterable[tuple[int, str, int, str]]:
    return (
        IncidentLink.objects.filter(Q(incident__in=frontier) | Q(other__in=frontier), tie=Tie.PART)
        .exclude(incident__state=State.FALSE_ALARM)
        .exclude(other__state=State.FALSE_ALARM)
        .order_by()
        .values_list("incident_id", "incident__reference", "other_id", "other__reference")
    )


def _merged(frontier: Collection[int]) -> Iterable[tuple[int, str, int, str]]:
    return (
        Incident.objects.filter(Q(pk__in=frontier, merged_into__isnull=False) | Q(merged_into__in=frontier))
        .order_by()
        .values_list("pk", "reference", "merged_into_id", "merged_into__reference")
    )


def _named(names: Mapping[int, str], ties: Collection[tuple[int, int]]) -> dict[int, str]:
    """Each by the oldest of its family that is no part of another; where they go round in a circle, the oldest."""
    leader = {one: one for one in names}

    def lead(one: int) -> int:
        while leader[one] != one:
            one = leader[one]
        return one

    for one, other in ties:
        leader[lead(one)] = lead(other)
    parts = {one for one, _ in ties}
    heads: dict[int, str] = {}
    for one in sorted(names, key=lambda one: (one in parts, names[one])):
        heads.setdefault(lead(one), names[one])
    return {one: heads[lead(one)] for one in names}


def reaching(spans: Spans, *, at: datetime) -> dict[int, Span]:
    """Counted incidents that overlap or touch one of the spans, from where to where. Two queries."""
    own, held = Q(pk__in=()), Q(pk__in=())
    for start, end in ((moment(start), moment(end)) for start, end in spans):
        over = Q(ended_at__gte=start) | Q(resolved_at__gte=start) | Q(ended_at__isnull=True)
        own |= Q(over, started_at__lte=end)
        held |= Q(Q(ended_at__gte=start) | Q(ended_at__isnull=True), began_at__lte=end)
    impacts = list(
        Impact.objects.real().filter(held, source__startswith=SOURCE).values_list("source", "began_at", "ended_at")
    )
    named = Q(reference__in={source.removeprefix(SOURCE) for source, *_ in impacts})
    return _spanned(Incident.objects.filter(own | named).exclude(state__in=UNCOUNTED), impacts, at=at)


def named(ids: Collection[int]) -> Iterable[tuple[int, str]]:
    """Ids and references. One query."""
    return Incident.objects.filter(pk__in=ids).order_by().values_list("pk", "reference")


def _hulls(incidents: QuerySet[Incident], *, at: datetime) -> dict[int, Span]:
    """From where to where each reaches: its own times, and those of its impacts. Two queries."""
    sources = [f"{SOURCE}{reference}" for reference in incidents.order_by().values_list("reference", flat=True)]
    impacts = Impact.objects.real().filter(source__in=sources).values_list("source", "began_at", "ended_at")
    return _spanned(incidents, impacts, at=at)


def _spanned(
    incidents: QuerySet[Incident], impacts: Iterable[tuple[str, datetime, datetime | None]], *, at: datetime
) -> dict[int, Span]:
    found: dict[str, tuple[int, datetime, datetime]] = {}
    rows = incidents.order_by().values_list("pk", "reference", "started_at", "ended_at", "resolved_at")
    for pk, reference, started_at, ended_at, resolved_at in rows:
        found[f"{SOURCE}{reference}"] = pk, started_at, max(ended_at or at, resolved_at or ended_at or at, started_at)
    for source, began_at, ended_at in impacts:
        if source in found:
            pk, start, end = found[source]
            found[source] = pk, min(start, began_at), max(end, ended_at or at)
    return {pk: (micros(start), micros(end)) for pk, start, end in found.values()}
