"""Sending failures again from the console: one, some, or all of an update (R-804, F23)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications import delivery, fanout
from notifications.admin import again
from notifications.enums import FAILURES, Channel, Fate
from notifications.models import Announcement, Delivery, Endpoint, Subscriber
from tests import scene
from tests.notifications.news import letter, news, reader, readers

pytestmark = pytest.mark.django_db
LOG = "/admin/notifications/delivery/"


@pytest.fixture
def console() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password=None))
    return client


def told(**changes: Any) -> Announcement:
    announcement = news(**changes)
    fanout.expand(announcement.pk)
    return announcement


def again_of(update: Announcement) -> str:
    return reverse("admin:notifications_delivery_update_again", args=[update.pk])


def fate_of(person: Subscriber) -> str:
    return Delivery.objects.get(subscriber=person).fate


def logged() -> list[tuple[str, str]]:
    return list(LogEntry.objects.order_by("pk").values_list("object_repr", "change_message"))


# --- who is kept back -------------------------------------------------------------------


def test_who_is_kept_back_is_counted_by_reason() -> None:
    """F12, F20, F23: and nobody is counted twice."""
    left, paused, fine, bounced = (reader(name) for name in ("left", "paused", "fine", "bounced"))
    hook = reader("hook", channel=Channel.WEBHOOK, address="hooks.example")
    Endpoint.objects.create(subscriber=hook, url="sealed", created_at=timezone.now(), quarantined_at=timezone.now())
    update = told()
    update.deliveries.update(fate=Fate.DEAD)
    update.deliveries.filter(subscriber=bounced).update(fate=Fate.BOUNCED)
    update.deliveries.filter(subscriber=paused).update(fate=Fate.ACCEPTED)
    Subscriber.objects.filter(pk=left.pk).update(unsubscribed_at=timezone.now())
    rows, now = Delivery.objects.all(), timezone.now()
    assert delivery.kept_back(rows, at=now) == {
        ("dead", delivery.LEFT): 1,
        ("dead", delivery.PAUSED): 1,
        ("dead", delivery.GOING): 1,
        ("bounced", delivery.GOING): 1,
    }
    assert delivery.kept_back(rows, at=now + timedelta(days=2)) == {
        ("dead", delivery.LEFT): 1,
        ("dead", delivery.PAUSED): 1,
        ("dead", delivery.EXPIRED): 1,
        ("bounced", delivery.EXPIRED): 1,
    }
    told()
    assert delivery.kept_back(update.deliveries.filter(subscriber=fine), at=now) == {("dead", delivery.OVERTAKEN): 1}


def test_a_webhook_that_is_sent_again_waits_for_its_turn() -> None:
    """F06: one at a time, in order, whoever asked for it."""
    hook = reader("hook", channel=Channel.WEBHOOK, address="hooks.example")
    Endpoint.objects.create(subscriber=hook, url="sealed", created_at=timezone.now())
    told()
    Delivery.objects.update(fate=Fate.DEAD, crashes=3)
    assert delivery.send_again(Delivery.objects.all(), by=scene.operator(), at=timezone.now()) == 1
    assert Delivery.objects.values_list("fate", "crashes").get() == ("blocked", 0)


def test_a_letter_is_sent_again_although_it_has_no_subscriber() -> None:
    letter("new@example.org")
    Delivery.objects.update(fate=Fate.UNCERTAIN)
    assert delivery.send_again(Delivery.objects.all(), by=scene.operator(), at=timezone.now()) == 1
    Delivery.objects.update(fate=Fate.UNCERTAIN, address="")
    assert delivery.send_again(Delivery.objects.all(), by=scene.operator(), at=timezone.now()) == 0


def test_thousands_are_sent_again_in_a_handful_of_statements(django_assert_max_num_queries: Callable[..., Any]) -> None:
    readers(3000)
    update = told()
    update.deliveries.update(fate=Fate.DEAD)
    by = scene.operator()
    # Two, and a savepoint around them.
    with django_assert_max_num_queries(4):
        assert delivery.send_again(update.deliveries.all(), by=by, at=timezone.now()) == 3000
    assert set(Delivery.objects.values_list("fate", "reason", "fence")) == {("pending", "Sent again by ann.", 1)}


# --- one --------------------------------------------------------------------------------


def test_one_failure_is_sent_again_from_its_page_but_not_by_a_mere_visit(console: Client) -> None:
    """An Unfold action without a dialog would act on a GET (stack.md)."""
    ann = reader("ann")
    told()
    Delivery.objects.update(fate=Fate.UNCERTAIN)
    row = Delivery.objects.get()
    url = reverse("admin:notifications_delivery_send_again", args=[row.pk])
    console.get(url)
    assert (fate_of(ann), logged()) == ("uncertain", [])
    console.post(url, {"_form_submitted": "on"})
    assert (fate_of(ann), logged()) == ("pending", [(f"Delivery {row.pk}", "Asked to send again.")])


def test_what_did_not_fail_is_not_offered_to_be_sent_again(console: Client) -> None:
    """A button that can only answer "no" is none; whoever opened the page before is told in words."""
    reader("ann")
    told()
    row = Delivery.objects.get()
    url = reverse("admin:notifications_delivery_send_again", args=[row.pk])
    page = reverse("admin:notifications_delivery_change", args=[row.pk])
    for fate in Fate:
        Delivery.objects.update(fate=fate)
        assert (url in console.get(page).content.decode()) is (fate in FAILURES), fate
    Delivery.objects.update(fate=Fate.ACCEPTED)
    assert console.post(url, {"_form_submitted": "on"}).status_code == 200
    assert Delivery.objects.get().fate == Fate.ACCEPTED


def test_who_may_only_look_cannot_send(console: Client) -> None:
    ann = reader("ann")
    update = told()
    Delivery.objects.update(fate=Fate.DEAD)
    url = reverse("admin:notifications_delivery_send_again", args=[Delivery.objects.get().pk])
    stranger, viewer = Client(), Client()
    stranger.force_login(User.objects.create_user("stranger", is_staff=True))
    reading = User.objects.create_user("viewer", is_staff=True)
    reading.user_permissions.set(Permission.objects.filter(codename="view_delivery"))
    viewer.force_login(reading)
    assert (stranger.get(LOG).status_code, viewer.get(LOG).status_code) == (403, 200)
    for client in (stranger, viewer):
        assert client.post(url, {"_form_submitted": "on"}).status_code == 403
        assert client.get(again_of(update)).status_code == 403
        assert client.post(again_of(update), {"sure": "yes", "fate": "dead"}).status_code == 403
    assert "Send failures again" not in viewer.get(LOG, {"announcement": update.pk}).content.decode()
    assert fate_of(ann) == "dead"


# --- some -------------------------------------------------------------------------------


def test_chosen_failures_are_sent_again_after_a_look(console: Client) -> None:
    """R-804: a selection is shown first; only the failed ones of it go."""
    first, second, third = readers(3)
    told()
    Delivery.objects.filter(subscriber=first).update(fate=Fate.DEAD)
    Delivery.objects.filter(subscriber=second).update(fate=Fate.BOUNCED)
    rows = list(Delivery.objects.values_list("pk", flat=True))
    chosen = {"action": "send_chosen_again", "_selected_action": rows}
    look = console.post(LOG, chosen)
    assert [(offer.fate, offer.going, offer.ticked) for offer in look.context["offers"]] == [
        (Fate.DEAD, 1, True),
        (Fate.BOUNCED, 1, False),
    ]
    assert (fate_of(first), fate_of(second), fate_of(third)) == ("dead", "bounced", "pending")
    answer = console.post(LOG, chosen | {"sure": "yes", "fate": ["dead"]}, follow=True)
    assert [str(message) for message in answer.context["messages"]] == ["1 queued again."]
    assert (fate_of(first), fate_of(second), fate_of(third)) == ("pending", "bounced", "pending")
    assert Delivery.objects.get(subscriber=first).reason == "Sent again by root."
    assert Delivery.objects.filter(fence=1).count() == 1


def test_all_that_a_search_found_can_be_chosen(console: Client) -> None:
    readers(120)
    told()
    Delivery.objects.update(fate=Fate.DEAD)
    rows = [str(Delivery.objects.first().pk)]  # type: ignore[union-attr]  # there is one
    chosen = {"action": "send_chosen_again", "_selected_action": rows, "select_across": "1", "fate": ["dead"]}
    console.post(f"{LOG}?q=r0000", chosen | {"sure": "yes"})
    assert Delivery.objects.filter(fate=Fate.PENDING).count() == 10


def test_nothing_chosen_that_failed_is_said(console: Client) -> None:
    reader("ann")
    told()
    chosen = {"action": "send_chosen_again", "_selected_action": [str(Delivery.objects.get().pk)]}
    page = console.post(LOG, chosen)
    assert page.context["offers"] == []
    assert "Nothing here can be sent again" in page.content.decode()
    answer = console.post(LOG, chosen | {"sure": "yes", "fate": ["pending", "accepted"]}, follow=True)
    assert [str(message)[:21] for message in answer.context["messages"]] == ["None not sent again: "]


# --- all of an update ---------------------------------------------------------------------


def test_all_failures_of_an_update_after_a_look(console: Client) -> None:
    first, second, third, fourth = readers(4)
    update, other = told(), told(lane="other")
    for person, fate in ((first, Fate.DEAD), (second, Fate.UNCERTAIN), (third, Fate.DEAD)):
        update.deliveries.filter(subscriber=person).update(fate=fate)
    other.deliveries.update(fate=Fate.DEAD)
    Subscriber.objects.filter(pk=third.pk).update(unsubscribed_at=timezone.now())
    look = console.get(again_of(update))
    assert [(offer.fate, offer.going) for offer in look.context["offers"]] == [(Fate.DEAD, 1), (Fate.UNCERTAIN, 1)]
    assert look.context["kept"] == [("left, or never confirmed", "1")]
    answer = console.post(again_of(update), {"sure": "yes", "fate": ["dead", "uncertain"]})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{LOG}?announcement={update.pk}")
    assert {row.subscriber_id: row.fate for row in update.deliveries.all()} == {
        first.pk: "pending",
        second.pk: "pending",
        third.pk: "dead",
        fourth.pk: "pending",
    }
    assert set(other.deliveries.values_list("fate", flat=True)) == {"dead"}


def test_nothing_is_sent_without_a_tick_or_for_an_update_that_is_not_there(console: Client) -> None:
    ann = reader("ann")
    update = told()
    Delivery.objects.update(fate=Fate.DEAD)
    answer = console.post(again_of(update), {"sure": "yes"})
    assert (answer.status_code, answer.context["mistake"]) == (422, "Tick at least one.")
    assert console.post(again_of(update), {"fate": "dead"}).status_code == 200
    assert console.get(f"{LOG}again/999999/").status_code == 404
    assert fate_of(ann) == "dead"


def test_only_bounced_ones_are_ticked_when_there_is_nothing_else(console: Client) -> None:
    reader("ann")
    update = told()
    Delivery.objects.update(fate=Fate.BOUNCED)
    assert [offer.ticked for offer in console.get(again_of(update)).context["offers"]] == [True]


def test_a_great_many_are_sent_by_whoever_types_how_many(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """F23: and they are logged by their update, with their number, not one by one."""
    monkeypatch.setattr(again, "TYPED_BACK", 2)
    monkeypatch.setattr(again, "NAMED", 2)
    readers(4)
    update = told()
    Delivery.objects.filter(pk__in=list(Delivery.objects.values_list("pk", flat=True)[:3])).update(fate=Fate.DEAD)
    assert console.get(again_of(update)).context["typed_back"] is True
    for typed in ("", "2", "yes"):
        answer = console.post(again_of(update), {"sure": "yes", "fate": "dead", "typed": typed})
        assert (answer.status_code, answer.context["mistake"]) == (
            422,
            "These are 3 messages: type that number to go on.",
        )
    assert Delivery.objects.filter(fate=Fate.DEAD).count() == 3
    console.post(again_of(update), {"sure": "yes", "fate": "dead", "typed": " 3 "})
    assert Delivery.objects.filter(fate=Fate.DEAD).count() == 0
    assert logged() == [(update.subject, "Asked to send again. 3 failures of this update.")]
