"""The preview while words are typed: every channel, every language, lint at its field, few queries (R-206, R-111)."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from incidents.admin.preview import Preview
from incidents.models import Policy, UpdateTemplate
from notifications.models import Brand
from status.enums import Phase
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import ADD
from tests.scene import NIGHT, minutes

LOOK = reverse("admin:incidents_incident_preview")


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NIGHT + minutes(12), tick=False):
        yield


@pytest.fixture
def ann(db: None, client: Client) -> Client:
    scene.brand()
    level = scene.severity("P1", 2)
    Policy.objects.filter(pk=level.version.policy_id).update(is_default=True)
    values = {"policy": level.version.policy, "phase": Phase.INVESTIGATING, "name": "Looking"}
    original = UpdateTemplate.objects.create(**values, body="{{issue}}: {{description}}", chat="Since {{started}}")
    UpdateTemplate.objects.create(
        **values, body="{{issue}}: {{description}}", chat="Seit {{started}}", language="de", translates=original
    )
    scene.component("API")
    desk.sit(client, *desk.ALL)
    return client


def typed(client: Client, **words: Any) -> dict[str, Any]:
    start = {"title": "API is down", "blank_description": "Calls fail.", "started_at": "2026-11-20 03:00"}
    return desk.opened(client, ADD, **(start | words))


def seen(client: Client, **words: Any) -> Preview:
    response = client.post(LOOK, typed(client, **words))
    shown: Preview = response.context["preview"]
    return shown


def test_r206_every_channel_and_every_language_is_shown(ann: Client) -> None:
    shown = seen(ann, blank_description_de="Anrufe scheitern.", sms="Down.", sms_de="Aus.")
    assert shown.chat == "Since 03:00 UTC on 20 November 2026"
    [german] = shown.languages
    assert (german.name, german.why_not, german.subject) == (
        "German",
        "",
        "[Northwind] Wird untersucht: API is down",
    )
    assert german.words
    assert german.words.text == "API is down: Anrufe scheitern."
    assert "Anrufe scheitern." in german.mail
    assert german.sms
    assert german.sms.text == "Northwind: Aus.\nAbmelden: STOP antworten"
    assert german.chat == "Seit 03:00 UTC am 20. November 2026"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({}, "{{description}} is not filled in"),
        ({"body_de": ""}, "there are no words"),
        (
            {"body": "Other words.", "blank_description_de": "Anrufe."},
            "the original was changed; check these words, then tick that they still fit",
        ),
    ],
)
def test_r206_a_language_that_does_not_go_out_says_why(ann: Client, words: dict[str, str], why: str) -> None:
    assert [spoken.why_not for spoken in seen(ann, **words).languages] == [why]


def test_r111_what_must_not_go_out_is_named_by_field_and_what_is_only_unfinished_is_not(ann: Client) -> None:
    Brand.objects.update(apologise=False)
    shown = seen(ann, title="", blank_description="", sms="So sorry", chat="GrÃ¼ÃŸe", body_de="Wir bedauern das.")
    assert [field for field, _ in shown.lint] == ["id_sms", "id_body_de", "id_chat"]


def test_the_preview_costs_the_same_queries_however_much_there_is(
    ann: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    marked = {f"levels-{scene.component('API').pk}": "major_outage"}
    data = typed(ann, blank_description_de="Anrufe scheitern.") | marked
    ann.post(LOOK, data)
    with django_assert_num_queries(QUERIES):
        ann.post(LOOK, data)
    for n in range(20):
        scene.component(f"Part {n}")
        scene.subscriber(f"r{n}@example.com")
    data |= {f"levels-{scene.component(f'Part {n}').pk}": "degraded_performance" for n in range(20)}
    with django_assert_num_queries(QUERIES):
        ann.post(LOOK, data)


#: Who asks, the levels with their grid, words, brands, components, reach, letters, and names of brands for each lint.
QUERIES = 20
