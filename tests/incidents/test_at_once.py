"""Several people and sweeps at once: one order, nothing twice, nobody waits for ever (F09, F11, F13)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from incidents import lifecycle, maintenance, reminders
from incidents.enums import State, Verb
from incidents.lifecycle import Ask, Changed, NotAllowed
from incidents.models import Incident, Obligation, TimelineEntry
from status import ledger
from status.enums import Level, Phase
from status.models import NoticeUpdate
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each answered, or the refusal it met; all start together. Fails where one is not back in 20 s."""
    ready, found = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place: int, act: Callable[[], object]) -> None:
        try:
            ready.wait()
            found[place] = act()  # type: ignore[call-overload]  # any answer
        except Exception as error:
            found[place] = error  # type: ignore[call-overload]  # told to the test
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    return list(found)


def test_f09_of_two_who_act_on_one_form_one_is_told_what_the_other_did() -> None:
    incident, ann = scene.incident(), scene.operator()
    seen = Ask(version=incident.version)
    later: dict[str, Any] = {"by": ann, "at": NIGHT + minutes(5), "ask": seen}
    answers = at_once(
        lambda: lifecycle.resolve(incident, body="Over.", **later),
        lambda: lifecycle.post_update(incident, scene.draft(), levels={}, override="So.", **later),
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Changed", "Incident"]
    told = next(answer for answer in answers if isinstance(answer, Changed))
    assert len(told.entries) == 1
    assert Incident.objects.get().version == incident.version + 1


def test_f09_twenty_updates_at_once_have_one_order() -> None:
    incident = scene.incident()
    down = {scene.component(): Level.MAJOR}

    def post(n: int) -> Callable[[], object]:
        draft = scene.draft(f"Update {n}.")
        return lambda: lifecycle.post_update(incident, draft, levels=down, by=None, at=NIGHT + minutes(5))

    answers = at_once(*(post(n) for n in range(20)))
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert list(NoticeUpdate.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, 22))
    assert Incident.objects.get().version == incident.version + 20
    assert Obligation.objects.open().filter(kind="public_update").count() == 1


def test_f13_three_sweeps_beside_acts_tell_each_once() -> None:
    ann = scene.operator(email="ann@northwind.example")
    incidents = [scene.incident(public=False, by=ann) for _ in range(12)]
    late = NIGHT + minutes(20)
    acts = [
        lambda one=one: lifecycle.acknowledge(one, by=ann, at=late)  # type: ignore[misc]  # bound now
        for one in incidents[:4]
    ]
    answers = at_once(*(lambda: reminders.sweep(late) for _ in range(3)), *acts)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    reminders.sweep(late)
    broken = [
        (entry.incident_id, kind)
        for entry in TimelineEntry.objects.filter(verb=Verb.BROKEN)
        for kind in entry.facts["kinds"]
    ]
    assert len(broken) == len(set(broken))
    told = Obligation.objects.filter(broken_at__isnull=False)
    assert sorted(broken) == sorted(told.values_list("incident_id", "kind"))
    assert {pk for pk, _ in broken} >= {one.pk for one in incidents[4:]}
    assert reminders.sweep(late) == 0


def test_r1311_merged_both_ways_at_once_one_goes_on() -> None:
    first, second = scene.incident(), scene.incident(levels={scene.component("E-mail"): Level.PARTIAL})
    later: dict[str, Any] = {"body": "It goes on there.", "by": None, "at": NIGHT + minutes(5)}
    answers = at_once(
        lambda: lifecycle.merge(first, second, **later),
        lambda: lifecycle.merge(second, first, **later),
    )
    assert sorted(isinstance(answer, NotAllowed) for answer in answers) == [False, True]
    states = sorted(Incident.objects.values_list("state", flat=True))
    assert states == [State.DECLARED, State.MERGED]
    assert ledger.levels() == {scene.component().pk: Level.MAJOR, scene.component("E-mail").pk: Level.PARTIAL}


@pytest.mark.parametrize("act", ["begin", "finish"])
def test_f11_a_maintenance_is_begun_and_finished_once(act: str) -> None:
    now: dict[str, Any] = {"by": scene.operator(), "at": NIGHT}
    work = maintenance.schedule(
        title="New disks",
        severity=None,
        brand=scene.brand(),
        components=[scene.component()],
        planned_start_at=NIGHT + minutes(10),
        planned_end_at=NIGHT + minutes(70),
        what_changes="Disks.",
        rollback_plan="Old disks.",
        **now,
    )
    if act == "finish":
        work = maintenance.begin(work, scene.draft(phase=Phase.IN_PROGRESS), **now)
    said = NoticeUpdate.objects.count()
    deed, words = getattr(maintenance, act), scene.draft("Now.")
    later = NIGHT + minutes(20)
    answers = at_once(*(lambda: deed(work, words, by=now["by"], at=later) for _ in range(4)))
    assert sum(isinstance(answer, NotAllowed) for answer in answers) == 3
    assert NoticeUpdate.objects.count() == said + 1
    expected = {scene.component().pk: Level.MAINTENANCE} if act == "begin" else {}
    assert ledger.levels() == expected
