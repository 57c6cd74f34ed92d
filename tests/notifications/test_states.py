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
from notifications.models import ChannelState, Delivery
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


def test_a_rest_keeps_its_beginning_and_is_written_on_change_only() -> None:
    first = timezone.now()
    states.rest("email", "451 later", ours=False, at=first)
    with CaptureQueriesContext(connection) as queries:
        states.rest("email", "451 later", ours=False, at=first + timedelta(seconds=5))
    assert len(queries) == 1
    states.rest("email", "535 no", ours=True, at=first + timedelta(seconds=9))
    row = ChannelState.objects.get()
    assert (row.resting_since, row.reason, row.ours) == (first, "535 no", True)


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
