"""What a customer had of an incident: down time of what it uses, without what does not count (R-902)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postmortems.enums import Clock, ExclusionKind, Overlap, Scope

from .case import BEGINNING, END, Case, Outage, Rules, Span, TermSpan
from .spans import Spans, common, minus, union

#: Why time does not count, in the order in which it is taken out: what two reasons cover goes to the first.
MAINTENANCE = "maintenance"
REASONS = (MAINTENANCE, ExclusionKind.CUSTOMER.value, ExclusionKind.FORCE_MAJEURE.value, ExclusionKind.OTHER.value)


@dataclass(frozen=True, slots=True, eq=False)
class Felt:
    """An incident as a customer had it.

    ``windows``: from its beginning to its end under the contract, which decides what belongs together. What does
    not count stays in there: taking time out never makes two outages of one.
    ``worse``: time that counts, by rank: at it or worse. ``gross``: the same with what does not count.
    ``stages``: down time after each of REASONS was taken out; empty if nothing was.
    """

    outage: Outage
    windows: Spans
    worse: dict[int, Spans]
    gross: dict[int, Spans]
    stages: tuple[Spans, ...]

    def after(self, reason: int, rank: int) -> Spans:
        """Time at a rank or worse once REASONS up to this one were taken out."""
        return common(self.stages[reason], judged(self.outage, rank)) if self.stages else self.worse[rank]


def reach(outage: Outage, rules: Rules) -> Span:
    """From where to where an incident reaches, by the clock of the rules; the same for every customer."""
    if rules.clock == Clock.SAID:
        return outage.said, outage.unsaid
    hit = [impact for impact in outage.impacts if impact.start < impact.end]
    return (
        min([outage.start, *(impact.start for impact in hit)]),
        max([outage.end, *(impact.end for impact in hit)]),
    )


def judged(outage: Outage, rank: int) -> Spans:
    """When it was at a severity of this rank or worse that earns credits."""
    return union((one.start, one.end) for one in outage.severities if one.counts and one.rank <= rank)


def felt(outage: Outage, rules: Rules, terms: Sequence[TermSpan], customer: int) -> Felt | None:
    """None: this customer had nothing of it."""
    coverage = union((term.start, term.end) for term in terms)
    hits = _hits(outage, rules, terms)
    if rules.scope == Scope.ANY:
        down = common(union([_window(outage, rules)]), coverage)
    else:
        down = union(span for _, spans in hits for span in spans)
    if not down:
        return None
    ranks = {tier.rank for tier in (*rules.durations, *rules.uptimes)}
    gross = {rank: common(down, judged(outage, rank)) for rank in ranks}
    windows = common([reach(outage, rules)], coverage)
    stages = _stages(outage, rules, customer, hits, down)
    if stages[-1] == down:
        return Felt(outage, windows, gross, gross, ())
    worse = {rank: common(stages[-1], judged(outage, rank)) for rank in ranks}
    return Felt(outage, windows, worse, gross, stages)


def _window(outage: Outage, rules: Rules) -> Span:
    return (outage.said, outage.unsaid) if rules.clock == Clock.SAID else (outage.start, outage.end)


def _hits(outage: Outage, rules: Rules, terms: Sequence[TermSpan]) -> list[tuple[int, Spans]]:
    """Components that count, and when they were down under the contract."""
    hits = []
    for impact in outage.impacts:
        if rules.scope == Scope.USED and impact.gravity < rules.least_gravity:
            continue
        whole = union([_window(outage, rules) if rules.clock == Clock.SAID else (impact.start, impact.end)])
        used = union(
            (term.start, term.end)
            for term in terms
            if rules.scope == Scope.ANY or term.components is None or impact.component in term.components
        )
        hits.append((impact.component, common(whole, used)))
    return hits


def _stages(
    outage: Outage, rules: Rules, customer: int, hits: list[tuple[int, Spans]], down: Spans
) -> tuple[Spans, ...]:
    """Down time after each of REASONS was taken out."""
    left = minus(down, _maintained(outage, rules, hits)) if outage.planned else down
    stages = [left]
    for kind in REASONS[1:]:
        taken = (
            (one.start, one.end)
            for one in outage.excluded
            if one.customer in (0, customer) and kind in (one.kind, REASONS[-1])
        )
        left = minus(left, union(taken)) if outage.excluded else left
        stages.append(left)
    return tuple(stages)


def _maintained(outage: Outage, rules: Rules, hits: list[tuple[int, Spans]]) -> Spans:
    """When all that was down was under maintenance that was announced in time."""
    announced: list[Span] = []
    by_surprise: list[Span] = []
    for component, spans in hits:
        planned = union(
            (one.start, one.end) for one in outage.planned if one.component == component and one.lead >= rules.notice
        )
        announced += common(spans, planned)
        by_surprise += minus(spans, planned)
    return minus(union(announced), union(by_surprise))


def together(felt: Sequence[Felt], rules: Rules) -> list[tuple[Felt, ...]]:
    """Incidents that are one outage, in order of time.

    They are where their windows overlap or touch, whatever the severity (unless the rules pay each by itself), or
    where they are parts of one (R-1311).
    """
    if rules.overlap == Overlap.UNION:
        chains: list[list[Felt]] = []
        until = BEGINNING
        for start, end, had in sorted(((*window, one) for one in felt for window in one.windows), key=_by_time):
            if chains and start <= until:
                chains[-1].append(had)
            else:
                chains.append([had])
            until = max(until, end)
    else:
        chains = [[one] for one in sorted(felt, key=lambda one: (one.windows[0], one.outage.reference))]
    return [tuple(dict.fromkeys(chain)) for chain in _linked(chains)]


def _by_time(row: tuple[int, int, Felt]) -> tuple[int, int, str]:
    return row[0], row[1], row[2].outage.reference


def _linked(chains: list[list[Felt]]) -> list[list[Felt]]:
    """Chains with members of one family made one; each stands where its first did."""
    families = [one.outage.family for chain in chains for one in chain]
    if len(set(families)) == len(families):
        return chains
    groups: dict[int, list[Felt]] = {}
    home: dict[str, int] = {}
    for number, chain in enumerate(chains):
        groups[number] = chain
        numbers = sorted({number, *(home.get(one.outage.family, number) for one in chain)})
        if len(numbers) > 1:
            groups[numbers[0]] = [one for place in numbers for one in groups.pop(place)]
        for one in groups[numbers[0]]:
            home[one.outage.family] = numbers[0]
    return [groups[number] for number in sorted(groups)]


@dataclass(slots=True)
class _Known:
    """An incident, and what customers had of it by components they use, and by their id where it is named.

    ``alike``: of each component one that was down and maintained at the same times; it stands for all of them.
    """

    outage: Outage
    span: Span
    alike: dict[int, int]
    named: frozenset[int]
    felt: dict[tuple[frozenset[int], int], Felt | None]


class Memory:
    """What customers under the same rules had of incidents: those who use the same components had the same."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._known: dict[str, _Known] = {}

    def felt(self, case: Case) -> list[Felt]:
        return [one for outage in case.outages if (one := self._felt(outage, case))]

    def _felt(self, outage: Outage, case: Case) -> Felt | None:
        known = self._known.get(outage.reference)
        if known is None or known.outage is not outage:
            known = self._known[outage.reference] = self._know(outage)
        start, end = known.span
        for term in case.terms:
            if term.start <= start and end <= term.end:
                break
        else:
            # The contract begins, changes or ends in it: nobody else has the same.
            return felt(outage, self.rules, case.terms, case.customer)
        alike = known.alike
        hit = alike if term.components is None else alike.keys() & term.components
        used = frozenset([alike[component] for component in hit])
        customer = case.customer if case.customer in known.named else 0
        if (used, customer) not in known.felt:
            always = TermSpan(BEGINNING, END, 0, 0, 0, "", used)
            known.felt[used, customer] = felt(outage, self.rules, [always], customer)
        return known.felt[used, customer]

    def _know(self, outage: Outage) -> _Known:
        return _Known(
            outage,
            reach(outage, self.rules),
            _alike(outage),
            frozenset(one.customer for one in outage.excluded),
            {},
        )


def _alike(outage: Outage) -> dict[int, int]:
    first: dict[object, int] = {}
    alike = {}
    for component in sorted({impact.component for impact in outage.impacts}):
        down = frozenset((one.start, one.end, one.gravity) for one in outage.impacts if one.component == component)
        planned = frozenset((one.start, one.end, one.lead) for one in outage.planned if one.component == component)
        alike[component] = first.setdefault((down, planned), component)
    return alike
