"""Nobody's mailbox is bombed through the subscribe form, and nobody can see the limits (S15, S16, S29, S41)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from notifications import addresses, limits, subscriptions
from notifications.enums import Channel
from notifications.limits import HOUR, take
from notifications.models import Brand, Delivery, SignUp, Subscriber, Tally
from notifications.subscriptions import Choice
from tests.notifications.test_erasure import everywhere

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
FORM = "/subscriptions/subscribe"
GOOD = {"scope": "all", "wants_incidents": "on", "wants_maintenance": "on", "least_rank": "4"}


def ask(client: Client, address: str, ip: str = "203.0.113.7", **headers: str) -> bytes:
    return client.post(FORM, GOOD | {"address": address}, REMOTE_ADDR=ip, headers=headers).content


def waiting() -> int:
    return SignUp.objects.count()


# --- the counter -------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_door_counts_within_its_time() -> None:
    def used(at: datetime) -> bool:
        return take("door", "ann", most=2, per=HOUR, at=at)

    assert [used(NOON), used(NOON), used(NOON + HOUR - timedelta(seconds=1))] == [True, True, False]
    assert [used(NOON + HOUR), used(NOON + HOUR), used(NOON + HOUR)] == [True, True, False]
    assert take("door", "bob", most=2, per=HOUR, at=NOON)
    assert take("other door", "ann", most=2, per=HOUR, at=NOON)
    assert not take("third door", "ann", most=2, per=HOUR, at=NOON, amount=3)
    assert take("third door", "ann", most=2, per=HOUR, at=NOON, amount=2)


@pytest.mark.django_db
def test_old_counts_are_forgotten(brand: Brand) -> None:
    take("door", "ann", most=1, per=HOUR, at=NOON)
    subscriptions.answer(at=NOON + limits.KEPT)
    assert Tally.objects.count() == 1
    subscriptions.answer(at=NOON + limits.KEPT + timedelta(seconds=1))
    assert Tally.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_however_many_ask_at_once(db: None) -> None:
    """S41: 8 threads, 3 times the limit: exactly the limit is let in."""
    let_in: list[bool] = []

    def knock() -> None:
        try:
            let_in.extend([take("door", "ann", most=20, per=HOUR, at=NOON) for _ in range(8)])
        finally:
            connection.close()

    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(let_in), let_in.count(True)) == (64, 20)


# --- the form ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_sixth_of_an_hour_is_not_taken_and_looks_the_same(client: Client, brand: Brand) -> None:
    answers = {ask(client, f"p{n}@x{n}.example") for n in range(8)}
    assert (len(answers), waiting()) == (1, 5)
    assert ask(client, "late@x.example", ip="203.0.113.8") in answers
    assert waiting() == 6


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("limit", "ips"),
    [
        ("SIGN_UPS_PER_NETWORK", [f"203.0.113.{n}" for n in range(1, 6)]),
        ("SIGN_UPS_PER_NETWORK", [f"2001:db8:1:{n}::1" for n in range(1, 6)]),
        ("SIGN_UPS_PER_IP", [f"2001:db8:1:1::{n}" for n in range(1, 6)]),
        ("SIGN_UPS_PER_HOUR", [f"{n}.1.1.1" for n in range(11, 16)]),
    ],
)
def test_each_limit_holds(client: Client, brand: Brand, settings: Settings, limit: str, ips: list[str]) -> None:
    """S16: per IP (of IPv6 a /64, one house), per /24 or /48, and for all together."""
    setattr(settings, limit, 3)
    for n, ip in enumerate(ips):
        ask(client, f"p{n}@x{n}.example", ip)
    assert waiting() == 3


@pytest.mark.django_db
def test_a_domain_has_a_limit(client: Client, brand: Brand, settings: Settings) -> None:
    settings.SIGN_UPS_PER_DOMAIN = 3
    for n in range(5):
        ask(client, f"p{n}@{'X' if n % 2 else 'x'}.example", f"{n + 11}.1.1.1")
    assert waiting() == 3
    ask(client, "p@other.example", "99.1.1.1")
    assert waiting() == 4


@pytest.mark.django_db
def test_one_visitor_cannot_use_up_the_share_of_all(client: Client, brand: Brand, settings: Settings) -> None:
    settings.SIGN_UPS_PER_DOMAIN = settings.SIGN_UPS_PER_HOUR = 6
    for n in range(50):
        ask(client, f"p{n}@x.example", "203.0.113.7")
    ask(client, "ada@x.example", "198.51.100.1")
    assert SignUp.objects.filter(address="ada@x.example").exists()


@pytest.mark.django_db
def test_the_network_is_kept_and_never_the_visitor(client: Client, brand: Brand) -> None:
    """S29: the proof of consent names a /24."""
    ask(client, "ada@x.example", "203.0.113.77")
    subscriptions.answer(at=timezone.now())
    assert Subscriber.objects.get().signed_up_from == "203.0.113.0/24"
    assert everywhere("203.0.113.77") == []


VISITORS = [
    (0, "203.0.113.7", None, "203.0.113.7"),
    (0, "203.0.113.7", "1.2.3.4", "203.0.113.7"),
    (1, "10.0.0.1", "203.0.113.7", "203.0.113.7"),
    (1, "10.0.0.1", "1.2.3.4, 203.0.113.7", "203.0.113.7"),
    (2, "10.0.0.1", "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
    (2, "10.0.0.1", "203.0.113.7", "203.0.113.7"),
    (1, "10.0.0.1", None, "10.0.0.1"),
    (1, "10.0.0.1", "1.2.3.4, rubbish", "10.0.0.1"),
    (1, "10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
    (1, "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
    (0, "::ffff:203.0.113.7", None, "203.0.113.7"),
    (0, "127.0.0.1", "1.2.3.4", "None"),
    (0, "", None, "None"),
    # Over a Unix socket the other end has no address, but it is a hop all the same.
    (1, "", "1.2.3.4, 203.0.113.7", "203.0.113.7"),
    (2, "", "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
    (1, "", None, "None"),
    (1, "", "rubbish", "None"),
]


@pytest.mark.parametrize(("proxies", "remote", "forwarded", "found"), VISITORS)
def test_who_the_visitor_is(settings: Settings, proxies: int, remote: str, forwarded: str | None, found: str) -> None:
    """The first of X-Forwarded-For is what the visitor wrote: it is never believed."""
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers)
    assert str(limits.visitor_of(request)) == found


@pytest.mark.django_db
def test_a_hundred_thousand_submissions_by_arithmetic(brand: Brand, settings: Settings) -> None:
    """S16: every limit a tenth or less of what it is, every crowd as many times too large: the share let in is exact.

    One address from many visitors is one letter; many addresses from many visitors are the hour's cap.
    """
    settings.SIGN_UPS_PER_HOUR, settings.SIGN_UPS_PER_DOMAIN, settings.SIGN_UPS_PER_IP = 20, 10, 2
    for n in range(200):
        visitor = limits.ip_address(f"{11 + n % 200}.0.0.1")
        if limits.may_sign_up(visitor, Channel.EMAIL, "ada@x.example", at=NOON):
            subscriptions.ask("ada@x.example", Choice(), at=NOON, network=limits.network(visitor))
    assert (subscriptions.answer(at=NOON), Delivery.objects.count()) == (1, 1)
    let_in = 0
    for n in range(200):
        visitor = limits.ip_address(f"{11 + n % 200}.0.0.2")
        let_in += limits.may_sign_up(visitor, Channel.EMAIL, f"p{n}@x{n}.example", at=NOON)
    assert let_in == settings.SIGN_UPS_PER_HOUR - settings.SIGN_UPS_PER_DOMAIN


@pytest.mark.django_db
def test_texts_are_asked_for_ten_times_in_four_hours(brand: Brand, settings: Settings) -> None:
    """S19: whatever else the visitor does, and whichever numbers they type."""
    settings.SIGN_UPS_PER_IP = 1
    visitor = limits.ip_address("203.0.113.7")
    numbers = [f"+121255501{n:02}" for n in range(12)]
    let_in = [limits.may_sign_up(visitor, Channel.SMS, number, at=NOON) for number in numbers]
    assert let_in.count(True) == limits.TEXT_SIGN_UPS_PER_IP
    assert limits.may_sign_up(visitor, Channel.EMAIL, "ada@x.example", at=NOON)
    assert not limits.may_sign_up(visitor, Channel.WHATSAPP, numbers[0], at=NOON + timedelta(hours=3, minutes=59))
    assert limits.may_sign_up(visitor, Channel.SMS, numbers[0], at=NOON + limits.TEXT_HOURS)


@pytest.mark.django_db
@pytest.mark.parametrize("door", [limits.may_ask_for_code, limits.may_try_code])
def test_codes_are_asked_for_and_tried_within_limits(
    door: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S18: per visitor and per network; somebody else is not kept out."""
    for name in ("CODES_PER_IP", "TRIES_PER_IP"):
        monkeypatch.setattr(limits, name, 2)
    for name in ("CODES_PER_NETWORK", "TRIES_PER_NETWORK"):
        monkeypatch.setattr(limits, name, 3)
    visitors = [limits.ip_address(f"203.0.113.{n}") for n in (1, 1, 1, 2, 3)]
    assert [door(visitor, at=NOON) for visitor in visitors] == [True, True, False, True, False]
    assert door(limits.ip_address("198.51.100.1"), at=NOON)
    assert door(visitors[0], at=NOON + HOUR)
    assert door(None, at=NOON)


@pytest.mark.django_db
def test_a_count_that_lasts_for_years_is_kept(brand: Brand) -> None:
    take("ever", "ada", most=3, per=limits.EVER, at=NOON)
    take("door", "ada", most=3, per=HOUR, at=NOON)
    limits.forget(at=NOON + timedelta(days=3_000))
    assert [tally.until for tally in Tally.objects.all()] == [NOON + limits.EVER]
    Tally.objects.update(until=None)
    limits.forget(at=NOON + limits.KEPT + timedelta(seconds=1))
    assert Tally.objects.count() == 0


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("Ada@x.example", "ada@x.example"),
        ("ada+news@x.example", "ada@x.example"),
        ("a.d.a@x.example", "a.d.a@x.example"),
        ("A.d.a+1+2@googlemail.com", "ada@gmail.com"),
        ("+49@x.example", "+49@x.example"),
    ],
)
def test_one_mailbox_has_many_spellings(address: str, mailbox: str) -> None:
    """S16: for counting only."""
    assert addresses.mailbox(address) == mailbox
