"""Working on it: what is written down for colleagues, looked at and tried (R-205, R-208).

Nothing here overwrites anything, so nothing is refused for being late.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, timeline
from incidents.enums import OPEN, DutyKind, StepKind, Verb
from incidents.models import Incident, RunbookStep, TimelineEntry
from incidents.moves import UNSEEN, Ask, NotAllowed, take


def may_be_reworded(entry: TimelineEntry) -> bool:
    """Whether it is what somebody wrote for colleagues: a note, a decision, or better words for one."""
    return entry.verb in (Verb.NOTED, Verb.DECIDED) or (entry.verb == Verb.CORRECTED and "update" not in entry.facts)


@transaction.atomic
def note(
    incident: Incident,
    words: str,
    *,
    by: User | None,
    at: datetime,
    happened_at: datetime | None = None,
    decision: bool = False,
    ask: Ask = UNSEEN,
) -> Incident:
    """Write something down for colleagues only; ``decision``: that something was decided."""
    incident = _take(incident, ask)
    verb = Verb.DECIDED if decision else Verb.NOTED
    timeline.record(incident, verb, by=by, at=at, words=words, happened_at=happened_at, token=ask.token)
    if incident.state in OPEN:
        clock.meet(incident, DutyKind.INTERNAL_UPDATE, by=by, at=at)
        clock.open_duties(incident, at=at)
    return incident


@transaction.atomic
def correct_note(
    incident: Incident, entry: TimelineEntry, words: str, *, by: User | None, at: datetime, ask: Ask = UNSEEN
) -> Incident:
    """Word a note or a decision better: a new entry that points at the old one, which stays (R-205)."""
    incident = _take(incident, ask)
    if entry.incident_id != incident.pk or not may_be_reworded(entry):
        raise NotAllowed("Only notes and decisions can be corrected here.")
    if entry.corrections.exists():
        raise NotAllowed("This has been corrected meanwhile. Correct its newest words.")
    timeline.record(
        incident, Verb.CORRECTED, by=by, at=at, words=words, happened_at=entry.at, corrects=entry, token=ask.token
    )
    return incident


@transaction.atomic
def check(
    incident: Incident,
    step: RunbookStep,
    *,
    done: bool,
    words: str = "",
    by: User | None,
    at: datetime,
    ask: Ask = UNSEEN,
) -> Incident:
    """Tick a line of the investigation checklist, or take the tick away: always a new entry (R-208)."""
    return _step(incident, step, StepKind.CHECK, Verb.CHECKED, words, by=by, at=at, ask=ask, done=done)


@transaction.atomic
def try_mitigation(
    incident: Incident,
    step: RunbookStep,
    *,
    worked: bool | None,
    words: str = "",
    by: User | None,
    at: datetime,
    happened_at: datetime | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Say that a way to mitigate is being tried, and whether it helped; None: not known yet (R-208)."""
    return _step(
        incident,
        step,
        StepKind.MITIGATION,
        Verb.TRIED,
        words,
        by=by,
        at=at,
        ask=ask,
        happened_at=happened_at,
        worked=worked,
    )


def _step(
    incident: Incident,
    step: RunbookStep,
    kind: StepKind,
    verb: Verb,
    words: str,
    *,
    by: User | None,
    at: datetime,
    ask: Ask,
    happened_at: datetime | None = None,
    **found: Any,
) -> Incident:
    """The step's name is kept with it: the runbook may be worded anew later."""
    incident = _take(incident, ask)
    if step.kind != kind:
        raise NotAllowed(f"“{step}” is no line of that list.")
    timeline.record(
        incident,
        verb,
        by=by,
        at=at,
        words=words,
        happened_at=happened_at,
        token=ask.token,
        step=step.slug,
        name=step.name,
        **found,
    )
    return incident


def _take(incident: Incident, ask: Ask) -> Incident:
    """The lock and the version, without asking what the form had seen."""
    return take(incident, Ask(token=ask.token))
