"""Roles of an incident, and the command from one to the next (R-204)."""

from __future__ import annotations

import pytest

from incidents import lifecycle, raci
from incidents.enums import Role, State, Verb
from incidents.models import Assignment
from tests import scene
from tests.incidents import desk
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db


def roles_of(incident: object) -> list[tuple[str, str, object, object]]:
    rows = Assignment.objects.filter(incident=incident).order_by("pk")
    return [(row.role, row.user.username, row.since, row.until) for row in rows]


def test_r204_every_role_says_what_it_does_and_every_activity_has_one_who_answers_for_it() -> None:
    assert [role for role, _ in raci.roles()] == list(Role)
    assert all(task for _, task in raci.roles())
    for row in raci.rows():
        letters = "".join(row.parts.values())
        assert (row.activity, letters.count("A")) == (row.activity, 1)
        assert (row.activity, "R" in letters) == (row.activity, True)
        assert set(letters) <= set(raci.PARTS)
    assert [raci.does(role) for role in (Role.SCRIBE, Role.SECURITY)] == [
        ["Timeline"],
        ["Security: traces, access, who may know"],
    ]


def test_r204_a_role_goes_from_one_to_the_next_and_the_timeline_says_so() -> None:
    incident, ann, kim = scene.incident(), scene.operator(), scene.operator("kim")
    lifecycle.assign(incident, Role.SCRIBE, kim, by=ann, at=NIGHT + minutes(1))
    lifecycle.take_role(incident, Role.SCRIBE, by=ann, at=NIGHT + minutes(2))
    lifecycle.assign(incident, Role.SCRIBE, None, by=ann, at=NIGHT + minutes(3))
    assert roles_of(incident) == [
        ("scribe", "kim", NIGHT + minutes(1), NIGHT + minutes(2)),
        ("scribe", "ann", NIGHT + minutes(2), NIGHT + minutes(3)),
    ]
    said = incident.timeline.filter(verb=Verb.ASSIGNED).order_by("id").values_list("facts", flat=True)
    assert [facts["people"] for facts in said] == [["", "Kim"], ["Kim", "Ann"], ["Ann", ""]]


def test_the_same_person_twice_is_no_entry_and_keeps_the_beginning() -> None:
    incident, kim = scene.incident(), scene.operator("kim")
    for n in (1, 2):
        lifecycle.assign(incident, Role.TECHNICAL, kim, by=None, at=NIGHT + minutes(n))
    lifecycle.assign(incident, Role.SECURITY, None, by=None, at=NIGHT + minutes(3))
    assert roles_of(incident) == [("technical", "kim", NIGHT + minutes(1), None)]
    assert incident.timeline.filter(verb=Verb.ASSIGNED).count() == 1


def test_who_acknowledges_commands_unless_somebody_does() -> None:
    ann, kim = scene.operator(), scene.operator("kim")
    first, second = scene.incident(), scene.incident()
    lifecycle.acknowledge(first, by=kim, at=NIGHT + minutes(1))
    lifecycle.assign(second, Role.COMMANDER, ann, by=ann, at=NIGHT + minutes(1))
    lifecycle.acknowledge(second, by=kim, at=NIGHT + minutes(2))
    nobody = scene.incident()
    lifecycle.acknowledge(nobody, by=None, at=NIGHT + minutes(2))
    assert [roles_of(one) for one in (first, second, nobody)] == [
        [("commander", "kim", NIGHT + minutes(1), None)],
        [("commander", "ann", NIGHT + minutes(1), None)],
        [],
    ]


def test_r204_the_command_is_handed_over_with_what_the_next_one_must_know() -> None:
    incident, ann, kim = scene.incident(), scene.operator(), scene.operator("kim")
    lifecycle.acknowledge(incident, by=ann, at=NIGHT + minutes(1))
    lifecycle.hand_over(incident, kim, words="The vendor calls back at 4.", by=ann, at=NIGHT + minutes(60))
    entry = desk.last(incident)
    assert (entry.verb, entry.words, entry.facts) == (
        Verb.HANDED_OVER,
        "The vendor calls back at 4.",
        {"from": "Ann", "to": "Kim"},
    )
    assert roles_of(incident) == [
        ("commander", "ann", NIGHT + minutes(1), NIGHT + minutes(60)),
        ("commander", "kim", NIGHT + minutes(60), None),
    ]


@pytest.mark.parametrize(
    ("commander", "words", "why"),
    [
        ("", "So.", "Nobody commands it yet, so there is nothing to hand over. Assign the role instead."),
        ("kim", "So.", "Kim commands it already."),
        ("ann", " ", "Say what the next commander must know."),
    ],
)
def test_what_cannot_be_handed_over(commander: str, words: str, why: str) -> None:
    incident, kim = scene.incident(), scene.operator("kim")
    if commander:
        lifecycle.assign(incident, Role.COMMANDER, scene.operator(commander), by=None, at=NIGHT)
    with pytest.raises(lifecycle.NotAllowed) as refused:
        lifecycle.hand_over(incident, kim, words=words, by=None, at=NIGHT)
    assert str(refused.value) == why


def test_a_false_alarm_needs_nobody_any_more() -> None:
    incident = scene.incident(public=False)
    lifecycle.mark_false_alarm(incident, body="Nothing.", by=None, at=NIGHT)
    assert desk.fresh(incident).state == State.FALSE_ALARM
    with pytest.raises(lifecycle.NotAllowed):
        lifecycle.take_role(incident, Role.SCRIBE, by=scene.operator(), at=NIGHT)
