"""Announcing: news for many and letters to one, written in the transaction of the act that makes them.

Nothing is sent here. The rows are the promise; after commit a bell is rung so that it happens
soon, and a sweep finds the work if the bell was never heard (design.md, "out by outbox").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from notifications import bell
from notifications.compiler import LANGUAGES, compile_mail
from notifications.enums import Channel, Doubt, Fate, Kind, Pool
from notifications.models import Announcement, Brand, Delivery, Topic
from notifications.stories import Letter, Line, Story

__all__ = ["Letter", "Line", "Story", "announce", "write_to"]

#: News older than this helps nobody; a letter (confirm your address) lives as long as its link.
NEWS_LIFE = timedelta(days=1)
LETTER_LIFE = timedelta(days=2)


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
) -> Announcement:
    """Write down news for everybody interested; the caller holds the row lock that orders ``lane``.

    ``rank`` is the severity rank 1–4 or None; no ``topics`` means that it concerns everybody.
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
        published_at=at,
        expires_at=at + NEWS_LIFE,
    )
    _write(announcement)
    announcement.topics.set(topics)
    transaction.on_commit(lambda: bell.ring_fan_out(announcement.pk), robust=True)
    return announcement


def write_to(
    addresses: Sequence[str], letter: Letter, *, subject: str, brand: Brand, lane: str, at: datetime
) -> Announcement:
    """Write a letter to each of a few people by address, e.g. to confirm a subscription (reliability.md 3.3).

    In doubt it is not repeated: people can ask again, and a mailbox must not be bombed.
    Raises ``lint.Unsendable`` (R-111).
    """
    announcement = Announcement(
        lane=lane,
        seq=Announcement.objects.filter(lane=lane).count() + 1,
        kind=Kind.LETTER,
        pool=Pool.LETTERS,
        on_doubt=Doubt.ASK,
        brand=brand,
        subject=subject,
        content=letter.as_json(),
        published_at=at,
        expires_at=at + LETTER_LIFE,
        expanded_at=at,
    )
    _write(announcement)
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
        for address in addresses
    )
    transaction.on_commit(lambda: bell.ring_deliver(Pool.LETTERS), robust=True)
    return announcement


def _write(announcement: Announcement) -> None:
    """Written only if it compiles: otherwise the act would succeed and every delivery end dead (R-111)."""
    for language in LANGUAGES:
        compile_mail(announcement, language)
    announcement.save(force_insert=True)
