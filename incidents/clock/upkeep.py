"""What planned work owes: notice before, words at its start and its end, and an end on time (R-301, R-501)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.contrib.auth.models import User

from incidents import workhours
from incidents.enums import AHEAD, DutyKind, Start
from incidents.models import Duty, Maintenance, Obligation

from .book import row_of
from .due import Due, calendar_of
from .kinds import UPKEEP

#: The notice that is owed where the policy does not say another (R-301, R-501).
NOTICE = timedelta(days=7)


def open_maintenance_duties(maintenance: Maintenance, *, at: datetime) -> None:
    """Write down what the maintenance owes by its window as it is now; it may be called after every act.

    When the window moved, what is not met yet moves with it. A maintenance that is over or cancelled owes nothing.
    """
    rows = list(maintenance.obligations.all())
    done = {row.kind for row in rows if row.met_at or row.waived_by_id}
    items = {item.kind: item for item in _owed(maintenance) if item.kind not in done}
    waiting = {DutyKind(row.kind): row for row in rows if row.met_at is None and row.dropped_at is None}
    moved = [
        kind for kind, row in waiting.items() if kind not in items or items[kind].moments != (row.due_at, row.limit_at)
    ]
    if moved:
        is_over = maintenance.state not in AHEAD
        drop_maintenance(maintenance, *moved, at=at, remark="It was over before." if is_over else "The window moved.")
    new = []
    for kind, item in items.items():
        if kind not in waiting or kind in moved:
            row = row_of(item, at=at, overdue="It was due before this was planned.")
            row.maintenance = maintenance
            new.append(row)
    Obligation.objects.bulk_create(new)


def meet_maintenance(maintenance: Maintenance, *kinds: DutyKind, by: User | None, at: datetime) -> None:
    """These are done: kept if before the hard limit, late otherwise."""
    maintenance.obligations.open().filter(kind__in=kinds).update(met_at=at, met_by=by)


def drop_maintenance(maintenance: Maintenance, *kinds: DutyKind, at: datetime, remark: str) -> None:
    """These are owed no more, and why; no kinds: nothing is."""
    waiting = maintenance.obligations.open()
    (waiting.filter(kind__in=kinds) if kinds else waiting).update(dropped_at=at, remark=remark[:250])


def _owed(maintenance: Maintenance) -> Iterator[Due]:
    if maintenance.severity is None or maintenance.state not in AHEAD:
        return
    calendar = calendar_of(maintenance.severity.version)
    starts = {Start.PLANNED_START: maintenance.planned_start_at, Start.PLANNED_END: maintenance.planned_end_at}
    duties = list(maintenance.severity.duties.all())
    if not any(duty.kind == DutyKind.MAINTENANCE_NOTICE for duty in duties):
        by = maintenance.planned_start_at - NOTICE
        yield Due(DutyKind.MAINTENANCE_NOTICE, None, by, by, maintenance.planned_start_at)
    for duty in duties:
        start = starts.get(Start(duty.starts_from))
        if start is not None and duty.kind in UPKEEP:
            yield _due(duty, start, calendar)


def _due(duty: Duty, start: datetime, calendar: workhours.Calendar) -> Due:
    """Notice is owed so long before the start, everything else so long after."""
    kind = DutyKind(duty.kind)
    if duty.amount is None:
        return Due(kind, duty, None, None, start)
    if kind == DutyKind.MAINTENANCE_NOTICE:
        moment = workhours.before(start, duty.amount, duty.unit, calendar)
        return Due(kind, duty, moment, moment, start)
    limit = duty.amount if duty.limit is None else duty.limit
    return Due(
        kind,
        duty,
        workhours.due(start, duty.amount, duty.unit, calendar),
        workhours.due(start, limit, duty.unit, calendar),
        start,
    )
