"""Saying something, to the public or to colleagues (R-205…R-207)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock, grid, guard, letters, timeline
from incidents.enums import DutyKind, State, Verb
from incidents.models import Incident
from incidents.moves import UNSEEN, Ask, NotAllowed, move, refuse_unless_open, take
from status import ledger, publishing
from status.enums import Level, NoticeKind, Phase
from status.models import Component, NoticeUpdate
from status.publishing import Draft
from status.translations import Translation

from .overriding import weigh


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
    override: str = "",
    ask: Ask = UNSEEN,
) -> Incident:
    """Say something in public, set the components, promise the next word (R-206, R-207, R-1301).

    The first public words of an incident open its notice. Monitoring means mitigated; going back
    from there means that the fix failed. Raises ``Contradicted`` without an ``override`` (R-1303).
    """
    incident = take(incident, ask)
    refuse_unless_open(incident, "post an update")
    target = State.MITIGATED if draft.phase == Phase.MONITORING else State.ACKNOWLEDGED
    if incident.state != target:
        move(incident, target, at=at)
        done = clock.UNTIL_MITIGATED if target == State.MITIGATED else (DutyKind.RESPOND,)
        clock.meet(incident, *done, by=by, at=at)
    publish(incident, draft, levels, by=by, at=at, channels=channels, letter=letter, override=override, token=ask.token)
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
    translations: Mapping[str, Translation] | None = None,
    ask: Ask = UNSEEN,
) -> Incident:
    """Replace the words of a public update; the old words stay in both books (R-205).

    With ``channels`` it is told as a correction, and by letters where letters were written before (R-803);
    ``writes``: by letters even where it is told by nothing else. Without both only the page shows it.
    ``translations`` are its corrected words by language; in the others the corrected original is read.
    """
    incident = take(incident, ask)
    if incident.state == State.FALSE_ALARM:
        raise NotAllowed(f"{incident.reference} was a false alarm and is off the page; its words stay as they are.")
    if hasattr(update, "corrected_by"):
        raise NotAllowed("This update has been corrected meanwhile. Correct its newest words.")
    corrected = publishing.correct(update, body, at=at, channels=channels, translations=translations)
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


def publish(
    incident: Incident,
    draft: Draft,
    levels: Mapping[Component, Level],
    *,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None,
    letter: str | None,
    override: str = "",
    token: UUID | None = None,
) -> None:
    """Write the words into the public book, and into the timeline that they were said."""
    if draft.next_update_by is None and clock.must_promise(incident.severity):
        raise NotAllowed(f"Under {incident.severity} each public update promises when the next one comes.")
    channels = ways_of(incident, channels)
    marks = _held_then(incident, levels)
    weigh(incident, guard.before_publishing(incident.severity, incident.state, marks), override, by=by, at=at)
    if incident.notice is None:
        incident.notice = publishing.publish(
            draft,
            kind=NoticeKind.INCIDENT,
            reference=incident.reference,
            source=incident.source,
            title=incident.told_title,
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


def ways_of(incident: Incident, channels: Collection[str] | None) -> Collection[str]:
    return grid.chosen(grid.cells(incident.severity)) if channels is None else channels


def _held_then(incident: Incident, levels: Mapping[Component, Level]) -> Collection[str]:
    """What it will hold down once ``levels`` are set. One query, none before the first public words."""
    held: dict[int, str] = dict(ledger.held_by(incident.source)) if incident.notice_id else {}
    return (held | {component.pk: level for component, level in levels.items()}).values()
