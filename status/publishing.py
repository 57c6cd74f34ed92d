"""Publishing: the public book's acts. Publishing is announcing: each act writes its news to the outbox.

The floor above calls these inside its own transaction and holds the lock that orders one
notice's updates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from notifications import outbox
from notifications.enums import Channel, Kind
from notifications.models import Brand, Topic
from notifications.outbox import Line, Story
from status import changes, ledger, reading
from status.enums import OVER, Level, NoticeKind, Phase, PublicImpact
from status.markup import Words, render
from status.models import Component, Notice, NoticeUpdate
from status.page import press, statuspage
from status.page.statuspage import Board

SMS_LENGTH = 480
#: What stands in the subject in place of the phase when words were only corrected.
CORRECTION = "Correction"


@dataclass(frozen=True)
class Draft:
    """Words before they are published: what the preview shows and what publishing writes.

    ``body`` is Markdown; ``sms`` blank: made from title, phase and words. ``next_update_by``
    (UTC) None: says that there is no fixed time for the next update (R-1301).
    """

    phase: Phase
    body: str
    sms: str = ""
    next_update_by: datetime | None = None

    @property
    def words(self) -> Words:
        return render(self.body)


@dataclass(frozen=True)
class Scope:
    """Whom news of a notice concern: severity ``rank`` 1–4 or None, and ``topics`` (none: everybody)."""

    rank: int | None
    topics: list[Topic]


def scope(notice: Notice | None, rank: int | None, components: Iterable[Component]) -> Scope:
    """The scope of the next news: as wide as what was told before, so that nobody misses the end (R-804).

    A component's group is concerned with it: whoever chose the group chose its later members too.
    """
    topics = [topic for component in components for topic in topics_of(component)]
    if notice is None or not notice.told_channels:
        return Scope(rank, list(dict.fromkeys(topics)))
    if topics and not notice.told_everybody:
        # A component may have left its group since.
        topics += Topic.objects.filter(announcements__lane=notice.lane)
    told_rank = min(rank, notice.told_rank) if rank and notice.told_rank else None
    return Scope(told_rank, [] if notice.told_everybody else list(dict.fromkeys(topics)))


def ways(notice: Notice | None, channels: Collection[str] | None, *, over: bool) -> list[str] | None:
    """By which channels the next news go: at least by those that were told before, so that nobody misses the end.

    None: by every one. Empty: nobody is told, which is not possible once it is ``over`` and anybody was told.
    """
    if channels is None:
        return None
    wanted = {*channels, *(notice.told_channels if notice and (channels or over) else ())}
    # What goes to all of a channel needs no narrower way.
    return sorted(name for name in wanted if ":" not in name or name.partition(":")[0] not in wanted)


def topics_of(component: Component) -> list[Topic]:
    """What is concerned when the component is: its own topic, and its group's."""
    group = component.group
    return [component.topic, group.topic] if group and group.topic else [component.topic]


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
) -> Notice:
    """Open a notice with its first update and let ``source`` hold the components down (R-207).

    ``channels`` are those it is told by, as ``SubscriberQuerySet.by_channels`` reads them; None: every
    one; empty: only the public book is written (imports, and operators who say so).
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
    ``channels`` as for ``publish``; those that were told before are told again, see ``ways``.
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
    _announce(notice, draft, at=at, channels=ways(notice, channels, over=draft.phase in OVER))
    press.soon(notice)
    return update


@transaction.atomic
def correct(update: NoticeUpdate, body: str, *, at: datetime, channels: Collection[str] | None = ()) -> NoticeUpdate:
    """Replace the words of an update; the old ones stay in the book, the public reads the new (R-205).

    With ``channels`` it is announced as a correction, with where the notice stands now. Raises
    ``ValueError`` when the update was corrected before: the newest of the chain is corrected.
    """
    if hasattr(update, "corrected_by"):
        raise ValueError("This update has been corrected already; correct its newest words.")
    notice = update.notice
    draft = Draft(Phase(update.phase), body, next_update_by=update.next_update_by)
    corrected = _write(notice, draft, at=at, corrects=update)
    notice.updated_at = at
    notice.save(update_fields=["updated_at"])
    by = ways(notice, channels, over=False)
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


def draft_story(
    draft: Draft, *, title: str, reference: str, started_at: datetime, levels: Mapping[Component, Level], at: datetime
) -> Story:
    """What subscribers would read if this were published now as a new notice; writes nothing (R-206)."""
    line = _draft_line(draft, at)
    return _story(draft, title=title, reference=reference, started_at=started_at, levels=levels, lines=[line], url="")


def draft_update_story(notice: Notice, draft: Draft, *, levels: Mapping[Component, Level], at: datetime) -> Story:
    """What subscribers would read if this were posted to ``notice`` now; writes nothing (R-206)."""
    lines = [_draft_line(draft, at), *(update.as_line() for update in reading.told(notice.updates.all()))]
    return _notice_story(notice, draft, levels, lines)


def draft_correction_story(update: NoticeUpdate, body: str, *, at: datetime) -> Story:
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
    )
    told = reading.told([*posted, better])
    draft = Draft(Phase(notice.phase), told[0].body, next_update_by=notice.next_update_by)
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
    newest = reading.told(notice.updates.all())[0]
    return Draft(Phase(notice.phase), newest.body, next_update_by=notice.next_update_by)


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
    reach = scope(notice, notice.rank, levels)
    notice.told_rank, notice.told_everybody = reach.rank, not reach.topics
    notice.told_channels = list(Channel.values) if channels is None else channels
    notice.save(update_fields=["told_rank", "told_everybody", "told_channels"])
    outbox.announce(
        story,
        subject=subject(notice.brand, story, headline),
        lane=notice.lane,
        kind=Kind.MAINTENANCE if notice.kind == NoticeKind.MAINTENANCE else Kind.INCIDENT,
        rank=reach.rank,
        brand=notice.brand,
        topics=reach.topics,
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
    )


def _story(
    draft: Draft,
    *,
    title: str,
    reference: str,
    started_at: datetime,
    levels: Mapping[Component, Level],
    lines: Iterable[Line],
    url: str,
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
        sms=draft.sms or _short(title, draft, url),
    )


def _draft_line(draft: Draft, at: datetime) -> Line:
    words = draft.words
    return Line(draft.phase.label, at.isoformat(), words.text, words.html)


def _short(title: str, draft: Draft, url: str) -> str:
    """The words of a text message when the operator wrote none: as much as fits, then the address."""
    told = f"{draft.phase.label}: {title}. {' '.join(draft.words.text.split())}"
    room = SMS_LENGTH - len(url) - 1
    if len(told) > room:
        # Three full stops: their one character would cost a text half of its room.
        told = told[: room - 3].rsplit(" ", 1)[0] + "..."
    return f"{told} {url}".strip()
