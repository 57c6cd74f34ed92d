"""Writing down who is to be told: in chunks, once, resumable, newest first (F01, F12)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import fanout, outbox
from notifications.enums import Fate
from notifications.models import Announcement, Delivery, Topic
from tests.notifications.news import news, reader, readers

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "FIRST_CHUNK", 2)
    monkeypatch.setattr(fanout, "CHUNK", 3)


def fates(announcement: Announcement) -> dict[str, str]:
    rows = announcement.deliveries.values_list("subscriber__address", "fate")
    return {address.split("@")[0]: fate for address, fate in rows}


def test_everybody_is_written_down_once(small_chunks: None) -> None:
    """R-804: chunks of 2, 3, 3 … leave nobody out and name nobody twice."""
    readers(9)
    announcement = news()
    assert fanout.expand(announcement.pk) is True
    assert Counter(Delivery.objects.values_list("subscriber__address", flat=True)) == Counter(
        f"r{n:05}@example.org" for n in range(9)
    )
    announcement.refresh_from_db()
    assert announcement.expanded_at is not None
    row = Delivery.objects.order_by("pk")[0]
    assert (row.fate, row.fence, row.attempts, row.copies, row.pool, row.channel) == (
        "pending",
        0,
        0,
        0,
        "news",
        "email",
    )
    assert row.next_at == announcement.published_at


def test_expanding_again_changes_nothing(small_chunks: None) -> None:
    readers(5)
    announcement = news()
    fanout.expand(announcement.pk)
    before = list(Delivery.objects.order_by("pk").values())
    Announcement.objects.update(expanded_to=0, expanded_at=None)
    assert fanout.expand(announcement.pk) is True
    assert list(Delivery.objects.order_by("pk").values()) == before


def test_a_crash_between_chunks_is_taken_up_where_it_stopped(
    small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F01: the cursor moves in the transaction that writes the rows, so neither is ever without the other."""
    readers(7)
    announcement = news()
    with monkeypatch.context() as broken:
        written = fanout._insert
        calls: list[int] = []

        def crash(chunk: fanout._Chunk, older: list[int]) -> None:
            written(chunk, older)
            calls.append(1)
            if len(calls) == 2:
                raise RuntimeError("kill -9")

        broken.setattr(fanout, "_insert", crash)
        with pytest.raises(RuntimeError, match="kill -9"):
            fanout.expand(announcement.pk)
    assert Delivery.objects.count() == 2
    assert fanout.expand(announcement.pk) is True
    assert Delivery.objects.count() == 7


def test_only_those_concerned_are_written_down() -> None:
    """R-802: components, least severity, kinds, and when they confirmed."""
    payments = Topic.objects.create(key="component:1", name="Payments")
    reader("all")
    reader("left", unsubscribed_at=timezone.now())
    reader("bounced", bounced_at=timezone.now())
    reader("unconfirmed", confirmed_at=None)
    reader("late", confirmed_at=timezone.now() + timedelta(minutes=1))
    reader("worst-only", least_rank=1)
    reader("no-incidents", wants_incidents=False)
    reader("payments", all_topics=False).topics.add(payments)
    reader("other", all_topics=False)
    announcement = news(rank=2, topics=[payments])
    fanout.expand(announcement.pk)
    assert sorted(fates(announcement)) == ["all", "payments"]


def test_a_newer_update_overtakes_what_nobody_began_to_send() -> None:
    """F12: the newest mail carries the whole timeline; the stale one is not sent and says why."""
    reader("ann")
    first = news("Investigating")
    fanout.expand(first.pk)
    second = news("Investigating", "Resolved")
    fanout.expand(second.pk)
    assert (fates(first), fates(second)) == ({"ann": "suppressed"}, {"ann": "pending"})
    assert first.deliveries.get().reason == "Overtaken by update 2."
    assert first.deliveries.get().settled_at is not None


def test_an_update_waits_while_its_predecessor_is_in_the_air() -> None:
    """F12: nobody gets "resolved" before "investigating"."""
    reader("ann")
    first = news("Investigating")
    fanout.expand(first.pk)
    first.deliveries.update(fate=Fate.SENDING)
    second = news("Investigating", "Resolved")
    fanout.expand(second.pk)
    assert (fates(first), fates(second)) == ({"ann": "sending"}, {"ann": "blocked"})


def test_the_newest_of_a_lane_is_written_down_first(small_chunks: None) -> None:
    """F12: the older one then finds its readers told, and is not sent to them at all."""
    readers(4)
    first, second = news("Investigating"), news("Investigating", "Resolved")
    assert fanout.expand(first.pk) is True
    assert Counter(Delivery.objects.values_list("announcement__seq", "fate")) == {
        (1, "suppressed"): 4,
        (2, "pending"): 4,
    }
    assert set(first.deliveries.values_list("reason", flat=True)) == {"Overtaken by update 2."}
    assert first.deliveries.filter(settled_at=None).count() == 0
    assert second.deliveries.count() == 4


def test_who_is_not_reached_by_the_newer_one_still_hears_the_older() -> None:
    """R-804: overtaking is decided per person by the row that exists, never by the lane alone."""
    reader("all")
    reader("worst-only", least_rank=1)
    first = news("Investigating", rank=1)
    second = news("Investigating", "Monitoring", rank=3)
    fanout.expand(second.pk)
    assert fates(first) == {"all": "suppressed", "worst-only": "pending"}
    assert fates(second) == {"all": "pending"}


def test_other_lanes_are_left_alone() -> None:
    reader("ann")
    first, other = news(lane="one"), news(lane="two")
    fanout.expand(first.pk)
    fanout.expand(other.pk)
    assert (fates(first), fates(other)) == ({"ann": "pending"}, {"ann": "pending"})


def test_a_chunk_costs_the_same_whatever_the_audience(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set-based: the number of statements does not grow with the readers."""
    monkeypatch.setattr(fanout, "FIRST_CHUNK", 1000)
    announcement = news(lane="few")
    readers(3)
    with CaptureQueriesContext(connection) as few:
        fanout.expand(announcement.pk)
    readers_more = [reader(f"more{n}") for n in range(60)]
    announcement = news(lane="many")
    with CaptureQueriesContext(connection) as many:
        fanout.expand(announcement.pk)
    assert len(readers_more) == 60
    assert len(few) == len(many)


def test_the_first_chunk_is_small_and_rings_at_once(
    small_chunks: None, django_capture_on_commit_callbacks: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """performance.md: the first mail does not wait for the audience."""
    rung: list[tuple[str, int]] = []
    monkeypatch.setattr(fanout.bell, "ring_deliver", lambda pool: rung.append((pool, Delivery.objects.count())))
    readers(8)
    announcement = news()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        fanout.expand(announcement.pk)
    assert [pool for pool, _ in rung] == ["news"] * 3


@pytest.mark.django_db(transaction=True)
def test_several_workers_at_one_lane_write_it_down_once(small_chunks: None) -> None:
    """F01, F12: two announcements of one lane, expanded by four workers at once."""
    readers(40)
    first, second = news("Investigating"), news("Investigating", "Resolved")

    def work(pk: int) -> None:
        try:
            while not fanout.expand(pk):
                time.sleep(0.01)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(one.pk,)) for one in (first, second, first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(Delivery.objects.values_list("announcement__seq", "fate")) == {
        (1, "suppressed"): 40,
        (2, "pending"): 40,
    }


def test_r213_what_must_not_be_read_any_more_does_not_leave(small_chunks: None) -> None:
    """Half written down, or not at all: nobody gets it, and everybody's row says why."""
    readers(5)
    first = news()
    fanout.expand(first.pk)
    Delivery.objects.filter(subscriber__address="r00000@example.org").update(fate=Fate.ACCEPTED)
    second = news(lane=first.lane)
    fanout._write_chunk(second.lane)
    assert outbox.withhold([first.lane], at=timezone.now()) is True
    assert fanout.expand(second.pk) is True
    assert Counter(fates(first).values()) == {Fate.ACCEPTED: 1, Fate.SUPPRESSED: 4}
    assert Counter(fates(second).values()) == {Fate.SUPPRESSED: 5}
    reasons = set(second.deliveries.values_list("reason", flat=True))
    assert reasons == {"Held back: it must not be read any more."}
    third = news(lane=first.lane)
    fanout.expand(third.pk)
    assert Counter(fates(third).values()) == {Fate.PENDING: 5}
    assert outbox.withhold(["lane of nobody"], at=timezone.now()) is False
