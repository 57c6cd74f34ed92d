"""Months are kept up to date: whatever changes, the month comes to the right amount again (R-903)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from incidents import lifecycle, maintenance
from incidents.enums import Tie
from incidents.models import Incident
from postmortems import tasks
from postmortems.credits import assessing, book
from postmortems.credits.arithmetic.case import Case, Outage
from postmortems.credits.assessing import unread
from postmortems.credits.assessing.looking import look
from postmortems.credits.book import excluding, settling
from postmortems.enums import ExclusionKind
from postmortems.models import Assessment, ContractMonth, Credit, OutageFacts, Run, Seen, Touch
from status.enums import Level, Phase
from status.publishing import Draft
from tests import scene
from tests.postmortems import stage
from tests.postmortems.stage import DAY, HOUR, NOON

pytestmark = pytest.mark.django_db
LATER = NOON + 2 * DAY
NOVEMBER = date(2026, 11, 1)


def amounts() -> dict[str, int | None]:
    """What each month comes to, and that nothing is left to assess."""
    assert not ContractMonth.objects.filter(stale_since__isnull=False).exists()
    months = ContractMonth.objects.order_by("month", "contract").select_related("contract")
    return {str(month): month.assessed_minor for month in months}


def swept(days: float = 0) -> dict[str, int | None]:
    assessing.sweep(LATER + days * DAY)
    return amounts()


def test_r903_an_incident_that_is_resolved_becomes_a_proposal() -> None:
    stage.rules()
    stage.contract()
    incident = stage.resolved()
    assert assessing.sweep(LATER) == 1
    month = ContractMonth.objects.get()
    assert (month.month, month.assessed_minor, month.estimate_minor) == (stage.OCTOBER, 10_000, 10_000)
    assert (month.stale_since, month.is_running) == (None, False)
    assert [(one.amount_minor, one.state) for one in Credit.objects.all()] == [(10_000, "proposed")]
    assert [touch.incident for touch in Touch.objects.all()] == [incident]
    # Twice is once.
    assert assessing.sweep(LATER) == 0
    ContractMonth.objects.update(stale_since=LATER)
    assert assessing.sweep(LATER + DAY) == 1
    assert (Assessment.objects.count(), OutageFacts.objects.count(), Credit.objects.count()) == (1, 1, 1)


def test_an_assessment_is_computed_again_from_what_was_kept() -> None:
    stage.rules()
    stage.contract()
    stage.resolved()
    stage.declared(started=NOON + HOUR / 2)
    assessing.sweep(LATER)
    kept = Assessment.objects.get()
    facts = OutageFacts.objects.in_bulk(kept.facts)
    case = Case.of(kept.inputs, tuple(Outage.of(facts[pk].content) for pk in kept.facts))
    again = assessing.Assessor().assess(case)
    assert again.as_json() == {name: value for name, value in kept.content.items() if name != "words"}
    assert kept.digest == assessing.name_of(kept.inputs, kept.facts, kept.content)


# --- every change flows ------------------------------------------------------------------


def longer(incident: Incident) -> None:
    lifecycle.correct_times(
        incident, started_at=NOON - 4 * HOUR, detected_at=NOON - 4 * HOUR, reason="Logs.", by=scene.operator(), at=LATER
    )


def shorter(incident: Incident) -> None:
    lifecycle.correct_times(incident, ended_at=NOON + HOUR, reason="Logs.", by=scene.operator(), at=LATER)


def false(incident: Incident) -> None:
    lifecycle.mark_false_alarm(incident, body="Nothing was wrong.", by=scene.operator(), at=LATER)


def reopened(incident: Incident) -> None:
    lifecycle.reopen(
        incident, scene.draft(), levels={scene.component(): Level.MAJOR}, by=scene.operator(), at=NOON + 3 * HOUR
    )
    stage.resolve(incident, NOON + 7 * HOUR)


def joined(incident: Incident) -> None:
    """One outage with another of 3.5 hours."""
    other = stage.resolved(started=NOON + HOUR, length=3.5 * HOUR)
    assert other.pk != incident.pk


def excluded(incident: Incident) -> None:
    excluding.exclude(
        incident, customer=None, kind=ExclusionKind.FORCE_MAJEURE, starts_at=None, ends_at=None, reason="Flood.",
        by=stage.finance(), at=LATER,
    )  # fmt: skip


def dearer(incident: Incident) -> None:
    contract = ContractMonth.objects.get().contract
    contract.terms.update(fee_minor=200_000)
    assessing.mark_contracts([contract.pk], since=date(2026, 10, 1), at=LATER)


def stricter(incident: Incident) -> None:
    assessing.mark_rules(stage.rules(tiers=[(1, "P0", HOUR, "40")]), at=LATER)


def other_component(incident: Incident) -> None:
    contract = ContractMonth.objects.get().contract
    contract.terms.get().components.set([scene.component("Mail")])
    assessing.mark_contracts([contract.pk], since=None, at=LATER)


CHANGES: list[tuple[Callable[[Incident], None], int]] = [
    (longer, 25_000), (shorter, 0), (false, 0), (reopened, 25_000), (joined, 25_000), (excluded, 0), (dearer, 20_000),
    (stricter, 40_000), (other_component, 0),
]  # fmt: skip


@pytest.mark.parametrize(("change", "amount"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_r903_every_change_of_a_fact_flows(change: Callable[[Incident], None], amount: int) -> None:
    stage.rules()
    stage.contract()
    incident = stage.resolved()
    assert swept() == {"C-1 2026-10": 10_000}
    change(incident)
    assert swept(1) == {"C-1 2026-10": amount}
    # What waited is replaced, never edited.
    waiting = [one.amount_minor for one in Credit.objects.waiting()]
    assert waiting == ([amount] if amount else [])
    assert Credit.objects.filter(state="superseded").count() == 1


@pytest.mark.parametrize(("change", "amount"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_r904_after_approval_raising_is_proposed_and_lowering_asked(
    change: Callable[[Incident], None], amount: int
) -> None:
    stage.rules()
    stage.contract()
    incident = stage.resolved()
    swept()
    book.approve([Credit.objects.get().pk], by=stage.finance(), at=LATER)
    change(incident)
    assert swept(1) == {"C-1 2026-10": amount}
    [waiting] = Credit.objects.waiting()
    assert waiting.amount_minor == amount - 10_000
    assert (waiting.kind, waiting.state) == ("correction", "proposed" if amount > 10_000 else "decision")


def test_r903_severity_merge_and_parts_flow() -> None:
    stage.rules()
    stage.contract()
    ann = scene.operator()
    first = stage.declared("P1")
    second = stage.declared("P1", NOON + DAY)
    swept()
    lifecycle.change_severity(first, stage.level("P0"), reason="All of it.", by=ann, at=NOON + DAY)
    stage.resolve(first, NOON + DAY + 2 * HOUR)
    lifecycle.merge(second, stage.declared("P1", NOON + 26 * HOUR), body="The same.", by=ann, at=NOON + 28 * HOUR)
    stage.resolve(Incident.objects.get(reference="INC-2026-0003"), NOON + 30 * HOUR)
    # Two hours at P0, 30 hours at P1 or worse: one outage, for they overlap.
    assert swept() == {"C-1 2026-10": 10_000}
    third = stage.resolved(started=NOON + 35 * HOUR, length=3 * HOUR)
    assert swept() == {"C-1 2026-10": 20_000}
    lifecycle.link(third, first, Tie.PART, by=ann, at=LATER)
    assert swept(1) == {"C-1 2026-10": 25_000}
    lifecycle.unlink(third, first, by=ann, at=LATER)
    assert swept(2) == {"C-1 2026-10": 20_000}


def test_r503_maintenance_that_is_finished_flows() -> None:
    stage.rules()
    stage.contract()
    work = stage.works(starts=NOON, ends=NOON + 2 * HOUR, told=NOON - 8 * DAY)
    begun = maintenance.begin(work, Draft(Phase.IN_PROGRESS, "Now."), by=scene.operator(), at=NOON, channels=())
    stage.resolved(length=2 * HOUR)
    assert swept() == {"C-1 2026-10": 0}
    done = Draft(Phase.COMPLETED, "Done.")
    maintenance.finish(begun, done, by=scene.operator(), at=LATER, ended_at=NOON + HOUR / 2, channels=())
    assert swept(1) == {"C-1 2026-10": 10_000}


def test_goodwill_flows_the_cap_counts_it() -> None:
    stage.rules(cap_percent=10)
    stage.contract()
    stage.resolved()
    swept()
    month = ContractMonth.objects.get()
    book.give_back([Credit.objects.get().pk], reason="We talk first.", by=stage.finance(), at=LATER)
    book.grant(month, amount_minor=4_000, reason="A good customer.", by=stage.finance(), at=LATER)
    ContractMonth.objects.update(stale_since=LATER)
    assert swept(1) == {"C-1 2026-10": 6_000}


# --- what is marked, and what is not -----------------------------------------------------


def test_words_and_roles_mark_nothing() -> None:
    stage.rules()
    stage.contract()
    incident = stage.declared()
    swept()
    lifecycle.note(incident, words="We look at it.", by=scene.operator(), at=LATER)
    assert look(LATER) == 1
    assert not ContractMonth.objects.filter(stale_since__isnull=False).exists()
    assert look(LATER) == 0


def test_only_months_of_contracts_that_use_what_was_hit_are_made() -> None:
    stage.rules()
    stage.contract("Mail", components=[scene.component("Mail")])
    stage.contract("All", components=[])
    stage.contract("Ended", last_day=date(2026, 10, 5))
    stage.contract("Tokyo", zone="Asia/Tokyo")
    stage.contract("Fifth", billing_day=15)
    stage.resolved()
    stage.resolved("P0", NOON.replace(day=31, hour=14), length=2 * HOUR)
    # 31 October, 14:00 UTC to 16:00 is midnight in Tokyo; billing months of the fifteenth have begun in September.
    assert swept(30) == {
        "Fifth 2026-09": 10_000, "All 2026-10": 20_000, "Tokyo 2026-10": 10_000, "Fifth 2026-10": 10_000,
        "Tokyo 2026-11": 10_000,
    }  # fmt: skip


def test_incidents_that_never_earn_anything_make_no_months_but_join_outages() -> None:
    stage.rules()
    stage.contract()
    stage.resolved("P3")
    assert swept() == {}
    stage.resolved(started=NOON + 2 * HOUR)
    stage.resolved(started=NOON + 4 * HOUR, length=3 * HOUR)
    assert swept() == {"C-1 2026-10": 20_000}
    stage.resolved("P3", started=NOON + 3 * HOUR, length=2 * HOUR)
    # One outage now, of a little more than four hours.
    assert swept() == {"C-1 2026-10": 25_000}


def test_a_contract_that_comes_late_gets_the_months_that_it_has_missed() -> None:
    stage.rules()
    stage.resolved()
    assert swept() == {}
    assessing.mark_contracts([stage.contract().pk], since=date(2020, 1, 1), at=LATER)
    assert swept() == {"C-1 2026-10": 10_000}


def test_a_running_incident_is_estimated_by_the_minute_and_in_the_month_that_begins() -> None:
    stage.rules()
    stage.contract()
    stage.declared(started=NOON.replace(day=31, hour=20))
    at = NOON.replace(day=31, hour=22)
    assessing.sweep(at)
    month = ContractMonth.objects.get()
    assert (month.assessed_minor, month.estimate_minor, month.is_running) == (0, 10_000, True)
    assert assessing.refresh(at + HOUR) == 0
    assert assessing.refresh(at + 3 * HOUR) == 0
    # Booked where the threshold was crossed: the fifth hour lies in November.
    assessing.sweep(at + 3 * HOUR)
    months = ContractMonth.objects.order_by("month").values_list("month", "estimate_minor", "is_running")
    assert list(months) == [(stage.OCTOBER, 10_000, True), (NOVEMBER, 15_000, True)]
    assert Assessment.objects.count() == 2
    # However often it is looked at, nothing more is kept until a fact changes.
    ContractMonth.objects.update(stale_since=at)
    assessing.sweep(at + 4 * HOUR)
    assert (Assessment.objects.count(), OutageFacts.objects.count()) == (2, 1)


# --- how it is done ----------------------------------------------------------------------


def test_many_months_take_the_queries_of_one(django_assert_num_queries: Any) -> None:
    stage.rules()
    stage.contract()
    stage.resolved()
    look(LATER)
    keys = list(ContractMonth.objects.values_list("pk", flat=True))
    with django_assert_num_queries(38):
        assessing.assess_marked(keys, at=LATER)
    for number in range(7):
        stage.contract(f"D-{number}", zone=["UTC", "Asia/Tokyo"][number % 2])
    for number in range(3):
        stage.resolved(started=NOON + (number + 1) * DAY)
    look(LATER)
    assessing.mark_contracts([contract.pk for contract in stage.Contract.objects.all()], since=None, at=LATER)
    keys = list(ContractMonth.objects.filter(assessment=None).values_list("pk", flat=True))
    assert len(keys) == 7
    with django_assert_num_queries(38):
        assessing.assess_marked(keys, at=LATER)


def test_a_sweep_with_nothing_to_do_takes_four_queries(django_assert_num_queries: Any) -> None:
    stage.rules()
    stage.contract()
    stage.resolved()
    assessing.sweep(LATER)
    with django_assert_num_queries(4):
        assessing.sweep(LATER)


def test_a_month_that_cannot_be_assessed_stays_marked_and_keeps_no_other_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage.rules()
    for number in range(5):
        stage.contract(f"C-{number}")
    stage.resolved()
    settle = settling.settle

    def picky(found: Any, *, at: Any) -> Any:
        if any(month.contract.reference == "C-3" for month, _ in found):
            raise ValueError("Not this one.")
        return settle(found, at=at)

    monkeypatch.setattr(settling, "settle", picky)
    assert assessing.sweep(LATER) == 4
    [left] = ContractMonth.objects.filter(stale_since__isnull=False)
    assert (left.contract.reference, left.assessed_minor, Credit.objects.count()) == ("C-3", None, 4)
    assert f"Contract month {left.pk} could not be assessed." in caplog.text
    monkeypatch.undo()
    assert assessing.sweep(LATER) == 1


def test_where_the_database_fails_a_chunk_is_nothing_and_is_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    stage.rules()
    stage.contract()
    stage.resolved()

    def broken(found: Any, *, at: Any) -> Any:
        raise OperationalError("The server went away.")

    monkeypatch.setattr(settling, "settle", broken)
    with pytest.raises(OperationalError):
        assessing.sweep(LATER)
    assert (Assessment.objects.count(), OutageFacts.objects.count(), Touch.objects.count()) == (0, 0, 0)
    monkeypatch.undo()
    assert swept() == {"C-1 2026-10": 10_000}


def test_r903_years_of_incidents_are_noted_at_once_and_what_changes_of_them_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first look at an old installation takes no longer for each of a hundred thousand incidents."""
    monkeypatch.setattr("postmortems.credits.assessing.looking._MOST", 3)
    stage.rules()
    stage.contract("C-1", starts_on=date(2026, 10, 6))
    stage.contract("C-2", components=[scene.component("Reports")])
    stage.contract("C-3", starts_on=date(2026, 10, 1), last_day=date(2026, 10, 5))
    wrong = stage.resolved(length=5 * HOUR)
    for code, days in (("P0", -40), ("P3", 40), ("P0", -2), ("P0", 30)):
        stage.resolved(code, NOON + days * DAY, length=2 * HOUR)
    assert look(LATER + 60 * DAY) == 5
    assert set(Seen.objects.exclude(source="gate").values_list("digest", flat=True)) == {unread.UNREAD}
    assert swept(60) == {"C-1 2026-10": 20_968, "C-3 2026-10": 1_613, "C-1 2026-11": 10_000}
    false(wrong)
    assert swept(60) == {"C-1 2026-10": 0, "C-3 2026-10": 1_613, "C-1 2026-11": 10_000}


def test_who_looks_already_is_not_disturbed() -> None:
    stage.rules()
    stage.contract()
    stage.resolved()
    look(LATER)
    assert Seen.objects.get(source="gate").version == 0
    assert Seen.objects.exclude(source="gate").count() == 1


# --- asked for by a person ---------------------------------------------------------------


def test_r903_a_month_that_a_person_asks_for_shows_its_progress() -> None:
    stage.rules()
    for number in range(3):
        stage.contract(f"C-{number}")
    stage.resolved()
    fin = stage.finance()
    run = assessing.assess_month(stage.OCTOBER, by=fin, at=LATER)
    assert assessing.assess_month(stage.OCTOBER, by=fin, at=LATER) == run
    tasks.work_off_runs()
    run.refresh_from_db()
    assert (run.total, run.done, run.failed, bool(run.finished_at)) == (3, 3, "", True)
    assert {one.asked_by for one in Assessment.objects.all()} == {fin}
    assert set(amounts().values()) == {10_000}
    # Who asked for it does not approve it.
    assert not book.approve([one.pk for one in Credit.objects.all()], by=fin, at=LATER).done


def test_a_run_whose_worker_died_is_taken_up_behind_the_last_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    stage.rules()
    for number in range(5):
        stage.contract(f"C-{number}")
    stage.resolved()
    run = assessing.assess_month(stage.OCTOBER, by=None, at=LATER)
    monkeypatch.setattr(assessing, "CHUNK", 2)
    assert assessing._work_on(run.pk, at=LATER)
    run = Run.objects.get()
    assert (run.total, run.done, run.finished_at) == (5, 2, None)
    assert assessing.asked_for() == [run.pk]
    assessing.work_off(run.pk, at=LATER + timedelta(minutes=1))
    run.refresh_from_db()
    assert (run.done, bool(run.finished_at), Assessment.objects.count()) == (5, True, 5)
    assert assessing.asked_for() == []
