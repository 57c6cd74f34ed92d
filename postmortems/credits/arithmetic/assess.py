"""What a billing month comes to: a pure function of the case (reliability.md 5.2). No clock, no database, no float.

1. What the customer had (``felt``): components in use, down by an incident, without excluded time, cut to the contract.
2. Incidents whose windows overlap or touch are one outage; so are the parts of one incident (R-1311).
3. Of each outage, how long it was at a severity or worse: up to the month's beginning, and up to its end.
   The highest tier passed by the end, less what was passed by the beginning, belongs to this month: a threshold
   is tested on the whole outage and booked where it was crossed, and each outage earns its highest tier once.
4. Beside it, the month's uptime.
5. Points × base, rounded once (half up), no more than the cap leaves; shared out to the lines by largest remainder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postmortems.enums import Mix, Proration, Stacking

from .case import BEGINNING, Case, Rules, TierRule
from .felt import REASONS, Felt, Memory, together
from .money import half_up, share_out
from .results import ALGORITHM, Length, Line, Result, Share
from .spans import before, common, length, union

__all__ = ["ALGORITHM", "Assessor", "Length", "Line", "Result", "Share", "assess", "fee"]

#: Points of the whole fee: hundredths of a percent.
WHOLE = 10_000
#: Thousandths of a percent of the whole month.
FULL = 100_000
#: So many lines are remembered; beyond, it begins anew.
LINES = 50_000


def assess(case: Case, *, with_running: bool = False) -> Result:
    """What the month comes to. ``with_running``: as if what still runs were over at the moment of the look."""
    return Assessor().assess(case, with_running=with_running)


class Assessor:
    """Assesses many cases: what is the same for several of them is worked out once.

    It remembers incidents, not contracts, so that its memory does not grow with their number.
    """

    def __init__(self) -> None:
        self._shared: dict[Rules, _Shared] = {}

    def assess(self, case: Case, *, with_running: bool = False) -> Result:
        base, shares = fee(case)
        rules = case.rules
        if rules is None:
            return Result(base, shares, 0, 0, 0, 0, ())
        shared = self._shared.get(rules) or self._shared.setdefault(rules, _Shared(rules))
        groups = together(shared.memory.felt(case), rules)
        if not with_running:
            groups = [group for group in groups if not any(one.outage.running for one in group)]
        lines, wanted = _stacked([line for group in groups if (line := shared.line(group, case))], rules)
        lines, wanted = _mixed(lines, wanted, _uptime(groups, case, rules), rules)
        points = min(wanted, rules.cap)
        limit = max(0, half_up(base[0] * rules.cap, base[1] * WHOLE) - case.granted)
        amount = min(half_up(base[0] * points, base[1] * WHOLE), limit)
        parts = share_out(amount, [line.points for line in lines])
        told = tuple(line.worth(part) for line, part in zip(lines, parts, strict=True))
        return Result(base, shares, wanted, points, limit, amount, told)


class _Shared:
    """What contracts under the same rules have in common."""

    def __init__(self, rules: Rules) -> None:
        self.memory = Memory(rules)
        self._lines: dict[tuple[Felt, ...], Line | None] = {}

    def line(self, group: tuple[Felt, ...], case: Case) -> Line | None:
        """An outage that lies in the month as a whole comes to the same for everybody who had it."""
        if not all(case.start <= start and end <= case.end for one in group for start, end in one.windows):
            return _line(group, case, self.memory.rules)
        if group not in self._lines:
            if len(self._lines) >= LINES:
                self._lines.clear()
            self._lines[group] = _line(group, case, self.memory.rules)
        return self._lines[group]


def fee(case: Case) -> tuple[tuple[int, int], tuple[Share, ...]]:
    """The month's recurring fee as an exact fraction of minor units, and the terms it is made of."""
    by_day = case.rules is not None and case.rules.proration == Proration.DAYS
    whole = case.days[1] - case.days[0] if by_day else case.end - case.start
    shares = []
    for term in sorted(case.terms, key=lambda term: term.start):
        if by_day:
            part = min(term.after_day, case.days[1]) - max(term.first_day, case.days[0])
        else:
            part = min(term.end, case.end) - max(term.start, case.start)
        if part > 0:
            shares.append(Share(term.plan, term.fee, part, whole))
    return (sum(share.fee * share.part for share in shares), whole), tuple(shares)


# --- outages ---------------------------------------------------------------------------


def _line(group: Sequence[Felt], case: Case, rules: Rules) -> Line | None:
    """What an outage earns in this month; None: nothing of it lies in it, or no rule looks at its severity."""
    ranks = sorted({tier.rank for tier in rules.durations})
    if not ranks:
        return None
    # Time at the mildest rank holds that at all others.
    gross = union(span for one in group for span in one.gross[ranks[-1]])
    if before(gross, case.start) == before(gross, case.end):
        return None
    lengths = {rank: _length(group, rank, case) for rank in ranks}
    earlier = _best(rules.durations, {rank: one.earlier for rank, one in lengths.items()})
    tier = _best(rules.durations, {rank: one.by_end for rank, one in lengths.items()})
    earned, credited = tier.points if tier else 0, earlier.points if earlier else 0
    return Line(
        references=tuple(sorted({one.outage.reference for one in group})),
        lengths=tuple(lengths.values()),
        running=any(one.outage.running for one in group),
        tier=tier,
        earned=earned,
        earlier=credited,
        points=earned - credited,
        left_out=_left_out(group, ranks[-1], BEGINNING, case.end),
    )


def _length(group: Iterable[Felt], rank: int, case: Case) -> Length:
    spans = union(span for one in group for span in one.worse[rank])
    by_end = before(spans, case.end)
    return Length(rank, before(spans, case.start), by_end, length(spans) - by_end)


def _best(tiers: Iterable[TierRule], lengths: dict[int, int]) -> TierRule | None:
    """The tier with most points that is passed, strictly; of equals the worse rank."""
    passed = [tier for tier in tiers if lengths[tier.rank] > tier.threshold]
    return max(passed, key=lambda tier: (tier.points, -tier.rank, -tier.threshold), default=None)


def _left_out(group: Sequence[Felt], rank: int, start: int, end: int) -> tuple[tuple[str, int], ...]:
    """Time from ``start`` to ``end`` at a rank or worse that does not count, by reason."""
    if not any(one.stages for one in group):
        return ()
    within = [(start, end)]
    left = length(common(union(span for one in group for span in one.gross[rank]), within))
    found = []
    for place, reason in enumerate(REASONS):
        now = length(common(union(span for one in group for span in one.after(place, rank)), within))
        if now < left:
            found.append((reason, left - now))
        left = now
    return tuple(found)


def _stacked(lines: list[Line], rules: Rules) -> tuple[list[Line], int]:
    """Several outages of one month: added up, or only the highest (the first of equals)."""
    if rules.stacking == Stacking.SUM or not lines:
        return lines, sum(line.points for line in lines)
    most = max(line.points for line in lines)
    highest = next(place for place, line in enumerate(lines) if line.points == most)
    return [line if place == highest else line.worth(0, 0) for place, line in enumerate(lines)], most


# --- uptime ----------------------------------------------------------------------------


def _uptime(groups: Iterable[Sequence[Felt]], case: Case, rules: Rules) -> Line | None:
    """The month's uptime against its tiers; None: no tiers, or the contract does not cover any of it."""
    if not rules.uptimes:
        return None
    month = [(case.start, case.end)]
    covered = length(common(union((term.start, term.end) for term in case.terms), month))
    if not covered:
        return None
    felt = [one for group in groups for one in group]
    ranks = {tier.rank for tier in rules.uptimes}
    down = {rank: length(common(union(span for one in felt for span in one.worse[rank]), month)) for rank in ranks}
    passed = [tier for tier in rules.uptimes if (covered - down[tier.rank]) * FULL < tier.threshold * covered]
    tier = max(passed, key=lambda one: (one.points, -one.rank, -one.threshold), default=None)
    rank = tier.rank if tier else max(ranks)
    points = tier.points if tier else 0
    return Line(
        references=tuple(sorted({one.outage.reference for one in felt if common(one.gross[rank], month)})),
        lengths=(Length(rank, 0, down[rank]),),
        running=any(one.outage.running for one in felt if common(one.gross[max(ranks)], month)),
        tier=tier,
        earned=points,
        earlier=0,
        points=points,
        uptime=(covered - down[rank], covered),
        left_out=_left_out(felt, rank, case.start, case.end),
    )


def _mixed(lines: list[Line], wanted: int, uptime: Line | None, rules: Rules) -> tuple[list[Line], int]:
    """Outages beside uptime: both, or the higher of both (outages where they are equal)."""
    if uptime is None:
        return lines, wanted
    if rules.mix == Mix.SUM:
        return [*lines, uptime], wanted + uptime.points
    if uptime.points > wanted:
        return [*(line.worth(0, 0) for line in lines), uptime], uptime.points
    return [*lines, uptime.worth(0, 0)], wanted
