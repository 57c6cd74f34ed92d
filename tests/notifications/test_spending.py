"""Caps on what texts may cost: counted in segments, kept by the database, named when they are reached (F05)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from notifications import delivery, limits, spending, states
from notifications.enums import Channel, Fate
from notifications.models import Delivery, Tally
from tests.notifications.carrier import TAKE, Carrier, refuse
from tests.notifications.texting import ANN, BOB, CY, hasten, phone, rows, told, work

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _caps(settings: Settings) -> None:
    settings.SMS_CAPS = {"incident": 10, "hour": 20, "month": 40, "codes": 5}


def news(segments: int, lane: str = "one", at: datetime = NOON) -> str:
    return spending.charge(segments, lane=lane, is_code=False, at=at)


def code(at: datetime = NOON) -> str:
    return spending.charge(1, lane="code", is_code=True, at=at)


def test_an_incident_has_its_share() -> None:
    assert (news(6), news(4), news(1)) == (
        "",
        "",
        "The cap of 10 text segments per incident is reached (SMS_PER_INCIDENT).",
    )
    assert news(1, "two") == ""


def test_an_incident_keeps_its_count_as_long_as_it_lasts() -> None:
    assert news(10) == ""
    limits.forget(at=NOON + timedelta(days=30))
    assert news(1, at=NOON + timedelta(days=30)) != ""


def test_an_hour_has_its_share_and_is_over_after_an_hour() -> None:
    assert [news(10, "one"), news(10, "two")] == ["", ""]
    assert news(1, "three") == "The cap of 20 text segments an hour is reached (SMS_PER_HOUR)."
    assert news(1, "three", NOON + timedelta(hours=1)) == ""


def test_a_month_has_its_share_and_begins_anew_on_the_first() -> None:
    for hours, lane in enumerate("abcd"):
        assert news(10, lane, NOON + timedelta(hours=2 * hours)) == ""
    limits.forget(at=NOON + timedelta(days=9))
    assert news(1, "e", NOON + timedelta(days=9)) == "The cap of 40 text segments a month is reached (SMS_PER_MONTH)."
    assert news(1, "e", datetime(2026, 12, 1, tzinfo=UTC)) == ""


def test_strangers_who_ask_for_codes_cannot_use_up_what_news_needs() -> None:
    assert [code() for _ in range(6)] == [
        *[""] * 5,
        "The cap of 5 segments for codes an hour is reached (SMS_CODES_PER_HOUR).",
    ]
    assert news(10) == ""


def test_what_a_cap_refuses_counts_nowhere() -> None:
    news(10)
    before = sorted(Tally.objects.values_list("key", "count"))
    for _ in range(20):
        news(5)
    after = dict(Tally.objects.values_list("key", "count"))
    assert [(key, after[key]) for key, _ in before] == before


def test_it_is_said_once_an_hour_and_not_by_every_text(caplog: pytest.LogCaptureFixture) -> None:
    news(10)
    with caplog.at_level(logging.ERROR, "notifications.spending"):
        for _ in range(5):
            news(1)
        news(1, at=NOON + timedelta(hours=1))
    assert len(caplog.records) == 2


def test_a_charge_is_three_statements(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """And the two ends of a savepoint, or of the transaction."""
    with django_assert_num_queries(5):
        assert news(1) == ""


def test_no_cap_means_no_text(settings: Settings) -> None:
    settings.SMS_CAPS = settings.SMS_CAPS | {"month": 0}
    assert news(1) == "The cap of 0 text segments a month is reached (SMS_PER_MONTH)."


@pytest.mark.django_db(transaction=True)
def test_however_many_ask_at_once_no_cap_is_passed() -> None:
    answers: list[str] = []

    def ask() -> None:
        try:
            answers.extend(news(1, at=NOON) for _ in range(5))
        finally:
            connections.close_all()

    askers = [Thread(target=ask) for _ in range(6)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert (answers.count(""), len(answers)) == (10, 30)


class TestOnTheWay:
    """What a cap does to deliveries."""

    def test_beyond_a_cap_a_row_fails_and_says_which(self, carrier: Carrier, settings: Settings) -> None:
        settings.SMS_CAPS = settings.SMS_CAPS | {"incident": 2}
        for number in (ANN, BOB, CY):
            phone(number)
        told()
        assert work() == 2
        capped = (Fate.DEAD, "The cap of 2 text segments per incident is reached (SMS_PER_INCIDENT).")
        assert rows() == {ANN: (Fate.ACCEPTED, ""), BOB: (Fate.ACCEPTED, ""), CY: capped}

    def test_once_it_is_raised_the_row_can_be_sent_again(self, carrier: Carrier, settings: Settings) -> None:
        settings.SMS_CAPS = settings.SMS_CAPS | {"incident": 0}
        phone(ANN)
        told()
        work()
        settings.SMS_CAPS = settings.SMS_CAPS | {"incident": 1}
        ann = User.objects.create(username="ann")
        assert delivery.send_again(Delivery.objects.all(), by=ann, at=timezone.now()) == 1
        hasten()
        assert work() == 1
        assert rows()[ANN][0] == Fate.ACCEPTED

    def test_trying_again_costs_nothing_more(self, carrier: Carrier, settings: Settings) -> None:
        """A carrier that is busy must not use up the cap of those it never carried."""
        settings.SMS_CAPS = settings.SMS_CAPS | {"incident": 1}
        phone(ANN)
        told()
        carrier.say = lambda _: refuse(429)
        for _ in range(3):
            work()
            hasten()
        carrier.say = lambda _: TAKE
        assert work() == 1

    def test_no_connection_costs_nothing(self, carrier: Carrier, settings: Settings, free_tcp_port: int) -> None:
        settings.SMS_CAPS = settings.SMS_CAPS | {"incident": 1}
        phone(ANN)
        told()
        there = settings.TWILIO
        settings.TWILIO = there | {"api_base": f"http://127.0.0.1:{free_tcp_port}"}
        for _ in range(3):
            work()
            # As after a rest: each try is a real one.
            states.well(Channel.SMS)
        assert rows()[ANN][0] == Fate.PENDING
        settings.TWILIO = there
        assert work() == 1

    def test_a_text_of_three_segments_costs_three(self, carrier: Carrier, settings: Settings) -> None:
        settings.SMS_CAPS = settings.SMS_CAPS | {"incident": 2}
        phone(ANN)
        announcement = told()
        announcement.content["sms"] = "x" * 400
        announcement.save()
        assert work() == 0
        assert rows()[ANN][0] == Fate.DEAD
