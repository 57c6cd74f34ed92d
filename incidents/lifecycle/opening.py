"""Declaring and acknowledging: the beginning (R-201, R-202)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, timeline, words
from incidents.enums import DutyKind, Origin, State, Verb
from incidents.models import Incident, IncidentNumber, Severity
from incidents.moves import UNSEEN, Ask, NotAllowed, move, refuse_replay, take
from notifications.models import Brand
from status.enums import Level, Phase
from status.models import Component
from status.publishing import Draft

from . import restricting, staffing
from .speaking import publish


@transaction.atomic
def declare(
    *,
    severity: Severity,
    title: str,
    started_at: datetime,
    by: User | None,
    at: datetime,
    brand: Brand,
    levels: Mapping[Component, Level],
    draft: Draft | None = None,
    detected_at: datetime | None = None,
    origin: Origin = Origin.STAFF,
    channels: Collection[str] | None = None,
    letter: str | None = None,
    override: str = "",
    restricted: bool = False,
    public_title: str = "",
    advice: Mapping[str, Any] | None = None,
    token: UUID | None = None,
) -> Incident:
    """Say that something is wrong: takes the next number and, with a ``draft``, publishes it at once.

    Without a draft nothing is said in public and no component moves. ``channels`` are those it is told
    by (``publishing.publish``), None: those the policy says, see ``grid``; ``letter`` are the words to
    contacts of Enterprise customers (``letters.letter``), empty: none, None: as the policy says. All moments are UTC;
    ``started_at`` ≤ ``detected_at`` (default: as started) ≤ ``at``. Raises ``AlreadyDone``; ``Contradicted`` without an
    ``override`` where the page would stay green beside the gravest level (R-1303). ``restricted``: a security
    incident; outsiders read ``public_title``, which words for the public need (R-213). ``advice``: what the severity
    assistant was told and what it said, as plain JSON (R-110).
    """
    if restricted and draft and not public_title.strip():
        raise NotAllowed("Say what outsiders read instead of the title.")
    number = _next_number(at.year)
    refuse_replay(token)
    incident = Incident.objects.create(
        reference=f"INC-{at.year}-{number:04d}",
        title=title,
        severity=severity,
        origin=origin,
        brand=brand,
        declared_by=by,
        started_at=started_at,
        detected_at=detected_at or started_at,
        declared_at=at,
    )
    facts: dict[str, Any] = {"severity": severity.short, "policy": str(severity.version)}
    if advice:
        facts["assistant"] = advice
    timeline.record(incident, Verb.DECLARED, by=by, at=at, token=token, **facts)
    if restricted:
        restricting.begin(incident, public_title.strip(), by=by, at=at)
    clock.open_duties(incident, at=at)
    if draft:
        draft = words.numbered(draft, incident.reference)
        letter = letter and words.fill(letter, {"reference": incident.reference})
        if draft.phase == Phase.MONITORING:
            move(incident, State.MITIGATED, at=at)
            clock.meet(incident, *clock.UNTIL_MITIGATED, by=by, at=at)
        publish(incident, draft, levels, by=by, at=at, channels=channels, letter=letter, override=override)
    return incident


@transaction.atomic
def acknowledge(incident: Incident, *, by: User | None, at: datetime, ask: Ask = UNSEEN) -> Incident:
    """Say that somebody is working on it: who says so commands it, unless somebody does (R-204).

    What is over is reopened, not acknowledged.
    """
    incident = take(incident, ask)
    if incident.state != State.DECLARED:
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()}; nothing is to acknowledge.")
    move(incident, State.ACKNOWLEDGED, at=at)
    timeline.record(incident, Verb.ACKNOWLEDGED, by=by, at=at, token=ask.token)
    staffing.step_in(incident, by=by, at=at)
    clock.meet(incident, DutyKind.RESPOND, by=by, at=at)
    clock.open_duties(incident, at=at)
    return incident


def _next_number(year: int) -> int:
    """Gapless within a year: the row stays locked until the declaration is committed or undone (R-202)."""
    IncidentNumber.objects.get_or_create(year=year)
    number = IncidentNumber.objects.select_for_update().get(year=year)
    number.last += 1
    number.save(update_fields=["last"])
    return number.last
