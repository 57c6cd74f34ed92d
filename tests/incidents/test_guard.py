"""The two books must not belie each other: shown, refused, or overridden with a reason (R-1303)."""

from __future__ import annotations

import pytest

from incidents import guard, lifecycle
from incidents.enums import MaintenanceState, State, Verb
from incidents.lifecycle import Contradicted
from incidents.models import Incident, Maintenance
from status import ledger
from status.enums import Level, Phase
from tests import scene
from tests.incidents import desk
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db

GREEN = ["No component is marked, so the page stays green beside a P0 incident."]


def told(at=NIGHT, user=None) -> list[str]:
    return [concern.words for concern in guard.standing(at, user)]


def work(**changes) -> Maintenance:
    values = {
        "reference": "MNT-2026-0001",
        "title": "New disks",
        "brand": scene.brand(),
        "state": MaintenanceState.IN_PROGRESS,
        "planned_start_at": NIGHT,
        "planned_end_at": NIGHT + minutes(60),
        "scheduled_at": NIGHT,
        "began_at": NIGHT,
    }
    return Maintenance.objects.create(**(values | changes))


def test_r1303_resolving_while_another_incident_holds_the_component_down() -> None:
    api = scene.component("API")
    first, second = scene.incident(), scene.incident(levels={api: Level.DEGRADED}, title="Slow answers")
    with pytest.raises(Contradicted) as refused:
        lifecycle.resolve(first, body="Fixed.", by=scene.operator(), at=NIGHT + minutes(5))
    assert refused.value.concerns == [f"API stays at “degraded performance”: {second.reference} holds it down."]
    assert desk.fresh(first).state == State.DECLARED
    assert ledger.held_by(first.source) == {api.pk: Level.MAJOR}


def test_r1303_the_reason_is_kept_with_what_was_overridden() -> None:
    first, ann = scene.incident(), scene.operator()
    scene.incident(title="Another")
    lifecycle.resolve(first, body="Fixed.", by=ann, at=NIGHT + minutes(5), override=" The other one goes on. ")
    entry = first.timeline.get(verb=Verb.OVERRODE)
    assert (entry.words, entry.by) == ("The other one goes on.", ann)
    assert entry.facts == {"concerns": ["API stays at “major outage”: INC-2026-0002 holds it down."]}


def test_r1303_maintenance_and_what_this_incident_never_held_are_no_concern() -> None:
    api, mail = scene.component("API"), scene.component("E-mail")
    incident = scene.incident(levels={api: Level.MAJOR})
    ledger.open_impacts("maintenance:MNT-2026-0001", {api: Level.MAINTENANCE}, began_at=NIGHT, at=NIGHT)
    scene.incident(levels={mail: Level.MAJOR}, title="Mail waits")
    assert guard.before_resolving(incident, NIGHT) == []


def test_r1303_the_gravest_level_in_public_with_no_component_marked() -> None:
    with pytest.raises(Contradicted) as refused:
        scene.incident(levels={})
    assert refused.value.concerns == GREEN
    assert not Incident.objects.exists()

    incident = scene.incident(levels={}, override="Nothing on our page stands for it.")
    assert incident.timeline.get(verb=Verb.OVERRODE).words == "Nothing on our page stands for it."
    assert incident.reference == "INC-2026-0001"


def test_r1303_milder_levels_internal_incidents_and_mitigated_ones_may_leave_the_page_green() -> None:
    scene.incident(levels={}, severity=scene.severity("P1", 2))
    scene.incident(levels={}, public=False)
    scene.incident(levels={}, draft=scene.draft("Watching.", Phase.MONITORING))
    assert told() == []


def test_r1303_an_update_that_lets_go_of_everything_is_refused_while_it_still_hurts() -> None:
    api, incident = scene.component("API"), scene.incident()
    with pytest.raises(Contradicted):
        lifecycle.post_update(incident, scene.draft(), levels={api: Level.OPERATIONAL}, by=None, at=NIGHT + minutes(5))
    assert ledger.levels() == {api.pk: Level.MAJOR}
    watching = scene.draft("A fix is in.", Phase.MONITORING)
    lifecycle.post_update(incident, watching, levels={api: Level.OPERATIONAL}, by=None, at=NIGHT + minutes(6))
    with pytest.raises(Contradicted):
        lifecycle.post_update(incident, scene.draft("It is back."), levels={}, by=None, at=NIGHT + minutes(7))


def test_r1303_judging_it_the_gravest_while_no_component_is_marked() -> None:
    incident = scene.incident(levels={}, severity=scene.severity("P1", 2))
    worst = scene.severity()
    with pytest.raises(Contradicted) as refused:
        lifecycle.change_severity(incident, worst, reason="All are hit.", by=None, at=NIGHT)
    assert refused.value.concerns == GREEN
    lifecycle.change_severity(incident, worst, reason="All are hit.", by=None, at=NIGHT, override="Marked next.")
    assert told() == ["INC-2026-0001 is open at P0, and no component is marked."]


def test_r1303_reopening_the_gravest_with_nothing_marked() -> None:
    incident = lifecycle.resolve(scene.incident(), body="Fixed.", by=None, at=NIGHT + minutes(5))
    with pytest.raises(Contradicted):
        lifecycle.reopen(incident, scene.draft("Back."), levels={}, by=None, at=NIGHT + minutes(6))
    assert desk.fresh(incident).state == State.RESOLVED


def test_r1303_standing_tells_of_a_component_that_no_open_incident_holds_down() -> None:
    api = scene.component("API")
    scene.incident()
    assert told() == []
    ledger.open_impacts("probe:eu", {api: Level.PARTIAL}, began_at=NIGHT, at=NIGHT)
    Incident.objects.update(state=State.RESOLVED)
    assert told() == [
        "API is at “major outage”, and no open incident says why (INC-2026-0001).",
        "API is at “partial outage”, and no open incident says why (probe:eu).",
    ]


def test_r1303_standing_tells_of_a_maintenance_that_is_over_and_still_blue() -> None:
    api, done = scene.component("API"), scene.component("Database")
    planned = work()
    ledger.open_impacts(planned.source, {api: Level.MAINTENANCE}, began_at=NIGHT, at=NIGHT)
    assert told(NIGHT + minutes(59)) == []
    assert told(NIGHT + minutes(60)) == [
        "API is still under maintenance; MNT-2026-0001 is over since 2026-11-20 04:00 UTC."
    ]
    ledger.open_impacts("maintenance:MNT-2026-0009", {done: Level.MAINTENANCE}, began_at=NIGHT, at=NIGHT)
    assert told(NIGHT) == ["Database is still under maintenance; MNT-2026-0009 is over already."]


def test_r213_a_restricted_incident_is_named_to_those_only_who_may_know_of_it() -> None:
    incident = scene.incident(levels={}, override="Not said in public which part it is.")
    Incident.objects.update(is_restricted=True)
    ann, legal = scene.operator("ann"), scene.operator("legal")
    assert (told(), told(user=ann)) == ([], [])
    incident.insiders.create(user=legal, granted_at=NIGHT)
    assert told(user=legal) == ["INC-2026-0001 is open at P0, and no component is marked."]


def test_standing_costs_three_queries_however_many_there_are(django_assert_num_queries) -> None:
    for n in range(5):
        scene.incident(title=f"Trouble {n}", levels={scene.component(f"Part {n}"): Level.MAJOR})
    with django_assert_num_queries(3):
        assert guard.standing(NIGHT) == []
