"""Phones, webhooks, rooms and codes on the subscription pages, as their owners and as strangers meet them
(R-802, S15, S17, S18, S19)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import time, timedelta
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from notifications import codes, delivery, limits, optouts, subscriptions, tokens
from notifications.choices import Choice
from notifications.enums import Channel, Fate, Pool
from notifications.forms import SubscribeForm
from notifications.models import Announcement, Brand, Code, Delivery, Endpoint, Follow, SignUp, Subscriber, Topic
from tests.notifications.carrier import Carrier
from tests.notifications.receiver import Receiver
from tests.notifications.rooms import SLACK, Rooms
from tests.notifications.test_erasure import everywhere
from tests.status.html import outline

pytestmark = pytest.mark.django_db

ADA, ANN = "ada@analytical.example", "+12125550101"
FORM, TEXTS, CODE, ASK = (f"/subscriptions/{page}" for page in ("subscribe", "subscribe/sms", "code", "manage"))
CHOICE = {"scope": "all", "wants_incidents": "on", "wants_maintenance": "on", "least_rank": "4"}
HOOK = "https://hooks.customer.example/status?key=secret"
#: What the page of an incident hands to the form.
LANE, NAME = "notice:abcdefghijkl", "Card payments fail"


def answer() -> None:
    subscriptions.answer(at=timezone.now())


def last_text() -> str:
    return str(Delivery.objects.filter(pool=Pool.CODES).latest("pk").announcement.content["sms"])


def last_letter() -> dict[str, Any]:
    return dict(Announcement.objects.filter(deliveries__pool=Pool.LETTERS).latest("pk").content)


def enter(visitor: Client, code: str, purpose: str, address: str = ANN, channel: str = "sms") -> HttpResponse:
    return visitor.post(CODE, {"channel": channel, "purpose": purpose, "address": address, "code": code})  # type: ignore[return-value]


def by_phone(number: str = ANN, **changes: Any) -> Subscriber:
    at = timezone.now() - timedelta(hours=1)
    facts = {"channel": Channel.SMS, "address": number, "created_at": at, "confirmed_at": at}
    return Subscriber.objects.create(**(facts | changes))


def visit(subscriber: Subscriber) -> str:
    return f"/subscriptions/manage/{tokens.make(subscriber, tokens.MANAGE, life=tokens.VISIT)}"


# --- phones ---------------------------------------------------------------------------


def test_a_phone_is_subscribed_by_the_code_that_was_texted(visitor: Client, brand: Brand, carrier: Carrier) -> None:
    """R-802, from the form over the worker and Twilio's interface to the first news."""
    asked = visitor.post(TEXTS, CHOICE | {"address": "(212) 555-0101", "least_rank": "2"})
    assert (asked.status_code, b"Enter the code" in asked.content) == (200, True)
    answer()
    delivery.drain(Pool.CODES)
    (text,) = carrier.kept
    assert text.to == ANN
    assert Subscriber.objects.active().count() == 0

    done = enter(visitor, text.body[:6], codes.CONFIRM)
    assert (done.status_code, b"You are subscribed" in done.content) == (200, True)
    ann = Subscriber.objects.active().get()
    assert (ann.channel, ann.address, Choice.of(ann)) == (Channel.SMS, ANN, Choice(least_rank=2))
    assert ann.consent_source == "Sign-up form, confirmed by a code sent there"
    again = enter(visitor, text.body[:6], codes.CONFIRM)
    assert (again.status_code, b"was used already" in again.content) == (422, True)
    assert visitor.cookies == {}


def test_whatsapp_is_proved_by_a_code_by_sms(
    visitor: Client, brand: Brand, carrier: Carrier, settings: Settings
) -> None:
    settings.TWILIO = settings.TWILIO | {"whatsapp_from": "+15005550007"}
    visitor.post("/subscriptions/subscribe/whatsapp", CHOICE | {"address": ANN})
    answer()
    row = Delivery.objects.get()
    assert (row.channel, row.pool) == (Channel.SMS, Pool.CODES)
    enter(visitor, last_text()[:6], codes.CONFIRM, channel="whatsapp")
    assert [(each.channel, each.address) for each in Subscriber.objects.active()] == [(Channel.WHATSAPP, ANN)]


def test_what_is_off_is_not_offered(visitor: Client, brand: Brand) -> None:
    page = visitor.get(FORM).content.decode()
    assert ("/subscribe/sms" in page, "/subscribe/webhook" in page) == (False, True)
    for channel in ("sms", "whatsapp", "social", "email.php"):
        for answered in (
            visitor.get(f"{FORM}/{channel}"),
            visitor.post(f"{FORM}/{channel}", CHOICE | {"address": ANN}),
        ):
            assert (answered.status_code, b"Not offered here" in answered.content) == (404, True)
    assert SignUp.objects.count() == 0
    assert b"mobile number" not in visitor.get(ASK).content


def test_what_is_on_is_offered_as_a_tab(visitor: Client, brand: Brand, carrier: Carrier) -> None:
    page = visitor.get(TEXTS).content.decode()
    assert '<a href="/subscriptions/subscribe/sms" aria-current="page">Text message</a>' in page
    assert ('autocomplete="tel"' in page, "send START first" in page) == (True, True)
    # texts begin with the worst only.
    assert 'name="least_rank" value="1" checked' in page
    assert 'name="wants_maintenance">' in page


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Enter your mobile number"),
        ("+1 212 555", "too short"),
        ("+1 900 555 0101", "premium-rate"),
        ("+49 151 12345678", "cannot be sent to this country"),
        ("911", "Short codes"),
        ("ada@x.example", "does not look like a phone number"),
    ],
)
def test_a_bad_number_is_told_at_its_field(
    visitor: Client, brand: Brand, carrier: Carrier, typed: str, said: str
) -> None:
    page = visitor.post(TEXTS, CHOICE | {"address": typed})
    assert (page.status_code, SignUp.objects.count()) == (422, 0)
    assert [name for name, _ in page.context["form"].complaints] == ["address"]
    assert said in page.context["form"].complaints[0][1]


def test_a_phone_that_said_stop_hears_nothing_and_nobody_sees_it(
    visitor: Client, brand: Brand, carrier: Carrier
) -> None:
    """S19: only START from the phone itself ends a STOP; the page says the same as ever."""
    usual = visitor.post(TEXTS, CHOICE | {"address": ANN}).content
    SignUp.objects.all().delete()
    optouts.stop(ANN, at=timezone.now())
    assert visitor.post(TEXTS, CHOICE | {"address": ANN}).content == usual
    answer()
    assert (Delivery.objects.count(), Code.objects.count()) == (0, 0)
    optouts.start(ANN, Channel.SMS, at=timezone.now())
    visitor.post(TEXTS, CHOICE | {"address": ANN})
    answer()
    assert Delivery.objects.count() == 1


def test_a_stop_between_code_and_entry_holds(visitor: Client, brand: Brand, carrier: Carrier) -> None:
    visitor.post(TEXTS, CHOICE | {"address": ANN})
    answer()
    code = last_text()[:6]
    optouts.stop(ANN, at=timezone.now())
    page = enter(visitor, code, codes.CONFIRM)
    assert (page.status_code, b"Send START first" in page.content) == (404, True)
    assert Subscriber.objects.active().count() == 0


def test_who_is_subscribed_already_sees_their_settings_and_nothing_changes(
    visitor: Client, brand: Brand, carrier: Carrier
) -> None:
    ann = by_phone(least_rank=3)
    visitor.post(TEXTS, CHOICE | {"address": ANN, "least_rank": "1"})
    answer()
    page = enter(visitor, last_text()[:6], codes.CONFIRM)
    assert (page.status_code, b"You are subscribed" in page.content) == (200, True)
    assert Choice.of(Subscriber.objects.get(pk=ann.pk)) == Choice(least_rank=3)


# --- settings by a code ------------------------------------------------------------------


def test_settings_open_by_a_mailed_code_for_half_an_hour(visitor: Client, ada: Subscriber) -> None:
    """S18: a link and a code, either of them; the link ends with the visit."""
    visitor.post(ASK, {"address": ADA})
    answer()
    letter = last_letter()
    assert letter["heading"] == f"Your code is {letter['heading'][-6:]}"
    link = letter["url"].removeprefix(settings.SITE_URL)
    assert visitor.get(link).status_code == 200

    opened = enter(visitor, letter["heading"][-6:], codes.MANAGE, ADA, "email")
    assert opened.status_code == 302
    page = opened.headers["Location"]
    assert b"Your subscription" in visitor.get(page).content
    token = page.rsplit("/", 1)[1]
    late = timezone.now() + tokens.VISIT + timedelta(seconds=1)
    assert tokens.read(token, tokens.MANAGE).public_id == ada.public_id
    for each in (token, link.rsplit("/", 1)[1]):
        with pytest.raises(tokens.ExpiredToken):
            tokens.read(each, tokens.MANAGE, at=late)
        for purpose in (tokens.CONFIRM, tokens.UNSUBSCRIBE):
            with pytest.raises(tokens.BadToken):
                tokens.read(each, purpose)


def test_settings_open_by_a_texted_code(visitor: Client, brand: Brand, carrier: Carrier) -> None:
    ann = by_phone()
    visitor.post(ASK, {"address": "+1 212 555 0101"})
    answer()
    opened = enter(visitor, last_text()[:6], codes.MANAGE)
    page = visitor.get(opened.headers["Location"]).content.decode()
    assert f'Texts go to <strong class="address">{ANN}</strong>' in page
    left = visitor.post(opened.headers["Location"], {"act": "leave"})
    assert (left.status_code, Subscriber.objects.get(pk=ann.pk).is_active) == (200, False)


def test_one_code_shows_all_that_belongs_to_a_mailbox(visitor: Client, ada: Subscriber) -> None:
    """Also webhooks and rooms it owns, and what has ended; nothing of others, nothing unconfirmed."""
    at = timezone.now()
    for label, owner, facts in (
        ("hooks.example #1", ADA, {"confirmed_at": at}),
        ("hooks.example #2", ADA, {"confirmed_at": at, "unsubscribed_at": at}),
        ("hooks.example #3", ADA, {}),
        ("hooks.example #4", "bob@x.example", {"confirmed_at": at}),
    ):
        row = Subscriber.objects.create(channel=Channel.WEBHOOK, address=label, created_at=at, **facts)
        Endpoint.objects.create(subscriber=row, url="sealed", owner_email=owner, created_at=at)
    visitor.post(ASK, {"address": ADA})
    answer()
    assert "3 subscriptions belong to this address" in last_letter()["paragraphs"][1]
    page = enter(visitor, last_letter()["heading"][-6:], codes.MANAGE, ADA, "email").content.decode()
    assert [name in page for name in (ADA, "#1", "#2", "#3", "#4")] == [True, True, True, False, False]
    assert page.count("/subscriptions/manage/") == 3


def test_a_number_with_two_subscriptions_gets_one_code_for_both(
    visitor: Client, brand: Brand, carrier: Carrier
) -> None:
    by_phone()
    by_phone(channel=Channel.WHATSAPP)
    visitor.post(ASK, {"address": ANN})
    answer()
    assert Delivery.objects.count() == 1
    page = enter(visitor, last_text()[:6], codes.MANAGE).content.decode()
    assert (page.count("/subscriptions/manage/"), "WhatsApp" in page) == (2, True)


def test_who_is_not_subscribed_gets_nothing(visitor: Client, brand: Brand, carrier: Carrier) -> None:
    """Neither strangers nor who never confirmed: nobody's mailbox is filled by somebody who guesses."""
    subscriptions.subscribe("bob@x.example", Choice(), at=timezone.now())
    written = Delivery.objects.count()
    for address in ("nobody@x.example", "bob@x.example", "+12125550199"):
        visitor.post(ASK, {"address": address})
    answer()
    assert (Delivery.objects.count(), Code.objects.count(), SignUp.objects.count()) == (written, 0, 0)


def test_a_mailbox_gets_three_codes_an_hour_and_a_phone_three_a_day(
    brand: Brand, ada: Subscriber, carrier: Carrier
) -> None:
    """S18, S19: counted where they are sent, whoever asks."""
    by_phone()
    written = Delivery.objects.count()
    at = timezone.now()
    for n in range(5):
        for channel, address in ((Channel.EMAIL, ADA), (Channel.SMS, ANN)):
            subscriptions.ask_for_code(channel, address, at=at + timedelta(minutes=n))
        subscriptions.answer(at=at + timedelta(minutes=n))
    sent = Delivery.objects.order_by("pk")[written:]
    assert [row.channel for row in sent].count(Channel.EMAIL) == limits.CODES_PER_MAILBOX
    assert [row.channel for row in sent].count(Channel.SMS) == limits.TEXTS_PER_NUMBER


# --- what nobody may learn or do -----------------------------------------------------------


STATES: dict[str, Callable[[], object]] = {
    "new": lambda: None,
    "unconfirmed": lambda: by_phone(confirmed_at=None),
    "active": by_phone,
    "left": lambda: by_phone(unsubscribed_at=timezone.now()),
    "stopped": lambda: optouts.stop(ANN, at=timezone.now()),
}


@pytest.mark.parametrize(("page", "posted"), [(TEXTS, CHOICE | {"address": ANN}), (ASK, {"address": ANN})])
def test_every_phone_gets_the_same_answer(
    visitor: Client, brand: Brand, carrier: Carrier, page: str, posted: dict[str, str]
) -> None:
    """S15: same status, headers and bytes, for the form and for what a wrong code brings afterwards."""
    seen = set()
    for state, set_up in STATES.items():
        Subscriber.objects.all().delete()
        set_up()
        asked = visitor.post(page, posted)
        answer()
        purpose = codes.CONFIRM if page == TEXTS else codes.MANAGE
        guessed = enter(visitor, "000000" if Code.objects.count() == 0 else "none", purpose)
        seen.add((asked.status_code, asked.content, str(asked.headers)))
        assert guessed.status_code == 422, state
        Code.objects.all().delete()
    assert len(seen) == 1


def test_a_wrong_code_looks_the_same_whether_or_not_there_is_one(visitor: Client, ada: Subscriber) -> None:
    """S15: for an address with a code, without, with one that is too old, used, or tried too often."""
    now, pages = timezone.now(), []

    def guess(code: str = "123456") -> None:
        page = enter(visitor, code, codes.MANAGE, ADA, "email")
        pages.append((page.status_code, page.content, str(page.headers)))

    guess()
    subscriptions.ask_for_code(Channel.EMAIL, ADA, at=now)
    answer()
    code = last_letter()["heading"][-6:]
    guess("654321" if code != "654321" else "654322")
    Code.objects.update(tries=codes.TRIES)
    guess(code)
    Code.objects.update(tries=0, expires_at=now)
    guess(code)
    Code.objects.update(expires_at=now + codes.LIFE, digest="")
    guess(code)
    assert len(set(pages)) == 1


def test_the_mail_form_and_the_phone_form_look_at_no_subscriber(
    visitor: Client, ada: Subscriber, carrier: Carrier, django_assert_num_queries: Any
) -> None:
    """S15: the same statements for who is subscribed and for who is not."""
    by_phone()
    for address in (ADA, "nobody@x.example", ANN, "+12125550199"):
        with django_assert_num_queries(7):  # three limits, upsert with its savepoint around, brand
            visitor.post(ASK, {"address": address}, REMOTE_ADDR="203.0.113.7")


def test_opening_any_page_changes_nothing(visitor: Client, ada: Subscriber, carrier: Carrier) -> None:
    """S17: GET and HEAD, whatever stands in the address."""
    Follow.objects.create(subscriber=ada, lane=LANE, name=NAME, since=timezone.now())
    codes.make(Channel.EMAIL, ADA, codes.MANAGE, at=timezone.now())
    everything = [Subscriber, Follow, Code, SignUp, Delivery, Endpoint]

    def state() -> list[object]:
        return [list(model.objects.order_by("pk").values()) for model in everything]  # type: ignore[attr-defined]

    before = state()
    sent = {
        "address": ADA,
        "code": "123456",
        "purpose": "manage",
        "channel": "email",
        "act": "erase for good",
        **CHOICE,
    }
    pages = [FORM, TEXTS, f"{FORM}/webhook", f"{FORM}/chat", CODE, ASK, visit(ada)]
    for page in pages:
        for act in ("stop", "export", "erase for good", "choose"):
            for open_it in (visitor.get, visitor.head):
                opened = open_it(page, sent | {"act": act, "lane": LANE})
                assert (opened.status_code, opened.headers["Content-Type"]) in (
                    (200, "text/html; charset=utf-8"),
                    (302, "text/html; charset=utf-8"),
                )
    assert state() == before


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
@pytest.mark.parametrize("page", [TEXTS, CODE, ASK])
def test_other_methods_are_refused(visitor: Client, brand: Brand, carrier: Carrier, method: str, page: str) -> None:
    assert getattr(visitor, method)(page).status_code == 405


@pytest.mark.parametrize("page", [TEXTS, CODE, ASK])
def test_a_body_larger_than_any_form_is_not_read(
    visitor: Client, brand: Brand, carrier: Carrier, settings: Settings, page: str
) -> None:
    """S41: a file that nobody asked for would fill the disk before anybody looks at it."""
    settings.FILE_UPLOAD_HANDLERS = ["nobody.reads.it"]
    assert visitor.post(page, {"website": BytesIO(b"x" * 100_000)}).status_code == 413


def test_what_is_no_lane_stops_nothing(visitor: Client, ada: Subscriber) -> None:
    """F17: PostgreSQL refuses the character altogether."""
    stopped = visitor.post(f"/subscriptions/manage/{tokens.make(ada, 'manage')}", {"act": "stop", "lane": "a\0b"})
    assert (stopped.status_code, Subscriber.objects.active().count()) == (200, 1)


def test_programs_that_fill_in_every_field_get_the_usual_answers(
    visitor: Client, brand: Brand, carrier: Carrier
) -> None:
    """S16: and nothing happens."""
    for page, posted in ((TEXTS, CHOICE | {"address": ANN}), (ASK, {"address": ANN})):
        person = visitor.post(page, posted)
        SignUp.objects.all().delete()
        program = visitor.post(page, posted | {"website": "https://spam.example"})
        assert (program.status_code, program.content) == (person.status_code, person.content)
        assert visitor.post(page, {"address": "rubbish", "website": "x"}).status_code == 200
        assert SignUp.objects.count() == 0


@pytest.mark.parametrize(
    "posted",
    [
        {},
        {"code": "123456"},
        {"channel": "webhook", "purpose": "manage", "address": ADA, "code": "123456"},
        {"channel": "sms", "purpose": "admin", "address": ANN, "code": "123456"},
        {"channel": "sms", "purpose": "manage", "address": "x" * 300, "code": "123456"},
        {"channel": "sms", "purpose": "manage", "address": "\x00", "code": "123456"},
    ],
)
def test_a_code_without_its_page_leads_back_to_asking(visitor: Client, brand: Brand, posted: dict[str, str]) -> None:
    led = visitor.post(CODE, posted)
    assert (led.status_code, led.headers["Location"]) == (302, ASK)


@pytest.mark.parametrize("typed", ["12345", "1234567", "abcdef", "١٢٣٤٥٦", "12 34 5", ""])
def test_what_is_no_code_is_told_at_its_field_and_costs_no_try(visitor: Client, ada: Subscriber, typed: str) -> None:
    codes.make(Channel.EMAIL, ADA, codes.MANAGE, at=timezone.now())
    page = enter(visitor, typed, codes.MANAGE, ADA, "email")
    assert (page.status_code, [name for name, _ in page.context["form"].complaints]) == (422, ["code"])
    assert Code.objects.get().tries == 0
    assert f'name="address" value="{ADA}"' in page.content.decode()


def test_spaces_and_dashes_in_a_code_do_no_harm(visitor: Client, ada: Subscriber) -> None:
    code = codes.make(Channel.EMAIL, ADA, codes.MANAGE, at=timezone.now())
    assert enter(visitor, f" {code[:3]}-{code[3:]} ", codes.MANAGE, ADA, "email").status_code == 302


def test_guessing_from_one_network_ends_in_words(
    visitor: Client, ada: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S18, S41: 429 says when to come back; it is about the visitor and tells nothing of the address."""
    monkeypatch.setattr(limits, "TRIES_PER_IP", 2)
    code = codes.make(Channel.EMAIL, ADA, codes.MANAGE, at=timezone.now())
    posted = {"channel": "email", "purpose": "manage", "address": ADA}
    wrong = "000000" if code != "000000" else "000001"
    tried = [visitor.post(CODE, posted | {"code": each}, REMOTE_ADDR="203.0.113.7") for each in (wrong, wrong, code)]
    assert [page.status_code for page in tried] == [422, 422, 429]
    assert (tried[2].headers["Retry-After"], b"Please wait an hour" in tried[2].content) == ("3600", True)
    assert Code.objects.get().tries == 2


# --- webhooks and rooms -----------------------------------------------------------------------


def test_a_webhook_is_asked_for_and_its_owner_is_written_to(visitor: Client, brand: Brand, receiver: Receiver) -> None:
    page = visitor.post(f"{FORM}/webhook", CHOICE | {"url": receiver.url, "address": ADA})
    assert (page.status_code, b"Check your inbox" in page.content) == (200, True)
    assert everywhere(receiver.url) == []
    answer()
    assert SignUp.objects.count() == 0
    row = Endpoint.objects.get()
    assert (row.owner_email, row.subscriber.channel, row.subscriber.is_active) == (ADA, Channel.WEBHOOK, False)
    assert Delivery.objects.get().address == ADA
    assert everywhere(receiver.url) == []


def test_a_room_begins_when_its_owner_confirms(visitor: Client, brand: Brand) -> None:
    """The pasted address is a secret: it stands nowhere in clear, also not while it waits (S27)."""
    visitor.post(f"{FORM}/chat", CHOICE | {"url": SLACK, "address": ADA, "least_rank": "2"})
    assert everywhere(SLACK) == []
    answer()
    assert everywhere("TIiajkdnlazkcOXrIdevi7FQ") == []
    link = last_letter()["url"].removeprefix(settings.SITE_URL)
    assert b"Slack" in visitor.get(link).content
    assert Subscriber.objects.active().count() == 0
    visitor.post(link)
    room = Subscriber.objects.active().get()
    assert (room.channel, room.endpoint.owner_email, Choice.of(room)) == (Channel.CHAT, ADA, Choice(least_rank=2))
    page = visitor.get(visit(room)).content.decode()
    assert ('name="when"' in page, "Unsubscribe" in page) == (False, True)


def test_a_room_of_somebody_else_stays_theirs(visitor: Client, brand: Brand, rooms: Rooms) -> None:
    """Who pastes the address of a room that is subscribed changes nothing; its owner is told."""
    visitor.post(f"{FORM}/chat", CHOICE | {"url": SLACK, "address": ADA})
    answer()
    visitor.post(last_letter()["url"].removeprefix(settings.SITE_URL))
    Delivery.objects.all().delete()
    visitor.post(f"{FORM}/chat", CHOICE | {"url": SLACK, "address": "eve@x.example", "least_rank": "1"})
    answer()
    room = Subscriber.objects.get()
    assert (room.endpoint.owner_email, Choice.of(room)) == (ADA, Choice())
    assert list(Delivery.objects.values_list("address", flat=True)) == [ADA]


def test_a_webhook_is_confirmed_where_its_secret_is_shown(visitor: Client, brand: Brand, receiver: Receiver) -> None:
    visitor.post(f"{FORM}/webhook", CHOICE | {"url": receiver.url, "address": ADA})
    answer()
    hook = Subscriber.objects.get()
    token = tokens.make(hook, tokens.CONFIRM)
    for answered in (visitor.get(link := f"/subscriptions/confirm/{token}"), visitor.post(link)):
        assert (answered.status_code, answered.headers["Location"]) == (302, f"/subscriptions/webhook/confirm/{token}")
    assert Subscriber.objects.active().count() == 0
    assert b"whsec_" in visitor.post(f"/subscriptions/webhook/confirm/{token}").content
    assert Subscriber.objects.active().count() == 1


def test_a_webhook_is_chosen_for_here_and_looked_after_on_its_own_page(
    visitor: Client, brand: Brand, receiver: Receiver
) -> None:
    visitor.post(f"{FORM}/webhook", CHOICE | {"url": receiver.url, "address": ADA})
    answer()
    hook = Subscriber.objects.get()
    visitor.post(f"/subscriptions/webhook/confirm/{tokens.make(hook, tokens.CONFIRM)}")
    page = visit(hook)
    own = page.replace("manage", "webhook")
    assert f'href="{own}"' in visitor.get(page).content.decode()
    visitor.post(page, {"act": "choose", **CHOICE, "least_rank": "2"})
    assert Choice.of(Subscriber.objects.get()) == Choice(least_rank=2)
    Endpoint.objects.update(failing_since=timezone.now())
    left = visitor.post(page, {"act": "leave"}).content.decode()
    assert (f'href="{own}"' in left, 'value="rejoin"' in left) == (True, False)
    assert (Subscriber.objects.active().count(), Endpoint.objects.get().failing_since) == (0, None)
    assert visitor.post(page, {"act": "rejoin"}).status_code == 404


def test_one_mailbox_is_asked_about_one_webhook_a_day(visitor: Client, brand: Brand, receiver: Receiver) -> None:
    """S16: until its owner confirms; then the next one may follow."""
    for n in range(3):
        visitor.post(f"{FORM}/webhook", CHOICE | {"url": f"{receiver.url}/{n}", "address": ADA})
    answer()
    assert (Delivery.objects.count(), Subscriber.objects.count()) == (1, 1)
    visitor.post(f"/subscriptions/webhook/confirm/{tokens.make(Subscriber.objects.get(), tokens.CONFIRM)}")
    visitor.post(f"{FORM}/webhook", CHOICE | {"url": f"{receiver.url}/9", "address": ADA})
    answer()
    assert Subscriber.objects.count() == 2


def test_who_confirms_each_may_have_many_webhooks_on_one_day(visitor: Client, brand: Brand, receiver: Receiver) -> None:
    """R-802: a mailbox that answers is not bombed, and nobody waits for a letter that never comes."""
    for n in range(5):
        visitor.post(f"{FORM}/webhook", CHOICE | {"url": f"{receiver.url}/{n}", "address": ADA})
        answer()
        visitor.post(last_letter()["url"].removeprefix(settings.SITE_URL))
    assert Subscriber.objects.active().count() == 5


def test_whose_webhooks_stay_is_said_before_an_erasure(visitor: Client, ada: Subscriber) -> None:
    row = Subscriber.objects.create(
        channel=Channel.WEBHOOK, address="hooks.example #1", created_at=timezone.now(), confirmed_at=timezone.now()
    )
    Endpoint.objects.create(subscriber=row, url="sealed", owner_email=ADA, created_at=timezone.now())
    assert b"hooks.example #1" in visitor.post(visit(ada), {"act": "erase"}).content
    assert b"What you own" not in visitor.post(visit(row), {"act": "erase"}).content


@pytest.mark.parametrize(
    ("channel", "url", "field"),
    [
        ("webhook", "", "url"),
        ("webhook", "ftp://x.example/", "url"),
        ("webhook", "https://user:pw@x.example/", "url"),
        ("webhook", SLACK, "url"),
        ("chat", "https://x.example/", "url"),
        ("chat", "slack://x", "url"),
    ],
)
def test_a_bad_address_is_told_at_its_field_and_stored_nowhere(
    visitor: Client, brand: Brand, channel: str, url: str, field: str
) -> None:
    page = visitor.post(f"{FORM}/{channel}", CHOICE | {"url": url, "address": ADA})
    assert (page.status_code, [name for name, _ in page.context["form"].complaints]) == (422, [field])
    assert (SignUp.objects.count(), '<a href="#id_url">' in page.content.decode()) == (0, True)


# --- settings -------------------------------------------------------------------------------------


def test_quiet_hours_and_the_digest_are_kept_and_said(visitor: Client, ada: Subscriber) -> None:
    """R-1314: in the reader's own wall time."""
    page, zone = visit(ada), {"act": "choose", "time_zone": "Europe/Berlin", **CHOICE}
    saved = visitor.post(page, zone | {"when": "quiet", "quiet_from": "22:30", "quiet_until": "06:00"})
    assert (saved.status_code, b"The worst incidents are told at once all the same." in saved.content) == (200, True)
    quiet = Choice.of(Subscriber.objects.get())
    assert quiet == Choice(quiet_from=time(22, 30), quiet_until=time(6), time_zone="Europe/Berlin")
    shown = visitor.get(page).content.decode()
    assert ('value="22:30"' in shown, '<option value="Europe/Berlin" selected>Berlin' in shown) == (True, True)
    visitor.post(page, zone | {"when": "daily", "digest_at": "08:15", "quiet_from": "rubbish"})
    assert Choice.of(Subscriber.objects.get()) == Choice(digest_at=time(8, 15), time_zone="Europe/Berlin")
    visitor.post(page, zone | {"when": "now", "digest_at": "rubbish"})
    assert Choice.of(Subscriber.objects.get()) == Choice(time_zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"when": "quiet", "quiet_from": "22:00"}, "quiet_until"),
        ({"when": "quiet", "quiet_from": "25:00", "quiet_until": "06:00"}, "quiet_from"),
        ({"when": "quiet", "quiet_from": "22:00", "quiet_until": "22:00"}, "quiet_until"),
        ({"when": "daily"}, "digest_at"),
        ({"when": "daily", "digest_at": "noon"}, "digest_at"),
        ({"when": "weekly"}, "when"),
        ({"when": "daily", "digest_at": "08:00", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"when": "daily", "digest_at": "08:00", "time_zone": "../etc/passwd"}, "time_zone"),
    ],
)
def test_impossible_times_are_told_at_their_field(
    visitor: Client, ada: Subscriber, typed: dict[str, str], field: str
) -> None:
    page = visitor.post(visit(ada), {"act": "choose", **CHOICE, **typed})
    assert (page.status_code, [name for name, _ in page.context["form"].complaints]) == (422, [field])
    assert Choice.of(Subscriber.objects.get()) == Choice()


def test_only_mail_has_a_digest(visitor: Client, brand: Brand) -> None:
    page = visitor.get(visit(by_phone())).content.decode()
    assert ('value="quiet"' in page, 'value="daily"' in page) == (True, False)
    refused = visitor.post(visit(by_phone("+12125550102")), {"act": "choose", "when": "daily", **CHOICE})
    assert refused.status_code == 422


def test_a_zone_of_before_is_kept(visitor: Client, ada: Subscriber) -> None:
    Subscriber.objects.update(time_zone="Etc/GMT-3")
    visitor.post(
        visit(ada), {"act": "choose", "time_zone": "Etc/GMT-3", "when": "daily", "digest_at": "08:00", **CHOICE}
    )
    assert Subscriber.objects.get().time_zone == "Etc/GMT-3"


def test_a_group_is_offered_before_its_members(visitor: Client, ada: Subscriber, topics: list[Topic]) -> None:
    """R-802: whoever chooses it hears of later members, too."""
    group = Topic.objects.create(key="group:abc", name="All of Core", section="Core", position=0)
    sections = visitor.get(visit(ada)).context["form"].sections
    assert [(section.heading, section.whole and section.whole.label) for section in sections] == [
        ("Core", "All of Core"),
        ("Money", None),
    ]
    assert [option.label for option in sections[0].options] == ["API", "Database"]
    visitor.post(visit(ada), {"act": "choose", **CHOICE, "scope": "some", "topics": [group.pk]})
    assert Choice.of(Subscriber.objects.get()) == Choice(all_topics=False, topics=(group.pk,))


def test_no_language_is_offered_where_there_is_one(
    visitor: Client, ada: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifications.forms.LANGUAGES", ("en",))
    Subscriber.objects.update(language="pt-BR")
    assert b'name="language"' not in visitor.get(visit(ada)).content
    visitor.post(visit(ada), {"act": "choose", **CHOICE})
    assert Subscriber.objects.get().language == "pt-BR"


def test_a_language_is_offered_where_there_are_two(
    visitor: Client, ada: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifications.forms.LANGUAGES", ("en", "de"))
    page = visitor.get(visit(ada)).content.decode()
    assert ('<option value="en" selected>English' in page, '<option value="de">Deutsch' in page) == (True, True)
    visitor.post(visit(ada), {"act": "choose", "language": "de", **CHOICE})
    assert Subscriber.objects.get().language == "de"
    Subscriber.objects.update(language="pt-BR")
    assert '<option value="pt-BR" selected>' in visitor.get(visit(ada)).content.decode()


@pytest.mark.parametrize(("channel", "offered"), [("email", True), ("sms", False), ("webhook", False), ("chat", False)])
def test_a_language_is_offered_where_it_changes_something(channel: str, offered: bool) -> None:
    """R-802: around an operator's words only mail says something of ours."""
    assert ("language" in SubscribeForm(channel=Channel(channel)).fields) is offered


def test_who_is_subscribed_and_follows_one_more_is_asked_about_that_and_told_so(
    visitor: Client, ada: Subscriber
) -> None:
    subscriptions.follow(Channel.EMAIL, ADA, LANE, NAME, at=timezone.now())
    link = f"/subscriptions/confirm/{tokens.make(ada, tokens.CONFIRM)}"
    asked, done = visitor.get(link).content.decode(), visitor.post(link).content.decode()
    assert ("<h1>Follow this incident?</h1>" in asked, ">Follow</button>" in asked, NAME in asked) == (True,) * 3
    assert "Confirm subscription" not in asked
    assert (f"You follow <strong>{NAME}</strong>" in done, "Unsubscribe" in done) == (True, False)


def test_who_left_by_phone_comes_back_by_phone(visitor: Client, brand: Brand, carrier: Carrier) -> None:
    gone = by_phone(confirmed_at=None)
    assert 'href="/subscriptions/subscribe/sms"' in visitor.get(visit(gone)).content.decode()


def test_whatsapp_is_called_so(visitor: Client, brand: Brand, carrier: Carrier, settings: Settings) -> None:
    settings.TWILIO = settings.TWILIO | {"whatsapp_from": "+12125550000", "whatsapp_template": f"HX{'0' * 32}"}
    page = visitor.get("/subscriptions/subscribe/whatsapp").content.decode()
    assert ("A WhatsApp message when something is wrong" in page, "Texts may cost" in page) == (True, False)


def test_everything_we_hold_is_handed_over(visitor: Client, ada: Subscriber, topics: list[Topic]) -> None:
    """GDPR 15 and 20, S29: every column of every row about them, by a POST, as a file."""
    subscriptions.choose(ada, Choice(all_topics=False, topics=(topics[0].pk,), quiet_from=time(22)), at=timezone.now())
    Follow.objects.create(subscriber=ada, lane=LANE, name=NAME, since=timezone.now())
    subscriptions.ask_for_code(Channel.EMAIL, ADA, at=timezone.now())
    Delivery.objects.filter(address=ADA).update(fate=Fate.DELIVERED, receipt="0a1b", settled_at=timezone.now())
    file = visitor.post(visit(ada), {"act": "export"})
    assert file.headers["Content-Disposition"].startswith('attachment; filename="subscription-')
    assert (file.headers["Cache-Control"], file.headers["Content-Type"]) == ("no-store", "application/json")
    told = json.loads(file.content)
    columns = {field.name for field in Subscriber._meta.concrete_fields} - {"id", "customer"}
    assert told["subscription"].keys() == columns | {"components"}
    assert (told["subscription"]["address"], told["subscription"]["quiet_from"]) == (ADA, "22:00:00")
    assert (told["subscription"]["components"], told["customer"]) == (["API"], None)
    assert [follow["name"] for follow in told["follows"]] == [NAME]
    assert [asked["about"] for asked in told["waiting"]] == ["manage"]
    (letter,) = told["messages"]
    assert (letter["subject"], letter["fate"], letter["provider_id"]) == (
        "Confirm your subscription to Northwind status updates",
        "Delivered (confirmed)",
        "0a1b",
    )


def test_what_still_waits_is_handed_over_without_its_secret(visitor: Client, ada: Subscriber) -> None:
    """S29: erased with the address, so told with it, in whatever capitals it was typed."""
    visitor.post(f"{FORM}/webhook", CHOICE | {"url": HOOK, "address": ADA.title()})
    file = visitor.post(visit(ada), {"act": "export"}).content.decode()
    [waiting] = json.loads(file)["waiting"]
    assert (waiting["channel"], waiting["address"], "url" in waiting["choice"]) == (
        "webhook",
        "Ada@analytical.example",
        False,
    )


def test_the_secret_of_a_room_is_in_no_file(visitor: Client, brand: Brand) -> None:
    visitor.post(f"{FORM}/chat", CHOICE | {"url": SLACK, "address": ADA})
    answer()
    visitor.post(last_letter()["url"].removeprefix(settings.SITE_URL))
    room = Subscriber.objects.get()
    told = json.loads(visitor.post(visit(room), {"act": "export"}).content)
    assert told["endpoint"]["owner_email"] == ADA
    assert not {"url", "secret", "old_secret"} & told["endpoint"].keys()
    assert room.endpoint.url not in json.dumps(told)


def test_pages_have_a_title_a_label_for_each_field_and_no_script(
    visitor: Client, ada: Subscriber, carrier: Carrier
) -> None:
    """WCAG 2.2 AA, as far as bytes can show: one h1, unique ids, every field named."""
    Follow.objects.create(subscriber=ada, lane=LANE, name=NAME, since=timezone.now())
    pages = [visitor.get(each).content.decode() for each in (FORM, TEXTS, f"{FORM}/webhook", ASK, visit(ada))]
    pages.append(visitor.post(ASK, {"address": ADA}).content.decode())
    pages += [enter(visitor, "1", codes.MANAGE, ADA, "email").content.decode()]
    for page in pages:
        found = outline(page.encode())
        assert (found.all_faults(), "<script" in page) == ([], False)
        ids = [part.split('"', 1)[0] for part in page.split(' id="')[1:]]
        assert len(ids) == len(set(ids))
        assert {part.split('"', 1)[0] for part in page.split(' for="')[1:]} <= set(ids)
