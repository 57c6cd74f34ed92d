"""Random contracts with their outages, from few numbers: small numbers make simple worlds, so that failures shrink."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from random import Random
from zoneinfo import available_timezones

from hypothesis import strategies as st

from postmortems.credits.arithmetic.case import (
    BEGINNING,
    END,
    Case,
    Excluded,
    Impact,
    Judged,
    Outage,
    Planned,
    Rules,
    TermSpan,
    TierRule,
)
from postmortems.credits.arithmetic.months import SECOND, bounds, following, midnight, preceding
from tests.postmortems.cases import DAY, HOUR, MINUTE, B

#: Months in which clocks change: days and midnights that are skipped or come twice, offsets of half and quarter hours.
TURNS = (
    ("America/New_York", date(2026, 11, 1)),
    ("America/New_York", date(2026, 3, 1)),
    ("Europe/Berlin", date(2026, 10, 1)),
    ("Europe/Berlin", date(2026, 3, 1)),
    ("Pacific/Apia", date(2011, 12, 1)),
    ("Pacific/Kiritimati", date(1994, 12, 1)),
    ("Pacific/Kwajalein", date(1993, 8, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 1)),
    ("Asia/Kathmandu", date(1986, 1, 1)),
    ("Asia/Beirut", date(2023, 3, 1)),
    ("Asia/Beirut", date(2022, 10, 1)),
    ("America/Havana", date(2024, 3, 1)),
    ("America/Havana", date(2024, 11, 1)),
    ("America/Sao_Paulo", date(2018, 11, 1)),
    ("America/Sao_Paulo", date(2018, 2, 1)),
    ("America/Asuncion", date(2023, 10, 1)),
    ("America/Asuncion", date(2024, 3, 1)),
    ("America/St_Johns", date(2010, 11, 1)),
    ("Asia/Tehran", date(2022, 3, 1)),
    ("Asia/Amman", date(2022, 2, 1)),
    ("Antarctica/Troll", date(2026, 3, 1)),
    ("Africa/Monrovia", date(1972, 1, 1)),
)
CURRENCIES = ("EUR", "JPY", "KWD")
FEES = (100_000, 1, 7, 0, 33_333, 10**12)
#: The customer of the contract, and another one.
OURS, THEIRS = 7, 9
#: What differs from the plainest world; a number of bits.
ZONES, MONEY, RULES, TERMS, TAKEN, FAMILIES, RUNNING, SAID = (1 << bit for bit in range(8))
ALL = (1 << 8) - 1
_EDGES = (0, 1, -1, SECOND, -SECOND, 10 * MINUTE, -10 * MINUTE)
_LENGTHS = (HOUR, 4 * HOUR, 30 * MINUTE, 61 * MINUTE, 2 * HOUR, 10 * MINUTE, 25 * HOUR)


@cache
def zones() -> list[str]:
    return sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("posix", "right")))


@dataclass(frozen=True)
class World:
    """Three billing months of one contract, one after the other, with the same outages; ``random`` to go on with."""

    months: tuple[Case, Case, Case]
    random: Random

    @property
    def middle(self) -> Case:
        return self.months[1]

    @property
    def rules(self) -> Rules:
        assert self.middle.rules is not None
        return self.middle.rules

    @property
    def outages(self) -> tuple[Outage, ...]:
        return self.middle.outages

    def changed(self, **changes: object) -> World:
        """Every month with these fields changed."""
        one, two, three = (replace(month, **changes) for month in self.months)  # type: ignore[arg-type]
        return replace(self, months=(one, two, three))

    def with_rules(self, **changes: object) -> World:
        return self.changed(rules=replace(self.rules, **changes))  # type: ignore[arg-type]

    def with_outage(self, place: int, **changes: object) -> World:
        outages = list(self.outages)
        outages[place] = replace(outages[place], **changes)  # type: ignore[arg-type]
        return self.changed(outages=tuple(outages))

    def ever(self) -> tuple[Case, ...]:
        """All the time there is as five months: the three, with all before and all after."""
        first, _, last = self.months
        before = replace(first, start=first.start - 2_000 * DAY, end=first.start)
        return before, *self.months, replace(last, start=last.end, end=last.end + 2_000 * DAY)

    def long(self) -> Case:
        """All the time there is as one month: whatever is crossed is crossed in it."""
        return replace(self.middle, start=self.months[0].start - 2_000 * DAY, end=self.months[2].end + 2_000 * DAY)


def worlds(most: int = 5, least: int = 0, without: int = 0) -> st.SearchStrategy[World]:
    """Worlds of so many outages; ``without`` names what stays plain."""
    return st.builds(
        world,
        st.integers(least, most),
        st.integers(0, 3),
        st.integers(1, 8),
        st.integers(0, ALL).map(lambda bits: bits & ~without),
        st.integers(0, 2**32),
    )


def world(outages: int, changes: int, segments: int, bits: int, seed: int) -> World:
    random = Random(seed)
    zone, month = "UTC", date(2026, 10, 1)
    if bits & ZONES:
        zone, month = _where(random)
    day = random.choice((1, 1, 15, 28)) if bits & ZONES else 1
    names = (preceding(month), month, following(month))
    spans = [bounds(name, zone, day) for name in names]
    rules = _rules(random) if bits & RULES else B
    if bits & SAID:
        rules = replace(rules, clock=random.choice(("impact", "said")), scope=random.choice(("used", "any")))
    terms = _terms(random, changes if bits & TERMS else 0, names[0].replace(day=day), zone, bits)
    anchors = [*(at for span in spans for at in span), *(term.start for term in terms)]
    had: list[Outage] = []
    for number in range(outages):
        had.append(_outage(random, number, segments, bits, anchors, had, rules))
        anchors += [had[-1].start, had[-1].end, had[-1].end]
    months = tuple(
        Case(
            contract="C-1",
            customer=OURS,
            month=f"{name:%Y-%m}",
            currency=random.choice(CURRENCIES) if bits & MONEY else "EUR",
            zone=zone,
            start=start,
            end=end,
            days=(name.replace(day=day).toordinal(), following(name).replace(day=day).toordinal()),
            terms=terms,
            rules=rules,
            outages=tuple(had),
            granted=random.choice((0, 0, 1, 5_000, 10**11)) if bits & MONEY else 0,
        )
        for name, (start, end) in zip(names, spans, strict=True)
    )
    return World((months[0], months[1], months[2]), random)


def _where(random: Random) -> tuple[str, date]:
    if random.randrange(2):
        return random.choice(TURNS)
    return random.choice(zones()), date(random.randrange(1972, 2037), random.randrange(1, 13), 1)


def _rules(random: Random) -> Rules:
    def tier(thresholds: Sequence[int]) -> TierRule:
        rank = random.randrange(1, 5)
        return TierRule(rank, f"P{rank - 1}", random.choice(thresholds), random.randrange(0, 60) * 100 + 50)

    return Rules(
        label="random v1",
        durations=tuple(tier((0, 10 * MINUTE, HOUR, 4 * HOUR)) for _ in range(random.randrange(0, 5))),
        uptimes=tuple(tier((100_000, 99_950, 99_900, 99_000, 95_000)) for _ in range(random.randrange(0, 4))),
        stacking=random.choice(("sum", "highest")),
        overlap=random.choice(("union", "union", "each")),
        mix=random.choice(("higher", "sum")),
        clock="impact",
        scope="used",
        least_gravity=random.choice((2, 3, 4)),
        proration=random.choice(("seconds", "days")),
        cap=random.choice((10_000, 5_000, 3_333, 0)),
        notice=random.choice((7 * DAY, 0, DAY)),
    )


def _terms(random: Random, changes: int, first: date, zone: str, bits: int) -> tuple[TermSpan, ...]:
    """From before the months (or from within) to after them (or within), with gaps now and then."""
    days = sorted(first + timedelta(days=random.randrange(0, 92)) for _ in range(changes))
    cuts = [first - timedelta(days=900), *days, first + timedelta(days=900)]
    if changes > 1 and random.randrange(3) == 0:
        cuts = cuts[random.randrange(2) : len(cuts) - random.randrange(2)]
    terms = []
    for begin, after in itertools.pairwise(cuts):
        if begin == after or (len(terms) and random.randrange(6) == 0):
            continue
        fee = random.choice((*FEES, random.randrange(10**12))) if bits & MONEY else 100_000
        used = random.choice((frozenset({1}), frozenset({1, 2}), frozenset({2}), None)) if bits & TERMS else None
        terms.append(
            TermSpan(
                midnight(begin, zone), midnight(after, zone), begin.toordinal(), after.toordinal(), fee, "Pro", used
            )
        )
    return tuple(terms)


def _outage(
    random: Random, number: int, segments: int, bits: int, anchors: Sequence[int], had: Sequence[Outage], rules: Rules
) -> Outage:
    start = random.choice(anchors) + random.choice(_EDGES) - random.choice((0, 0, HOUR, 4 * HOUR, DAY))
    length = max(0, random.choice(_LENGTHS) + random.choice(_EDGES))
    end = start + length
    reference = f"INC-2026-{number + 1:04d}"
    family = random.choice(had).family if had and bits & FAMILIES and random.randrange(3) == 0 else reference
    late = random.choice((0, 7 * MINUTE, 40 * MINUTE)) if bits & SAID else 0
    return Outage(
        reference,
        family,
        start,
        end,
        start + late,
        end + random.choice((0, late)),
        bool(bits & RUNNING) and random.randrange(4) == 0,
        _severities(random, start, length, segments),
        tuple(_impact(random, start, length, bits) for _ in range(random.randrange(1, 4))),
        tuple(_planned(random, start, length, rules) for _ in range(random.randrange(3))) if bits & TAKEN else (),
        tuple(_excluded(random, start, length) for _ in range(random.randrange(3))) if bits & TAKEN else (),
    )


def _severities(random: Random, start: int, length: int, segments: int) -> tuple[Judged, ...]:
    cuts = sorted(start + _within(random, length) for _ in range(random.randrange(segments)))
    ends = [BEGINNING, *cuts, END]
    return tuple(
        Judged(begin, end, random.choice((1, 1, 2, 2, 3, 4)), random.randrange(8) > 0)
        for begin, end in itertools.pairwise(ends)
    )


def _impact(random: Random, start: int, length: int, bits: int) -> Impact:
    component, gravity = random.choice((1, 1, 2, 3)), random.choice((4, 4, 3, 2))
    if random.randrange(3):
        return Impact(component, start, start + length, gravity)
    begin = start + _within(random, length)
    beyond = random.choice((0, 0, HOUR)) if bits & TAKEN else 0
    return Impact(component, begin, max(begin, start + length + beyond - _within(random, length)), gravity)


def _planned(random: Random, start: int, length: int, rules: Rules) -> Planned:
    begin = start + _within(random, length)
    lead = rules.notice + random.choice((0, 1, -1, DAY, -DAY))
    return Planned(random.choice((1, 1, 2, 3)), begin, begin + _within(random, length), lead)


def _excluded(random: Random, start: int, length: int) -> Excluded:
    begin, kind = start + _within(random, length), random.choice(("customer", "force_majeure", "other"))
    whole = random.randrange(3) == 0
    return Excluded(
        random.choice((0, OURS, THEIRS)), BEGINNING if whole else begin, END if whole else begin + HOUR, kind
    )


def _within(random: Random, length: int) -> int:
    """Often whole minutes, so that edges meet."""
    return random.randrange(length + 1) if random.randrange(4) == 0 else length * random.randrange(5) // 4
