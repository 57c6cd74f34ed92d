"""Every act by its own form: what it asks, what it says, what it refuses (R-201…R-207, F17)."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.test import Client

from incidents import lifecycle
from incidents.enums import Condition, DutyKind, Start, State, Unit, Verb
from incidents.models import UpdateTemplate
from notifications.models import Announcement, Brand
from status import ledger
from status.enums import Level, Phase
from status.models import NoticeUpdate
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import fresh, last, say
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


def test_acknowledge(ann: Client) -> None:
    incident = scene.incident()
    assert say(ann, incident, "acknowledge")["Location"] == desk.screen_of(incident)
    assert (fresh(incident).state, fresh(incident).acknowledged_at) == (State.ACKNOWLEDGED, NOW)


def test_post_update_starts_at_what_is_held_and_sets_what_is_chosen(ann: Client) -> None:
    """R-206, R-207, R-1301."""
    api, web = scene.component("API"), scene.component("Web app")
    incident = scene.incident(levels={api: Level.MAJOR})
    data = desk.opened(ann, desk.act_on(incident, "update"))
    assert data[f"levels-{api.pk}"] == Level.MAJOR
    data |= {
        f"levels-{api.pk}": Level.OPERATIONAL.value,
        f"levels-{web.pk}": Level.DEGRADED.value,
        "phase": "identified",
        "body": "A bad deploy.",
        "promise": "15",
    }
    ann.post(desk.act_on(incident, "update"), data)

    incident = fresh(incident)
    assert incident.notice is not None
    assert (incident.state, incident.notice.phase) == (State.ACKNOWLEDGED, Phase.IDENTIFIED)
    assert incident.notice.next_update_by == NOW + minutes(15)
    assert ledger.held_by(incident.source) == {web.pk: Level.DEGRADED}
    assert Announcement.objects.count() == 2


def test_going_public_later_opens_the_notice(ann: Client) -> None:
    incident = scene.incident(public=False)
    assert "Go public" in ann.get(desk.screen_of(incident)).content.decode()
    say(
        ann, incident, "update", body="We look into it.", **{f"levels-{scene.component('API').pk}": Level.PARTIAL.value}
    )
    assert fresh(incident).notice is not None
    assert ledger.held_by(incident.source) == {scene.component("API").pk: Level.PARTIAL}


def test_note(ann: Client) -> None:
    incident = scene.incident()
    say(ann, incident, "note", words="Kim calls the vendor.", happened_at="03:05")
    entry = last(incident)
    assert (entry.verb, entry.words, entry.at, entry.recorded_at) == (
        Verb.NOTED,
        "Kim calls the vendor.",
        NIGHT + minutes(5),
        NOW,
    )


def test_mitigate_says_since_when(ann: Client) -> None:
    incident = scene.incident()
    say(ann, incident, "mitigate", words="Rolled back.", happened_at="03:15")
    assert (fresh(incident).state, fresh(incident).mitigated_at) == (State.MITIGATED, NIGHT + minutes(15))


def test_resolve_by_the_impacts_clock(ann: Client) -> None:
    """R-1302: what it lasted is told by when it stopped hurting, not by when we say so."""
    incident = scene.incident()
    UpdateTemplate.objects.create(
        policy=incident.severity.version.policy, phase=Phase.RESOLVED, name="Over", body="Over after {{duration}}."
    )
    say(ann, incident, "resolve", ended_at="03:10")
    incident = fresh(incident)
    assert (incident.state, incident.ended_at, incident.resolved_at) == (State.RESOLVED, NIGHT + minutes(10), NOW)
    assert NoticeUpdate.objects.latest("seq").body == "Over after 10 minutes."
    assert ledger.levels() == {}


def test_a_form_lists_only_the_placeholders_that_it_fills(ann: Client) -> None:
    """A resolution promises no next update."""
    incident = scene.incident()
    always = ["reference", "severity", "brand", "support", "status_page"]
    listed = {slug: ann.get(desk.act_on(incident, slug)).context["form"].selves() for slug in ("update", "resolve")}
    assert listed == {
        "update": ["issue", "impact", "started", "detected", "duration", "next_update", *always],
        "resolve": ["issue", "impact", "started", "detected", "duration", "resolved", *always],
    }
    page = ann.get(desk.act_on(incident, "resolve")).content.decode()
    assert "{{brand}} {{support}} {{status_page}}</code> fill themselves in" in page


RESOLVED = ("Over, a report follows by {{postmortem_date}}.", "Over.")


@pytest.mark.parametrize(
    ("duty", "minutes_", "body", "day"),
    [
        ({"amount": 5, "unit": Unit.BUSINESS_DAYS}, 20, RESOLVED[0], "27 November 2026"),
        ({"amount": 14, "unit": Unit.DAYS}, 20, RESOLVED[0], "4 December 2026"),
        ({}, 20, RESOLVED[0], ""),
        ({"amount": 7, "unit": Unit.DAYS, "condition": Condition.LONG}, 240, RESOLVED[1], ""),
        ({"amount": 7, "unit": Unit.DAYS, "condition": Condition.LONG}, 241, RESOLVED[0], "27 November 2026"),
        ({"amount": 7, "unit": Unit.DAYS, "condition": Condition.SECURITY}, 300, RESOLVED[1], ""),
        (None, 300, RESOLVED[1], ""),
    ],
    ids=["business days", "days", "no time named", "not long", "long", "perhaps", "none"],
)
def test_the_day_of_the_post_mortem_is_the_policys(
    ann: Client, duty: dict[str, Any] | None, minutes_: int, body: str, day: str
) -> None:
    """R-206: nobody works out business days at night, and no post-mortem is promised that is not owed."""
    owed = [] if duty is None else [{"kind": DutyKind.REVIEW_PUBLISHED, "starts_from": Start.RESOLVED} | duty]
    incident = scene.incident(severity=scene.severity("P9", duties=owed))
    for name, words in zip(("Report", "Plain"), RESOLVED, strict=True):
        UpdateTemplate.objects.create(
            policy=incident.severity.version.policy, phase=Phase.RESOLVED, name=name, body=words
        )
    with time_machine.travel(NIGHT + minutes(minutes_), tick=False):
        response = ann.get(desk.act_on(incident, "resolve"))
        sent = desk.sent(response)
        assert (sent["body"], sent.get("blank_postmortem_date", "")) == (body, day)
        assert 'type="text" name="blank_postmortem_date"' in response.content.decode()
        if day:
            say(ann, incident, "resolve")
            assert NoticeUpdate.objects.latest("seq").body == f"Over, a report follows by {day}."


def test_resolving_an_internal_incident_says_nothing_in_public(ann: Client) -> None:
    incident = scene.incident(public=False)
    say(ann, incident, "resolve", body="Restarted the worker.")
    assert (fresh(incident).state, Announcement.objects.count()) == (State.RESOLVED, 0)


def test_reopen_starts_from_what_was_held(ann: Client) -> None:
    incident = scene.incident()
    lifecycle.resolve(incident, body="Over.", by=None, at=NIGHT + minutes(10))
    api = scene.component("API")
    assert desk.opened(ann, desk.act_on(incident, "reopen"))[f"levels-{api.pk}"] == Level.MAJOR
    say(ann, incident, "reopen", body="It is back.")
    incident = fresh(incident)
    assert incident.notice is not None
    assert (incident.state, incident.notice.generation) == (State.ACKNOWLEDGED, 2)
    assert ledger.held_by(incident.source) == {api.pk: Level.MAJOR}


def test_reopening_an_internal_incident_needs_words_for_colleagues_only(ann: Client) -> None:
    incident = scene.incident(public=False)
    lifecycle.resolve(incident, body="Over.", by=None, at=NIGHT + minutes(10))
    say(ann, incident, "reopen", body="The worker hangs again.")
    assert (fresh(incident).state, fresh(incident).notice) == (State.ACKNOWLEDGED, None)


def test_false_alarm(ann: Client) -> None:
    """R-203."""
    incident = scene.incident()
    say(ann, incident, "false-alarm", body="A probe was wrong.")
    incident = fresh(incident)
    assert incident.notice is not None
    assert (incident.state, incident.notice.withdrawn_at) == (State.FALSE_ALARM, NOW)


def test_close(ann: Client) -> None:
    incident = scene.incident()
    lifecycle.resolve(incident, body="Over.", by=None, at=NIGHT + minutes(10))
    say(ann, incident, "close", words="Review is written.")
    assert (fresh(incident).state, fresh(incident).closed_at) == (State.CLOSED, NOW)


def test_correct_keeps_the_old_words_in_sight(ann: Client) -> None:
    """R-205; a second correction corrects the first."""
    incident = scene.incident()
    first = NoticeUpdate.objects.get()
    url = desk.correct(incident, first.public_id)
    ann.post(url, desk.opened(ann, url, body="We are looking into the API."))
    assert desk.opened(ann, url)["body"] == "We are looking into the API."
    ann.post(url, desk.opened(ann, url, body="We look into the API."))

    assert [update.body for update in NoticeUpdate.objects.order_by("seq")] == [
        "We are looking into it.",
        "We are looking into the API.",
        "We look into the API.",
    ]
    page = ann.get(desk.screen_of(incident))
    [saying] = page.context["sayings"]
    assert (saying.told.body, [old.body for old in saying.before]) == (
        "We look into the API.",
        ["We are looking into the API.", "We are looking into it."],
    )
    assert Announcement.objects.count() == 1


def test_a_correction_must_change_something_and_have_no_blanks(ann: Client) -> None:
    incident = scene.incident()
    url = desk.correct(incident, NoticeUpdate.objects.get().public_id)
    same = ann.post(url, desk.opened(ann, url))
    blank = ann.post(url, desk.opened(ann, url, body="By {{next_update}}."))
    assert desk.mistakes(same) == {"body": ["These are the same words. Change something, or go back."]}
    assert desk.mistakes(blank) == {"body": ["Fill in or remove {{next_update}} before publishing."]}


def test_r109_severity_changes_only_after_its_consequences_were_shown(ann: Client) -> None:
    incident = scene.incident()
    other = scene.severity("P2", 3, duties=[])
    url = desk.act_on(incident, "severity")
    data = desk.opened(ann, url, severity=str(other.pk))
    shown = ann.post(url, data)
    assert fresh(incident).severity.code == "P0"
    clocks = {c.kind.value: (c.kept, c.after) for c in shown.context["consequences"]["clocks"]}
    assert clocks["resolve"] == (False, None)
    assert clocks["first_update"][0] is True

    unsaid = ann.post(url, desk.sent(shown))
    assert desk.mistakes(unsaid) == {"reason": ["Say why: the timeline keeps the reason with the change."]}
    ann.post(url, desk.sent(shown) | {"reason": "Only reports are late."})
    assert (fresh(incident).severity.code, last(incident).words) == ("P2", "Only reports are late.")


def test_a_different_choice_than_the_one_shown_is_shown_first(ann: Client) -> None:
    incident = scene.incident()
    one, two = scene.severity("P2", 3, duties=[]), scene.severity("P3", 4, duties=[])
    url = desk.act_on(incident, "severity")
    shown = ann.post(url, desk.opened(ann, url, severity=str(one.pk), reason="Calmer."))
    again = ann.post(url, desk.sent(shown) | {"severity": str(two.pk)})
    assert again.context["consequences"]["new"] == two
    assert fresh(incident).severity.code == "P0"


@pytest.mark.parametrize(
    ("slug", "field", "typed", "message"),
    [
        ("mitigate", "happened_at", "02:59", "This is before the incident began (2026-11-20 03:00 UTC)."),
        ("mitigate", "happened_at", "2026-11-20 03:21", "This lies in the future."),
        ("resolve", "ended_at", "2026-11-20 02:00", "This is before the incident began (2026-11-20 03:00 UTC)."),
        ("resolve", "ended_at", "2026-11-20 04:00", "This lies in the future."),
        ("resolve", "ended_at", "", "This field is required."),
        ("resolve", "body", "", "Say something: these words are what customers read."),
        ("note", "happened_at", "2026-11-21 03:00", "This lies in the future."),
        ("note", "words", "a\x1bb", "Character 2 (U+001B) cannot be shown. Please remove it."),
        ("note", "words", "x" * 5001, "Ensure this value has at most 5000 characters (it has 5001)."),
        ("false-alarm", "body", "", "Say why it was a false alarm."),
        ("update", "promise_at", "2026-11-20 03:00", "This is in the past. A promise lies ahead."),
    ],
)
def test_bad_input_comes_back_at_its_field(ann: Client, slug: str, field: str, typed: str, message: str) -> None:
    """F17."""
    incident = scene.incident()
    start = {"body": "Fine.", "words": "Fine."} | ({"promise": "at"} if field == "promise_at" else {})
    response = say(ann, incident, slug, **(start | {field: typed}))
    assert desk.mistakes(response) == {field: [message]}
    assert fresh(incident).version == incident.version


def test_a_moment_typed_to_the_minute_may_be_the_minute_it_began(ann: Client) -> None:
    began = NIGHT.replace(second=40)
    incident = scene.incident(at=began)
    say(ann, incident, "resolve", ended_at="03:00", body="Over.")
    assert fresh(incident).ended_at == began


def test_words_that_became_unsendable_meanwhile_are_refused_in_the_form(ann: Client) -> None:
    """R-111: an old update names what is another brand's name today; the mail would repeat it."""
    incident = scene.incident(draft=scene.draft("Our vendor Acme is down."))
    Brand.objects.create(
        slug="acme", name="Acme", sender_name="Acme", sender_email="a@acme.example", support_email="a@acme.example"
    )
    refused = say(ann, incident, "update", body="We are on it.")
    assert desk.mistakes(refused) == {"__all__": ["It names another brand: Acme."]}
    assert (desk.sent(refused)["body"], NoticeUpdate.objects.count()) == ("We are on it.", 1)


def test_a_correction_of_the_last_words_points_at_the_entry_that_said_them(ann: Client) -> None:
    """R-205: a correction is a new entry that points at the old one, whatever act wrote it."""
    for slug, verb in (("resolve", Verb.RESOLVED), ("reopen", Verb.PUBLISHED)):
        incident = scene.incident()
        if slug == "reopen":
            lifecycle.resolve(fresh(incident), body="Over.", by=None, at=NIGHT + minutes(9))
        say(ann, incident, slug, body="Last words.")
        url = desk.correct(incident, NoticeUpdate.objects.latest("pk").public_id)
        ann.post(url, desk.opened(ann, url, body="Better words."))
        corrects = last(incident).corrects
        assert corrects is not None
        assert (corrects.verb, corrects.words) == (verb, "Last words.")


def test_a_false_alarm_that_was_resolved_before_is_told_too(ann: Client) -> None:
    """R-203: whoever was told, is told so."""
    incident = scene.incident()
    lifecycle.resolve(incident, body="Over.", by=None, at=NIGHT + minutes(9))
    say(ann, incident, "false-alarm", body="A probe was wrong.")
    assert [update.body for update in NoticeUpdate.objects.all()] == [
        "We are looking into it.",
        "Over.",
        "A probe was wrong.",
    ]
    assert Announcement.objects.count() == 3


def test_what_only_colleagues_read_asks_for_no_components_phase_or_template(ann: Client) -> None:
    incident = scene.incident(public=False)
    UpdateTemplate.objects.create(
        policy=incident.severity.version.policy, phase=Phase.RESOLVED, name="Over", body="{{resolution}}"
    )
    page = ann.get(desk.act_on(incident, "resolve"))
    html = page.content.decode()
    assert page.context["form"]["body"].label == "Words for colleagues"
    assert desk.sent(page).get("body", "") == ""
    assert [name for name in ("levels-", 'name="phase"', 'name="template"', 'name="tell"') if name in html] == []
