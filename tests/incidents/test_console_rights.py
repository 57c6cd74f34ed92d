"""Who may say what at the console, and the ways in which nothing can be said (R-201, S07)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.test import Client

from incidents.admin.deeds import DEEDS
from incidents.enums import State
from incidents.models import Incident
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


def urls_of(incident: Incident) -> dict[str, str]:
    update = NoticeUpdate.objects.filter(notice__reference=incident.reference).first()
    return {
        slug: desk.correct(incident, update.public_id if update else "x")
        if slug == "correct"
        else desk.act_on(incident, slug)
        for slug in DEEDS
    }


def test_a_get_changes_nothing_whatever_its_address(ann: Client) -> None:
    incident = scene.incident()
    before = (fresh(incident).version, incident.timeline.count(), NoticeUpdate.objects.count())
    for url in urls_of(incident).values():
        for query in ("", "?_act=1&body=x&words=x", f"?token={uuid.uuid4()}"):
            ann.get(url + query)
            ann.head(url + query)
    assert (fresh(incident).version, incident.timeline.count(), NoticeUpdate.objects.count()) == before


ROLES: dict[tuple[str, ...], set[str]] = {
    (): set(),
    ("view_incident",): set(),
    ("declare",): set(),
    ("publish",): {
        *("acknowledge", "update", "note", "mitigate", "verify", "correct"),
        *("quick", "check", "try", "correct-note"),
        *("assign", "hand-over", "link", "unlink"),
    },
    ("command",): {
        *("severity", "resolve", "reopen", "close", "false-alarm", "findings", "times"),
        *("restrict", "admit", "lift", "merge", "met", "waive"),
    },
    ("publish", "command"): set(DEEDS),
}


@pytest.mark.parametrize("rights", ROLES)
def test_each_role_may_do_its_acts_and_no_others(client: Client, rights: tuple[str, ...]) -> None:
    desk.sit(client, *rights, name="role")
    incident = scene.incident()
    allowed = {
        slug
        for slug, url in urls_of(incident).items()
        if client.post(url, {}).status_code != 403 and client.get(url).status_code != 403
    }
    assert allowed == ROLES[rights]


@pytest.mark.parametrize("rights", ROLES)
def test_the_screen_offers_each_role_only_its_buttons(client: Client, rights: tuple[str, ...]) -> None:
    desk.sit(client, *rights, name="role")
    incident = scene.incident()
    response = client.get(desk.screen_of(incident))
    if not rights:
        assert response.status_code == 403
        return
    in_season = {
        *("acknowledge", "update", "note", "mitigate", "severity", "resolve", "false-alarm"),
        *("findings", "times", "assign", "hand-over", "restrict", "link", "merge"),
    }
    assert {deed.slug for deed in response.context["deeds"]} == ROLES[rights] & in_season


def test_only_who_may_declare_declares_and_previews(client: Client) -> None:
    for rights, answer in ((("publish", "command"), 403), (("declare",), 200)):
        desk.sit(client, *rights, name="role")
        assert client.get(desk.ADD).status_code == answer
        assert client.post("/admin/incidents/incident/preview/", {}).status_code == answer


def test_a_stranger_is_asked_to_sign_in(client: Client) -> None:
    incident = scene.incident()
    for url in [*urls_of(incident).values(), desk.ADD, desk.screen_of(incident), "/admin/incidents/incident/preview/"]:
        assert client.post(url)["Location"].startswith("/admin/login/?next=")
    assert incident.timeline.count() == 2


@pytest.mark.parametrize("path", ["act/nonsense/", "act/correct/", "act/correct/nosuchupdate/", "act/note/preview/"])
def test_what_is_not_there_is_not_found(ann: Client, path: str) -> None:
    incident = scene.incident()
    url = desk.screen_of(incident).replace("change/", path)
    assert ann.post(url, {"token": str(uuid.uuid4())}).status_code == 404


def test_no_state_can_be_posted_to_the_change_page_or_deleted(client: Client) -> None:
    """R-201: even a superuser has acts, not fields."""
    boss = scene.operator("boss", is_superuser=True)
    client.force_login(boss)
    incident = scene.incident()
    answers: dict[str, Callable[[], Any]] = {
        "change": lambda: client.post(desk.screen_of(incident), {"state": "closed"}),
        "delete": lambda: client.post(desk.screen_of(incident).replace("change", "delete"), {"post": "yes"}),
        "list": lambda: client.post(
            "/admin/incidents/incident/", {"action": "delete_selected", "_selected_action": incident.pk, "post": "yes"}
        ),
        "edit": lambda: client.post(
            "/admin/incidents/incident/",
            {
                "form-TOTAL_FORMS": 1,
                "form-INITIAL_FORMS": 1,
                "form-0-id": incident.pk,
                "form-0-state": "closed",
                "_save": 1,
            },
        ),
    }
    assert {name: answer().status_code for name, answer in answers.items()} == {
        "change": 405,
        "delete": 403,
        "list": 200,
        "edit": 200,
    }
    assert fresh(incident).state == State.DECLARED


def test_a_form_without_the_browsers_token_is_refused() -> None:
    strict = Client(enforce_csrf_checks=True)
    desk.sit(strict, *desk.ALL)
    incident = scene.incident()
    for url in [*urls_of(incident).values(), desk.ADD, "/admin/incidents/incident/preview/"]:
        assert strict.post(url, {}).status_code == 403
