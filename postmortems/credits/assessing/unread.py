"""Old incidents that nobody looked at yet, all at once: the first look at an installation with years of them (R-903).

They are noted unread: whatever changes of one of them later is looked at as ever. Months are marked for all
of them together, every month there is, and those that are new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from django.db.models import Exists, Min, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from incidents.enums import UNCOUNTED, Verb
from incidents.models import Incident, IncidentLink, Severity, TimelineEntry
from postmortems.credits.arithmetic.case import Span
from postmortems.credits.arithmetic.months import micros
from postmortems.credits.arithmetic.spans import union
from postmortems.credits.facts import kin
from postmortems.models import Seen, Term
from status.models import Impact

from .marking import EVERYTHING, Hits, mark_all

#: In place of a digest: no facts have it, so that every change of them is one.
UNREAD = "unread"
_MOST = 5_000


@dataclass(slots=True)
class _Old:
    """Of an incident: whether it may earn anything, and from when to when it reaches."""

    version: int
    grave: bool
    start: datetime
    end: datetime


def note(at: datetime) -> int:
    """Note what is over and was never looked at, and mark the months that it touches; the caller holds the gate.

    How many incidents. Parts, wholes and merged ones are left to be looked at one by one.
    """
    old = _old()
    if not old:
        return 0
    seen = [Seen(source=source, version=one.version, digest=UNREAD) for source, one in old.items()]
    Seen.objects.bulk_create(seen, batch_size=_MOST)
    # Nothing that was over a day before the first term began is anybody's.
    if day := Term.objects.aggregate(first=Min("starts_on"))["first"]:
        since = datetime.combine(day, time(), UTC) - timedelta(days=1)
        mark_all(_hits(old, since, at), at=at)
    return len(old)


def _old() -> dict[str, _Old]:
    """By their names in the ledger. Three queries."""
    counting = set(Severity.objects.filter(counts_for_credits=True).values_list("pk", flat=True))
    turned = {
        pk
        for pk, levels in TimelineEntry.objects.filter(verb=Verb.SEVERITY)
        .order_by()
        .values_list("incident_id", "facts__levels")
        .iterator(_MOST)
        if counting.intersection(levels or ())
    }
    found = {}
    columns = ("pk", "reference", "version", "state", "severity_id")
    times = ("started_at", "declared_at", "ended_at", "resolved_at")
    for pk, reference, version, state, level, *moments in _unread().values_list(*columns, *times).iterator(_MOST):
        grave = state not in UNCOUNTED and (level in counting or pk in turned)
        found[f"{kin.SOURCE}{reference}"] = _Old(version, grave, min(moments), max(moments))
    return found


def _unread() -> QuerySet[Incident]:
    seen = Seen.objects.filter(source=Concat(Value(kin.SOURCE), OuterRef("reference")))
    tied = IncidentLink.objects.filter(Q(incident=OuterRef("pk")) | Q(other=OuterRef("pk")))
    into = Incident.objects.filter(merged_into=OuterRef("pk"))
    over = Incident.objects.filter(ended_at__isnull=False, resolved_at__isnull=False, merged_into=None)
    return over.exclude(Exists(seen)).exclude(Exists(tied)).exclude(Exists(into)).order_by()


def _hits(old: dict[str, _Old], since: datetime, at: datetime) -> Hits:
    """From when to when the grave ones hit each component, and anything. One query."""
    used: dict[str, set[int]] = {}
    for source, component, began_at, ended_at in _held(since):
        one = old.get(source)
        if one and one.grave:
            one.start, one.end = min(one.start, began_at), max(one.end, ended_at or at)
            used.setdefault(source, set()).add(component)
    found: dict[int, list[Span]] = {}
    for source, one in old.items():
        if one.grave and one.end >= since:
            start, end = micros(one.start), micros(one.end)
            for component in (EVERYTHING, *used.get(source, ())):
                found.setdefault(component, []).append((start, max(end, start + 1)))
    return {component: union(spans) for component, spans in found.items()}


def _held(since: datetime) -> Iterator[tuple[str, int, datetime, datetime | None]]:
    rows: Iterable[tuple[str, int, datetime, datetime | None]] = (
        Impact.objects.real()
        .filter(Q(ended_at__isnull=True) | Q(ended_at__gte=since), source__startswith=kin.SOURCE)
        .order_by()
        .values_list("source", "component_id", "began_at", "ended_at")
        .iterator(_MOST)
    )
    yield from rows
