"""What is owed, and by when (R-107, R-109, R-301's beginnings)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from incidents import clock, lifecycle
from incidents.enums import Condition, DutyKind, Publicity, Start, Unit
from incidents.models import Incident
from status.enums import Level
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db


def waiting(incident: Incident) -> dict[str, datetime]:
    return {row.kind: row.due_at for row in incident.obligations.open()}


def test_moments_are_frozen_when_a_duty_arises() -> None:
    incident = scene.incident(public=False)
    assert waiting(incident) == {
        DutyKind.RESPOND: NIGHT + minutes(15),
        DutyKind.FIRST_UPDATE: NIGHT + minutes(15),
        DutyKind.RESOLVE: NIGHT + timedelta(hours=4),
    }


def test_r107_between_target_and_hard_limit_a_duty_is_due_but_kept() -> None:
    incident, ann = scene.incident(public=False), scene.operator()
    row = incident.obligations.get(kind=DutyKind.FIRST_UPDATE)
    assert (row.due_at, row.limit_at) == (NIGHT + minutes(15), NIGHT + minutes(30))
    down = {scene.component(): Level.MAJOR}
    lifecycle.post_update(incident, scene.draft(), levels=down, by=ann, at=NIGHT + minutes(30))
    row.refresh_from_db()
    assert row.kept is True


def test_r107_a_blank_owes_nothing() -> None:
    incident = scene.incident(severity=scene.severity("P3", 4, duties=[]), public=False)
    assert waiting(incident) == {}


def test_r1301_the_next_update_is_owed_by_the_earlier_of_cadence_and_promise() -> None:
    ann = scene.operator()
    incident = scene.incident(draft=scene.draft(next_update_by=NIGHT + minutes(20)))
    assert waiting(incident)[DutyKind.PUBLIC_UPDATE] == NIGHT + minutes(20)
    draft = scene.draft("More to come.", next_update_by=NIGHT + minutes(90))
    lifecycle.post_update(incident, draft, levels={}, by=ann, at=NIGHT + minutes(10))
    assert waiting(incident)[DutyKind.PUBLIC_UPDATE] == NIGHT + minutes(40)


def test_r107_where_only_the_promise_is_owed_it_is_owed() -> None:
    """D: "the promise in each update" is the only cadence."""
    as_promised = {"kind": DutyKind.PUBLIC_UPDATE, "repeats": True, "starts_from": Start.LAST_UPDATE}
    severity = scene.severity("SEV1", duties=[as_promised])
    promised = scene.incident(severity=severity, draft=scene.draft(next_update_by=NIGHT + minutes(45)))
    assert waiting(promised) == {DutyKind.PUBLIC_UPDATE: NIGHT + minutes(45)}


def test_r107_where_each_update_promises_the_next_one_words_without_a_promise_do_not_go_out() -> None:
    as_promised = {"kind": DutyKind.PUBLIC_UPDATE, "repeats": True, "starts_from": Start.LAST_UPDATE}
    severity = scene.severity("SEV1", duties=[as_promised])
    with pytest.raises(lifecycle.NotAllowed, match="promises when the next one comes"):
        scene.incident(severity=severity)
    assert not Incident.objects.exists()
    inside = scene.incident(severity=severity, public=False)
    with pytest.raises(lifecycle.NotAllowed, match="promises when the next one comes"):
        lifecycle.post_update(inside, scene.draft(), levels={scene.component(): Level.MAJOR}, by=None, at=NIGHT)


def test_an_internal_cadence_runs_from_note_to_note() -> None:
    internal = {"kind": DutyKind.INTERNAL_UPDATE, "amount": 30, "repeats": True, "starts_from": Start.LAST_UPDATE}
    incident = scene.incident(severity=scene.severity(duties=[internal]), public=False)
    assert waiting(incident) == {DutyKind.INTERNAL_UPDATE: NIGHT + minutes(30)}
    lifecycle.note(incident, "Still looking.", by=scene.operator(), at=NIGHT + minutes(25))
    assert waiting(incident) == {DutyKind.INTERNAL_UPDATE: NIGHT + minutes(55)}


def test_nothing_public_is_owed_where_nothing_is_told() -> None:
    incident = scene.incident(severity=scene.severity("SEV4", 4, publicity=Publicity.NEVER), public=False)
    assert waiting(incident).keys() == {DutyKind.RESPOND, DutyKind.RESOLVE}


def test_resolving_ends_what_was_owed_and_begins_the_review() -> None:
    incident = lifecycle.resolve(scene.incident(), body="Fixed.", by=scene.operator(), at=NIGHT + minutes(50))
    # Friday 03:50 plus five business days, by the policy's calendar.
    assert waiting(incident) == {DutyKind.REVIEW_PUBLISHED: datetime(2026, 11, 27, 17, 0, tzinfo=UTC)}
    assert {o.kind: o.kept for o in incident.obligations.filter(met_at__isnull=False)} == {
        DutyKind.RESPOND: False,
        DutyKind.FIRST_UPDATE: True,
        DutyKind.PUBLIC_UPDATE: False,
        DutyKind.RESOLVE: True,
    }


@pytest.mark.parametrize(("lasted", "owed"), [(240, set()), (241, {DutyKind.REVIEW_PUBLISHED})])
def test_r103_longer_than_four_hours_owes_a_review(lasted: int, owed: set[str]) -> None:
    long = {
        "kind": DutyKind.REVIEW_PUBLISHED,
        "amount": 7,
        "unit": Unit.DAYS,
        "starts_from": Start.RESOLVED,
        "condition": Condition.LONG,
    }
    incident = scene.incident(severity=scene.severity(duties=[long]))
    incident = lifecycle.resolve(incident, body="Fixed.", by=scene.operator(), at=NIGHT + minutes(lasted))
    assert waiting(incident).keys() == owed


def test_reopening_takes_the_review_back_and_owes_the_resolution_again() -> None:
    ann = scene.operator()
    incident = lifecycle.resolve(scene.incident(), body="Fixed.", by=ann, at=NIGHT + minutes(10))
    down = {scene.component(): Level.MAJOR}
    incident = lifecycle.reopen(incident, scene.draft("Back."), levels=down, by=ann, at=NIGHT + minutes(20))
    assert waiting(incident) == {
        DutyKind.PUBLIC_UPDATE: NIGHT + minutes(50),
        # "Resolve within" is counted from the reopening.
        DutyKind.RESOLVE: NIGHT + minutes(20) + timedelta(hours=4),
    }


def test_what_was_never_public_owes_its_first_update_anew_when_it_is_reopened() -> None:
    """A night that is over does not break the next one before it began."""
    incident = scene.incident(public=False)
    back = NIGHT + timedelta(days=2)
    lifecycle.resolve(incident, body="Over.", by=None, at=NIGHT + minutes(10))
    lifecycle.reopen(incident, scene.draft(), levels={}, by=None, at=back)
    assert waiting(incident)[DutyKind.FIRST_UPDATE] == back + minutes(15)


def test_r109_a_new_severity_is_compared_before_and_planned_after() -> None:
    ann = scene.operator()
    milder = scene.severity(
        "P1", 2, duties=[{"kind": DutyKind.RESPOND, "amount": 60}, {"kind": DutyKind.RESOLVE, "amount": 480}]
    )
    incident = scene.incident(severity=milder)
    lifecycle.acknowledge(incident, by=ann, at=NIGHT + minutes(5))
    incident.refresh_from_db()

    changes = {c.kind: c for c in clock.compare(incident, scene.severity("P0"), at=NIGHT + minutes(241))}
    assert changes[DutyKind.RESPOND].kept
    assert (changes[DutyKind.RESPOND].before, changes[DutyKind.RESPOND].after) == (None, None)
    resolve = changes[DutyKind.RESOLVE]
    assert (resolve.before, resolve.after) == (NIGHT + minutes(480), NIGHT + minutes(240))
    assert resolve.overdue
    assert changes[DutyKind.PUBLIC_UPDATE].after == NIGHT + minutes(30)

    incident = lifecycle.change_severity(
        incident, scene.severity("P0"), reason="Everybody is hit", by=ann, at=NIGHT + minutes(241)
    )
    assert incident.obligations.get(kind=DutyKind.RESPOND).kept is True
    late = incident.obligations.open().get(kind=DutyKind.RESOLVE)
    assert late.remark == "Overdue from the start, because the severity changed: Everybody is hit"
    dropped = incident.obligations.get(kind=DutyKind.RESOLVE, dropped_at__isnull=False)
    assert dropped.remark == "Severity changed: Everybody is hit"


def test_r102_a_finished_incident_keeps_the_moments_it_was_judged_by() -> None:
    incident = lifecycle.resolve(scene.incident(), body="Fixed.", by=scene.operator(), at=NIGHT + minutes(10))
    before = list(incident.obligations.values_list("kind", "due_at", "limit_at", "met_at"))
    lifecycle.close(incident, words="Done.", by=scene.operator(), at=NIGHT + minutes(60))
    assert list(incident.obligations.values_list("kind", "due_at", "limit_at", "met_at")) == before


def test_a_duty_that_was_broken_before_it_was_dropped_stays_broken() -> None:
    """Lowering the severity or resolving late does not undo that nobody came."""
    incident, ann = scene.incident(public=False), scene.operator()
    milder = scene.severity("P3", 4, duties=[])
    lifecycle.change_severity(incident, milder, reason="Only cosmetic", by=ann, at=NIGHT + minutes(20))
    kept = {o.kind: o.kept for o in incident.obligations.all()}
    # The first update's hard limit is 30 minutes: it could still be kept when it was dropped.
    assert kept == {DutyKind.RESPOND: False, DutyKind.FIRST_UPDATE: None, DutyKind.RESOLVE: None}


def test_r103_how_long_it_lasted_is_told_by_the_impact_not_by_the_words() -> None:
    long = {
        "kind": DutyKind.REVIEW_PUBLISHED,
        "amount": 7,
        "unit": Unit.DAYS,
        "starts_from": Start.RESOLVED,
        "condition": Condition.LONG,
    }
    incident, ann = scene.incident(severity=scene.severity(duties=[long])), scene.operator()
    ended, said = NIGHT + minutes(60), NIGHT + minutes(400)
    assert waiting(lifecycle.resolve(incident, body="Fixed.", ended_at=ended, by=ann, at=said)) == {}


def test_an_internal_cadence_starts_anew_when_it_is_reopened() -> None:
    internal = {"kind": DutyKind.INTERNAL_UPDATE, "amount": 30, "repeats": True, "starts_from": Start.LAST_UPDATE}
    ann, days = scene.operator(), NIGHT + timedelta(days=3)
    incident = scene.incident(severity=scene.severity(duties=[internal]), public=False)
    incident = lifecycle.resolve(incident, body="Fixed.", by=ann, at=NIGHT + minutes(10))
    incident = lifecycle.reopen(incident, scene.draft("Back."), levels={}, by=ann, at=days)
    assert waiting(incident) == {DutyKind.INTERNAL_UPDATE: days + minutes(30)}
