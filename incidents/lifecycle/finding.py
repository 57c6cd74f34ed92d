"""What was found out: causes and whom it hit (R-103), and when it really happened (R-1302)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, timeline
from incidents.enums import OPEN, State, Verb
from incidents.models import Incident
from incidents.moves import UNSEEN, Ask, NotAllowed, take
from status import ledger, publishing

#: Of these nothing is found out any more: nothing was wrong, or it goes on under another name.
VOID = (State.FALSE_ALARM, State.MERGED)
#: Marks of when it happened, in the order in which they happen.
MARKS = ("started_at", "detected_at", "mitigated_at", "ended_at")


@dataclass(frozen=True)
class Findings:
    """What decides whether more is owed (R-103). None: nobody has said yet."""

    cause: str = ""
    customers_hit: bool | None = None
    is_significant: bool | None = None
    review_asked: bool = False

    @classmethod
    def of(cls, incident: Incident) -> Findings:
        return cls(incident.cause, incident.customers_hit, incident.is_significant, bool(incident.review_asked_at))


@transaction.atomic
def judge(
    incident: Incident,
    *,
    cause: str = "",
    customers_hit: bool | None = None,
    is_significant: bool | None = None,
    review_asked: bool = False,
    by: User | None,
    at: datetime,
    ask: Ask = UNSEEN,
) -> Incident:
    """Write down what was found out, while it is open or afterwards; what is owed now follows (R-103)."""
    incident = take(incident, ask)
    _refuse_void(incident, "judge it")
    findings = Findings(cause, customers_hit, is_significant, review_asked)
    if not write_findings(incident, findings, by=by, at=at, ask=ask):
        raise NotAllowed(f"These findings are noted in {incident.reference} already.")
    clock.open_duties(incident, at=at)
    return incident


def write_findings(incident: Incident, findings: Findings, *, by: User | None, at: datetime, ask: Ask = UNSEEN) -> bool:
    """Set what differs, and say so in the timeline; False: nothing does. The caller holds the row lock."""
    before, after = asdict(Findings.of(incident)), asdict(findings)
    changed = {name: [before[name], after[name]] for name in before if before[name] != after[name]}
    if not changed:
        return False
    incident.cause = findings.cause
    incident.customers_hit, incident.is_significant = findings.customers_hit, findings.is_significant
    incident.review_asked_at = (incident.review_asked_at or at) if findings.review_asked else None
    incident.save(update_fields=["cause", "customers_hit", "is_significant", "review_asked_at"])
    timeline.record(incident, Verb.JUDGED, by=by, at=at, token=ask.token, findings=changed)
    return True


@transaction.atomic
def correct_times(
    incident: Incident,
    *,
    reason: str,
    by: User | None,
    at: datetime,
    started_at: datetime | None = None,
    detected_at: datetime | None = None,
    mitigated_at: datetime | None = None,
    ended_at: datetime | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Say when it really happened (R-1302); None leaves a mark alone, and only marks that are there move.

    The ledger, the public page and the clocks follow. All moments are UTC. Raises ``NotAllowed`` when
    they are out of order, see ``misplaced``.
    """
    incident = take(incident, ask)
    _refuse_void(incident, "correct its times")
    given = {"started_at": started_at, "detected_at": detected_at, "mitigated_at": mitigated_at, "ended_at": ended_at}
    moved = changed_marks(incident, given)
    if not reason.strip():
        raise NotAllowed("Say why the times are corrected: the timeline keeps the reason.")
    if not moved:
        raise NotAllowed(f"These are the times of {incident.reference} already.")
    if wrong := misplaced(incident, given, at):
        raise NotAllowed(" ".join(wrong.values()))
    _move_marks(incident, moved, words=reason.strip(), by=by, at=at, token=ask.token)
    _retell(incident, moved, at)
    clock.replan_times(incident, at=at, reason=reason.strip())
    return incident


def begin_with(incident: Incident, other: Incident, *, words: str, by: User | None, at: datetime) -> None:
    """What was merged into it hit customers before: so it began, and was noticed, then (R-1302).

    Its own components stay hit since they were. The caller holds both rows.
    """
    earlier = {mark: getattr(other, mark) for mark in ("started_at", "detected_at")}
    moved = {mark: (old, new) for mark, (old, new) in changed_marks(incident, earlier).items() if new < old}
    if not moved:
        return
    _move_marks(incident, moved, words=words, by=by, at=at)
    if incident.notice:
        publishing.retime(incident.notice, started_at=incident.started_at, ended_at=None, at=at)
    clock.replan_times(incident, at=at, reason=words)


def changed_marks(incident: Incident, given: Mapping[str, datetime | None]) -> dict[str, tuple[datetime, datetime]]:
    """(old, new) by mark, of those that move. A mark that was never set is not corrected: there are acts to set it."""
    found = {}
    for mark, new in given.items():
        old: datetime | None = getattr(incident, mark)
        if new is not None and old is not None and new != old:
            found[mark] = (old, new)
    return found


def misplaced(incident: Incident, given: Mapping[str, datetime | None], at: datetime) -> dict[str, str]:
    """What is wrong with the moments, by mark: they must be in order, and none lies ahead of ``at``."""
    told = {mark: given.get(mark) or getattr(incident, mark) for mark in MARKS}
    moved = changed_marks(incident, given)
    began = max(told["started_at"], incident.reopened_at or told["started_at"])
    rules = (
        ("started_at", told["started_at"] > incident.declared_at, "It began before it was declared."),
        ("detected_at", told["detected_at"] < told["started_at"], "It was noticed before it began."),
        (
            "detected_at",
            told["detected_at"] > incident.declared_at,
            "It was noticed by when it was declared.",
        ),
        *(
            (mark, bool(told[mark]) and told[mark] < began, f"This is before it began ({began:%Y-%m-%d %H:%M} UTC).")
            for mark in ("mitigated_at", "ended_at")
        ),
        *((mark, bool(told[mark]) and told[mark] > at, "This lies in the future.") for mark in MARKS),
    )
    wrong: dict[str, str] = {}
    for mark, broken, words in rules:
        if broken and moved:
            wrong.setdefault(mark, words)
    return wrong


def _move_marks(
    incident: Incident,
    moved: Mapping[str, tuple[datetime, datetime]],
    *,
    words: str,
    by: User | None,
    at: datetime,
    token: UUID | None = None,
) -> None:
    for mark, (_, new) in moved.items():
        setattr(incident, mark, new)
    incident.save(update_fields=list(moved))
    facts: dict[str, Any] = {mark: [old.isoformat(), new.isoformat()] for mark, (old, new) in moved.items()}
    timeline.record(incident, Verb.TIMES, by=by, at=at, words=words, token=token, **facts)


def _retell(incident: Incident, moved: Mapping[str, tuple[datetime, datetime]], at: datetime) -> None:
    """The ledger and the public page follow."""
    ledger.shift(incident.source, began=moved.get("started_at"), ended=moved.get("ended_at"), at=at)
    if incident.notice and {"started_at", "ended_at"} & set(moved):
        ended = None if incident.state in OPEN else incident.ended_at
        publishing.retime(incident.notice, started_at=incident.started_at, ended_at=ended, at=at)


def _refuse_void(incident: Incident, deed: str) -> None:
    if incident.state in VOID:
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()}; you cannot {deed}.")
