"""How bad it is, and whether it still hurts (R-109, R-1302)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, guard, timeline
from incidents.enums import State, Verb
from incidents.models import Incident, Severity
from incidents.moves import UNSEEN, Ask, NotAllowed, move, refuse_unless_open, take
from status import publishing

from .overriding import weigh


@transaction.atomic
def change_severity(
    incident: Incident,
    severity: Severity,
    *,
    reason: str,
    by: User | None,
    at: datetime,
    override: str = "",
    ask: Ask = UNSEEN,
) -> Incident:
    """Judge it differently, perhaps by another policy; clocks are planned anew (R-109).

    ``clock.compare`` shows beforehand what this does. Raises ``NotAllowed`` once it is over: a
    finished incident keeps the policy it was judged by (R-102). Raises ``Contradicted`` without an
    ``override`` where the page would stay green beside the gravest level (R-1303).
    """
    incident = take(incident, ask)
    refuse_unless_open(incident, "change the severity")
    weigh(incident, guard.before_judging(incident, severity), override, by=by, at=at)
    was, incident.severity = incident.severity, severity
    incident.save(update_fields=["severity"])
    timeline.record(
        incident,
        Verb.SEVERITY,
        by=by,
        at=at,
        words=reason,
        token=ask.token,
        severity=[was.short, severity.short],
        policy=[str(was.version), str(severity.version)],
        # What figures and credits read: the levels themselves, whatever they are called.
        levels=[was.pk, severity.pk],
    )
    if incident.notice:
        publishing.rerank(incident.notice, severity.rank, at=at)
    clock.replan(incident, at=at, reason=reason)
    return incident


@transaction.atomic
def mitigate(
    incident: Incident,
    *,
    words: str,
    by: User | None,
    at: datetime,
    happened_at: datetime | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Say inside that customers no longer suffer (since ``happened_at``); the cause may still be there."""
    incident = take(incident, ask)
    move(incident, State.MITIGATED, at=at)
    if happened_at:
        incident.mitigated_at = happened_at
        incident.save(update_fields=["mitigated_at"])
    timeline.record(incident, Verb.MITIGATED, by=by, at=at, words=words, happened_at=happened_at, token=ask.token)
    clock.meet(incident, *clock.UNTIL_MITIGATED, by=by, at=at)
    clock.open_duties(incident, at=at)
    return incident


@transaction.atomic
def verify(incident: Incident, *, words: str, by: User | None, at: datetime, ask: Ask = UNSEEN) -> Incident:
    """Say that the fix works: the watch before "resolved" begins, anew if it was verified before (R-214)."""
    incident = take(incident, ask)
    if incident.state != State.MITIGATED:
        raise NotAllowed(
            f"{incident.reference} is {incident.get_state_display().lower()}; a fix is verified once it is mitigated."
        )
    incident.verified_at = at
    incident.save(update_fields=["verified_at"])
    timeline.record(incident, Verb.VERIFIED, by=by, at=at, words=words, token=ask.token)
    return incident
