"""What is owed, and by when: obligations as rows whose moments are frozen when they arise (R-107, R-109).

What is owed follows from the incident's facts and its severity's duties; ``open_duties`` writes
down what is owed now and not written yet, so it may be called after every act.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User

from incidents import workhours
from incidents.enums import OPEN, Condition, DutyKind, Publicity, Start, Verb
from incidents.models import Duty, Incident, Obligation, PolicyVersion, Severity

#: Kinds that ask for public words: owed only where the severity is told to the public.
PUBLIC = (DutyKind.FIRST_UPDATE, DutyKind.PUBLIC_UPDATE)
#: Kinds that end with the incident, and kinds that begin when it is resolved.
WHILE_OPEN = (DutyKind.RESPOND, *PUBLIC, DutyKind.INTERNAL_UPDATE, DutyKind.RESOLVE)
AFTERWARDS = (DutyKind.REVIEW_SCHEDULED, DutyKind.REVIEW_PUBLISHED)
#: Longer than this, a post-mortem is owed whatever the severity (R-103).
LONG = timedelta(hours=4)


@dataclass(frozen=True)
class Due:
    """Something owed, with its moments (UTC): reminded at ``due_at``, broken at ``limit_at``.

    ``duty`` is None when only a promise makes it owed (R-1301).
    """

    kind: DutyKind
    duty: Duty | None
    due_at: datetime
    limit_at: datetime


@dataclass(frozen=True)
class Change:
    """One line of the what-if of R-109: when a kind is due before and after; None: not owed."""

    kind: DutyKind
    before: datetime | None
    after: datetime | None
    kept: bool
    overdue: bool


def calendar_of(version: PolicyVersion) -> workhours.Calendar:
    """The policy's working calendar (R-105)."""
    return workhours.Calendar(
        zone=version.work_zone,
        weekdays=frozenset(int(day) for day in version.work_days.split(",")),
        start=version.work_start,
        end=version.work_end,
        country=version.holiday_country,
    )


def owed(incident: Incident, severity: Severity) -> list[Due]:
    """Everything whose clock has started, under ``severity``, by the incident's own facts. Two queries."""
    calendar = calendar_of(severity.version)
    said = _last_words(incident)
    promised = incident.notice.next_update_by if incident.notice and incident.state in OPEN else None
    found = {item.kind: item for item in _duties_due(incident, severity, calendar, said)}
    if promised:
        # The earlier of the cadence and the operator's own promise.
        cadence = found.get(DutyKind.PUBLIC_UPDATE)
        found[DutyKind.PUBLIC_UPDATE] = Due(
            DutyKind.PUBLIC_UPDATE,
            cadence.duty if cadence else None,
            min(promised, cadence.due_at) if cadence else promised,
            min(promised, cadence.limit_at) if cadence else promised,
        )
    return list(found.values())


def open_duties(incident: Incident, *, at: datetime, reason: str = "") -> None:
    """Write down what is owed now and not written yet; ``reason`` explains what is overdue from the start."""
    rows = list(incident.obligations.filter(dropped_at__isnull=True).values_list("kind", "met_at"))
    waiting = {kind for kind, met_at in rows if met_at is None}
    done = {kind for kind, met_at in rows if met_at is not None and kind in AFTERWARDS}
    Obligation.objects.bulk_create(
        Obligation(
            incident=incident,
            duty=item.duty,
            kind=item.kind,
            opened_at=at,
            due_at=item.due_at,
            limit_at=item.limit_at,
            remark=reason[:250] if item.limit_at < at else "",
        )
        for item in owed(incident, incident.severity)
        if item.kind not in waiting and item.kind not in done and not _is_spent(incident, item.kind)
    )


def meet(incident: Incident, *kinds: DutyKind, by: User | None, at: datetime) -> None:
    """These are done: kept if before the hard limit, late otherwise."""
    incident.obligations.open().filter(kind__in=kinds).update(met_at=at, met_by=by)


def close_out(incident: Incident, *, at: datetime) -> None:
    """It is over: what was owed while it was open is owed no more; what follows a resolution begins."""
    incident.obligations.open().filter(kind__in=WHILE_OPEN).update(dropped_at=at, remark="It was over before.")
    open_duties(incident, at=at)


def drop(incident: Incident, *kinds: DutyKind, at: datetime, remark: str) -> None:
    """These are owed no more, and why; no kinds: nothing is."""
    waiting = incident.obligations.open()
    (waiting.filter(kind__in=kinds) if kinds else waiting).update(dropped_at=at, remark=remark[:250])


def replan(incident: Incident, *, at: datetime, reason: str) -> None:
    """The severity changed: kept duties stay kept, open ones get the new moments, overdue ones say why (R-109)."""
    drop(incident, at=at, remark=f"Severity changed: {reason}")
    open_duties(incident, at=at, reason=f"Overdue from the start, because the severity changed: {reason}")


def compare(incident: Incident, severity: Severity, *, at: datetime) -> list[Change]:
    """What a change to ``severity`` would do to the clocks (R-109). Reads only."""
    waiting = {row.kind: row.due_at for row in incident.obligations.open()}
    kept = set(incident.obligations.filter(met_at__isnull=False).values_list("kind", flat=True))
    new = {item.kind: item for item in owed(incident, severity) if not _is_spent(incident, item.kind)}
    return [
        Change(
            kind=kind,
            before=waiting.get(kind),
            after=new[kind].due_at if kind in new else None,
            kept=kind in kept and kind not in waiting,
            overdue=kind in new and new[kind].limit_at < at,
        )
        for kind in DutyKind
        if kind in waiting or kind in new or kind in kept
    ]


def _duties_due(
    incident: Incident, severity: Severity, calendar: workhours.Calendar, said: dict[str, datetime]
) -> Iterator[Due]:
    is_open = incident.state in OPEN
    for duty in severity.duties.all():
        kind = DutyKind(duty.kind)
        start = _started(incident, duty, said)
        if start is None or duty.amount is None or kind not in (WHILE_OPEN if is_open else AFTERWARDS):
            continue
        if not _applies(incident, severity, duty):
            continue
        limit = duty.amount if duty.limit is None else duty.limit
        yield Due(
            kind,
            duty,
            workhours.due(start, duty.amount, duty.unit, calendar),
            workhours.due(start, limit, duty.unit, calendar),
        )


def _applies(incident: Incident, severity: Severity, duty: Duty) -> bool:
    if duty.kind in PUBLIC and severity.publicity in (Publicity.INTERNAL, Publicity.NEVER):
        return False
    if duty.condition == Condition.LONG:
        over = incident.ended_at or incident.resolved_at
        return over is not None and over - incident.started_at > LONG
    return duty.condition == Condition.ALWAYS


def _last_words(incident: Incident) -> dict[str, datetime]:
    """When we last spoke, by verb: in public and inside. One query."""
    spoken = incident.timeline.filter(verb__in=(Verb.PUBLISHED, Verb.NOTED)).order_by("recorded_at")
    return dict(spoken.values_list("verb", "recorded_at"))


def _started(incident: Incident, duty: Duty, said: dict[str, datetime]) -> datetime | None:
    """The moment the duty's clock starts; None: it has not."""
    if duty.kind == DutyKind.PUBLIC_UPDATE:
        return said.get(Verb.PUBLISHED)
    if duty.kind == DutyKind.INTERNAL_UPDATE:
        return max(said.get(Verb.NOTED, incident.declared_at), incident.reopened_at or incident.declared_at)
    if duty.kind == DutyKind.RESOLVE and incident.reopened_at:
        return incident.reopened_at
    return {
        Start.IMPACT_STARTED: incident.started_at,
        Start.DETECTED: incident.detected_at,
        Start.DECLARED: incident.declared_at,
        Start.ACKNOWLEDGED: incident.acknowledged_at,
        Start.RESOLVED: incident.resolved_at,
    }.get(Start(duty.starts_from))


def _is_spent(incident: Incident, kind: DutyKind) -> bool:
    """Whether the deed was done before the duty was written down."""
    if kind == DutyKind.RESPOND:
        return incident.acknowledged_at is not None
    if kind == DutyKind.FIRST_UPDATE:
        return incident.notice is not None
    return kind == DutyKind.RESOLVE and incident.resolved_at is not None
