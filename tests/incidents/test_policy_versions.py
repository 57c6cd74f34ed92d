"""Versions of a policy: frozen in force, revised as drafts, told apart cell by cell (R-102)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from incidents import policies
from incidents.enums import Standing
from incidents.models import (
    ChannelRule,
    Contradiction,
    Duty,
    Policy,
    PolicyVersion,
    Severity,
    SupportTarget,
)
from incidents.policies import PolicyError
from tests import scene
from tests.incidents.playbooks import LATER, level, of, presets
from tests.scene import NIGHT

__all__ = ["presets"]
pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("presets")
def test_r102_a_new_version_is_a_copy_that_changes_nothing_until_it_is_put_in_force() -> None:
    ann = scene.operator()
    b = of("enterprise-sla")
    draft = policies.revise(b, by=ann, at=LATER)
    old = policies.in_force(b)
    assert old is not None
    assert (draft.number, draft.standing, draft.drafted_by, draft.drafted_at) == (2, Standing.DRAFT, ann, LATER)
    assert policies.differences(policies.overview(old), policies.overview(draft)) == []
    assert set(draft.severities.values_list("pk")) & set(old.severities.values_list("pk")) == set()
    assert policies.revise(b, by=ann, at=LATER) == draft
    assert old.number == 1


@pytest.mark.usefixtures("presets")
def test_r102_putting_in_force_retires_the_old_version_and_twice_is_once() -> None:
    ann = scene.operator()
    a = of("public-status")
    old, draft = policies.in_force(a), policies.revise(a, by=ann, at=LATER)
    assert old is not None
    policies.put_in_force(draft, by=ann, at=LATER)
    policies.put_in_force(draft, by=scene.operator("ben"), at=LATER + timedelta(days=1))
    old.refresh_from_db()
    assert (old.standing, old.in_force_at) == (Standing.RETIRED, NIGHT)
    assert (draft.standing, draft.in_force_at, draft.in_force_by) == (Standing.IN_FORCE, LATER, ann)
    assert policies.in_force(a) == draft
    with pytest.raises(PolicyError, match=r"^Public status page v1 is retired\. Start a new version instead\.$"):
        policies.put_in_force(old, by=ann, at=LATER)


@pytest.mark.usefixtures("presets")
def test_r102_an_incident_keeps_the_version_it_was_declared_under() -> None:
    incident = scene.incident(severity=level("enterprise-sla", "P0"))
    owed = list(incident.obligations.values_list("kind", "due_at", "limit_at"))
    draft = policies.revise(of("enterprise-sla"), by=None, at=LATER)
    draft.severities.get(code="P0").duties.all().delete()
    policies.put_in_force(draft, by=None, at=LATER)
    incident.refresh_from_db()
    assert incident.policy_version.number == 1
    assert list(incident.obligations.values_list("kind", "due_at", "limit_at")) == owed
    assert incident.severity.duties.count() == 8


@pytest.mark.usefixtures("presets")
@pytest.mark.parametrize("part", [Severity, Duty, ChannelRule, SupportTarget])
def test_r102_parts_of_a_version_in_force_refuse_to_be_saved_or_deleted(part: type[Severity]) -> None:
    row = part._default_manager.filter(**of_a(part)).first()
    assert row is not None
    words = r"^Public status page v1 is in force and can no longer be changed\. Start a new version\.$"
    with pytest.raises(PolicyError, match=words):
        row.save()
    with pytest.raises(PolicyError, match=words):
        row.delete()


@pytest.mark.usefixtures("presets")
@pytest.mark.parametrize("part", [Severity, Duty, ChannelRule, SupportTarget])
@pytest.mark.parametrize("standing", [Standing.IN_FORCE, Standing.RETIRED])
def test_r102_the_database_refuses_what_goes_around_the_models(part: type[Severity], standing: Standing) -> None:
    if standing == Standing.RETIRED:
        policies.put_in_force(policies.revise(of("public-status"), by=None, at=LATER), by=None, at=LATER)
    rows = part._default_manager.filter(**of_a(part))
    with pytest.raises(IntegrityError, match="can no longer be changed"), transaction.atomic():
        rows.update(**{of_a_key(part): getattr(rows[0], of_a_key(part))})
    again = rows[0]
    again.pk = None
    with pytest.raises(IntegrityError, match="can no longer be changed"), transaction.atomic():
        part._default_manager.bulk_create([again])


def of_a(part: type) -> dict[str, str]:
    return {f"{'severity__' if part in (Duty, ChannelRule) else ''}version__policy__slug": "public-status"}


def of_a_key(part: type) -> str:
    """A column to write, with the value it has: even that is refused."""
    return {Severity: "label", Duty: "note", ChannelRule: "setting", SupportTarget: "amount"}[part]


@pytest.mark.usefixtures("presets")
@pytest.mark.parametrize(
    "change",
    [
        {"work_zone": "Europe/Berlin"},
        {"work_days": "0"},
        {"holiday_country": "DE"},
        {"in_force_at": LATER},
        {"number": 9},
        {"standing": Standing.DRAFT},
    ],
    ids=str,
)
def test_r102_the_database_refuses_to_rewrite_a_version_in_force(change: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="can no longer be changed"), transaction.atomic():
        PolicyVersion.objects.filter(policy__slug="public-status").update(**change)


@pytest.mark.usefixtures("presets")
def test_r102_the_words_of_a_contradiction_are_frozen_too() -> None:
    with pytest.raises(IntegrityError, match="can no longer be changed"), transaction.atomic():
        Contradiction.objects.update(shipped="Something milder.")


@pytest.mark.usefixtures("presets")
def test_r102_what_was_in_force_cannot_be_deleted_but_a_draft_can() -> None:
    a = of("public-status")
    with pytest.raises(PolicyError, match="Public status page has been in force"):
        a.delete()
    version = policies.in_force(a)
    assert version is not None
    with pytest.raises(PolicyError, match="can no longer be changed"):
        version.delete()
    draft = policies.revise(a, by=None, at=LATER)
    draft.delete()
    assert policies.revise(a, by=None, at=LATER).number == 2


@pytest.mark.usefixtures("presets")
def test_a_draft_with_flaws_is_refused_with_each_of_them_named() -> None:
    draft = policies.revise(of("enterprise-sla"), by=None, at=LATER)
    Severity.objects.filter(version=draft, code="P1").update(rank=1, aliases=["p-2"])
    PolicyVersion.objects.filter(pk=draft.pk).update(work_zone="Mars/Base", holiday_country="")
    with pytest.raises(PolicyError) as refused:
        policies.put_in_force(draft, by=None, at=LATER)
    assert str(refused.value) == (
        "Enterprise SLA v2 cannot be put in force. Rank 1 is given to 2 severities. “p2” means 2 severities. "
        "“Mars/Base” is not a time zone. Write it like Europe/Berlin."
    )
    assert policies.in_force(of("enterprise-sla")) == PolicyVersion.objects.get(policy__slug="enterprise-sla", number=1)


def test_a_policy_of_ones_own_starts_with_an_empty_draft() -> None:
    ours = Policy.objects.create(slug="ours", name="Ours")
    draft = policies.revise(ours, by=None, at=NIGHT)
    assert draft.number == 1
    with pytest.raises(PolicyError, match=r"Ours v1 cannot be put in force\. It has no severity\."):
        policies.put_in_force(draft, by=None, at=NIGHT)
    Severity.objects.create(version=draft, rank=1, code="A1", label="Alarm", meaning="All is down.")
    policies.put_in_force(draft, by=None, at=NIGHT)
    assert policies.in_force(ours) == draft


@pytest.mark.usefixtures("presets")
def test_differences_are_told_cell_by_cell() -> None:
    old = policies.in_force(of("startup-sev"))
    assert old is not None
    draft = policies.revise(of("startup-sev"), by=None, at=LATER)
    worst = draft.severities.get(code="SEV1")
    worst.duties.filter(kind="respond").update(amount=10, limit=20)
    worst.channel_rules.filter(wire="webhook").delete()
    Severity.objects.filter(pk=worst.pk).update(label="Emergency")
    assert policies.differences(policies.overview(old), policies.overview(draft)) == [
        ("SEV1", "Respond within", "5 min", "10–20 min"),
        ("SEV1", "Label", "Critical", "Emergency"),
        ("SEV1", "Webhook", "Everybody: On", "—"),
    ]


@pytest.mark.usefixtures("presets")
def test_an_overview_takes_the_same_few_queries_whatever_its_size(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for slug in ("startup-sev", "consumer-app"):
        version = policies.in_force(of(slug))
        assert version is not None
        with django_assert_num_queries(6):
            policies.overview(version)
