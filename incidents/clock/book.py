"""The book of what an incident owes: rows whose moments are frozen when they arise (R-107, R-109, R-301)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.models import User

from incidents.enums import DutyKind
from incidents.models import Incident, Obligation, Severity

from .due import Due, is_spent, owed
from .kinds import AFTERWARDS, REPEATING, WHILE_OPEN

NO_LONGER = "It is owed no more."


@dataclass(frozen=True)
class Change:
    """One line of the what-if of R-109: what becomes of a kind, and when it is due before and after.

    A moment that is None where the kind is owed: no policy says by when.
    """

    kind: DutyKind
    before: datetime | None
    after: datetime | None
    kept: bool
    overdue: bool
    was_owed: bool = False
    is_owed: bool = False


def open_duties(incident: Incident, *, at: datetime, reason: str = "") -> None:
    """Write down what is owed now and not written yet, and strike out what no longer is.

    It may be called after every act. ``reason`` explains what is overdue from the start, and what was struck out.
    """
    plan = _plan(incident, incident.severity)
    for row, item in plan.both:
        # Moments are frozen; only another duty of the kind, whose condition holds now, brings its own.
        if row.duty_id != (item.duty.pk if item.duty else None):
            plan.adjust(row, item, at=at, reason=reason)
    plan.write(at=at, dropped=reason or NO_LONGER, overdue=reason)


def replan(incident: Incident, *, at: datetime, reason: str) -> None:
    """The severity changed: kept duties stay kept, open ones get the new moments, overdue ones say why (R-109)."""
    plan = _plan(incident, incident.severity)
    for row, item in plan.both:
        if item.moments == (row.due_at, row.limit_at):
            # Owed as before, so nobody is reminded of it twice.
            plan.adjust(row, item, at=at, reason="")
        else:
            plan.gone.append(row)
            plan.new.append(item)
    overdue = f"Overdue from the start, because the severity changed: {reason}"
    plan.write(at=at, dropped=f"Severity changed: {reason}", overdue=overdue)


def replan_times(incident: Incident, *, at: datetime, reason: str) -> None:
    """The incident's times were corrected: what is open gets moments by the corrected ones (R-1302).

    What was met stays as it was judged; what is overdue only now says why.
    """
    plan = _plan(incident, incident.severity)
    overdue = f"Overdue, because its times were corrected: {reason}"
    for row, item in plan.both:
        plan.adjust(row, item, at=at, reason=overdue)
    plan.write(at=at, dropped=f"Times corrected: {reason}", overdue=overdue)


def compare(incident: Incident, severity: Severity, *, at: datetime) -> list[Change]:
    """What a change to ``severity`` would do to the clocks (R-109). Reads only."""
    rows = list(incident.obligations.all())
    waiting = {DutyKind(row.kind): row for row in rows if _is_open(row)}
    kept = {DutyKind(row.kind) for row in rows if row.met_at}
    new = {item.kind: item for item in _wanted(incident, severity, rows)}
    return [
        Change(
            kind=kind,
            before=waiting[kind].due_at if kind in waiting else None,
            after=new[kind].due_at if kind in new else None,
            kept=kind in kept and kind not in waiting,
            overdue=kind in new and new[kind].is_overdue(at),
            was_owed=kind in waiting,
            is_owed=kind in new,
        )
        for kind in DutyKind
        if kind in waiting or kind in new or kind in kept
    ]


def meet(incident: Incident, *kinds: DutyKind, by: User | None, at: datetime, remark: str = "") -> None:
    """These are done: kept if before the hard limit, late otherwise."""
    changes = {"remark": remark[:250]} if remark else {}
    incident.obligations.open().filter(kind__in=kinds).update(met_at=at, met_by=by, **changes)


def drop(incident: Incident, *kinds: DutyKind, at: datetime, remark: str) -> None:
    """These are owed no more, and why; no kinds: nothing is."""
    waiting = incident.obligations.open()
    (waiting.filter(kind__in=kinds) if kinds else waiting).update(dropped_at=at, remark=remark[:250])


def waive(obligation: Obligation, *, reason: str, by: User, at: datetime) -> bool:
    """Somebody said that it need not be done; False: it was not owed any more."""
    waiting = Obligation.objects.open().filter(pk=obligation.pk)
    return waiting.update(dropped_at=at, waived_by=by, remark=reason[:250]) == 1


def close_out(incident: Incident, *, at: datetime) -> None:
    """It is over: what was owed while it was open is owed no more; what follows a resolution begins."""
    incident.obligations.open().filter(kind__in=WHILE_OPEN).update(dropped_at=at, remark="It was over before.")
    open_duties(incident, at=at)


@dataclass
class _Plan:
    """The book beside what is owed: ``both`` are in each, ``gone`` and ``new`` in one of them."""

    incident: Incident
    both: list[tuple[Obligation, Due]]
    gone: list[Obligation]
    new: list[Due]
    changed: list[Obligation] = field(default_factory=list)

    def adjust(self, row: Obligation, item: Due, *, at: datetime, reason: str) -> None:
        """Owed all the same, by other moments or another duty."""
        wanted = {
            "duty_id": item.duty.pk if item.duty else None,
            "owner_role": item.owner_role,
            "promised": item.promised,
            "due_at": item.due_at,
            "limit_at": item.limit_at,
        }
        if all(getattr(row, name) == value for name, value in wanted.items()):
            return
        if item.is_overdue(at) and not _is_overdue(row, at):
            row.remark = reason[:250]
        if item.moments != (row.due_at, row.limit_at):
            # What is to come by another moment is told again.
            row.reminded_at = None if item.due_at is None or item.due_at > at else row.reminded_at
            row.broken_at = row.broken_at if item.is_overdue(at) else None
        for name, value in wanted.items():
            setattr(row, name, value)
        self.changed.append(row)

    def write(self, *, at: datetime, dropped: str, overdue: str) -> None:
        """Three statements at most; ``dropped`` and ``overdue`` are remarks."""
        if self.gone:
            pks = [row.pk for row in self.gone]
            self.incident.obligations.filter(pk__in=pks).update(dropped_at=at, remark=dropped[:250])
        if self.changed:
            Obligation.objects.bulk_update(self.changed, _ADJUSTED)
        if self.new:
            rows = [row_of(item, at=at, overdue=overdue) for item in self.new]
            for row in rows:
                row.incident = self.incident
            Obligation.objects.bulk_create(rows)


_ADJUSTED = ("duty", "owner_role", "promised", "due_at", "limit_at", "remark", "reminded_at", "broken_at")


def row_of(item: Due, *, at: datetime, overdue: str) -> Obligation:
    """The row of something that is owed from ``at``, still without saying by what."""
    return Obligation(
        duty=item.duty,
        kind=item.kind,
        owner_role=item.owner_role,
        promised=item.promised,
        opened_at=at,
        due_at=item.due_at,
        limit_at=item.limit_at,
        remark=overdue[:250] if item.is_overdue(at) else "",
    )


def _plan(incident: Incident, severity: Severity) -> _Plan:
    rows = list(incident.obligations.all())
    waiting = {DutyKind(row.kind): row for row in rows if _is_open(row)}
    items = {item.kind: item for item in _wanted(incident, severity, rows)}
    return _Plan(
        incident,
        both=[(row, items[kind]) for kind, row in waiting.items() if kind in items],
        gone=[row for kind, row in waiting.items() if kind not in items],
        new=[item for kind, item in items.items() if kind not in waiting],
    )


def _wanted(incident: Incident, severity: Severity, rows: Iterable[Obligation]) -> list[Due]:
    """What is owed and not settled yet."""
    settled = [row for row in rows if not _is_open(row)]
    return [
        item
        for item in owed(incident, severity)
        if not is_spent(incident, item.kind)
        and not any(_settles(row, item, incident) for row in settled if row.kind == item.kind)
    ]


def _settles(row: Obligation, item: Due, incident: Incident) -> bool:
    """Whether a row that is met or waived answers what is owed: nothing of it is owed again.

    What repeats is answered until its clock starts anew, the rest for this round of trouble. A post-mortem
    is written once. Waived for one severity is not waived for another that asks for it at another moment.
    """
    began = item.since if item.kind in REPEATING else incident.reopened_at
    if row.met_at:
        return row.kind in AFTERWARDS or began is None or row.met_at > began
    if row.waived_by_id is None or row.dropped_at is None or (began and row.dropped_at <= began):
        return False
    is_same_duty = row.duty_id == (item.duty.pk if item.duty else None) and item.kind not in REPEATING
    return is_same_duty or item.moments == (row.due_at, row.limit_at)


def _is_open(row: Obligation) -> bool:
    return row.met_at is None and row.dropped_at is None


def _is_overdue(row: Obligation, at: datetime) -> bool:
    return row.limit_at is not None and row.limit_at < at
