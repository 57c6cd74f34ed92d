"""Publishing: the public book's acts. Publishing is announcing: each act writes its news to the outbox.

The floor above calls these inside its own transaction and holds the lock that orders one
notice's updates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from notifications import outbox
from notifications.enums import Kind
from notifications.models import Brand, Topic
from notifications.outbox import Line, Story
from status import ledger, reading
from status.enums import OVER, Level, NoticeKind, Phase, PublicImpact
from status.markup import Words, render
from status.models import Component, Notice, NoticeUpdate
from status.page import press

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
    """The scope of the next news: as wide as what was told before, so that nobody misses the end (R-804)."""
    topics = [component.topic for component in components]
    if notice is None or notice.told_rank is None:
        return Scope(rank, topics)
    return Scope(rank and min(rank, notice.told_rank), [] if notice.told_everybody else topics)


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
    tell: bool = True,
) -> Notice:
    """Open a notice with its first update and let ``source`` hold the components down (R-207).

    ``tell`` False writes the public book without announcing it (imports, and operators who say so).
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
    post(notice, draft, at=at, tell=tell)
    return notice


@transaction.atomic
def post(
    notice: Notice, draft: Draft, *, at: datetime, ended_at: datetime | None = None, tell: bool = True
) -> NoticeUpdate:
    """Post an update: the words, the phase, the promise of the next one (R-206, R-1301).

    ``ended_at`` (default ``at``) is when it stopped to hurt, for an update that says it is over (R-1302).
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
    if tell:
        _announce(notice, draft, at=at)
    press.soon(notice)
    return update


@transaction.atomic
def correct(update: NoticeUpdate, body: str, *, at: datetime, tell: bool = False) -> NoticeUpdate:
    """Replace the words of an update; the old ones stay in the book, the public reads the new (R-205).

    ``tell`` announces it as a correction, with where the notice stands now. Raises ``ValueError``
    when the update was corrected before: the newest of the chain is corrected.
    """
    if hasattr(update, "corrected_by"):
        raise ValueError("This update has been corrected already; correct its newest words.")
    notice = update.notice
    draft = Draft(Phase(update.phase), body, next_update_by=update.next_update_by)
    corrected = _write(notice, draft, at=at, corrects=update)
    Notice.objects.filter(pk=notice.pk).update(updated_at=at)
    if tell:
        _announce(notice, _present(notice), at=at, headline=CORRECTION)
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


def subject(brand: Brand, story: Story, headline: str = "") -> str:
    """The subject line, after the brand's pattern (R-111); ``headline`` stands in place of the phase."""
    values = {"brand": brand.name, "phase": headline or story.phase, "title": story.title, "reference": story.reference}
    line = brand.subject_pattern
    for name, value in values.items():
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


def _announce(notice: Notice, draft: Draft, *, at: datetime, headline: str = "") -> None:
    components = list(notice.components.select_related("topic"))
    held = ledger.levels(components)
    levels = {component: held.get(component.pk, Level.OPERATIONAL) for component in components}
    lines = [update.as_line() for update in reading.told(notice.updates.all())]
    story = _notice_story(notice, draft, levels, lines)
    reach = scope(notice, notice.rank, components)
    notice.told_rank, notice.told_everybody = reach.rank, not reach.topics
    notice.save(update_fields=["told_rank", "told_everybody"])
    outbox.announce(
        story,
        subject=subject(notice.brand, story, headline),
        lane=notice.lane,
        kind=Kind.MAINTENANCE if notice.kind == NoticeKind.MAINTENANCE else Kind.INCIDENT,
        rank=reach.rank,
        brand=notice.brand,
        topics=reach.topics,
        at=at,
    )


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
        told = told[: room - 1].rsplit(" ", 1)[0] + "…"
    return f"{told} {url}".strip()
