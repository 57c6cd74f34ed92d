"""Webhooks on the wire: signed as the standard says, tried for a day, in order, and apart when they fail (F06, S21)."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from notifications import endpoints, tokens, vault
from notifications.channels import webhook as wire
from notifications.channels.webhook import SCHEDULE, backoff, place, signed
from notifications.enums import Fate, Kind, Pool
from notifications.models import Announcement, Brand, Delivery, Rendering, Subscriber
from notifications.moments import stamp
from tests.notifications.hooks import EVENT, OWNER, drain, endpoint, told, wait, webhook
from tests.notifications.news import letter
from tests.notifications.receiver import Heard, Receiver, reset, say

pytestmark = pytest.mark.django_db

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def verified(heard: Heard, secret: str) -> dict[str, object]:
    """What the official library makes of it. Raises WebhookVerificationError."""
    return Webhook(secret).verify(heard.body, heard.headers)


def numbers(receiver: Receiver, path: str = "/hook") -> list[int]:
    return [json.loads(heard.body)["n"] for heard in receiver.heard if heard.path == path]


# --- the message ----------------------------------------------------------------------------


def test_what_arrives(receiver: Receiver) -> None:
    subscriber, secret = webhook(receiver)
    announcement = told(1)
    assert drain() == 1
    (heard,) = receiver.heard
    leave = tokens.url(tokens.make(subscriber, tokens.UNSUBSCRIBE), tokens.UNSUBSCRIBE)
    assert heard.body.decode() == (
        f'{{"meta":{{"unsubscribe":"{leave}","documentation":"http://127.0.0.1:8000/subscriptions/webhooks",'
        f'"generated_at":"{stamp(announcement.published_at)}"}},{(EVENT % 1)[1:]}'
    )
    assert verified(heard, secret) == json.loads(heard.body)
    assert (heard.headers["content-type"], heard.headers["webhook-sequence"]) == ("application/json", "1")
    row = Delivery.objects.get(announcement=announcement)
    assert (row.fate, row.reason, row.attempts) == (Fate.DELIVERED, "It answered 200 OK.", 1)


def test_the_body_is_frozen_before_the_first_leaves(receiver: Receiver) -> None:
    webhook(receiver)
    announcement = told(1)
    receiver.manner = say(500)
    drain()
    Announcement.objects.filter(pk=announcement.pk).update(content={"hook": EVENT % 9})
    receiver.manner = say(200)
    wait()
    first, second = receiver.heard
    assert (first.body, Rendering.objects.filter(announcement=announcement).count()) == (second.body, 1)


def test_the_id_is_constant_and_the_moment_is_the_trys(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """S21: over retries and replays."""
    subscriber, _ = webhook(receiver)
    webhook(receiver, "/other")
    told(1)
    told(2)
    moments = iter(range(1_000, 2_000))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2026, 11, 20, 12, 0, tzinfo=UTC) + timedelta(seconds=next(moments))

    monkeypatch.setattr(wire, "datetime", Clock)
    receiver.at["/hook"] = say(503)
    drain()
    receiver.at.clear()
    wait()
    assert endpoints.replay(Delivery.objects.filter(subscriber=subscriber), at=timezone.now()) == 2
    drain()
    theirs = [heard for heard in receiver.heard if heard.path == "/hook"]
    tries = Counter((json.loads(heard.body)["n"], heard.headers["webhook-id"]) for heard in theirs)
    assert sorted(n for n, _ in tries) == [1, 2]
    assert {n: count for (n, _), count in tries.items()} == {1: 3, 2: 2}
    assert len({heard.headers["webhook-timestamp"] for heard in receiver.heard}) == len(receiver.heard)
    others = {heard.headers["webhook-id"] for heard in receiver.heard if heard.path == "/other"}
    assert len(others | {id for _, id in tries}) == 4


def test_the_official_library_refuses_what_was_tampered_with(receiver: Receiver) -> None:
    """S21: one letter of body, id or moment; an older moment; another secret."""
    _, secret = webhook(receiver)
    told(1)
    drain()
    (heard,) = receiver.heard
    assert verified(heard, secret)["n"] == 1
    flips = [
        heard._replace(body=heard.body.replace(b'"n":1', b'"n":2')),
        heard._replace(headers=heard.headers | {"webhook-id": heard.headers["webhook-id"][:-1] + "x"}),
        heard._replace(headers=heard.headers | {"webhook-timestamp": str(int(heard.headers["webhook-timestamp"]) + 1)}),
    ]
    for flipped in flips:
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            verified(flipped, secret)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        verified(heard, SECRET)
    late = signed("msg_1", b"{}", (secret,), at=datetime.now(UTC) - timedelta(minutes=6))
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(b"{}", late)


def test_a_known_signature() -> None:
    """The example of the specification, so that a library that changes is noticed."""
    at = datetime.fromtimestamp(1_614_265_330, UTC)
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', (SECRET,), at=at)
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_for_a_day(receiver: Receiver) -> None:
    """S21: whoever checks by the old one goes on, whoever has the new one may begin."""
    subscriber, old = webhook(receiver)
    at = timezone.now()
    new = endpoints.rotate(subscriber, at=at)
    told(1)
    drain()
    (heard,) = receiver.heard
    assert len(heard.headers["webhook-signature"].split()) == 2
    assert (verified(heard, old)["n"], verified(heard, new)["n"]) == (1, 1)
    far_end = endpoint(subscriber)
    far_end.old_secret_until = timezone.now() - timedelta(seconds=1)
    far_end.save()
    told(2)
    drain()
    assert verified(receiver.heard[-1], new)["n"] == 2
    with pytest.raises(WebhookVerificationError):
        verified(receiver.heard[-1], old)


def test_secrets_lie_sealed_and_bound_to_their_row(receiver: Receiver) -> None:
    """S27: not in clear in any column; moved to another row they open nothing."""
    one, secret = webhook(receiver)
    other, _ = webhook(receiver, "/other")
    sealed = endpoint(one)
    assert not any(word in str(value) for word in (secret, receiver.url) for value in vars(sealed).values())
    stolen = endpoint(other)
    stolen.secret = sealed.secret
    stolen.save()
    with pytest.raises(vault.Unreadable):
        vault.open_sealed(stolen.secret, place("secret", other.public_id))
    announcement = told(1)
    for _ in range(3):
        wait()
    fates = dict(announcement.deliveries.values_list("subscriber", "fate"))
    assert (fates, numbers(receiver), numbers(receiver, "/other")) == (
        {one.pk: Fate.DELIVERED, other.pk: Fate.DEAD},
        [1],
        [],
    )


def test_news_with_nothing_for_webhooks_ends_dead_and_says_so(receiver: Receiver) -> None:
    webhook(receiver)
    announcement = told(1)
    Announcement.objects.filter(pk=announcement.pk).update(content={})
    for _ in range(3):
        wait()
    row = announcement.deliveries.get()
    assert (row.fate, "nothing in it for webhooks" in row.reason, receiver.heard) == (Fate.DEAD, True, [])


# --- tries --------------------------------------------------------------------------------------


def test_f06_the_schedule_is_the_standards() -> None:
    tries = [0.0]
    while (pause := backoff(len(tries) - 1)) is not None:
        tries.append(tries[-1] + pause)
    hours = 3_600
    assert tries == [0, 5, 300, 1_800, 2 * hours, 5 * hours, 10 * hours, 14 * hours, 20 * hours, 24 * hours]
    assert tuple(tries) == SCHEDULE


@pytest.mark.parametrize(
    ("status", "fate", "reason"),
    [
        (200, Fate.DELIVERED, "It answered 200 OK."),
        (204, Fate.DELIVERED, "It answered 204 No Content."),
        (299, Fate.DELIVERED, "It answered 299."),
        (301, Fate.PENDING, "It answered 301 Moved Permanently."),
        (302, Fate.PENDING, "It answered 302 Found."),
        (304, Fate.PENDING, "It answered 304 Not Modified."),
        (400, Fate.PENDING, "It answered 400 Bad Request."),
        (401, Fate.PENDING, "It answered 401 Unauthorized."),
        (404, Fate.PENDING, "It answered 404 Not Found."),
        (410, Fate.BOUNCED, "It answered 410 Gone."),
        (429, Fate.PENDING, "It answered 429 Too Many Requests."),
        (500, Fate.PENDING, "It answered 500 Internal Server Error."),
        (600, Fate.PENDING, "It answered 600."),
    ],
)
def test_answers_count_by_their_status(receiver: Receiver, status: int, fate: Fate, reason: str) -> None:
    webhook(receiver)
    announcement = told(1)
    receiver.manner = say(status, Location="http://169.254.169.254/")
    drain()
    row = announcement.deliveries.get()
    assert (row.fate, row.reason, len(receiver.heard)) == (fate, reason, 1)


def test_each_try_waits_as_the_schedule_says_and_the_tenth_is_the_last(receiver: Receiver) -> None:
    webhook(receiver)
    announcement = told(1)
    receiver.manner = reset
    pauses = []
    for _ in range(len(SCHEDULE) - 1):
        wait()
        row = announcement.deliveries.get()
        assert (row.fate, row.reason) == (Fate.PENDING, "It hung up without an answer.")
        pauses.append(round((row.next_at - timezone.now()).total_seconds()))
    wait()
    row = announcement.deliveries.get()
    assert (row.fate, row.attempts, len(receiver.heard)) == (Fate.DEAD, 10, 10)
    expected = [after - before for before, after in pairwise(SCHEDULE)]
    assert pauses == pytest.approx(expected, abs=2)


def test_news_of_yesterday_still_goes_out(receiver: Receiver) -> None:
    """F06: never coalesced, never stale; whoever was away for a day hears everything in order."""
    webhook(receiver)
    receiver.manner = say(500)
    for n in (1, 2, 3):
        told(n)
    drain()
    long_ago = timezone.now() - timedelta(hours=30)
    Announcement.objects.exclude(kind=Kind.LETTER).update(published_at=long_ago, expires_at=long_ago)
    receiver.manner = say(200)
    wait()
    drain()
    assert numbers(receiver) == [1, 1, 2, 3]


def test_a_failing_endpoint_waits_apart_and_holds_back_nobody(receiver: Receiver) -> None:
    bad, _ = webhook(receiver, "/bad")
    webhook(receiver, "/good")
    receiver.at["/bad"] = say(500)
    told(1)
    drain()
    told(2)
    drain()
    assert (numbers(receiver, "/bad"), numbers(receiver, "/good")) == ([1], [1, 2])
    pools = Counter(Delivery.objects.values_list("subscriber", "pool", "fate"))
    assert pools[(bad.pk, Pool.RETRIES, Fate.PENDING)] == 1
    assert pools[(bad.pk, Pool.RETRIES, Fate.BLOCKED)] == 1
    assert endpoint(bad).failing_since is not None
    receiver.at.clear()
    wait()
    told(3)
    drain()
    assert numbers(receiver, "/bad") == [1, 1, 2, 3]
    assert endpoint(bad).failing_since is None
    rows = Delivery.objects.filter(subscriber=bad)
    assert set(rows.values_list("fate", flat=True)) == {Fate.DELIVERED}
    assert set(rows.values_list("pool", flat=True)) == {Pool.HOOKS, Pool.RETRIES}
    assert rows.get(announcement__lane="lane 3").pool == Pool.HOOKS


def test_f06_the_slow_do_not_take_the_hands_of_the_others(
    receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four that take their time, two hands: the good ones behind them are served meanwhile."""
    monkeypatch.setattr("notifications.courier.SLOW_SECONDS", 0.1)
    monkeypatch.setattr("notifications.courier.LOOK_SECONDS", 0.05)
    settings.COURIER_HANDS = settings.COURIER_HANDS | {"hooks": 2}
    served, waited = threading.Semaphore(0), []

    def slow(connection: socket.socket, heard: Heard) -> None:
        waited.append(served.acquire(timeout=10.0))
        say(200)(connection, heard)

    def good(connection: socket.socket, heard: Heard) -> None:
        say(200)(connection, heard)
        served.release(4)

    for n in range(4):
        webhook(receiver, f"/slow{n}")
        receiver.at[f"/slow{n}"] = slow
    webhook(receiver, "/good")
    receiver.at["/good"] = good
    told(1)
    assert (drain(), waited) == (5, [True] * 4)


def test_410_ends_the_subscription(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    receiver.manner = say(410)
    told(1)
    told(2)
    drain()
    assert not Subscriber.objects.get(pk=subscriber.pk).is_active
    rows = dict(Delivery.objects.filter(subscriber=subscriber).values_list("announcement__lane", "fate"))
    assert rows == {"lane 1": Fate.BOUNCED, "lane 2": Fate.SUPPRESSED}
    assert not Delivery.objects.filter(announcement__kind=Kind.LETTER).exists()
    told(3)
    drain()
    assert len(receiver.heard) == 1


# --- quarantine --------------------------------------------------------------------------------


def failing_for_a_day(receiver: Receiver) -> Subscriber:
    subscriber, _ = webhook(receiver)
    receiver.manner = say(500)
    told(1)
    told(2)
    for _ in range(len(SCHEDULE)):
        wait()
    return subscriber


def test_a_day_of_failing_ends_in_quarantine_with_one_letter(receiver: Receiver) -> None:
    subscriber = failing_for_a_day(receiver)
    told(3)
    for _ in range(3):
        wait()
    assert numbers(receiver) == [1] * 10
    rows = Delivery.objects.filter(subscriber=subscriber).order_by("pk")
    assert list(rows.values_list("fate", "reason")) == [
        (Fate.DEAD, "It answered 500 Internal Server Error."),
        (Fate.SUPPRESSED, "The endpoint is in quarantine."),
        (Fate.SUPPRESSED, "The endpoint is in quarantine."),
    ]
    assert endpoint(subscriber).quarantined_at is not None
    (mail,) = Delivery.objects.filter(address=OWNER)
    told_owner = mail.announcement.content
    assert (told_owner["heading"], told_owner["paragraphs"][1]) == (
        "Your webhook is paused",
        "The last try ended so: It answered 500 Internal Server Error.",
    )
    assert f"/subscriptions/webhook/{tokens.make(subscriber, tokens.MANAGE)}" in told_owner["url"]


def test_a_name_that_must_not_be_said_keeps_nobody_out_of_quarantine(receiver: Receiver) -> None:
    """R-111, F19: the letter goes out without it; before, the sweep broke on it, and with it all that comes after."""
    subscriber, _ = webhook(receiver, name="Room of Zephyr")
    Brand.objects.create(slug="zephyr", name="Zephyr", sender_email="z@zephyr.example", support_email="z@z.example")
    receiver.manner = say(500)
    told(1)
    for _ in range(len(SCHEDULE)):
        wait()
    assert endpoint(subscriber).quarantined_at is not None
    (mail,) = Delivery.objects.filter(address=OWNER)
    assert mail.announcement.content["paragraphs"][0].startswith("For 24 hours, it could not be reached")


def test_a_worker_that_died_before_it_could_say_so_is_made_up_for(receiver: Receiver) -> None:
    """The row is dead, the endpoint is not in quarantine; the sweep finds it, once."""
    subscriber = failing_for_a_day(receiver)
    Delivery.objects.filter(address=OWNER).delete()
    a_day_ago = timezone.now() - timedelta(hours=24, minutes=2)
    far_end = endpoint(subscriber)
    far_end.quarantined_at, far_end.failing_since = None, a_day_ago
    far_end.save()
    for _ in range(2):
        wire.quarantine.sweep(timezone.now())
    assert endpoint(subscriber).quarantined_at is not None
    assert Delivery.objects.filter(address=OWNER).count() == 1


def test_the_sweep_lets_be_who_is_only_idle(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    far_end = endpoint(subscriber)
    far_end.failing_since = timezone.now() - timedelta(days=3)
    far_end.save()
    wire.quarantine.sweep(timezone.now())
    assert endpoint(subscriber).quarantined_at is None


def test_letters_to_people_are_not_meant_by_any_of_this(receiver: Receiver) -> None:
    subscriber = failing_for_a_day(receiver)
    letter("ann@example.org")
    assert Delivery.objects.exclude(subscriber=subscriber).filter(fate=Fate.PENDING).count() == 2
