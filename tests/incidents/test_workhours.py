"""Working time (R-105)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.workhours import Calendar, add_business_days, due, next_business_day

BERLIN = Calendar(zone="Europe/Berlin", country="DE")
PLAIN = Calendar()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def test_r105_minutes_and_hours_pass_whatever_the_clock_on_the_wall_says() -> None:
    """Clocks in Berlin went back on 2026-10-25 at 03:00: four hours stay four hours."""
    assert due(utc(2026, 10, 24, 23, 30), 4, "hours", BERLIN) == utc(2026, 10, 25, 3, 30)
    assert due(utc(2026, 10, 24, 23, 30), 15, "minutes", BERLIN) == utc(2026, 10, 24, 23, 45)


def test_r105_a_day_is_the_same_time_tomorrow_across_daylight_saving() -> None:
    assert due(utc(2026, 10, 24, 10), 1, "days", BERLIN) == utc(2026, 10, 25, 11)
    assert due(utc(2026, 3, 28, 10), 1, "days", BERLIN) == utc(2026, 3, 29, 9)
    assert due(utc(2026, 3, 28, 10), 7, "days", PLAIN) == utc(2026, 4, 4, 10)


def test_r105_a_time_that_does_not_exist_moves_one_hour_on() -> None:
    """02:30 on 2026-03-29 is skipped in Berlin."""
    assert due(utc(2026, 3, 28, 1, 30), 1, "days", BERLIN) == utc(2026, 3, 29, 1, 30)


def test_r105_of_an_hour_that_comes_twice_the_first_is_meant() -> None:
    """02:30 on 2026-10-25 comes twice in Berlin: 00:30 and 01:30 UTC."""
    assert due(utc(2026, 10, 24, 0, 30), 1, "days", BERLIN) == utc(2026, 10, 25, 0, 30)
    assert due(utc(2026, 10, 25, 1, 30), 0, "days", BERLIN) == utc(2026, 10, 25, 1, 30)


def test_r105_five_business_days_end_when_the_fifth_working_day_ends() -> None:
    """From Friday 2026-11-20 03:00: Mon, Tue, Wed, Thu, Fri 17:00."""
    assert due(utc(2026, 11, 20, 3), 5, "business_days", PLAIN) == utc(2026, 11, 27, 17)


def test_r105_next_business_day_is_monday_evening_from_friday_saturday_and_sunday() -> None:
    for day in (20, 21, 22):
        assert due(utc(2026, 11, day, 12), 1, "business_days", PLAIN) == utc(2026, 11, 23, 17)
    assert next_business_day(date(2026, 11, 20), PLAIN) == date(2026, 11, 23)


def test_r105_public_holidays_of_the_country_are_off() -> None:
    """Good Friday 2026-04-03 and Easter Monday 2026-04-06 in Germany; only the plain calendar works through."""
    assert next_business_day(date(2026, 4, 2), BERLIN) == date(2026, 4, 7)
    assert next_business_day(date(2026, 4, 2), PLAIN) == date(2026, 4, 3)
    assert due(utc(2026, 4, 2, 8), 1, "business_days", BERLIN) == utc(2026, 4, 7, 15)


def test_r105_the_day_is_the_one_on_the_wall_of_the_calendar() -> None:
    """Thursday 23:30 UTC is Friday in Tokyo: the next working day is Monday, closed at 17:00 JST."""
    tokyo = Calendar(zone="Asia/Tokyo")
    assert add_business_days(utc(2026, 11, 19, 23, 30), 1, tokyo) == utc(2026, 11, 23, 8)


def test_r105_other_weekdays_and_hours() -> None:
    dubai = Calendar(zone="Asia/Dubai", weekdays=frozenset({6, 0, 1, 2, 3}), start=time(8), end=time(16, 30))
    assert next_business_day(date(2026, 11, 19), dubai) == date(2026, 11, 22)
    assert add_business_days(utc(2026, 11, 19, 6), 1, dubai) == utc(2026, 11, 22, 12, 30)


def test_r105_no_business_days_mean_the_end_of_this_one() -> None:
    assert add_business_days(utc(2026, 11, 20, 12), 0, PLAIN) == utc(2026, 11, 20, 17)
    assert add_business_days(utc(2026, 11, 20, 17, 1), 0, PLAIN) == utc(2026, 11, 23, 17)
    assert add_business_days(utc(2026, 11, 21, 12), 0, PLAIN) == utc(2026, 11, 23, 17)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"zone": "Europe/Atlantis"}, "“Europe/Atlantis” is not a time zone. Write it like Europe/Berlin."),
        ({"weekdays": frozenset()}, "Name at least one working day, 0 (Monday) to 6 (Sunday)."),
        ({"weekdays": frozenset({7})}, "Name at least one working day, 0 (Monday) to 6 (Sunday)."),
        ({"start": time(17)}, "Working hours end after they start, on the same day."),
        ({"country": "XX"}, "No public holidays are known for “XX”. Use a code like DE, FR or US."),
    ],
)
def test_r105_parts_that_make_no_calendar_are_refused(parts: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Calendar(**parts)  # type: ignore[arg-type]  # Each case breaks one part.


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        due(datetime(2026, 11, 20), 1, "hours", PLAIN)  # noqa: DTZ001  # The naive moment is the point.
    with pytest.raises(ValueError, match="counted forward"):
        add_business_days(utc(2026, 11, 20), -1, PLAIN)


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
CALENDARS = st.builds(
    Calendar,
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]),
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    start=st.just(time(9)),
    end=st.sampled_from([time(12), time(17), time(23, 59)]),
    country=st.sampled_from(["", "DE", "US", "JP"]),
)
UNITS = st.sampled_from(["minutes", "hours", "days", "business_days"])
steady = settings(max_examples=150, deadline=None, derandomize=True)


@steady
@given(MOMENTS, st.integers(0, 40), UNITS, CALENDARS)
def test_r105_nothing_is_due_before_it_starts_and_every_answer_is_utc(
    start: datetime, amount: int, unit: str, calendar: Calendar
) -> None:
    moment = due(start, amount, unit, calendar)
    assert moment >= start
    assert moment.utcoffset() == timedelta(0)


@steady
@given(MOMENTS, st.integers(0, 40), UNITS, CALENDARS)
def test_r105_a_hard_limit_is_never_due_before_its_target(
    start: datetime, amount: int, unit: str, calendar: Calendar
) -> None:
    assert due(start, amount, unit, calendar) <= due(start, amount + 1, unit, calendar)


@steady
@given(MOMENTS, st.integers(1, 40), CALENDARS)
def test_r105_business_days_close_on_a_working_day_with_exactly_n_working_days_behind(
    start: datetime, n: int, calendar: Calendar
) -> None:
    zone = ZoneInfo(calendar.zone)
    closing = add_business_days(start, n, calendar).astimezone(zone)
    first, last = start.astimezone(zone).date(), closing.date()
    days = [first + timedelta(days=i) for i in range(1, (last - first).days + 1)]
    assert closing.time() == calendar.end
    assert calendar.is_business_day(last)
    assert sum(map(calendar.is_business_day, days)) == n


@steady
@given(MOMENTS, st.integers(0, 20), st.integers(0, 20), CALENDARS)
def test_r105_elapsed_time_adds_up(start: datetime, one: int, two: int, calendar: Calendar) -> None:
    once = due(start, one + two, "hours", calendar)
    assert due(due(start, one, "hours", calendar), two, "hours", calendar) == once
    assert once - start == timedelta(hours=one + two)
