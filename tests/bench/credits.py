"""A month of credits by the pure function, written-out lines included, for many contracts with 20 outages each (R-903).

Contracts differ in zone, fee, currency, billing day, components used and rules; one in ten begins or changes within
the month. Beside it: the same with nothing shared between contracts, and ten times as many contracts.
"""

from __future__ import annotations

import itertools
import os
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from random import Random

from postmortems.credits.arithmetic.assess import Assessor, assess
from postmortems.credits.arithmetic.case import Case, Impact, Outage, Rules, TermSpan, TierRule
from postmortems.credits.arithmetic.months import bounds, following, midnight
from postmortems.credits.arithmetic.wording import explain
from tests.bench.figures import Figure
from tests.postmortems.cases import DAY, HOUR, MINUTE, B, outage

MONTH = date(2026, 10, 1)
OUTAGES = 20
COMPONENTS = 30
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Tokyo")
RULES = (
    B,
    replace(B, label="sum v3", uptimes=(TierRule(2, "P1", 99_950, 1_000), TierRule(2, "P1", 99_000, 2_500))),
    replace(B, label="highest v2", stacking="highest", proration="days"),
)


def figures() -> list[Figure]:
    """BENCH_CONTRACTS (10,000) contracts, a tenth of them, and ten times as many."""
    count = int(os.environ.get("BENCH_CONTRACTS", "10000"))
    few, many, most = (_seconds(number) for number in (count // 10, count, 10 * count))
    alone = _seconds(count // 10, sharing=False) * 10
    small, large = _peak(count // 10), _peak(count)
    return [
        Figure("credits-pure", many, "s", many / alone, "each-contract-alone"),
        Figure("credits-pure-tenth", few, "s", 10 * few / many, "linear"),
        Figure("credits-pure-tenfold", most, "s", most / (10 * many), "linear"),
        Figure("credits-pure-memory", large / 1e6, "MB", large / small, "memory-of-a-tenth"),
    ]


def _seconds(contracts: int, *, sharing: bool = True) -> float:
    """CPU seconds for assessing and writing out; making the cases is not counted."""
    assessor, spent = Assessor(), 0.0
    for case in cases(contracts):
        began = time.process_time()
        result = assessor.assess(case) if sharing else assess(case)
        explain(case, result)
        spent += time.process_time() - began
    return spent


def _peak(contracts: int) -> int:
    """Bytes at the most while a month is worked through."""
    tracemalloc.start()
    try:
        assessor = Assessor()
        for case in cases(contracts):
            explain(case, assessor.assess(case))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def cases(contracts: int) -> Iterator[Case]:
    """One after the other: nobody holds a million of them."""
    random = Random(2026)
    had = _outages(random)
    used = [frozenset(random.sample(range(COMPONENTS), random.randrange(10, 30))) for _ in range(500)]
    for number in range(contracts):
        yield _case(random, number, had, random.choice(used))


def _outages(random: Random) -> tuple[Outage, ...]:
    """Over the whole month, none of which touches another, each of some components."""
    begin = bounds(MONTH, "UTC", 1)[0]
    found = []
    for number in range(OUTAGES):
        start = begin + DAY + number * 34 * HOUR
        length = random.choice((20 * MINUTE, 61 * MINUTE, 3 * HOUR, 5 * HOUR))
        hit = random.sample(range(COMPONENTS), 12)
        impacts = tuple(Impact(component, start, start + length, 4) for component in hit)
        found.append(outage(number + 1, start, length, random.choice((1, 1, 2)), impacts=impacts))
    return tuple(found)


def _case(random: Random, number: int, had: tuple[Outage, ...], used: frozenset[int]) -> Case:
    zone, rules = random.choice(ZONES), RULES[number % len(RULES)]
    start, end = bounds(MONTH, zone, 1)
    return Case(
        contract=f"C-{number}",
        customer=number,
        month=f"{MONTH:%Y-%m}",
        currency=random.choice(("EUR", "JPY", "KWD")),
        zone=zone,
        start=start,
        end=end,
        days=(MONTH.toordinal(), following(MONTH).toordinal()),
        terms=_terms(random, zone, used),
        rules=_again(rules),
        outages=had,
    )


def _terms(random: Random, zone: str, used: frozenset[int]) -> tuple[TermSpan, ...]:
    cuts = [date(2020, 1, 1), date(2040, 1, 1)]
    if random.randrange(10) == 0:
        cuts.insert(1, MONTH.replace(day=random.randrange(2, 28)))
    return tuple(
        TermSpan(
            midnight(begin, zone), midnight(after, zone), begin.toordinal(), after.toordinal(),
            random.randrange(10**9), "Pro", used,
        )
        for begin, after in itertools.pairwise(cuts)
    )  # fmt: skip


def _again(rules: Rules) -> Rules:
    """Another object that says the same, as rows give it."""
    return replace(rules)
