"""Uptime that anyone can recompute (R-1306)."""

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from status.enums import Level
from status.uptime import DAY, Uptime, history, merge

SINCE, UNTIL = 20_000 * DAY, 20_090 * DAY
DEGRADED, PARTIAL, MAJOR, MAINTENANCE = Level.DEGRADED, Level.PARTIAL, Level.MAJOR, Level.MAINTENANCE

moments = st.integers(SINCE - 3 * DAY, UNTIL + 3 * DAY)
intervals = st.lists(
    st.tuples(st.sampled_from([DEGRADED, PARTIAL, MAJOR, MAINTENANCE]), moments, moments).map(
        lambda drawn: (drawn[0], min(drawn[1:]), max(drawn[1:]))
    ),
    max_size=12,
)


def total(pieces):
    return sum(end - start for _, start, end in pieces)


@given(intervals)
def test_no_instant_is_counted_twice(drawn):
    pieces = merge(drawn, SINCE, UNTIL)
    assert all(first[2] <= second[1] for first, second in pairwise(pieces))
    assert all(SINCE <= start < end <= UNTIL for _, start, end in pieces)


@given(intervals, moments)
def test_each_instant_is_at_the_gravest_level_that_holds_it(drawn, moment):
    holding = [level for level, start, end in drawn if start <= moment < end and SINCE <= moment < UNTIL]
    merged = [level for level, start, end in merge(drawn, SINCE, UNTIL) if start <= moment < end]
    assert merged == ([Level.gravest(holding)] if holding else [])


@given(intervals, moments)
def test_splitting_an_interval_changes_nothing(drawn, cut):
    split = []
    for level, start, end in drawn:
        middle = min(max(cut, start), end)
        split += [(level, start, middle), (level, middle, end)]
    assert history(split, SINCE, UNTIL) == history(drawn, SINCE, UNTIL)


@given(intervals)
def test_the_seconds_of_all_days_are_the_seconds_of_the_span(drawn):
    past = history(drawn, SINCE, UNTIL)
    days = [past.day(number) for number in range(SINCE // DAY, UNTIL // DAY)]
    assert all(sum(day.seconds.values()) == DAY for day in days)
    assert sum(sum(day.seconds.values()) for day in days) == UNTIL - SINCE


@given(intervals)
def test_a_hundred_per_cent_is_said_only_when_nothing_was_lost(drawn):
    uptime = history(drawn, SINCE, UNTIL).uptime(SINCE // DAY)
    if uptime.percent is not None:
        assert (uptime.percent == 100) == (uptime.lost == 0)
        assert 0 <= uptime.percent <= 100


def test_one_second_of_ninety_days_is_not_a_hundred_per_cent():
    uptime = history([(MAJOR, SINCE, SINCE + 1)], SINCE, UNTIL).uptime(SINCE // DAY)
    assert uptime == Uptime(90 * DAY, 10)
    assert uptime.percent == Decimal("99.99")


def test_the_weights_of_the_published_formula():
    """A day of ten: major loses it all, partial 0.3 of it, degraded nothing, maintenance is not measured (R-503)."""
    days = {MAJOR: "90.00", PARTIAL: "97.00", DEGRADED: "100.00", MAINTENANCE: "100.00"}
    for level, percent in days.items():
        past = history([(level, SINCE, SINCE + DAY)], SINCE, SINCE + 10 * DAY)
        assert (level, past.uptime(SINCE // DAY).percent) == (level, Decimal(percent))
    assert history([(MAINTENANCE, SINCE, SINCE + DAY)], SINCE, UNTIL).uptime(SINCE // DAY).measured == 89 * DAY


def test_an_outage_during_maintenance_counts():
    past = history([(MAINTENANCE, SINCE, SINCE + DAY), (MAJOR, SINCE, SINCE + 3600)], SINCE, UNTIL)
    assert past.day(SINCE // DAY).seconds == {MAJOR: 3600, MAINTENANCE: DAY - 3600}
    assert past.uptime(SINCE // DAY) == Uptime(89 * DAY + 3600, 36_000)


def test_a_target_is_met_by_the_unrounded_figure():
    """99.995 % is shown as 99.99 but meets a target of 99.995 (R-602)."""
    uptime = Uptime(100_000, 50)
    assert uptime.percent == Decimal("99.99")
    assert (uptime.meets(Decimal("99.995")), uptime.meets(Decimal("99.996"))) == (True, False)


def test_days_before_a_component_existed_are_unknown_and_not_measured():
    past = history([], UNTIL - 10 * DAY, UNTIL)
    assert past.day(SINCE // DAY).worst is None
    assert past.uptime(SINCE // DAY) == Uptime(10 * DAY, 0)
    assert history([], UNTIL, UNTIL).uptime(SINCE // DAY).percent is None


def test_the_worst_of_a_day_is_its_bar():
    past = history([(DEGRADED, SINCE + 10, SINCE + 20), (PARTIAL, SINCE + 15, SINCE + 18)], SINCE, UNTIL)
    assert past.day(SINCE // DAY).worst == PARTIAL
    assert past.day(SINCE // DAY).seconds == {Level.OPERATIONAL: DAY - 10, DEGRADED: 7, PARTIAL: 3}
    assert past.day(SINCE // DAY + 1).worst == Level.OPERATIONAL
