"""R-903: the arithmetic in words, as finance and the customer read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from postmortems.credits.arithmetic.assess import assess
from postmortems.credits.arithmetic.case import BEGINNING, END, Case, Excluded, Planned, Rules, TierRule
from postmortems.credits.arithmetic.months import SECOND
from postmortems.credits.arithmetic.wording import duration, exactly, explain, percent, uptime_percent
from tests.postmortems.cases import API, DAY, HOUR, MINUTE, B, case, outage, term

UPTIME = (TierRule(2, "P1", 99_950, 1_000), TierRule(2, "P1", 99_000, 6_000))


def told(case: Case, *, with_running: bool = False) -> dict[str, list[str] | list[list[str]]]:
    return explain(case, assess(case, with_running=with_running))


def test_an_outage_is_followed_from_its_length_to_its_amount() -> None:
    month = case(fee=123_457)
    begin = month.start + DAY
    assert told(replace(month, outages=(outage(1, begin, 80 * MINUTE), outage(2, begin + 2 * DAY, 30 * MINUTE)))) == {
        "base": ["Plan Pro: 1,234.57 EUR for the whole month."],
        "lines": [
            [
                "Outage INC-2026-0001.",
                "At P0 for 1 h 20 min.",
                "The highest tier it passes is P0 longer than 1 h: 10 %.",
                "10 % of the month's fee: 123.457 EUR; its part of the month's credit is 123.46 EUR.",
            ],
            [
                "Outage INC-2026-0002.",
                "At P0 for 30 min.",
                "That passes no tier (P0 longer than 1 h: 10 %; P1 or worse longer than 4 h: 5 %): "
                "nothing is credited.",
            ],
        ],
        "total": ["10 % of 1,234.57 EUR: 123.457 EUR, rounded once to 123.46 EUR.", "Credit of the month: 123.46 EUR."],
    }


def test_what_was_left_out_is_said_with_its_reason() -> None:
    month = case()
    begin = month.start + DAY
    two = (
        outage(
            1,
            begin,
            5 * HOUR,
            planned=(
                Planned(API, begin, begin + 40 * MINUTE, 8 * DAY),
                Planned(API, begin, end=begin + HOUR, lead=DAY),
            ),
            excluded=(Excluded(1, begin + HOUR, begin + 2 * HOUR, "customer"), Excluded(2, BEGINNING, END)),
        ),
        outage(2, begin + 4 * HOUR, 4 * HOUR, 2),
    )
    (line,) = told(replace(month, outages=two))["lines"]
    assert line == [
        "INC-2026-0001 and INC-2026-0002 are one outage.",
        "At P0 for 3 h 20 min.",
        "At P1 or worse for 6 h 20 min.",
        "Left out: 40 min of maintenance announced in time and 1 h caused by the customer.",
        "The highest tier it passes is P0 longer than 1 h: 10 %.",
        "10 % of the month's fee: 100.00 EUR.",
    ]


def test_an_outage_that_was_left_out_as_a_whole_is_still_told() -> None:
    month = case()
    storm = outage(1, month.start + DAY, 5 * HOUR, excluded=(Excluded(0, BEGINNING, END, "force_majeure"),))
    result = assess(replace(month, outages=(storm,)))
    assert explain(month, result)["lines"] == [
        [
            "Outage INC-2026-0001.",
            "Left out: 5 h of force majeure.",
            "No time is left that counts: nothing is credited.",
        ]
    ]
    assert explain(month, result)["total"] == ["Credit of the month: 0.00 EUR."]


def test_an_outage_over_the_end_of_the_month_says_what_belongs_where() -> None:
    october, november = case(), case(month=date(2026, 11, 1))
    night = outage(1, october.end - 2 * HOUR, 5 * HOUR)
    (before,) = told(replace(october, outages=(night,)))["lines"]
    assert before[1:3] == [
        "At P0 for 2 h.",
        "It goes on for 3 h after this month: what it passes then belongs there.",
    ]
    (after,) = told(replace(november, outages=(night,)))["lines"]
    assert after[1:] == [
        "At P0 for 5 h, 2 h of it before this month.",
        "The highest tier it passes is P0 longer than 4 h: 25 %.",
        "10 % of that belong to earlier months; 15 % are left for this one.",
        "15 % of the month's fee: 150.00 EUR.",
    ]
    three = replace(night, end=night.start + 3 * HOUR)
    (nothing,) = told(
        replace(november, outages=(replace(three, impacts=(replace(three.impacts[0], end=three.end),)),))
    )["lines"]
    assert nothing[-1] == "10 % of that belong to earlier months; nothing is left for this one."


@pytest.mark.parametrize(
    ("rules", "last"),
    [
        (replace(B, stacking="highest"), "Nothing is credited for it: only the highest outage of a month counts."),
        (
            replace(B, stacking="highest", uptimes=UPTIME),
            "Nothing is credited for it: the uptime of the month earns more, and the higher of both counts.",
        ),
    ],
)
def test_why_an_outage_is_credited_nothing_is_the_true_reason(rules: Rules, last: str) -> None:
    month = case()
    two = (outage(1, month.start + DAY, 5 * HOUR), outage(2, month.start + 3 * DAY, 4 * HOUR))
    lines = told(replace(month, outages=two, rules=rules))["lines"]
    assert lines[1][-1] == last


def test_uptime_beside_outages_says_which_counts() -> None:
    month = case(month=date(2026, 11, 1), rules=replace(B, uptimes=UPTIME))
    one = replace(month, outages=(outage(5, month.start + DAY, 5 * HOUR),))
    assert told(one)["lines"][1] == [
        "Uptime of the month, counting P1 or worse: 99.30555 % (5 h of 30 d down).",
        "Counted with INC-2026-0005.",
        "The highest tier it misses is below 99.95 % counting P1 or worse: 10 %.",
        "Nothing is credited for it: the outages earn at least as much, and the higher of both counts.",
    ]
    assert told(replace(one, outages=()))["lines"] == [
        [
            "Uptime of the month, counting P1 or worse: 100.00000 % (0 s of 30 d down).",
            "No uptime tier is missed: nothing is credited for it.",
        ]
    ]


def test_cap_and_goodwill_are_told_where_they_change_the_amount() -> None:
    month = case(granted=12_000)
    two = (outage(1, month.start + DAY, 5 * HOUR), outage(2, month.start + 3 * DAY, 5 * HOUR))
    capped = replace(month, outages=two, rules=replace(B, cap=2_000))
    assert told(capped)["total"] == [
        "Together 50 %, capped at 20 %.",
        "20 % of 1,000.00 EUR: 200.00 EUR.",
        "No more than 20 % of the month's fee (200.00 EUR) is credited, and goodwill of 120.00 EUR was given: "
        "80.00 EUR are left.",
        "Credit of the month: 80.00 EUR.",
    ]
    assert [line[-1] for line in told(capped)["lines"]] == [
        "25 % of the month's fee: 250.00 EUR; its part of the month's credit is 40.00 EUR."
    ] * 2
    more = told(replace(capped, granted=50_000))["total"]
    assert more[-2:] == [
        "No more than 20 % of the month's fee (200.00 EUR) is credited, and goodwill of 500.00 EUR was given: "
        "nothing is left.",
        "Credit of the month: 0.00 EUR.",
    ]


def test_the_fee_of_parts_of_a_month_is_written_out() -> None:
    half = term(date(2026, 10, 17), date(2027, 1, 1), 3_333, plan="")
    assert told(case(terms=(half,)))["base"] == [
        "33.33 EUR × 1,296,000 of 2,678,400 seconds.",
        "The month's fee is 16.127419… EUR.",
    ]
    assert told(case(terms=(half,), rules=replace(B, proration="days")))["base"][0] == "33.33 EUR × 15 of 31 days."
    assert told(case(terms=())) == {
        "base": ["The contract does not cover any of this month."],
        "lines": [],
        "total": ["Credit of the month: 0.00 EUR."],
    }
    assert told(case(rules=None))["total"] == ["No rules for service credits hold in this month."]


def test_what_still_runs_is_told_as_it_stands() -> None:
    month = case()
    running = replace(month, outages=(outage(1, month.start + DAY, 2 * HOUR, running=True),))
    assert told(running)["lines"] == []
    (line,) = told(running, with_running=True)["lines"]
    assert line[2] == "It is not over; this is how it stands."


@pytest.mark.parametrize(
    ("micros", "words"),
    [
        (0, "0 s"),
        (1, "0.000001 s"),
        (HOUR, "1 h"),
        (HOUR + 1, "1 h 0.000001 s"),
        (DAY + 3 * HOUR + 12 * MINUTE + 5 * SECOND + 500_000, "1 d 3 h 12 min 5.5 s"),
    ],
)
def test_durations_are_exact(micros: int, words: str) -> None:
    assert duration(micros) == words


def test_numbers_are_never_rounded_to_what_they_are_not() -> None:
    assert (percent(1_250), percent(5), percent(10_000), percent(0)) == ("12.5 %", "0.05 %", "100 %", "0 %")
    assert uptime_percent(99_949_999, 100_000_000) == "99.94999 %"
    assert uptime_percent(999_999_999, 1_000_000_000) == "99.99999 %"
    assert exactly(1, 3, "EUR") == "0.003333… EUR"
    assert exactly(100_000, 1, "EUR") == "1,000.00 EUR"
    assert exactly(1_000, 1, "JPY") == "1,000 JPY"
    assert exactly(1, 2, "JPY") == "0.5 JPY"
    assert exactly(1, 1, "KWD") == "0.001 KWD"
