"""What is owed by an incident's own facts, and by when: reads, and writes nothing (R-103, R-107, R-301)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.db.models import prefetch_related_objects

from incidents import workhours
from incidents.enums import OPEN, Condition, DutyKind, Publicity, Start, State, Tie, Verb
from incidents.models import Duty, Incident, PolicyVersion, Severity

from .kinds import AFTERWARDS, LONG, PUBLIC, REPEATING, WHILE_OPEN

#: Nothing is owed for what was no incident, or goes on under another one.
_VOID = (State.FALSE_ALARM, State.MERGED)
#: Their clocks start again when the incident comes back.
_ANEW = (DutyKind.FIRST_UPDATE, DutyKind.ESCALATE, DutyKind.ENTERPRISE_LETTERS, DutyKind.RESOLVE)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Due:
    """Something owed, with its moments (UTC): reminded before ``due_at``, broken at ``limit_at``.

    Both None: owed, and no policy says by when. ``duty`` is None when only a promise makes it owed
    (R-1301); ``since`` is when its clock started.
    """

    kind: DutyKind
    duty: Duty | None
    due_at: datetime | None
    limit_at: datetime | None
    since: datetime | None = None
    promised: bool = False

    @property
    def owner_role(self) -> str:
        return self.duty.owner_role if self.duty else ""

    @property
    def moments(self) -> tuple[datetime | None, datetime | None]:
        return self.due_at, self.limit_at

    @property
    def urgency(self) -> tuple[datetime, datetime]:
        """What sorts the most urgent first; what has no moment comes last."""
        return self.due_at or _NEVER, self.limit_at or _NEVER

    def is_overdue(self, at: datetime) -> bool:
        return self.limit_at is not None and self.limit_at < at


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
    """Everything whose clock has started, under ``severity``, by the incident's own facts; one per kind.

    Where several duties of a kind apply, the earliest moment counts. Three queries at most.
    """
    if incident.state in _VOID:
        return []
    said = _last_words(incident)
    found: dict[DutyKind, Due] = {}
    for item in _duties_due(incident, severity, said):
        found[item.kind] = min(found.get(item.kind, item), item, key=lambda due: due.urgency)
    promise = incident.notice.next_update_by if incident.notice and incident.state in OPEN else None
    if promise:
        found[DutyKind.PUBLIC_UPDATE] = _earlier(
            promise, found.get(DutyKind.PUBLIC_UPDATE), since=said.get(Verb.PUBLISHED)
        )
    return list(found.values())


def holding(incident: Incident, duties: Iterable[Duty], *, over: datetime | None) -> set[Condition]:
    """The conditions of ``duties`` that hold, for an incident that is over since ``over`` (None: it is not) (R-103).

    What nobody has said yet does not hold. One query, and only where a duty asks for repeats.
    """
    facts = {
        Condition.ALWAYS: True,
        Condition.LONG: over is not None and over - incident.started_at > LONG,
        Condition.SECURITY: incident.is_security,
        Condition.CUSTOMERS_HIT: bool(incident.customers_hit),
        Condition.SIGNIFICANT: bool(incident.is_significant),
        Condition.ON_REQUEST: incident.review_asked_at is not None,
    }
    if any(duty.condition == Condition.REPEAT for duty in duties):
        facts[Condition.REPEAT] = incident.links.filter(tie=Tie.REPEAT).exists()
    return {condition for condition, holds in facts.items() if holds}


def review_owed(incident: Incident, severity: Severity, *, over: datetime) -> Duty | None:
    """The duty to publish a post-mortem if the incident is over at ``over`` (UTC): the earliest that applies."""
    duties = [duty for duty in severity.duties.all() if duty.kind == DutyKind.REVIEW_PUBLISHED]
    holds, calendar = holding(incident, duties, over=over), calendar_of(severity.version)
    found = [_due(duty, over, calendar) for duty in duties if duty.condition in holds]
    return min(found, key=lambda due: due.urgency).duty if found else None


def must_promise(severity: Severity) -> bool:
    """Whether each public update has to say when the next one comes: the level's only cadence is a promise (R-107)."""
    # Kept with the level: whoever publishes opens duties afterwards.
    prefetch_related_objects([severity], "duties")
    duties = [duty for duty in severity.duties.all() if duty.kind == DutyKind.PUBLIC_UPDATE]
    return any(duty.amount is None and not _is_hushed(severity, duty) for duty in duties)


def is_spent(incident: Incident, kind: DutyKind) -> bool:
    """Whether the deed was done before the duty was written down."""
    if kind == DutyKind.RESPOND:
        return incident.acknowledged_at is not None
    if kind == DutyKind.FIRST_UPDATE:
        return incident.notice is not None
    if kind == DutyKind.ESCALATE:
        return incident.mitigated_at is not None
    return kind == DutyKind.RESOLVE and incident.resolved_at is not None


def _duties_due(incident: Incident, severity: Severity, said: dict[str, datetime]) -> Iterator[Due]:
    kinds = WHILE_OPEN if incident.state in OPEN else AFTERWARDS
    duties = [duty for duty in severity.duties.all() if duty.kind in kinds and not _is_hushed(severity, duty)]
    holds = holding(incident, duties, over=incident.ended_at or incident.resolved_at)
    calendar = calendar_of(severity.version)
    for duty in duties:
        start = _started(incident, duty, said)
        as_promised = duty.amount is None and duty.kind in REPEATING
        if start is not None and duty.condition in holds and not as_promised:
            yield _due(duty, start, calendar)


def _due(duty: Duty, start: datetime, calendar: workhours.Calendar) -> Due:
    if duty.amount is None:
        return Due(DutyKind(duty.kind), duty, None, None, start)
    limit = duty.amount if duty.limit is None else duty.limit
    return Due(
        DutyKind(duty.kind),
        duty,
        workhours.due(start, duty.amount, duty.unit, calendar),
        workhours.due(start, limit, duty.unit, calendar),
        start,
    )


def _earlier(promise: datetime, cadence: Due | None, *, since: datetime | None) -> Due:
    """The earlier of the cadence and the operator's own promise, which was made at ``since`` (R-301)."""
    if cadence is None or cadence.due_at is None or cadence.limit_at is None:
        return Due(DutyKind.PUBLIC_UPDATE, cadence.duty if cadence else None, promise, promise, since, promised=True)
    if promise > cadence.due_at:
        return replace(cadence, limit_at=min(promise, cadence.limit_at))
    return replace(cadence, due_at=promise, limit_at=promise, promised=True)


def _is_hushed(severity: Severity, duty: Duty) -> bool:
    """Whether it asks for words to people whom the level does not tell."""
    if duty.kind == DutyKind.ENTERPRISE_LETTERS and not severity.direct_enterprise:
        return True
    outside = (*PUBLIC, DutyKind.ENTERPRISE_LETTERS)
    return duty.kind in outside and severity.publicity in (Publicity.INTERNAL, Publicity.NEVER)


def _last_words(incident: Incident) -> dict[str, datetime]:
    """When we last spoke, by verb: in public and inside, where a decision is as good as a note. One query."""
    spoken = incident.timeline.filter(verb__in=(Verb.PUBLISHED, Verb.NOTED, Verb.DECIDED)).order_by("recorded_at")
    return {Verb.NOTED if verb == Verb.DECIDED else verb: at for verb, at in spoken.values_list("verb", "recorded_at")}


def _started(incident: Incident, duty: Duty, said: dict[str, datetime]) -> datetime | None:
    """The moment the duty's clock starts; None: it has not."""
    if duty.kind == DutyKind.PUBLIC_UPDATE:
        return said.get(Verb.PUBLISHED)
    if duty.kind == DutyKind.INTERNAL_UPDATE:
        return max(said.get(Verb.NOTED, incident.declared_at), incident.reopened_at or incident.declared_at)
    if duty.kind in _ANEW and incident.reopened_at:
        return incident.reopened_at
    return {
        Start.IMPACT_STARTED: incident.started_at,
        Start.DETECTED: incident.detected_at,
        Start.DECLARED: incident.declared_at,
        Start.ACKNOWLEDGED: incident.acknowledged_at,
        Start.RESOLVED: incident.resolved_at,
    }.get(Start(duty.starts_from))
