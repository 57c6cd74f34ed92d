"""Two people at the same moment: both are answered, and the books agree afterwards (F09, R-204, R-212, R-213)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict

from incidents import lifecycle
from incidents.admin import presence, saved
from incidents.enums import Role, State, Tie
from incidents.models import Assignment, Incident, IncidentLink, Insider, Presence, SavedForm
from status.enums import Level
from status.models import Impact
from tests import scene
from tests.incidents.desk import fresh
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db(transaction=True)
LATER = NIGHT + minutes(5)


def at_once(*acts: Callable[[], Any], times: int = 1) -> list[str]:
    """What came of each: empty, or the name of what it raised. All set off together."""
    together = threading.Barrier(len(acts) * times, timeout=30)

    def run(act: Callable[[], Any]) -> str:
        together.wait()
        try:
            act()
        except Exception as error:  # named in the answer
            return type(error).__name__
        finally:
            connection.close()
        return ""

    with ThreadPoolExecutor(max_workers=len(acts) * times) as pool:
        return sorted(pool.map(run, acts * times))


@pytest.fixture
def two() -> tuple[Incident, Incident, User]:
    ann = scene.operator()
    one = scene.incident(levels={scene.component("API"): Level.MAJOR})
    other = scene.incident(levels={scene.component("Web"): Level.PARTIAL, scene.component("API"): Level.PARTIAL})
    return one, other, ann


def test_r1311_merging_each_into_the_other_merges_one(two: tuple[Incident, Incident, User]) -> None:
    """No deadlock, no circle."""
    one, other, ann = two
    came = at_once(
        lambda: lifecycle.merge(one, other, body="Goes on there.", by=ann, at=LATER),
        lambda: lifecycle.merge(other, one, body="Goes on there.", by=ann, at=LATER),
    )
    assert came == ["", "NotAllowed"]
    merged = Incident.objects.get(state=State.MERGED)
    kept = Incident.objects.exclude(pk=merged.pk).get()
    assert (merged.merged_into, kept.merged_into, kept.state) == (kept, None, State.DECLARED)
    assert set(Impact.objects.open().values_list("source", flat=True)) == {kept.source}


def test_r1311_a_merge_and_an_update_of_either_do_not_wait_for_each_other(
    two: tuple[Incident, Incident, User],
) -> None:
    one, other, ann = two
    levels = {scene.component("API"): Level.DEGRADED}
    came = at_once(
        lambda: lifecycle.merge(other, one, body="Goes on there.", by=ann, at=LATER),
        lambda: lifecycle.post_update(one, scene.draft("We go on."), levels=levels, by=ann, at=LATER),
        lambda: lifecycle.post_update(other, scene.draft("We go on."), levels=levels, by=ann, at=LATER),
    )
    assert set(came) <= {"", "NotAllowed"}
    assert fresh(other).state == State.MERGED
    assert set(Impact.objects.open().values_list("source", flat=True)) == {one.source}


def test_r212_links_crosswise_stand_once_each(two: tuple[Incident, Incident, User]) -> None:
    one, other, ann = two
    came = at_once(
        lambda: lifecycle.link(one, other, Tie.RELATED, by=ann, at=LATER),
        lambda: lifecycle.link(other, one, Tie.RELATED, by=ann, at=LATER),
        times=3,
    )
    assert came == ["", "", *["NotAllowed"] * 4]
    assert IncidentLink.objects.count() == 2


def test_r204_one_person_has_a_role_however_many_give_it(two: tuple[Incident, Incident, User]) -> None:
    incident, _, ann = two
    people = [scene.operator(name) for name in ("kim", "lee", "max")]
    lifecycle.assign(incident, Role.COMMANDER, ann, by=ann, at=NIGHT)
    acts = [
        lambda who=who: lifecycle.assign(incident, Role.COMMANDER, who, by=ann, at=LATER)  # type: ignore[misc]
        for who in people
    ]
    acts += [lambda: lifecycle.hand_over(incident, people[0], words="All of it.", by=ann, at=LATER)]
    assert set(at_once(*acts)) <= {"", "NotAllowed"}
    assert Assignment.objects.current().filter(incident=incident, role=Role.COMMANDER).count() == 1


def test_r213_somebody_is_let_in_once(two: tuple[Incident, Incident, User]) -> None:
    incident, _, ann = two
    kim = scene.operator("kim")
    lifecycle.restrict(incident, public_title="Limited", people=[], reason="Breach.", by=ann, at=NIGHT)
    came = at_once(lambda: lifecycle.admit(incident, kim, reason="Knows it.", by=ann, at=LATER), times=4)
    assert came == ["", *["NotAllowed"] * 3]
    assert Insider.objects.filter(incident=incident, user=kim).count() == 1


def test_f09_two_windows_of_one_person_keep_one_form_and_one_presence(two: tuple[Incident, Incident, User]) -> None:
    incident, _, ann = two
    typed = QueryDict("words=We+go+on")
    came = at_once(
        lambda: saved.keep(ann, incident, "note", typed, at=LATER),
        lambda: saved.keep(ann, None, saved.DECLARE, typed, at=LATER),
        lambda: presence.arrive(incident, ann, "note", at=LATER),
        times=4,
    )
    assert came == [""] * 12
    assert (SavedForm.objects.count(), Presence.objects.count()) == (2, 1)
