"""The edges: bell, tasks and the poller; losing any of the first two loses nothing (F02, F13)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from notifications import bell, closing, fanout, tasks
from notifications.enums import Fate, Pool
from notifications.management.commands import dispatch
from notifications.models import Delivery
from tests.notifications.news import letter, news, reader, readers
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    heard: list[tuple[str, object]] = []
    for name in ("ring_fan_out", "ring_deliver"):
        monkeypatch.setattr(bell, name, lambda what, name=name: heard.append((name, what)))
    return heard


def test_once_does_everything_that_is_due(relay: Relay) -> None:
    """F02: without Celery and without a broker."""
    readers(3)
    news()
    letter("new@example.org")
    call_command("dispatch", "--once")
    assert relay.readers == ["new@example.org", *(f"r{n:05}@example.org" for n in range(3))]
    assert set(Delivery.objects.values_list("fate", flat=True)) == {"accepted"}


def test_the_poller_leaves_fresh_work_to_the_workers() -> None:
    """It is the safety net: two seconds, then it takes what nobody heard."""
    reader("ann")
    fresh = news(at=timezone.now())
    dispatch._fan_out(2.0)
    assert Delivery.objects.count() == 0
    dispatch._fan_out(0.0)
    assert fresh.deliveries.count() == 1


def test_what_fails_keeps_nothing_else(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """F18, F19: one digest or one lease that breaks the round must not keep anybody's news."""
    readers(3)
    news()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(dispatch.digests, "send", broken)
    monkeypatch.setattr(dispatch.delivery, "sweep", broken)
    with pytest.raises(CommandError, match="2 parts of the round failed"):
        call_command("dispatch", "--once")
    assert len(relay.kept) == 3
    jobs = dispatch.Command()
    jobs.patience = 0.0
    assert len({repr(job) for job, _ in jobs._jobs()}) == len(jobs._jobs()) == len(Pool) + 6


def test_news_that_cannot_be_written_down_keeps_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """F18."""
    reader("ann")
    first, second = news(lane="one"), news(lane="two")
    real = fanout.expand
    monkeypatch.setattr(dispatch.fanout, "expand", lambda pk: real(pk) if pk == second.pk else 1 / 0)
    dispatch._fan_out(0.0)
    assert (first.deliveries.count(), second.deliveries.count()) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_the_poller_sends_within_five_seconds_and_stops_within_two(relay: Relay) -> None:
    """F02 and F30, with its real loop and a real SIGTERM."""
    readers(3)
    news(at=timezone.now() - timedelta(seconds=3))

    def watch() -> None:
        try:
            end = time.monotonic() + 5
            while len(relay.kept) < 3 and time.monotonic() < end:
                time.sleep(0.05)
            sent_at.append(time.monotonic())
        finally:
            connection.close()
            os.kill(os.getpid(), signal.SIGTERM)

    sent_at: list[float] = []
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call_command("dispatch")
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    ended = time.monotonic()
    watcher.join()
    assert Counter(relay.readers) == {f"r{n:05}@example.org": 1 for n in range(3)}
    assert ended - sent_at[0] < 2.0


def test_the_sweep_rings_for_what_was_forgotten(rung: list[tuple[str, object]]) -> None:
    """F13: level-triggered; it may come late or twice."""
    readers(2)
    written = news(lane="one")
    fanout.expand(written.pk)
    forgotten = news(lane="two")
    rung.clear()
    tasks.sweep()
    tasks.sweep()
    assert rung == [("ring_fan_out", forgotten.pk), ("ring_deliver", "news")] * 2


def test_the_sweep_takes_back_what_the_dead_held(rung: list[tuple[str, object]]) -> None:
    reader("ann")
    fanout.expand(news().pk)
    Delivery.objects.update(fate=Fate.LEASED, fence=1, lease_until=timezone.now() - timedelta(seconds=1))
    tasks.sweep()
    assert Delivery.objects.get().fate == "pending"


def test_the_tasks_are_what_the_bell_calls(relay: Relay, rung: list[tuple[str, object]]) -> None:
    readers(2)
    tasks.fan_out(news().pk)
    tasks.deliver("news")
    assert len(relay.kept) == 2
    assert tasks.fan_out.name == "notifications.tasks.fan_out"
    assert tasks.deliver.name == "notifications.tasks.deliver"


def test_nothing_is_begun_at_closing_time(relay: Relay, rung: list[tuple[str, object]]) -> None:
    """F30: neither a chunk nor a message."""
    reader("ann")
    announcement = news()
    tasks.close()
    tasks.fan_out(announcement.pk)
    assert Delivery.objects.count() == 0
    closing.reopen()
    tasks.fan_out(announcement.pk)
    tasks.close()
    tasks.deliver("news")
    assert Delivery.objects.get().fate == "pending"
    assert relay.kept == []


def test_a_dead_broker_is_asked_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """F02: the click goes on, and a fan-out of a thousand chunks does not wait a thousand times."""
    asked: list[str] = []

    def refuse(task: str, **_: object) -> None:
        asked.append(task)
        raise ConnectionError("no broker")

    monkeypatch.setattr(bell._Bell, "silent_until", 0.0)
    monkeypatch.setattr(bell.current_app, "send_task", refuse)
    for _ in range(5):
        bell.ring_deliver("news")
    assert bell._bell.rest(5)
    assert asked == ["notifications.tasks.deliver"]
    monkeypatch.setattr(bell._Bell, "silent_until", 0.0)
    bell.ring_fan_out(1)
    assert bell._bell.rest(5)
    assert asked == ["notifications.tasks.deliver", "notifications.tasks.fan_out"]


def test_a_broker_that_hangs_does_not_hold_the_click(monkeypatch: pytest.MonkeyPatch) -> None:
    """F02: measured before: 15 s for one publish while Redis was stopped."""
    answered = threading.Event()
    monkeypatch.setattr(bell._Bell, "silent_until", 0.0)
    monkeypatch.setattr(bell.current_app, "send_task", lambda *_, **__: answered.wait(10))
    began = time.monotonic()
    bell.ring_fan_out(1)
    assert time.monotonic() - began < 0.5
    assert bell._bell.rest(0.05) is False
    answered.set()
    assert bell._bell.rest(5) is True


@pytest.mark.parametrize("pool", ["news", "letters"])
def test_each_pool_has_a_queue_of_its_own(monkeypatch: pytest.MonkeyPatch, pool: str) -> None:
    """F19: letters never wait for news."""
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(bell._Bell, "silent_until", 0.0)
    monkeypatch.setattr(bell.current_app, "send_task", lambda task, **how: sent.append(how))
    bell.ring_deliver(pool)
    assert bell._bell.rest(5)
    assert [(tuple(how["args"]), how["queue"]) for how in sent] == [((pool,), pool)]  # type: ignore[arg-type]
