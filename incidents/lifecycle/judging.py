"""How bad it is, and whether it still hurts (R-109, R-1302)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, timeline
from incidents.enums import DutyKind, State, Verb
from incidents.models import Incident, Severity
from incidents.moves import UNSEEN, Ask, move, refuse_unless_open, take
from status import publishing


@transaction.atomic
def change_severity(
    incident: Incident,
    severity: Severity,
    *,
    reason: str,
    by: User | None,
    at: datetime,
    ask: Ask = UNSEEN,
) -> Incident:
    """Judge it differently, perhaps by another policy; clocks are planned anew (R-109).

    ``clock.compare`` shows beforehand what this does. Raises ``NotAllowed`` once it is over: a
    finished incident keeps the policy it was judged by (R-102).
    """
    incident = take(incident, ask)
    refuse_unless_open(incident, "change the severity")
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
    clock.meet(incident, DutyKind.RESPOND, by=by, at=at)
    clock.open_duties(incident, at=at)
    return incident
