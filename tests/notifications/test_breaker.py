"""Who is to blame when recipients are refused for good: they, or we (F04)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from notifications import breaker, delivery, fanout, order, queue
from notifications.channels.port import Answer, Verdict
from notifications.enums import Channel, Fate, Pool
from notifications.models import Announcement, ChannelState, Delivery, Subscriber
from notifications.queue import Item
from tests.notifications.news import news, reader, readers
from tests.notifications.relay import Relay

GONE = "550 5.1.1 no such user"
FULL = "550 5.2.1 mailbox disabled"


@pytest.fixture(autouse=True)
def one_connection(settings: Settings) -> None:
    """The others of a crew could not see what a test wrote."""
    settings.DELIVERY_CONNECTIONS = 1


def item(number: int) -> Item:
    return Item(number, 1, 1, "email", "a@b.c", b"", 0, "en", 0, 0, "", False)


def told(**changes: object) -> Announcement:
    announcement = news(**changes)  # type: ignore[arg-type]
    fanout.expand(announcement.pk)
    return announcement


def fates(**which: object) -> Counter[str]:
    return Counter(Delivery.objects.filter(**which).values_list("fate", flat=True))


def bounced() -> set[str]:
    return set(Subscriber.objects.filter(bounced_at__isnull=False).values_list("address", flat=True))


def drain(times: int = 1) -> None:
    """So many times: a quarter of an hour passes, the rest is over, and what is due is sent."""
    for _ in range(times):
        delivery._crews[Pool.NEWS].breaker._rest_until = 0.0
        ChannelState.objects.update(probe_at=None)
        Delivery.objects.filter(fate=Fate.PENDING).update(next_at=F("next_at") - timedelta(minutes=15))
        delivery.drain("news")


# --- what operators read ---


def test_the_log_names_the_channel_that_rests(caplog: pytest.LogCaptureFixture) -> None:
    guard = breaker.Breaker(Channel.SMS)
    guard.failed("401 Authenticate", ours=True)
    guard.down("No connection to the provider", ours=False)
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "SMS: the provider refuses us, no recipient is to blame: 401 Authenticate"
    assert re.fullmatch(r"SMS: nothing leaves for \d\.\d s: No connection to the provider", said[-1])
    assert not [words for words in said if "mail" in words.lower()]


def test_mail_has_a_relay(caplog: pytest.LogCaptureFixture) -> None:
    breaker.Breaker(Channel.EMAIL).failed("535 5.7.8 Wrong password", ours=True)
    assert "The relay refuses us, no recipient is to blame: 535 5.7.8 Wrong password" in caplog.text


# --- counting -------------------------------------------------------------------------


def test_a_few_bad_addresses_are_not_an_outage() -> None:
    """F04: 2 % of the last 500 may be wrong; the next one is too many, and all of them are taken back."""
    guard = breaker.Breaker(Channel.EMAIL)
    for _ in range(490):
        guard.fine()
    assert [guard.refused(item(n), GONE) for n in range(10)] == [[]] * 10
    assert not guard.resting()
    assert guard.refused(item(10), GONE) == [item(n) for n in range(11)]
    assert guard.resting()


def test_only_one_code_counts_together() -> None:
    """F04: "with one code". Different mistakes of different people are not an outage, nor are others taken back."""
    guard = breaker.Breaker(Channel.EMAIL)
    for _ in range(490):
        guard.fine()
    for n in range(10):
        assert guard.refused(item(n), GONE) == []
        assert guard.refused(item(100 + n), FULL) == []
    assert guard.refused(item(110), f"{FULL} for other reasons") == [item(100 + n) for n in range(11)]


def test_only_the_window_is_taken_back() -> None:
    """F04: after 20,000 mails at 1 % an outage revives nobody who was refused long ago."""
    guard = breaker.Breaker(Channel.EMAIL)
    for n in range(20_000):
        if n % 100 == 99:
            assert guard.refused(item(n), GONE) == []
        else:
            guard.fine()
    refused = next(found for n in range(20_000, 20_100) if (found := guard.refused(item(n), GONE)))
    assert [one.id for one in refused] == [19_599, 19_699, 19_799, 19_899, 19_999, *range(20_000, 20_006)]


def test_a_share_of_few_says_nothing() -> None:
    """The first of two refused is 50 %: fifty must have been tried, unless nothing else is heard at all."""
    guard = breaker.Breaker(Channel.EMAIL)
    guard.fine()
    assert [guard.refused(item(n), GONE) for n in range(20)] == [[]] * 20


def test_a_trip_starts_counting_anew() -> None:
    """What was taken back does not make the next refusal a trip."""
    guard = breaker.Breaker(Channel.EMAIL)
    for _ in range(49):
        guard.fine()
    assert guard.refused(item(1), GONE) == []
    assert guard.refused(item(2), GONE) == [item(1), item(2)]
    guard.fine()
    assert guard.refused(item(3), GONE) == []


def test_until_mail_is_accepted_again_nobody_is_believed() -> None:
    """What was on its way when it tripped, and every probe after it, is taken back as well."""
    guard = breaker.Breaker(Channel.EMAIL)
    assert [guard.refused(item(n), GONE) for n in range(4)] == [[]] * 4
    assert guard.refused(item(4), GONE) == [item(n) for n in range(5)]
    assert [guard.refused(item(n), GONE) for n in (5, 6, 5)] == [[item(5)], [item(6)], [item(5)]]
    guard.fine()
    assert guard.refused(item(5), GONE) == []


def test_a_relay_that_breaks_after_it_was_believed_punishes_nobody() -> None:
    """Really dead addresses made it trip once; a later outage still is one."""
    guard = breaker.Breaker(Channel.EMAIL)
    for n in range(300):
        _ = guard.refused(item(n), GONE) if n % 7 == 6 else guard.fine()
    found = [guard.refused(item(n), GONE) for n in range(1000, 1030)]
    assert {one.id for taken in found for one in taken} >= set(range(1000, 1030))


def test_a_list_full_of_dead_addresses_does_not_stop_the_others() -> None:
    """One trip, however long the list: afterwards they bounce while the others are accepted."""
    guard, trips = breaker.Breaker(Channel.EMAIL), 0
    for n in range(20_000):
        if n % 7 == 6:
            trips += bool(guard.refused(item(n), GONE))
        else:
            guard.fine()
    assert trips == 1


# --- on the wire ----------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "is_dead",
    [
        lambda n: n % 7 == 6 and n < 95,
        lambda n: n < 14,
        lambda n: 40 <= n < 54,
        lambda n: n in (*range(7), *range(80, 87)),
    ],
    ids=["spread", "first", "amid", "two-heaps"],
)
def test_the_dead_bounce_and_the_living_are_told(relay: Relay, is_dead: Callable[[int], bool]) -> None:
    """R-804: 14 of 95 addresses are dead. They end bounced, the 81 others get one mail each, nobody waits."""
    people = readers(95)
    dead = {person.address for n, person in enumerate(people) if is_dead(n)}
    relay.say["RCPT"] = lambda to: GONE if to in dead else None
    told()
    drain(times=6)
    living = {person.address for person in people} - dead
    assert Counter(relay.readers) == dict.fromkeys(living, 1)
    assert fates() == {"accepted": len(living), "bounced": len(dead)}
    assert bounced() == dead


@pytest.mark.django_db
def test_the_dead_at_the_end_of_a_list_wait_for_the_next_mail_that_is_accepted(relay: Relay) -> None:
    """Fourteen refusals in a row and nothing else look like an outage until the relay takes any other mail."""
    people = readers(95)
    dead = {person.address for person in people[81:]}
    relay.say["RCPT"] = lambda to: GONE if to in dead else None
    told()
    drain(times=4)
    assert fates() == {"accepted": 81, "pending": 14}
    assert bounced() == set()
    told(lane="two")
    drain(times=3)
    assert fates() == {"accepted": 162, "bounced": 14, "suppressed": 14}
    assert bounced() == dead


@pytest.mark.django_db
@pytest.mark.parametrize("count", [5, 13, 30, 99])
def test_550_for_everybody_suppresses_nobody(relay: Relay, count: int) -> None:
    """F04: the breaker opens, everybody is tried again, and after the repair everybody has one mail."""
    people = readers(count)
    told()
    relay.say["RCPT"] = GONE
    for _ in range(5):
        drain()
        assert delivery._crews[Pool.NEWS].breaker._rests > 0
    assert (bounced(), fates()) == (set(), {"pending": count})
    relay.say.clear()
    drain(times=2)
    assert Counter(relay.readers) == dict.fromkeys((person.address for person in people), 1)
    assert fates() == {"accepted": count}


@pytest.mark.django_db(transaction=True)
def test_550_for_everybody_over_several_connections(relay: Relay, settings: Settings) -> None:
    """F04: what the other senders had in the air when it tripped is taken back, too."""
    settings.DELIVERY_CONNECTIONS = 4
    readers(250)
    told()
    relay.say["RCPT"] = GONE
    drain(times=3)
    assert (bounced(), fates()) == (set(), {"pending": 250})
    relay.say.clear()
    drain(times=3)
    assert Counter(Counter(relay.readers).values()) == {1: 250}


@pytest.mark.django_db
def test_a_relay_that_breaks_in_the_middle_punishes_nobody(relay: Relay) -> None:
    """F04: 50 are told, then it refuses everybody; after the repair the other 40 are told."""
    readers(90)
    told()
    relay.say["RCPT"] = lambda to: GONE if to >= "r00050" else None
    drain(times=3)
    assert (bounced(), fates()) == (set(), {"accepted": 50, "pending": 40})
    relay.say.clear()
    drain(times=2)
    assert Counter(Counter(relay.readers).values()) == {1: 90}


# --- taking back ----------------------------------------------------------------------


@pytest.mark.django_db
def test_expired_news_revive_nobody(relay: Relay) -> None:
    """Whoever bounced with news of days ago stays bounced; those of today are taken back."""
    readers(2)
    old = told(at=timezone.now() - timedelta(hours=1))
    relay.say["RCPT"] = GONE
    drain()
    Announcement.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    for n in range(3):
        reader(f"new{n}")
    told(lane="two")
    drain()
    assert bounced() == {"r00000@example.org", "r00001@example.org"}
    assert (fates(announcement=old), fates(announcement__lane="two")) == ({"bounced": 2}, {"pending": 3})


@pytest.mark.django_db
def test_taken_back_news_never_follow_newer_ones(relay: Relay) -> None:
    """F12: a newer update was written while the older one was on its way to be refused; only the newer is told."""
    people = readers(5)
    first = told()
    batch = queue.claim("news", 5)
    queue.turn([], batch)
    fanout.expand(news("Investigating", "Resolved").pk)
    crew = delivery._crews[Pool.NEWS]
    for number, taken in enumerate(batch):
        if number == 3:
            # What follows meanwhile is withheld from those who count as bounced.
            order.promote()
            drain()
            assert (relay.kept, fates(fate="suppressed")) == ([], {"suppressed": 3})
        crew.outcomes.record(taken, Answer(Verdict.BOUNCED, GONE), crew.mould(taken))
    assert bounced() == set()
    order.promote()
    drain()
    assert Counter(relay.readers) == dict.fromkeys((person.address for person in people), 1)
    assert [b"Resolved: Card" in kept.content for kept in relay.kept] == [True] * 5
    assert set(first.deliveries.values_list("fate", "reason")) == {("suppressed", "Overtaken by a newer update.")}
