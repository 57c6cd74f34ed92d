"""At the console: what contradicts is asked about, findings and times are corrected, lines are written in place."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.test import Client

from incidents import forms, lifecycle, runbook
from incidents.enums import Condition, DutyKind, Start, State, Unit, Verb
from incidents.models import Incident, RunbookStep
from status import ledger
from status.enums import Level, Phase
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import fresh, last
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
NOW = NIGHT + minutes(20)
WHY = ["Say why all the same, or put it right first. The timeline keeps the reason with the warning."]


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(client: Client) -> Client:
    desk.sit(client, *desk.ALL)
    return client


# --- contradictions ----------------------------------------------------------------


def test_r1303_the_form_warns_at_once_and_asks_why_only_where_there_is_a_concern(ann: Client) -> None:
    incident = scene.incident()
    quiet = ann.get(desk.act_on(incident, "resolve"))
    assert "Why all the same?" not in quiet.text
    scene.incident(title="Another")
    warned = ann.get(desk.act_on(incident, "resolve"))
    assert "API stays at “major outage”: INC-2026-0002 holds it down." in warned.text
    assert "Why all the same?" in warned.text


def test_r1303_without_a_reason_resolving_is_refused_at_the_field_and_nothing_typed_is_lost(ann: Client) -> None:
    incident = scene.incident()
    scene.incident(title="Another")
    refused = desk.say(ann, incident, "resolve", body="Our part is fixed.")
    assert desk.mistakes(refused) == {"override": WHY}
    assert desk.sent(refused)["body"] == "Our part is fixed."
    assert fresh(incident).state == State.DECLARED

    done = desk.say(ann, incident, "resolve", body="Our part is fixed.", override="The other one goes on.")
    assert done.headers["Location"] == desk.screen_of(incident)
    assert incident.timeline.get(verb=Verb.OVERRODE).words == "The other one goes on."


def test_r1303_what_turns_up_between_the_form_and_the_act_comes_back_into_the_form(
    ann: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = scene.incident()
    scene.incident(title="Another")
    monkeypatch.setattr(forms.ResolveForm, "weigh", lambda form: [])
    refused = desk.say(ann, incident, "resolve", body="Fixed.")
    assert desk.mistakes(refused) == {"override": WHY}
    assert "INC-2026-0002 holds it down" in refused.text
    assert desk.sent(refused)["body"] == "Fixed."
    assert fresh(incident).state == State.DECLARED


def test_r1303_declaring_the_gravest_level_with_no_component_marked_asks_why(ann: Client) -> None:
    worst, api = scene.severity(), scene.component("API")
    scene.brand()
    typed = {"title": "All is down", "severity": str(worst.pk), "body": "We are on it.", "publish": "now"}
    assert "Why all the same?" not in ann.get(desk.ADD).text
    refused = ann.post(desk.ADD, desk.opened(ann, desk.ADD, **typed))
    assert desk.mistakes(refused) == {"override": WHY}
    assert "No component is marked, so the page stays green beside a P0 incident." in refused.text
    assert not Incident.objects.exists()

    assert (
        ann.post(desk.ADD, desk.opened(ann, desk.ADD, **typed, **{f"levels-{api.pk}": "major_outage"})).status_code
        == 302
    )
    assert ann.post(desk.ADD, desk.opened(ann, desk.ADD, **typed, override="No part stands for it.")).status_code == 302
    assert Incident.objects.order_by("id").last().timeline.filter(verb=Verb.OVERRODE).count() == 1  # type: ignore[union-attr]


def test_r1303_letting_go_of_everything_asks_why_unless_it_is_being_watched(ann: Client) -> None:
    incident, api = scene.incident(), scene.component("API")
    free = {f"levels-{api.pk}": "operational"}
    refused = desk.say(ann, incident, "update", body="Better.", **free)
    assert desk.mistakes(refused) == {"override": WHY}
    done = desk.say(ann, incident, "update", body="A fix is in.", phase=Phase.MONITORING.value, **free)
    assert done.status_code == 302
    assert ledger.levels() == {}


def test_r1303_the_gravest_severity_over_a_green_page_is_warned_of_beside_its_consequences(ann: Client) -> None:
    worst = scene.severity()
    incident = scene.incident(levels={}, severity=scene.severity("P1", 2))
    asked = desk.say(ann, incident, "severity", severity=str(worst.pk), reason="All are hit.")
    assert "No component is marked, so the page stays green beside a P0 incident." in asked.text
    url, data = desk.act_on(incident, "severity"), desk.sent(asked) | {"severity": str(worst.pk), "seen": str(worst.pk)}
    refused = ann.post(url, data)
    assert desk.mistakes(refused) == {"override": WHY}
    assert ann.post(url, data | {"override": "Marked next."}).status_code == 302
    assert fresh(incident).severity == worst


def test_r214_resolving_within_the_watch_asks_why(ann: Client) -> None:
    incident = scene.incident(severity=scene.severity(watch=15))
    incident = lifecycle.mitigate(incident, words="", by=None, at=NIGHT + minutes(1))
    desk.say(ann, incident, "verify", words="Error rate is 0.")
    assert (last(incident).verb, fresh(incident).verified_at) == (Verb.VERIFIED, NOW)
    refused = desk.say(ann, incident, "resolve", body="Fixed.")
    assert desk.mistakes(refused) == {"override": WHY}
    assert "The fix is watched until 03:35 UTC: Policy of P0 asks for 15 min." in refused.text


# --- findings ----------------------------------------------------------------------


def review(condition: str) -> dict[str, Any]:
    return {
        "kind": DutyKind.REVIEW_PUBLISHED,
        "amount": 5,
        "unit": Unit.BUSINESS_DAYS,
        "starts_from": Start.RESOLVED,
        "condition": condition,
    }


def test_r103_resolving_asks_only_what_the_policy_needs_to_know(ann: Client) -> None:
    plain = scene.incident(severity=scene.severity())
    assert set(ann.get(desk.act_on(plain, "resolve")).context["form"].asked) == {"cause"}
    asking = scene.severity("P1", 2, duties=[review(Condition.CUSTOMERS_HIT)])
    incident = scene.incident(severity=asking, levels={scene.component("E-mail"): Level.MAJOR})
    assert set(ann.get(desk.act_on(incident, "resolve")).context["form"].asked) == {"cause", "customers_hit"}

    desk.say(ann, incident, "resolve", body="Fixed.", cause="database", customers_hit="yes")
    incident = fresh(incident)
    assert (incident.cause, incident.customers_hit, incident.is_significant) == ("database", True, None)
    assert incident.obligations.open().filter(kind=DutyKind.REVIEW_PUBLISHED).exists()


def test_r103_findings_are_corrected_later_and_their_duty_follows(ann: Client) -> None:
    incident = scene.incident(severity=scene.severity(duties=[review(Condition.SIGNIFICANT)]))
    incident = lifecycle.resolve(incident, body="Fixed.", by=None, at=NIGHT + minutes(10))
    said = desk.say(ann, incident, "findings", cause="network", is_significant="yes", review_asked="on")
    assert said.status_code == 302
    incident = fresh(incident)
    assert (incident.cause, incident.is_significant, incident.review_asked_at) == ("network", True, NOW)
    assert incident.obligations.open().get().kind == DutyKind.REVIEW_PUBLISHED
    again = desk.say(ann, incident, "findings")
    assert desk.mistakes(again) == {"cause": ["All of this is noted already. Change something, or go back."]}


# --- times -------------------------------------------------------------------------


def test_r1302_times_are_corrected_to_the_minute_and_the_others_keep_their_seconds(ann: Client) -> None:
    began = NIGHT + minutes(0.5)
    incident = scene.incident(at=began)
    done = desk.say(ann, incident, "times", started_at="2026-11-20 02:50", reason="First error in the logs.")
    assert done.status_code == 302
    incident = fresh(incident)
    assert (incident.started_at, incident.detected_at) == (NIGHT - minutes(10), began)
    assert set(last(incident).facts) == {"started_at"}


def test_r1302_each_mark_shows_where_it_comes_from_and_how_it_was_corrected(ann: Client) -> None:
    incident = scene.incident()
    desk.say(ann, incident, "times", started_at="2026-11-20 02:50", reason="First error in the logs.")
    text = " ".join(ann.get(desk.act_on(incident, "times")).text.split())
    assert (
        "From “Declared” by Ann; 2026-11-20 03:00 → 2026-11-20 02:50 UTC by Ann (“First error in the logs.”)." in text
    )


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        (
            {"started_at": "2026-11-20 03:10", "detected_at": "2026-11-20 03:10"},
            {
                "started_at": ["It began before it was declared."],
                "detected_at": ["It was noticed by when it was declared."],
            },
        ),
        ({"detected_at": "2026-11-20 02:10"}, {"detected_at": ["It was noticed before it began."]}),
        ({"ended_at": "2026-11-20 04:10"}, {"ended_at": ["This lies in the future."]}),
        ({"ended_at": "whenever"}, {"ended_at": ["Write the moment in UTC, as 2026-11-20 14:05 or 14:05."]}),
        ({}, {"started_at": ["These are its times already. Change one, or go back."]}),
        (
            {"started_at": "2026-11-20 02:50", "reason": ""},
            {"reason": ["Say how you know: the timeline keeps it."]},
        ),
    ],
)
def test_r1302_a_wrong_time_is_refused_where_it_was_typed(ann: Client, typed: Any, wrong: Any) -> None:
    incident = lifecycle.resolve(scene.incident(), body="Fixed.", by=None, at=NIGHT + minutes(10))
    refused = desk.say(ann, incident, "times", **({"reason": "So."} | typed))
    assert desk.mistakes(refused) == wrong
    assert not incident.timeline.filter(verb=Verb.TIMES).exists()


# --- writing down in place ---------------------------------------------------------


def test_r205_one_line_is_a_note_with_its_time_or_a_decision(ann: Client) -> None:
    incident = scene.incident()
    desk.say(ann, incident, "quick", line="! 03:15 fail over to the replica")
    entry = last(incident)
    assert (entry.verb, entry.words) == (Verb.DECIDED, "fail over to the replica")
    assert (entry.at, entry.recorded_at) == (NIGHT + minutes(15), NOW)
    refused = desk.say(ann, incident, "quick", line="25:99 x")
    assert desk.mistakes(refused) == {"line": ["25:99 is no time of day. Write 00:00 to 23:59, in UTC."]}


def test_r205_a_note_may_be_a_decision(ann: Client) -> None:
    incident = scene.incident()
    desk.say(ann, incident, "note", words="Fail over.", decision="on")
    assert last(incident).verb == Verb.DECIDED


def test_r208_a_line_of_the_runbook_is_ticked_tried_and_named_when_it_is_gone(ann: Client) -> None:
    runbook.load()
    incident = scene.incident()
    logs, back = RunbookStep.objects.get(slug="logs"), RunbookStep.objects.get(slug="roll-back")
    page = ann.get(f"{desk.act_on(incident, 'check')}?step={logs.pk}")
    assert "Error logs" in page.text
    assert ann.post(desk.act_on(incident, "check"), desk.sent(page) | {"done": "on"}).status_code == 302
    assert runbook.state(incident).done == 1

    desk.say(ann, incident, "try", step=str(back.pk), worked="yes", words="Errors fell at once.")
    entry = last(incident)
    assert (entry.verb, entry.facts["worked"], entry.words) == (Verb.TRIED, True, "Errors fell at once.")
    for wrong in (str(logs.pk), "0", "x", ""):
        refused = desk.say(ann, incident, "try", step=wrong)
        assert desk.mistakes(refused) == {"step": ["This line is not in the runbook any more."]}


def test_r205_better_words_for_a_note(ann: Client) -> None:
    incident = scene.incident()
    lifecycle.note(incident, "Databse is full.", by=None, at=NIGHT + minutes(5))
    old = last(incident)
    page = ann.get(f"{desk.act_on(incident, 'correct-note')}?entry={old.pk}")
    data = desk.sent(page)
    assert data["words"] == "Databse is full."
    same = ann.post(desk.act_on(incident, "correct-note"), data)
    assert desk.mistakes(same) == {"words": ["These are the same words. Change something, or go back."]}
    assert ann.post(desk.act_on(incident, "correct-note"), data | {"words": "Database is full."}).status_code == 302
    assert (last(incident).corrects, last(incident).words) == (old, "Database is full.")


@pytest.mark.parametrize("named", ["", "0", "x", "first"])
def test_r205_what_is_no_note_cannot_be_corrected(ann: Client, named: str) -> None:
    incident = scene.incident()
    entry = str(incident.timeline.earliest("id").pk) if named == "first" else named
    refused = desk.say(ann, incident, "correct-note", entry=entry, words="Other words.")
    assert list(desk.mistakes(refused)) == ["entry"]


def test_r205_a_corrected_note_is_shown_as_internal_and_a_corrected_update_as_public(ann: Client) -> None:
    incident = scene.incident()
    lifecycle.note(incident, "Databse is full.", by=None, at=NIGHT)
    lifecycle.correct_note(incident, last(incident), "Database is full.", by=None, at=NIGHT)
    lifecycle.correct_update(incident, incident.notice.updates.get(), "Better words.", by=None, at=NIGHT)  # type: ignore[union-attr]

    def corrected(only: str) -> list[tuple[str, bool]]:
        lines = ann.get(f"{desk.screen_of(incident)}?only={only}").context["chronicle"].lines
        return [(line.entry.words, line.public) for line in lines if line.entry.verb == Verb.CORRECTED]

    assert corrected("public") == [("Better words.", True)]
    assert corrected("internal") == [("Database is full.", False)]
