"""Looking for what changed: incidents and maintenance whose version is newer than the one we saw (R-903).

Nothing below calls up: what changed is found by its version. Most acts change nothing that credits read; those
are known by the digest of the facts, and mark nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from django.db import transaction
from django.db.models import Exists, Max, Model, OuterRef, QuerySet, Sum, Value
from django.db.models.functions import Concat

from incidents.models import Incident, Maintenance
from postmortems.credits import facts
from postmortems.credits.arithmetic.case import digest
from postmortems.credits.arithmetic.months import micros
from postmortems.credits.arithmetic.spans import union
from postmortems.credits.facts import kin
from postmortems.credits.facts.planned import SOURCE
from postmortems.models import Seen

from . import unread
from .marking import mark_incidents

#: So many changed incidents are looked at in one transaction.
_MOST = 500
#: Whoever holds this row looks; the others need not.
_GATE = "gate"
Row = TypeVar("Row", bound=Model)


def look(at: datetime) -> int:
    """Mark the months of whatever changed since the last look. How many incidents and maintenances had changed.

    Three queries where nothing did. Safe to run late, twice or in two processes.
    """
    looked = 0
    while _anything_new():
        with transaction.atomic():
            if not _hold_the_gate():
                return looked
            incidents = list(_changed(Incident.objects.order_by("pk"), kin.SOURCE)[:_MOST])
            if len(incidents) == _MOST and (noted := unread.note(at)):
                looked += noted
                continue
            works = list(_changed(Maintenance.objects.order_by("pk"), SOURCE)[:_MOST])
            _look_at(incidents, works, at=at)
            looked += len(incidents) + len(works)
        if not incidents and not works:
            break
    return looked


def _anything_new() -> bool:
    """Versions only rise and start with 1: they are all as seen exactly if they add up to the same."""
    incidents, works, seen = (
        rows.aggregate(sum=Sum("version"))["sum"] or 0
        for rows in (Incident.objects.all(), Maintenance.objects.all(), Seen.objects.all())
    )
    return bool(incidents + works != seen)


def _hold_the_gate() -> bool:
    Seen.objects.get_or_create(source=_GATE, defaults={"version": 0})
    return Seen.objects.select_for_update(skip_locked=True).filter(source=_GATE).first() is not None


def _changed(rows: QuerySet[Row], prefix: str) -> QuerySet[Row]:
    seen = Seen.objects.filter(source=Concat(Value(prefix), OuterRef("reference")), version=OuterRef("version"))
    return rows.filter(~Exists(seen))


def _look_at(incidents: Sequence[Incident], works: Sequence[Maintenance], *, at: datetime) -> None:
    looked = kin.families([*(incident.pk for incident in incidents), *_hit_by(works, at=at)]).members
    outages = facts.known(looked, at=at)
    versions = {f"{kin.SOURCE}{reference}": (pk, version) for pk, reference, version in _versions(looked)}
    known = dict(Seen.objects.filter(source__in=versions).values_list("source", "digest"))
    now = {
        source: digest(replace(facts.open_ended(outages[pk]), excluded=()).as_json()) if pk in outages else ""
        for source, (pk, _) in versions.items()
    }
    different = [pk for source, (pk, _) in versions.items() if known.get(source, "") != now[source]]
    if different:
        mark_incidents(different, at=at)
    seen = [Seen(source=source, version=version, digest=now[source]) for source, (_, version) in versions.items()]
    seen += [Seen(source=work.source, version=work.version) for work in works]
    Seen.objects.bulk_create(seen, update_conflicts=True, unique_fields=["source"], update_fields=["version", "digest"])


def _versions(ids: Collection[int]) -> QuerySet[Incident, tuple[int, str, int]]:
    return Incident.objects.filter(pk__in=ids).order_by("pk").values_list("pk", "reference", "version")


def _hit_by(works: Sequence[Maintenance], *, at: datetime) -> set[int]:
    """Incidents of the time that these were planned for, or took. Six queries or so."""
    if not works:
        return set()
    acted = dict(
        Maintenance.history.filter(id__in=[work.pk for work in works])
        .values_list("id")
        .annotate(last=Max("history_date"))
        .order_by()
    )
    spans = []
    for work in works:
        begin = min(work.planned_start_at, work.began_at or work.planned_start_at)
        end = max(work.planned_end_at, work.ended_at or at, acted.get(work.pk, at))
        spans.append((micros(begin), micros(max(end, begin)) + 1))
    return set(kin.reaching(union(spans), at=at))
