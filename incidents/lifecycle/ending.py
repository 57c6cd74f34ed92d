"""Resolving, reopening, closing, and false alarms (R-201, R-203)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, guard, letters, timeline
from incidents.enums import DutyKind, State, Verb
from incidents.models import Incident
from incidents.moves import UNSEEN, Ask, NotAllowed, move, take
from status import ledger, publishing
from status.enums import Level, Phase
from status.models import Component
from status.publishing import Draft
from status.translations import Translation

from .finding import Findings, write_findings
from .overriding import weigh
from .speaking import publish, ways_of


@transaction.atomic
def resolve(
    incident: Incident,
    *,
    body: str,
    sms: str = "",
    chat: str = "",
    translations: Mapping[str, Translation] | None = None,
    by: User | None,
    at: datetime,
    ended_at: datetime | None = None,
    channels: Collection[str] | None = None,
    letter: str | None = None,
    findings: Findings | None = None,
    override: str = "",
    ask: Ask = UNSEEN,
) -> Incident:
    """Say that it is over: components come back unless another incident holds them down (R-207).

    ``ended_at`` (default ``at``) is when it stopped to hurt; it may lie before we say so (R-1302),
    but not before the present round of trouble began. ``findings`` decide what is owed afterwards.
    Raises ``Contradicted`` without an ``override`` while components stay down or the watch lasts
    (R-1303, R-214).
    """
    incident = take(incident, ask)
    concerns = guard.before_resolving(incident, at)
    if ended_at and ended_at < incident.round_began_at:
        raise NotAllowed(f"It cannot have stopped hurting before {incident.round_began_at:%H:%M} UTC, when it began.")
    # Where nobody said that it was mitigated, it was when it stopped to hurt: that is no time of posting.
    incident.mitigated_at = incident.mitigated_at or ended_at
    move(incident, State.RESOLVED, at=at)
    weigh(incident, concerns, override, by=by, at=at)
    incident.ended_at = ended_at or at
    incident.save(update_fields=["ended_at"])
    if findings:
        write_findings(incident, findings, by=by, at=at)
    clock.meet(incident, *clock.UNTIL_MITIGATED, DutyKind.RESOLVE, by=by, at=at)
    said: dict[str, Any] = {}
    if incident.notice:
        held = ledger.held_by(incident.source)
        draft = Draft(Phase.RESOLVED, body, sms, chat=chat, translations=translations or {})
        ledger.close_impacts(incident.source, at=incident.ended_at)
        ways = ways_of(incident, channels)
        update = publishing.post(incident.notice, draft, at=at, ended_at=incident.ended_at, channels=ways)
        said = {"update": update.public_id}
        letters.write_as_asked(incident, draft, letter, ways, held, by=by, at=at)
        clock.meet(incident, *clock.PUBLIC, by=by, at=at)
    timeline.record(
        incident, Verb.RESOLVED, by=by, at=at, words=body, happened_at=incident.ended_at, token=ask.token, **said
    )
    clock.close_out(incident, at=at)
    return incident


@transaction.atomic
def reopen(
    incident: Incident,
    draft: Draft,
    *,
    levels: Mapping[Component, Level],
    by: User | None,
    at: datetime,
    channels: Collection[str] | None = None,
    letter: str | None = None,
    override: str = "",
    ask: Ask = UNSEEN,
) -> Incident:
    """Say that it is back: same incident, same page, same thread of messages (R-201).

    Raises ``Contradicted`` as ``post_update`` does.
    """
    incident = take(incident, ask)
    if incident.state not in (State.RESOLVED, State.CLOSED):
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()}; it cannot be reopened.")
    move(incident, State.ACKNOWLEDGED, at=at)
    over = ("mitigated_at", "verified_at", "ended_at", "resolved_at", "closed_at")
    for stamp in over:
        setattr(incident, stamp, None)
    incident.reopened_at = at
    incident.save(update_fields=[*over, "reopened_at"])
    if draft.phase == Phase.MONITORING:
        move(incident, State.MITIGATED, at=at)
    # Public words stand in the entry of the update that says them.
    words = "" if incident.notice else draft.body
    timeline.record(incident, Verb.REOPENED, by=by, at=at, words=words, token=ask.token)
    clock.drop(incident, *clock.AFTERWARDS, at=at, remark="Reopened.")
    if incident.notice:
        publish(incident, draft, levels, by=by, at=at, channels=channels, letter=letter, override=override)
    else:
        clock.open_duties(incident, at=at)
    return incident


@transaction.atomic
def mark_false_alarm(
    incident: Incident,
    *,
    body: str,
    by: User | None,
    at: datetime,
    channels: Collection[str] = (),
    letter: str = "",
    translations: Mapping[str, Translation] | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Say that nothing was wrong: who was told is told so, and no customer figure counts it (R-203).

    ``channels`` and ``letter`` reach others besides those that were told and written to before.
    """
    incident = take(incident, ask)
    move(incident, State.FALSE_ALARM, at=at)
    ledger.void_impacts(incident.source, at=at)
    said: dict[str, Any] = {}
    if incident.notice:
        draft = Draft(Phase.RESOLVED, body, translations=translations or {})
        update = publishing.post(incident.notice, draft, at=at, channels=channels)
        said = {"update": update.public_id}
        publishing.withdraw(incident.notice, at=at)
        if not letter and letters.were_written(incident.notice):
            letter = letters.HARMLESS
        # Nothing was wrong: letters say how what is left stands now.
        left = ledger.levels(incident.notice.components.all())
        letters.write_as_asked(incident, draft, letter, channels, left, by=by, at=at)
    timeline.record(incident, Verb.FALSE_ALARM, by=by, at=at, words=body, token=ask.token, **said)
    clock.drop(incident, at=at, remark="It was a false alarm.")
    return incident


@transaction.atomic
def close(incident: Incident, *, words: str, by: User | None, at: datetime, ask: Ask = UNSEEN) -> Incident:
    """Say that nothing is left to do about it."""
    incident = take(incident, ask)
    move(incident, State.CLOSED, at=at)
    timeline.record(incident, Verb.CLOSED, by=by, at=at, words=words, token=ask.token)
    return incident
