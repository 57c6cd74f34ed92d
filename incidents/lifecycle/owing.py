"""What is owed, settled by a person's word: waived, or met by what the house cannot see (R-301)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, timeline
from incidents.enums import DutyKind, Verb
from incidents.models import Incident, Obligation
from incidents.moves import UNSEEN, Ask, NotAllowed, take


@transaction.atomic
def waive(
    incident: Incident, obligation: Obligation, *, reason: str, by: User, at: datetime, ask: Ask = UNSEEN
) -> Incident:
    """Say that something need not be done, and why. What was broken before stays broken.

    What is owed again and again is owed again after the next update (R-107).
    """
    incident = take(incident, ask)
    if not reason.strip():
        raise NotAllowed("Say why it need not be done.")
    if obligation.incident_id != incident.pk or not clock.waive(obligation, reason=reason, by=by, at=at):
        raise NotAllowed(f"{obligation.get_kind_display()} is not owed any more.")
    timeline.record(
        incident,
        Verb.WAIVED,
        by=by,
        at=at,
        words=f"{obligation.get_kind_display()}: {reason}",
        token=ask.token,
        kind=obligation.kind,
    )
    return incident


@transaction.atomic
def mark_met(
    incident: Incident, kind: DutyKind, *, words: str, by: User | None, at: datetime, ask: Ask = UNSEEN
) -> Incident:
    """Say that something owed is done, where the house does not see it by itself: somebody was called, met, written to.

    Kept or late is judged by ``at``, the moment it is said. Raises NotAllowed for what an act of its own meets.
    """
    incident = take(incident, ask)
    if kind in clock.ONLY_BY_ACT:
        raise NotAllowed(f"{kind.label} is met by doing it here, not by saying that it is done.")
    if not incident.obligations.open().filter(kind=kind).exists():
        raise NotAllowed(f"{kind.label} is not owed any more.")
    clock.meet(incident, kind, by=by, at=at, remark=words)
    said = f"{kind.label}: done. {words}".strip()
    timeline.record(incident, Verb.DONE, by=by, at=at, words=said, token=ask.token, kind=kind.value)
    clock.open_duties(incident, at=at)
    return incident
