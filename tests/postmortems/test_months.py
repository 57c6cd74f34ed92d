"""Billing months begin at midnight of the contract's zone, and every instant is in one (reliability.md 5.3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from postmortems.credits.arithmetic.assess import assess
from postmortems.credits.arithmetic.months import bounds, following, micros, midnight, moment, month_of, preceding
from tests.postmortems.cases import HOUR, case, outage


def test_new_york_half_past_midnight_to_half_past_three_is_four_hours_when_clocks_go_back() -> None:
    zone = ZoneInfo("America/New_York")
    start, end = (micros(datetime(2026, 11, 1, hour, 30, tzinfo=zone)) for hour in (0, 3))
    assert end - start == 4 * HOUR
    month = case(month=date(2026, 11, 1), zone="America/New_York")
    (line,) = assess(replace(month, outages=(outage(1, start, end - start),))).lines
    assert line.lengths[0].by_end == 4 * HOUR
    # Exactly four hours are not longer than four hours; the clock on the wall says three.
    assert line.points == 1_000
    assert (
        assess(case(outage(1, start, 4 * HOUR + 1), month=date(2026, 11, 1), zone="America/New_York")).points == 2_500
    )
    assert month.end - month.start == (30 * 24 + 1) * HOUR


def test_the_night_clocks_go_forward_is_an_hour_shorter() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start, end = (micros(datetime(2026, 3, 29, hour, tzinfo=zone)) for hour in (0, 5))
    assert end - start == 4 * HOUR
    march = bounds(date(2026, 3, 1), "Europe/Berlin", 1)
    assert march[1] - march[0] == (31 * 24 - 1) * HOUR


def test_the_billing_day_names_the_month_by_where_it_begins() -> None:
    at = micros(datetime(2026, 11, 14, 23, 59, 59, tzinfo=UTC))
    assert month_of(at, "UTC", 15) == date(2026, 10, 1)
    assert month_of(at + 1_000_000, "UTC", 15) == date(2026, 11, 1)
    # The same instant is a day later in Tokyo.
    assert month_of(at, "Asia/Tokyo", 15) == date(2026, 11, 1)


def test_months_follow_each_other_over_years() -> None:
    assert following(date(2026, 12, 31)) == date(2027, 1, 1)
    assert preceding(date(2027, 1, 1)) == date(2026, 12, 1)
    assert preceding(date(2026, 3, 31)) == date(2026, 2, 1)


def test_a_day_that_was_skipped_is_a_day_of_no_length() -> None:
    # Samoa went from 29 to 31 December 2011.
    days = [midnight(date(2011, 12, day), "Pacific/Apia") for day in (29, 30, 31)]
    assert (days[1] - days[0], days[2] - days[1]) == (24 * HOUR, 0)
    # Who is billed from the 30th begins with the 31st, and the month is no shorter than its days.
    assert bounds(date(2011, 12, 1), "Pacific/Apia", 1) == (
        micros(datetime(2011, 12, 1, 10, tzinfo=UTC)),
        micros(datetime(2011, 12, 31, 10, tzinfo=UTC)),
    )


@pytest.mark.parametrize("at", [0, 1, -1, 1_790_000_000_123_456])
def test_microseconds_and_moments_are_the_same(at: int) -> None:
    assert micros(moment(at)) == at
