"""R-901: what a billing month comes to, by preset B."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from postmortems.credits.arithmetic.assess import Assessor, assess
from postmortems.credits.arithmetic.case import BEGINNING, END, Case, Excluded, Impact, Judged, Planned, TierRule
from tests.postmortems.cases import API, DAY, HOUR, MINUTE, B, case, outage, term


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


def test_an_incident_that_is_excluded_as_a_whole_still_joins_what_it_touches() -> None:
    """Else taking time out would raise the credit: two outages of 61 minutes earn twice what one of two hours does."""
    month = case()
    begin = month.start + DAY
    first, between, last = (outage(n, begin + n * 61 * MINUTE, 61 * MINUTE) for n in range(3))
    assert assess(replace(month, outages=(first, between, last))).amount == 10_000
    excused = replace(between, excluded=(Excluded(0, BEGINNING, END, "force_majeure"),))
    result = assess(replace(month, outages=(first, excused, last)))
    assert result.amount == 10_000
    assert result.lines[0].left_out == (("force_majeure", 61 * MINUTE),)
    maintained = replace(between, planned=(Planned(API, between.start, between.end, 7 * DAY),))
    assert assess(replace(month, outages=(first, maintained, last))).amount == 10_000


def test_an_exclusion_of_another_customer_changes_nothing_though_the_work_is_shared() -> None:
    """R-902: what was taken out for one is not taken out for the next."""
    month = case()
    one = outage(1, month.start + DAY, 2 * HOUR, excluded=(Excluded(1, BEGINNING, END, "customer"),))
    assessor = Assessor()
    amounts = [assessor.assess(replace(month, customer=number, outages=(one,))).amount for number in (2, 1, 3)]
    assert amounts == [10_000, 0, 10_000]


def test_maintenance_announced_in_time_never_counts_even_where_every_incident_does() -> None:
    month = case(rules=replace(B, scope="any"))
    begin = month.start + DAY
    works = Planned(API, begin, begin + 2 * HOUR, 7 * DAY)
    planned = outage(1, begin, 2 * HOUR, planned=(works,))
    assert assess(replace(month, outages=(planned,))).amount == 0
    # Another component was down by surprise.
    surprised = replace(planned, impacts=(*planned.impacts, Impact(2, begin, begin + 2 * HOUR, 4)))
    assert assess(replace(month, outages=(surprised,))).amount == 10_000
    late = replace(planned, planned=(replace(works, lead=7 * DAY - 1),))
    assert assess(replace(month, outages=(late,))).amount == 10_000


def test_an_incident_reaches_as_far_for_every_customer() -> None:
    """A component that stayed down after the incident joins it to the next, whoever uses which component."""
    month = case()
    begin = month.start + DAY
    first = outage(1, begin, 61 * MINUTE)
    first = replace(first, impacts=(*first.impacts, Impact(2, begin, begin + 2 * HOUR, 4)))
    second = outage(2, begin + 2 * HOUR, 61 * MINUTE)
    for used in (frozenset({API}), frozenset({API, 2})):
        terms = (term(date(2020, 1, 1), date(2040, 1, 1), 100_000, components=used),)
        assert len(assess(replace(month, terms=terms, outages=(first, second))).lines) == 1


def test_a_contract_that_begins_inside_an_outage_counts_from_there() -> None:
    month = case(terms=(term(date(2026, 10, 10), date(2040, 1, 1), 310_000),))
    begins = month.terms[0].start
    exactly = outage(1, begins - 5 * HOUR, 6 * HOUR)
    assert assess(replace(month, outages=(exactly,))).points == 0
    longer = outage(1, begins - 5 * HOUR, 6 * HOUR + 1)
    result = assess(replace(month, outages=(longer,)))
    assert (result.points, result.amount) == (1_000, 22_000)
    assert result.lines[0].lengths[0].by_end == HOUR + 1


def test_parts_of_one_incident_are_one_outage_though_they_do_not_touch() -> None:
    """R-1311: counted once for credits, even where each incident is paid by itself."""
    month = case(rules=replace(B, overlap="each"))
    begin = month.start + DAY
    parent, child = outage(1, begin, 2 * HOUR), outage(2, begin + DAY, 2 * HOUR)
    assert assess(replace(month, outages=(parent, child))).amount == 20_000
    child = replace(child, family=parent.family)
    (line,) = assess(replace(month, outages=(child, parent))).lines
    assert (line.references, line.points) == (("INC-2026-0001", "INC-2026-0002"), 1_000)


def test_uptime_counts_when_it_earns_more_than_the_outages_not_when_a_cap_makes_it_so() -> None:
    rules = replace(B, cap=2_000, uptimes=(TierRule(1, "P0", 99_950, 2_200),))
    month = case(rules=rules)
    result = assess(replace(month, outages=(outage(1, month.start + DAY, 5 * HOUR),)))
    assert [line.points for line in result.lines] == [2_500, 0]
    assert (result.wanted, result.points, result.amount) == (2_500, 2_000, 20_000)


def test_goodwill_beyond_the_cap_leaves_nothing() -> None:
    month = case(granted=200_000)
    result = assess(replace(month, outages=(outage(1, month.start + DAY, 5 * HOUR),)))
    assert (result.limit, result.amount, [line.amount for line in result.lines]) == (0, 0, [0])


def test_terms_may_come_in_any_order() -> None:
    terms = (
        term(date(2026, 10, 16), date(2027, 1, 1), 31_000, plan="Business"),
        term(date(2026, 1, 1), date(2026, 10, 16), 15_500),
    )
    assert [share.plan for share in assess(case(terms=terms)).shares] == ["Pro", "Business"]
    assert assess(case(terms=terms)).digest() == assess(case(terms=terms[::-1])).digest()


def test_components_that_were_down_alike_but_not_maintained_alike_are_told_apart() -> None:
    """What customers share of the work is what they had in common, maintenance included."""
    month = case()
    begin = month.start + DAY
    both = (Impact(API, begin, begin + 2 * HOUR, 4), Impact(2, begin, begin + 2 * HOUR, 4))
    one = outage(1, begin, 2 * HOUR, impacts=both, planned=(Planned(API, begin, begin + 2 * HOUR, 7 * DAY),))
    assessor = Assessor()
    amounts = []
    for used in (frozenset({API}), frozenset({2}), frozenset({API, 2}), frozenset({API})):
        terms = (term(date(2020, 1, 1), date(2040, 1, 1), 100_000, components=used),)
        amounts.append(assessor.assess(replace(month, terms=terms, outages=(one,))).amount)
    assert amounts == [0, 10_000, 10_000, 0]
