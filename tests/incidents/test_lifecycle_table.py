"""Every state × every act: it happens and leaves its entries, or it is refused in words and nothing changed (R-201)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.forms.models import model_to_dict

from incidents import lifecycle, runbook
from incidents.enums import OPEN, Cause, State, Verb
from incidents.lifecycle import NotAllowed
from incidents.models import Incident, RunbookStep
from notifications.models import Announcement
from status.enums import Level
from status.models import Impact, NoticeUpdate
from tests import scene
from tests.incidents.desk import fresh
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
NOW = NIGHT + minutes(60)
OVER = (State.RESOLVED, State.CLOSED)
VOID = (State.FALSE_ALARM, State.MERGED)


def down() -> dict[Any, Level]:
    return {scene.component(): Level.MAJOR}


def noted(incident: Incident) -> Any:
    return incident.timeline.get(verb=Verb.NOTED)


def step(kind: str) -> RunbookStep:
    return RunbookStep.objects.filter(kind=kind)[0]


#: Each act as it is said now, the states in which it may be said, and the entries it leaves.
ACTS: dict[str, tuple[Callable[..., object], tuple[State, ...], list[Verb]]] = {
    "acknowledge": (lifecycle.acknowledge, (State.DECLARED,), [Verb.ACKNOWLEDGED]),
    "post_update": (
        lambda incident, **now: lifecycle.post_update(incident, scene.draft(), levels=down(), **now),
        OPEN,
        [Verb.PUBLISHED],
    ),
    "note": (lambda incident, **now: lifecycle.note(incident, "Look.", **now), tuple(State), [Verb.NOTED]),
    "correct_note": (
        lambda incident, **now: lifecycle.correct_note(incident, noted(incident), "See.", **now),
        tuple(State),
        [Verb.CORRECTED],
    ),
    "correct_update": (
        lambda incident, **now: lifecycle.correct_update(
            incident, incident.notice.updates.earliest("seq"), "Better.", **now
        ),
        (*OPEN, *OVER, State.MERGED),
        [Verb.CORRECTED],
    ),
    "check": (
        lambda incident, **now: lifecycle.check(incident, step("check"), done=True, **now),
        tuple(State),
        [Verb.CHECKED],
    ),
    "try_mitigation": (
        lambda incident, **now: lifecycle.try_mitigation(incident, step("mitigation"), worked=None, **now),
        tuple(State),
        [Verb.TRIED],
    ),
    "change_severity": (
        lambda incident, **now: lifecycle.change_severity(incident, scene.severity("P1", 2), reason="So.", **now),
        OPEN,
        [Verb.SEVERITY],
    ),
    "mitigate": (
        lambda incident, **now: lifecycle.mitigate(incident, words="", **now),
        (State.DECLARED, State.ACKNOWLEDGED),
        [Verb.MITIGATED],
    ),
    "verify": (
        lambda incident, **now: lifecycle.verify(incident, words="", **now),
        (State.MITIGATED,),
        [Verb.VERIFIED],
    ),
    "resolve": (lambda incident, **now: lifecycle.resolve(incident, body="Over.", **now), OPEN, [Verb.RESOLVED]),
    "reopen": (
        lambda incident, **now: lifecycle.reopen(incident, scene.draft(), levels=down(), **now),
        OVER,
        [Verb.REOPENED, Verb.PUBLISHED],
    ),
    "close": (lambda incident, **now: lifecycle.close(incident, words="", **now), (State.RESOLVED,), [Verb.CLOSED]),
    "mark_false_alarm": (
        lambda incident, **now: lifecycle.mark_false_alarm(incident, body="Nothing.", **now),
        (*OPEN, State.RESOLVED),
        [Verb.FALSE_ALARM],
    ),
    "judge": (
        lambda incident, **now: lifecycle.judge(incident, cause=Cause.NETWORK, **now),
        (*OPEN, *OVER),
        [Verb.JUDGED],
    ),
    "correct_times": (
        lambda incident, **now: lifecycle.correct_times(incident, started_at=NIGHT - minutes(5), reason="Logs.", **now),
        (*OPEN, *OVER),
        [Verb.TIMES],
    ),
}


def stood(state: State) -> Incident:
    """An incident that got there by the acts, with a note in its timeline."""
    runbook.load()
    scene.severity("P1", 2)
    ann, incident = scene.operator(), scene.incident()
    lifecycle.note(incident, "Look here.", by=ann, at=NIGHT)
    now: dict[str, Any] = {"by": ann, "at": NIGHT + minutes(1)}
    if state == State.ACKNOWLEDGED:
        lifecycle.acknowledge(incident, **now)
    elif state == State.MITIGATED:
        lifecycle.mitigate(incident, words="", **now)
    elif state in OVER:
        lifecycle.resolve(incident, body="Over.", **now)
        if state == State.CLOSED:
            lifecycle.close(incident, words="", **now)
    elif state == State.FALSE_ALARM:
        lifecycle.mark_false_alarm(incident, body="Nothing.", **now)
    elif state == State.MERGED:
        other = scene.incident(title="The same")
        lifecycle.merge(incident, other, body="It goes on there.", **now)
    assert fresh(incident).state == state
    return fresh(incident)


def everything(incident: Incident) -> list[Any]:
    """All that an act may change."""
    return [
        model_to_dict(fresh(incident)),
        sorted(incident.timeline.values_list("pk", flat=True)),
        sorted(Impact.objects.values_list("pk", "level", "source", "began_at", "ended_at", "voided_at")),
        sorted(incident.obligations.values_list("pk", "due_at", "met_at", "dropped_at"), key=lambda row: row[0]),
        NoticeUpdate.objects.count(),
        Announcement.objects.count(),
    ]


@pytest.mark.parametrize(("state", "act"), list(itertools.product(State, ACTS)))
def test_r201_in_every_state_every_act_happens_or_is_refused_in_words(state: State, act: str) -> None:
    incident = stood(state)
    say, allowed, verbs = ACTS[act]
    before, known = everything(incident), set(incident.timeline.values_list("pk", flat=True))
    if state in allowed:
        say(incident, by=scene.operator(), at=NOW)
        left = incident.timeline.exclude(pk__in=known).order_by("id").values_list("verb", flat=True)
        assert [verb for verb in left if verb not in (Verb.ASSIGNED, Verb.WROTE)] == verbs
        assert fresh(incident).version == incident.version + 1
    else:
        with pytest.raises(NotAllowed) as refused:
            say(incident, by=scene.operator(), at=NOW)
        assert incident.reference in str(refused.value)
        assert everything(incident) == before
