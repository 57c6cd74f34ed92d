"""R-1308: what would last quarter have cost under that policy?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from postmortems.credits import assessing
from postmortems.credits.arithmetic.months import bounds, moment
from postmortems.credits.rules import dryrun, rulebooks
from postmortems.credits.rules.dryrun import Tally, Whose
from postmortems.models import Assessment, Contract, ContractMonth, Credit, RulesError, RuleVersion, Run
from tests import scene
from tests.postmortems import stage
from tests.postmortems.test_rulebooks import longer

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
OCTOBER, SEPTEMBER = date(2026, 10, 1), date(2026, 9, 1)


def month(contract: Contract, day: date = OCTOBER) -> ContractMonth:
    start, end = bounds(day, contract.zone, contract.billing_day)
    made, _ = ContractMonth.objects.get_or_create(
        contract=contract, month=day, defaults={"starts_at": moment(start), "ends_at": moment(end)}
    )
    return made


def stricter(version: RuleVersion, **fields: Any) -> RuleVersion:
    """A draft of the same book: 50 % after an hour."""
    draft = rulebooks.start_draft(version.book, by=None, at=AT)
    return rulebooks.write(draft, fields=fields, tiers=[longer(1, 1, "50")])


def done(version: RuleVersion, first: date = OCTOBER, last: date = OCTOBER, **asked: Any) -> Run:
    return dryrun.work(dryrun.ask(version, first, last, by=None, at=AT, **asked), at=AT)


def test_a_quarter_under_a_draft() -> None:
    present = stage.rules()
    contract = stage.contract()
    stage.resolved(length=timedelta(minutes=61))
    stage.resolved(started=datetime(2026, 9, 3, tzinfo=UTC), length=timedelta(hours=5))
    for day in (SEPTEMBER, OCTOBER):
        month(contract, day)
    draft = stricter(present)
    run = done(draft, date(2026, 7, 1), OCTOBER)
    assert (run.total, run.done, run.finished_at, run.failed) == (1, 1, AT, "")
    assert list(dryrun.tallies(run)) == [
        (SEPTEMBER, "EUR", Tally(25_000, 50_000, 1, 1, 0)),
        (OCTOBER, "EUR", Tally(10_000, 50_000, 1, 1, 0)),
    ]
    assert dryrun.totals(run) == [("EUR", Tally(35_000, 100_000, 2, 2, 0))]
    first, second = dryrun.largest(run)
    assert (first.reference, first.month, first.difference, second.month) == ("C-1", OCTOBER, 40_000, SEPTEMBER)
    assert "The highest tier it passes is P0 longer than 1 h: 50 %." in first.words


def test_nothing_is_written_but_the_run() -> None:
    present = stage.rules()
    contract = stage.contract()
    stage.resolved()
    kept = month(contract)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        done(stricter(present))
    written = {query["sql"].split()[2 if query["sql"].startswith("INSERT") else 1] for query in asked.captured_queries
               if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))}  # fmt: skip
    assert {table.strip('"') for table in written} <= {
        "postmortems_run", "postmortems_ruleversion", "postmortems_tier", "FROM",
    }  # fmt: skip
    kept.refresh_from_db()
    assert (kept.assessed_minor, Credit.objects.count(), Assessment.objects.count()) == (None, 0, 0)


def test_by_present_rules_it_comes_to_what_is_assessed() -> None:
    present = stage.rules()
    for number in range(3):
        stage.contract(f"C-{number}", fee=10_001 * (number + 1))
    stage.resolved(length=timedelta(hours=5))
    assessing.sweep(AT)
    assessed = sum(ContractMonth.objects.values_list("assessed_minor", flat=True))
    # As if their facts had changed since: they are computed.
    ContractMonth.objects.update(stale_since=AT, assessed_minor=1)
    run = done(present)
    assert dryrun.totals(run) == [("EUR", Tally(assessed, assessed, 3, 0, 0))]
    assert assessed > 0
    assert dryrun.largest(run) == []


def test_months_whose_facts_did_not_change_are_not_assessed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    present = stage.rules()
    month(stage.contract())
    stage.resolved()
    assessing.sweep(AT)
    asked = []
    pure = dryrun.assess
    monkeypatch.setattr(dryrun, "assess", lambda case: asked.append(case.rules.label) or pure(case))
    tried = stricter(present)
    assert dryrun.totals(done(tried)) == [("EUR", Tally(10_000, 50_000, 1, 1, 0))]
    assert asked == [str(tried)]


def test_currencies_stand_beside_each_other() -> None:
    present = stage.rules()
    month(stage.contract("C-1", currency="JPY", fee=10_000))
    month(stage.contract("C-2", currency="EUR", fee=10_000))
    stage.resolved()
    run = done(stricter(present))
    assert dryrun.totals(run) == [("EUR", Tally(1_000, 5_000, 1, 1, 0)), ("JPY", Tally(1_000, 5_000, 1, 1, 0))]
    assert [(line.currency, line.difference) for line in dryrun.largest(run)] == [("EUR", 4_000), ("JPY", 4_000)]


def test_whose_contracts_are_judged_by_the_rules_that_are_tried() -> None:
    house, gold = stage.rules(), stage.rules(plan="Gold", tiers=[(1, "P0", timedelta(hours=1), "20")])
    own = stage.rules(own=True, name="ACME", tiers=[(1, "P0", timedelta(hours=1), "30")])
    plain = [stage.contract("C-1"), stage.contract("C-2", plan="Silver"), stage.contract("C-3", plan="Gold")]
    for contract in (*plain, stage.contract("C-4", plan="Gold", own_rules=own.book)):
        month(contract)
    stage.resolved()

    def changed(version: RuleVersion, whose: str) -> list[str]:
        return [line.reference for line in dryrun.largest(done(stricter(version), whose=whose))]

    assert changed(house, Whose.BOOK) == ["C-1", "C-2"]
    assert changed(gold, Whose.BOOK) == ["C-3"]
    assert changed(own, Whose.BOOK) == ["C-4"]
    assert changed(gold, Whose.ALL) == ["C-1", "C-2", "C-3", "C-4"]


def test_where_every_incident_counts_months_that_none_touched_are_looked_at_too() -> None:
    present = stage.rules()
    stage.contract("C-1", components=[scene.component("Reports")])
    stage.resolved()
    assert dryrun.totals(done(stricter(present))) == []
    assert dryrun.totals(done(stricter(present, scope="any"))) == [("EUR", Tally(0, 50_000, 1, 1, 0))]
    assert ContractMonth.objects.count() == 0


def test_what_runs_still_is_left_out() -> None:
    present = stage.rules()
    month(stage.contract())
    stage.declared()
    assert dryrun.totals(done(stricter(present))) == []


def test_rules_are_tried_as_they_were_when_it_was_asked() -> None:
    present = stage.rules()
    month(stage.contract())
    stage.resolved()
    draft = stricter(present)
    run = dryrun.ask(draft, OCTOBER, OCTOBER, by=None, at=AT)
    rulebooks.discard(draft)
    assert dryrun.totals(dryrun.work(run, at=AT)) == [("EUR", Tally(10_000, 50_000, 1, 1, 0))]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (OCTOBER, SEPTEMBER, "The last month comes before the first."),
        (OCTOBER, date(2026, 12, 1), "December 2026 has not begun"),
        (date(2025, 10, 1), OCTOBER, "12 months at most"),
    ],
)
def test_months_that_cannot_be_looked_at_are_refused(first: date, last: date, words: str) -> None:
    with pytest.raises(RulesError, match=words):
        dryrun.ask(stage.rules(), first, last, by=None, at=AT)
    assert Run.objects.count() == 0


@pytest.mark.parametrize(
    ("today", "quarter"),
    [
        (datetime(2026, 11, 21, tzinfo=UTC), (date(2026, 7, 1), date(2026, 9, 1))),
        (datetime(2026, 1, 1, tzinfo=UTC), (date(2025, 10, 1), date(2025, 12, 1))),
        (datetime(2026, 6, 30, tzinfo=UTC), (date(2026, 1, 1), date(2026, 3, 1))),
    ],
)
def test_the_quarter_before(today: datetime, quarter: tuple[date, date]) -> None:
    assert dryrun.last_quarter(today) == quarter


# --- in steps, by workers that die ------------------------------------------------------------


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Five contracts, two in a step."""
    monkeypatch.setattr(dryrun, "CHUNK", 2)
    present = stage.rules()
    for number in range(5):
        month(stage.contract(f"C-{number}"))
    stage.resolved()
    return dryrun.ask(stricter(present), OCTOBER, OCTOBER, by=None, at=AT)


def test_it_says_how_far_it_is_and_goes_on_where_it_stopped(many: Run) -> None:
    seen = []
    while dryrun.advance(many.pk, at=AT):
        many.refresh_from_db()
        seen.append((many.done, many.total, many.finished_at))
    many.refresh_from_db()
    assert seen == [(0, 5, None), (2, 5, None), (4, 5, None)]
    assert (many.done, many.finished_at) == (5, AT)
    assert dryrun.totals(many) == [("EUR", Tally(50_000, 250_000, 5, 5, 0))]
    assert not dryrun.advance(many.pk, at=AT)


def test_two_workers_count_no_contract_twice(many: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    dryrun.advance(many.pk, at=AT)
    counted = dryrun._counted

    def slow(*args: Any) -> dict[str, Any]:
        """While it counts, another one does the same and is quicker."""
        found = counted(*args)
        monkeypatch.setattr(dryrun, "_counted", counted)
        assert dryrun.advance(many.pk, at=AT)
        return found

    monkeypatch.setattr(dryrun, "_counted", slow)
    assert not dryrun.advance(many.pk, at=AT)
    assert dryrun.totals(dryrun.work(many, at=AT)) == [("EUR", Tally(50_000, 250_000, 5, 5, 0))]


def test_a_run_that_nobody_got_on_with_is_taken_up_and_after_five_times_given_up(many: Run) -> None:
    assert dryrun.stranded(AT) == []
    late = AT + dryrun.SILENCE
    assert dryrun.stranded(late) == [many.pk]
    dryrun.advance(many.pk, at=late)
    dryrun.advance(many.pk, at=late)
    for _ in range(dryrun.TRIES):
        assert dryrun.stranded(late + timedelta(seconds=1)) == []
        late += dryrun.SILENCE
        assert dryrun.stranded(late) == [many.pk]
    late += dryrun.SILENCE
    assert dryrun.stranded(late) == []
    many.refresh_from_db()
    assert (many.failed, many.finished_at) == (
        "It stopped 5 times after 2 of 5 contracts. The log says why.", late,
    )  # fmt: skip


def test_a_step_asks_as_much_whatever_the_number_of_contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    present = stage.rules()
    stage.resolved()
    asked = []
    for number in range(4):
        month(stage.contract(f"C-{number}"))
        if number in (0, 3):
            run = dryrun.ask(present, OCTOBER, OCTOBER, whose=Whose.BOOK, by=None, at=AT)
            dryrun.advance(run.pk, at=AT)
            with CaptureQueriesContext(connection) as queries:
                dryrun.advance(run.pk, at=AT)
            asked.append(len(queries))
    assert asked[0] == asked[1] <= 26


def test_a_glance_at_the_current_month_before_rules_are_put_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    present = stage.rules()
    month(stage.contract())
    stage.resolved()
    draft = stricter(present, cap_percent=Decimal(60))
    assert dryrun.glance(draft, date(2026, 10, 31), at=AT) == [("EUR", Tally(10_000, 50_000, 1, 1, 0))]
    monkeypatch.setattr(dryrun, "GLANCE", 0)
    assert dryrun.glance(draft, OCTOBER, at=AT) is None
