"""Nothing about anybody is kept longer than it serves them (S16, S29)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from notifications import codes, erasure, imports, limits, retention, subscriptions, suppression, tasks
from notifications.choices import Choice
from notifications.enums import Channel, Fate, Silence
from notifications.models import (
    Announcement,
    Brand,
    Code,
    Delivery,
    Endpoint,
    Follow,
    ImportFile,
    Receipt,
    SignUp,
    Subscriber,
    Suppression,
    Tally,
    Topic,
)
from tests.notifications.news import news
from tests.notifications.test_erasure import everywhere

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
ADA, ANN = "ada@analytical.example", "+12125550101"


def left(address: str = ADA, *, at: datetime = NOON, **changes: Any) -> Subscriber:
    facts = {"created_at": at - DAY, "confirmed_at": at - DAY, "unsubscribed_at": at, "address": address}
    return Subscriber.objects.create(**(facts | changes))


def test_who_never_confirmed_is_gone_after_a_week(brand: Brand) -> None:
    """S16: with the letter, its link, and what they wanted to follow."""
    subscriptions.subscribe(ADA, Choice(), at=NOON)
    subscriptions.follow(Channel.SMS, ANN, "notice:x", "Fire", at=NOON)
    assert retention.forget(at=NOON + 7 * DAY) == (0, 0)
    assert (everywhere(ADA), everywhere(ANN)) != ([], [])
    assert retention.forget(at=NOON + 7 * DAY + SECOND) == (2, 0)
    assert (everywhere(ADA), everywhere(ANN)) == ([], [])
    assert [model.objects.count() for model in (Subscriber, Announcement, Delivery, Follow)] == [0, 0, 0, 0]
    # Who was never there is on no list either.
    assert Suppression.objects.count() == 0


def test_who_was_asked_again_has_another_week(brand: Brand) -> None:
    subscriptions.subscribe(ADA, Choice(), at=NOON)
    subscriptions.subscribe(ADA, Choice(), at=NOON + 5 * DAY)
    assert retention.forget(at=NOON + 10 * DAY) == (0, 0)
    assert retention.forget(at=NOON + 12 * DAY + SECOND) == (1, 0)


def test_three_letters_are_three_also_when_the_row_is_gone(brand: Brand) -> None:
    """S16: the count is kept under a hash, the address is not."""
    written = 0
    for day in range(0, 120, 4):
        at = NOON + day * DAY
        retention.forget(at=at)
        before = Delivery.objects.count()
        subscriptions.subscribe(ADA, Choice(), at=at)
        written += Delivery.objects.count() - before
    assert written == limits.LETTERS_UNANSWERED
    assert retention.forget(at=NOON + 200 * DAY) == (1, 0)
    assert (everywhere(ADA), Tally.objects.count()) == ([], 1)


def test_who_left_loses_their_name_after_a_month_and_no_import_brings_them_back(
    brand: Brand, topics: list[Topic]
) -> None:
    """S29: the books of delivery still add up."""
    ada = left(consent_source=f"Signed by {ADA}", signed_up_from="203.0.113.0/24", all_topics=False)
    ada.topics.set(topics)
    row = Delivery.objects.create(
        announcement=news(lane="x"), subscriber=ada, channel=Channel.EMAIL, pool="news", fate=Fate.BOUNCED,
        reason=f"550 <{ADA}> unknown", next_at=NOON, created_at=NOON,
    )  # fmt: skip
    Receipt.objects.create(source="esp", event="1", word="bounced", detail=ADA, delivery=row, at=NOON)
    assert retention.forget(at=NOON + 30 * DAY) == (0, 0)
    assert retention.forget(at=NOON + 30 * DAY + SECOND) == (0, 1)
    assert (everywhere(ADA), everywhere(ada.public_id.hex), everywhere(str(ada.public_id))) == ([], [], [])
    gone = Subscriber.objects.get(pk=ada.pk)
    assert (gone.address, gone.unsubscribed_at, gone.topics.count()) == (f"erased-{ada.pk}", NOON, 0)
    row.refresh_from_db()
    assert (row.fate, row.subscriber_id) == (Fate.BOUNCED, ada.pk)
    assert Suppression.objects.get().reason == Silence.LEFT
    file = BytesIO(f"address,consent_at,consent_source\n{ADA},2026-01-01,x\n".encode())
    assert imports.run(file, at=NOON, dry=False).counts == {"suppressed": 1}
    assert retention.forget(at=NOON + 60 * DAY) == (0, 0)


def test_their_own_confirmation_brings_them_back(brand: Brand) -> None:
    left()
    retention.forget(at=NOON + 31 * DAY)
    subscriptions.confirm(subscriptions.subscribe(ADA, Choice(), at=NOON + 32 * DAY), at=NOON + 32 * DAY)
    assert (Subscriber.objects.active().count(), Suppression.objects.count()) == (1, 0)


def test_who_is_about_to_come_back_keeps_their_row(brand: Brand) -> None:
    left()
    subscriptions.subscribe(ADA, Choice(), at=NOON + 30 * DAY)
    assert retention.forget(at=NOON + 31 * DAY) == (0, 0)
    assert retention.forget(at=NOON + 38 * DAY) == (0, 1)


def test_a_stop_outlives_the_name(brand: Brand) -> None:
    """S19: also an erasure does not make it weaker."""
    left(ANN, channel=Channel.SMS)
    suppression.add(Channel.SMS, ANN, Silence.STOPPED, at=NOON)
    retention.forget(at=NOON + 31 * DAY)
    assert (everywhere(ANN), suppression.stopped(ANN)) == ([], True)
    suppression.add(Channel.SMS, ANN, Silence.ERASED, at=NOON)
    suppression.lift(Channel.SMS, ANN)
    assert suppression.stopped(ANN)
    suppression.start(ANN)
    assert not suppression.holds(Channel.SMS, ANN)


def test_whose_incident_ended_said_no_to_nothing(brand: Brand) -> None:
    """They are forgotten, but a contract that proves their consent may bring them in."""
    left(follows_only=True)
    retention.forget(at=NOON + 31 * DAY)
    assert (everywhere(ADA), Suppression.objects.count()) == ([], 0)


def test_an_endpoint_goes_with_its_owner_and_its_history(brand: Brand) -> None:
    for label, facts in (
        ("hooks.example #1", {"confirmed_at": NOON, "unsubscribed_at": NOON}),
        ("hooks.example #2", {}),
    ):
        row = Subscriber.objects.create(channel=Channel.WEBHOOK, address=label, created_at=NOON, **facts)
        endpoint = Endpoint.objects.create(subscriber=row, url="sealed", owner_email=ADA, name=label, created_at=NOON)
        endpoint.name = f"{label}, renamed"
        endpoint.save()
    assert retention.forget(at=NOON + 31 * DAY) == (1, 1)
    assert (everywhere(ADA), everywhere("hooks.example")) == ([], [])
    assert (Endpoint.objects.count(), Endpoint.history.count()) == (0, 0)


def test_what_waits_for_nobody_is_thrown_away(brand: Brand) -> None:
    root = User.objects.create_superuser("root", "root@x.example", "x")
    SignUp.objects.create(address=ADA, choice={}, asked_at=NOON)
    ImportFile.objects.create(owner=root, name="list.csv", packed=b"x", uploaded_at=NOON)
    bob = left("bob@x.example", unsubscribed_at=None)
    Follow.objects.create(subscriber=bob, lane="asked", asked_at=NOON)
    Follow.objects.create(subscriber=bob, lane="begun", asked_at=NOON, since=NOON)
    codes.make(Channel.SMS, ANN, codes.MANAGE, at=NOON)
    limits.take("door", "ann", most=1, per=limits.HOUR, at=NOON)
    retention.forget(at=NOON + 8 * DAY)
    assert [model.objects.count() for model in (SignUp, ImportFile, Code, Tally)] == [0, 0, 0, 0]
    assert list(Follow.objects.values_list("lane", flat=True)) == ["begun"]
    assert bob.is_active


def test_many_are_forgotten_in_a_few_statements(
    brand: Brand, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    """Sets, not people one by one: as many statements for sixty as for six, and chunk by chunk."""
    monkeypatch.setattr(retention, "CHUNK", 30)
    for n in range(60):
        left(f"p{n}@x.example")
        Subscriber.objects.create(address=f"new{n}@x.example", created_at=NOON)
    with django_assert_max_num_queries(140):
        assert retention.forget(at=NOON + 31 * DAY) == (60, 60)
    assert everywhere("@x.example") == []
    assert Suppression.objects.count() == 60


def test_the_timetable_knows_it(brand: Brand) -> None:
    left(at=timezone.now() - 31 * DAY)
    tasks.forget()
    assert everywhere(ADA) == []


def test_an_erasure_takes_what_channels_added(brand: Brand, ada: Subscriber) -> None:
    """S29: follows, codes, receipts, letters to an owner; and what a provider said with a number in it."""
    ann = left(ANN, channel=Channel.SMS, unsubscribed_at=None)
    subscriptions.ask_to_follow(Channel.SMS, ANN, "notice:x", "Fire", at=NOON)
    subscriptions.ask_for_code(Channel.SMS, ANN, at=NOON)
    subscriptions.answer(at=NOON)
    Delivery.objects.create(
        announcement=news(lane="x"), subscriber=ann, channel=Channel.SMS, pool="texts", fate=Fate.DEAD,
        reason="Twilio 21211: 12125550101 is not a number", next_at=NOON, created_at=NOON,
    )  # fmt: skip
    subscriptions.erase(ann, by=None, at=NOON)
    assert (everywhere(ANN), everywhere("2125550101"), Code.objects.count(), Follow.objects.count()) == ([], [], 0, 0)
    assert Delivery.objects.get(subscriber=ann).reason == "The relay's words were erased."
    assert erasure.NOBODY in Subscriber.objects.get(pk=ann.pk).address
