"""The delivery log as an operator uses it (R-804, R-1201)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notifications import fanout
from notifications.enums import Channel, Fate
from notifications.models import Announcement, Delivery
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
    assert f'title="{settled:%Y-%m-%d %H:%M:%S} UTC">{words}</time>' in console.get(LOG).content.decode()


def test_one_channel_needs_no_column(console: Client) -> None:
    readers(1)
    told()
    response = console.get(LOG)
    assert len(Channel) == 1  # the column and its filter come back with the second
    assert response.context["cl"].list_display[1:] == [
        "person",
        "message",
        "fate_in_words",
        "reason",
        "queued",
        "settled",
    ]
    assert [spec.title for spec in response.context["cl"].filter_specs] == ["fate", "update"]
    assert console.get(LOG, {"channel__exact": "email"}).status_code in (200, 302)


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("ann@", ["ann@example.org"]),
        ("ANN@EXAMPLE.ORG", ["ann@example.org"]),
        ("new@example.org", ["new@example.org"]),
        ("INC-2026-0042", ["ann@example.org", "bob@example.org"]),
        ("card payments", ["ann@example.org", "bob@example.org"]),
        ("nobody@", []),
        ("bo", ["bob@example.org"]),
    ],
)
def test_searching(console: Client, term: str, found: list[str]) -> None:
    reader("ann")
    reader("bob")
    told()
    letter("new@example.org")
    assert shown(console.get(LOG, {"q": term})) == found


def test_filtering_by_fate_and_update(console: Client) -> None:
    readers(3)
    one = told()
    told(lane="two")
    Delivery.objects.filter(announcement=one, subscriber__address__startswith="r00001").update(fate=Fate.DEAD)
    assert shown(console.get(LOG, {"fate__exact": "dead"})) == ["r00001@example.org"]
    assert len(shown(console.get(LOG, {"announcement": one.pk}))) == 3
    assert len(shown(console.get(LOG, {"announcement": "x"}))) == 6


def test_the_log_costs_the_same_however_long_it_is(console: Client, django_assert_max_num_queries: object) -> None:
    """Constant queries, and never a count of the whole table."""
    readers(60)
    told()
    with django_assert_max_num_queries(8) as seen:  # type: ignore[operator]
        console.get(LOG)
    counts = [query["sql"] for query in seen.captured_queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 10001" in sql for sql in counts)


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


def test_failures_are_sent_again_after_a_look(console: Client) -> None:
    """R-804: a selection is shown first; only the failed ones of it go."""
    readers(3)
    told()
    Delivery.objects.filter(subscriber__address__startswith="r00000").update(fate=Fate.DEAD)
    chosen = {"action": "send_chosen_again", "_selected_action": list(Delivery.objects.values_list("pk", flat=True))}
    look = console.post(LOG, chosen)
    assert "1 message will be sent again" in look.content.decode()
    assert Delivery.objects.filter(fate=Fate.DEAD).count() == 1
    console.post(LOG, chosen | {"sure": "yes"}, follow=True)
    row = Delivery.objects.get(subscriber__address__startswith="r00000")
    assert (row.fate, row.reason) == ("pending", "Sent again by root.")
    assert Delivery.objects.filter(fence=1).count() == 1


def test_one_failure_is_sent_again_from_its_page_but_not_by_a_mere_visit(console: Client) -> None:
    """An Unfold action without a dialog would act on a GET (stack.md)."""
    reader("ann")
    told()
    Delivery.objects.update(fate=Fate.BOUNCED)
    row = Delivery.objects.get()
    url = reverse("admin:notifications_delivery_send_again", args=[row.pk])
    console.get(url)
    assert Delivery.objects.get().fate == "bounced"
    console.post(url, {"_form_submitted": "on"})
    assert Delivery.objects.get().fate == "pending"


def test_who_may_only_look_cannot_send(console: Client) -> None:
    reader("ann")
    told()
    Delivery.objects.update(fate=Fate.DEAD)
    viewer = Client()
    viewer.force_login(User.objects.create_user("viewer", is_staff=True))
    url = reverse("admin:notifications_delivery_send_again", args=[Delivery.objects.get().pk])
    assert viewer.get(LOG).status_code == 403
    assert viewer.post(url, {"_form_submitted": "on"}).status_code == 403
    assert Delivery.objects.get().fate == "dead"
