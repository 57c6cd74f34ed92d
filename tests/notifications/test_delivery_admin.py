"""The delivery log as an operator uses it (R-804, R-1201)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from notifications import fanout
from notifications.admin import log
from notifications.admin.log import UpdateFilter
from notifications.enums import Channel, Fate
from notifications.models import Announcement, Contact, Customer, Delivery, Endpoint
from tests.notifications.news import letter, news, reader, readers

pytestmark = pytest.mark.django_db
LOG = "/admin/notifications/delivery/"


@pytest.fixture
def console() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password=None))
    return client


def told(**changes: object) -> Announcement:
    announcement = news(**changes)  # type: ignore[arg-type]
    fanout.expand(announcement.pk)
    return announcement


def shown(response: object) -> list[str]:
    return sorted(row.address or row.subscriber.address for row in response.context["cl"].result_list)  # type: ignore[attr-defined]


def test_the_log_says_what_became_of_each_message(console: Client) -> None:
    """reliability.md 3.4: words never claim more than we know."""
    readers(2)
    told()
    Delivery.objects.filter(subscriber__address__startswith="r00000").update(fate=Fate.ACCEPTED)
    page = console.get(LOG).content.decode()
    assert "Handed to relay" in page
    assert "Queued" in page
    assert "[Northwind] Investigating: Card payments fail" in page
    assert '<span class="hg-dot" data-level="green">Handed to relay</span>' in page
    assert '<span class="hg-dot" data-level="blue">Queued</span>' in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "after 0 s"),
        (59, "after 59 s"),
        (60, "after 1 min"),
        (3_599, "after 59 min"),
        (7_200, "after 2 h"),
        (86_400, "after 1 d"),
    ],
)
def test_a_line_says_how_long_it_took(console: Client, seconds: int, words: str) -> None:
    readers(1)
    told()
    row = Delivery.objects.get()
    settled = row.created_at + timedelta(seconds=seconds)
    Delivery.objects.update(fate=Fate.ACCEPTED, settled_at=settled)
    assert f'title="{settled:%Y-%m-%d %H:%M:%S} UTC">{words}</time></small>' in console.get(LOG).content.decode()


# --- the search: "did ACME get it?" ---------------------------------------------------


@pytest.fixture
def audience() -> None:
    """Ann and Bob are subscribers; Ann and a phone are ACME's, and so is a contact who got a letter."""
    acme = Customer.objects.create(name="ACME Corporation", reference="C-7")
    reader("Ann.Smith", customer=acme)
    reader("bob")
    reader("phone", channel=Channel.SMS, address="+12025550123", customer=acme)
    Contact.objects.create(customer=acme, name="Carla", email="Carla@EXAMPLE.org")
    told()
    letter("Carla@example.org")


ANN, BOB, PHONE, CARLA = "Ann.Smith@example.org", "bob@example.org", "+12025550123", "Carla@example.org"
NEWS = sorted([ANN, BOB, PHONE])


@pytest.mark.usefixtures("audience")
@pytest.mark.parametrize(
    ("term", "found", "understood"),
    [
        ("ann.s", [ANN], "addresses that begin with “ann.s”"),
        ("ANN.SMITH@EXAMPLE.ORG", [ANN], "addresses that begin with “ANN.SMITH@EXAMPLE.ORG”"),
        ("carla@", [CARLA], "addresses that begin with “carla@”"),
        ("bo", [BOB], "addresses that begin with “bo”"),
        ("+1 (202) 555-0123", [PHONE], "the number +12025550123"),
        ("001 202 5550123", [PHONE], "addresses that begin with “+12025550123”"),
        ("202-555-0123", [PHONE], "the number +12025550123"),
        ("+1202555", [PHONE], "addresses that begin with “+1202555”"),
        ("acme", [ANN, PHONE, CARLA], "people of ACME Corporation"),
        ("c-7", [ANN, PHONE, CARLA], "people of ACME Corporation"),
        ("INC-2026-0042", NEWS, "messages about INC-2026-0042"),
        ("inc-2026-0042 acme", [ANN, PHONE], "messages about INC-2026-0042: people of ACME Corporation"),
        ("acme INC-2026-0042", [ANN, PHONE], "messages about INC-2026-0042: people of ACME Corporation"),
        ("INC-2026-0042 nobody at all", [], None),
        ("card payments", NEWS, "updates whose subject says “card payments”"),
        ("subject: Card", NEWS, "updates whose subject says “Card”"),
        ("to: bob", [BOB], "addresses that begin with “bob”"),
        ("customer: bob", [], None),
        ("customer:", [], None),
        ("Confirm your", [], None),
        ("nobody@", [], None),
        ("INC-2026-9999", [], None),
    ],
)
def test_searching(console: Client, term: str, found: list[str], understood: str | None) -> None:
    """Letters are found by whom they went to, news by their words too; the screen says how it understood."""
    page = console.get(LOG, {"q": term})
    assert shown(page) == sorted(found)
    meaning = page.context["found"].meaning
    assert (meaning.words if meaning else None) == understood


def test_an_empty_log_says_whether_it_was_asked_for_too_much(console: Client) -> None:
    assert "There are no deliveries." in console.get(LOG).content.decode()
    assert "Nothing matches" in console.get(LOG, {"q": "nobody"}).content.decode()
    asked = console.get(LOG, {"channel__exact": "sms"}).content.decode()
    assert "There may be deliveries that you did not ask for." in asked
    assert "Show all</a>" in asked


@pytest.mark.usefixtures("audience")
def test_what_else_a_search_could_mean_is_one_click_away(console: Client) -> None:
    Announcement.objects.filter(kind="incident").update(subject="ACME gateway fails")
    page = console.get(LOG, {"q": "INC-2026-0042 acme"})
    others = page.context["found_others"]
    assert [name for name, _ in others] == ["addresses", "endpoints", "subjects"]
    assert shown(console.get(others[2][1])) == NEWS
    assert shown(console.get(others[0][1])) == []


def test_an_endpoint_is_found_by_its_name(console: Client) -> None:
    person = reader("hook", channel=Channel.WEBHOOK, address="hooks.acme.example")
    Endpoint.objects.create(subscriber=person, name="Payments room", url="sealed", created_at=timezone.now())
    told()
    assert shown(console.get(LOG, {"q": "payments room"})) == ["hooks.acme.example"]
    assert shown(console.get(LOG, {"q": "hooks."})) == ["hooks.acme.example"]


def test_numbers_are_read_as_at_home_in_each_country_we_text(console: Client, settings: Settings) -> None:
    settings.PHONE_REGION, settings.SMS_COUNTRIES = "US", ["US", "DE"]
    reader("phone", channel=Channel.SMS, address="+4915112345678")
    told()
    for typed in ("0151 12345678", "+49 151 1234 5678", "0049 (0)151/12345678", "+49151"):
        assert shown(console.get(LOG, {"q": typed})) == ["+4915112345678"], typed


# --- filters ---------------------------------------------------------------------------


def test_filtering_by_what_became_of_it(console: Client) -> None:
    readers(6)
    told()
    given = (Fate.ACCEPTED, Fate.DEAD, Fate.UNCERTAIN, Fate.BOUNCED, Fate.SUPPRESSED)
    for number, fate in enumerate(given):
        Delivery.objects.filter(subscriber__address=f"r{number:05}@example.org").update(
            fate=fate, settled_at=timezone.now()
        )

    def having(fate: str) -> list[int]:
        return [int(address[1:6]) for address in shown(console.get(LOG, {"fate": fate}))]

    assert (having("gone"), having("trouble"), having("left-out")) == ([0], [1, 2, 3], [4])
    assert (having("waiting"), having("dead-letters"), having("nonsense")) == ([5], [1, 2], [0, 1, 2, 3, 4, 5])
    Delivery.objects.filter(fate=Fate.DEAD).update(settled_at=timezone.now() - timedelta(days=8))
    assert having("dead-letters") == [2]
    assert (having("dead"), having("uncertain"), having("bounced"), having("superseded")) == ([1], [2], [3], [])
    Delivery.objects.filter(fate=Fate.SUPPRESSED).update(reason="Overtaken by update 2.")
    Delivery.objects.filter(fate=Fate.ACCEPTED).update(fate=Fate.DELIVERED)
    assert (having("superseded"), having("left-out"), having("delivered")) == ([4], [4], [0])
    offered = console.get(LOG).content.decode()
    for words in ("Delivered (confirmed)", "Bounced", "Failed", "Unknown", "Superseded"):
        assert f">{words}</option>" in " ".join(offered.split()).replace("> ", ">").replace(" <", "<"), words


def test_filtering_by_update_incident_channel_customer_and_time(console: Client) -> None:
    acme = Customer.objects.create(name="ACME Corporation", reference="C-7")
    reader("ann", customer=acme)
    reader("phone", channel=Channel.SMS, address="+12025550123")
    one = told()
    two = told(lane="two", reference="INC-2026-0043", at=timezone.now() - timedelta(minutes=30))
    assert shown(console.get(LOG, {"announcement": one.pk})) == ["+12025550123", "ann@example.org"]
    assert shown(console.get(LOG, {"announcement": one.pk, "channel__exact": "sms"})) == ["+12025550123"]
    assert len(shown(console.get(LOG, {"announcement": "x"}))) == 4
    by_incident = console.get(LOG, {"incident": " inc-2026-0043 "})
    assert [row.announcement_id for row in by_incident.context["cl"].result_list] == [two.pk] * 2
    assert shown(console.get(LOG, {"incident": "INC-1999-0001"})) == []
    assert shown(console.get(LOG, {"customer": "acme"})) == ["ann@example.org"] * 2
    assert shown(console.get(LOG, {"customer": "C-7", "incident": "INC-2026-0043"})) == ["ann@example.org"]
    assert shown(console.get(LOG, {"customer": "nobody"})) == []


def test_filtering_by_time_is_in_utc_and_a_date_begins_its_day(console: Client) -> None:
    reader("ann", confirmed_at=datetime(2026, 1, 1, tzinfo=UTC))
    days = [told(lane=str(day), at=datetime(2026, 11, day, 23, 30, tzinfo=UTC)) for day in (10, 11, 12)]

    def between(**moments: str) -> list[int]:
        asked = {f"created_at_{name}": moment for name, moment in moments.items()}
        return [row.announcement_id for row in console.get(LOG, asked).context["cl"].result_list]

    first, second, third = (day.pk for day in days)
    assert between(from_0="2026-11-11") == [third, second]
    assert between(from_0="2026-11-10", to_0="2026-11-11") == [first]
    assert between(from_0="2026-11-10", from_1="23:30:01", to_0="2026-11-12", to_1="23:30:00") == [second]
    assert between(from_0="nonsense", to_0="2026-11-31") == [third, second, first]
    assert between(from_0="2030-01-01") == []
    assert between(to_0="1999-01-01") == []


def test_the_chosen_update_says_how_far_it_is(console: Client) -> None:
    readers(2)
    one = told()
    one.deliveries.filter(subscriber__address__startswith="r00000").update(fate=Fate.DEAD)
    page = console.get(LOG, {"announcement": one.pk})
    assert page.context["update"].trouble == 1
    assert reverse("admin:notifications_delivery_update_again", args=[one.pk]) in page.content.decode()
    assert console.get(LOG).context["update"] is None


def test_the_filter_of_updates_offers_news_and_keeps_an_old_one_that_is_asked_for(console: Client) -> None:
    reader("ann")
    old = told(lane="old")
    letter("new@example.org")
    for number in range(log._RECENT):
        news(lane=f"n{number}")

    def offered(**asked: object) -> list[str]:
        found = UpdateFilter(RequestFactory().get(LOG, asked), {}, Delivery, None)  # type: ignore[arg-type]
        return [pk for pk, _ in found.lookup_choices]

    assert len(offered()) == log._RECENT
    assert str(old.pk) not in offered()
    assert offered(announcement=old.pk)[-1] == str(old.pk)
    assert not Announcement.objects.filter(kind="letter", pk__in=offered()).exists()


def test_who_has_it_is_shown_from_where_they_are(console: Client) -> None:
    """Of a big update that is under way the first have it and the last wait: neither page walks past the others."""
    readers(3)
    one = told()
    Delivery.objects.filter(subscriber__address__startswith="r00002").update(fate=Fate.SUPPRESSED)
    Delivery.objects.exclude(fate=Fate.SUPPRESSED).update(fate=Fate.ACCEPTED)
    rows = console.get(LOG, {"announcement": one.pk, "fate": "gone"}).context["cl"].result_list
    assert [row.subscriber.address for row in rows] == ["r00000@example.org", "r00001@example.org"]
    rows = console.get(LOG).context["cl"].result_list
    assert [row.subscriber.address for row in rows] == [f"r0000{n}@example.org" for n in (2, 1, 0)]


def test_the_log_costs_the_same_however_long_it_is(
    console: Client, django_assert_num_queries: Callable[..., Any]
) -> None:
    """Constant queries, and never a count of the whole table."""
    readers(60)
    told()
    # session, user, the side's numbers, count, the updates of the filter, rows, their updates, their people
    with django_assert_num_queries(8) as seen:
        console.get(LOG)
    counts = [query["sql"] for query in seen.captured_queries if "COUNT(*)" in query["sql"]]
    assert counts
    assert all("LIMIT 10001" in sql for sql in counts)
    one = Announcement.objects.get()
    for asked, queries in (({"q": "r0"}, 11), ({"fate": "waiting"}, 8), ({"announcement": one.pk}, 10)):
        with django_assert_num_queries(queries):
            console.get(LOG, asked)


def test_nothing_can_be_typed_over(console: Client) -> None:
    reader("ann")
    told()
    row = Delivery.objects.get()
    url = reverse("admin:notifications_delivery_change", args=[row.pk])
    page = console.get(url)
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    console.post(url, {"fate": "accepted", "reason": "hm"})
    assert (Delivery.objects.get().fate, Delivery.objects.get().reason) == ("pending", "")
    assert console.get(f"{LOG}add/").status_code == 403
    assert console.post(url.replace("change", "delete")).status_code == 403
