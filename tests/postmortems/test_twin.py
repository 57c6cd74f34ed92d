"""Two ways of computing a month, in Python and in SQL, agree to the minor unit (reliability.md 5.3).

MONTHS_AT_RANDOM (100,000) says how many months are tried; ``make properties`` tries 1,000,000.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from postmortems.credits import assessing, facts
from postmortems.credits.arithmetic import assess as arithmetic
from postmortems.credits.arithmetic import felt, spans
from postmortems.credits.arithmetic.case import Case
from postmortems.credits.arithmetic.months import micros, midnight
from postmortems.credits.checking import lights, recheck, twin
from postmortems.enums import RunKind
from postmortems.models import ContractMonth, RuleVersion, Run
from tests import scene
from tests.postmortems import months_at_random, stage
from tests.postmortems.months_at_random import ZONES, World

MONTHS = int(os.environ.get("MONTHS_AT_RANDOM", "100000"))
AT = stage.NOON + 60 * stage.DAY

pytestmark = pytest.mark.django_db
needs_postgresql = pytest.mark.services
Cases = list[tuple[ContractMonth, Case]]
#: Minor units by contract and month.
Amounts = dict[tuple[int, date], int]


# --- the proof -------------------------------------------------------------------------


@contextmanager
def _world(seed: int, **sizes: int) -> Iterator[World]:
    """A world that is gone afterwards."""
    with transaction.atomic():
        yield months_at_random.world(seed, **sizes)
        transaction.set_rollback(True)


def _by_sql(world: World) -> Amounts:
    return {
        (contract, month): amount
        for month in sorted({one.month for one in world.months})
        for contract, amount in twin.recompute(month, at=world.at).items()
    }


def _by_hand(cases: Cases) -> Amounts:
    assessor = arithmetic.Assessor()
    return {(month.contract_id, month.month): assessor.assess(case).amount for month, case in cases}


@needs_postgresql
def test_both_ways_agree_on_months_at_random() -> None:
    tried = paid = seed = 0
    while tried < MONTHS:
        with _world(seed) as world:
            ours, theirs = _by_hand(facts.cases(world.months, at=world.at)), _by_sql(world)
        differing = {key: (amount, theirs[key]) for key, amount in ours.items() if amount != theirs[key]}
        assert not differing, f"seed {seed}"
        assert ours.keys() == theirs.keys()
        tried += len(ours)
        paid += sum(1 for amount in ours.values() if amount)
        seed += 1
    # Worlds in which nobody gets anything prove nothing.
    assert paid > tried / 5


@needs_postgresql
def test_both_ways_agree_on_rules_that_are_only_tried() -> None:
    with _world(1_000_001, contracts=100) as world:
        for version in RuleVersion.objects.order_by("pk")[:8]:
            month = world.months[0].month
            months = [one for one in world.months if one.month == month]
            ours = _by_hand(facts.cases(months, at=world.at, rules=facts.rules_of(version)))
            theirs = twin.recompute(month, at=world.at, version=version)
            assert {(contract, month): amount for contract, amount in theirs.items()} == ours


#: Ways to get it wrong in SQL: what is written, and what a slip would make of it.
SLIPS_IN_SQL = {
    "a threshold is passed by reaching it": ("l.by_end > t.longer_than", "l.by_end >= t.longer_than"),
    "what touches is apart": (
        "coalesce(lower(span) > max(upper(span)) OVER (",
        "coalesce(lower(span) >= max(upper(span)) OVER (",
    ),
    "an outage over the month's end is paid twice": ("l.earlier > t.longer_than", "false"),
    "parts of one incident are apart": ("WHERE l.tie = 'part'", "WHERE l.tie = 'none'"),
    "the second midnight of a day": (
        "CASE WHEN first AT TIME ZONE zone = day::timestamp THEN first ELSE last END",
        "last",
    ),
    "halves are rounded down": ("div(2 * b.fee * b.points + b.whole, 2 * b.whole)", "div(b.fee * b.points, b.whole)"),
    "maintenance told exactly in time is not": (
        "t.lead >= make_interval(days => n.notice_days)",
        "t.lead > make_interval(days => n.notice_days)",
    ),
    "an extended window counts as told at first": ("min(planned_end_at) OVER later", "max(planned_end_at) OVER later"),
    "what runs is paid": ("WHERE NOT any_runs", ""),
    "goodwill is not counted towards the cap": ("greatest(0, coalesce(g.amount, 0))", "0"),
    "duplicates lose their severity": ("JOIN goes_on g ON g.into_id = o.incident", "JOIN goes_on g ON false"),
    "drafts are in force": ("v.standing = 'in_force'", "true"),
}


@needs_postgresql
def test_slips_in_sql_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = twin._statement()
    assert all(right.count(written) for written, _ in SLIPS_IN_SQL.values())

    def slipped(name: str, world: World, cases: Cases) -> Amounts:
        with monkeypatch.context() as changed:
            changed.setattr(twin, "_statement", lambda: right.replace(*SLIPS_IN_SQL[name], 1))
            return _by_sql(world)

    assert _unseen(SLIPS_IN_SQL, lambda world, cases: _by_hand(cases), slipped) == set()


def _not_rounded_up(numerator: int, denominator: int) -> int:
    return numerator // denominator


def _reached(tiers: Any, lengths: dict[int, int]) -> Any:
    passed = [tier for tier in tiers if lengths[tier.rank] >= tier.threshold]
    return max(passed, key=lambda tier: (tier.points, -tier.rank, -tier.threshold), default=None)


def _whatever_counts(outage: Any, rank: int) -> Any:
    return spans.union((one.start, one.end) for one in outage.severities if one.rank <= rank)


#: And in Python: where, which name, and what stands there instead.
SLIPS_IN_PYTHON: dict[str, tuple[Any, str, Any]] = {
    "halves are rounded down": (arithmetic, "half_up", _not_rounded_up),
    "a threshold is passed by reaching it": (arithmetic, "_best", _reached),
    "every severity earns credits": (felt, "judged", _whatever_counts),
    "parts of one incident are apart": (felt, "_linked", list),
    "nobody's time is excluded": (felt, "_stages", lambda outage, rules, customer, hits, down: (down,)),
    "no uptime": (arithmetic, "_uptime", lambda groups, case, rules: None),
    "all outages are added up": (arithmetic, "_stacked", lambda lines, rules: (lines, sum(x.points for x in lines))),
    "no maintenance": (felt, "_maintained", lambda outage, rules, hits: []),
}


@needs_postgresql
def test_slips_in_python_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def slipped(name: str, world: World, cases: Cases) -> Amounts:
        with monkeypatch.context() as changed:
            changed.setattr(*SLIPS_IN_PYTHON[name])
            return _by_hand(cases)

    assert _unseen(SLIPS_IN_PYTHON, lambda world, cases: _by_sql(world), slipped) == set()


def _unseen(
    slips: dict[str, Any], right: Callable[[World, Cases], Amounts], slipped: Callable[[str, World, Cases], Amounts]
) -> set[str]:
    """Those that not one of the months at random shows: everywhere they come to what is right."""
    left, seed, tried = set(slips), 0, 0
    while left and tried < MONTHS:
        with _world(seed, contracts=150) as world:
            cases = facts.cases(world.months, at=world.at)
            amounts = right(world, cases)
            left = {name for name in left if slipped(name, world, cases) == amounts}
        seed, tried = seed + 1, tried + len(cases)
    return left


@needs_postgresql
def test_days_begin_at_the_same_moment_for_both() -> None:
    """Midnights that are skipped, come twice, or lie beside a change; as Python's calendar has them."""
    statement = twin._statement()
    begin = statement.index("SELECT zone, day,\n           CASE WHEN first")
    asked = statement[begin : statement.index("months AS MATERIALIZED")].rstrip().removesuffix("),")
    days = asked.index("(SELECT zone, first_day AS day FROM asked")
    query = asked[:days] + "(SELECT zone, day FROM unnest(%s::text[], %s::date[]) d (zone, day)) d) l) f"
    pairs = [
        (zone, date(2010, 1, 1) + timedelta(days=n * 5 + shift))
        for zone in sorted(set(ZONES))
        for n in range(1_300)
        for shift in (0, 2)
    ]
    with connection.cursor() as cursor:
        cursor.execute(query, [[zone for zone, _ in pairs], [day for _, day in pairs]])
        found = {(zone, day): at for zone, day, at in cursor.fetchall()}
    assert {key: micros(at) for key, at in found.items()} == {(zone, day): midnight(day, zone) for zone, day in pairs}


# --- its use ---------------------------------------------------------------------------


def _october() -> ContractMonth:
    """Two hours of P0 in October, assessed: 10 % of 1,000.00 EUR."""
    stage.rules()
    stage.contract()
    stage.resolved(length=2 * stage.HOUR)
    assessing.sweep(AT)
    return ContractMonth.objects.get(month=stage.OCTOBER)


def test_sqlite_says_that_there_is_no_second_opinion() -> None:
    assert bool(twin.available()) == (connection.vendor == "postgresql")
    if twin.available():
        return
    with pytest.raises(twin.Unavailable) as refused:
        twin.recompute(stage.OCTOBER, at=AT)
    run = recheck.recheck(stage.OCTOBER, at=AT)
    assert str(refused.value) == run.result["unavailable"]
    assert run.result["unavailable"] == "There is no second opinion on SQLite: it takes PostgreSQL 14 or later."
    assert [(one.level, one.words) for one in lights.standing(AT) if one.title == "Second opinion"] == [
        ("grey", run.result["unavailable"])
    ]


def test_the_second_opinion_is_asked_for_once_a_day() -> None:
    night = AT.replace(hour=0, minute=20)
    first = recheck.nightly(night)
    assert first is not None
    assert first.asked == {"months": ["2026-11", "2026-12"]}
    assert recheck.nightly(night + timedelta(hours=23)) is None
    # Somebody who asks by themselves does not keep the night's away.
    recheck.recheck(stage.OCTOBER, at=night + stage.DAY, by=scene.operator())
    assert recheck.nightly(night + stage.DAY) is not None
    assert Run.objects.filter(kind=RunKind.RECHECK).count() == 3


@needs_postgresql
def test_what_was_assessed_is_confirmed() -> None:
    month = _october()
    assert month.assessed_minor == 10_000
    run = recheck.recheck(stage.OCTOBER, at=AT)
    assert (run.done, run.result) == (1, {"differ": 0, "found": []})
    assert [one.level for one in lights.standing(AT) if one.title == "Second opinion"] == ["green"]


@needs_postgresql
def test_an_amount_that_nobody_can_explain_turns_the_light_red() -> None:
    month = _october()
    ContractMonth.objects.filter(pk=month.pk).update(assessed_minor=12_345)
    said = "C-1 2026-10: assessed 123.45 EUR, the second opinion says 100.00 EUR."
    assert [str(one) for one in recheck.differences(stage.OCTOBER, at=AT)] == [said]
    run = recheck.recheck(stage.OCTOBER, at=AT)
    assert run.result == {"differ": 1, "found": [said]}
    assert [(one.level, one.found) for one in lights.standing(AT) if one.title == "Second opinion"] == [
        ("red", (said,))
    ]


@needs_postgresql
def test_a_customer_who_was_forgotten_is_found() -> None:
    """No row, or a row that was never marked: the second way looks at every contract."""
    month = _october()
    ContractMonth.objects.filter(pk=month.pk).update(assessed_minor=None)
    assert [(one.ours, one.theirs) for one in recheck.differences(stage.OCTOBER, at=AT)] == [(0, 10_000)]


@needs_postgresql
def test_what_is_out_of_date_is_left_to_the_worker() -> None:
    month = _october()
    ContractMonth.objects.filter(pk=month.pk).update(assessed_minor=12_345, stale_since=AT)
    assert recheck.compare(stage.OCTOBER, at=AT) == recheck.Compared(0, [])
    # Asked for by a run, it is assessed first.
    assert recheck.recheck(stage.OCTOBER, at=AT).result == {"differ": 0, "found": []}


@needs_postgresql
def test_what_changed_a_moment_ago_is_no_difference() -> None:
    _october()
    stage.resolved(started=stage.NOON + 3 * stage.DAY, length=2 * stage.HOUR)
    run = recheck.recheck(stage.OCTOBER, at=AT)
    assert run.result == {"differ": 0, "found": []}
    assert ContractMonth.objects.get(month=stage.OCTOBER).assessed_minor == 20_000


@needs_postgresql
@pytest.mark.parametrize("number", [2, 30])
def test_the_number_of_queries_does_not_grow(number: int, django_assert_num_queries: Any) -> None:
    _october()
    for extra in range(number):
        stage.contract(f"X-{extra}")
    found = replace(recheck.compare(stage.OCTOBER, at=AT), count=0)
    assert [one.theirs for one in found.differences] == [10_000] * number
    with django_assert_num_queries(14):
        recheck.compare(stage.OCTOBER, at=AT)
