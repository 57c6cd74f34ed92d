"""What a billing month comes to: a pure function of the case (reliability.md 5.2). No clock, no database, no float.

1. What the customer had: components in use, down by an incident, without excluded time, cut to the contract.
2. Incidents whose windows overlap or touch are one outage; so are the parts of one incident (R-1311).
3. Of each outage, how long it was at a severity or worse: up to the month's beginning, and up to its end.
   The highest tier passed by the end, less what was passed by the beginning, belongs to this month: a threshold
   is tested on the whole outage and booked where it was crossed, and each outage earns its highest tier once.
4. Beside it, the month's uptime.
5. Points × base, rounded once (half up), no more than the cap leaves; shared out to the lines by largest remainder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from postmortems.enums import Clock, Mix, Overlap, Proration, Scope, Stacking

from .case import END, Case, Outage, Rules, Span, TermSpan, TierRule, digest
from .money import half_up, share_out
from .spans import Spans, before, common, length, minus, union

#: Rises when the same case would come to something else. Golden runs hold every number for good.
ALGORITHM = 1
#: Points of the whole fee: hundredths of a percent.
WHOLE = 10_000
#: Thousandths of a percent of the whole month.
FULL = 100_000


@dataclass(frozen=True, slots=True)
class Length:
    """How long an outage was at ``rank`` or worse: by the month's beginning, and by its end (microseconds)."""

    rank: int
    earlier: int
    by_end: int


@dataclass(frozen=True, slots=True)
class Line:
    """One outage, or the month's uptime. ``tier`` None: nothing was earned.

    ``earned``: points of its tier; ``earlier``: what earlier months credited of it; ``points``: what this month does.
    ``uptime``: of the month, as a fraction of microseconds (up, covered), for the line of uptime.
    """

    references: tuple[str, ...]
    lengths: tuple[Length, ...]
    running: bool
    tier: TierRule | None
    earned: int
    earlier: int
    points: int
    amount: int = 0
    uptime: tuple[int, int] | None = None

    def as_json(self) -> dict[str, Any]:
        tier = self.tier
        return {
            "references": list(self.references),
            "lengths": [[one.rank, one.earlier, one.by_end] for one in self.lengths],
            "running": self.running,
            "tier": None if tier is None else [tier.rank, tier.code, tier.threshold, tier.points],
            "earned": self.earned,
            "earlier": self.earlier,
            "points": self.points,
            "amount": self.amount,
            "uptime": None if self.uptime is None else list(self.uptime),
        }


@dataclass(frozen=True, slots=True)
class Share:
    """A term's part of the month: ``part`` of ``whole`` (microseconds or days)."""

    plan: str
    fee: int
    part: int
    whole: int


@dataclass(frozen=True, slots=True)
class Result:
    """``base`` is an exact fraction of minor units; ``points`` after stacking and cap; ``limit`` what the cap left."""

    base: tuple[int, int]
    shares: tuple[Share, ...]
    wanted: int
    points: int
    limit: int
    amount: int
    lines: tuple[Line, ...]

    @property
    def is_running(self) -> bool:
        return any(line.running for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "algorithm": ALGORITHM,
            "base": list(self.base),
            "shares": [[share.plan, share.fee, share.part, share.whole] for share in self.shares],
            "wanted": self.wanted,
            "points": self.points,
            "limit": self.limit,
            "amount": self.amount,
            "lines": [line.as_json() for line in self.lines],
        }

    def digest(self) -> str:
        return digest(self.as_json())


def assess(case: Case, *, with_running: bool = False) -> Result:
    """What the month comes to. ``with_running``: as if what still runs were over at the moment of the look."""
    base, shares = fee(case)
    rules = case.rules
    if rules is None:
        return Result(base, shares, 0, 0, 0, 0, ())
    coverage = union((term.start, term.end) for term in case.terms)
    felt = [one for outage in case.outages if (one := _felt(outage, case, rules, coverage))]
    groups = [group for group in _groups(felt, rules) if with_running or not any(one.outage.running for one in group)]
    lines = [line for group in groups if (line := _line(group, case, rules))]
    lines, wanted = _stacked(lines, rules)
    uptime = _uptime(groups, case, rules, coverage)
    lines, wanted = _mixed(lines, wanted, uptime, rules)
    points = min(wanted, rules.cap)
    limit = max(0, half_up(base[0] * rules.cap, base[1] * WHOLE) - case.granted)
    amount = min(half_up(base[0] * points, base[1] * WHOLE), limit)
    parts = share_out(amount, [line.points for line in lines])
    told = tuple(replace(line, amount=part) for line, part in zip(lines, parts, strict=True))
    return Result(base, shares, wanted, points, limit, amount, told)


def fee(case: Case) -> tuple[tuple[int, int], tuple[Share, ...]]:
    """The month's recurring fee as an exact fraction of minor units, and the terms it is made of."""
    by_day = case.rules is not None and case.rules.proration == Proration.DAYS
    whole = case.days[1] - case.days[0] if by_day else case.end - case.start
    shares = []
    for term in case.terms:
        if by_day:
            part = min(term.after_day, case.days[1]) - max(term.first_day, case.days[0])
        else:
            part = min(term.end, case.end) - max(term.start, case.start)
        if part > 0:
            shares.append(Share(term.plan, term.fee, part, whole))
    return (sum(share.fee * share.part for share in shares), whole), tuple(shares)


# --- what the customer had -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Felt:
    """An outage as this customer had it: windows for grouping, and time at a rank or worse."""

    outage: Outage
    windows: Spans
    at_or_worse: dict[int, Spans]


def _felt(outage: Outage, case: Case, rules: Rules, coverage: Spans) -> _Felt | None:
    """None: this customer had nothing of it."""
    start, end = (outage.said, outage.unsaid) if rules.clock == Clock.SAID else (outage.start, outage.end)
    down = union(_down(outage, case.terms, rules, (start, end)))
    taken = union((one.start, one.end) for one in outage.excluded if one.customer in (0, case.customer))
    down = minus(common(down, coverage), taken)
    if not down:
        return None
    windows = common([(min(start, down[0][0]), max(end, down[-1][1]))], coverage)
    worse = {
        rank: common(down, union((one.start, one.end) for one in outage.severities if one.counts and one.rank <= rank))
        for rank in {tier.rank for tier in (*rules.durations, *rules.uptimes)}
    }
    return _Felt(outage, windows, worse)


def _down(outage: Outage, terms: Iterable[TermSpan], rules: Rules, window: Span) -> Iterator[Span]:
    """Spans in which something the customer uses was down, without announced maintenance of it."""
    if rules.scope == Scope.ANY:
        yield window
        return
    for impact in outage.impacts:
        if impact.gravity < rules.least_gravity:
            continue
        span = window if rules.clock == Clock.SAID else (impact.start, impact.end)
        planned = union(
            (one.start, one.end)
            for one in outage.planned
            if one.component == impact.component and one.lead >= rules.notice
        )
        for term in terms:
            if term.components is None or impact.component in term.components:
                yield from minus(common([span] if span[0] < span[1] else [], [(term.start, term.end)]), planned)


# --- outages ---------------------------------------------------------------------------


def _groups(felt: list[_Felt], rules: Rules) -> list[list[_Felt]]:
    """Incidents that are one outage: windows overlap or touch (whatever the severity), or of one family."""
    leader = list(range(len(felt)))

    def lead(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    families: dict[str, int] = {}
    for place, one in enumerate(felt):
        leader[lead(place)] = lead(families.setdefault(one.outage.family, place))
    if rules.overlap == Overlap.UNION:
        until, last = -END, 0
        for start, end, place in sorted((*window, place) for place, one in enumerate(felt) for window in one.windows):
            if start <= until:
                leader[lead(place)] = lead(last)
            if end > until:
                until = end
            last = place
    found: dict[int, list[_Felt]] = {}
    for place, one in enumerate(felt):
        found.setdefault(lead(place), []).append(one)
    return sorted(found.values(), key=lambda group: min((one.windows[0][0], one.outage.reference) for one in group))


def _line(group: list[_Felt], case: Case, rules: Rules) -> Line | None:
    """What an outage earns in this month; None: nothing of it lies in it."""
    lengths = {}
    for rank in sorted({tier.rank for tier in rules.durations}):
        spans = union(span for one in group for span in one.at_or_worse[rank])
        lengths[rank] = Length(rank, before(spans, case.start), before(spans, case.end))
    if all(one.earlier == one.by_end for one in lengths.values()):
        return None
    earlier = _best(rules.durations, {rank: one.earlier for rank, one in lengths.items()})
    tier = _best(rules.durations, {rank: one.by_end for rank, one in lengths.items()})
    earned, credited = tier.points if tier else 0, earlier.points if earlier else 0
    return Line(
        references=tuple(sorted(one.outage.reference for one in group)),
        lengths=tuple(lengths.values()),
        running=any(one.outage.running for one in group),
        tier=tier,
        earned=earned,
        earlier=credited,
        points=earned - credited,
    )


def _best(tiers: Iterable[TierRule], lengths: dict[int, int]) -> TierRule | None:
    """The tier with most points that is passed, strictly; of equals the worse rank."""
    passed = [tier for tier in tiers if lengths[tier.rank] > tier.threshold]
    return max(passed, key=lambda tier: (tier.points, -tier.rank, -tier.threshold), default=None)


def _stacked(lines: list[Line], rules: Rules) -> tuple[list[Line], int]:
    """Several outages of one month: added up, or only the highest (the first of equals)."""
    if rules.stacking == Stacking.SUM or not lines:
        return lines, sum(line.points for line in lines)
    most = max(line.points for line in lines)
    highest = next(place for place, line in enumerate(lines) if line.points == most)
    return [line if place == highest else replace(line, points=0) for place, line in enumerate(lines)], most


# --- uptime ----------------------------------------------------------------------------


def _uptime(groups: list[list[_Felt]], case: Case, rules: Rules, coverage: Spans) -> Line | None:
    """The month's uptime against its tiers; None: no tiers, or the contract does not cover any of it."""
    month = [(case.start, case.end)]
    covered = length(common(coverage, month))
    if not rules.uptimes or not covered:
        return None
    down = {
        rank: common(union(span for group in groups for one in group for span in one.at_or_worse[rank]), month)
        for rank in {tier.rank for tier in rules.uptimes}
    }
    up = {rank: covered - length(spans) for rank, spans in down.items()}
    passed = [tier for tier in rules.uptimes if up[tier.rank] * FULL < tier.threshold * covered]
    tier = max(passed, key=lambda one: (one.points, -one.rank, -one.threshold), default=None)
    shown = tier.rank if tier else max(up)
    hit = sorted({one.outage.reference for group in groups for one in group if common(one.at_or_worse[shown], month)})
    points = tier.points if tier else 0
    running = any(one.outage.running for group in groups for one in group if common(one.at_or_worse[shown], month))
    lengths = (Length(shown, 0, covered - up[shown]),)
    return Line(tuple(hit), lengths, running, tier, points, 0, points, uptime=(up[shown], covered))


def _mixed(lines: list[Line], wanted: int, uptime: Line | None, rules: Rules) -> tuple[list[Line], int]:
    """Outages beside uptime: both, or the higher of both (outages where they are equal)."""
    if uptime is None:
        return lines, wanted
    if rules.mix == Mix.SUM:
        return [*lines, uptime], wanted + uptime.points
    if uptime.points > min(wanted, rules.cap):
        return [*(replace(line, points=0) for line in lines), uptime], uptime.points
    return [*lines, replace(uptime, points=0)], wanted
