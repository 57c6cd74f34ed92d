"""The signed name of a delivery: in return addresses, and believed when it comes back (R-806)."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from notifications import delivery, fanout, verp
from notifications.models import Delivery
from tests.notifications.news import letter, news, readers
from tests.notifications.relay import Relay


@pytest.mark.parametrize("number", [1, 47, 2**31, 2**63 - 1])
def test_a_name_is_read_wherever_it_stands(number: int) -> None:
    name = verp.name(number)
    assert len(name) <= 37
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]{20}", name)
    for text in (name, name.upper(), f"bounces+{name}@status.example", f"<x> rfc822; Bounces+{name}@A.B, 2f-12"):
        assert verp.named(text) == number


@pytest.mark.parametrize(
    "spoil",
    [
        lambda name: "1" + name,
        lambda name: name[:-1],
        lambda name: name[:-1] + ("0" if name[-1] != "0" else "1"),
        lambda name: name + "0",
        lambda name: name.replace("-", ""),
        lambda name: f"ffffffffffffffff-{name.partition('-')[2]}",
        lambda name: "",
        lambda name: "-" * 5000,
    ],
)
def test_a_spoilt_name_is_nobodys(spoil) -> None:  # type: ignore[no-untyped-def]
    assert verp.named(spoil(verp.name(47))) is None


def test_the_first_good_name_counts() -> None:
    assert verp.named(f"{verp.name(1)[:-1]}x 2f-{'0' * 20} {verp.name(3)}") == 3


def test_a_name_of_a_former_key_is_good_and_of_another_key_is_not(settings: Settings) -> None:
    name, former = verp.name(47), settings.SECRET_KEY
    settings.SECRET_KEY = "a new key that is long enough for everybody"
    assert verp.named(name) is None
    settings.SECRET_KEY_FALLBACKS = [former]
    assert verp.named(name) == 47


@pytest.mark.django_db
def test_every_mail_has_a_return_address_of_its_own(settings: Settings, relay: Relay) -> None:
    settings.BOUNCE_ADDRESS = "bounces@northwind.example"
    readers(3)
    fanout.expand(news().pk)
    letter("new@example.org")
    with CaptureQueriesContext(connection) as queries:
        delivery.drain("news")
    delivery.drain("letters")
    rows = Delivery.objects.order_by("pk").values_list("pk", flat=True)
    assert [kept.sender for kept in relay.kept] == [f"bounces+{verp.name(pk)}@northwind.example" for pk in rows]
    assert [verp.named(kept.sender) for kept in relay.kept] == list(rows)
    # Nothing is looked up for it.
    settings.BOUNCE_ADDRESS = ""
    readers_again = news(lane="another")
    fanout.expand(readers_again.pk)
    with CaptureQueriesContext(connection) as without:
        delivery.drain("news")
    assert len(queries) == len(without)
    assert relay.kept[-1].sender == "status@northwind.example"


@pytest.mark.django_db
def test_the_mail_itself_knows_nothing_of_it(settings: Settings, relay: Relay) -> None:
    """Frozen as it was: a copy stays the same bytes, whatever the return address is."""
    readers(1)
    fanout.expand(news().pk)
    delivery.drain("news")
    settings.BOUNCE_ADDRESS = "bounces@northwind.example"
    Delivery.objects.update(fate="pending", attempts=0, copies=0)
    delivery.drain("news")
    first, second = relay.kept
    assert first.content == second.content
    assert first.sender != second.sender
