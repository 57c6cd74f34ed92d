"""The assistant by one call: facts in, the level, its rule and what is missing out (R-110, R-106, R-1203)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from incidents.enums import Fact
from tests import scene
from tests.incidents.playbooks import presets

__all__ = ["presets"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("presets")]
URL = "/api/v1/severity-proposals"


@pytest.fixture
def ann(client: Client) -> Client:
    user = scene.operator("ann")
    user.user_permissions.set(Permission.objects.filter(codename="view_incident"))
    client.force_login(user)
    return client


def ask(client: Client, **body: Any) -> Any:
    return client.post(URL, body, content_type="application/json")


def test_r110_facts_in_and_the_level_with_its_rule_out(ann: Client) -> None:
    answer = ask(ann, policy="enterprise-sla", facts={"function": "minor", "tenants": "few"})
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "policy": "enterprise-sla",
        "version": 1,
        "proposal": {"code": "P2", "label": "Medium", "rank": 3},
        "rule": "what is hit: a function that is not critical or worse",
        "alternatives": [{"code": "P3", "label": "Low", "rank": 4}],
        "gap": "",
        "edge": "",
        "asked": [
            {
                "fact": "data_loss",
                "label": "Data lost or corrupted",
                "choices": {"none": "No", "partial": "Some", "all": "Much or all"},
            },
            {"fact": "breach", "label": "Security breach", "choices": {"no": "No", "yes": "Yes"}},
        ],
        "unread": [],
        "severity": None,
        "agrees": None,
    }


def test_r110_the_gap_and_the_edge_are_told(ann: Client) -> None:
    gap = ask(ann, policy="public-status", facts={"function": "degraded", "minutes": 40, "share": 30}).json()
    assert gap["proposal"] is None
    assert "Major would need that" in gap["gap"]
    assert "Minor would need that it has lasted less than 5 minutes (here: 40)" in gap["gap"]
    edge = ask(ann, policy="public-status", facts={"share": 50.0}).json()
    assert edge["edge"].startswith("Share of users affected, %: 50 is exactly on the edge.")


def test_errors_stand_at_the_names_of_the_facts(ann: Client) -> None:
    refused = ask(ann, policy="public-status", facts={"share": "lots", "weather": "bad", "breach": True})
    assert refused.status_code == 400
    assert refused.json() == {
        "facts": {
            "share": ["Write a number such as 40 or 12.5, without a unit."],
            "weather": [f"There is no such fact. Known are: {', '.join(Fact.values)}."],
            "breach": ["Say one of: no, yes."],
        }
    }


@pytest.mark.parametrize("facts", ["x", 1, [], ["share"]])
def test_facts_are_an_object(ann: Client, facts: object) -> None:
    refused = ask(ann, policy="public-status", facts=facts)
    assert (refused.status_code, list(refused.json())) == (400, ["facts"])


@pytest.mark.parametrize("policy", ["nobody", 7, ["x"], {"a": 1}, "x\x00y"])
def test_a_policy_that_nobody_knows_is_404_with_the_names_there_are(ann: Client, policy: object) -> None:
    refused = ask(ann, policy=policy, facts={})
    assert refused.status_code == 404
    assert refused.json()["known"] == [
        "consumer-app",
        "enterprise-sla",
        "platform-sev",
        "public-status",
        "startup-sev",
    ]


def test_r106_a_severity_in_words_names_the_policy_and_is_compared(ann: Client) -> None:
    told = ask(ann, severity="sev-2", policy="platform-sev", facts={"function": "all"}).json()
    assert (told["policy"], told["severity"]["code"], told["agrees"]) == ("platform-sev", "SEV-2", False)
    assert ask(ann, severity="1", policy="platform-sev", facts={"function": "all"}).json()["agrees"] is True
    assert ask(ann, severity="maintenance", facts={}).json()["policy"] == "public-status"


@pytest.mark.parametrize(
    ("severity", "words"),
    [
        (2, "“2” is only a number, and policies count differently."),
        ("2", "“2” is only a number, and policies count differently."),
        ("P0", "“P0” means "),
        ("zz", "“zz” is not a severity of any policy in force."),
        (True, "Name it in words"),
    ],
)
def test_r106_a_bare_number_or_an_unclear_word_is_refused_without_a_policy(
    ann: Client, severity: object, words: str
) -> None:
    refused = ask(ann, severity=severity, facts={})
    assert refused.status_code == 400
    assert refused.json()["severity"][0].startswith(words)


def test_something_must_name_the_policy(ann: Client) -> None:
    refused = ask(ann, facts={})
    assert (refused.status_code, refused.json()["policy"][0]) == (400, "Name a policy.")


@pytest.mark.parametrize("body", ["[]", "1", '"x"', "{", "null", ""])
def test_what_is_no_object_is_refused(ann: Client, body: str) -> None:
    assert ann.post(URL, body, content_type="application/json").status_code == 400


def test_who_may_not_see_incidents_may_not_ask(client: Client) -> None:
    assert ask(client, policy="public-status").status_code == 403
    user = scene.operator("eve")
    client.force_login(user)
    assert ask(client, policy="public-status").status_code == 403
    user.is_staff = False
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename="view_incident"))
    assert ask(client, policy="public-status").status_code == 403


def test_a_foreign_page_cannot_ask_in_somebodys_name() -> None:
    browser = Client(enforce_csrf_checks=True)
    user = scene.operator("ann")
    user.user_permissions.set(Permission.objects.filter(codename="view_incident"))
    browser.force_login(user)
    assert ask(browser, policy="public-status", facts={}).status_code == 403


def test_only_what_is_offered_can_be_done(ann: Client) -> None:
    assert ann.get(URL).status_code == 405
    assert ann.delete(reverse("api:obligations")).status_code in (403, 405)
