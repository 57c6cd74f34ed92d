"""R-901 and R-107: preset B ships the playbook's tiers; a playbook that is silent about credits has no rules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from pytest_django import DjangoAssertNumQueries

from incidents import policies
from incidents.models import Policy
from postmortems.credits.rules import presets, rulebooks, rulewords
from postmortems.models import Batch, RuleBook, RuleVersion
from tests.postmortems import stage
from tests.scene import NIGHT

pytestmark = pytest.mark.django_db
LATER = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def houses() -> None:
    policies.load_presets(at=NIGHT)


@pytest.mark.usefixtures("houses")
def test_r901_cell_by_cell() -> None:
    presets.load_presets(at=NIGHT)
    version = RuleVersion.objects.get()
    tiers = version.tiers.order_by("rank", "longer_than_seconds")
    assert [(one.measure, one.rank, one.code, one.longer_than_seconds, one.percent) for one in tiers] == [
        ("duration", 1, "P0", 3_600, Decimal(10)),
        ("duration", 1, "P0", 14_400, Decimal(25)),
        ("duration", 2, "P1", 14_400, Decimal(5)),
    ]
    assert {name: getattr(version, name) for name in rulebooks.FIELDS} == {
        "stacking": "sum", "overlap": "union", "mix": "higher", "clock": "impact", "scope": "used",
        "least_level": "degraded_performance", "proration": "seconds", "cap_percent": Decimal(100), "notice_days": 7,
        "hold_hours": 24, "second_above": None,
    }  # fmt: skip
    assert (version.is_draft, version.applies_from, version.in_force_at) == (False, None, NIGHT)
    assert [row.what for row in rulewords.sentences(tiers)] == [
        "P0 longer than 1 h", "P0 longer than 4 h", "P1 or worse longer than 4 h",
    ]  # fmt: skip
    assert [one for one in rulebooks.check(version) if one.is_error] == []


@pytest.mark.usefixtures("houses")
def test_r107_the_other_playbooks_are_silent_about_credits() -> None:
    presets.load_presets(at=NIGHT)
    assert [(book.policy.slug, book.plan) for book in RuleBook.objects.all() if book.policy] == [("enterprise-sla", "")]
    assert Policy.objects.count() == 5


@pytest.mark.usefixtures("houses")
def test_loading_twice_changes_nothing(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    told = StringIO()
    call_command("load_credit_rules", stdout=told)
    before = list(RuleVersion.objects.values())
    with django_assert_max_num_queries(4):
        call_command("load_credit_rules", stdout=told)
    assert told.getvalue() == "Enterprise SLA: loaded\nEnterprise SLA: unchanged\n"
    assert list(RuleVersion.objects.values()) == before


def test_without_the_policy_there_is_nothing_to_load() -> None:
    told = StringIO()
    call_command("load_credit_rules", stdout=told)
    assert told.getvalue() == "There is no policy yet that rules come with. Run load_policies first.\n"


def test_codes_come_from_the_policy_and_a_name_that_is_taken_gets_a_number() -> None:
    stage.policy_b()
    stage.rules(own=True, name="Enterprise SLA")
    loaded = presets.load_presets(at=NIGHT)
    assert [(one.book.name, one.created) for one in loaded] == [("Enterprise SLA 2", True)]


def test_months_that_were_closed_without_rules_stay_as_they_are() -> None:
    contract = stage.contract()
    contract.months.create(month=date(2026, 10, 1), starts_at=NIGHT, ends_at=LATER)
    Batch.objects.create(
        number="CR-2026-0001", month=date(2026, 10, 1), closed_at=LATER, count=0, digest="", csv=b"", xlsx=b"", json=b""
    )
    presets.load_presets(at=LATER)
    assert RuleVersion.objects.get().applies_from == date(2026, 11, 1)


def test_rules_that_do_not_fit_the_policy_any_more_stay_a_draft() -> None:
    policy = stage.policy_b()
    draft = policies.revise(policy, by=None, at=NIGHT)
    for level in draft.severities.all():
        level.counts_for_credits = False
        level.save()
    policies.put_in_force(draft, by=None, at=NIGHT)
    presets.load_presets(at=LATER)
    assert RuleVersion.objects.get().is_draft
