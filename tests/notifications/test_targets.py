"""Rooms and accounts from first to last: kept, posted to, failing, paused, gone (R-801, R-1204, S27)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from notifications import delivery, fanout, subscriptions, targets, vault
from notifications.admin.endpoint_states import state
from notifications.channels.port import Answer, Verdict
from notifications.choices import Choice
from notifications.enums import Channel, Fate, Pool
from notifications.models import Announcement, Brand, Delivery, Endpoint, Rendering, Subscriber, Topic
from tests.notifications.news import news
from tests.notifications.receiver import say, silent
from tests.notifications.rooms import DISCORD, MASTODON, MATTERMOST, PAGERDUTY, SLACK, TELEGRAM, Rooms

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
SECRET = "TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", password=None)


def added(url: str = SLACK, *, by: User, name: str = "#status", **changes: Any) -> Subscriber:
    facts: dict[str, Any] = {"brand": None, "team": "Payments", "choice": Choice(), "at": timezone.now() - HOUR}
    return targets.add(url, name=name, by=by, **(facts | changes))


def told(**changes: Any) -> Announcement:
    announcement = news(**changes)
    fanout.expand(announcement.pk)
    return announcement


def sent(subscriber: Subscriber) -> list[tuple[str, str]]:
    rows = Delivery.objects.filter(subscriber=subscriber).order_by("pk")
    return [(row.fate, row.reason) for row in rows]


def test_a_target_hears_what_is_published(root: User, brand: Brand, rooms: Rooms) -> None:
    slack, mastodon = added(by=root), added(MASTODON, by=root, name="Our account")
    told(title="Card payments fail")
    assert delivery.drain(Pool.CHATS) == 2
    assert sent(slack) == [(Fate.DELIVERED, "Slack answered 200 OK.")]
    assert sent(mastodon) == [(Fate.DELIVERED, "Mastodon answered 200 OK.")]
    bodies = {where.partition("/")[0]: body for where, _, body in rooms.asked}
    assert bodies["hooks.slack.com"]["attachments"][0]["title"] == "[Northwind] Investigating: Card payments fail"
    link = "https://status.example/status/incidents/abc"
    status = f"Investigating: Card payments fail\r\nWe are on it. (0)\n\n{link}"
    assert bodies["mastodon.example.org"]["status"] == status


def test_what_is_secret_stands_sealed_in_one_place(root: User, brand: Brand, rooms: Rooms) -> None:
    """S27: no table, no history, no rendering and no repr tells the address."""
    subscriber = added(by=root)
    targets.change(subscriber, name="#ops", brand=brand, team="", choice=Choice(), at=timezone.now())
    told()
    delivery.drain(Pool.CHATS)
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            assert SECRET not in str(cursor.fetchall()), table
    assert "notifications_historicalendpoint" in tables
    endpoint = Endpoint.objects.get()
    assert vault.open_sealed(endpoint.url, f"endpoint.url:{subscriber.public_id}") == SLACK
    with pytest.raises(vault.Unreadable):
        vault.open_sealed(endpoint.url, f"endpoint.url:{Subscriber(address='x').public_id}")
    assert SECRET not in repr(subscriber) + repr(endpoint) + str(endpoint)


def test_only_what_it_is_for_reaches_it(root: User, brand: Brand, topics: list[Topic], rooms: Rooms) -> None:
    other = Brand.objects.create(
        slug="fabrikam", name="Fabrikam", sender_email="a@b.example", support_email="b@b.example"
    )
    ours = added(by=root, brand=brand)
    theirs = added(DISCORD, by=root, brand=other)
    worst = added(TELEGRAM, by=root, choice=Choice(least_rank=1))
    payments = added(MATTERMOST, by=root, choice=Choice(all_topics=False, topics=(topics[2].pk,)))
    told(rank=2, topics=[topics[0]], brand=brand)
    reached = set(Delivery.objects.values_list("subscriber", flat=True))
    assert reached == {ours.pk}
    assert {theirs.pk, worst.pk, payments.pk}.isdisjoint(reached)


def test_the_same_place_is_one_target(root: User, brand: Brand) -> None:
    added(by=root)
    with pytest.raises(ValidationError, match="This place hears our news already: #status"):
        added(SLACK.replace("https://hooks.slack.com/services/", "slack://"), by=root)
    assert Subscriber.objects.count() == Endpoint.objects.count() == 1


def test_the_queries_of_a_drain_do_not_grow_with_what_was_told(
    root: User, brand: Brand, rooms: Rooms, django_assert_max_num_queries: Any
) -> None:
    """One look for the address of each, besides claim, mark and outcome."""
    for number in range(6):
        added(DISCORD.replace("4174216298", f"41742162{number}"), by=root, name=f"Room {number}")
    told()
    with django_assert_max_num_queries(6 * 4 + 12):
        assert delivery.drain(Pool.CHATS) == 6
    assert Rendering.objects.filter(channel=Channel.CHAT).count() == 1


# --- when it does not go well --------------------------------------------------------------------


def _due() -> None:
    Delivery.objects.filter(fate=Fate.PENDING).update(next_at=timezone.now() - HOUR)


def test_a_failing_target_is_tried_for_some_hours_and_shown(root: User, brand: Brand, rooms: Rooms) -> None:
    subscriber = added(by=root)
    rooms.otherwise = say(403, b"invalid_token")
    told()
    for _ in range(20):
        _due()
        for pool in (Pool.CHATS, Pool.RETRIES):
            delivery.drain(pool)
    assert len(rooms.heard) == 9
    assert sent(subscriber) == [(Fate.DEAD, "Slack answered 403 Forbidden: invalid_token.")]
    endpoint = Endpoint.objects.get()
    assert endpoint.failing_since is not None
    assert endpoint.quarantined_at is None
    rooms.otherwise = say(200, b"ok")
    told(lane="another")
    for pool in (Pool.CHATS, Pool.RETRIES):
        delivery.drain(pool)
    assert Endpoint.objects.get().failing_since is None


def test_one_that_fails_keeps_nobody_waiting(root: User, brand: Brand, rooms: Rooms) -> None:
    bad, good = added(by=root), added(DISCORD, by=root, name="Other")
    rooms.says("hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", 500)
    rooms.otherwise = say(204)
    told()
    delivery.drain(Pool.CHATS)
    assert sent(good) == [(Fate.DELIVERED, "Discord answered 204 No Content.")]
    assert sent(bad) == [(Fate.PENDING, "Slack answered 500 Internal Server Error.")]


def test_after_a_doubt_one_copy_and_no_more(root: User, brand: Brand, rooms: Rooms, settings: Settings) -> None:
    """A room told twice is milder than a room not told; told three times it is not."""
    settings.DELIVERY_LEASE_SECONDS = 2
    subscriber = added(by=root)
    rooms.otherwise = silent
    told()
    delivery.drain(Pool.CHATS)
    assert sent(subscriber) == [(Fate.PENDING, "Slack: It did not answer in time.")]
    for _ in range(3):
        _due()
        delivery.drain(Pool.CHATS)
    assert sent(subscriber) == [(Fate.UNCERTAIN, "Slack: It did not answer in time.")]
    assert len(rooms.heard) == 2


def test_a_service_that_asks_for_time_gets_it(root: User, brand: Brand, rooms: Rooms) -> None:
    subscriber = added(by=root)
    rooms.otherwise = say(429, Retry_After="120")
    told()
    begun = timezone.now()
    delivery.drain(Pool.CHATS)
    row = Delivery.objects.get(subscriber=subscriber)
    assert row.fate == Fate.PENDING
    assert timedelta(seconds=115) < row.next_at - begun < timedelta(seconds=130)


def test_a_room_that_is_gone_hears_no_more_and_its_owner_is_told_once(brand: Brand, rooms: Rooms) -> None:
    at = timezone.now() - HOUR
    subscriber = targets.create_chat(DISCORD, owner_email="ann@example.org", choice=Choice(), at=at)
    subscriptions.confirm(subscriber, at=at)
    rooms.otherwise = say(404, b'{"message": "Unknown Webhook", "code": 10015}')
    told()
    delivery.drain(Pool.CHATS)
    told(lane="second")
    delivery.drain(Pool.CHATS)
    assert sent(subscriber) == [
        (Fate.BOUNCED, "Discord answered 404 Not Found: Unknown Webhook."),
        (Fate.SUPPRESSED, fanout.QUARANTINED),
    ]
    letters = Delivery.objects.filter(channel=Channel.EMAIL, address="ann@example.org")
    [letter] = [
        row.announcement for row in letters.select_related("announcement") if "no longer" in row.announcement.subject
    ]
    assert letter.subject == "Northwind status updates no longer reach your chat room"
    assert "Discord answered 404 Not Found: Unknown Webhook." in letter.content["paragraphs"]


def test_a_secret_whose_key_is_gone_ends_that_message_alone(
    root: User, brand: Brand, rooms: Rooms, settings: Settings
) -> None:
    """F18: said in words, without a word of the secret."""
    subscriber = added(by=root)
    settings.SECRETS_KEYS = ["another"]
    told()
    for _ in range(4):
        _due()
        delivery.drain(Pool.CHATS)
    [(fate, reason)] = sent(subscriber)
    assert fate == Fate.DEAD
    assert reason.endswith("Unreadable: This secret was sealed with a key that is not here any more.")
    assert rooms.heard == []


# --- what people do with it ----------------------------------------------------------------------


def test_trying_it_out_says_what_was_answered(root: User, brand: Brand, rooms: Rooms) -> None:
    subscriber = added(by=root, brand=brand)
    assert targets.try_out(subscriber) == Answer(Verdict.DELIVERED, "Slack answered 200 OK.")
    [(_, _, body)] = rooms.asked
    assert body["attachments"][0]["title"] == "[Northwind] Test message"
    assert body["attachments"][0]["text"].startswith("This is a test. Updates about incidents and maintenance ")
    assert not Delivery.objects.exists(), "a test is no news"
    rooms.otherwise = say(403, b"invalid_token")
    assert targets.try_out(subscriber) == Answer(Verdict.OURS, "Slack answered 403 Forbidden: invalid_token.")
    assert Endpoint.objects.get().failing_since is None, "only news is counted"


def test_a_test_that_arrives_ends_failing(root: User, brand: Brand, rooms: Rooms) -> None:
    subscriber = added(by=root)
    Endpoint.objects.update(failing_since=timezone.now() - HOUR)
    targets.try_out(subscriber)
    assert Endpoint.objects.get().failing_since is None


def test_a_pager_is_tried_out_by_an_alert_of_its_own(root: User, brand: Brand, rooms: Rooms) -> None:
    targets.try_out(added(PAGERDUTY, by=root))
    [(_, _, body)] = rooms.asked
    assert (body["dedup_key"], body["payload"]["severity"]) == ("heliograph-test", "info")


def test_a_pause_holds_also_what_is_queued(root: User, brand: Brand, rooms: Rooms) -> None:
    subscriber = added(by=root)
    told()
    targets.pause(subscriber, at=timezone.now())
    targets.pause(subscriber, at=timezone.now())
    told(lane="second")
    assert delivery.drain(Pool.CHATS) == 0
    assert sent(subscriber) == [(Fate.SUPPRESSED, fanout.PAUSED), (Fate.SUPPRESSED, fanout.PAUSED)]
    targets.resume(subscriber)
    told(lane="third")
    assert delivery.drain(Pool.CHATS) == 1
    assert rooms.asked != []


def test_what_failed_and_is_then_paused_by_a_person_is_paused(root: User, brand: Brand) -> None:
    """Not "stopped: it kept failing", which nobody said."""
    subscriber = added(by=root)
    Endpoint.objects.update(failing_since=timezone.now())
    targets.pause(subscriber, at=timezone.now())
    told()
    assert state(Endpoint.objects.get()) == "paused"
    assert sent(subscriber) == [(Fate.SUPPRESSED, fanout.PAUSED)]


def test_what_left_while_it_was_paused_does_not_wake_it(root: User, brand: Brand, rooms: Rooms) -> None:
    subscriber = added(by=root)
    targets.pause(subscriber, at=timezone.now())
    targets.try_out(subscriber)
    assert Endpoint.objects.get().quarantined_at is not None


def test_what_it_hears_can_be_changed_and_its_address_renewed(root: User, brand: Brand, rooms: Rooms) -> None:
    subscriber = added(by=root)
    at, new = timezone.now(), SLACK.replace("TIiajkdnlazkcOXrIdevi7FQ", "aNewT0ken")
    choice = Choice(least_rank=2, wants_maintenance=False)
    targets.change(subscriber, name="#ops", brand=brand, team="Ops", choice=choice, at=at, url=new)
    subscriber.refresh_from_db()
    endpoint = Endpoint.objects.get()
    assert (endpoint.name, endpoint.brand, endpoint.team) == ("#ops", brand, "Ops")
    assert (subscriber.least_rank, subscriber.wants_maintenance, subscriber.changed_at) == (2, False, at)
    targets.try_out(subscriber)
    assert rooms.asked[0][0].endswith("/aNewT0ken")
    targets.change(subscriber, name="#ops", brand=None, team="", choice=choice, at=at)
    targets.try_out(subscriber)
    assert rooms.asked[1][0].endswith("/aNewT0ken"), "left empty, the address stays"


def test_an_address_of_another_service_is_another_target(root: User, brand: Brand) -> None:
    subscriber = added(by=root)
    added(DISCORD, by=root, name="Other")
    facts: dict[str, Any] = {"name": "", "brand": None, "team": "", "choice": Choice(), "at": timezone.now()}
    with pytest.raises(ValidationError, match="This is an address of Discord"):
        targets.change(subscriber, url=DISCORD, **facts)
    other = added(SLACK.replace("T1JJ3T3L2", "T2"), by=root, name="Third")
    with pytest.raises(ValidationError, match="This place is a target already"):
        targets.change(other, url=SLACK, **facts)


def test_a_removed_target_is_forgotten_but_not_its_lines(root: User, brand: Brand, rooms: Rooms) -> None:
    subscriber = added(by=root)
    told()
    delivery.drain(Pool.CHATS)
    told(lane="second")
    targets.remove(subscriber, at=timezone.now())
    assert not Endpoint.objects.exists()
    assert sent(subscriber) == [(Fate.DELIVERED, "Slack answered 200 OK."), (Fate.SUPPRESSED, targets.REMOVED)]
    told(lane="third")
    assert delivery.drain(Pool.CHATS) == 0
    again = added(by=root, name="Back again", at=timezone.now())
    assert again.pk == subscriber.pk
    told(lane="fourth", at=timezone.now())
    assert delivery.drain(Pool.CHATS) == 1
    targets.remove(again, at=timezone.now())
    with pytest.raises(ValidationError, match="This target was removed"):
        targets.pause(again, at=timezone.now())


# --- rooms of customers ----------------------------------------------------------------------------


def test_a_customers_room_hears_nothing_before_its_owner_confirms(brand: Brand, rooms: Rooms) -> None:
    at = timezone.now() - HOUR
    choice = Choice(least_rank=2)
    subscriber = targets.create_chat(SLACK, owner_email="ann@example.org", choice=choice, at=at)
    assert (subscriber.channel, subscriber.is_active) == (Channel.CHAT, False)
    told()
    assert delivery.drain(Pool.CHATS) == 0
    subscriptions.confirm(subscriber, at=timezone.now() - timedelta(minutes=1))
    told(lane="second", rank=1)
    assert delivery.drain(Pool.CHATS) == 1
    subscriber.refresh_from_db()
    assert subscriber.least_rank == 2


def test_whoever_pastes_it_again_changes_nothing(brand: Brand) -> None:
    at = timezone.now() - HOUR
    first = targets.create_chat(SLACK, owner_email="ann@example.org", choice=Choice(least_rank=2), at=at)
    subscriptions.confirm(first, at=at)
    again = targets.create_chat(f"{SLACK}/", owner_email="eve@example.org", choice=Choice(), at=at)
    assert again == first
    again.refresh_from_db()
    assert again.least_rank == 2
    assert again.endpoint.owner_email == "ann@example.org"


def test_what_customers_may_paste() -> None:
    assert targets.normal_chat_url(f" {SLACK} ") == SLACK
    for url in ("slack://T1/B1/x", MASTODON, "https://example.org/", "http://hooks.slack.com/services/T1/B1/x", ""):
        with pytest.raises(ValidationError):
            targets.normal_chat_url(url)


def test_the_note_is_frozen_once_and_the_same_for_all(root: User, brand: Brand, rooms: Rooms) -> None:
    added(by=root), added(DISCORD, by=root, name="Other")
    told(text="Frozen")
    delivery.drain(Pool.CHATS)
    [part] = Rendering.objects.get(channel=Channel.CHAT).parts
    frozen = json.loads(part)
    assert (frozen["brand"], frozen["text"]) == ("Northwind", "Frozen (0)")
    assert "url" not in frozen


def test_what_fails_for_a_day_is_stopped_and_said_so(brand: Brand, rooms: Rooms) -> None:
    """Not what failed once and had nothing to hear since."""
    at = timezone.now() - timedelta(hours=30)
    subscriber = targets.create_chat(DISCORD, owner_email="ann@example.org", choice=Choice(), at=at)
    subscriptions.confirm(subscriber, at=at)
    rooms.otherwise = say(403, b"Missing Access")
    told(at=at + HOUR)
    Endpoint.objects.update(failing_since=at + HOUR)
    Delivery.objects.update(fate=Fate.DEAD, sent_at=at + 5 * HOUR, reason="Discord answered 403 Forbidden.")
    delivery.sweep()
    assert Endpoint.objects.get().quarantined_at is None
    told(lane="second day", at=at + 24 * HOUR)
    second = Delivery.objects.filter(announcement__lane="second day")
    second.update(fate=Fate.DEAD, sent_at=at + 28 * HOUR, reason="Discord answered 403 Forbidden.")
    delivery.sweep()
    assert Endpoint.objects.get().quarantined_at is not None
    letter = Delivery.objects.get(channel=Channel.EMAIL).announcement
    assert letter.subject == "Northwind status updates no longer reach your chat room"
    assert "Discord answered 403 Forbidden." in letter.content["paragraphs"]
    delivery.sweep()
    assert Delivery.objects.filter(channel=Channel.EMAIL).count() == 1, "its owner is told once"
    targets.create_chat(DISCORD, owner_email="eve@example.org", choice=Choice(), at=timezone.now())
    endpoint = Endpoint.objects.get()
    assert (endpoint.quarantined_at, endpoint.owner_email) == (None, "ann@example.org"), "it gets another chance"
