"""R-901: what a billing month comes to, by preset B."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from postmortems.credits.assess import assess
from postmortems.credits.case import BEGINNING, END, Case, Judged
from tests.postmortems.cases import DAY, HOUR, MINUTE, B, case, outage


@pytest.mark.parametrize(
    ("rank", "length", "amount"),
    [
        (1, HOUR, 0),
        (1, HOUR + 1, 10_000),
        (1, 4 * HOUR, 10_000),
        (1, 4 * HOUR + 1, 25_000),
        (2, 4 * HOUR, 0),
        (2, 4 * HOUR + 1, 5_000),
        (3, 100 * HOUR, 0),
    ],
)
def test_r901_thresholds_are_exclusive_to_the_microsecond(rank: int, length: int, amount: int) -> None:
    month = case()
    assert assess(replace(month, outages=(outage(1, month.start + DAY, length, rank),))).amount == amount


def test_two_that_overlap_are_one_outage() -> None:
    month = case()
    begin = month.start + DAY
    two = (outage(1, begin, 2 * HOUR), outage(2, begin + HOUR, 2 * HOUR))
    assert assess(replace(month, outages=two)).amount == 10_000
    assert assess(replace(month, outages=two, rules=replace(B, overlap="each"))).amount == 20_000


def test_time_at_a_severity_or_worse_counts_for_it() -> None:
    month = case()
    begin = month.start + DAY
    turned = begin + 3 * HOUR + 50 * MINUTE
    rising = outage(
        1,
        begin,
        4 * HOUR + 10 * MINUTE,
        severities=(Judged(BEGINNING, turned, 2, True), Judged(turned, END, 1, True)),
    )
    assert assess(replace(month, outages=(rising,))).amount == 5_000


def test_an_outage_over_the_end_of_the_month_is_booked_where_the_threshold_was_crossed() -> None:
    october = case()
    night = outage(1, october.end - 40 * MINUTE, 80 * MINUTE)
    november = case(month=date(2026, 11, 1))
    assert assess(replace(october, outages=(night,))).amount == 0
    assert assess(replace(november, outages=(night,))).amount == 10_000


def test_a_case_goes_to_json_and_back() -> None:
    month = case()
    month = replace(month, outages=(outage(1, month.start + DAY, HOUR),))
    assert Case.of(month.as_json()) == month
