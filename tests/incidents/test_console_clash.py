"""Two operators and two clicks: nothing is overwritten unseen, nothing happens twice (F09, F11)."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.test import Client

from incidents import lifecycle, runbook
from incidents.admin.deeds.course import COURSE
from incidents.admin.deeds.finding import FINDING
from incidents.admin.deeds.working import WORKING
from incidents.enums import Cause, State, StepKind, Verb
from incidents.models import Incident, RunbookStep
from status.models import NoticeUpdate
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import fresh
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
NOW = NIGHT + minutes(20)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(client: Client) -> Client:
    desk.sit(client, *desk.ALL)
    return client


def test_f09_the_second_operator_sees_what_changed_and_keeps_every_word(ann: Client) -> None:
    incident = scene.incident()
    url = desk.act_on(incident, "update")
    data = desk.opened(ann, url, body="My words.", phase="identified")
    lifecycle.change_severity(
        fresh(incident), scene.severity("P1", 2), reason="Half of it works.", by=scene.operator("bob"), at=NOW
    )
    conflict = ann.post(url, data)

    assert conflict.status_code == 409
    assert [(e.by.username, e.verb, said) for e, said in conflict.context["conflict"]] == [
        ("bob", Verb.SEVERITY, ["P0 → P1", "Policy of P0 v1 → Policy of P1 v1"])
    ]
    assert NoticeUpdate.objects.count() == 1
    again = desk.sent(conflict)
    assert (again["body"], again["phase"], again["version"]) == ("My words.", "identified", "2")
    assert again["token"] == data["token"]
    assert "Publish update anyway" in conflict.content.decode()

    assert ann.post(url, again)["Location"] == desk.screen_of(incident)
    assert NoticeUpdate.objects.latest("seq").body == "My words."


def test_f09_severity_and_resolution_conflict_too(ann: Client) -> None:
    incident = scene.incident()
    level = scene.severity("P2", 3)
    forms = {}
    for slug, typed in (("severity", {"severity": str(level.pk), "reason": "So."}), ("resolve", {"body": "Over."})):
        forms[slug] = desk.opened(ann, desk.act_on(incident, slug), **typed)
    forms["severity"]["seen"] = str(level.pk)
    lifecycle.note(fresh(incident), "Meanwhile.", by=None, at=NOW)
    for slug, data in forms.items():
        assert ann.post(desk.act_on(incident, slug), data).status_code == 409
    assert fresh(incident).state == State.DECLARED


def special(slug: str, incident: Incident) -> dict[str, str]:
    """What an act needs besides words."""
    runbook.load()
    if slug == "severity":
        level = str(scene.severity("P2", 3, duties=[]).pk)
        return {"severity": level, "seen": level}
    if slug in ("check", "try"):
        kind = StepKind.CHECK if slug == "check" else StepKind.MITIGATION
        return {"step": str(RunbookStep.objects.filter(kind=kind).first().pk)}  # type: ignore[union-attr]  # loaded above
    return {
        "findings": {"cause": Cause.NETWORK.value},
        "times": {"started_at": f"{NIGHT - minutes(5):%Y-%m-%d %H:%M}"},
        "quick": {"line": "-5m errors fell"},
        "correct-note": {"entry": str(desk.last(incident).pk)},
    }.get(slug, {})


def prepared(slug: str) -> Incident:
    """An incident on which the act is possible."""
    incident = scene.incident()
    if slug in ("reopen", "close"):
        lifecycle.resolve(incident, body="Over.", by=None, at=NIGHT + minutes(9))
    if slug == "verify":
        lifecycle.mitigate(incident, words="Rolled back.", by=None, at=NIGHT + minutes(9))
    if slug == "correct-note":
        lifecycle.note(incident, "Old words.", by=None, at=NIGHT + minutes(9))
    return fresh(incident)


@pytest.mark.parametrize("slug", [deed.slug for deed in (*COURSE, *FINDING, *WORKING)])
def test_f11_every_act_sent_twice_happens_once_and_answers_the_same(ann: Client, slug: str) -> None:
    incident = prepared(slug)
    url = desk.act_on(incident, slug)
    if slug == "correct":
        url = desk.correct(incident, incident.notice.updates.get().public_id)  # type: ignore[union-attr]
    data = desk.opened(ann, url) | {"body": "Words.", "words": "Words.", "reason": "So."} | special(slug, incident)
    first = ann.post(url, data)
    entries = incident.timeline.count()
    second = ann.post(url, data)
    assert first.headers.get("Location") == desk.screen_of(incident)
    assert second.headers.get("Location") == desk.screen_of(incident)
    assert incident.timeline.count() == entries > 0


def test_what_is_not_possible_any_more_is_said_in_words_and_nothing_is_lost(ann: Client) -> None:
    incident = scene.incident()
    url = desk.act_on(incident, "update")
    data = desk.opened(ann, url, body="My words.")
    lifecycle.resolve(fresh(incident), body="Over.", by=None, at=NOW)
    data["version"] = str(fresh(incident).version)
    refused = ann.post(url, data)
    assert desk.mistakes(refused) == {"__all__": ["INC-2026-0001 is resolved; you cannot post an update."]}
    assert desk.sent(refused)["body"] == "My words."


def test_the_form_of_an_act_out_of_season_leads_back_to_the_screen(ann: Client) -> None:
    incident = scene.incident()
    response = ann.get(desk.act_on(incident, "reopen"), follow=True)
    assert response.redirect_chain == [(desk.screen_of(incident), 302)]
    assert [str(m) for m in response.context["messages"]] == [
        "INC-2026-0001 is declared: “Reopen” is not possible now."
    ]
