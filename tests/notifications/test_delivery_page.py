"""One message looked at closely: its moments, the provider's words, what was sent, and whose it is (R-804)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications import delivery, fanout
from notifications.admin import again
from notifications.admin.copies import Copy
from notifications.enums import Channel, Fate
from notifications.masking import masked
from notifications.models import Announcement, Delivery, Receipt, Rendering
from tests.notifications.news import letter, news, reader, readers
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db
LOG = "/admin/notifications/delivery/"


@pytest.fixture
def console() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password=None))
    return client


@pytest.fixture
def auditor() -> Client:
    """May look, and need not know whose messages they are (reliability.md 4.1)."""
    client, user = Client(), User.objects.create_user("auditor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_delivery", "view_announcement"]))
    client.force_login(user)
    return client


def told(**changes: Any) -> Announcement:
    announcement = news(**changes)
    fanout.expand(announcement.pk)
    return announcement


def page_of(row: Delivery) -> str:
    return reverse("admin:notifications_delivery_change", args=[row.pk])


def test_it_tells_what_happened_and_what_the_provider_said(console: Client) -> None:
    reader("ann")
    told()
    noon = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    Delivery.objects.update(
        fate=Fate.DELIVERED, created_at=noon, sent_at=noon, settled_at=noon, receipt="SM123", attempts=2, copies=1
    )
    row = Delivery.objects.get()
    for number, word in enumerate(("sent", "delivered")):
        Receipt.objects.create(
            source="twilio", event=f"SM123:{word}", word=word, delivery=row, at=noon + timedelta(seconds=number)
        )
    context = console.get(page_of(row)).context
    assert context["moments"] == [
        ("Written down", noon),
        ("Began to leave, the last time", noon),
        ("Came to its end", noon),
    ]
    assert dict(context["facts"]) == {
        "Update": "INC-2026-0042, message 1 of its thread",
        "Queue": "News by e-mail",
        "Tries": "2",
        "Copies that may have left": "1",
        "Provider's id": "SM123",
    }
    assert [(receipt.word, receipt.source) for receipt in context["receipts"]] == [
        ("sent", "twilio"),
        ("delivered", "twilio"),
    ]


def test_the_next_try_is_said_while_there_is_one(console: Client) -> None:
    reader("ann")
    told()
    later = timezone.now() + timedelta(minutes=10)
    Delivery.objects.update(next_at=later)
    row = Delivery.objects.get()
    assert ("Tried next", later) in console.get(page_of(row)).context["moments"]
    Delivery.objects.update(fate=Fate.DEAD)
    assert "Tried next" not in dict(console.get(page_of(row)).context["moments"])


# --- as it was sent ---------------------------------------------------------------------


def test_a_mail_is_shown_as_it_was_sent_without_anybodys_links(console: Client, relay: Relay) -> None:
    """The frame runs nothing; a link that works would let the reader act in the person's name."""
    reader("ann")
    told()
    delivery.drain("news")
    page = console.get(page_of(Delivery.objects.get()))
    copy = page.context["copy"]
    assert "We are on it. (0)" in copy.text
    assert "We are on it. (0)" in copy.html
    assert copy.language == "en"
    [sent] = relay.kept
    token = sent.content.decode().split("/subscriptions/unsubscribe/")[1].split(">")[0].split()[0]
    assert len(token) > 20
    assert token not in copy.text + copy.html
    frame = page.content.decode().split("<iframe")[1].split("</iframe>")[0]
    assert 'sandbox=""' in frame
    assert "<script" not in frame


def test_texts_posts_and_webhooks_are_shown_as_words_and_json(console: Client) -> None:
    body = {"page": {"id": "x"}, "incident": {"name": "Ärger"}}
    frozen = {
        Channel.SMS: (["Northwind: card payments fail."], "Northwind: card payments fail."),
        Channel.WEBHOOK: (
            [json.dumps(body)[:-1] + ', "unsubscribe": "', '"}'],
            json.dumps(body | {"unsubscribe": "…"}, indent=2, ensure_ascii=False),
        ),
        Channel.CHAT: (['{"title": "Investigating"}'], '{\n  "title": "Investigating"\n}'),
    }
    for channel in frozen:
        reader(channel, channel=channel, address=f"to {channel}")
    update = told()
    for channel, (parts, shown) in frozen.items():
        row = update.deliveries.get(channel=channel)
        assert console.get(page_of(row)).context["copy"].remark == (
            "Not written yet: it is frozen when the first one leaves."
        )
        Rendering.objects.create(
            announcement=update, channel=channel, language="en", parts=parts, slots=["x"] * (len(parts) - 1), sha256=""
        )
        assert console.get(page_of(row)).context["copy"].text == shown


def test_the_language_of_the_person_is_shown(console: Client) -> None:
    reader("ann", channel=Channel.SMS, address="+12025550123", language="de")
    update = told()
    for language in ("en", "de"):
        Rendering.objects.create(
            announcement=update, channel=Channel.SMS, language=language, parts=[language], slots=[], sha256=""
        )
    assert console.get(page_of(Delivery.objects.get())).context["copy"] == Copy("de", language="de")


def test_a_letter_is_not_shown_because_its_links_are_its_readers(console: Client, relay: Relay) -> None:
    """S18: whoever can read the log could confirm, or leave, in somebody's name."""
    letter("new@example.org")
    delivery.drain("letters")
    page = console.get(page_of(Delivery.objects.get()))
    assert (page.context["copy"].text, page.context["copy"].html) == ("", "")
    assert "https://status.example/c/1" not in page.content.decode()


# --- who sent it again --------------------------------------------------------------------


def test_who_asked_for_it_again_is_kept(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = readers(2)
    update = told()
    row = Delivery.objects.get(subscriber=ann)
    for _ in range(2):
        Delivery.objects.update(fate=Fate.UNCERTAIN)
        url = reverse("admin:notifications_delivery_send_again", args=[row.pk])
        console.post(url, {"_form_submitted": "on"})
    Delivery.objects.update(fate=Fate.DEAD)
    monkeypatch.setattr(again, "NAMED", 1)
    console.post(
        reverse("admin:notifications_delivery_update_again", args=[update.pk]), {"sure": "yes", "fate": "dead"}
    )
    whole = "Asked to send again. 2 failures of this update."

    def said(mine: Delivery) -> list[str]:
        return [entry.change_message for entry in console.get(page_of(mine)).context["sent_again"]]

    assert said(row) == ["Asked to send again.", "Asked to send again.", whole]
    assert said(Delivery.objects.get(subscriber=bob)) == [whole]
    assert {entry.user.username for entry in LogEntry.objects.select_related("user")} == {"root"}


# --- whose it is ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "channel", "shown"),
    [
        ("ann@example.org", Channel.EMAIL, "a…@e….org"),
        ("a@mail.example.co.uk", Channel.EMAIL, "a…@m….uk"),
        ("x@localhost", Channel.EMAIL, "x…@l…"),
        ("+4915112345678", Channel.SMS, "+49…78"),
        ("hooks.acme.example", Channel.WEBHOOK, "hooks…"),
        ("", Channel.EMAIL, ""),
    ],
)
def test_a_masked_address_can_be_compared_but_not_used(address: str, channel: Channel, shown: str) -> None:
    assert masked(address, channel) == shown


def test_who_need_not_know_sees_masked_addresses(auditor: Client, console: Client) -> None:
    reader("ann")
    told()
    row = Delivery.objects.get()
    for url in (LOG, page_of(row)):
        assert "ann@example.org" not in auditor.get(url).content.decode().replace("<wbr>", "")
        assert "a…@e….org" in auditor.get(url).content.decode().replace("<wbr>", "")
        assert "ann@example.org" in console.get(url).content.decode().replace("<wbr>", "")
    user = User.objects.get(username="auditor")
    user.user_permissions.add(Permission.objects.get(codename="view_address"))
    assert "ann@example.org" in auditor.get(page_of(row)).content.decode()


def test_who_need_not_know_finds_only_addresses_they_know(auditor: Client) -> None:
    """Letter by letter a search by beginnings would spell out every address."""
    reader("ann")
    reader("phone", channel=Channel.SMS, address="+12025550123")
    told()
    for guess in ("ann@", "to: a", "+1202555", "001202555"):
        assert len(auditor.get(LOG, {"q": guess}).context["cl"].result_list) == 0, guess
    for known in ("Ann@example.org", "to: ann@example.org", "+1 202 555 0123"):
        assert len(auditor.get(LOG, {"q": known}).context["cl"].result_list) == 1, known
    assert auditor.get(LOG, {"q": "ann@example.org"}).context["found"].meaning.words == "the address “ann@example.org”"


def test_who_was_erased_stays_unnamed(console: Client) -> None:
    reader("ann")
    told()
    person = Delivery.objects.get().subscriber
    assert person is not None
    person.erased_at = timezone.now()
    person.save()
    assert "erased" in console.get(page_of(Delivery.objects.get())).content.decode()


def test_a_page_costs_the_same_however_much_was_said(
    console: Client, django_assert_num_queries: Callable[..., Any]
) -> None:
    reader("ann")
    told()
    row = Delivery.objects.get()
    console.get(page_of(row))
    with django_assert_num_queries(14):
        console.get(page_of(row))
    for number in range(20):
        Receipt.objects.create(source="x", event=str(number), word="sent", delivery=row, at=timezone.now())
    with django_assert_num_queries(14):
        console.get(page_of(row))


def test_a_message_that_is_not_there(console: Client) -> None:
    for pk in ("999999", "nonsense", "9" * 30):
        assert console.get(f"{LOG}{pk}/change/").status_code == 302
