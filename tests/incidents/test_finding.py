"""What was found out decides what else is owed (R-103), and when it really happened is corrected (R-1302)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from incidents import lifecycle
from incidents.admin import chronicle
from incidents.enums import Cause, Condition, DutyKind, Start, State, Unit, Verb
from incidents.lifecycle import Findings, NotAllowed
from incidents.models import Incident
from status import ledger
from status.enums import Level
from tests import scene
from tests.incidents import desk
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db

IF_HIT = {
    "kind": DutyKind.REVIEW_PUBLISHED,
    "amount": 5,
    "unit": Unit.BUSINESS_DAYS,
    "starts_from": Start.RESOLVED,
    "condition": Condition.CUSTOMERS_HIT,
}


def reviews(incident: Incident) -> list[str]:
    return list(incident.obligations.open().filter(kind=DutyKind.REVIEW_PUBLISHED).values_list("kind", flat=True))


def resolved(**changes) -> Incident:
    incident = scene.incident(**changes)
    return lifecycle.resolve(incident, body="Fixed.", by=scene.operator(), at=NIGHT + minutes(60))


# --- findings ----------------------------------------------------------------------


def test_r103_a_post_mortem_is_owed_once_it_is_known_that_customers_were_hit() -> None:
    incident, ann = resolved(severity=scene.severity(duties=[IF_HIT])), scene.operator()
    assert reviews(incident) == []
    incident = lifecycle.judge(incident, cause=Cause.DATABASE, customers_hit=True, by=ann, at=NIGHT + minutes(70))
    assert (incident.cause, incident.customers_hit, incident.is_significant) == (Cause.DATABASE, True, None)
    assert reviews(incident) == [DutyKind.REVIEW_PUBLISHED]
    assert desk.last(incident).facts == {"findings": {"cause": ["", "database"], "customers_hit": [None, True]}}
    assert chronicle.changes(desk.last(incident)) == ["Cause: database", "Customers were hit: yes"]


def test_r205_findings_that_change_say_what_was_found_before() -> None:
    incident, ann = resolved(), scene.operator()
    lifecycle.judge(incident, cause=Cause.DATABASE, customers_hit=True, by=ann, at=NIGHT + minutes(70))
    lifecycle.judge(incident, cause=Cause.DEPLOYMENT, review_asked=True, by=ann, at=NIGHT + minutes(71))
    assert chronicle.changes(desk.last(incident)) == [
        f"Cause: {Cause.DATABASE.label.lower()} → {Cause.DEPLOYMENT.label.lower()}",
        "Customers were hit: yes → not known",
        "A post-mortem is asked for: yes",
    ]


def test_r103_what_is_said_while_resolving_is_owed_at_once() -> None:
    incident = scene.incident(severity=scene.severity(duties=[IF_HIT]))
    found = Findings(cause=Cause.DEPLOYMENT, customers_hit=True)
    incident = lifecycle.resolve(incident, body="Fixed.", by=None, at=NIGHT + minutes(60), findings=found)
    assert reviews(incident) == [DutyKind.REVIEW_PUBLISHED]
    verbs = list(incident.timeline.order_by("id").values_list("verb", flat=True))
    assert verbs == [Verb.DECLARED, Verb.PUBLISHED, Verb.JUDGED, Verb.RESOLVED]


def test_findings_that_say_nothing_new_leave_no_entry() -> None:
    incident = scene.incident()
    incident = lifecycle.resolve(incident, body="Fixed.", by=None, at=NIGHT + minutes(60), findings=Findings())
    assert not incident.timeline.filter(verb=Verb.JUDGED).exists()
    with pytest.raises(NotAllowed, match="noted in INC-2026-0001 already"):
        lifecycle.judge(incident, by=None, at=NIGHT + minutes(61))
    assert desk.fresh(incident).version == incident.version


def test_r103_a_user_asks_for_a_post_mortem_and_the_moment_is_kept() -> None:
    incident = lifecycle.judge(resolved(), review_asked=True, by=None, at=NIGHT + minutes(70))
    incident = lifecycle.judge(incident, review_asked=True, cause=Cause.NETWORK, by=None, at=NIGHT + minutes(80))
    assert incident.review_asked_at == NIGHT + minutes(70)
    incident = lifecycle.judge(incident, cause=Cause.NETWORK, by=None, at=NIGHT + minutes(90))
    assert incident.review_asked_at is None


def test_nothing_is_found_out_about_a_false_alarm() -> None:
    incident = lifecycle.mark_false_alarm(scene.incident(), body="Nothing.", by=None, at=NIGHT + minutes(5))
    with pytest.raises(NotAllowed, match="false alarm; you cannot judge it"):
        lifecycle.judge(incident, cause=Cause.NETWORK, by=None, at=NIGHT + minutes(6))


# --- times -------------------------------------------------------------------------


def test_r1302_the_ledger_and_the_page_follow_a_corrected_beginning_and_end() -> None:
    api, mail = scene.component("API"), scene.component("E-mail")
    incident = scene.incident(levels={api: Level.MAJOR})
    worse = {api: Level.MAJOR, mail: Level.PARTIAL}
    lifecycle.post_update(incident, scene.draft(), levels=worse, by=None, at=NIGHT + minutes(10))
    incident = lifecycle.resolve(incident, body="Fixed.", by=None, at=NIGHT + minutes(60))
    incident = lifecycle.correct_times(
        incident,
        started_at=NIGHT - minutes(20),
        ended_at=NIGHT + minutes(45),
        reason="The logs show it.",
        by=scene.operator(),
        at=NIGHT + minutes(90),
    )
    spans = {row.component.name: (row.began_at, row.ended_at) for row in ledger.Impact.objects.all()}
    assert spans == {
        "API": (NIGHT - minutes(20), NIGHT + minutes(45)),
        # It was added later: its beginning did not stand at the old mark.
        "E-mail": (NIGHT + minutes(10), NIGHT + minutes(45)),
    }
    assert incident.notice is not None
    incident.notice.refresh_from_db()
    assert (incident.notice.started_at, incident.notice.ended_at) == (NIGHT - minutes(20), NIGHT + minutes(45))
    assert incident.notice.resolved_at == NIGHT + minutes(60)


def test_r1302_what_stopped_to_hurt_before_it_was_said_was_mitigated_then() -> None:
    incident = lifecycle.resolve(
        scene.incident(), body="Over.", ended_at=NIGHT + minutes(20), by=None, at=NIGHT + minutes(60)
    )
    assert (incident.mitigated_at, incident.resolved_at) == (NIGHT + minutes(20), NIGHT + minutes(60))
    known = lifecycle.mitigate(scene.incident(), words="", by=None, at=NIGHT + minutes(5))
    known = lifecycle.resolve(known, body="Over.", ended_at=NIGHT + minutes(9), by=None, at=NIGHT + minutes(60))
    assert known.mitigated_at == NIGHT + minutes(5)


def test_r1302_each_correction_keeps_old_and_new_author_and_reason() -> None:
    ann, incident = scene.operator(), scene.incident()
    incident = lifecycle.correct_times(
        incident, started_at=NIGHT - minutes(3), reason=" First error. ", by=ann, at=NIGHT + minutes(5)
    )
    entry = desk.last(incident)
    assert (entry.verb, entry.words, entry.by) == (Verb.TIMES, "First error.", ann)
    assert entry.facts == {"started_at": ["2026-11-20T03:00:00+00:00", "2026-11-20T02:57:00+00:00"]}


def test_r1302_clocks_that_start_with_the_impact_are_planned_anew() -> None:
    late = {"kind": DutyKind.RESOLVE, "amount": 60, "starts_from": Start.IMPACT_STARTED}
    incident = scene.incident(severity=scene.severity(duties=[late]))
    lifecycle.correct_times(incident, started_at=NIGHT - minutes(30), reason="Logs.", by=None, at=NIGHT + minutes(5))
    assert incident.obligations.open().get(kind=DutyKind.RESOLVE).due_at == NIGHT + minutes(30)


def test_r1302_an_impact_that_lies_before_the_corrected_beginning_keeps_no_length() -> None:
    api = scene.component("API")
    incident = scene.incident(started_at=NIGHT - minutes(60), levels={api: Level.DEGRADED})
    lifecycle.post_update(incident, scene.draft(), levels={api: Level.MAJOR}, by=None, at=NIGHT + minutes(5))
    Incident.objects.update(declared_at=NIGHT + minutes(20), detected_at=NIGHT + minutes(20))
    lifecycle.correct_times(incident, started_at=NIGHT + minutes(10), reason="Logs.", by=None, at=NIGHT + minutes(30))
    assert [(row.began_at, row.ended_at) for row in api.impacts.order_by("pk")] == [
        (NIGHT + minutes(5), NIGHT + minutes(5)),
        (NIGHT + minutes(5), None),
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"started_at": NIGHT + minutes(1)}, "It began before it was declared."),
        ({"detected_at": NIGHT + minutes(1)}, "It was noticed by when it was declared."),
        ({"detected_at": NIGHT - minutes(1)}, "It was noticed before it began."),
        ({"mitigated_at": NIGHT - minutes(1)}, "This is before it began"),
        ({"ended_at": NIGHT - minutes(1)}, "This is before it began"),
        ({"ended_at": NIGHT + timedelta(days=1)}, "This lies in the future."),
    ],
)
def test_r1302_moments_out_of_order_are_refused_and_nothing_changes(wrong, words: str) -> None:
    incident = resolved()
    before = desk.fresh(incident).version
    with pytest.raises(NotAllowed) as refused:
        lifecycle.correct_times(incident, **wrong, reason="So.", by=None, at=NIGHT + minutes(90))
    assert words in str(refused.value)
    assert desk.fresh(incident).version == before


def test_r1302_a_correction_says_why_and_changes_something() -> None:
    incident = scene.incident()
    with pytest.raises(NotAllowed, match="Say why"):
        lifecycle.correct_times(incident, started_at=NIGHT - minutes(1), reason=" ", by=None, at=NIGHT)
    with pytest.raises(NotAllowed, match="the times of INC-2026-0001 already"):
        lifecycle.correct_times(incident, started_at=NIGHT, reason="So.", by=None, at=NIGHT)


def test_r1302_a_mark_that_was_never_set_is_not_corrected_into_being() -> None:
    with pytest.raises(NotAllowed):
        lifecycle.correct_times(scene.incident(), ended_at=NIGHT, reason="So.", by=None, at=NIGHT + minutes(1))
    assert Incident.objects.get().state == State.DECLARED
