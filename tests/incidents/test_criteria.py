"""Criteria of the severity assistant as data of a policy: loaded, read, edited in drafts only (R-110, R-102)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from incidents import assistant, policies
from incidents.models import Criterion, PolicyVersion, Severity
from incidents.policies.loading import PRESETS, read
from tests.incidents.playbooks import LATER, level, of, presets
from tests.incidents.test_policy_admin import address, as_filled, complaints, save

__all__ = ["presets"]
#: Forms and what they draw: what they write is asked of both databases elsewhere.
pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def draft(presets: None) -> PolicyVersion:
    return policies.revise(of("public-status"), by=None, at=LATER)


def rules(severity: Severity) -> list[str]:
    return assistant.says(assistant.candidate(severity))


@pytest.mark.usefixtures("presets")
def test_r110_every_criterion_of_the_presets_is_loaded_and_can_be_read() -> None:
    for slug in PRESETS:
        for row in read(slug)["severities"]:
            loaded = assistant.candidate(level(slug, row["code"]))
            assert [len(rule) for rule in loaded.rules] == [len(rule) for rule in row.get("criteria", ())], row["code"]
    assert {row.severity.code for row in Criterion.objects.filter(severity__is_maintenance=True)} == set()


@pytest.mark.usefixtures("presets")
def test_r110_a_policy_says_when_each_of_its_levels_is_proposed() -> None:
    assert rules(level("public-status", "major")) == [
        "what is hit: everything is down and it has lasted more than 5 minutes",
        "data lost or corrupted: some or worse",
        "security breach: yes",
        "more than 50 % of users are affected",
    ]


def test_r110_the_policy_page_shows_them(admin_client: Client, draft: PolicyVersion) -> None:
    page = admin_client.get(address("policy_change", draft.policy_id)).content.decode()
    assert "more than 50 % of users are affected" in page
    shown = admin_client.get(address("severity_change", level("public-status", "minor").pk)).content.decode()
    assert "Share of users affected, %" in shown
    assert "<select" not in shown.partition("proposed by the assistant when")[2]


def test_r110_a_criterion_is_edited_in_a_draft_and_the_version_in_force_keeps_its_own(
    admin_client: Client, draft: PolicyVersion
) -> None:
    major = draft.severities.get(code="major")
    last = major.criteria.count() - 1
    saved = save(admin_client, address("severity_change", major.pk), **{f"criteria__{last}__value": "40.0"})
    assert saved.status_code == 302, complaints(saved)
    assert rules(major)[-1] == "more than 40 % of users are affected"
    assert rules(level("public-status", "major"))[-1] == "more than 50 % of users are affected"
    before = policies.in_force(draft.policy)
    assert before is not None
    changes = policies.differences(policies.overview(before), policies.overview(draft))
    assert [(what, after.rpartition("; or ")[2]) for _, what, _, after in changes] == [
        ("Proposed when", "more than 40 % of users are affected")
    ]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"value": "half"}, {"value": ["Write a number such as 40 or 12.5, without a unit."]}),
        ({"value": "140"}, {"value": ["At most 100."]}),
        (
            {"comparison": "is"},
            {
                "comparison": [
                    "“Share of users affected, %” is a number. Choose “more than”, “at least”, “at most”, “less than”."
                ]
            },
        ),
        (
            {"fact": "breach", "value": "yes"},
            {"comparison": ["“Security breach” is a word. Choose “is”, “at least”, “at most”."]},
        ),
        (
            {"fact": "tenants", "comparison": "at_least", "value": "lots"},
            {"value": ["Say one of: none, one, few, many, all."]},
        ),
    ],
)
def test_r110_what_makes_no_criterion_is_named_at_its_field(
    admin_client: Client, draft: PolicyVersion, typed: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    major = draft.severities.get(code="major")
    before, last = rules(major), major.criteria.count() - 1
    changes = {f"criteria__{last}__{name}": value for name, value in typed.items()}
    answer = save(admin_client, address("severity_change", major.pk), **changes)
    assert complaints(answer) == {f"criteria-{last}-{name}": words for name, words in expected.items()}
    assert rules(major) == before


def test_r102_criteria_of_a_version_in_force_stay(admin_client: Client, draft: PolicyVersion) -> None:
    major = draft.severities.get(code="major")
    url = address("severity_change", major.pk)
    sent = as_filled(admin_client.get(url)) | {"criteria-0-value": "none", "_save": "Save"}
    policies.put_in_force(draft, by=None, at=LATER)
    assert admin_client.post(url, sent).status_code == 403
    with pytest.raises(policies.PolicyError, match="can no longer be changed"):
        major.criteria.all()[0].save()


def test_a_rule_that_cannot_be_read_is_left_out(draft: PolicyVersion) -> None:
    major = draft.severities.get(code="major")
    major.criteria.filter(fact="share").update(value="half")
    assert len(rules(major)) == 3
