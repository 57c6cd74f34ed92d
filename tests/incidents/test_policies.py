"""Policies as data, beside the table: R-101, R-103, R-104, R-107, R-108, R-112, R-206."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
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
    UpdateTemplate,
)
from incidents.policies import PolicyError
from incidents.words import PLACEHOLDERS, find_placeholders
from status.enums import Phase
from status.models import AnswerTarget
from tests import scene
from tests.incidents.playbooks import LATER, PARTS, level, of, presets
from tests.scene import NIGHT

__all__ = ["presets"]
pytestmark = pytest.mark.django_db


def counts() -> list[int]:
    return [part._default_manager.count() for part in (Policy, PolicyVersion, *PARTS)]


def test_r101_loading_twice_changes_nothing() -> None:
    first = policies.load_presets(at=NIGHT)
    before = counts()
    second = policies.load_presets(at=LATER)
    assert [one.created for one in first] == [True] * 5
    assert [one.created for one in second] == [False] * 5
    assert counts() == before == [5, 5, 19, 122, 64, 16, 4, 52]
    assert set(PolicyVersion.objects.values_list("standing", "in_force_at")) == {(Standing.IN_FORCE, NIGHT)}


def test_r101_the_command_says_what_it_did() -> None:
    told = StringIO()
    call_command("load_policies", stdout=told)
    call_command("load_policies", stdout=told)
    slugs = ("public-status", "enterprise-sla", "consumer-app", "startup-sev", "platform-sev")
    assert told.getvalue().splitlines() == [
        *(f"{slug}: loaded" for slug in slugs),
        "runbook: 13 lines loaded",
        *(f"{slug}: unchanged" for slug in slugs),
        "runbook: unchanged",
    ]


@pytest.mark.usefixtures("presets")
def test_r101_loading_again_keeps_the_owners_edits_and_brings_back_only_what_is_missing() -> None:
    b = of("enterprise-sla")
    b.name = "Our SLA"
    b.save()
    draft = policies.revise(b, by=None, at=LATER)
    draft.severities.get(code="P0").duties.filter(kind="respond").update(amount=10)
    policies.put_in_force(draft, by=None, at=LATER)
    policies.load_presets(at=LATER)
    assert of("enterprise-sla").name == "Our SLA"
    assert level("enterprise-sla", "P0").duties.get(kind="respond").amount == 10
    assert level("enterprise-sla", "P0").version.number == 2


def test_r101_the_first_preset_is_offered_first_unless_the_owner_chose_another() -> None:
    Policy.objects.create(slug="ours", name="Ours", is_default=True)
    policies.load_presets(at=NIGHT)
    assert list(Policy.objects.filter(is_default=True).values_list("slug", flat=True)) == ["ours"]
    Policy.objects.all().update(is_default=False)
    assert not of("public-status").is_default


@pytest.mark.usefixtures("presets")
def test_r101_a_is_the_default() -> None:
    assert Policy.objects.get(is_default=True).slug == "public-status"


@pytest.mark.usefixtures("presets")
def test_r101_every_loaded_row_would_pass_its_own_form() -> None:
    for part in (Policy, PolicyVersion, *PARTS):
        for row in part._default_manager.all():
            row.full_clean()
    for version in PolicyVersion.objects.all():
        assert policies.flaws(version) == []


def test_loading_costs_the_same_queries_per_preset(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_max_num_queries(5 * 27):
        policies.load_presets(at=NIGHT)
    with django_assert_max_num_queries(3):
        policies.load_presets(at=LATER)


@pytest.mark.usefixtures("presets")
def test_also_policy_data_of_section_1() -> None:
    levels = Severity.objects.in_force()

    def named(**facts: object) -> set[tuple[str, str]]:
        return set(levels.filter(**facts).values_list("version__policy__slug", "code"))

    b, e = "enterprise-sla", "platform-sev"
    assert named(banner=True) == {(b, "P0")}
    assert named(direct_enterprise=True) == {(b, "P0"), (e, "SEV-1"), (e, "SEV-2")}
    assert named(counts_for_credits=True) == {(b, "P0"), (b, "P1")}
    assert named(is_maintenance=True) == {("public-status", "maintenance")}
    assert named(publicity="never") == {("startup-sev", "SEV4"), (e, "SEV-4")}
    assert named(publicity="internal") == {("startup-sev", "SEV3")}
    assert named(publicity="if_visible") == {(e, "SEV-3")}
    assert named(publicity="unsaid") == {(b, "P2"), (b, "P3"), ("consumer-app", "P2"), ("consumer-app", "P3")}
    assert not levels.filter(meaning="").exists()
    assert not levels.filter(examples="").exists()


@pytest.mark.usefixtures("presets")
@pytest.mark.parametrize(
    ("slug", "code", "paged"),
    [
        ("public-status", "major", "On-call (15 min), then the engineering lead, then CTO or VP."),
        ("enterprise-sla", "P0", "On-call, then the team lead, then the VP, then the CTO."),
        ("enterprise-sla", "P1", "On-call, then the team lead, then the VP."),
        ("consumer-app", "P0", "At once: L1 on-call, L2 senior and tech lead, L3 manager and outside help."),
        (
            "consumer-app",
            "P1",
            "L1 on-call; after 2 h by itself L2 senior and tech lead, then L3 manager and outside help.",
        ),
        ("startup-sev", "SEV1", "On-call and leadership."),
        ("startup-sev", "SEV2", "On-call."),
        ("startup-sev", "SEV3", ""),
        (
            "platform-sev",
            "SEV-1",
            "On-call (answers within 5 min) and lead at once, VP after 15 min, CTO after 30, CEO after 60.",
        ),
        ("platform-sev", "SEV-4", ""),
    ],
)
def test_r401_who_is_paged(slug: str, code: str, paged: str) -> None:
    assert level(slug, code).paged == paged


Also = set[tuple[str, str, int | None, str]]


def also(severity: Severity) -> Also:
    """Post-mortem duties of R-103, which the table does not show."""
    beside = severity.duties.filter(condition__in=["long", "security", "repeat", "on_request"])
    return set(beside.values_list("condition", "kind", "amount", "unit"))


@pytest.mark.usefixtures("presets")
@pytest.mark.parametrize("code", ["P1", "P2", "P3"])
def test_r103_c_owes_a_post_mortem_for_long_security_and_repeat_incidents(code: str) -> None:
    expected: Also = set()
    for condition in ("long", "security", "repeat"):
        expected |= {(condition, "review_scheduled", 48, "hours"), (condition, "review_published", 7, "days")}
        expected |= {(condition, "action_review", 30, "days")}
    assert also(level("consumer-app", code)) == expected


@pytest.mark.usefixtures("presets")
def test_r103_a_owes_one_for_security_redacted_and_on_request() -> None:
    minor = level("public-status", "minor")
    assert also(minor) == {
        ("security", "review_published", 14, "days"),
        ("on_request", "review_published", 14, "days"),
        ("security", "action_review", 30, "days"),
        ("on_request", "action_review", 30, "days"),
    }
    assert minor.duties.get(condition="security", kind="review_published").note == "Redacted as needed."
    # Major owes one always, and maintenance never.
    assert also(level("public-status", "major")) == also(level("public-status", "maintenance")) == set()


@pytest.mark.usefixtures("presets")
def test_r103_no_other_preset_borrows_them() -> None:
    for slug in ("enterprise-sla", "startup-sev", "platform-sev"):
        assert [also(row) for row in Severity.objects.in_force().filter(version__policy__slug=slug)] == [set()] * 4


@pytest.mark.usefixtures("presets")
def test_r104_support_answers_of_a_and_of_nobody_else() -> None:
    assert list(SupportTarget.objects.values_list("version__policy__slug", "priority", "amount", "unit")) == [
        ("public-status", "Critical", 1, "hours"),
        ("public-status", "High", 4, "hours"),
        ("public-status", "Medium", 24, "hours"),
        ("public-status", "Low", 3, "business_days"),
    ]


@pytest.mark.usefixtures("presets")
def test_r104_the_public_page_promises_what_the_policy_offered_first_says() -> None:
    def promised() -> list[tuple[str, str]]:
        return list(AnswerTarget.objects.values_list("priority", "words"))

    shown = [
        ("Critical", "within 1 hour"),
        ("High", "within 4 hours"),
        ("Medium", "within 24 hours"),
        ("Low", "within 3 business days"),
    ]
    assert promised() == shown
    draft = policies.revise(of("public-status"), by=None, at=LATER)
    draft.support_targets.filter(priority="High").update(amount=2)
    assert promised() == shown
    policies.put_in_force(draft, by=None, at=LATER)
    assert promised()[1] == ("High", "within 2 hours")
    policies.put_in_force(policies.revise(of("startup-sev"), by=None, at=LATER), by=None, at=LATER)
    assert promised()[1] == ("High", "within 2 hours")
    policies.offer_first(of("startup-sev"))
    assert promised() == []
    assert Policy.objects.get(is_default=True).slug == "startup-sev"
    with pytest.raises(PolicyError, match="Ours can be offered once a version is in force"):
        policies.offer_first(Policy.objects.create(slug="ours", name="Ours"))


@pytest.mark.usefixtures("presets")
def test_r107_every_obligation_says_who_owes_it_to_whom_and_from_when() -> None:
    assert not Duty.objects.filter(owner_role="").exists()
    found = {
        kind: set(Duty.objects.filter(kind=kind).values_list("starts_from", "repeats", "audience"))
        for kind in Duty.objects.values_list("kind", flat=True)
    }
    assert found == {
        "respond": {("declared", False, "staff")},
        "first_update": {("declared", False, "public"), ("acknowledged", False, "public")},
        "public_update": {("last_update", True, "public")},
        "internal_update": {("declared", True, "staff")},
        "resolve": {("declared", False, "staff"), ("planned_end", False, "staff")},
        "start_update": {("planned_start", False, "public")},
        "end_update": {("planned_end", False, "public")},
        "escalate": {("declared", False, "staff")},
        "enterprise_letters": {("declared", False, "enterprise"), ("acknowledged", False, "enterprise")},
        "maintenance_notice": {("planned_start", False, "public")},
        "action_review": {("resolved", False, "staff")},
        "review_scheduled": {("resolved", False, "staff")},
        "review_published": {("resolved", False, "staff"), ("resolved", False, "public")},
    }


Time = tuple[str, str, int | None, int | None, str]


def times(kind: str) -> set[Time]:
    """(preset, level, target, hard limit, unit) of every duty of a kind."""
    rows = Duty.objects.filter(kind=kind)
    return set(rows.values_list("severity__version__policy__slug", "severity__code", "amount", "limit", "unit"))


@pytest.mark.usefixtures("presets")
def test_r301_when_it_is_escalated_by_the_first_step_of_each_ladder_that_names_a_time() -> None:
    """R-401; D names no time, and C's P2 is escalated by hand. A P3 of C waits for nobody."""
    a, b, c, e = "public-status", "enterprise-sla", "consumer-app", "platform-sev"
    assert times("escalate") == {
        (a, "major", 15, None, "minutes"),
        (a, "minor", 15, None, "minutes"),
        # Past the target to resolve.
        (b, "P0", 4, None, "hours"),
        (b, "P1", 8, None, "hours"),
        (b, "P2", 24, None, "hours"),
        (b, "P3", 7, None, "days"),
        # At once, and by itself after 2 h.
        (c, "P0", 0, 15, "minutes"),
        (c, "P1", 2, None, "hours"),
        (e, "SEV-1", 15, None, "minutes"),
        (e, "SEV-2", 15, None, "minutes"),
        (e, "SEV-3", 15, None, "minutes"),
    }
    assert not Duty.objects.filter(kind="escalate", note="").exists()


@pytest.mark.usefixtures("presets")
def test_r301_letters_are_owed_with_the_first_public_update_where_enterprise_customers_are_told() -> None:
    for level_ in Severity.objects.in_force():
        letters = level_.duties.filter(kind="enterprise_letters").values_list("amount", "unit", "starts_from")
        first = level_.duties.filter(kind="first_update").values_list("amount", "unit", "starts_from")
        assert list(letters) == (list(first) if level_.direct_enterprise else []), level_


@pytest.mark.usefixtures("presets")
def test_r301_action_items_are_reviewed_after_30_days_wherever_a_post_mortem_is_owed() -> None:
    for level_ in Severity.objects.in_force():
        reviews = level_.duties.filter(kind__in=["review_scheduled", "review_published"])
        found = level_.duties.filter(kind="action_review")
        assert set(found.values_list("condition", flat=True)) == set(reviews.values_list("condition", flat=True))
        assert set(found.values_list("amount", "unit")) <= {(30, "days")}


@pytest.mark.usefixtures("presets")
def test_r501_a_maintenance_is_announced_7_days_ahead() -> None:
    assert times("maintenance_notice") == {("public-status", "maintenance", 7, None, "days")}


@pytest.mark.usefixtures("presets")
def test_r101_the_policy_page_shows_these_too() -> None:
    def shown(slug: str, code: str) -> tuple[str, ...]:
        lines = policies.overview(level(slug, code).version).lines
        return next(line.cells[7:] for line in lines if line.severity.code == code)

    assert shown("public-status", "major") == ("15 min", "—", "reviewed ≤ 30 days, always", "—")
    assert shown("public-status", "maintenance") == ("—", "—", "—", "7 days before")
    assert shown("enterprise-sla", "P0") == ("4 h", "with the acknowledgement", "reviewed ≤ 30 days, always", "—")
    assert shown("consumer-app", "P0") == ("0–15 min", "—", "reviewed ≤ 30 days, always", "—")
    assert shown("startup-sev", "SEV4") == ("—",) * 4


@pytest.mark.usefixtures("presets")
def test_r107_a_range_has_a_target_and_a_hard_limit() -> None:
    cadence = level("public-status", "minor").duties.get(kind="public_update")
    assert (cadence.amount, cadence.limit, cadence.unit) == (30, 60, "minutes")


@pytest.mark.usefixtures("presets")
def test_r108_contradictions_ship_with_both_readings_and_wait_for_the_owner() -> None:
    found: dict[str, int] = {}
    for point in Contradiction.objects.select_related("version__policy"):
        found[point.version.policy.slug] = found.get(point.version.policy.slug, 0) + 1
        assert point.shipped != point.other
        assert point.confirmed_at is None
    assert found == {"public-status": 4, "enterprise-sla": 3, "consumer-app": 3, "startup-sev": 1, "platform-sev": 5}


@pytest.mark.usefixtures("presets")
def test_r108_the_first_nod_of_the_owner_counts_and_goes_along_into_a_new_version() -> None:
    ann, ben = scene.operator("ann"), scene.operator("ben")
    point = of("startup-sev").versions.get().contradictions.get()
    policies.confirm(point, by=ann, at=NIGHT)
    policies.confirm(point, by=ben, at=LATER)
    assert (point.confirmed_by, point.confirmed_at) == (ann, NIGHT)
    draft = policies.revise(of("startup-sev"), by=ben, at=LATER)
    assert draft.contradictions.get().confirmed_by == ann


Grid = set[tuple[str, str, str]]


def grid(slug: str, code: str) -> Grid:
    return set(level(slug, code).channel_rules.values_list("wire", "audience", "setting"))


@pytest.mark.usefixtures("presets")
def test_r112_the_channel_grid() -> None:
    """SMS critical only, webhooks by plan, social for major only, banner for P0 to all, nothing public for SEV-4."""
    rules = ChannelRule.objects.exclude(setting="off")

    def where(**facts: str) -> set[tuple[str, str]]:
        return set(rules.filter(**facts).values_list("severity__version__policy__slug", "severity__code"))

    # WhatsApp is for what is urgent, wherever SMS is.
    assert where(wire="sms") == where(wire="whatsapp") == {("public-status", "major")}
    assert where(wire="social") == {("public-status", "major"), ("enterprise-sla", "P0"), ("enterprise-sla", "P1")}
    assert set(rules.filter(wire="social").values_list("setting", flat=True)) == {"ask"}
    assert where(wire="banner") == {("enterprise-sla", "P0")}
    assert where(wire="webhook", audience="public") & {("public-status", "major"), ("enterprise-sla", "P0")} == set()
    assert where(wire="webhook", audience="enterprise") == {
        ("public-status", "major"),
        ("public-status", "minor"),
        ("public-status", "maintenance"),
        ("enterprise-sla", "P0"),
        ("enterprise-sla", "P1"),
    }
    for slug, code in (("startup-sev", "SEV4"), ("platform-sev", "SEV-4")):
        assert (slug, code) not in where(audience="public") | where(audience="enterprise")
    assert grid("platform-sev", "SEV-3") == {
        ("page", "public", "ask"),
        ("email", "public", "ask"),
        ("webhook", "public", "ask"),
        ("chat", "staff", "on"),
    }
    assert grid("enterprise-sla", "P0") == {
        ("page", "public", "on"),
        ("email", "public", "on"),
        ("banner", "public", "on"),
        ("social", "public", "ask"),
        ("email", "enterprise", "on"),
        ("webhook", "enterprise", "on"),
    }


@pytest.mark.usefixtures("presets")
def test_r206_every_policy_has_words_of_its_own_for_each_phase() -> None:
    base = [Phase.INVESTIGATING, Phase.IDENTIFIED, Phase.MONITORING, Phase.RESOLVED]
    for policy in Policy.objects.all():
        # Words that promise a post-mortem have a twin that does not: it is not always owed.
        promising = policy.slug in ("enterprise-sla", "platform-sev", "public-status")
        phases = base + ([Phase.RESOLVED] if promising else [])
        phases += [Phase.SCHEDULED, Phase.IN_PROGRESS, Phase.COMPLETED] if policy.is_default else []
        assert list(policy.templates.filter(translates=None).values_list("phase", flat=True)) == phases
    rows = UpdateTemplate.objects.filter(translates=None)
    assert len({row.body for row in rows}) == len({row.sms for row in rows}) == len({row.chat for row in rows}) == 26


@pytest.mark.usefixtures("presets")
def test_r206_every_template_is_said_in_german_too_with_the_same_placeholders() -> None:
    german = UpdateTemplate.objects.filter(language="de").select_related("translates")
    assert [row.translates for row in german] == list(UpdateTemplate.objects.filter(translates=None))
    for row in german:
        original = row.translates
        assert original is not None
        assert (row.policy_id, row.phase, row.name, row.position) == (
            original.policy_id,
            original.phase,
            original.name,
            original.position,
        )
        for part in ("body", "sms", "chat"):
            assert find_placeholders(getattr(row, part)) == find_placeholders(getattr(original, part))
        assert not original.body.isspace()
        assert row.body != original.body


@pytest.mark.usefixtures("presets")
def test_r206_templates_name_only_placeholders_that_something_fills_and_use_them_all() -> None:
    used: set[str] = set()
    for row in UpdateTemplate.objects.all():
        used |= find_placeholders(row.title + row.body + row.sms + row.chat)
        if row.phase in (Phase.INVESTIGATING, Phase.IDENTIFIED, Phase.MONITORING):
            # Each open update makes the promise of the next one (R-1301).
            assert "next_update" in find_placeholders(row.body)
            assert "next_update" in find_placeholders(row.sms)
    at_hand = {"reference", "severity", "brand", "support", "status_page", "detected", "resolved"}
    assert used == set(PLACEHOLDERS) - at_hand


@pytest.mark.usefixtures("presets")
def test_r206_loaded_templates_have_a_history() -> None:
    assert {row.history.count() for row in UpdateTemplate.objects.all()} == {1}
