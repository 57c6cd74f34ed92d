"""The subscription pages as a visitor, a mail scanner and an attacker meet them (S14–S18, F17)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from notifications import subscriptions, tokens
from notifications.enums import Channel, Fate, Kind, Pool
from notifications.models import Announcement, Brand, Delivery, SignUp, Subscriber, Topic
from notifications.subscriptions import Choice

pytestmark = pytest.mark.django_db

ADA = "ada@analytical.example"
FORM = "/subscriptions/subscribe"
FORGED = "A" * tokens.LENGTH
GOOD = {"address": ADA, "scope": "all", "wants_incidents": "on", "wants_maintenance": "on", "least_rank": "4"}


def link(subscriber: Subscriber, purpose: str) -> str:
    return f"/subscriptions/{purpose}/{tokens.make(subscriber, purpose)}"


def state() -> list[object]:
    """Everything that a visit could have changed."""
    return [
        list(Subscriber.objects.order_by("pk").values()),
        list(Subscriber.topics.through.objects.values_list("subscriber_id", "topic_id")),
        list(SignUp.objects.values()),
        list(Delivery.objects.values("pk", "fate", "fence")),
    ]


# --- the main road ---------------------------------------------------------------------


def test_subscribe_confirm_change_leave_return(visitor: Client, brand: Brand, topics: list[Topic]) -> None:
    """R-802, over the real outbox: the only way on is the link in the letter."""
    asked = visitor.post(FORM, GOOD | {"scope": "some", "topics": [topics[0].pk, topics[2].pk], "least_rank": "2"})
    assert (asked.status_code, b"Check your inbox" in asked.content) == (200, True)
    subscriptions.answer(at=timezone.now())
    letter = Delivery.objects.get()
    assert (letter.address, letter.fate) == (ADA, Fate.PENDING)
    confirm = letter.announcement.content["url"].removeprefix(settings.SITE_URL)

    button = visitor.get(confirm).content.decode()
    assert "API, Payments" in button
    assert Subscriber.objects.active().count() == 0
    done = visitor.post(confirm)
    assert (done.status_code, b"You are subscribed" in done.content) == (200, True)
    ada = Subscriber.objects.active().get()
    assert visitor.post(confirm).content == done.content

    manage = link(ada, "manage")
    assert manage in done.content.decode()
    saved = visitor.post(manage, {"act": "choose", "scope": "all", "wants_maintenance": "on", "least_rank": "1"})
    assert (saved.status_code, b"<strong>Saved.</strong>" in saved.content) == (200, True)
    assert Choice.of(Subscriber.objects.get()) == Choice(wants_incidents=False, least_rank=1)

    left = visitor.post(manage, {"act": "leave"})
    assert (left.status_code, b"You are unsubscribed" in left.content) == (200, True)
    assert Subscriber.objects.active().count() == 0
    back = visitor.post(manage, {"act": "rejoin"})
    assert (back.status_code, b"Welcome back." in back.content) == (200, True)
    assert Subscriber.objects.active().count() == 1
    assert visitor.cookies == {}


def test_submitting_twice_brings_one_letter(visitor: Client, brand: Brand) -> None:
    first, second = visitor.post(FORM, GOOD), visitor.post(FORM, GOOD)
    subscriptions.answer(at=timezone.now())
    visitor.post(FORM, GOOD)
    subscriptions.answer(at=timezone.now())
    assert (first.content, Delivery.objects.count()) == (second.content, 1)


def test_one_click_unsubscribes_at_once(visitor: Client, ada: Subscriber) -> None:
    """S17, RFC 8058: the exact body, no cookie, no redirect, and nothing queued leaves any more (A7)."""
    announcement = Announcement.objects.create(
        lane="n1", seq=1, kind=Kind.INCIDENT, brand=Brand.objects.default(), subject="x", content={},
        published_at=timezone.now(), expires_at=timezone.now(),
    )  # fmt: skip
    queued = Delivery.objects.create(
        announcement=announcement, subscriber=ada, channel=Channel.EMAIL, pool=Pool.NEWS,
        next_at=timezone.now(), created_at=timezone.now(),
    )  # fmt: skip
    answer = visitor.post(
        link(ada, "unsubscribe"), "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded"
    )
    assert (answer.status_code, answer.content, answer.cookies) == (200, b"Unsubscribed.\n", {})
    assert Subscriber.objects.active().count() == 0
    queued.refresh_from_db()
    assert (queued.fate, queued.reason) == (Fate.SUPPRESSED, "Unsubscribed")
    again = visitor.post(link(ada, "unsubscribe"), {"List-Unsubscribe": "One-Click"})
    assert (again.status_code, again.content) == (200, b"Unsubscribed.\n")


def test_a_person_leaves_with_one_button(visitor: Client, ada: Subscriber) -> None:
    page = visitor.get(link(ada, "unsubscribe"))
    assert (page.status_code, page.content.count(b"<button")) == (200, 1)
    done = visitor.post(link(ada, "unsubscribe"))
    assert (done.status_code, b"Subscribe again" in done.content) == (200, True)
    assert Subscriber.objects.active().count() == 0


# --- what nobody may learn or do ------------------------------------------------------------


def test_the_answer_is_the_same_for_every_address(visitor: Client, brand: Brand) -> None:
    """S15: new, unconfirmed, active, left, bounced: same status, headers and bytes."""
    now = timezone.now()
    for name in ("unconfirmed", "active", "left", "bounced"):
        subscriber = subscriptions.subscribe(f"{name}@x.example", Choice(), at=now)
        if name != "unconfirmed":
            subscriptions.confirm(subscriber, at=now)
        if name == "left":
            subscriptions.unsubscribe(subscriber, at=now)
    Subscriber.objects.filter(address="bounced@x.example").update(bounced_at=now)
    before = list(Subscriber.objects.order_by("pk").values())
    answers = [
        visitor.post(FORM, GOOD | {"address": f"{name}@x.example"})
        for name in ("new", "unconfirmed", "active", "left", "bounced")
    ]
    assert {(each.status_code, each.content, str(each.headers)) for each in answers} == {
        (200, answers[0].content, str(answers[0].headers))
    }
    assert list(Subscriber.objects.order_by("pk").values()) == before


def test_scanners_may_open_every_link(visitor: Client, ada: Subscriber) -> None:
    """S17: GET and HEAD change nothing."""
    subscriptions.subscribe("bob@x.example", Choice(), at=timezone.now())
    bob = Subscriber.objects.get(address="bob@x.example")
    before = state()
    for subscriber in (ada, bob):
        for purpose in tokens.PURPOSES:
            for open_it in (visitor.get, visitor.head):
                answer = open_it(link(subscriber, purpose), {"act": "leave", "List-Unsubscribe": "One-Click"})
                assert answer.status_code == 200
    assert state() == before


def test_a_wrong_unsubscribe_link_looks_like_a_right_one(visitor: Client, ada: Subscriber) -> None:
    """S17: nobody learns from it whether a token is good."""
    before = state()
    for wrong in (FORGED, "x", tokens.make(ada, "manage"), tokens.make(ada, "unsubscribe").lower()):
        address = f"/subscriptions/unsubscribe/{wrong}"
        for post in ({}, {"List-Unsubscribe": "One-Click"}):
            refused = visitor.post(address, post)
            assert state() == before
            right = visitor.post(link(ada, "unsubscribe"), post)
            assert (refused.status_code, refused.content) == (right.status_code, right.content)
            Subscriber.objects.update(unsubscribed_at=None)
        shown = visitor.get(address)
        right = visitor.get(link(ada, "unsubscribe"))
        assert (shown.status_code, shown.content) == (right.status_code, right.content)
    assert state() == before


@pytest.mark.parametrize("purpose", ["confirm", "manage"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_wrong_keys_are_refused_in_words(visitor: Client, ada: Subscriber, purpose: str, method: str) -> None:
    """S18: forged, cut short, of another purpose, of another generation: nothing happens and the way on is shown."""
    older = tokens.make(ada, "manage")
    Subscriber.objects.update(generation=1)
    others = [tokens.make(ada, each) for each in tokens.PURPOSES if each != purpose]
    wrong = [FORGED, older[:-1], f"{older};x=.css", f"{older}.css", "%00", "é" * 56, "x" * 4000, *others]
    wrong += [older] if purpose == "manage" else []
    before = state()
    for token in wrong:
        page = getattr(visitor, method)(f"/subscriptions/{purpose}/{token}", {"act": "leave"})
        assert (page.status_code, b"This link does not work" in page.content) == (404, True)
        assert f'href="{FORM}"' in page.content.decode()
        assert page.headers["Cache-Control"] == "no-store"
    assert state() == before


def test_an_expired_confirmation_says_so(visitor: Client, brand: Brand) -> None:
    asked = timezone.now() - timedelta(hours=49)
    subscriber = subscriptions.subscribe(ADA, Choice(), at=asked)
    token = tokens.make(subscriber, "confirm", at=asked)
    page = visitor.post(f"/subscriptions/confirm/{token}")
    assert (page.status_code, b"This link is too old." in page.content) == (404, True)
    assert Subscriber.objects.active().count() == 0


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
@pytest.mark.parametrize("purpose", ["subscribe", "confirm", "manage", "unsubscribe"])
def test_other_methods_are_refused(visitor: Client, ada: Subscriber, method: str, purpose: str) -> None:
    before = state()
    address = FORM if purpose == "subscribe" else link(ada, purpose)
    assert getattr(visitor, method)(address).status_code == 405
    assert state() == before


def test_a_program_that_fills_in_every_field_gets_the_usual_answer(visitor: Client, brand: Brand) -> None:
    """S16: and nothing happens."""
    person = visitor.post(FORM, GOOD)
    SignUp.objects.all().delete()
    program = visitor.post(FORM, GOOD | {"website": "https://spam.example"})
    assert (program.status_code, program.content) == (person.status_code, person.content)
    assert SignUp.objects.count() == 0


def test_no_cookie_no_leak_no_cache_where_a_key_stands(visitor: Client, ada: Subscriber) -> None:
    """S13, S14, S18."""
    for address in (link(ada, "manage"), link(ada, "confirm"), link(ada, "unsubscribe")):
        for answer in (visitor.get(address), visitor.post(address)):
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert ("Vary" in answer.headers, answer.cookies) == (False, {})
    form = visitor.get(FORM)
    assert (form.headers["Cache-Control"], "Vary" in form.headers) == ("public, max-age=60", False)


def test_what_a_visitor_sends_along_does_not_sway_the_form(visitor: Client, brand: Brand) -> None:
    """S14: no header or unknown key reaches the bytes that a cache may keep."""
    plain = visitor.get(FORM).content
    for key in ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-URL", "Accept-Language", "Cookie"):
        assert visitor.get(FORM, headers={key: "evil.example"}).content == plain
    for key in ("address", "utm_source", "website", "next", "scope"):
        assert visitor.get(FORM, {key: "evil.example"}).content == plain


def test_keys_never_reach_the_log(visitor: Client, ada: Subscriber, caplog: pytest.LogCaptureFixture) -> None:
    """S18, S30: also not where the framework logs a refused request."""
    assert settings.LOGGING["handlers"]["console"]["filters"] == ["discreet"]
    token = tokens.make(ada, "manage")
    with caplog.at_level(logging.DEBUG):
        visitor.put(f"/subscriptions/manage/{token}")
        visitor.get(f"/subscriptions/confirm/{token}")
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if token in line] == []
    assert [line for line in told if "/subscriptions/" in line] == [
        "Method Not Allowed (PUT): /subscriptions/manage/[key]",
        "Not Found: /subscriptions/confirm/[key]",
    ]


# --- cost and races ---------------------------------------------------------------------------------


def test_queries_are_counted(
    visitor: Client, ada: Subscriber, topics: list[Topic], django_assert_num_queries: Callable[..., object]
) -> None:
    subscriptions.choose(ada, Choice(all_topics=False, topics=(topics[0].pk, topics[1].pk)), at=timezone.now())
    with django_assert_num_queries(2):  # brand, components
        visitor.get(FORM)
    with django_assert_num_queries(9):  # components, four limits, upsert with its savepoint around, brand
        visitor.post(FORM, GOOD, REMOTE_ADDR="203.0.113.7")
    with django_assert_num_queries(5):  # subscriber, follows, choice, components, brand
        visitor.get(link(ada, "manage"))
    with django_assert_num_queries(1):  # brand
        visitor.get(link(ada, "unsubscribe"))


@pytest.mark.django_db(transaction=True)
def test_many_who_ask_and_answer_at_once_write_one_letter(brand: Brand) -> None:
    """S38: the unique address decides, whoever comes first."""
    now, failed = timezone.now(), []

    def ask_and_answer() -> None:
        try:
            subscriptions.ask(ADA, Choice(), at=now)
            subscriptions.answer(at=now)
            subscriptions.subscribe(ADA, Choice(), at=now)
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    crowd = [threading.Thread(target=ask_and_answer) for _ in range(8)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(30)
    subscriptions.answer(at=now)
    assert failed == []
    assert (Subscriber.objects.count(), Delivery.objects.count(), SignUp.objects.count()) == (1, 1, 0)
