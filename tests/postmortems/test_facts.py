"""From the two books to cases: what is known of incidents, and what a contract's month reads of it (R-902, R-903)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from incidents import lifecycle, maintenance
from incidents.enums import Tie
from incidents.models import Incident, Maintenance
from postmortems.credits import facts
from postmortems.credits.arithmetic.assess import assess
from postmortems.credits.arithmetic.case import BEGINNING, END, Case, Outage
from postmortems.credits.arithmetic.months import bounds, micros, moment
from postmortems.credits.facts.planned import Told, leads
from postmortems.enums import ExclusionKind
from postmortems.models import Contract, ContractMonth, Exclusion
from status.enums import Level, Phase
from status.publishing import Draft
from tests import scene
from tests.postmortems import stage
from tests.postmortems.stage import DAY, HOUR, NOON, OCTOBER

LATER = NOON + 60 * DAY
db = pytest.mark.django_db


def month_of(contract: Contract, month: date = OCTOBER) -> ContractMonth:
    start, end = bounds(month, contract.zone, contract.billing_day)
    return ContractMonth.objects.create(contract=contract, month=month, starts_at=moment(start), ends_at=moment(end))


def outage(incident: Incident, at: datetime = LATER) -> Outage:
    return facts.known([incident.pk], at=at)[incident.pk]


def case_of(contract: Contract, month: date = OCTOBER, at: datetime = LATER) -> Case:
    [(_, case)] = facts.cases([month_of(contract, month)], at=at)
    return case


def hours(at: int) -> float | None:
    """Hours since noon of the sixth; None: from the beginning, or for ever."""
    return None if at in (BEGINNING, END) else (moment(at) - NOON) / HOUR


def judged(found: Outage) -> list[tuple[float | None, float | None, int, bool]]:
    return [(hours(one.start), hours(one.end), one.rank, one.counts) for one in found.severities]


def held(found: Outage) -> list[tuple[float | None, float | None]]:
    return [(hours(one.start), hours(one.end)) for one in found.impacts]


def planned(found: Outage) -> list[tuple[float | None, float | None, float]]:
    """(from, to, days of notice)."""
    return [(hours(one.start), hours(one.end), timedelta(microseconds=one.lead) / DAY) for one in found.planned]


def words(phase: Phase = Phase.IN_PROGRESS) -> Draft:
    return Draft(phase, "The database moves.")


def begun(work: Maintenance, at: datetime) -> Maintenance:
    return maintenance.begin(work, words(), by=scene.operator(), at=at, channels=())


def finished(work: Maintenance, at: datetime) -> Maintenance:
    return maintenance.finish(work, words(Phase.COMPLETED), by=scene.operator(), at=at, channels=())


# --- incidents ---------------------------------------------------------------------------


@db
def test_r1302_an_outage_has_both_clocks_and_what_it_held_down() -> None:
    incident = stage.declared(started_at=NOON - HOUR)
    running = outage(incident, NOON + HOUR)
    assert (running.reference, running.family, running.running) == (incident.reference, incident.reference, True)
    assert [hours(at) for at in (running.start, running.end, running.said, running.unsaid)] == [-1, 1, 0, 1]
    assert judged(running) == [(None, None, 1, True)]
    assert held(running) == [(-1, 1)]
    stage.resolve(incident, NOON + 2 * HOUR, ended_at=NOON + HOUR)
    over = outage(incident)
    assert [hours(at) for at in (over.start, over.end, over.said, over.unsaid)] == [-1, 1, 0, 2]
    assert (over.running, held(over)) == (False, [(-1, 1)])


@db
def test_r903_what_runs_is_the_same_at_every_look_without_the_moment_of_it() -> None:
    incident = stage.declared()
    first, second = (facts.open_ended(outage(incident, NOON + n * HOUR)) for n in (1, 30))
    assert first == second
    assert (hours(first.end), held(first)) == (None, [(0, None)])


@db
def test_r102_severities_are_those_of_the_version_it_was_judged_by_at_each_time() -> None:
    incident = stage.declared("P2")
    ann = scene.operator()
    lifecycle.change_severity(incident, stage.level("P0"), reason="All of it.", by=ann, at=NOON + HOUR)
    lifecycle.change_severity(incident, stage.level("P1"), reason="Half of it.", by=ann, at=NOON + 3 * HOUR)
    assert judged(outage(incident)) == [(None, 1, 3, False), (1, 3, 1, True), (3, None, 2, True)]


@db
def test_r203_false_alarms_and_merged_incidents_are_no_outages() -> None:
    false, twin, other = stage.declared(), stage.declared("P1"), stage.declared("P2")
    ann = scene.operator()
    lifecycle.mark_false_alarm(false, body="Nothing was wrong.", by=ann, at=NOON + HOUR)
    lifecycle.merge(twin, other, body="The same.", by=ann, at=NOON + HOUR)
    found = facts.known([false.pk, twin.pk, other.pk], at=LATER)
    assert list(found) == [other.pk]


@db
def test_r1311_merging_lowers_nothing_what_was_judged_until_then_stays_judged() -> None:
    grave = stage.declared("P0")
    mild = stage.declared("P2", NOON + HOUR, [scene.component("Mail")])
    lifecycle.merge(grave, mild, body="The same.", by=scene.operator(), at=NOON + 2 * HOUR)
    found = outage(mild, NOON + 3 * HOUR)
    assert judged(found) == [(None, None, 3, False), (0, 2, 1, True)]
    assert (hours(found.start), sorted(held(found))) == (0, [(0, 3), (1, 3)])


@db
def test_r1311_parts_are_one_family_with_the_whole_through_other_parts_too() -> None:
    whole, part, bit, other = (stage.resolved(started=NOON + n * DAY) for n in range(4))
    ann = scene.operator()
    lifecycle.link(part, whole, Tie.PART, by=ann, at=NOON + 5 * DAY)
    lifecycle.link(bit, part, Tie.PART, by=ann, at=NOON + 5 * DAY)
    lifecycle.link(other, whole, Tie.RELATED, by=ann, at=NOON + 5 * DAY)
    found = facts.known([whole.pk, bit.pk, other.pk], at=LATER)
    assert [one.family for one in found.values()] == [whole.reference, whole.reference, other.reference]
    lifecycle.unlink(part, whole, by=ann, at=NOON + 6 * DAY)
    assert outage(bit).family == part.reference


@db
def test_r902_exclusions_are_there_until_they_are_withdrawn_each_customer_reads_their_own() -> None:
    stage.rules()
    mine, others = stage.contract("C-1"), stage.contract("C-2")
    incident = stage.resolved()
    fin = stage.finance()
    common = {"incident": incident, "reason": "Power cut.", "made_at": LATER, "made_by": fin}
    Exclusion.objects.create(kind=ExclusionKind.FORCE_MAJEURE, ends_at=NOON + HOUR, **common)
    Exclusion.objects.create(kind=ExclusionKind.CUSTOMER, customer=mine.customer, **common)
    Exclusion.objects.create(kind=ExclusionKind.OTHER, withdrawn_at=LATER, withdrawn_by=fin, **common)
    rows = [(one.customer, hours(one.start), hours(one.end), one.kind) for one in outage(incident).excluded]
    assert rows == [(0, None, 1, "force_majeure"), (mine.customer_id, None, None, "customer")]
    [[one], [other]] = [case_of(contract).outages for contract in (mine, others)]
    assert [len(found.excluded) for found in (one, other)] == [2, 1]


# --- maintenance -------------------------------------------------------------------------


def announced(days: float, **changes: Any) -> Maintenance:
    """Two hours from noon, told so many days before."""
    return stage.works(starts=NOON, ends=NOON + 2 * HOUR, told=NOON - days * DAY, **changes)


@db
@pytest.mark.parametrize("days", [8, 3])
def test_r503_maintenance_counts_with_the_notice_it_was_announced_with(days: int) -> None:
    finished(begun(announced(days), NOON), NOON + 2 * HOUR)
    incident = stage.resolved(started=NOON + HOUR / 2)
    # Of an incident: while it lasted, and of components that it hit.
    assert planned(outage(incident)) == [(0.5, 0.5 + 61 / 60, days)]
    elsewhere = stage.resolved(started=NOON + HOUR / 2, components=[scene.component("Mail")])
    assert planned(outage(elsewhere)) == []


@db
def test_r503_an_extension_that_was_told_late_has_its_own_notice() -> None:
    work = begun(announced(8), NOON)
    maintenance.extend(work, NOON + 4 * HOUR, words(), by=scene.operator(), at=NOON + HOUR, channels=())
    finished(work, NOON + 4 * HOUR)
    incident = stage.resolved(length=5 * HOUR)
    assert planned(outage(incident)) == [(0, 2, 8), (2, 4, -1 / 24)]


@db
def test_r503_a_window_that_moved_counts_by_what_both_windows_hold() -> None:
    work = announced(8)
    start, end = NOON + HOUR, NOON + 3 * HOUR
    maintenance.reschedule(work, start, end, draft=words(), by=scene.operator(), at=NOON - 2 * DAY, channels=())
    finished(begun(work, start), end)
    incident = stage.resolved(length=5 * HOUR)
    assert planned(outage(incident)) == [(1, 2, 8), (2, 3, 2 + 1 / 24)]


@db
def test_r503_what_begins_early_or_overruns_is_planned_within_its_window_only() -> None:
    finished(begun(announced(8), NOON - HOUR), NOON + 3 * HOUR)
    incident = stage.resolved(started=NOON - 2 * HOUR, length=6 * HOUR)
    assert planned(outage(incident)) == [(0, 2, 8)]


@db
def test_r503_what_was_cancelled_or_never_announced_excludes_nothing() -> None:
    maintenance.cancel(announced(8), body="Not now.", by=scene.operator(), at=NOON - DAY, channels=())
    silent = stage.works(starts=NOON, ends=NOON + 2 * HOUR)
    # Told by its beginning: no notice at all.
    finished(begun(silent, NOON), NOON + 2 * HOUR)
    incident = stage.resolved()
    assert planned(outage(incident)) == [(0, 61 / 60, 0)]


@db
def test_r503_later_edits_of_the_notice_do_not_count() -> None:
    work = finished(begun(announced(3), NOON), NOON + 2 * HOUR)
    Maintenance.objects.filter(pk=work.pk).update(announced_at=NOON - 30 * DAY, planned_start_at=NOON + HOUR)
    assert planned(outage(stage.resolved())) == [(0, 61 / 60, 3)]


def test_where_several_windows_hold_an_instant_the_longest_notice_counts() -> None:
    day = micros(NOON)
    told = [Told(day - 100, day, day + 10), Told(day - 50, day + 2, day + 20), Told(day - 60, day + 4, day + 8)]
    assert leads(told) == [((day + 4, day + 8), 100)]
    assert leads(told[:2]) == [((day + 2, day + 10), 100), ((day + 10, day + 20), 52)]
    assert leads([]) == []


# --- months ------------------------------------------------------------------------------


@db
def test_r902_a_month_reads_terms_rules_and_only_what_it_uses() -> None:
    version = stage.rules()
    mail = scene.component("Mail")
    contract = stage.contract(fee=50_000, last_day=date(2026, 10, 15), zone="Europe/Berlin", billing_day=5)
    stage.term(contract, fee=70_000, components=[], starts_on=date(2026, 10, 16), plan="Pro")
    mine, theirs = stage.resolved(), stage.resolved("P1", NOON + DAY, components=[mail])
    case = case_of(contract)
    assert (case.month, case.customer, case.currency) == ("2026-10", contract.customer_id, "EUR")
    assert (moment(case.start).isoformat(), moment(case.end).isoformat()) == (
        "2026-10-04T22:00:00+00:00", "2026-11-04T23:00:00+00:00",
    )  # fmt: skip
    assert case.days == (date(2026, 10, 5).toordinal(), date(2026, 11, 5).toordinal())
    assert [(term.fee, term.plan, term.components) for term in case.terms] == [
        (50_000, "", frozenset({scene.component().pk})), (70_000, "Pro", None),
    ]  # fmt: skip
    assert case.rules == facts.rules_of(version)
    assert [one.reference for one in case.outages] == [mine.reference, theirs.reference]
    other = case_of(stage.contract("C-2", components=[mail]))
    assert [one.reference for one in other.outages] == [theirs.reference]


@db
def test_r902_every_incident_counts_where_the_rules_say_so_even_without_components() -> None:
    stage.rules(scope="any")
    incident = stage.resolved(draft=None)
    case = case_of(stage.contract())
    assert [one.reference for one in case.outages] == [incident.reference]


@db
def test_r901_own_rules_come_before_the_plans_and_those_before_the_policys() -> None:
    house = stage.rules()
    plan = stage.rules(plan="Pro", applies_from=date(2026, 11, 1))
    own = stage.rules(name="Acme only", own=True)
    contract = stage.contract(plan="Pro")

    def label(month: date) -> str:
        rules = case_of(contract, month).rules
        assert rules
        return rules.label

    # Rules of a plan that begin in November change nothing about October.
    assert [label(OCTOBER), label(date(2026, 11, 1))] == [str(house), str(plan)]
    newer = stage.rules(applies_from=date(2026, 9, 1))
    assert label(date(2026, 8, 1)) == str(house)
    assert label(date(2026, 9, 1)) == str(newer)
    Contract.objects.filter(pk=contract.pk).update(own_rules=own.book)
    contract.refresh_from_db()
    assert label(date(2026, 12, 1)) == str(own)


@db
def test_r903_an_outage_that_reaches_into_the_month_brings_what_makes_one_outage_with_it() -> None:
    stage.rules()
    contract = stage.contract()
    night = datetime(2026, 9, 30, 22, tzinfo=NOON.tzinfo)
    far = stage.resolved(started=night - 10 * DAY)
    first = stage.resolved(started=night - 5 * HOUR, length=4 * HOUR)
    second = stage.resolved(started=night - HOUR, length=4 * HOUR)
    case = case_of(contract)
    assert [one.reference for one in case.outages] == [first.reference, second.reference]
    lifecycle.link(far, second, Tie.PART, by=scene.operator(), at=NOON)
    [(_, case)] = facts.cases(list(contract.months.all()), at=LATER)
    assert [one.reference for one in case.outages] == [far.reference, first.reference, second.reference]


def months_with(contracts: Sequence[Contract]) -> list[ContractMonth]:
    keys = [month_of(contract).pk for contract in contracts]
    return list(ContractMonth.objects.filter(pk__in=keys).order_by("pk"))


@db
def test_cases_of_many_months_and_incidents_take_the_queries_of_one(django_assert_num_queries: Any) -> None:
    stage.rules()
    stage.resolved()
    one = months_with([stage.contract()])
    with django_assert_num_queries(19):
        facts.cases(one, at=LATER)
    for number in range(8):
        stage.resolved(started=NOON + number * DAY)
    many = months_with([stage.contract(f"D-{n}", zone=zone) for n, zone in enumerate(["UTC", "Asia/Tokyo"] * 4)])
    with django_assert_num_queries(19):
        found = facts.cases(many, at=LATER)
    assert {len(case.outages) for _, case in found} == {9}
    # Equal outages are one object, whoever reads them.
    assert len({id(outage) for _, case in found for outage in case.outages}) == 9


@db
def test_r1308_a_dry_run_reads_the_same_with_other_rules() -> None:
    stage.rules()
    stricter = facts.rules_of(stage.rules(plan="Other", tiers=[(1, "P0", HOUR, "50")]))
    contract = stage.contract()
    stage.resolved()
    month = month_of(contract)
    [(_, present)] = facts.cases([month], at=LATER)
    [(_, tried)] = facts.cases([month], at=LATER, rules=stricter)
    assert (assess(present).amount, assess(tried).amount) == (10_000, 50_000)


@db
def test_levels_of_components_are_as_grave_as_the_ledger_says() -> None:
    mail = scene.component("Mail")
    incident = stage.resolved(components={scene.component(): Level.PARTIAL, mail: Level.DEGRADED})
    assert {(one.component, one.gravity) for one in outage(incident).impacts} == {
        (scene.component().pk, 3), (mail.pk, 2),
    }  # fmt: skip
