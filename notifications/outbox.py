"""Announcing: news for many and letters to one, written in the transaction of the act that makes them.

Nothing is sent here. The rows are the promise; after commit a bell is rung so that it happens
soon, and a sweep finds the work if the bell was never heard (design.md, "out by outbox").
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Value, When

from notifications import bell
from notifications.compiler import LANGUAGES, compile_mail
from notifications.enums import LETTER_POOLS, LETTERS, PHONES, UNSENT, Channel, Doubt, Fate, Kind, Pool
from notifications.models import Announcement, Brand, Delivery, Topic
from notifications.models.outbox import WITHHELD
from notifications.stories import Digest, Letter, Line, Story
from notifications.texts import compile_text

__all__ = ["Change", "Letter", "Line", "Story", "announce", "announce_changes", "write_letters", "write_to"]

#: News older than this helps nobody; a letter (confirm your address) lives as long as its link.
NEWS_LIFE = timedelta(days=1)
LETTER_LIFE = timedelta(days=2)


@dataclass(frozen=True)
class Change:
    """A component changed: ``seq`` is the place of this news in ``lane``, ``topic`` what people chose to hear of it."""

    story: Story
    lane: str
    seq: int
    topic: Topic


def announce(
    story: Story,
    *,
    subject: str,
    lane: str,
    kind: Kind,
    rank: int | None,
    brand: Brand,
    topics: Iterable[Topic],
    at: datetime,
    channels: Iterable[str] | None = None,
) -> Announcement:
    """Write down news for everybody interested; the caller holds the row lock that orders ``lane``.

    ``rank`` is the severity rank 1–4 or None; no ``topics`` means that it concerns everybody;
    ``channels`` are those it goes by (``SubscriberQuerySet.by_channels``), None: every one.
    Raises ``lint.Unsendable`` for words that must not go out (R-111): nothing is written then.
    """
    announcement = Announcement(
        lane=lane,
        seq=Announcement.objects.filter(lane=lane).count() + 1,
        kind=kind,
        pool=Pool.NEWS,
        rank=rank,
        brand=brand,
        subject=subject,
        content=story.as_json(),
        is_over=story.over,
        channels=None if channels is None else list(channels),
        published_at=at,
        expires_at=at + NEWS_LIFE,
    )
    _write(announcement)
    announcement.topics.set(topics)
    transaction.on_commit(lambda: bell.ring_fan_out(announcement.pk), robust=True)
    return announcement


def announce_changes(changes: Sequence[Change], *, brand: Brand, channels: Sequence[str], at: datetime) -> None:
    """Write down changes of components, for webhooks alone; the caller holds the locks that order their lanes.

    Two statements, however many. Nothing in them is mail, so nothing is compiled.
    """
    news = Announcement.objects.bulk_create(
        Announcement(
            lane=change.lane,
            seq=change.seq,
            kind=Kind.COMPONENT,
            pool=Pool.HOOKS,
            brand=brand,
            subject=f"{change.story.title}: {change.story.phase}"[:250],
            content=change.story.as_json(),
            is_over=change.story.over,
            channels=list(channels),
            published_at=at,
            expires_at=at + NEWS_LIFE,
        )
        for change in changes
    )
    concerned = Announcement.topics.through
    concerned.objects.bulk_create(
        concerned(announcement_id=row.pk, topic_id=change.topic.pk) for row, change in zip(news, changes, strict=True)
    )
    for row in news:
        transaction.on_commit(partial(bell.ring_fan_out, row.pk), robust=True)


def write_to(
    addresses: Sequence[str],
    letter: Letter,
    *,
    subject: str,
    brand: Brand,
    lane: str,
    at: datetime,
    channel: Channel = Channel.EMAIL,
    life: timedelta = LETTER_LIFE,
) -> Announcement:
    """Write a letter to each of a few people by address, e.g. to confirm a subscription (reliability.md 3.3).

    ``channel`` is one of ``enums.LETTER_POOLS``; a phone gets ``letter.sms``. After ``life`` it is not sent
    any more. In doubt it is not repeated: people can ask again, and a mailbox must not be bombed.
    Raises ``lint.Unsendable`` (R-111).
    """
    pool = LETTER_POOLS[channel]
    announcement = Announcement(
        lane=lane,
        seq=Announcement.objects.filter(lane=lane).count() + 1,
        kind=Kind.LETTER,
        pool=pool,
        on_doubt=Doubt.ASK,
        brand=brand,
        subject=subject,
        content=letter.as_json(),
        published_at=at,
        expires_at=at + life,
        expanded_at=at,
    )
    _write(announcement, channel)
    Delivery.objects.bulk_create(
        Delivery(
            announcement=announcement,
            address=address,
            channel=channel,
            pool=pool,
            fate=Fate.PENDING,
            next_at=at,
            created_at=at,
        )
        for address in addresses
    )
    transaction.on_commit(lambda: bell.ring_deliver(pool), robust=True)
    return announcement


def write_letters(
    letters: Sequence[tuple[Letter, Sequence[str]]],
    *,
    subject: str,
    brand: Brand,
    lane: str,
    over: bool,
    at: datetime,
    overtakes: bool = True,
) -> None:
    """Write to contacts of customers about one incident: each letter with the addresses it is for (R-803).

    The caller holds the lock that orders ``lane``, and names no address twice. What has not left yet of
    an older letter of the lane is overtaken where a new one follows, unless the new one does not say all
    of it (``overtakes`` False). Five statements, however many letters. Raises ``lint.Unsendable`` (R-111):
    nothing is written then.
    """
    first = Announcement.objects.filter(lane=lane).count() + 1
    news = [
        Announcement(
            lane=lane,
            seq=seq,
            kind=Kind.DIRECT,
            pool=Pool.LETTERS,
            brand=brand,
            subject=subject,
            content=letter.as_json(),
            is_over=over,
            published_at=at,
            expires_at=at + NEWS_LIFE,
            expanded_at=at,
        )
        for seq, (letter, _) in enumerate(letters, start=first)
    ]
    for announcement in news:
        # All letters are read in the first language.
        compile_mail(announcement, LANGUAGES[0])
    Announcement.objects.bulk_create(news)
    Delivery.objects.bulk_create(
        Delivery(
            announcement=announcement,
            address=address,
            channel=Channel.EMAIL,
            pool=Pool.LETTERS,
            fate=Fate.PENDING,
            next_at=at,
            created_at=at,
        )
        for announcement, (_, addresses) in zip(news, letters, strict=True)
        for address in addresses
    )
    if overtakes:
        _overtake_letters(lane, first, at)
    transaction.on_commit(lambda: bell.ring_deliver(Pool.LETTERS), robust=True)


def _overtake_letters(lane: str, first: int, at: datetime) -> None:
    """Nobody reads "investigating" after "resolved". What a worker is just sending is stepped over."""
    newer = Delivery.objects.filter(
        announcement__lane=lane, announcement__seq__gte=first, address=OuterRef("address")
    ).exclude(address="")
    older = Delivery.objects.filter(Exists(newer), announcement__lane=lane, announcement__seq__lt=first)
    held = older.filter(fate__in=UNSENT).select_for_update(skip_locked=True, of=("self",)).values("pk")
    Delivery.objects.filter(pk__in=held).update(
        fate=Fate.SUPPRESSED,
        reason=Case(
            When(copies__gt=0, then=Value("Overtaken by a newer letter. It may have left.")),
            default=Value("Overtaken by a newer letter."),
        ),
        settled_at=at,
        lease_until=None,
    )


def withhold(lanes: Collection[str], *, at: datetime) -> bool:
    """Hold back what has not left yet of everything said in these lanes, for good; answers whether there was any.

    Words that must not be read any more (R-213): they are not sent again either, by nobody. What a worker is just
    sending is stepped over. In the transaction of the act that forbids them; the caller holds the lanes' lock.
    """
    news = Announcement.objects.filter(lane__in=lanes)
    unwritten = news.unexpanded().exists()
    # First: a fan-out that is at it comes to its end, and the next one reads this.
    news.update(expires_at=F("published_at"))
    unsent = Delivery.objects.filter(announcement__in=news.values("pk"), fate__in=UNSENT).order_by("pk")
    held = unsent.select_for_update(skip_locked=True, of=("self",)).values("pk")
    stopped = Delivery.objects.filter(pk__in=held).update(
        fate=Fate.SUPPRESSED,
        reason=Case(When(copies__gt=0, then=Value(f"{WITHHELD} It may have left.")), default=Value(WITHHELD)),
        settled_at=at,
        lease_until=None,
    )
    return bool(stopped) or unwritten


def write_digest(people: Sequence[int], digest: Digest, *, subject: str, brand: Brand, at: datetime) -> Announcement:
    """Write the same digest to subscribers by id (R-1314). Raises ``lint.Unsendable`` (R-111)."""
    announcement = Announcement(
        public_id=(public_id := uuid.uuid4()),
        lane=f"digest:{public_id}",
        seq=1,
        kind=Kind.DIGEST,
        pool=Pool.NEWS,
        brand=brand,
        subject=subject[:250],
        content=digest.as_json(),
        published_at=at,
        expires_at=at + NEWS_LIFE,
        expanded_at=at,
    )
    _write(announcement)
    Delivery.objects.bulk_create(
        Delivery(
            announcement=announcement,
            subscriber_id=person,
            channel=Channel.EMAIL,
            pool=Pool.NEWS,
            fate=Fate.PENDING,
            next_at=at,
            created_at=at,
        )
        for person in people
    )
    transaction.on_commit(lambda: bell.ring_deliver(Pool.NEWS), robust=True)
    return announcement


def _write(announcement: Announcement, channel: Channel = Channel.EMAIL) -> None:
    """Written only if it compiles: otherwise the act would succeed and every delivery end dead (R-111)."""
    if channel in PHONES:
        compile_text(announcement, channel)
    else:
        # Who is written to by address has chosen no language: all letters are read in the first.
        for language in LANGUAGES[:1] if announcement.kind in LETTERS else LANGUAGES:
            compile_mail(announcement, language)
    announcement.save(force_insert=True)
