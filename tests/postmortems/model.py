"""What a month comes to, the slow way that is easy to believe: a second opinion for the tests.

Time is cut wherever anything begins or ends; in each cell nothing changes, so every question has one answer.
Nothing of ``postmortems.credits`` is used but the case itself. Amounts are Fractions until the one rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import floor

from postmortems.credits.arithmetic.case import Case, Outage, TermSpan, TierRule

Cell = tuple[int, int]


@dataclass(frozen=True)
class Group:
    """An outage: references, {rank: (before the month, by its end)}, points of its tier, and those of months before."""

    references: tuple[str, ...]
    lengths: dict[int, tuple[int, int]]
    earned: int
    earlier: int


class Model:
    def __init__(self, case: Case, *, with_running: bool) -> None:
        assert case.rules is not None
        self.case, self.rules = case, case.rules
        groups = [group for group in self._groups() if with_running or not any(one.running for one in group)]
        self.members = groups
        self.outages = [found for group in groups if (found := self._group(group)) is not None]

    # --- money -------------------------------------------------------------------------

    @cached_property
    def base(self) -> Fraction:
        case = self.case
        if self.rules.proration == "days":
            days = range(*case.days)
            return sum(
                (Fraction(t.fee, len(days)) for day in days for t in case.terms if t.first_day <= day < t.after_day),
                Fraction(0),
            )
        return sum(
            (
                Fraction(term.fee * (end - start), case.end - case.start)
                for start, end in self.cells
                for term in case.terms
                if term.start <= start < term.end and case.start <= start < case.end
            ),
            Fraction(0),
        )

    @cached_property
    def wanted(self) -> int:
        credited = [group.earned - group.earlier for group in self.outages]
        outages = sum(credited) if self.rules.stacking == "sum" else max(credited, default=0)
        return outages + self.uptime if self.rules.mix == "sum" else max(outages, self.uptime)

    @property
    def points(self) -> int:
        return min(self.wanted, self.rules.cap)

    @property
    def limit(self) -> int:
        return max(0, _rounded(self.base * Fraction(self.rules.cap, 10_000)) - self.case.granted)

    @property
    def exact(self) -> Fraction:
        return self.base * Fraction(self.points, 10_000)

    @property
    def amount(self) -> int:
        return min(_rounded(self.exact), self.limit)

    # --- time --------------------------------------------------------------------------

    @cached_property
    def cells(self) -> list[Cell]:
        cuts = {self.case.start, self.case.end}
        for term in self.case.terms:
            cuts |= {term.start, term.end}
        for outage in self.case.outages:
            cuts |= {outage.start, outage.end, outage.said, outage.unsaid}
            for part in (*outage.severities, *outage.impacts, *outage.planned, *outage.excluded):
                cuts |= {part.start, part.end}
        ordered = sorted(cuts)
        return list(itertools.pairwise(ordered))

    def term_at(self, at: int) -> TermSpan | None:
        return next((term for term in self.case.terms if term.start <= at < term.end), None)

    def hits(self, outage: Outage, at: int) -> Iterator[int]:
        """Components that are down at a moment and count for this customer."""
        term = self.term_at(at)
        if term is None:
            return
        for impact in outage.impacts:
            start, end = (impact.start, impact.end)
            if self.rules.clock == "said":
                start, end = outage.said, outage.unsaid
            if start <= at < end:
                uses = term.components is None or impact.component in term.components
                if self.rules.scope == "any" or (uses and impact.gravity >= self.rules.least_gravity):
                    yield impact.component

    def down(self, outage: Outage, at: int) -> bool:
        if self.rules.scope == "any":
            start, end = (outage.start, outage.end) if self.rules.clock == "impact" else (outage.said, outage.unsaid)
            return self.term_at(at) is not None and start <= at < end
        return any(True for _ in self.hits(outage, at))

    def counts(self, outage: Outage, at: int) -> bool:
        """It is down, and neither maintenance announced in time nor a person takes that out."""
        if not self.down(outage, at):
            return False
        if any(one.start <= at < one.end and one.customer in (0, self.case.customer) for one in outage.excluded):
            return False
        hits = list(self.hits(outage, at))
        return not hits or not all(self.maintained(outage, component, at) for component in hits)

    def maintained(self, outage: Outage, component: int, at: int) -> bool:
        return any(
            one.component == component and one.lead >= self.rules.notice and one.start <= at < one.end
            for one in outage.planned
        )

    def rank(self, outage: Outage, at: int) -> int:
        """The worst of the moment; 9 where none earns credits."""
        return min((one.rank for one in outage.severities if one.counts and one.start <= at < one.end), default=9)

    def open(self, outage: Outage, at: int) -> bool:
        """The incident reaches over this moment, and the contract holds."""
        if self.rules.clock == "said":
            return outage.said <= at < outage.unsaid and self.term_at(at) is not None
        spans = [(outage.start, outage.end), *((i.start, i.end) for i in outage.impacts if i.start < i.end)]
        first, last = min(start for start, _ in spans), max(end for _, end in spans)
        return first <= at < last and self.term_at(at) is not None

    # --- outages -----------------------------------------------------------------------

    def had(self, outage: Outage) -> bool:
        return any(self.down(outage, start) for start, _ in self.cells)

    def _groups(self) -> list[list[Outage]]:
        groups = [[outage] for outage in self.case.outages if self.had(outage)]
        windows = {
            id(one): [cell for cell in self.cells if self.open(one, cell[0])] for group in groups for one in group
        }

        def belong(one: Outage, other: Outage) -> bool:
            if one.family == other.family:
                return True
            if self.rules.overlap == "each":
                return False
            return any(a <= d and c <= b for a, b in windows[id(one)] for c, d in windows[id(other)])

        for place in range(len(groups)):
            home = groups[place]
            grew = True
            while home and grew:
                grew = False
                for other in groups:
                    if other is not home and any(belong(a, b) for a in home for b in other):
                        home += other
                        other.clear()
                        grew = True
        return [group for group in groups if group]

    def time(self, group: list[Outage], rank: int, start: int, end: int) -> int:
        """How long at least one of them counted at this rank or worse."""
        return sum(
            to - at
            for at, to in self.cells
            if start <= at < end and any(self.rank(one, at) <= rank and self.counts(one, at) for one in group)
        )

    def _group(self, group: list[Outage]) -> Group | None:
        case, tiers = self.case, self.rules.durations
        ranks = {tier.rank for tier in tiers}
        ever = self.cells[0][0]
        lengths = {
            rank: (self.time(group, rank, ever, case.start), self.time(group, rank, ever, case.end)) for rank in ranks
        }
        if not any(
            self.rank(one, at) <= max(ranks) and self.down(one, at)
            for at, _ in self.cells
            if case.start <= at < case.end and ranks
            for one in group
        ):
            return None
        return Group(
            tuple(sorted({one.reference for one in group})),
            lengths,
            _tier(tiers, {rank: by_end for rank, (_, by_end) in lengths.items()}),
            _tier(tiers, {rank: earlier for rank, (earlier, _) in lengths.items()}),
        )

    @cached_property
    def uptime(self) -> int:
        """Points of the month's uptime."""
        case = self.case
        month = [cell for cell in self.cells if case.start <= cell[0] < case.end]
        covered = sum(end - start for start, end in month if self.term_at(start) is not None)
        if not covered:
            return 0
        everything = [one for group in self.members for one in group]
        points = [0]
        for tier in self.rules.uptimes:
            down = self.time(everything, tier.rank, case.start, case.end)
            if Fraction(covered - down, covered) < Fraction(tier.threshold, 100_000):
                points.append(tier.points)
        return max(points)


def _tier(tiers: tuple[TierRule, ...], lengths: dict[int, int]) -> int:
    return max([tier.points for tier in tiers if lengths[tier.rank] > tier.threshold], default=0)


def _rounded(amount: Fraction) -> int:
    return floor(amount + Fraction(1, 2))
