"""Nothing typed is lost: a form is kept while it is written, given back, and gone once it is sent (R-1201)."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.test import Client

from incidents import lifecycle
from incidents.models import Incident, SavedForm
from tests import scene
from tests.incidents import desk
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


def keep_at(incident: Incident, slug: str) -> str:
    return f"{desk.act_on(incident, slug)}kept/"


def begin(client: Client, incident: Incident, slug: str = "update", **typed: Any) -> dict[str, Any]:
    """Open a form, type, and be called away."""
    data = desk.opened(client, desk.act_on(incident, slug), **typed)
    answer = client.post(keep_at(incident, slug), data)
    assert (answer.status_code, answer.json()) == (200, {"kept": True, "at": "03:20"})
    return data


def test_what_was_typed_is_there_when_the_form_is_opened_again(ann: Client) -> None:
    incident = scene.incident()
    typed = begin(ann, incident, body="Half a sent", phase="identified", promise="15")
    page = ann.get(desk.act_on(incident, "update"))
    again = desk.sent(page)
    assert {name: again[name] for name in ("body", "phase", "promise")} == {
        "body": "Half a sent",
        "phase": "identified",
        "promise": "15",
    }
    # Sent twice is sent once: each opening has a token of its own.
    assert again["token"] != typed["token"]
    assert "Restored from" in page.content.decode()
    assert not desk.mistakes(page)


def test_it_is_gone_once_it_is_said(ann: Client) -> None:
    incident = scene.incident()
    begin(ann, incident, body="We found the cause.")
    url = desk.act_on(incident, "update")
    assert ann.post(url, desk.sent(ann.get(url))).status_code == 302
    assert SavedForm.objects.count() == 0
    assert desk.fresh(incident).timeline.last().words == "We found the cause."  # type: ignore[union-attr]  # there is one


def test_a_late_save_of_what_was_sent_keeps_nothing(ann: Client) -> None:
    incident = scene.incident()
    url = desk.act_on(incident, "note")
    data = desk.opened(ann, url, words="Said.")
    ann.post(url, data)
    assert ann.post(keep_at(incident, "note"), data).json()["kept"] is False
    assert SavedForm.objects.count() == 0


def test_f09_words_begun_before_something_changed_are_not_said_unseen(ann: Client) -> None:
    incident = scene.incident()
    begin(ann, incident, body="My words.")
    lifecycle.note(desk.fresh(incident), "Meanwhile.", by=scene.operator("bob"), at=NOW)
    page = ann.get(desk.act_on(incident, "update"))
    assert "has changed since" in page.content.decode()
    assert ann.post(desk.act_on(incident, "update"), desk.sent(page)).status_code == 409


def test_a_declaration_is_kept_too(ann: Client) -> None:
    scene.brand()
    scene.severity()
    api = scene.component()
    data = desk.opened(ann, desk.ADD, title="Checkout fails", body="We are look") | {f"levels-{api.pk}": "major_outage"}
    assert ann.post("/admin/incidents/incident/kept/", data).json()["kept"] is True
    again = desk.sent(ann.get(desk.ADD))
    assert (again["title"], again["body"]) == ("Checkout fails", "We are look")
    assert [(one.label, one.words, one.url) for one in ann.get("/admin/").context["drafts"]] == [
        ("Declare an incident", "Checkout fails", desk.ADD)
    ]
    assert ann.post(desk.ADD, again | {"body": "We are looking into it."}).status_code == 302
    assert SavedForm.objects.count() == 0


def test_nobody_is_shown_what_another_typed(ann: Client) -> None:
    incident = scene.incident()
    begin(ann, incident, "quick", line="Between us.")
    ines = Client()
    desk.sit(ines, *desk.ALL, name="ines")
    assert desk.sent(ines.get(desk.act_on(incident, "quick"))).get("line", "") == ""
    assert "Between us." not in ines.get(desk.screen_of(incident)).content.decode()
    assert ines.get("/admin/").context["drafts"] == []
    assert "Between us." in ann.get(desk.screen_of(incident)).content.decode()


def test_the_dashboard_lists_what_waits_unless_one_may_not_know_of_it_any_more(ann: Client) -> None:
    """R-213."""
    incident = scene.incident(by=scene.operator("bob"))
    begin(ann, incident, body="Half a sent")
    listed = ann.get("/admin/").context["drafts"]
    assert [(one.label, one.words, one.url) for one in listed] == [
        ("Post update", "Half a sent", desk.act_on(incident, "update"))
    ]
    Incident.objects.update(is_restricted=True)
    assert ann.get("/admin/").context["drafts"] == []


def test_it_is_thrown_away_when_asked(ann: Client) -> None:
    incident = scene.incident()
    data = begin(ann, incident, "note", words="Never mind.")
    answer = ann.post(keep_at(incident, "note"), data | {"_discard": "1"})
    assert answer["Location"] == desk.act_on(incident, "note")
    assert SavedForm.objects.count() == 0


def test_f23_the_number_that_is_typed_back_is_typed_each_time(ann: Client) -> None:
    incident = scene.incident()
    begin(ann, incident, recipients="1204")
    kept = SavedForm.objects.get().values
    assert {"recipients", "token", "seen", "csrfmiddlewaretoken"} & set(kept) == set()


def test_bad_input_is_refused_in_words_and_stores_nothing(ann: Client) -> None:
    """F17."""
    incident = scene.incident()
    long = ann.post(keep_at(incident, "note"), {"words": "x" * 300_000})
    assert (long.status_code, long.json()) == (
        413,
        {"why": "This is more than can be kept. Your words are still in the form."},
    )
    assert ann.post(keep_at(incident, "note"), {"words": "a\x00b", "token": "no"}).status_code == 200
    assert SavedForm.objects.get().values == {"words": ["ab"]}
    assert ann.post(keep_at(incident, "nonsense"), {"words": "x"}).status_code == 404
    assert ann.get(keep_at(incident, "note")).status_code == 405


def test_who_may_not_say_it_cannot_begin_to(client: Client) -> None:
    incident = scene.incident()
    desk.sit(client, "view_incident", name="reader")
    assert client.post(keep_at(incident, "update"), {"body": "x"}).status_code == 403
    assert client.post("/admin/incidents/incident/kept/", {"title": "x"}).status_code == 403


def test_a_line_that_was_emptied_again_is_not_waiting_to_be_written(ann: Client) -> None:
    incident = scene.incident()
    begin(ann, incident, "quick", line="called the prov")
    data = desk.opened(ann, desk.act_on(incident, "quick"), line=" ")
    assert ann.post(keep_at(incident, "quick"), data).json()["kept"] is False
    assert not SavedForm.objects.exists()
