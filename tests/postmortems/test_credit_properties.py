"""The invariants of service credits (reliability.md 5.3) on random contracts: 2,000 of each, make properties 10,000.

Each assertion names its invariant. Two things are looked at where facts change. ``long``: all the time there is as one
month, where every rule keeps the order of what is worse. ``prefixes``: what months credited up to each one's
end, with everything added up: there a threshold may be crossed in another month, but never later than it was.
(Single months have no such order: what is crossed earlier is booked earlier.)
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from postmortems.credits.arithmetic import case as case_module
from postmortems.credits.arithmetic.assess import Assessor, Result, assess, fee
from postmortems.credits.arithmetic.case import BEGINNING, END, Case, Excluded, Outage, Planned, TermSpan
from postmortems.credits.arithmetic.felt import Memory
from postmortems.credits.arithmetic.money import Money, MoneyError, half_up, parse, plain, share_out
from postmortems.credits.arithmetic.months import SECOND, bounds, following, micros, midnight, moment, month_of
from postmortems.credits.arithmetic.wording import explain
from tests.postmortems.cases import DAY, HOUR, MINUTE
from tests.postmortems.model import Model
from tests.postmortems.worlds import TURNS, World, worlds, zones

often = settings(
    max_examples=max(2_000, settings.default.max_examples if settings.default else 0),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)


# --- agreement with the slow model -----------------------------------------------------------


@often
@given(worlds(), st.booleans())
def test_agrees_with_the_slow_model(world: World, with_running: bool) -> None:
    case = world.random.choice(world.months)
    result, model = assess(case, with_running=with_running), Model(case, with_running=with_running)
    assert Fraction(*result.base) == model.base, "base"
    outages = [line for line in result.lines if line.uptime is None]
    assert sorted((line.references, _lengths(line.lengths), line.earned, line.earlier) for line in outages) == sorted(
        (group.references, sorted((rank, *both) for rank, both in group.lengths.items()), group.earned, group.earlier)
        for group in model.outages
    ), "outages"
    assert [line.earned for line in result.lines if line.uptime] in ([], [model.uptime]), "uptime_exact"
    assert (result.wanted, result.points, result.limit) == (model.wanted, model.points, model.limit), "points"
    assert result.amount == model.amount, "amount"


def _lengths(lengths: Iterable[object]) -> list[tuple[int, int, int]]:
    return [(one.rank, one.earlier, one.by_end) for one in lengths]  # type: ignore[attr-defined]


# --- money -----------------------------------------------------------------------------------


@often
@given(worlds(), st.booleans())
def test_money_of_a_month(world: World, with_running: bool) -> None:
    month = world.random.choice(world.months)
    result = assess(month, with_running=with_running)
    base, cap = Fraction(*result.base), world.rules.cap
    parts = [line.amount for line in result.lines]
    assert sum(parts) == result.amount, "allocation_conserves"
    assert all(part >= 0 for part in parts), "allocation_conserves: none is negative"
    assert all(part == 0 for part, line in zip(parts, result.lines, strict=True) if not line.points)
    assert type(result.amount) is int, "allocation_conserves: whole minor units"
    whole = sum(line.points for line in result.lines) or 1
    for line in result.lines:
        assert abs(line.amount - Fraction(result.amount * line.points, whole)) < 1, "largest remainder"
    free = assess(replace(month, granted=0), with_running=with_running)
    exact = base * min(free.wanted, cap) / 10_000
    assert abs(free.amount - exact) <= Fraction(1, 2), "single_rounding_bound"
    ceiling = half_up(result.base[0] * cap, result.base[1] * 10_000)
    assert 0 <= result.amount <= max(0, ceiling - month.granted), "capped, goodwill counts"
    assert result.amount <= free.amount, "more goodwill never raises"
    less = assess(replace(month, rules=replace(world.rules, cap=cap // 2)), with_running=with_running)
    assert less.amount <= result.amount, "a lower cap never raises"
    words = explain(month, result)
    assert len(words["lines"]) == len(result.lines), "every line is explained"
    assert words["total"][-1] == f"Credit of the month: {Money(result.amount, month.currency)}."
    assert "rank" not in json.dumps(words), "levels go by their names"
    nothing = assess(replace(world.middle, rules=None), with_running=with_running)
    assert (nothing.amount, nothing.lines) == (0, ()), "no rules, no credit"


@often
@given(st.integers(0, 10**15), st.integers(1, 12), st.integers(0, 2**32))
def test_allocation_conserves(total: int, lines: int, seed: int) -> None:
    random = Random(seed)
    weights = [random.choice((0, 500, 1_000, random.randrange(10_000))) for _ in range(lines)]
    parts = share_out(total, weights)
    whole = sum(weights)
    assert sum(parts) == (total if whole else 0)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, whole or 1)) < 1
    by_weight = [part for _, part in sorted(zip(weights, parts, strict=True))]
    assert by_weight == sorted(by_weight), "who weighs more never gets less"


@often
@given(st.integers(0, 10**24), st.integers(1, 10**18))
def test_single_rounding_bound(numerator: int, denominator: int) -> None:
    exact, rounded = Fraction(numerator, denominator), half_up(numerator, denominator)
    assert -Fraction(1, 2) <= exact - rounded < Fraction(1, 2)


@often
@given(st.integers(-(10**15), 10**15), st.sampled_from(["EUR", "JPY", "KWD", "USD", "CLP", "BHD"]), st.booleans())
def test_currencies_have_their_exponents_and_never_add(minor: int, currency: str, grouped: bool) -> None:
    assert parse(plain(minor, currency, grouped=grouped), currency) == minor
    ours, other = Money(minor, currency), Money(minor, "CHF")
    assert (ours + ours) - ours == ours == Money(minor, currency)
    assert (-ours).minor == -minor
    for refused in (lambda: ours + other, lambda: ours - other, lambda: ours < other, lambda: ours <= other):
        with pytest.raises(MoneyError):
            refused()


# --- facts that say the same --------------------------------------------------------------------


@often
@given(worlds())
def test_what_says_the_same_comes_to_the_same(world: World) -> None:
    random, case = world.random, world.random.choice(world.months)
    with_running = random.random() < 0.5
    plainly = assess(case, with_running=with_running)

    kept = Case.of(json.loads(json.dumps(case.as_json())))
    assert kept == case, "json_round_trip"
    assert assess(kept, with_running=with_running).digest() == plainly.digest(), "json_round_trip: same digest"
    apart = Case.of(json.loads(json.dumps(case.as_json(outages=False))), case.outages)
    assert apart == case, "json_round_trip: outages kept beside"

    shuffled = _shuffled(case, random)
    assert assess(shuffled, with_running=with_running).digest() == plainly.digest(), "order_independent"

    assessor = Assessor()
    for month in (*world.months, case):
        shared = assessor.assess(month, with_running=with_running)
    assert shared.digest() == plainly.digest(), "what others shared changes nothing"

    renamed = assess(_renamed(case, random), with_running=with_running)
    assert _sums(renamed) == _sums(plainly), "independent_of_ids"

    kinds = replace(case, outages=tuple(_excused(outage, "other") for outage in case.outages))
    assert _sums(assess(kinds, with_running=with_running)) == _sums(plainly), "why time was taken out changes no amount"


def _sums(result: Result) -> tuple[object, ...]:
    lines = sorted((line.earned, line.earlier, _lengths(line.lengths)) for line in result.lines)
    # Who of two that begin at once is first is their names' affair.
    return result.base, result.wanted, result.points, result.amount, sorted(line.points for line in result.lines), lines


def _shuffled(case: Case, random: Random) -> Case:
    def mixed(rows: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(random.sample(rows, len(rows)))

    outages = tuple(
        replace(
            outage,
            severities=mixed(outage.severities),  # type: ignore[arg-type]
            impacts=mixed(outage.impacts),  # type: ignore[arg-type]
            planned=mixed(outage.planned),  # type: ignore[arg-type]
            excluded=mixed(outage.excluded),  # type: ignore[arg-type]
        )
        for outage in case.outages
    )
    assert case.rules is not None
    rules = replace(case.rules, durations=mixed(case.rules.durations), uptimes=mixed(case.rules.uptimes))  # type: ignore[arg-type]
    return replace(case, outages=mixed(outages), terms=mixed(case.terms), rules=rules)  # type: ignore[arg-type]


def _renamed(case: Case, random: Random) -> Case:
    """Other names for the contract, the customer, incidents and components."""
    shift = random.randrange(1, 1_000)

    def name(reference: str) -> str:
        return f"X-{shift}-{9_999 - int(reference[-4:])}"

    outages = tuple(
        replace(
            outage,
            reference=name(outage.reference),
            family=name(outage.family),
            impacts=tuple(replace(one, component=one.component + shift) for one in outage.impacts),
            planned=tuple(replace(one, component=one.component + shift) for one in outage.planned),
            excluded=tuple(replace(one, customer=one.customer and one.customer + shift) for one in outage.excluded),
        )
        for outage in case.outages
    )
    terms = tuple(
        replace(term, components=term.components and frozenset(one + shift for one in term.components))
        for term in case.terms
    )
    return replace(case, contract="Z", customer=case.customer + shift, outages=outages, terms=terms)


def _excused(outage: Outage, kind: str) -> Outage:
    return replace(outage, excluded=tuple(replace(one, kind=kind) for one in outage.excluded))


@often
@given(worlds(least=1))
def test_records_may_be_doubled_and_cut(world: World) -> None:
    random, case = world.random, world.random.choice(world.months)
    place = random.randrange(len(world.outages))
    outage = world.outages[place]
    copy = replace(_part_of(outage, random), reference="INC-2026-0999")
    if world.rules.overlap == "each":
        copy = replace(copy, family=outage.family)
    else:
        copy = replace(copy, family=copy.reference)
    doubled = replace(case, outages=(*case.outages, copy))
    assert _earned(doubled) == _earned(case), "duplicate_record_invariance"

    halves = _halves(outage, world, random)
    assume(halves is not None)
    assert halves is not None
    rest = [one for one in case.outages if one is not outage]
    assert _earned(replace(case, outages=(*rest, *halves))) == _earned(case), "split_invariance, merge_invariance"


def _earned(case: Case) -> tuple[object, ...]:
    return _sums(assess(case, with_running=True))


def _part_of(outage: Outage, random: Random) -> Outage:
    """A record of a part of the same time, at most as bad."""
    spans = [(outage.start, outage.end), (outage.said, outage.unsaid)]
    (start, end), (said, unsaid) = (_inner(span, random) for span in spans)
    return replace(
        outage,
        start=start,
        end=end,
        said=said,
        unsaid=unsaid,
        severities=tuple(replace(one, rank=min(9, one.rank + random.randrange(2))) for one in outage.severities),
        impacts=tuple(
            replace(one, start=max(one.start, start), end=max(one.start, start, min(one.end, end)))
            for one in outage.impacts
        ),
    )


def _inner(span: tuple[int, int], random: Random) -> tuple[int, int]:
    start, end = span
    if random.randrange(3) == 0 or end <= start:
        return span
    first, last = sorted((random.randrange(start, end + 1), random.randrange(start, end + 1)))
    return first, last


def _halves(outage: Outage, world: World, random: Random) -> tuple[Outage, Outage] | None:
    """Two records that touch, cut where the customer had something of it."""
    rules, terms = world.rules, world.middle.terms
    if rules.clock == "said":
        spans = [(outage.said, outage.unsaid)] if outage.impacts or rules.scope == "any" else []
    elif rules.scope == "any":
        spans = [(outage.start, outage.end)]
    else:
        spans = [(i.start, i.end) for i in outage.impacts if i.gravity >= rules.least_gravity]
    start, end = max(spans, key=lambda span: span[1] - span[0], default=(0, 0))
    if end - start < 2:
        return None
    cut = random.choice(((start + end) // 2, start + 1, end - 1))
    overlap = random.choice((0, 0, 1))
    family = outage.family
    # Both halves belong together where they touch under the contract and the customer had something of both.
    if rules.overlap == "union" and _used_around(outage, cut, terms, rules):
        family = "INC-2026-0998"
    one = replace(
        outage,
        end=max(outage.start, min(outage.end, cut + overlap)),
        unsaid=cut + overlap if rules.clock == "said" else outage.unsaid,
        impacts=tuple(replace(i, end=max(i.start, min(i.end, cut + overlap))) for i in outage.impacts),
    )
    two = replace(
        outage,
        reference="INC-2026-0998",
        family=family,
        start=min(outage.end, max(outage.start, cut)),
        said=cut if rules.clock == "said" else outage.said,
        impacts=tuple(replace(i, start=min(i.end, max(i.start, cut))) for i in outage.impacts),
    )
    return one, two


def _used_around(outage: Outage, cut: int, terms: tuple[TermSpan, ...], rules: object) -> bool:
    """The customer uses all of it, just before and just after."""
    held = [term for term in terms if term.start <= cut - 1 and cut + 1 <= term.end]
    return bool(held) and held[0].components is None and outage.family == outage.reference


# --- facts that become worse, or better ------------------------------------------------------------


def _standing(world: World) -> tuple[int, list[int]]:
    """The amount of all the time there is as one month; points credited up to the end of each month, all added up."""
    added, assessor = world.with_rules(stacking="sum", mix="sum", cap=10**9), Assessor()
    months = accumulate(assessor.assess(month, with_running=True).wanted for month in added.ever())
    return assess(world.long(), with_running=True).amount, list(months)


def _at_least(more: tuple[int, list[int]], less: tuple[int, list[int]], invariant: str) -> None:
    assert more[0] >= less[0], invariant
    assert all(a >= b for a, b in zip(more[1], less[1], strict=True)), f"{invariant} (month by month)"


@often
@given(worlds(least=1))
def test_what_is_worse_never_comes_to_less(world: World) -> None:
    random, place = world.random, world.random.randrange(len(world.outages))
    outage = world.outages[place]

    plainly = _standing(world)

    segment = random.randrange(len(outage.severities))
    judged = outage.severities[segment]
    before, after = outage.severities[:segment], outage.severities[segment + 1 :]
    worse = replace(judged, rank=random.randrange(1, judged.rank + 1))
    raised = _standing(world.with_outage(place, severities=(*before, worse, *after)))
    _at_least(raised, plainly, "raising_severity_never_lowers, lowering_never_raises")
    earning = replace(judged, counts=True)
    earned = _standing(world.with_outage(place, severities=(*before, earning, *after)))
    _at_least(earned, plainly, "a level that earns credits never lowers")

    start = outage.start + random.randrange(-HOUR, HOUR)
    taken = Excluded(random.choice((0, 7, 9)), start, start + random.choice((1, MINUTE, HOUR, DAY)), "customer")
    excluded = _standing(world.with_outage(place, excluded=(*outage.excluded, taken)))
    _at_least(plainly, excluded, "exclusions_never_raise")

    planned = Planned(random.randrange(1, 4), start, start + HOUR, random.choice((world.rules.notice, 0)))
    sooner = replace(planned, lead=planned.lead + random.choice((1, DAY)))
    late, early = (_standing(world.with_outage(place, planned=(*outage.planned, one))) for one in (planned, sooner))
    _at_least(late, early, "more_notice_never_raises")
    _at_least(plainly, late, "maintenance_never_raises")
    unannounced = replace(planned, lead=world.rules.notice - 1)
    unsaid = assess(world.with_outage(place, planned=(*outage.planned, unannounced)).long(), with_running=True)
    assert unsaid == assess(world.long(), with_running=True), "only maintenance announced in time is excluded"

    patient = _standing(world.with_rules(notice=world.rules.notice + DAY))
    _at_least(patient, plainly, "asking for a longer notice never lowers")


@often
@given(worlds(least=1))
def test_adding_components_used_never_lowers(world: World) -> None:
    """By itself, or where it brings no further incident: that may join two outages to one (reliability.md 5.2)."""
    if world.rules.overlap == "union" and _had(_using_more(world).long()) != _had(world.long()):
        world = world.with_rules(overlap="each")
    _at_least(_standing(_using_more(world)), _standing(world), "adding_components_never_lowers")


def _using_more(world: World) -> World:
    extra = frozenset({3, 1})
    terms = tuple(replace(term, components=term.components and term.components | extra) for term in world.middle.terms)
    return world.changed(terms=terms)


def _had(case: Case) -> set[str]:
    assert case.rules is not None
    return {one.outage.reference for one in Memory(case.rules).felt(case)}


@often
@given(worlds(most=1, least=1), st.sampled_from((1, SECOND, MINUTE, HOUR, DAY)))
def test_prolonging_an_outage_never_lowers(world: World, longer: int) -> None:
    outage = world.outages[0]
    prolonged = world.with_outage(
        0,
        end=outage.end + longer,
        unsaid=outage.unsaid + longer,
        impacts=tuple(replace(one, end=one.end + longer) for one in outage.impacts),
    )
    _at_least(_standing(prolonged), _standing(world), "prolonging_never_lowers")


@often
@given(worlds())
def test_what_still_runs_only_adds(world: World) -> None:
    for month in (world.random.choice(world.months), world.long()):
        over, estimate = assess(month), assess(month, with_running=True)
        assert over.amount <= estimate.amount, "running_left_out"
        assert not over.is_running, "running_left_out: no line is"
        finished = replace(month, outages=tuple(replace(one, running=False) for one in month.outages))
        assert _sums(assess(finished)) == _sums(estimate), "an estimate is as if it were over"


# --- contracts --------------------------------------------------------------------------------------


@often
@given(worlds(), st.integers(-40, 130))
def test_terms_may_be_cut(world: World, days: int) -> None:
    case, random = world.random.choice(world.months), world.random
    plainly = assess(case, with_running=True)
    shares = sum((Fraction(one.fee * one.part, one.whole) for one in plainly.shares), Fraction(0))
    assert shares == Fraction(*plainly.base), "shares add up to the fee"
    one = TermSpan(BEGINNING, END, 1, 10**7, 1, "", None)
    day = date.fromordinal(world.months[0].days[0]) + timedelta(days=days)
    at = midnight(day, case.zone)
    two = (replace(one, end=at, after_day=day.toordinal()), replace(one, start=at, first_day=day.toordinal()))
    assert Fraction(*fee(replace(case, terms=two))[0]) == 1, "shares_partition to 1 exactly"

    split = tuple(part for term in case.terms for part in _split(term, at, day.toordinal()))
    divided = assess(replace(case, terms=split), with_running=True)
    assert _sums(divided) == _sums(plainly), "splitting a term changes nothing"
    empty = TermSpan(at, at, day.toordinal(), day.toordinal(), 5, "Up", None)
    nothing = [empty, replace(empty, fee=3, plan="Down")]
    random.shuffle(nothing)
    flicker = assess(replace(case, terms=(*split, *nothing)), with_running=True)
    assert flicker.digest() == divided.digest(), "upgrade and downgrade at the same instant commute"


def _split(term: TermSpan, at: int, day: int) -> list[TermSpan]:
    if not term.start < at < term.end:
        return [term]
    return [replace(term, end=at, after_day=day), replace(term, start=at, first_day=day)]


@often
@given(worlds(least=1), st.integers(0, 10), st.integers(1, 90))
def test_truncation_is_intersection(world: World, first: int, days: int) -> None:
    """A contract that begins or ends inside an outage: as if the outage had begun and ended with it."""
    random = world.random
    edges = [at for one in world.outages for at in (one.start, one.end, (one.start + one.end) // 2)]
    start = random.choice((*edges, world.months[0].start + first * DAY))
    end = random.choice((start + days * DAY, start + HOUR, start + MINUTE))
    used = random.choice((None, frozenset({1}), frozenset({1, 2})))
    term = TermSpan(start, end, world.middle.days[0], world.middle.days[1], 1_000, "", used)
    world = world.changed(terms=(term,)).with_rules(uptimes=())
    always = replace(term, start=BEGINNING, end=END)
    cut = world.changed(terms=(always,), outages=tuple(_clipped(one, start, end) for one in world.outages))
    for month, clipped in zip(world.months, cut.months, strict=True):
        had, having = assess(month, with_running=True), assess(clipped, with_running=True)
        assert [(a.references, a.lengths, a.points) for a in had.lines] == [
            (a.references, a.lengths, a.points) for a in having.lines
        ], "truncation_is_intersection"


def _clipped(outage: Outage, start: int, end: int) -> Outage:
    def inside(at: int) -> int:
        return max(start, min(end, at))

    return replace(
        outage,
        start=inside(outage.start),
        end=inside(outage.end),
        said=inside(outage.said),
        unsaid=inside(outage.unsaid),
        impacts=tuple(replace(one, start=inside(one.start), end=inside(one.end)) for one in outage.impacts),
    )


@often
@given(worlds())
def test_months_share_out_an_outage(world: World) -> None:
    """What is crossed is credited once: months add up to what one long month comes to."""
    added = world.with_rules(stacking="sum", mix="sum", uptimes=(), cap=10**9)
    months = [assess(month, with_running=True).wanted for month in added.ever()]
    assert sum(months) == assess(added.long(), with_running=True).wanted, "every threshold is booked in one month"


# --- calendars ----------------------------------------------------------------------------------------


@often
@given(st.integers(0, 2**32))
def test_month_partition(seed: int) -> None:
    random = Random(seed)
    if random.randrange(2):
        zone, month = random.choice(TURNS)
    else:
        zone, month = random.choice(zones()), date(random.randrange(1972, 2037), random.randrange(1, 13), 1)
    day = random.choice((1, 1, 2, 11, 15, 28, random.randrange(1, 29)))
    start, end = bounds(month, zone, day)
    assert start < end, "a month is not empty"
    assert end == bounds(following(month), zone, day)[0], "month_partition: months touch"
    for at in (start, end - 1, random.randrange(start, end)):
        assert month_of(at, zone, day) == month, "month_partition: it holds its instants"
    assert month_of(end, zone, day) == following(month)
    assert month_of(start - 1, zone, day) < month
    first = month.replace(day=day)
    assert moment(start).astimezone(ZoneInfo(zone)).date() >= first, "it begins on the day"
    assert moment(start - 1).astimezone(ZoneInfo(zone)).date() < first, "and not later than it could"


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        # Skipped midnights: the day begins when the clocks jump.
        ("Asia/Beirut", date(2022, 3, 27), datetime(2022, 3, 26, 22, tzinfo=UTC)),
        ("America/Sao_Paulo", date(2018, 11, 4), datetime(2018, 11, 4, 3, tzinfo=UTC)),
        ("America/Asuncion", date(2023, 10, 1), datetime(2023, 10, 1, 4, tzinfo=UTC)),
        ("America/Havana", date(2024, 3, 10), datetime(2024, 3, 10, 5, tzinfo=UTC)),
        # Doubled midnights: with the first.
        ("America/Havana", date(2024, 11, 3), datetime(2024, 11, 3, 4, tzinfo=UTC)),
        # A quarter of an hour with a month's beginning in it was skipped.
        ("Asia/Kathmandu", date(1986, 1, 1), datetime(1985, 12, 31, 18, 30, tzinfo=UTC)),
        # A day that never was begins when the next one does.
        ("Pacific/Apia", date(2011, 12, 30), datetime(2011, 12, 30, 10, tzinfo=UTC)),
        ("Pacific/Apia", date(2011, 12, 31), datetime(2011, 12, 30, 10, tzinfo=UTC)),
        # Clocks that jump from before midnight to after it.
        ("America/Scoresbysund", date(2024, 3, 31), datetime(2024, 3, 31, 1, tzinfo=UTC)),
        ("Australia/Lord_Howe", date(2026, 4, 5), datetime(2026, 4, 4, 13, tzinfo=UTC)),
    ],
)
def test_days_begin_at_the_first_moment_of_theirs(zone: str, day: date, begins: datetime) -> None:
    assert midnight(day, zone) == micros(begins)


# --- no float -------------------------------------------------------------------------------------------

ROOM = Path(case_module.__file__).parent
#: What only shows, sends or stores computes nothing.
COMPUTES = ("money", "months", "case", "spans", "felt", "assess", "results", "wording", "facts", "limits",
            "approving", "settling", "book", "correcting", "closing", "reconcile")  # fmt: skip


@pytest.mark.parametrize("name", [name for name in COMPUTES if (ROOM / f"{name}.py").exists()])
def test_no_float_ever_touches_money(name: str) -> None:
    for node in ast.walk(ast.parse((ROOM / f"{name}.py").read_text())):
        where = f"{name}.py:{getattr(node, 'lineno', 0)}"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{where}: a float"
        assert not (isinstance(node, ast.Name) and node.id == "float"), f"{where}: float"
        assert not (isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div)), (
            f"{where}: / divides"
        )
