"""Declaring at the console: one form, published once, nothing typed is lost (R-201…R-207, F09, F11)."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, connections
from django.test import Client

from incidents.enums import DutyKind, Origin, Publicity, Start, State
from incidents.models import Incident, Policy, Severity, TimelineEntry, UpdateTemplate
from notifications.models import Announcement, Brand
from status.enums import Level, Phase
from status.models import Impact, Notice
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import ADD
from tests.scene import NIGHT, minutes

NOW = NIGHT + minutes(12)
WORDS = "**{{issue}}**: {{description}} Affected: {{impact}}, since {{started}}. Next update by {{next_update}}."


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(db: None, client: Client) -> Client:
    """Ann sits at the console of a house with one policy of two levels, two components and a template."""
    scene.brand()
    level = scene.severity("P1", 2)
    Policy.objects.filter(pk=level.version.policy_id).update(is_default=True)
    UpdateTemplate.objects.create(
        policy=level.version.policy, phase=Phase.INVESTIGATING, name="Looking", body=WORDS, sms="{{issue}}"
    )
    scene.component("API")
    scene.component("Checkout", "Payments")
    desk.sit(client, *desk.ALL)
    return client


def full(client: Client, **typed: Any) -> dict[str, Any]:
    """The form as opened, with a title and the one blank filled."""
    api = scene.component("API")
    start = {
        "title": "API is not answering",
        "blank_description": "Calls time out.",
        "started_at": "2026-11-20 03:00",
        f"levels-{api.pk}": Level.MAJOR.value,
    }
    return desk.opened(client, ADD, **(start | typed))


def test_one_form_declares_and_publishes_at_once(ann: Client) -> None:
    """R-201, R-206, R-207: severity, clocks, components, words and promise come from one POST."""
    response = ann.post(ADD, full(ann))

    incident = Incident.objects.select_related("notice", "severity").get()
    assert response["Location"] == desk.screen_of(incident)
    assert (incident.reference, incident.title, incident.severity.code) == (
        "INC-2026-0001",
        "API is not answering",
        "P1",
    )
    assert (incident.started_at, incident.declared_at, incident.state) == (NIGHT, NOW, State.DECLARED)
    assert incident.declared_by is not None
    assert incident.declared_by.username == "ann"
    assert incident.notice is not None
    assert incident.notice.updates.get().body == (
        "**API is not answering**: Calls time out. Affected: API (major outage), since 03:00 UTC on 20 November 2026."
        " Next update by 03:42 UTC on 20 November 2026."
    )
    assert incident.notice.next_update_by == NOW + minutes(30)
    assert [(i.component.name, i.level, i.began_at) for i in Impact.objects.all()] == [("API", Level.MAJOR, NIGHT)]
    assert [a.subject for a in Announcement.objects.all()] == ["[Northwind] Investigating: API is not answering"]


def test_only_what_is_marked_is_attached(ann: Client) -> None:
    ann.post(ADD, full(ann))
    assert [c.name for c in Notice.objects.get().components.all()] == ["API"]


def test_kept_internal_nothing_is_said_and_no_component_moves(ann: Client) -> None:
    response = ann.post(ADD, full(ann, publish="later", body="", blank_description=""))
    incident = Incident.objects.get()
    assert response["Location"] == desk.screen_of(incident)
    assert (incident.notice, Impact.objects.count(), Announcement.objects.count()) == (None, 0, 0)


def test_without_telling_the_page_shows_it_and_nobody_is_mailed(ann: Client) -> None:
    data = full(ann)
    del data["wires"]
    ann.post(ADD, data)
    assert (Notice.objects.count(), Announcement.objects.count()) == (1, 0)


def test_where_it_came_from_and_when_it_was_noticed_are_kept(ann: Client) -> None:
    """R-203, R-1302."""
    ann.post(ADD, full(ann, origin="customer", detected_at="03:04"))
    incident = Incident.objects.get()
    assert (incident.origin, incident.detected_at) == (Origin.CUSTOMER, NIGHT + minutes(4))


def test_a_double_click_declares_once_and_both_see_the_same(ann: Client) -> None:
    """F11: the same rendered form, sent twice."""
    data = full(ann)
    first, second = ann.post(ADD, data), ann.post(ADD, data)
    assert first["Location"] == second["Location"] == desk.screen_of(Incident.objects.get())
    assert (Notice.objects.count(), Announcement.objects.count(), TimelineEntry.objects.count()) == (1, 1, 2)


@pytest.mark.django_db(transaction=True)
def test_five_impatient_clicks_at_once_declare_once(client: Client) -> None:
    """F11 under concurrency: rows are locked, the loser of the race is told what the winner did."""
    scene.brand()
    level = scene.severity("P1", 2)
    api = scene.component("API")
    user = desk.sit(client, *desk.ALL)
    data = desk.opened(client, ADD, title="API is down", body="We look into it.")
    data |= {f"levels-{api.pk}": Level.MAJOR.value, "severity": str(level.pk)}
    answers: list[tuple[int, str]] = []

    def click() -> None:
        browser = Client()
        browser.force_login(user)
        answer = browser.post(ADD, data)
        answers.append((answer.status_code, answer.headers.get("Location", "")))
        connections.close_all()

    threads = [threading.Thread(target=click) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [(302, desk.screen_of(Incident.objects.get()))] * 5
    assert (Notice.objects.count(), Announcement.objects.count()) == (1, 1)


def test_a_blank_that_is_left_is_named_and_everything_typed_stays(ann: Client) -> None:
    """R-206: unfilled placeholders stop publication."""
    response = ann.post(ADD, full(ann, blank_description="", sms="API down"))
    assert desk.mistakes(response) == {
        "blank_description": ["The words ask for {{description}}. Fill it in here, or remove it from the text."]
    }
    again = desk.sent(response)
    assert (again["title"], again["sms"], again["body"]) == ("API is not answering", "API down", WORDS)
    assert again[f"levels-{scene.component('API').pk}"] == Level.MAJOR
    assert Incident.objects.count() == 0


@pytest.mark.parametrize(
    ("typed", "field", "message"),
    [
        (
            {"promise": "none"},
            "promise",
            "The words ask for {{next_update}}. Choose a time, or remove it from the text.",
        ),
        (
            {"levels": ""},
            "levels",
            "The words ask for {{impact}}. Mark what is affected, or remove it from the text.",
        ),
    ],
)
def test_what_a_field_would_fill_is_asked_for_at_that_field(
    ann: Client, typed: dict[str, str], field: str, message: str
) -> None:
    data = full(ann, **typed)
    if "levels" in typed:
        del data[f"levels-{scene.component('API').pk}"]
    assert desk.mistakes(ann.post(ADD, data)) == {field: [message]}


def test_an_unknown_placeholder_is_named_at_the_words(ann: Client) -> None:
    response = ann.post(ADD, full(ann, body="We fix {{everything}} soon."))
    assert desk.mistakes(response) == {"body": ["Fill in or remove {{everything}} before publishing."]}


def test_a_link_that_would_lose_its_target_is_refused_before_it_is_published(ann: Client) -> None:
    """S09: the page drops the target of a link that is not https; better said than dropped."""
    response = ann.post(ADD, full(ann, body="See [docs](http://docs.example.com)."))
    assert desk.mistakes(response) == {
        "body": ["Links must start with https:// or mailto:. Please change http://docs.example.com."]
    }
    assert Incident.objects.count() == 0
    ann.post(ADD, full(ann, body="See [docs](https://docs.example.com)."))
    assert Incident.objects.count() == 1


def test_the_cursor_is_put_into_the_first_mistake(ann: Client) -> None:
    response = ann.post(ADD, full(ann, title="", started_at="2027-01-01 00:00"))
    assert response.context["focus"] == "id_title"
    assert "autofocus" in str(response.context["form"]["title"])
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("typed", "field", "message"),
    [
        ({"title": ""}, "title", "Give it a title: people quote it."),
        ({"title": "x" * 121}, "title", "Ensure this value has at most 120 characters (it has 121)."),
        ({"title": "a\nb"}, "title", "Please write this on one line."),
        ({"title": "a\x07b"}, "title", "Character 2 (U+0007) cannot be shown. Please remove it."),
        ({"title": "pay\u202etxt"}, "title", "Character 4 (U+202E) cannot be shown. Please remove it."),
        ({"body": "x" * 5001}, "body", "Ensure this value has at most 5000 characters (it has 5001)."),
        ({"body": "a\x00b"}, "body", "Character 2 (U+0000) cannot be shown. Please remove it."),
        ({"body": " "}, "body", "Say something: these words are what customers read."),
        ({"sms": "x" * 481}, "sms", "Ensure this value has at most 480 characters (it has 481)."),
        ({"started_at": ""}, "started_at", "This field is required."),
        ({"started_at": "yesterday"}, "started_at", "Write the moment in UTC, as 2026-11-20 14:05 or 14:05."),
        (
            {"started_at": "2026-11-20 03:00 CET"},
            "started_at",
            "Write the moment in UTC, as 2026-11-20 14:05 or 14:05.",
        ),
        ({"started_at": "2026-02-30 03:00"}, "started_at", "Write the moment in UTC, as 2026-11-20 14:05 or 14:05."),
        ({"started_at": "1970-01-01 00:00"}, "started_at", "The year must lie between 2000 and 2099."),
        ({"started_at": "0000-01-01 00:00"}, "started_at", "Write the moment in UTC, as 2026-11-20 14:05 or 14:05."),
        ({"started_at": "9999-12-31 23:59"}, "started_at", "The year must lie between 2000 and 2099."),
        ({"started_at": "2026-11-20 03:13"}, "started_at", "This lies in the future. It began before you noticed it."),
        ({"detected_at": "2026-11-20 03:30"}, "detected_at", "This lies in the future."),
        ({"detected_at": "02:59"}, "detected_at", "It was noticed before it began. Check both times."),
        ({"promise": "at"}, "promise_at", "Write the time, or choose another promise."),
        (
            {"promise": "at", "promise_at": "2026-11-20 03:12"},
            "promise_at",
            "This is in the past. A promise lies ahead.",
        ),
        ({"promise": "soon"}, "promise", "Select a valid choice. soon is not one of the available choices."),
        ({"severity": "999999"}, "severity", "That level is not in force any more. Choose one of these."),
        ({"severity": "DROP TABLE"}, "severity", "That level is not in force any more. Choose one of these."),
        ({"origin": "moon"}, "origin", "Select a valid choice. moon is not one of the available choices."),
        ({"phase": "resolved"}, "phase", "Select a valid choice. resolved is not one of the available choices."),
        ({"token": "not-a-token"}, "token", "Enter a valid UUID."),
        ({"template": "999999"}, "template", "Select a valid choice. That choice is not one of the available choices."),
    ],
)
def test_bad_input_is_answered_at_its_field_and_declares_nothing(
    ann: Client, typed: dict[str, str], field: str, message: str
) -> None:
    """F17."""
    response = ann.post(ADD, full(ann, **typed))
    assert desk.mistakes(response) == {field: [message]}
    assert (Incident.objects.count(), Notice.objects.count()) == (0, 0)


def test_a_level_nobody_offered_is_refused(ann: Client) -> None:
    api = scene.component("API")
    response = ann.post(ADD, full(ann, **{f"levels-{api.pk}": "under_maintenance"}))
    assert desk.mistakes(response) == {"levels": ["Choose one of the four levels for API."]}


def test_an_offset_is_turned_to_utc(ann: Client) -> None:
    ann.post(ADD, full(ann, started_at="2026-11-20T05:00+02:00"))
    assert Incident.objects.get().started_at == NIGHT


def test_a_clock_time_means_the_last_one_for_the_past_and_the_next_one_for_a_promise(ann: Client) -> None:
    ann.post(ADD, full(ann, started_at="23:50", promise="at", promise_at="02:00"))
    incident = Incident.objects.select_related("notice").get()
    assert incident.started_at == NIGHT - timedelta(hours=3, minutes=10)
    assert incident.notice is not None
    assert incident.notice.next_update_by == NIGHT + timedelta(hours=23)


def test_no_fixed_time_is_a_promise_too(ann: Client) -> None:
    """R-1301: the public is told that there is none."""
    ann.post(ADD, full(ann, promise="none", body="We look into it."))
    assert Notice.objects.get().next_update_by is None


def test_r107_where_the_policy_asks_for_a_promise_no_fixed_time_is_refused_at_its_field(ann: Client) -> None:
    as_promised = {"kind": DutyKind.PUBLIC_UPDATE, "repeats": True, "starts_from": Start.LAST_UPDATE}
    level = scene.severity("SEV1", duties=[as_promised])
    response = ann.post(ADD, full(ann, severity=str(level.pk), promise="none", body="We look into it."))
    assert desk.mistakes(response) == {
        "promise": ["Under SEV1 each update promises when the next one comes. Choose a time."]
    }
    ann.post(ADD, full(ann, severity=str(level.pk), promise="30", body="We look into it."))
    assert Notice.objects.get().next_update_by == NOW + minutes(30)


def test_publishing_without_a_component_is_allowed_and_warned(ann: Client) -> None:
    data = full(ann, body="We look into it.") | {f"levels-{scene.component('API').pk}": Level.OPERATIONAL.value}
    response = ann.post(ADD, data, follow=True)
    assert [str(message) for message in response.context["messages"]] == [
        "INC-2026-0001: Declared and published.",
        "No component is marked, so the status page stays green. Post an update to mark one.",
    ]


def test_another_brands_name_stops_the_words(ann: Client) -> None:
    """R-111."""
    scene.brand().__class__.objects.create(
        slug="acme", name="Acme", sender_name="Acme", sender_email="a@acme.example", support_email="a@acme.example"
    )
    response = ann.post(ADD, full(ann, body="Acme is down."))
    assert desk.mistakes(response) == {"body": ["It names another brand: Acme."]}


def test_the_form_opens_with_the_default_policy_its_words_and_its_cadence(ann: Client) -> None:
    scene.severity("P0", 1)
    data = desk.opened(ann, ADD)
    assert data["severity"] == str(Severity.objects.get(code="P1").pk)
    assert (data["publish"], data["promise"], data["phase"], data["body"]) == ("now", "30", "investigating", WORDS)
    assert data["started_at"] == "2026-11-20 03:12"


def test_a_level_the_policy_keeps_inside_starts_as_internal(db: None, client: Client) -> None:
    scene.brand()
    scene.severity("P3", 2, publicity=Publicity.NEVER)
    desk.sit(client, *desk.ALL)
    assert desk.opened(client, ADD)["publish"] == "later"


def test_before_anything_is_set_up_the_form_says_what_is_missing(db: None, client: Client) -> None:
    desk.sit(client, *desk.ALL)
    response = client.get(ADD)
    assert "No policy is in force yet" in response.content.decode()
    refused = client.post(ADD, desk.sent(response) | {"title": "API is down", "body": "We look into it."})
    assert desk.mistakes(refused) == {
        "severity": ["Choose how bad it is."],
        "brand": ["No brand is set up yet: add one first."],
    }


def test_words_of_a_template_are_written_without_a_script(ann: Client) -> None:
    """The button beside the chooser: everything else that was typed stays."""
    policy = Severity.objects.get().version.policy
    other = UpdateTemplate.objects.create(
        policy=policy, phase=Phase.IDENTIFIED, name="Found", body="Found it: {{cause}}", sms="Found", position=1
    )
    response = ann.post(ADD, full(ann, template=str(other.pk), _fill="1"))
    again = desk.sent(response)
    assert (again["body"], again["sms"], again["phase"]) == ("Found it: {{cause}}", "Found", "identified")
    assert again["title"] == "API is not answering"
    assert Incident.objects.count() == 0


def test_preview_without_a_script_keeps_everything_and_writes_nothing(ann: Client) -> None:
    scene.subscriber()
    response = ann.post(ADD, full(ann, _preview="1"))
    shown = response.context["preview"]
    assert (shown.title, shown.count) == ("API is not answering", 1)
    assert desk.sent(response)["title"] == "API is not answering"
    assert (Incident.objects.count(), Announcement.objects.count()) == (0, 0)


def test_the_form_costs_the_same_with_many_components_and_levels(ann: Client) -> None:
    """Query count pinned."""

    def cost() -> int:
        with connection.execute_wrapper(counter := _Counter()):
            ann.get(ADD)
        return counter.seen

    few = cost()
    for n in range(30):
        scene.component(f"Part {n}", f"Group {n % 5}")
    for n in range(5):
        scene.severity(f"S{n}", 1)
    assert cost() == few


class _Counter:
    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen += 1
        return execute(sql, params, many, context)


def test_a_text_message_that_nobody_touched_is_never_in_the_way(ann: Client) -> None:
    """The template's text message asks for what is affected; the operator's own words do not."""
    UpdateTemplate.objects.update(sms="{{issue}}: affected {{impact}}")
    api = scene.component("API")
    words = {"body": "Search is slow.", f"levels-{api.pk}": Level.OPERATIONAL.value}
    assert ann.post(ADD, full(ann, **words)).status_code == 302
    assert Notice.objects.get().updates.get().sms == ""

    refused = ann.post(ADD, full(ann, **words, sms="My own: {{impact}}"))
    assert desk.mistakes(refused) == {
        "levels": ["The words ask for {{impact}}. Mark what is affected, or remove it from the text."]
    }


@pytest.mark.parametrize(
    ("voice", "words", "refused"),
    [
        ({"apologise": False}, "We are sorry.", "Northwind does not apologise in its messages. Please change “sorry”."),
        (
            {"publish_causes": False},
            "It was {{cause}}",
            "Northwind does not publish causes. Remove {{cause}} from the text.",
        ),
        ({}, "We are sorry: it was {{cause}}", None),
    ],
)
def test_r111_the_brand_decides_how_it_speaks(ann: Client, voice: Any, words: str, refused: str | None) -> None:
    Brand.objects.update(**voice)
    answer = ann.post(ADD, full(ann, body=words, blank_cause="a disk"))
    if refused is None:
        assert answer.status_code == 302
    else:
        assert desk.mistakes(answer) == {"body": [refused]}
        assert not Incident.objects.exists()
