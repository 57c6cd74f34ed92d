"""Writing down who is told: a fan-out of many readers beside one bare INSERT of as many rows (performance.md B).

The bare one is what the database needs at the least: the same columns, indexes and foreign keys,
one statement, nothing asked and no place to be interrupted. Memory is this process's.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable

from django.db import connection
from django.utils import timezone

from notifications import bell, fanout
from notifications.models import Announcement, Delivery, Subscriber
from tests.bench.figures import Figure, database
from tests.drills import newsroom
from tests.drills.databases import PATTERN

READERS = """
INSERT INTO notifications_subscriber (public_id, address, confirmed_at, {same})
SELECT gen_random_uuid(), 'reader' || n || '@example.org', now(), {same}
FROM notifications_subscriber, generate_series(1, %s) n WHERE address = %s
"""
BARE = """
INSERT INTO notifications_delivery (announcement_id, subscriber_id, address, channel, pool, fate, reason, next_at,
    fence, attempts, copies, crashes, receipt, created_at)
SELECT %s, id, '', channel, 'news', 'pending', '', now(), 0, 0, 0, 0, '', now()
FROM notifications_subscriber WHERE confirmed_at IS NOT NULL ORDER BY id
"""


def figures() -> list[Figure]:
    """Expand BENCH_READERS (200,000) each way, in a database of its own."""
    count = int(os.environ.get("BENCH_READERS", "200000"))
    # Nobody is to be woken here.
    bell.mute()
    with database():
        newsroom.prepare()
        _readers(count)
        bare = _timed(lambda: _bare(_news("bare")))
        Delivery.objects.all()._raw_delete(Delivery.objects.db)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE notifications_delivery")
        news = _news("ours")
        first = _timed(lambda: fanout._write_chunk(news.lane))
        before = _megabytes()
        ours = first + _timed(lambda: fanout.expand(news.pk, seconds=3_600))
        grown = _megabytes() - before
        assert Delivery.objects.count() == count == Subscriber.objects.exclude(confirmed_at=None).count()
    each = 1e6 / count
    return [
        Figure("expansion-bare", bare * each, "us/row"),
        Figure("expansion", ours * each, "us/row", ours / bare, "bare"),
        Figure("expansion-first-chunk", first * 1e3, "ms"),
        Figure("expansion-memory", grown, "MB"),
    ]


def _readers(count: int) -> None:
    names = {field.column for field in Subscriber._meta.concrete_fields}
    same = ", ".join(sorted(names - {"id", "public_id", "address", "confirmed_at"}))
    with connection.cursor() as cursor:
        cursor.execute(READERS.format(same=same), [count, PATTERN])
        cursor.execute("VACUUM ANALYZE notifications_subscriber")


def _news(lane: str) -> Announcement:
    newsroom.tell("Investigating", lane, 2, (), newsroom.the_brand())
    return Announcement.objects.get(lane=lane)


def _bare(news: Announcement) -> None:
    with connection.cursor() as cursor:
        cursor.execute(BARE, [news.pk])
    Announcement.objects.filter(pk=news.pk).update(expanded_at=timezone.now())


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _megabytes() -> float:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
