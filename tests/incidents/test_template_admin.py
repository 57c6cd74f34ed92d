"""Templates at the console: brand, language, what is refused at its field, samples to read (R-206, R-111)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from incidents.models import Policy, UpdateTemplate
from incidents.words import WORK_PLACEHOLDERS
from notifications.models import Brand
from status.enums import Phase
from tests import scene

pytestmark = pytest.mark.django_db
ADD = reverse("admin:incidents_updatetemplate_add")


@pytest.fixture
def ann(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ann"))
    return client


@pytest.fixture
def original() -> UpdateTemplate:
    policy = Policy.objects.create(slug="house", name="House rules")
    return UpdateTemplate.objects.create(
        policy=policy, phase=Phase.INVESTIGATING, name="Looking", body="{{issue}} since {{started}}.", chat="{{impact}}"
    )


def written(original: UpdateTemplate, **typed: Any) -> dict[str, Any]:
    start = {
        "policy": original.policy_id,
        "phase": original.phase,
        "name": original.name,
        "position": 0,
        "language": "de",
        "translates": original.pk,
        "body": "{{issue}} seit {{started}}.",
    }
    return start | typed


def refused(client: Client, data: dict[str, Any]) -> dict[str, list[str]]:
    response = client.post(ADD, data)
    assert response.status_code == 200
    return {name: list(messages) for name, messages in response.context["adminform"].form.errors.items()}


def test_r206_a_translation_belongs_to_its_original(ann: Client, original: UpdateTemplate) -> None:
    assert ann.post(ADD, written(original)).status_code == 302
    german = UpdateTemplate.objects.get(language="de")
    assert (german.translates, german.policy, german.phase) == (original, original.policy, original.phase)
    page = ann.get(reverse("admin:incidents_updatetemplate_change", args=[original.pk])).content.decode()
    assert "Checkout is failing seit 14:05 UTC am 20. November 2026." in page
    assert "API (major outage) and Checkout (degraded performance)" in page
    assert page.count("the incident’s own facts") >= 12
    assert "a person" in page


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"language": "en"}, "language"),
        ({"phase": Phase.RESOLVED}, "phase"),
        ({"translates": ""}, "translates"),
        ({"language": "xx"}, "language"),
        ({"chat": "{{cuase}}"}, "chat"),
        ({"body": "{{cuase}}"}, "body"),
        ({"body": "GrÃ¼ÃŸe"}, "body"),
        ({"sms": "GrÃ¼ÃŸe"}, "sms"),
        ({"chat": "x" * 1001}, "chat"),
    ],
)
def test_r206_what_is_wrong_is_said_at_its_field(
    ann: Client, original: UpdateTemplate, typed: dict[str, Any], field: str
) -> None:
    assert list(refused(ann, written(original, **typed))) == [field]


def test_r111_words_of_a_brand_are_how_it_speaks(ann: Client, original: UpdateTemplate) -> None:
    ours = scene.brand(apologise=False, publish_causes=False)
    Brand.objects.create(
        slug="other", name="Southwind", sender_name="x", sender_email="a@s.example", support_email="b@s.example"
    )
    data = written(
        original,
        language="en",
        translates="",
        brand=ours.pk,
        name="Ours",
        body="Because of {{cause}}.",
        sms="Southwind is down.",
        chat="We are sorry.",
    )
    assert refused(ann, data) == {
        "sms": ["It names another brand: Southwind."],
        "body": ["Northwind does not publish causes. Remove {{cause}} from the text."],
        "chat": ["Northwind does not apologise in its messages. Please change “sorry”."],
    }
    sound = data | {"body": "Down.", "sms": "Northwind is down.", "chat": ""}
    assert ann.post(ADD, sound).status_code == 302
    assert refused(ann, written(original, brand=ours.pk)) == {
        "brand": ["The original has none here; a translation has the same."]
    }


def test_the_policy_lists_its_originals_only(ann: Client, original: UpdateTemplate) -> None:
    ann.post(ADD, written(original))
    response = ann.get(reverse("admin:incidents_policy_change", args=[original.policy_id]))
    assert response.context["templates"] == [original]


def test_r501_words_about_planned_work_have_placeholders_of_their_own(ann: Client, original: UpdateTemplate) -> None:
    work = {"language": "en", "translates": "", "phase": Phase.SCHEDULED, "name": "Planned"}
    known = ", ".join("{{" + name + "}}" for name in WORK_PLACEHOLDERS)
    assert refused(ann, written(original, **work, body="Because of {{cause}}.")) == {
        "body": [f"Nothing fills {{{{cause}}}}. Known are: {known}."]
    }
    assert "body" in refused(ann, written(original, language="en", translates="", body="{{rollback}}"))
    said = "{{issue}}: {{description}} Otherwise: {{rollback}} Done by {{next_update}}."
    assert ann.post(ADD, written(original, **work, body=said)).status_code == 302
    planned = UpdateTemplate.objects.get(phase=Phase.SCHEDULED)
    page = ann.get(reverse("admin:incidents_updatetemplate_change", args=[planned.pk])).content.decode()
    assert "The database moves to a newer version. Otherwise: We go back to the old version." in page
