"""Following one incident to its end, and nothing else (R-802)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications import fanout, subscriptions, tokens
from notifications.audit import audit
from notifications.choices import Choice
from notifications.enums import Channel, Fate, Kind
from notifications.models import Announcement, Brand, Delivery, Follow, SignUp, Subscriber
from notifications.subscriptions import NotAllowed
from tests.notifications.news import news, reader

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ADA = "ada@analytical.example"
FIRE, FLOOD = "notice:aaaaaaaaaaaa", "notice:bbbbbbbbbbbb"


def follow(
    lane: str = FIRE, name: str = "Card payments fail", *, at: datetime = NOON, address: str = ADA
) -> Subscriber:
    subscriptions.ask_to_follow(Channel.EMAIL, address, lane, name, at=at, network="203.0.113.0/24")
    assert subscriptions.answer(at=at) == 1
    return Subscriber.objects.get(address=address)


def letter() -> dict[str, Any]:
    return dict(Announcement.objects.filter(kind=Kind.LETTER).latest("pk").content)


def confirm(*, at: datetime = NOON) -> Subscriber:
    token = letter()["url"].rsplit("/", 1)[1]
    return subscriptions.confirm(subscriptions.holder(token, tokens.CONFIRM, at=at), at=at)


def told(lane: str, *, at: datetime = NOON + MINUTE, rank: int = 4) -> list[str]:
    """Who is told about news of a lane."""
    readers = Subscriber.objects.interested(kind=Kind.INCIDENT, rank=rank, topics=[], at=at, lane=lane)
    return sorted(readers.values_list("address", flat=True))


def test_a_newcomer_hears_of_this_one_and_of_nothing_else(brand: Brand) -> None:
    ada = follow()
    assert (ada.follows_only, ada.is_active, ada.signed_up_from, told(FIRE)) == (True, False, "203.0.113.0/24", [])
    assert "“Card payments fail”" in letter()["paragraphs"][0]
    assert SignUp.objects.count() == 0
    confirm()
    assert (told(FIRE), told(FLOOD), told("")) == ([ADA], [], [])
    assert told(FIRE, at=NOON - MINUTE) == []


def test_two_incidents_asked_for_at_once_are_two_wishes(brand: Brand) -> None:
    subscriptions.ask_to_follow(Channel.EMAIL, ADA, FIRE, "Fire", at=NOON)
    subscriptions.ask_to_follow(Channel.EMAIL, ADA, FLOOD, "Flood", at=NOON)
    subscriptions.ask(ADA, Choice(least_rank=1), at=NOON)
    assert subscriptions.answer(at=NOON) == 3
    assert Follow.objects.count() == 2
    confirm()
    assert (told(FIRE), told(FLOOD), told("", rank=1), told("", rank=2)) == ([ADA], [ADA], [ADA], [])


def test_anybody_can_type_anybodys_address_and_nothing_changes(brand: Brand) -> None:
    """S15: somebody who is subscribed decides by their own letter, and keeps their choice either way."""
    ann = reader("ann", least_rank=1, confirmed_at=NOON - DAY, created_at=NOON - DAY)
    follow(address=ann.address)
    assert (told(FIRE), letter()["heading"]) == ([], "Follow this incident?")
    assert Choice.of(Subscriber.objects.get()) == Choice(least_rank=1)
    confirm()
    assert (told(FIRE), told(FLOOD), told(FLOOD, rank=1)) == ([ann.address], [], [ann.address])


def test_who_waits_for_a_whole_subscription_keeps_that_wish(brand: Brand) -> None:
    subscriptions.subscribe(ADA, Choice(least_rank=2), at=NOON)
    ada = follow(at=NOON + MINUTE)
    assert (ada.follows_only, ada.least_rank) == (False, 2)
    confirm(at=NOON + 2 * MINUTE)
    assert told(FIRE, at=NOON + 3 * MINUTE) == [ADA]


def test_a_brand_of_somebody_else_is_not_named_in_our_letter(brand: Brand) -> None:
    """R-111: the letter goes out without the name; nobody waits for ever."""
    Brand.objects.create(
        slug="contoso", name="Contoso", sender_name="C", sender_email="c@x.example", support_email="c@x.example"
    )
    follow(name="Contoso is down")
    assert "about an incident" in letter()["paragraphs"][0]
    assert "Contoso" not in str(letter())


def test_followers_get_their_rows_and_the_auditor_misses_nobody(brand: Brand) -> None:
    """A follower of today is no reader of yesterday's updates; who stops is not missed afterwards."""
    at = datetime.now(UTC)
    subscriber = reader("ann", least_rank=1)
    first = news("Investigating", lane=FIRE, rank=4, at=at - 5 * MINUTE)
    fanout.expand(first.pk)
    subscriptions.follow(Channel.EMAIL, subscriber.address, FIRE, "Fire", at=at - 4 * MINUTE)
    confirm(at=at - 4 * MINUTE)
    second = news("Identified", lane=FIRE, rank=4, at=at - 3 * MINUTE)
    fanout.expand(second.pk)
    assert list(Delivery.objects.filter(subscriber=subscriber).values_list("announcement", flat=True)) == [second.pk]
    subscriptions.stop_following(subscriber, FIRE, at=at - MINUTE)
    third = news("Resolved", lane=FIRE, rank=4, at=at)
    fanout.expand(third.pk)
    assert Delivery.objects.filter(subscriber=subscriber).count() == 1
    assert [finding.rule.id for finding in audit(at).wrong] == []


def test_stopping_the_only_one_is_leaving(brand: Brand) -> None:
    follow()
    ada = confirm()
    queued = news(lane=FIRE, at=NOON + MINUTE)
    fanout.expand(queued.pk)
    ada = subscriptions.stop_following(ada, FIRE, at=NOON + 2 * MINUTE)
    assert (ada.is_active, ada.unsubscribed_at) == (False, NOON + 2 * MINUTE)
    assert Delivery.objects.get(announcement=queued).fate == Fate.SUPPRESSED
    with pytest.raises(NotAllowed, match="What you followed is over"):
        subscriptions.rejoin(ada, at=NOON + 3 * MINUTE)


def test_stopping_one_of_two_leaves_the_other(brand: Brand) -> None:
    follow()
    follow(FLOOD, "Flood", at=NOON + MINUTE)
    ada = confirm(at=NOON + 2 * MINUTE)
    subscriptions.stop_following(ada, FIRE, at=NOON + 3 * MINUTE)
    assert (told(FIRE, at=NOON + DAY), told(FLOOD, at=NOON + DAY)) == ([], [ADA])


def test_what_is_over_ends_by_itself(brand: Brand) -> None:
    """Who wanted nothing else has left; others keep what they chose. Again changes nothing."""
    follow()
    confirm()
    ann = reader("ann", confirmed_at=NOON)
    Follow.objects.create(subscriber=ann, lane=FIRE, name="Fire", since=NOON)
    assert subscriptions.end_follows([FIRE, FLOOD], at=NOON + DAY) == 2
    ada = Subscriber.objects.get(address=ADA)
    assert (ada.is_active, ada.unsubscribed_at, ada.changed_at) == (False, NOON + DAY, NOON + DAY)
    assert Subscriber.objects.get(pk=ann.pk).is_active
    assert subscriptions.end_follows([FIRE, FLOOD], at=NOON + 2 * DAY) == 0
    assert Subscriber.objects.get(address=ADA).unsubscribed_at == NOON + DAY


def test_an_old_letter_cannot_begin_what_is_over(brand: Brand) -> None:
    follow()
    subscriptions.end_follows([FIRE], at=NOON + MINUTE)
    with pytest.raises(NotAllowed, match="is over"):
        confirm(at=NOON + 2 * MINUTE)


def test_who_follows_chooses_more_and_goes_back(brand: Brand) -> None:
    follow()
    ada = subscriptions.choose(confirm(), Choice(least_rank=3), at=NOON + MINUTE)
    assert (told(FLOOD, rank=3, at=NOON + DAY), told(FIRE, rank=4, at=NOON + DAY)) == ([ADA], [ADA])
    subscriptions.choose(ada, Choice(follows_only=True), at=NOON + 2 * MINUTE)
    assert (told(FLOOD, rank=1, at=NOON + DAY), told(FIRE, rank=4, at=NOON + DAY)) == ([], [ADA])
