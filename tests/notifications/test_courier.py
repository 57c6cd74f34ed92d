"""The slow wires: many at once, each endpoint in its turn, and no doubt is guessed away (F05, F06, F12)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.utils import timezone

from notifications import delivery, fanout, queue, states
from notifications.channels import registry
from notifications.channels.port import Answer, Mould, Outage, Port, Verdict
from notifications.courier import Courier
from notifications.enums import Channel, Fate, Pool
from notifications.models import Announcement, ChannelState, Delivery, Endpoint, Subscriber
from notifications.queue import Item
from tests.notifications.news import news, reader

# The courier's hands run beside the test's thread; what they see must be committed on SQLite, too.
pytestmark = pytest.mark.django_db


@dataclass
class Words:
    """A mould that says which update it is."""

    news: int
    repeats: bool = True

    def fill(self, item: Item) -> bytes:
        return f"{self.news}".encode()


@dataclass
class Far:
    """The far end: it keeps what it got before it answers, and answers what it is told to."""

    got: list[tuple[str, int]] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    say: Callable[[str], Answer] = lambda _: Answer(Verdict.DELIVERED)
    off: str = ""
    repeats: bool = True
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def send(self, item: Item, message: bytes, mould: Mould, *, deadline: float) -> Answer:
        assert deadline > time.monotonic()
        with self._lock:
            self.got.append((item.address, int(message)))
            self.at_once[item.address] += 1
            self.at_once["all"] += 1
            for who in (item.address, "all"):
                self.most[who] = max(self.most[who], self.at_once[who])
        time.sleep(self.seconds)
        with self._lock:
            self.at_once.subtract((item.address, "all"))
        return self.say(item.address)

    def heard(self, address: str) -> list[int]:
        return [update for who, update in self.got if who == address]


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Far:
    """Every channel but e-mail ends here; no wait between two looks for whose turn it is."""
    end = Far()
    monkeypatch.setattr("notifications.courier.TURN_SECONDS", 0.0)
    monkeypatch.setattr("notifications.courier.LOOK_SECONDS", 0.02)
    for channel in Channel:
        if channel != Channel.EMAIL:
            monkeypatch.setitem(registry.PORTS, channel, _port(channel, end))
    return end


def _port(channel: Channel, end: Far) -> Port:
    return Port(
        channel,
        wire=lambda: end,
        mould=lambda update, _: Words(update, end.repeats),
        off=lambda: end.off,
        backoff=lambda attempts: 60.0 if attempts < 2 else None,
        many_ends=channel == Channel.WEBHOOK,
        knows_copies=channel == Channel.WEBHOOK,
    )


def endpoint(name: str, **state: object) -> Subscriber:
    subscriber = reader(name, channel=Channel.WEBHOOK, address=name)
    Endpoint.objects.create(subscriber=subscriber, url="sealed", created_at=subscriber.created_at, **state)
    return subscriber


def phone(number: str) -> Subscriber:
    return reader(number, channel=Channel.SMS, address=number)


def told(*phases: str, **changes: object) -> Announcement:
    announcement = news(*phases, **changes)  # type: ignore[arg-type]
    fanout.expand(announcement.pk)
    return announcement


def send(pool: Pool) -> int:
    delivery.sweep()
    return Courier(pool).drain(seconds=20.0, lying_for=0.0)


def fates(**which: object) -> Counter[str]:
    return Counter(Delivery.objects.filter(**which).values_list("fate", flat=True))


def test_an_endpoint_hears_everything_one_at_a_time_in_the_order_of_publishing(far: Far) -> None:
    for name in ("a", "b", "c"):
        endpoint(name)
    updates = [told("Investigating", lane="one"), told("Investigating", lane="two")]
    updates += [told("Identified", lane="one"), told("Resolved", lane="two")]
    far.seconds = 0.01
    assert send(Pool.HOOKS) == 12
    in_order = [update.pk for update in updates]
    assert {name: far.heard(name) for name in "abc"} == dict.fromkeys("abc", in_order)
    assert ({name: far.most[name] for name in "abc"}, far.most["all"]) == ({"a": 1, "b": 1, "c": 1}, 3)
    assert fates() == {"delivered": 12}


def test_the_older_news_still_being_written_down_comes_first(far: Far) -> None:
    endpoint("a")
    older, newer = news(lane="one"), told(lane="two")
    assert send(Pool.HOOKS) == 0
    assert fates() == {"blocked": 1}
    fanout.expand(older.pk)
    assert send(Pool.HOOKS) == 2
    assert far.heard("a") == [older.pk, newer.pk]


def test_a_failing_endpoint_holds_back_only_itself(far: Far) -> None:
    endpoint("good")
    endpoint("bad")
    far.say = lambda address: Answer(Verdict.LATER, "HTTP 500") if address == "bad" else Answer(Verdict.DELIVERED)
    first, second = told(lane="one"), told(lane="two")
    assert send(Pool.HOOKS) == 2
    assert (far.heard("good"), far.heard("bad")) == ([first.pk, second.pk], [first.pk])
    waiting = Delivery.objects.get(subscriber__address="bad", announcement=first)
    assert (waiting.fate, waiting.reason, waiting.attempts, waiting.copies) == ("pending", "HTTP 500", 1, 0)
    assert waiting.next_at > timezone.now() + timedelta(seconds=50)
    assert Delivery.objects.get(subscriber__address="bad", announcement=second).fate == Fate.BLOCKED


def test_after_the_last_try_it_is_dead_and_the_next_gets_its_turn(far: Far) -> None:
    endpoint("bad")
    far.say = lambda _: Answer(Verdict.LATER, "HTTP 500")
    first, second = told(lane="one"), told(lane="two")
    for _ in range(3):
        Delivery.objects.filter(fate=Fate.PENDING).update(next_at=timezone.now() - timedelta(seconds=1))
        send(Pool.HOOKS)
    assert first.deliveries.get().fate == Fate.DEAD
    assert far.heard("bad") == [first.pk] * 3 + [second.pk]


def test_news_for_a_failing_endpoint_waits_apart_and_in_quarantine_it_ends(far: Far) -> None:
    endpoint("fine")
    endpoint("failing", failing_since=timezone.now())
    endpoint("locked", failing_since=timezone.now(), quarantined_at=timezone.now())
    told()
    rows = dict(Delivery.objects.values_list("subscriber__address", "pool"))
    assert (rows["fine"], rows["failing"]) == ("hooks", "retries")
    locked = Delivery.objects.get(subscriber__address="locked")
    assert (locked.fate, locked.reason) == ("suppressed", "The endpoint is in quarantine.")
    assert locked.settled_at is not None


def test_a_text_whose_answer_was_lost_is_never_sent_again(far: Far) -> None:
    phone("+15550001")
    far.repeats = False
    far.say = lambda _: Answer(Verdict.DOUBT, "No answer")
    told()
    assert send(Pool.TEXTS) == 0
    assert send(Pool.TEXTS) == 0
    assert (len(far.got), fates()) == (1, {"uncertain": 1})


def test_a_text_in_the_air_when_its_worker_died_is_for_a_person(far: Far) -> None:
    phone("+15550001")
    endpoint("a")
    told()
    for pool in (Pool.TEXTS, Pool.HOOKS):
        delivery.sweep()
        queue.turn([], queue.claim(pool, 5))
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    delivery.sweep()
    assert dict(Delivery.objects.values_list("channel", "fate")) == {"sms": "uncertain", "webhook": "pending"}


def test_the_provider_says_when_to_come_back(far: Far) -> None:
    phone("+15550001")
    far.say = lambda _: Answer(Verdict.LATER, "429", wait=900.0)
    told()
    send(Pool.TEXTS)
    row = Delivery.objects.get()
    assert row.next_at - timezone.now() > timedelta(seconds=880)


def test_the_providers_id_is_kept(far: Far) -> None:
    phone("+15550001")
    far.say = lambda _: Answer(Verdict.ACCEPTED, receipt="SM123")
    told()
    assert send(Pool.TEXTS) == 1
    row = Delivery.objects.get()
    assert (row.fate, row.receipt, row.copies) == ("accepted", "SM123", 1)
    assert row.sent_at is not None


def test_nobody_hears_that_it_is_over_who_never_heard_that_it_began(far: Far) -> None:
    """F12: both texts of a short incident end unsent when the first had not left."""
    phone("+15550001")
    told("Investigating")
    told("Investigating", "Resolved")
    assert send(Pool.TEXTS) == 0
    assert far.got == []
    assert set(Delivery.objects.values_list("fate", "reason")) == {
        ("suppressed", "Overtaken by update 2."),
        ("suppressed", "It was over before the first one left."),
    }


def test_who_heard_that_it_began_hears_that_it_is_over(far: Far) -> None:
    phone("+15550001")
    first = told("Investigating")
    assert send(Pool.TEXTS) == 1
    told("Investigating", "Identified")
    last = told("Investigating", "Identified", "Resolved")
    assert send(Pool.TEXTS) == 1
    assert far.heard("+15550001") == [first.pk, last.pk]


def test_one_that_may_have_left_counts_as_heard(far: Far) -> None:
    phone("+15550001")
    far.repeats = False
    far.say = lambda _: Answer(Verdict.DOUBT, "No answer")
    told("Investigating")
    send(Pool.TEXTS)
    last = told("Investigating", "Resolved")
    far.say = lambda _: Answer(Verdict.ACCEPTED)
    assert send(Pool.TEXTS) == 0, "it waits for whoever can find out"
    Delivery.objects.filter(fate="uncertain").update(settled_at=timezone.now() - timedelta(minutes=13))
    assert send(Pool.TEXTS) == 1
    assert far.heard("+15550001")[-1] == last.pk


def test_a_channel_that_is_not_set_up_says_so_on_every_row(far: Far) -> None:
    phone("+15550001")
    far.off = "Set SMS_PROVIDER."
    told()
    send(Pool.TEXTS)
    row = Delivery.objects.get()
    assert (row.fate, row.reason, far.got) == ("dead", "Set SMS_PROVIDER.", [])


def test_a_wire_that_breaks_by_itself_loses_nothing(far: Far) -> None:
    endpoint("a")
    phone("+15550001")
    far.repeats = False

    def broken(_: str) -> Answer:
        raise ZeroDivisionError

    far.say = broken
    told()
    send(Pool.TEXTS)
    assert fates(channel="sms") == {"uncertain": 1}


def test_no_connection_gives_the_provider_a_rest_and_the_texts_stay(far: Far) -> None:
    phone("+15550001")

    def away(_: str) -> Answer:
        raise Outage("No connection", ours=False)

    far.say = away
    told()
    courier = Courier(Pool.TEXTS)
    assert courier.drain(seconds=5.0, lying_for=0.0) == 0
    row = Delivery.objects.get()
    assert (row.fate, row.copies) == ("pending", 0)
    assert courier.drain(seconds=5.0, lying_for=0.0) == 0
    assert len(far.got) == 1


def test_many_hands_share_one_connection_to_the_database(far: Far) -> None:
    for n in range(40):
        endpoint(f"e{n}")
    told()
    far.seconds = 0.2
    began = time.monotonic()
    assert send(Pool.HOOKS) == 40
    assert far.most["all"] > 20
    assert time.monotonic() - began < 40 * 0.2 / 2


# --- a provider that is away (F07) --------------------------------------------------------


def test_a_provider_that_rests_is_tried_with_one_text_and_then_takes_all(far: Far) -> None:
    for number in range(12):
        phone(f"+493012345{number:02}")
    told()
    Delivery.objects.filter(pk=Delivery.objects.earliest("pk").pk).update(crashes=1)
    states.rest("sms", "503 away", ours=False, at=timezone.now())
    assert send(Pool.TEXTS) == 0
    ChannelState.objects.update(probe_at=None)
    far.say = lambda _: Answer(Verdict.LATER, "503 away")
    assert send(Pool.TEXTS) == 0
    assert len(far.got) == 1
    ChannelState.objects.update(probe_at=None)
    far.say = lambda _: Answer(Verdict.ACCEPTED)
    assert send(Pool.TEXTS) == 11
    assert ChannelState.objects.get().resting_since is None


def test_endpoints_do_not_rest_together(far: Far) -> None:
    endpoint("a")
    states.rest("webhook", "left there", ours=False, at=timezone.now())
    told()
    assert send(Pool.HOOKS) == 1
