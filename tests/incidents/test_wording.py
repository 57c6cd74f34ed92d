"""Earlier wording: what was said before is offered again, with its facts as placeholders (R-206, R-213)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from incidents import lifecycle, wording
from incidents.models import Incident
from notifications.models import Brand
from status.enums import Level, Phase
from status.translations import Translation
from tests import scene
from tests.incidents import desk
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db


def said(body: str, *, at: datetime = NIGHT, on: str = "API", **changes: object) -> Incident:
    """An incident that was declared with these words."""
    draft = scene.draft(body, **(changes.pop("draft", {})))  # type: ignore[arg-type]
    values = {"levels": {scene.component(on): Level.MAJOR}, "draft": draft} | changes
    return scene.incident(at=at, **values)  # type: ignore[arg-type]


def offered(**asked: object) -> list[str]:
    values = {"phase": Phase.INVESTIGATING, "components": [scene.component("API").pk]} | asked
    return [one.body for one in wording.earlier(scene.operator(), **values)]  # type: ignore[arg-type]


def test_r206_the_newest_distinct_words_come_first_and_at_most_five() -> None:
    for n in range(8):
        said(f"Words {n // 2 if n < 4 else n}.", at=NIGHT + timedelta(days=n))
    assert offered() == ["Words 7.", "Words 6.", "Words 5.", "Words 4.", "Words 1."]


def test_r206_only_the_same_phase_and_the_same_components() -> None:
    said("About the API.")
    said("About mail.", on="Mail", at=NIGHT + minutes(5))
    assert offered() == ["About the API."]
    assert offered(phase=Phase.RESOLVED) == []
    assert offered(components=[]) == ["About mail.", "About the API."]


def test_r206_those_of_the_same_policy_first_and_of_the_same_brand_only() -> None:
    mild = scene.severity("P3", 3)
    said("By another policy.", at=NIGHT + minutes(5), severity=mild)
    grave = said("By the same policy.")
    policy = grave.severity.version.policy_id
    assert offered(policy=policy) == ["By the same policy.", "By another policy."]
    assert offered(policy=mild.version.policy_id) == ["By another policy.", "By the same policy."]
    assert offered(brand=Brand.objects.get().pk + 1) == []


def test_r213_never_from_restricted_incidents_false_alarms_or_the_one_it_is_about() -> None:
    secret, false, own = (said(words, at=NIGHT + minutes(n)) for n, words in enumerate(("Secret.", "False.", "Own.")))
    Incident.objects.filter(pk=secret.pk).update(is_restricted=True)
    lifecycle.mark_false_alarm(false, body="Nothing was wrong.", by=scene.operator(), at=NIGHT + minutes(9))
    assert offered(apart_from=own.pk) == []
    assert offered() == ["Own."]
    assert wording.earlier(scene.operator("root", is_superuser=True), phase=Phase.RESOLVED) == []


def test_r1311_never_the_words_of_a_duplicate_which_only_say_where_it_goes_on() -> None:
    into, double = said("Ours."), said("Theirs.", at=NIGHT + minutes(1))
    lifecycle.merge(double, into, body="Please follow the other.", by=scene.operator(), at=NIGHT + minutes(9))
    assert offered() == ["Ours."]
    assert offered(phase=Phase.RESOLVED) == []


def test_r205_of_corrected_words_only_the_newest() -> None:
    incident = said("Wrong.")
    assert incident.notice
    update = incident.notice.updates.get()
    lifecycle.correct_update(incident, update, "Right.", by=scene.operator(), at=NIGHT + minutes(9))
    assert offered() == ["Right."]


def test_r206_its_facts_are_placeholders_again() -> None:
    body = (
        "**API is not answering** since 03:00 UTC on 20 November 2026. Affected: API (major outage). "
        "INC-2026-0001. Next by 03:30 UTC on 20 November 2026. APIs are not answering elsewhere."
    )
    german = Translation("**API is not answering** seit 03:00 UTC am 20. November 2026: API (ausgefallen).")
    said(body, draft={"next_update_by": NIGHT + minutes(30), "translations": {"de": german}})
    [found] = wording.earlier(scene.operator(), phase=Phase.INVESTIGATING)
    assert found.body == (
        "**{{issue}}** since {{started}}. Affected: {{impact}}. "
        "{{reference}}. Next by {{next_update}}. APIs are not answering elsewhere."
    )
    assert json.loads(found.as_json) == {
        "body": found.body,
        "sms": "",
        "chat": "",
        "body_de": "**{{issue}}** seit {{started}}: {{impact}}.",
        "sms_de": "",
        "chat_de": "",
    }


def test_r206_how_long_it_lasted_is_a_placeholder_once_it_was_over() -> None:
    incident = said("It began 1 hour 5 minutes ago.")
    assert offered() == ["It began 1 hour 5 minutes ago."]
    lifecycle.resolve(incident, body="It lasted 1 hour 5 minutes.", by=None, at=NIGHT + minutes(65), override="Sure.")
    assert offered(phase=Phase.RESOLVED) == ["It lasted {{duration}}."]


def test_it_costs_three_queries_however_many_there_were(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    user = scene.operator()
    user.has_perm("incidents.informed_of_security")
    for n in range(12):
        said(f"Words {n}.", at=NIGHT + timedelta(days=n))
    components = [scene.component("API").pk]
    with django_assert_num_queries(3):
        assert len(wording.earlier(user, phase=Phase.INVESTIGATING, components=components)) == wording.MOST


# --- the fragment ------------------------------------------------------------------------


def test_the_composer_asks_for_them_and_a_click_writes_them(client: Client) -> None:
    incident = said("We <b>look</b> into it.")
    desk.sit(client, "publish")
    asked = {"phase": "investigating", "component": [scene.component("API").pk, "x"], "severity": "nonsense"}
    page = client.get(reverse("admin:incidents_incident_earlier"), asked).content.decode()
    assert "We &lt;b&gt;look&lt;/b&gt; into it." in page
    assert desk.screen_of(incident) in page
    assert page.count("data-words=") == 1
    own = client.get(reverse("admin:incidents_incident_earlier_for", args=[incident.pk])).content.decode()
    assert "Nothing was said before as “Investigating”" in own


def test_r213_who_may_not_speak_or_may_not_know_gets_nothing(client: Client) -> None:
    incident = said("Secret.")
    address = reverse("admin:incidents_incident_earlier_for", args=[incident.pk])
    desk.sit(client, "view_incident")
    assert client.get(address).status_code == 403
    desk.sit(client, "publish")
    assert client.post(address).status_code == 405
    assert client.get(address, {"phase": "no such"}).status_code == 404
    Incident.objects.update(is_restricted=True)
    assert client.get(address).status_code == 404
