"""Two people at one incident: each sees the other, and their pages stay true by themselves (F09, R-1201)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from incidents import lifecycle
from incidents.models import Incident, Presence, TimelineEntry
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


@pytest.fixture
def ines() -> Client:
    client = Client()
    desk.sit(client, *desk.ALL, name="ines")
    return client


def beat(client: Client, incident: Incident, act: str = "") -> Any:
    answer = client.post(f"/admin/incidents/incident/{incident.pk}/pulse/", {"act": act})
    assert answer.status_code == 200
    return answer.json()


def test_f09_each_sees_what_the_other_is_doing(ann: Client, ines: Client) -> None:
    incident = scene.incident()
    assert beat(ann, incident)["others"] == []
    assert beat(ines, incident, "update")["others"] == [{"who": "Ann", "does": "is looking", "act": ""}]
    assert beat(ann, incident)["others"] == [{"who": "Ines", "does": "is writing an update", "act": "update"}]
    assert ann.get(desk.screen_of(incident)).context["others"] == [
        {"who": "Ines", "does": "is writing an update", "act": "update"}
    ]
    assert Presence.objects.count() == 2


def test_f09_who_says_nothing_for_half_a_minute_is_gone_and_then_forgotten(ann: Client, ines: Client) -> None:
    incident = scene.incident()
    beat(ines, incident, "resolve")
    with time_machine.travel(NOW + timedelta(seconds=29), tick=False):
        assert [one["does"] for one in beat(ann, incident)["others"]] == ["is resolving it"]
    with time_machine.travel(NOW + timedelta(seconds=31), tick=False):
        assert beat(ann, incident)["others"] == []
        assert Presence.objects.count() == 2
    with time_machine.travel(NOW + timedelta(seconds=100), tick=False):
        beat(ann, incident)
        assert Presence.objects.count() == 1


def test_f09_a_page_learns_that_something_changed(ann: Client) -> None:
    incident = scene.incident()
    before = beat(ann, incident)["mark"]
    assert ann.get(desk.screen_of(incident)).context["mark"] == before
    assert beat(ann, incident)["mark"] == before
    lifecycle.note(desk.fresh(incident), "Found it.", by=scene.operator("bob"), at=NOW)
    assert beat(ann, incident)["mark"] != before


def test_what_is_no_act_is_looking(ann: Client, ines: Client) -> None:
    incident = scene.incident()
    beat(ines, incident, "<script>" * 50)
    assert [one["does"] for one in beat(ann, incident)["others"]] == ["is looking"]


def test_looking_changes_nothing(ann: Client) -> None:
    incident = scene.incident()
    ann.get(desk.screen_of(incident))
    ann.get(f"/admin/incidents/incident/{incident.pk}/body/")
    assert Presence.objects.count() == 0
    assert ann.get(f"/admin/incidents/incident/{incident.pk}/pulse/").status_code == 405


def test_r213_nobody_learns_of_a_restricted_incident_by_its_pulse(ann: Client) -> None:
    incident = scene.incident(by=scene.operator("bob"))
    Incident.objects.update(is_restricted=True)
    for part in ("pulse/", "act/note/kept/"):
        assert ann.post(f"/admin/incidents/incident/{incident.pk}/{part}", {"words": "x"}).status_code == 404
    for part in ("body/", "earlier/", "messages/"):
        assert ann.get(f"/admin/incidents/incident/{incident.pk}/{part}").status_code == 404
    assert Presence.objects.count() == 0


def test_who_may_not_look_has_no_pulse(client: Client) -> None:
    incident = scene.incident()
    client.force_login(scene.operator("new"))
    assert client.post(f"/admin/incidents/incident/{incident.pk}/pulse/").status_code == 403
    assert client.get(f"/admin/incidents/incident/{incident.pk}/body/").status_code == 403


def test_a_beat_costs_ten_questions(ann: Client, ines: Client) -> None:
    incident = scene.incident()
    beat(ines, incident)
    with CaptureQueriesContext(connection) as seen:
        beat(ann, incident)
    # Session, person, two for their rights; the incident, here, who left (2), the newest entry, who else.
    assert len(seen) <= 10


def test_the_body_is_the_screen_without_its_frame(ann: Client) -> None:
    incident = scene.incident()
    body = ann.get(f"/admin/incidents/incident/{incident.pk}/body/").content.decode()
    assert body.lstrip().startswith('<div class="hg')
    assert "<html" not in body
    assert incident.title in body


def test_r205_the_timeline_goes_on_by_key(ann: Client) -> None:
    incident = scene.incident()
    TimelineEntry.objects.bulk_create(
        TimelineEntry(incident=incident, verb="noted", at=NOW, recorded_at=NOW, by=None, words=f"Note {n}", version=1)
        for n in range(240)
    )
    first = ann.get(desk.screen_of(incident)).context["chronicle"]
    assert [line.entry.words for line in first.lines[:2]] == ["Note 239", "Note 238"]
    assert (len(first.lines), first.lines[-1].entry.words) == (100, "Note 140")
    address = f"/admin/incidents/incident/{incident.pk}/earlier/"
    second = ann.get(address, {"before": first.earlier}).context["chronicle"]
    assert (second.lines[0].entry.words, second.lines[-1].entry.words) == ("Note 139", "Note 40")
    last = ann.get(address, {"before": second.earlier}).context["chronicle"]
    assert (len(last.lines), last.earlier) == (42, 0)
    # Without a script it is a page like any other.
    assert ann.get(desk.screen_of(incident), {"before": first.earlier}).context["chronicle"].lines == second.lines


@pytest.mark.parametrize(
    ("only", "verbs"),
    [
        ("", ["broken", "noted", "published", "declared"]),
        ("public", ["published"]),
        ("internal", ["noted", "declared"]),
        ("automatic", ["broken"]),
        ("nonsense", ["broken", "noted", "published", "declared"]),
    ],
)
def test_r205_the_timeline_is_filtered(ann: Client, only: str, verbs: list[str]) -> None:
    incident = scene.incident()
    lifecycle.note(incident, "A thought.", by=None, at=NOW)
    TimelineEntry.objects.create(incident=incident, verb="broken", at=NOW, recorded_at=NOW, version=3)
    shown = ann.get(desk.screen_of(incident), {"only": only, "before": "-1' OR"}).context["chronicle"]
    assert [line.entry.verb for line in shown.lines] == verbs


def test_a_note_is_saved_without_leaving_and_refused_in_place(ann: Client) -> None:
    incident = scene.incident()
    url = desk.act_on(incident, "note")
    data = desk.opened(ann, url, words="Rolled back.")
    done = ann.post(url, data, headers={"X-Dialog": "1"})
    assert done.json() == {"go": desk.screen_of(incident), "said": "INC-2026-0001: Noted."}
    assert desk.last(incident).words == "Rolled back."
    refused = ann.post(url, desk.opened(ann, url, words=" "), headers={"X-Dialog": "1"})
    assert desk.mistakes(refused) == {"words": ["Write the note."]}
    assert "<html" not in refused.content.decode()


def test_a_dialog_is_the_same_form_without_the_frame_and_a_conflict_stays_one(ann: Client) -> None:
    """F09: also in a dialog nothing is overwritten unseen."""
    incident = scene.incident()
    url = desk.act_on(incident, "mitigate")
    page = ann.get(url, headers={"X-Dialog": "1"})
    assert "<html" not in page.content.decode()
    data = desk.sent(page)
    lifecycle.note(desk.fresh(incident), "Meanwhile.", by=scene.operator("bob"), at=NOW)
    clash = ann.post(url, data, headers={"X-Dialog": "1"})
    assert clash.status_code == 409
    assert "Meanwhile." in clash.content.decode()
    assert ann.post(url, desk.sent(clash), headers={"X-Dialog": "1"}).json()["go"] == desk.screen_of(incident)
    assert ann.get(desk.act_on(incident, "reopen"), headers={"X-Dialog": "1"}).json() == {
        "go": desk.screen_of(incident),
        "said": "INC-2026-0001 is mitigated: “Reopen” is not possible now.",
    }


def test_s08_each_refusal_is_an_answer_of_its_own(ann: Client, ines: Client) -> None:
    """One object for all would carry the cookies of one person to the next."""
    url = f"/admin/incidents/incident/{scene.incident().pk}/pulse/"
    first, second = ann.get(url), ines.get(url)
    assert (first.status_code, first["Allow"], first is second) == (405, "POST", False)
