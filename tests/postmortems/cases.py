"""Cases in one line each: a contract's month with outages, for tests of the pure arithmetic."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from postmortems.credits.arithmetic.case import BEGINNING, END, Case, Impact, Judged, Outage, Rules, TermSpan, TierRule
from postmortems.credits.arithmetic.months import SECOND, bounds, first, following, midnight

MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
#: The component everybody uses.
API = 1

#: Preset B (R-901).
B = Rules(
    label="enterprise-sla v1",
    durations=(
        TierRule(1, "P0", HOUR, 1_000),
        TierRule(1, "P0", 4 * HOUR, 2_500),
        TierRule(2, "P1", 4 * HOUR, 500),
    ),
    uptimes=(),
    stacking="sum",
    overlap="union",
    mix="higher",
    clock="impact",
    scope="used",
    least_gravity=2,
    proration="seconds",
    cap=10_000,
    notice=7 * DAY,
)


def outage(number: int, start: int, length: int, rank: int = 1, **changes: Any) -> Outage:
    """An incident of one rank that takes the API down; times in microseconds since 1970."""
    end = start + length
    plain = Outage(
        reference=f"INC-2026-{number:04d}",
        family=f"INC-2026-{number:04d}",
        start=start,
        end=end,
        said=start,
        unsaid=end,
        running=False,
        severities=(Judged(BEGINNING, END, rank, True),),
        impacts=(Impact(API, start, end, 4),),
    )
    return replace(plain, **changes)


def term(first_day: date, after_day: date, fee: int, zone: str = "UTC", **changes: Any) -> TermSpan:
    """From one day to before another, using the API."""
    plain = TermSpan(
        start=midnight(first_day, zone),
        end=midnight(after_day, zone),
        first_day=first_day.toordinal(),
        after_day=after_day.toordinal(),
        fee=fee,
        plan="Pro",
        components=frozenset({API}),
    )
    return replace(plain, **changes)


def case(
    *outages: Outage, month: date = date(2026, 10, 1), fee: int = 100_000, zone: str = "UTC", **changes: Any
) -> Case:
    """A month of a contract that pays ``fee`` (minor units) and uses the API all the time."""
    start, end = bounds(first(month), zone, 1)
    plain = Case(
        contract="C-1",
        customer=1,
        month=f"{month:%Y-%m}",
        currency="EUR",
        zone=zone,
        start=start,
        end=end,
        days=(month.toordinal(), following(month).toordinal()),
        terms=(term(date(2020, 1, 1), date(2040, 1, 1), fee, zone),),
        rules=B,
        outages=outages,
    )
    return replace(plain, **changes)
