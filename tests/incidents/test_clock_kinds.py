"""Every kind of duty, the conditions of R-103, and what becomes of the book when facts change (R-301, R-109)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents import clock, lifecycle, workhours
from incidents.enums import Condition, DutyKind, MaintenanceState, Start, Tie, Unit
from incidents.forms.severities import owed_review
from incidents.models import Incident, IncidentLink, Maintenance, Obligation, Severity
from incidents.workhours import Calendar
from notifications.enums import Tier
from notifications.models import Contact, Customer
from status.enums import Level, Phase
from tests import scene
from tests.incidents.test_clock import waiting
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
ESCALATE = {"kind": DutyKind.ESCALATE, "amount": 15, "owner_role": "Incident commander"}
UPDATE = {"kind": DutyKind.PUBLIC_UPDATE, "amount": 30, "repeats": True, "starts_from": Start.LAST_UPDATE}
RESOLVE = {"kind": DutyKind.RESOLVE, "amount": 4, "unit": Unit.HOURS}
LETTERS = {"kind": DutyKind.ENTERPRISE_LETTERS, "amount": 15}


def review(condition: Condition = Condition.ALWAYS, days: int | None = 7) -> dict[str, Any]:
    return {
        "kind": DutyKind.REVIEW_PUBLISHED,
        "amount": days,
        "unit": Unit.DAYS,
        "starts_from": Start.RESOLVED,
        "condition": condition,
    }


def level(*duties: dict[str, Any], code: str = "P0", **changes: Any) -> Severity:
    return scene.severity(code, duties=list(duties), **changes)


def resolved(*duties: dict[str, Any], lasted: int = 10) -> Incident:
    incident = scene.incident(severity=level(*duties), public=False)
    return lifecycle.resolve(incident, body="Fixed.", by=scene.operator(), at=NIGHT + minutes(lasted))


def row(incident: Incident, kind: DutyKind) -> Obligation:
    return incident.obligations.filter(kind=kind).latest("pk")


def publish(incident: Incident, after: float, **changes: Any) -> Incident:
    levels = {scene.component(): Level.MAJOR}
    values = {"draft": scene.draft(), "levels": levels, "by": scene.operator(), "at": NIGHT + minutes(after)} | changes
    return lifecycle.post_update(incident, values.pop("draft"), **values)


# --- the conditions of R-103 ---------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "facts"),
    [
        (Condition.SECURITY, {"is_security": True}),
        (Condition.CUSTOMERS_HIT, {"customers_hit": True}),
        (Condition.SIGNIFICANT, {"is_significant": True}),
        (Condition.ON_REQUEST, {"review_asked_at": NIGHT}),
    ],
)
def test_r103_a_review_is_owed_once_its_condition_holds_and_no_longer_than_it_does(
    condition: Condition, facts: dict[str, Any]
) -> None:
    incident = resolved(review(condition))
    assert waiting(incident) == {}
    assert owed_review(incident.severity, incident, NIGHT + minutes(10)) is None
    plain = {name: getattr(incident, name) for name in facts}
    for name, value in facts.items():
        setattr(incident, name, value)
    incident.save()
    clock.open_duties(incident, at=NIGHT + minutes(20))
    assert waiting(incident) == {DutyKind.REVIEW_PUBLISHED: NIGHT + minutes(10) + timedelta(days=7)}
    assert owed_review(incident.severity, incident, NIGHT + minutes(10)) is not None
    for name, value in plain.items():
        setattr(incident, name, value)
    incident.save()
    clock.open_duties(incident, at=NIGHT + minutes(30))
    dropped = incident.obligations.get()
    assert (dropped.dropped_at, dropped.remark) == (NIGHT + minutes(30), "It is owed no more.")


def test_r103_a_repeat_owes_a_review() -> None:
    incident, earlier = resolved(review(Condition.REPEAT)), scene.incident(public=False)
    IncidentLink.objects.create(incident=incident, other=earlier, tie=Tie.RELATED, linked_at=NIGHT)
    clock.open_duties(incident, at=NIGHT + minutes(20))
    assert waiting(incident) == {}
    IncidentLink.objects.update(tie=Tie.REPEAT)
    clock.open_duties(incident, at=NIGHT + minutes(20))
    assert waiting(incident).keys() == {DutyKind.REVIEW_PUBLISHED}


def test_r103_of_several_duties_of_a_kind_the_earliest_moment_counts() -> None:
    incident = resolved(review(days=14), review(Condition.SECURITY, days=7), review(Condition.CUSTOMERS_HIT, days=None))
    ended = NIGHT + minutes(10)
    assert waiting(incident) == {DutyKind.REVIEW_PUBLISHED: ended + timedelta(days=14)}
    incident.is_security = incident.customers_hit = True
    incident.save()
    clock.open_duties(incident, at=NIGHT + minutes(20))
    # The same row, by the stricter duty.
    assert waiting(incident) == {DutyKind.REVIEW_PUBLISHED: ended + timedelta(days=7)}
    assert incident.obligations.count() == 1


def test_e_owes_a_review_without_a_date() -> None:
    incident = resolved(review(days=None))
    found = incident.obligations.open().get()
    assert (found.due_at, found.limit_at, found.kept) == (None, None, None)
    clock.meet(incident, DutyKind.REVIEW_PUBLISHED, by=None, at=NIGHT + timedelta(days=90))
    assert incident.obligations.get().kept is True


def test_r107_who_owes_it_is_frozen_with_it() -> None:
    incident = scene.incident(severity=level(ESCALATE), public=False)
    assert incident.obligations.get().owner_role == "Incident commander"


# --- escalation and letters ------------------------------------------------------------


@pytest.mark.parametrize(("after", "kept"), [(15, True), (16, False)])
def test_r301_who_no_longer_suffers_needs_no_escalation(after: int, kept: bool) -> None:
    incident = scene.incident(severity=level(ESCALATE), public=False)
    lifecycle.mitigate(incident, words="Rolled back.", by=scene.operator(), at=NIGHT + minutes(after))
    assert row(incident, DutyKind.ESCALATE).kept is kept


def test_r301_monitoring_in_public_is_mitigated_too() -> None:
    incident = scene.incident(severity=level(ESCALATE))
    publish(incident, 5, draft=scene.draft("Fixed, we watch.", phase=Phase.MONITORING))
    assert row(incident, DutyKind.ESCALATE).kept is True


def customer() -> None:
    made = Customer.objects.create(name="Contoso", reference="C-1", tier=Tier.ENTERPRISE)
    made.topics.add(scene.component().topic)
    Contact.objects.create(customer=made, name="Eve", email="eve@contoso.example")


def test_r301_letters_to_enterprise_customers_are_met_by_writing_them() -> None:
    customer()
    incident = scene.incident(severity=level(LETTERS, direct_enterprise=True), public=False)
    assert waiting(incident) == {DutyKind.ENTERPRISE_LETTERS: NIGHT + minutes(15)}
    publish(incident, 5, letter="")
    assert waiting(incident) == {DutyKind.ENTERPRISE_LETTERS: NIGHT + minutes(15)}
    publish(incident, 10, letter="We are on it.", channels=["email"])
    found = row(incident, DutyKind.ENTERPRISE_LETTERS)
    assert (found.met_at, found.met_by, found.kept) == (NIGHT + minutes(10), scene.operator(), True)
    # Written once, it is not owed again.
    publish(incident, 20)
    assert waiting(incident) == {}


def test_r301_where_nobody_uses_what_is_hit_the_letters_are_met_by_nobody() -> None:
    incident = scene.incident(severity=level(LETTERS, direct_enterprise=True), public=False)
    publish(incident, 10, letter="We are on it.", channels=["email"])
    found = row(incident, DutyKind.ENTERPRISE_LETTERS)
    assert found.kept is True
    assert found.remark == "Nobody was to write to: no Enterprise customer uses what is affected."


def test_r301_no_letters_are_owed_where_the_level_does_not_say_so() -> None:
    assert waiting(scene.incident(severity=level(LETTERS), public=False)) == {}


# --- promises ------------------------------------------------------------------------


def test_r1301_a_moment_that_is_the_operators_own_promise_says_so() -> None:
    severity = level(UPDATE)
    sooner = scene.incident(severity=severity, draft=scene.draft(next_update_by=NIGHT + minutes(20)))
    later = scene.incident(severity=severity, draft=scene.draft(next_update_by=NIGHT + minutes(50)))
    assert (waiting(sooner), sooner.obligations.open().get().promised) == (
        {DutyKind.PUBLIC_UPDATE: NIGHT + minutes(20)},
        True,
    )
    assert (waiting(later), later.obligations.open().get().promised) == (
        {DutyKind.PUBLIC_UPDATE: NIGHT + minutes(30)},
        False,
    )


# --- waived, and met by hand ---------------------------------------------------------


def test_r301_what_is_waived_stays_waived_and_what_was_broken_stays_broken() -> None:
    ann = scene.operator()
    incident = scene.incident(severity=level(ESCALATE, RESOLVE), public=False)
    incident = lifecycle.waive(
        incident, row(incident, DutyKind.ESCALATE), reason="Everybody is here.", by=ann, at=NIGHT + minutes(5)
    )
    entry = incident.timeline.get(verb="waived")
    assert (entry.words, entry.by, entry.facts) == ("Escalate: Everybody is here.", ann, {"kind": "escalate"})
    lifecycle.note(incident, "On it.", by=ann, at=NIGHT + minutes(6))
    assert waiting(incident).keys() == {DutyKind.RESOLVE}
    found = row(incident, DutyKind.ESCALATE)
    assert (found.waived_by, found.remark, found.kept) == (ann, "Everybody is here.", None)
    late = row(incident, DutyKind.RESOLVE)
    lifecycle.waive(incident, late, reason="We will not.", by=ann, at=NIGHT + minutes(300))
    assert row(incident, DutyKind.RESOLVE).kept is False


def test_r301_a_waiver_says_why_and_only_of_what_is_owed_here() -> None:
    ann = scene.operator()
    incident = scene.incident(severity=level(ESCALATE), public=False)
    other = scene.incident(severity=level(ESCALATE), public=False)
    with pytest.raises(lifecycle.NotAllowed, match="Say why it need not be done"):
        lifecycle.waive(incident, row(incident, DutyKind.ESCALATE), reason=" ", by=ann, at=NIGHT)
    with pytest.raises(lifecycle.NotAllowed, match="Escalate is not owed any more"):
        lifecycle.waive(incident, row(other, DutyKind.ESCALATE), reason="So.", by=ann, at=NIGHT)
    with pytest.raises(lifecycle.NotAllowed, match="Schedule the post-mortem is not owed any more"):
        lifecycle.mark_met(incident, DutyKind.REVIEW_SCHEDULED, words="Done.", by=ann, at=NIGHT)
    assert waiting(other).keys() == {DutyKind.ESCALATE}


def test_r107_what_repeats_is_owed_again_after_the_next_update() -> None:
    ann = scene.operator()
    incident = scene.incident(severity=level(UPDATE))
    lifecycle.waive(incident, row(incident, DutyKind.PUBLIC_UPDATE), reason="Night.", by=ann, at=NIGHT + minutes(5))
    lifecycle.note(incident, "On it.", by=ann, at=NIGHT + minutes(6))
    assert waiting(incident) == {}
    publish(incident, 40)
    assert waiting(incident) == {DutyKind.PUBLIC_UPDATE: NIGHT + minutes(70)}


def test_r301_what_the_house_cannot_see_is_marked_as_done() -> None:
    ann = scene.operator()
    incident = scene.incident(severity=level(ESCALATE), public=False)
    incident = lifecycle.mark_met(
        incident, DutyKind.ESCALATE, words="The VP was called.", by=ann, at=NIGHT + minutes(9)
    )
    found = row(incident, DutyKind.ESCALATE)
    assert (found.met_at, found.met_by, found.kept) == (NIGHT + minutes(9), ann, True)
    assert incident.timeline.get(verb="done").words == "Escalate: done. The VP was called."
    lifecycle.note(incident, "On it.", by=ann, at=NIGHT + minutes(10))
    assert waiting(incident) == {}


def test_r1301_words_are_owed_until_they_are_said() -> None:
    ann = scene.operator()
    incident = scene.incident(public=False)
    with pytest.raises(lifecycle.NotAllowed, match="First public update is met by doing it here"):
        lifecycle.mark_met(incident, DutyKind.FIRST_UPDATE, words="Said.", by=ann, at=NIGHT + minutes(1))
    assert DutyKind.FIRST_UPDATE in waiting(incident)


def test_r109_waived_for_one_severity_is_owed_by_another_that_asks_for_another_moment() -> None:
    ann = scene.operator()
    same, sooner = level(ESCALATE, code="P1"), level(ESCALATE | {"amount": 10}, code="P2")
    incident = scene.incident(severity=level(ESCALATE), public=False)
    lifecycle.waive(incident, row(incident, DutyKind.ESCALATE), reason="So.", by=ann, at=NIGHT + minutes(1))
    incident = lifecycle.change_severity(incident, same, reason="Other words", by=ann, at=NIGHT + minutes(2))
    assert waiting(incident) == {}
    incident = lifecycle.change_severity(incident, sooner, reason="Worse", by=ann, at=NIGHT + minutes(3))
    assert waiting(incident) == {DutyKind.ESCALATE: NIGHT + minutes(10)}


def test_r302_a_change_of_severity_that_moves_nothing_reminds_of_nothing_again() -> None:
    incident = scene.incident(severity=level(ESCALATE, RESOLVE), public=False)
    incident.obligations.update(reminded_at=NIGHT + minutes(12))
    other = level(ESCALATE, RESOLVE | {"amount": 8}, code="P1")
    lifecycle.change_severity(incident, other, reason="Milder", by=scene.operator(), at=NIGHT + minutes(13))
    same, moved = incident.obligations.open().order_by("kind")
    assert (same.kind, same.reminded_at, same.duty.severity) == ("escalate", NIGHT + minutes(12), other)
    assert (moved.kind, moved.reminded_at) == ("resolve", None)


def test_r109_compare_tells_owed_without_a_date_from_not_owed() -> None:
    incident = scene.incident(severity=level({"kind": DutyKind.ESCALATE}), public=False)
    [change] = clock.compare(incident, level(code="P1"), at=NIGHT)
    assert (change.before, change.after, change.was_owed, change.is_owed) == (None, None, True, False)


def test_reopening_begins_a_new_round_of_escalation() -> None:
    ann = scene.operator()
    incident = scene.incident(severity=level(ESCALATE))
    incident = lifecycle.resolve(incident, body="Fixed.", by=ann, at=NIGHT + minutes(5))
    levels = {scene.component(): Level.MAJOR}
    incident = lifecycle.reopen(incident, scene.draft("Back."), levels=levels, by=ann, at=NIGHT + minutes(60))
    assert waiting(incident) == {DutyKind.ESCALATE: NIGHT + minutes(75)}


# --- times that were corrected -----------------------------------------------------------


def test_r1302_corrected_times_move_what_is_open_and_leave_what_is_judged() -> None:
    from_start = RESOLVE | {"starts_from": Start.IMPACT_STARTED}
    respond = {"kind": DutyKind.RESPOND, "amount": 15, "starts_from": Start.IMPACT_STARTED}
    incident = scene.incident(severity=level(from_start, respond), public=False)
    lifecycle.acknowledge(incident, by=scene.operator(), at=NIGHT + minutes(10))
    incident.refresh_from_db()
    incident.obligations.update(reminded_at=NIGHT + minutes(11))
    incident.started_at = NIGHT - timedelta(hours=1)
    incident.save()
    clock.replan_times(incident, at=NIGHT + minutes(20), reason="The logs say so")
    moved = row(incident, DutyKind.RESOLVE)
    assert (moved.due_at, moved.remark, moved.reminded_at) == (NIGHT + timedelta(hours=3), "", None)
    assert row(incident, DutyKind.RESPOND).kept is True
    incident.started_at = NIGHT - timedelta(hours=5)
    incident.save()
    clock.replan_times(incident, at=NIGHT + minutes(30), reason="The logs say so")
    late = row(incident, DutyKind.RESOLVE)
    assert late.remark == "Overdue, because its times were corrected: The logs say so"
    assert incident.obligations.count() == 2


# --- planned work ------------------------------------------------------------------------

PLANNED = [
    {"kind": DutyKind.MAINTENANCE_NOTICE, "amount": 7, "unit": Unit.DAYS, "starts_from": Start.PLANNED_START},
    {"kind": DutyKind.START_UPDATE, "amount": 0, "starts_from": Start.PLANNED_START},
    {"kind": DutyKind.END_UPDATE, "amount": 0, "starts_from": Start.PLANNED_END},
]


def planned(**changes: Any) -> Maintenance:
    values = {
        "reference": "MNT-2026-0001",
        "title": "New disks",
        "severity": level(*PLANNED, code="M"),
        "brand": scene.brand(),
        "planned_start_at": NIGHT + timedelta(days=8),
        "planned_end_at": NIGHT + timedelta(days=8, hours=2),
        "scheduled_at": NIGHT,
    }
    return Maintenance.objects.create(**values | changes)


def work_owes(work: Maintenance) -> dict[str, datetime | None]:
    return {found.kind: found.due_at for found in work.obligations.open()}


def test_r501_a_maintenance_owes_its_notice_and_words_at_both_ends() -> None:
    work = planned()
    for _ in range(2):
        clock.open_maintenance_duties(work, at=NIGHT)
    assert work_owes(work) == {
        DutyKind.MAINTENANCE_NOTICE: NIGHT + timedelta(days=1),
        DutyKind.START_UPDATE: NIGHT + timedelta(days=8),
        DutyKind.END_UPDATE: NIGHT + timedelta(days=8, hours=2),
    }
    clock.meet_maintenance(work, DutyKind.MAINTENANCE_NOTICE, by=scene.operator(), at=NIGHT + minutes(5))
    work.planned_start_at += timedelta(hours=1)
    clock.open_maintenance_duties(work, at=NIGHT + minutes(10))
    assert work_owes(work) == {
        DutyKind.START_UPDATE: NIGHT + timedelta(days=8, hours=1),
        DutyKind.END_UPDATE: NIGHT + timedelta(days=8, hours=2),
    }
    assert work.obligations.get(kind=DutyKind.START_UPDATE, dropped_at__isnull=False).remark == "The window moved."
    work.state = MaintenanceState.CANCELLED
    clock.open_maintenance_duties(work, at=NIGHT + minutes(20))
    assert work_owes(work) == {}


def test_r501_notice_that_comes_too_late_is_late_from_the_start() -> None:
    work = planned(planned_start_at=NIGHT + timedelta(days=2), planned_end_at=NIGHT + timedelta(days=3))
    clock.open_maintenance_duties(work, at=NIGHT)
    clock.meet_maintenance(work, DutyKind.MAINTENANCE_NOTICE, by=None, at=NIGHT + minutes(1))
    notice = work.obligations.get(kind=DutyKind.MAINTENANCE_NOTICE)
    assert (notice.kept, notice.remark) == (False, "It was due before this was planned.")


def test_a_maintenance_that_no_policy_knows_owes_nothing() -> None:
    work = planned(severity=None)
    clock.open_maintenance_duties(work, at=NIGHT)
    assert work_owes(work) == {}


# --- moments -----------------------------------------------------------------------------

BERLIN = Calendar(zone="Europe/Berlin", country="DE")


@pytest.mark.parametrize(
    ("moment", "amount", "unit", "expected"),
    [
        # Sunday 25 October 2026 has 25 hours in Berlin: a day is a day, hours are hours.
        (datetime(2026, 10, 26, 2, 0, tzinfo=UTC), 7, Unit.DAYS, datetime(2026, 10, 19, 1, 0, tzinfo=UTC)),
        (datetime(2026, 10, 26, 2, 0, tzinfo=UTC), 24, Unit.HOURS, datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        (datetime(2026, 10, 26, 2, 0, tzinfo=UTC), 30, Unit.MINUTES, datetime(2026, 10, 26, 1, 30, tzinfo=UTC)),
        # Tuesday 6 January is no holiday in all of Germany; 1 January is one.
        (datetime(2026, 1, 2, 12, 0, tzinfo=UTC), 1, Unit.BUSINESS_DAYS, datetime(2025, 12, 31, 16, 0, tzinfo=UTC)),
        (datetime(2026, 1, 2, 12, 0, tzinfo=UTC), 0, Unit.BUSINESS_DAYS, datetime(2026, 1, 2, 12, 0, tzinfo=UTC)),
    ],
)
def test_r105_notice_is_counted_back(moment: datetime, amount: int, unit: Unit, expected: datetime) -> None:
    assert workhours.before(moment, amount, unit, BERLIN) == expected


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"]
MOMENTS = st.datetimes(
    min_value=datetime(2024, 1, 1),  # noqa: DTZ001 -- hypothesis adds the zone
    max_value=datetime(2028, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(MOMENTS, st.sampled_from(ZONES), st.integers(0, 60), st.sampled_from(list(Unit)))
def test_r105_a_duty_never_falls_due_before_it_arises_nor_notice_after(
    start: datetime, zone: str, amount: int, unit: Unit
) -> None:
    calendar = Calendar(zone=zone)
    due = workhours.due(start, amount, unit, calendar)
    assert due.tzinfo is UTC
    assert due >= start
    assert workhours.before(start, amount, unit, calendar) <= start + timedelta(days=unit == Unit.BUSINESS_DAYS)
    # More time is never due sooner.
    assert workhours.due(start, amount + 1, unit, calendar) >= due


@given(MOMENTS, st.sampled_from(ZONES), st.integers(1, 60))
def test_r105_days_keep_the_time_of_day_where_it_exists(start: datetime, zone: str, amount: int) -> None:
    there = ZoneInfo(zone)
    due = workhours.due(start, amount, Unit.DAYS, Calendar(zone=zone)).astimezone(there)
    begun = start.astimezone(there)
    assert (due.date() - begun.date()).days == amount or due.time() != begun.time()
    shift = abs(due.replace(tzinfo=None) - begun.replace(tzinfo=None) - timedelta(days=amount))
    # Only an hour that the night skipped is another one.
    assert shift <= timedelta(hours=1)
