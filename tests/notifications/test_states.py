"""What the console reads of a channel: that it rests, why, and since when (F07, F28)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from notifications import delivery, fanout, states
from notifications.models import Announcement, ChannelState, Delivery
from notifications.states import Leave
from tests.notifications.news import news, readers
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db


def written() -> list[tuple[str, bool, bool, str]]:
    return [(row.channel, row.resting_since is not None, row.ours, row.reason) for row in ChannelState.objects.all()]


def told(count: int) -> None:
    readers(count)
    fanout.expand(news().pk)


def test_a_channel_that_always_worked_has_no_row(relay: Relay) -> None:
    told(2)
    assert delivery.drain("news") == 2
    assert written() == []


def test_a_relay_that_is_away_is_shown_until_mail_is_accepted_again(
    relay: Relay, settings: Settings, free_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(1)
    there = settings.SMTP
    settings.SMTP = there | {"port": free_tcp_port}
    assert delivery.drain("news") == 0
    [(channel, resting, ours, reason)] = written()
    assert (channel, resting, ours) == ("email", True, False)
    assert reason.startswith("No connection to the relay: ")
    settings.SMTP = there
    monkeypatch.setattr(delivery._crews["news"].breaker, "_rest_until", 0.0)
    ChannelState.objects.update(probe_at=None)
    assert delivery.drain("news") == 1
    assert written() == [("email", False, False, "")]


def test_a_login_that_expired_is_ours(relay: Relay, settings: Settings) -> None:
    """F28: nobody waits for better weather; no recipient is punished."""
    settings.SMTP = settings.SMTP | {"user": "heliograph", "password": "expired"}
    told(2)
    assert delivery.drain("news") == 0
    reason = "No secure connection to the relay: SMTP AUTH extension not supported by server."
    assert written() == [("email", True, True, reason)]
    assert Counter(Delivery.objects.values_list("fate", flat=True)) == {"pending": 2}


def test_a_rest_keeps_its_beginning_and_takes_the_newest_reason() -> None:
    first = timezone.now()
    states.rest("email", "451 later", ours=False, at=first)
    states.rest("email", "535 no", ours=True, at=first + timedelta(seconds=9))
    row = ChannelState.objects.get()
    assert (row.resting_since, row.reason, row.ours) == (first, "535 no", True)


# --- who tries (F07) -------------------------------------------------------------------


def leave(*, waits: bool = True) -> Leave:
    return states.leave("email", lambda: waits)


def test_while_a_channel_works_everybody_may_and_one_query_says_so() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert leave() is Leave.FREE
    assert len(queries) == 1
    states.rest("email", "451 later", ours=False, at=timezone.now())
    states.well("email")
    assert leave() is Leave.FREE


def test_while_it_rests_one_of_all_processes_tries_at_a_time() -> None:
    states.rest("email", "451 later", ours=False, at=timezone.now())
    assert leave() is Leave.NONE
    ChannelState.objects.update(probe_at=timezone.now() - timedelta(seconds=1))
    assert [leave() for _ in range(3)] == [Leave.PROBE, Leave.NONE, Leave.NONE]
    # Whoever died over it is followed by another.
    ChannelState.objects.update(probe_at=timezone.now() - timedelta(seconds=1))
    assert leave() is Leave.PROBE


def test_who_has_nothing_to_send_takes_nobodys_turn() -> None:
    states.rest("email", "451 later", ours=False, at=timezone.now())
    ChannelState.objects.update(probe_at=timezone.now() - timedelta(seconds=1))
    assert leave(waits=False) is Leave.NONE
    assert leave() is Leave.PROBE


@pytest.mark.parametrize(("rested", "wait"), [(0.0, 2.0), (1.0, 2.0), (8.0, 8.0), (3600.0, 15.0)])
def test_the_longer_it_rests_the_rarer_are_the_tries(rested: float, wait: float) -> None:
    now = timezone.now()
    states.rest("email", "451 later", ours=False, at=now - timedelta(seconds=rested))
    states.rest("email", "451 later", ours=False, at=now)
    probe_at = ChannelState.objects.get().probe_at
    assert probe_at is not None
    assert abs((probe_at - now).total_seconds() - wait) < 1.0


def test_an_idle_process_does_not_say_again_what_is_over(
    relay: Relay, settings: Settings, free_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was the last to find the relay away; others have long found it back."""
    told(1)
    settings.SMTP = settings.SMTP | {"port": free_tcp_port}
    delivery.drain("news")
    states.well("email")
    Delivery.objects.all().delete()
    monkeypatch.setattr(delivery._crews["news"].breaker, "_rest_until", 0.0)
    delivery.drain("news")
    assert written() == [("email", False, False, "")]


def test_expired_mail_in_front_does_not_use_up_the_try(relay: Relay) -> None:
    """It ends without the relay, which says nothing about the relay."""
    told(120)
    old = news(lane="old")
    fanout.expand(old.pk)
    Delivery.objects.filter(announcement=old).update(next_at=timezone.now() - timedelta(hours=1))
    Announcement.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    states.rest("email", "451 later", ours=False, at=timezone.now())
    assert delivery.drain("news") == 0
    ChannelState.objects.update(probe_at=timezone.now() - timedelta(seconds=1))
    assert delivery.drain("news") == 120
    assert written() == [("email", False, False, "")]


def test_a_suspect_alone_is_enough_to_try(relay: Relay) -> None:
    told(1)
    Delivery.objects.update(crashes=1)
    states.rest("email", "451 later", ours=False, at=timezone.now())
    ChannelState.objects.update(probe_at=None)
    assert delivery.drain("news") == 1


def test_one_channel_says_nothing_of_another() -> None:
    at = timezone.now()
    states.rest("email", "451 later", ours=False, at=at)
    states.rest("sms", "401 no", ours=True, at=at)
    states.well("email")
    assert written() == [("email", False, False, ""), ("sms", True, True, "401 no")]


def test_a_doubt_is_reported_once_an_hour_until_it_was_seen() -> None:
    at = timezone.now()
    assert states.doubt("email", "Many came back.", at=at)
    assert not states.doubt("email", "More came back.", at=at + timedelta(minutes=59))
    assert states.doubt("email", "Again.", at=at + timedelta(minutes=120))
    states.seen("email")
    row = ChannelState.objects.get()
    assert (row.doubt, row.doubted_at) == ("", None)
