"""The pages of a webhook as its owner, a mail scanner and a stranger meet them (S17, S18, S27)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from standardwebhooks import Webhook

from notifications import endpoints, tokens
from notifications.channels.webhook import SCHEDULE, far_end
from notifications.choices import Choice
from notifications.discretion import Discreet
from notifications.models import Announcement, Delivery, Endpoint, Subscriber
from tests import scene
from tests.notifications.hooks import OWNER, drain, endpoint, told, wait, webhook
from tests.notifications.news import reader
from tests.notifications.receiver import Receiver, say

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{40}")


def page_of(subscriber: Subscriber) -> str:
    return f"/subscriptions/webhook/{tokens.make(subscriber, tokens.MANAGE)}"


def texts(html: bytes) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.decode()).split())


def test_from_the_letter_to_the_first_message(receiver: Receiver, visitor: Client) -> None:
    scene.brand()
    subscriber, _ = endpoints.create_webhook(receiver.url, owner_email=OWNER, choice=Choice(), at=timezone.now())
    letter = Announcement.objects.get(deliveries__address=OWNER)
    link = letter.content["url"].removeprefix("http://127.0.0.1:8000")

    button = visitor.get(link)
    assert (button.status_code, b"Confirm webhook" in button.content, SECRET.search(texts(button.content))) == (
        200,
        True,
        None,
    )
    assert not Subscriber.objects.get(pk=subscriber.pk).is_active

    done = visitor.post(link)
    (secret,) = SECRET.findall(texts(done.content))
    drain()
    (heard,) = receiver.heard
    assert Webhook(secret).verify(heard.body, heard.headers)["component"]["id"] == "test00000000"
    # Never again, neither here nor on its page.
    again = visitor.post(link)
    page = visitor.get(page_of(subscriber))
    assert [SECRET.findall(texts(each.content)) for each in (again, page)] == [[], []]
    assert page_of(subscriber).encode() in again.content
    assert visitor.cookies == {}


def test_scanners_may_open_every_page(receiver: Receiver, visitor: Client) -> None:
    """S17: GET and HEAD change nothing, whatever they carry."""
    subscriber, _ = webhook(receiver)
    told(1)
    drain()
    before = [list(model.objects.order_by("pk").values()) for model in (Endpoint, Subscriber, Delivery)]
    for open_it in (visitor.get, visitor.head):
        for act in ("test", "rotate", "end", "again", "again since"):
            answer = open_it(page_of(subscriber), {"act": act, "since": "24", "delivery": Delivery.objects.first().pk})
            assert (answer.status_code, answer["Cache-Control"], answer["Referrer-Policy"]) == (
                200,
                "no-store",
                "no-referrer",
            )
    assert [list(model.objects.order_by("pk").values()) for model in (Endpoint, Subscriber, Delivery)] == before


def test_what_was_sent_is_told_in_words(receiver: Receiver, visitor: Client) -> None:
    subscriber, _ = webhook(receiver)
    told(1)
    drain()
    receiver.manner = say(500)
    told(2)
    drain()
    page = texts(visitor.get(page_of(subscriber)).content)
    assert "It is failing Since" in page
    assert "1 message waits; the next try is at" in page
    assert page.index("It answered 500 Internal Server Error.") < page.index("It answered 200 OK.")
    assert "Send again" not in page
    assert receiver.url not in page


def test_the_last_fifty_newest_first_in_as_many_queries_as_for_one(
    receiver: Receiver, visitor: Client, django_assert_num_queries: Callable[[int], object]
) -> None:
    subscriber, _ = webhook(receiver)
    told(1)
    drain()
    with django_assert_num_queries(6):  # type: ignore[attr-defined]
        visitor.get(page_of(subscriber))
    for n in range(2, 60):
        told(n, title=f"News {n}.")
    with django_assert_num_queries(6):  # type: ignore[attr-defined]
        page = texts(visitor.get(page_of(subscriber)).content)
    assert re.findall(r"News (\d+)\.", page) == [str(n) for n in range(59, 9, -1)]


def test_a_new_secret_is_shown_once(receiver: Receiver, visitor: Client) -> None:
    subscriber, old = webhook(receiver)
    answer = texts(visitor.post(page_of(subscriber), {"act": "rotate"}).content)
    (secret,) = SECRET.findall(answer)
    assert far_end(endpoint(subscriber)).secrets == (secret, old)
    assert "the old one signs beside it" in answer
    later = texts(visitor.get(page_of(subscriber)).content)
    assert (SECRET.findall(later), "Two secrets sign every message until" in later) == ([], True)


def test_one_message_and_all_of_a_day_are_sent_again(receiver: Receiver, visitor: Client) -> None:
    subscriber, _ = webhook(receiver)
    for n in (1, 2, 3):
        told(n)
    drain()
    first = Delivery.objects.filter(subscriber=subscriber).earliest("announcement_id")
    one = texts(visitor.post(page_of(subscriber), {"act": "again", "delivery": first.pk}).content)
    drain()
    everything = texts(visitor.post(page_of(subscriber), {"act": "again since", "since": "24"}).content)
    drain()
    assert ("1 message sent again." in one, "3 messages sent again." in everything) == (True, True)
    assert len(receiver.heard) == 7


@pytest.mark.parametrize("number", ["another's", "0", "x", "²", "9" * 30, "9" * 5_000, ""])
def test_what_is_not_theirs_is_not_sent_again(receiver: Receiver, visitor: Client, number: str) -> None:
    """F17, S07."""
    subscriber, _ = webhook(receiver)
    other, _ = webhook(receiver, "/other")
    told(1)
    drain()
    if number == "another's":
        number = str(Delivery.objects.get(subscriber=other).pk)
    answer = visitor.post(page_of(subscriber), {"act": "again", "delivery": number})
    drain()
    assert ("There was nothing to send again." in texts(answer.content), len(receiver.heard)) == (True, 2)


@pytest.mark.parametrize("typed", [{"act": "again since", "since": "1000"}, {"act": "again since"}, {"act": "fly"}, {}])
def test_what_nobody_offered_does_nothing(receiver: Receiver, visitor: Client, typed: dict[str, str]) -> None:
    subscriber, _ = webhook(receiver)
    told(1)
    drain()
    assert visitor.post(page_of(subscriber), typed).status_code == 200
    assert (drain(), len(receiver.heard)) == (0, 1)


def test_paused_and_back(receiver: Receiver, visitor: Client) -> None:
    subscriber, _ = webhook(receiver)
    receiver.manner = say(500)
    told(1)
    for _ in SCHEDULE:
        wait()
    assert "It is paused" in texts(visitor.get(page_of(subscriber)).content)
    receiver.manner = say(200)
    assert "A test event is on its way." in texts(visitor.post(page_of(subscriber), {"act": "test"}).content)
    twice = texts(visitor.post(page_of(subscriber), {"act": "test"}).content)
    assert "A test is on its way already." in twice
    drain()
    page = texts(visitor.get(page_of(subscriber)).content)
    assert ("It is on" in page, "Send again" in page) == (True, True)


def test_ended_and_begun_again(receiver: Receiver, visitor: Client) -> None:
    subscriber, _ = webhook(receiver)
    ended = texts(visitor.post(page_of(subscriber), {"act": "end"}).content)
    assert ("It has ended" in ended, "Make a new secret" in ended) == (True, False)
    visitor.post(page_of(subscriber), {"act": "test"})
    drain()
    assert "It is on" in texts(visitor.get(page_of(subscriber)).content)


def test_only_the_right_link_opens_it(receiver: Receiver, visitor: Client) -> None:
    subscriber, _ = webhook(receiver)
    ann = reader("ann")
    wrong = [
        tokens.make(subscriber, tokens.UNSUBSCRIBE),
        tokens.make(subscriber, tokens.CONFIRM),
        tokens.make(ann, tokens.MANAGE),
        "A" * tokens.LENGTH,
        tokens.make(subscriber, tokens.MANAGE)[:-1] + "!",
    ]
    assert {visitor.get(f"/subscriptions/webhook/{token}").status_code for token in wrong} == {404}
    assert visitor.get(f"/subscriptions/webhook/confirm/{tokens.make(subscriber, tokens.MANAGE)}").status_code == 404
    late = tokens.make(subscriber, tokens.CONFIRM, at=timezone.now() - timedelta(hours=49))
    assert visitor.post(f"/subscriptions/webhook/confirm/{late}").status_code == 404


def test_keys_in_addresses_stay_out_of_the_logs() -> None:
    """S18."""
    for path in ("webhook", "webhook/confirm"):
        record = logging.LogRecord("x", logging.INFO, "x", 1, "GET /subscriptions/%s/%s", (path, "A" * 56), None)
        assert Discreet().filter(record)
        assert record.getMessage() == f"GET /subscriptions/{path}/[key]"


def test_the_documentation_is_where_every_message_says(receiver: Receiver, visitor: Client) -> None:
    page = texts(visitor.get("/subscriptions/webhooks").content)
    assert "after 5 seconds, 5 minutes, 30 minutes, and 2, 5, 10, 14, 20 and 24 hours after the first try" in page
