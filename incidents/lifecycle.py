"""The life of an incident: one function per thing an operator says (R-201, design.md "The shape of an act").

Every act locks the incident's row, so that updates have one order (F09), and raises the version
(``incidents.moves``). Edges pass an ``Ask``: what their form knew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, grid, letters, timeline
from incidents.enums import OPEN, DutyKind, Origin, State, Verb
from incidents.models import Incident, IncidentNumber, Severity
from incidents.moves import (
    MOVES,
    UNSEEN,
    AlreadyDone,
    Ask,
    Changed,
    NotAllowed,
    move,
    refuse_replay,
    refuse_unless_open,
    take,
)
from notifications.models import Brand
from status import ledger, publishing
from status.enums import Level, NoticeKind, Phase
from status.models import Component, NoticeUpdate
from status.publishing import Draft

__all__ = [
    "MOVES",
    "AlreadyDone",
    "Ask",
    "Changed",
    "NotAllowed",
    "acknowledge",
    "change_severity",
    "close",
    "correct_update",
    "declare",
    "mark_false_alarm",
    "mitigate",
    "note",
    "post_update",
    "reopen",
    "resolve",
]


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
    token: UUID | None = None,
) -> Incident:
    """Say that something is wrong: takes the next number and, with a ``draft``, publishes it at once.

    Without a draft nothing is said in public and no component moves. ``channels`` are those it is told
    by (``publishing.publish``), None: those the policy says, see ``grid``; ``letter`` are the words to
    contacts of Enterprise customers (``letters.letter``), empty: none, None: as the policy says. All moments are UTC;
    ``started_at`` ≤ ``detected_at`` (default: as started) ≤ ``at``. Raises ``AlreadyDone``.
    """
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
    timeline.record(
        incident, Verb.DECLARED, by=by, at=at, token=token, severity=severity.short, policy=str(severity.version)
    )
    clock.open_duties(incident, at=at)
    if draft:
        if draft.phase == Phase.MONITORING:
            move(incident, State.MITIGATED, at=at)
            clock.meet(incident, DutyKind.RESPOND, by=by, at=at)
        _publish(incident, draft, levels, by=by, at=at, channels=channels, letter=letter)
    return incident


@transaction.atomic
def acknowledge(incident: Incident, *, by: User | None, at: datetime, ask: Ask = UNSEEN) -> Incident:
    """Say that somebody is working on it. What is over is reopened, not acknowledged."""
    incident = take(incident, ask)
    if incident.state != State.DECLARED:
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()}; nothing is to acknowledge.")
    move(incident, State.ACKNOWLEDGED, at=at)
    timeline.record(incident, Verb.ACKNOWLEDGED, by=by, at=at, token=ask.token)
    clock.meet(incident, DutyKind.RESPOND, by=by, at=at)
    clock.open_duties(incident, at=at)
    return incident


@transaction.atomic
def post_update(
    incident: Incident,
    draft: Draft,
    *,
    levels: Mapping[Component, Level],
    by: User | None,
    at: datetime,
    channels: Collection[str] | None = None,
    letter: str | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Say something in public, set the components, promise the next word (R-206, R-207, R-1301).

    The first public words of an incident open its notice. Monitoring means mitigated; going back
    from there means that the fix failed.
    """
    incident = take(incident, ask)
    refuse_unless_open(incident, "post an update")
    target = State.MITIGATED if draft.phase == Phase.MONITORING else State.ACKNOWLEDGED
    if incident.state != target:
        move(incident, target, at=at)
        clock.meet(incident, DutyKind.RESPOND, by=by, at=at)
    _publish(incident, draft, levels, by=by, at=at, channels=channels, letter=letter, token=ask.token)
    return incident


@transaction.atomic
def correct_update(
    incident: Incident,
    update: NoticeUpdate,
    body: str,
    *,
    by: User | None,
    at: datetime,
    channels: Collection[str] = (),
    writes: bool = False,
    ask: Ask = UNSEEN,
) -> Incident:
    """Replace the words of a public update; the old words stay in both books (R-205).

    With ``channels`` it is told as a correction, and by letters where letters were written before (R-803);
    ``writes``: by letters even where it is told by nothing else. Without both only the page shows it.
    """
    incident = take(incident, ask)
    if incident.state == State.FALSE_ALARM:
        raise NotAllowed(f"{incident.reference} was a false alarm and is off the page; its words stay as they are.")
    if hasattr(update, "corrected_by"):
        raise NotAllowed("This update has been corrected meanwhile. Correct its newest words.")
    corrected = publishing.correct(update, body, at=at, channels=channels)
    said = incident.timeline.filter(facts__update=update.public_id).first()
    timeline.record(
        incident,
        Verb.CORRECTED,
        by=by,
        at=at,
        words=body,
        corrects=said,
        token=ask.token,
        update=corrected.public_id,
        was=update.body,
    )
    if channels or writes:
        letters.correct(incident, body, by=by, at=at)
    return incident


@transaction.atomic
def note(
    incident: Incident,
    words: str,
    *,
    by: User | None,
    at: datetime,
    happened_at: datetime | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Write something down for colleagues only. Never refused for being late: a note overwrites nothing."""
    incident = take(incident, Ask(token=ask.token))
    timeline.record(incident, Verb.NOTED, by=by, at=at, words=words, happened_at=happened_at, token=ask.token)
    if incident.state in OPEN:
        clock.meet(incident, DutyKind.INTERNAL_UPDATE, by=by, at=at)
        clock.open_duties(incident, at=at)
    return incident


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


@transaction.atomic
def resolve(
    incident: Incident,
    *,
    body: str,
    sms: str = "",
    by: User | None,
    at: datetime,
    ended_at: datetime | None = None,
    channels: Collection[str] | None = None,
    letter: str | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Say that it is over: components come back unless another incident holds them down (R-207).

    ``ended_at`` (default ``at``) is when it stopped to hurt; it may lie before we say so (R-1302),
    but not before the present round of trouble began.
    """
    incident = take(incident, ask)
    if ended_at and ended_at < incident.round_began_at:
        raise NotAllowed(f"It cannot have stopped hurting before {incident.round_began_at:%H:%M} UTC, when it began.")
    move(incident, State.RESOLVED, at=at)
    incident.ended_at = ended_at or at
    incident.save(update_fields=["ended_at"])
    clock.meet(incident, DutyKind.RESPOND, DutyKind.RESOLVE, by=by, at=at)
    said: dict[str, Any] = {}
    if incident.notice:
        held, draft = ledger.held_by(incident.source), Draft(Phase.RESOLVED, body, sms)
        ledger.close_impacts(incident.source, at=incident.ended_at)
        ways = _ways(incident, channels)
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
    ask: Ask = UNSEEN,
) -> Incident:
    """Say that it is back: same incident, same page, same thread of messages (R-201)."""
    incident = take(incident, ask)
    if incident.state not in (State.RESOLVED, State.CLOSED):
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()}; it cannot be reopened.")
    move(incident, State.ACKNOWLEDGED, at=at)
    incident.mitigated_at = incident.ended_at = incident.resolved_at = incident.closed_at = None
    incident.reopened_at = at
    incident.save(update_fields=["mitigated_at", "ended_at", "resolved_at", "closed_at", "reopened_at"])
    if draft.phase == Phase.MONITORING:
        move(incident, State.MITIGATED, at=at)
    timeline.record(incident, Verb.REOPENED, by=by, at=at, words=draft.body, token=ask.token)
    clock.drop(incident, *clock.AFTERWARDS, at=at, remark="Reopened.")
    if incident.notice:
        _publish(incident, draft, levels, by=by, at=at, channels=channels, letter=letter)
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
    ask: Ask = UNSEEN,
) -> Incident:
    """Say that nothing was wrong: who was told is told so, and no customer figure counts it (R-203).

    ``channels`` and ``letter`` reach others besides those that were told and written to before.
    """
    incident = take(incident, ask)
    move(incident, State.FALSE_ALARM, at=at)
    held = ledger.held_by(incident.source)
    ledger.void_impacts(incident.source, at=at)
    said: dict[str, Any] = {}
    if incident.notice:
        draft = Draft(Phase.RESOLVED, body)
        update = publishing.post(incident.notice, draft, at=at, channels=channels)
        said = {"update": update.public_id}
        publishing.withdraw(incident.notice, at=at)
        letters.write_as_asked(incident, draft, letter, channels, held, by=by, at=at)
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


def _publish(
    incident: Incident,
    draft: Draft,
    levels: Mapping[Component, Level],
    *,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None,
    letter: str | None,
    token: UUID | None = None,
) -> None:
    """Write the words into the public book, and into the timeline that they were said."""
    channels = _ways(incident, channels)
    if incident.notice is None:
        incident.notice = publishing.publish(
            draft,
            kind=NoticeKind.INCIDENT,
            reference=incident.reference,
            source=incident.source,
            title=incident.title,
            rank=incident.severity.rank,
            brand=incident.brand,
            levels=levels,
            started_at=incident.started_at,
            at=at,
            channels=channels,
        )
        incident.save(update_fields=["notice"])
    else:
        publishing.set_levels(incident.notice, incident.source, levels, at=at)
        publishing.post(incident.notice, draft, at=at, channels=channels)
    update = incident.notice.updates.latest("seq")
    timeline.record(
        incident,
        Verb.PUBLISHED,
        by=by,
        at=at,
        words=draft.body,
        token=token,
        update=update.public_id,
        phase=draft.phase.value,
        levels={component.name: level.value for component, level in levels.items()},
    )
    letters.write_as_asked(incident, draft, letter, channels, ledger.held_by(incident.source), by=by, at=at)
    clock.meet(incident, *clock.PUBLIC, by=by, at=at)
    clock.open_duties(incident, at=at)


def _ways(incident: Incident, channels: Collection[str] | None) -> Collection[str]:
    return grid.chosen(grid.cells(incident.severity)) if channels is None else channels


def _next_number(year: int) -> int:
    """Gapless within a year: the row stays locked until the declaration is committed or undone (R-202)."""
    IncidentNumber.objects.get_or_create(year=year)
    number = IncidentNumber.objects.select_for_update().get(year=year)
    number.last += 1
    number.save(update_fields=["last"])
    return number.last
