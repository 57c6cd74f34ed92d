"""Nobody's mailbox is bombed through the subscribe form, and nobody can see the limits (S15, S16, S29, S41)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from notifications import limits, subscriptions
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
]


@pytest.mark.parametrize(("proxies", "remote", "forwarded", "found"), VISITORS)
def test_who_the_visitor_is(settings: Settings, proxies: int, remote: str, forwarded: str | None, found: str) -> None:
    """The first of X-Forwarded-For is what the visitor wrote: it is never believed."""
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers)
    assert str(limits.visitor_of(request)) == found


@pytest.mark.django_db
def test_a_mailbox_cannot_be_bombed(brand: Brand) -> None:
    """S16, a drill: 10,000 submissions for one address from 2,000 visitors, a worker always at hand: one letter."""
    for n in range(10_000):
        at = NOON + timedelta(milliseconds=50 * n)
        visitor = limits.ip_address(f"{11 + n % 40}.{n // 40 % 50}.0.1")
        if limits.may_sign_up(visitor, "ada@x.example", at=at):
            subscriptions.ask("ada@x.example", Choice(), at=at, network=limits.network(visitor))
        if n % 50 == 0:
            subscriptions.answer(at=at)
    assert (Delivery.objects.count(), Subscriber.objects.count()) == (1, 1)
