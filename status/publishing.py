"""Publishing: the public book's acts. Publishing is announcing: each act writes its news to the outbox.

The floor above calls these inside its own transaction and holds the lock that orders one
notice's updates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction

from notifications import outbox
from notifications.enums import Channel, Kind
from notifications.models import Brand
from notifications.outbox import Line, Story
from status import changes, ledger, reach, reading
from status.enums import OVER, Level, NoticeKind, Phase, PublicImpact
from status.markup import Words, render
from status.models import Component, Notice, NoticeUpdate
from status.models.notices import Window
from status.page import press, statuspage
from status.page.statuspage import Board
from status.reading import Told
from status.translations import Translation, from_store, in_short, of_line, of_story, to_store

SMS_LENGTH = 480
CHAT_LENGTH = 1000
#: What stands in the subject in place of the phase when words were only corrected.
CORRECTION = "Correction"


@dataclass(frozen=True)
class Draft:
    """Words before they are published: what the preview shows and what publishing writes.

    ``body`` is Markdown; ``sms`` blank: made from title, phase and words; ``chat`` blank: rooms read the
    words, too. ``next_update_by`` (UTC) None: says that there is no fixed time for the next update (R-1301).
    ``translations`` are whole: a language that is missing reads the original.
    """

    phase: Phase
    body: str
    sms: str = ""
    next_update_by: datetime | None = None
    chat: str = ""
    translations: Mapping[str, Translation] = field(default_factory=dict)

    @property
    def words(self) -> Words:
        return render(self.body)


@transaction.atomic
def publish(
    draft: Draft,
    *,
    kind: NoticeKind,
    reference: str,
    source: str,
    title: str,
    rank: int | None,
    brand: Brand,
    levels: Mapping[Component, Level],
    started_at: datetime,
    at: datetime,
    channels: Collection[str] | None = None,
    planned: Window | None = None,
) -> Notice:
    """Open a notice with its first update and let ``source`` hold the components down (R-207).

    ``channels`` are those it is told by, as ``SubscriberQuerySet.by_channels`` reads them; None: every
    one; empty: only the public book is written (imports, and operators who say so). ``planned`` is the
    window of a maintenance.
    """
    notice = Notice.objects.create(
        kind=kind,
        brand=brand,
        reference=reference,
        title=title,
        rank=rank,
        impact=PublicImpact.of(Level.gravest(levels.values())),
        phase=draft.phase,
        started_at=started_at,
        planned_from=planned and planned[0],
        planned_until=planned and planned[1],
        published_at=at,
        updated_at=at,
    )
    notice.components.set(levels)
    ledger.open_impacts(source, levels, began_at=started_at, at=at)
    post(notice, draft, at=at, channels=channels)
    return notice


@transaction.atomic
def post(
    notice: Notice,
    draft: Draft,
    *,
    at: datetime,
    ended_at: datetime | None = None,
    channels: Collection[str] | None = None,
) -> NoticeUpdate:
    """Post an update: the words, the phase, the promise of the next one (R-206, R-1301).

    ``ended_at`` (default ``at``) is when it stopped to hurt, for an update that says it is over (R-1302).
    ``channels`` as for ``publish``; those that were told before are told again, see ``reach.ways``.
    """
    update = _write(notice, draft, at=at)
    if notice.resolved_at and draft.phase not in OVER:
        notice.generation += 1
        notice.resolved_at = notice.ended_at = None
    if draft.phase in OVER:
        notice.resolved_at, notice.ended_at = at, ended_at or at
    if draft.phase == Phase.MONITORING and notice.monitoring_at is None:
        notice.monitoring_at = at
    notice.phase = draft.phase
    notice.next_update_by = None if draft.phase in OVER else draft.next_update_by
    notice.updated_at = at
    notice.save()
    _announce(notice, draft, at=at, channels=reach.ways(notice, channels, over=draft.phase in OVER))
    press.soon(notice)
    return update


@transaction.atomic
def correct(
    update: NoticeUpdate,
    body: str,
    *,
    at: datetime,
    channels: Collection[str] | None = (),
    translations: Mapping[str, Translation] | None = None,
) -> NoticeUpdate:
    """Replace the words of an update; the old ones stay in the book, the public reads the new (R-205).

    With ``channels`` it is announced as a correction, with where the notice stands now. Languages without
    corrected ``translations`` read the corrected original: no old words are left. Raises ``ValueError``
    when the update was corrected before: the newest of the chain is corrected.
    """
    if hasattr(update, "corrected_by"):
        raise ValueError("This update has been corrected already; correct its newest words.")
    notice = update.notice
    draft = Draft(Phase(update.phase), body, next_update_by=update.next_update_by, translations=translations or {})
    corrected = _write(notice, draft, at=at, corrects=update)
    notice.updated_at = at
    notice.save(update_fields=["updated_at"])
    by = reach.ways(notice, channels, over=False)
    _announce(notice, _present(notice), at=at, channels=by, headline=CORRECTION)
    press.soon(notice)
    return corrected


@transaction.atomic
def set_levels(notice: Notice, source: str, levels: Mapping[Component, Level], *, at: datetime) -> None:
    """Change what an open notice does to components; call before ``post``, which reports the change."""
    ledger.set_levels(source, levels, at=at)
    notice.components.add(*(component for component, level in levels.items() if level != Level.OPERATIONAL))
    gravest = PublicImpact.of(Level.gravest(ledger.held_by(source).values()))
    # The notice keeps the gravest impact it ever had: an improvement does not make it harmless.
    if list(PublicImpact).index(gravest) > list(PublicImpact).index(PublicImpact(notice.impact)):
        notice.impact = gravest
        notice.save(update_fields=["impact"])


@transaction.atomic
def withdraw(notice: Notice, *, at: datetime) -> None:
    """Take a false alarm off the lists (R-203); its permanent page stays and says what it was."""
    notice.withdrawn_at = at
    notice.updated_at = at
    notice.save(update_fields=["withdrawn_at", "updated_at"])
    press.soon(notice)


@transaction.atomic
def rerank(notice: Notice, rank: int, *, at: datetime) -> None:
    """The severity changed: later news reach those who asked for this rank."""
    notice.rank = rank
    notice.updated_at = at
    notice.save(update_fields=["rank", "updated_at"])


@transaction.atomic
def plan(notice: Notice, window: Window, *, started_at: datetime) -> None:
    """The window of a maintenance, and when it begins or began; call before ``post``, which reports it."""
    notice.planned_from, notice.planned_until = window
    notice.started_at = started_at
    notice.save(update_fields=["planned_from", "planned_until", "started_at"])


@transaction.atomic
def retime(notice: Notice, *, started_at: datetime, ended_at: datetime | None, at: datetime) -> None:
    """When it really happened was corrected (R-1302). Nobody is told of it: the page says the new times."""
    notice.started_at, notice.updated_at = started_at, at
    if notice.resolved_at:
        notice.ended_at = ended_at
    notice.save(update_fields=["started_at", "ended_at", "updated_at"])
    press.soon(notice)


def draft_story(
    draft: Draft,
    *,
    title: str,
    reference: str,
    started_at: datetime,
    levels: Mapping[Component, Level],
    at: datetime,
    planned: Window | None = None,
) -> Story:
    """What subscribers would read if this were published now as a new notice; writes nothing (R-206)."""
    line = _draft_line(draft, at)
    return _story(
        draft, title=title, reference=reference, started_at=started_at, levels=levels, lines=[line], planned=planned
    )


def draft_update_story(notice: Notice, draft: Draft, *, levels: Mapping[Component, Level], at: datetime) -> Story:
    """What subscribers would read if this were posted to ``notice`` now; writes nothing (R-206)."""
    lines = [_draft_line(draft, at), *(update.as_line() for update in reading.told(notice.updates.all()))]
    return _notice_story(notice, draft, levels, lines)


def draft_correction_story(
    update: NoticeUpdate, body: str, *, at: datetime, translations: Mapping[str, Translation] | None = None
) -> Story:
    """What subscribers would read if ``update`` had these words now; writes nothing (R-205, R-206)."""
    notice, words = update.notice, render(body)
    posted = list(notice.updates.all())
    better = NoticeUpdate(
        notice=notice,
        seq=posted[-1].seq + 1,
        phase=update.phase,
        body=body,
        html=words.html,
        text=words.text,
        posted_at=at,
        next_update_by=update.next_update_by,
        corrects=update,
        translations=to_store(translations or {}),
    )
    told = reading.told([*posted, better])
    draft = _standing(notice, told[0])
    return _notice_story(notice, draft, _levels(notice, ledger.levels()), [line.as_line() for line in told])


def subject(brand: Brand, story: Story, headline: str = "") -> str:
    """The subject line, after the brand's pattern (R-111); ``headline`` stands in place of the phase."""
    return _subject(brand, phase=headline or story.phase, title=story.title, reference=story.reference)


def subject_of(notice: Notice, headline: str = "") -> str:
    """The subject line of what is said about a notice where it stands now; ``headline`` as for ``subject``."""
    phase = headline or Phase(notice.phase).label
    return _subject(notice.brand, phase=phase, title=notice.title, reference=notice.reference)


def _subject(brand: Brand, **values: str) -> str:
    line = brand.subject_pattern
    for name, value in {"brand": brand.name, **values}.items():
        line = line.replace("{{" + name + "}}", value)
    return line[:250]


def _write(notice: Notice, draft: Draft, *, at: datetime, corrects: NoticeUpdate | None = None) -> NoticeUpdate:
    words = draft.words
    last = notice.updates.order_by("-seq").first()
    # A correction repeats the levels of what it corrects: they are no news.
    posted = notice.updates.filter(corrects__isnull=True).order_by("-seq").first()
    return NoticeUpdate.objects.create(
        notice=notice,
        seq=last.seq + 1 if last else 1,
        phase=draft.phase,
        body=draft.body,
        html=words.html,
        text=words.text,
        sms=draft.sms,
        chat=draft.chat,
        translations=to_store(draft.translations),
        posted_at=at,
        next_update_by=None if draft.phase in OVER else draft.next_update_by,
        affected=corrects.affected if corrects else _affected(notice, posted),
        corrects=corrects,
    )


def _affected(notice: Notice, last: NoticeUpdate | None) -> list[dict[str, str]]:
    """Every attached component with its level before and after; before is the last update's after."""
    components = list(notice.components.order_by("position", "pk"))
    before = {row["code"]: row["new_status"] for row in last.affected} if last else {}
    after = ledger.levels(components)
    return [
        {
            "code": component.public_id,
            "name": component.name,
            "old_status": before.get(component.public_id, Level.OPERATIONAL.value),
            "new_status": after.get(component.pk, Level.OPERATIONAL).value,
        }
        for component in components
    ]


def _present(notice: Notice) -> Draft:
    """Where the notice stands now, in its newest words."""
    return _standing(notice, reading.told(notice.updates.all())[0])


def _standing(notice: Notice, newest: Told) -> Draft:
    said = from_store(newest.translations)
    return Draft(Phase(notice.phase), newest.body, next_update_by=notice.next_update_by, translations=said)


def _levels(notice: Notice, held: Mapping[int, Level]) -> dict[Component, Level]:
    """Every component it concerns with what ``held``, as ``ledger.levels`` answers, says of it. One query."""
    components = notice.components.select_related("topic", "group__topic")
    return {component: held.get(component.pk, Level.OPERATIONAL) for component in components}


def _announce(notice: Notice, draft: Draft, *, at: datetime, channels: list[str] | None, headline: str = "") -> None:
    if channels == []:
        return
    changes.hold(notice)
    held = ledger.levels()
    levels, board = _levels(notice, held), Board.now(held)
    told = reading.told(notice.updates.all())
    story = replace(
        _notice_story(notice, draft, levels, [update.as_line() for update in told]),
        hook=statuspage.incident_event(notice, told, levels, board),
    )
    concerned = reach.scope(notice, notice.rank, levels)
    notice.told_rank, notice.told_everybody = concerned.rank, not concerned.topics
    notice.told_channels = list(Channel.values) if channels is None else channels
    notice.save(update_fields=["told_rank", "told_everybody", "told_channels"])
    outbox.announce(
        story,
        subject=subject(notice.brand, story, headline),
        lane=notice.lane,
        kind=Kind.MAINTENANCE if notice.kind == NoticeKind.MAINTENANCE else Kind.INCIDENT,
        rank=concerned.rank,
        brand=notice.brand,
        topics=concerned.topics,
        at=at,
        channels=channels,
    )
    if headline != CORRECTION:
        changes.announce(notice, levels, board, channels=channels, at=at)


def _notice_story(notice: Notice, draft: Draft, levels: Mapping[Component, Level], lines: Sequence[Line]) -> Story:
    return _story(
        draft,
        title=notice.title,
        reference=notice.reference,
        started_at=notice.started_at,
        levels=levels,
        lines=lines,
        url=reading.permalink(notice),
        planned=notice.window,
    )


def _story(
    draft: Draft,
    *,
    title: str,
    reference: str,
    started_at: datetime,
    levels: Mapping[Component, Level],
    lines: Iterable[Line],
    planned: Window | None,
    url: str = "",
) -> Story:
    promise = None if draft.phase in OVER or draft.next_update_by is None else draft.next_update_by.isoformat()
    return Story(
        title=title,
        reference=reference,
        phase=draft.phase.label,
        over=draft.phase in OVER,
        url=url,
        started_at=started_at.isoformat(),
        next_update_by=promise,
        components=tuple((component.name, level.label) for component, level in levels.items()),
        lines=tuple(lines),
        planned=(planned[0].isoformat(), planned[1].isoformat()) if planned else None,
        sms=draft.sms or in_short(draft.phase, title, draft.words.text, url, SMS_LENGTH),
        chat=draft.chat,
        translations=of_story(draft.translations, draft.phase, title, url, SMS_LENGTH),
    )


def _draft_line(draft: Draft, at: datetime) -> Line:
    words, said = draft.words, of_line(to_store(draft.translations))
    return Line(draft.phase.label, at.isoformat(), words.text, words.html, translations=said)
