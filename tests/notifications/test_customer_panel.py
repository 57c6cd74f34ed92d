""" "Did ACME get it?" on the customer's own page (R-803, R-804)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications import fanout, outbox
from notifications.admin import log, told
from notifications.admin.told import Told
from notifications.enums import Channel, Fate, Tier
from notifications.models import Announcement, Brand, Contact, Customer, Delivery
from notifications.outbox import Letter
from tests.notifications.news import letter, news, reader

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def console() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password=None))
    return client


@pytest.fixture
def acme() -> Customer:
    customer = Customer.objects.create(name="ACME Corporation", reference="C-7")
    Contact.objects.create(customer=customer, name="Carla", email="Carla@Example.org")
    reader("ann", customer=customer)
    reader("phone", channel=Channel.SMS, address="+12025550123", customer=customer)
    reader("stranger")
    return customer


def tell(**changes: Any) -> Announcement:
    announcement = news(**changes)
    fanout.expand(announcement.pk)
    return announcement


def page_of(customer: Customer) -> str:
    return reverse("admin:notifications_customer_change", args=[customer.pk])


def lines(incident: Told) -> list[tuple[str, str, str, int, int]]:
    return [(line.person, line.channel, line.words, line.messages, line.trouble) for line in incident.lines]


def test_each_person_of_theirs_by_incident_and_channel(console: Client, acme: Customer) -> None:
    reader("Carla", address="Carla@example.org")
    first = tell(lane="one")
    first.deliveries.filter(channel=Channel.EMAIL).update(fate=Fate.DEAD, settled_at=NOON)
    first.deliveries.filter(channel=Channel.SMS).update(fate=Fate.DELIVERED, settled_at=NOON)
    second = tell(lane="one")
    second.deliveries.filter(channel=Channel.EMAIL).update(fate=Fate.ACCEPTED, settled_at=NOON)
    tell(lane="two", reference="INC-2026-0043", title="Exports are late")
    letter("Carla@example.org", "stranger@example.org")
    letters, other, one = console.get(page_of(acme)).context["told"]
    assert (letters.title, lines(letters)) == (
        "Letters to one person",
        [("Carla@example.org", "E-mail", "Queued", 1, 0)],
    )
    assert (other.reference, other.title) == ("INC-2026-0043", "[Northwind] Investigating: Exports are late")
    assert lines(other) == [
        ("+12025550123", "SMS", "Queued", 1, 0),
        ("Carla@example.org", "E-mail", "Queued", 1, 0),
        ("ann@example.org", "E-mail", "Queued", 1, 0),
    ]
    assert lines(one) == [
        ("+12025550123", "SMS", "Queued", 2, 0),
        ("Carla@example.org", "E-mail", "Handed to relay", 2, 1),
        ("ann@example.org", "E-mail", "Handed to relay", 2, 1),
    ]
    assert [line.at for line in one.lines][1:] == [NOON, NOON]
    rows = console.get(one.url).context["cl"].result_list
    assert {row.announcement.lane for row in rows} == {"one"}
    assert len(rows) == 6


def test_news_and_letters_about_one_incident_stand_together(console: Client, acme: Customer) -> None:
    """R-803: a contact who subscribed as well got both; which is which is said, here and in the log."""
    reader("Carla", address="Carla@example.org")
    tell(lane="one")
    about = Letter("Card payments fail", ("You use this.",), reference="INC-2026-0042")
    with transaction.atomic():
        outbox.write_letters(
            [(about, ["Carla@example.org"])],
            subject="[Northwind] Investigating: Card payments fail",
            brand=Brand.objects.get(),
            lane="letters:one",
            over=False,
            at=timezone.now(),
        )
    [incident] = console.get(page_of(acme)).context["told"]
    assert incident.reference == "INC-2026-0042"
    assert [line for line in lines(incident) if line[0] == "Carla@example.org"] == [
        ("Carla@example.org", "E-mail", "Queued", 1, 0),
        ("Carla@example.org", "Letter", "Queued", 1, 0),
    ]
    log = console.get(incident.url)
    assert log.content.decode().count("Letter to a customer") == 1


def test_somebody_who_may_not_see_deliveries_sees_the_customer_alone(acme: Customer) -> None:
    tell()
    client, user = Client(), User.objects.create_user("support", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_customer"))
    client.force_login(user)
    assert "What we told them" not in client.get(page_of(acme)).content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    page = client.get(page_of(acme)).content.decode()
    assert "What we told them" in page
    assert "ann@example.org" not in page
    assert "a…@e….org" in page


def test_a_new_customer_heard_nothing_yet(console: Client) -> None:
    page = console.get(page_of(Customer.objects.create(name="New", reference="C-8")))
    assert page.context["told"] == []
    assert "Nothing yet. They hear from us once somebody of theirs subscribes." in page.content.decode()
    vip = console.get(page_of(Customer.objects.create(name="Vip", reference="C-9", tier=Tier.ENTERPRISE)))
    words = (
        "Nothing yet. Their contacts are written to when something they use is hurt, and the policy or a person says so"
    )
    assert words in vip.content.decode()
    assert console.get(reverse("admin:notifications_customer_add")).status_code == 200


def test_the_newest_are_shown_and_the_log_has_the_others(
    console: Client, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, lane in enumerate(("one", "two", "three")):
        tell(lane=lane, reference=f"INC-2026-004{number}")
    monkeypatch.setattr(told, "SHOWN", 4)
    for counted in (log.COUNTED, 1):
        monkeypatch.setattr(log, "COUNTED", counted)
        page = console.get(page_of(acme))
        assert [len(incident.reached) for incident in page.context["told"]] == [2, 2]
        assert page.context["told_more"] is True
    assert len(console.get(page.context["told_url"]).context["cl"].result_list) == 6


def test_it_costs_the_same_for_one_message_and_for_many(
    console: Client, acme: Customer, django_assert_num_queries: Callable[..., Any]
) -> None:
    tell()
    with django_assert_num_queries(6):
        told.panel(acme, whole=True)
    for number in range(30):
        reader(f"more{number}", customer=acme)
        tell(lane=f"lane{number}")
    assert Delivery.objects.count() > 400
    with django_assert_num_queries(6):
        told.panel(acme, whole=True)
