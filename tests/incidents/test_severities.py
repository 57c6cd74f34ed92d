"""What people type for a severity (R-106)."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from incidents import policies
from incidents.models import Policy, Severity
from incidents.severities import SeverityError, parse
from tests.scene import NIGHT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def presets() -> None:
    policies.load_presets(at=NIGHT)


def of(slug: str) -> Policy:
    return Policy.objects.get(slug=slug)


def meant(severity: Severity) -> tuple[str, int]:
    return severity.version.policy.slug, severity.rank


def refusal(text: str, slug: str = "") -> SeverityError:
    with pytest.raises(SeverityError) as refused:
        parse(text, of(slug) if slug else None)
    return refused.value


@pytest.mark.parametrize("text", ["SEV1", "SEV-1", "sev 1", "sev_1", " Sev–1 ", "critical", "CRITICAL"])
def test_r106_case_spaces_and_dashes_do_not_matter(text: str) -> None:
    assert meant(parse(text, of("platform-sev"))) == ("platform-sev", 1)
    assert meant(parse(text, of("startup-sev"))) == ("startup-sev", 1)


@pytest.mark.parametrize(
    ("slug", "text", "rank"),
    [
        ("enterprise-sla", "P0", 1),
        ("enterprise-sla", "p 3", 4),
        ("consumer-app", "High", 2),
        ("platform-sev", "Major", 2),
        ("platform-sev", "minor", 3),
        ("public-status", "Major", 1),
        ("public-status", "minor incident", 3),
        ("public-status", "planned work", 4),
    ],
)
def test_r106_codes_labels_and_aliases_belong_to_a_policy(slug: str, text: str, rank: int) -> None:
    """ "Major" is the top level of A and the second of E; "minor" the lowest of A, the third of E."""
    assert meant(parse(text, of(slug))) == (slug, rank)


def test_r106_a_spelling_of_one_policy_only_needs_no_policy() -> None:
    assert meant(parse("Major incident")) == ("public-status", 1)


def test_r106_a_bare_number_is_refused_without_a_policy() -> None:
    assert str(refusal("2")) == (
        "“2” is only a number, and policies count differently. Name the policy as well, or write a code "
        "such as P1 or SEV-1."
    )


def test_r106_with_a_policy_a_number_is_the_rank_and_not_the_code() -> None:
    """``severity=2`` and ``P2`` are different ranks."""
    b = of("enterprise-sla")
    assert (parse("2", b).code, parse("P2", b).code) == ("P1", "P2")
    assert (parse("2", b).rank, parse("P2", b).rank) == (2, 3)


def test_r106_a_uses_ranks_1_and_3_only() -> None:
    a = of("public-status")
    assert (parse("1", a).code, parse("3", a).code) == ("major", "minor")
    for number in ("2", "4"):
        assert str(refusal(number, "public-status")) == (
            f"“{number}” is not a severity of Public status page. It has Major, Minor, Maintenance."
        )


def test_r106_what_several_policies_could_mean_is_refused_with_their_names() -> None:
    error = refusal("major")
    assert str(error) == (
        "“major” means SEV-2 Major of Platform SEV or Major of Public status page. Name the policy as well."
    )
    assert sorted(meant(level) for level in error.candidates) == [("platform-sev", 2), ("public-status", 1)]
    assert str(refusal("sev 1")) == (
        "“sev 1” means SEV-1 Critical of Platform SEV or SEV1 Critical of Startup SEV. Name the policy as well."
    )


def test_r106_what_nobody_means_is_refused_in_words() -> None:
    assert str(refusal("P9")) == "“P9” is not a severity of any policy in force."
    assert str(refusal("P0", "startup-sev")) == (
        "“P0” is not a severity of Startup SEV. It has SEV1 Critical, SEV2 High, SEV3 Medium, SEV4 Low."
    )
    assert str(refusal("  ")) == "Name a severity."
    assert str(refusal("-1", "startup-sev")).startswith("“-1” is not a severity of Startup SEV.")
    Policy.objects.create(slug="empty", name="Empty")
    assert str(refusal("P0", "empty")) == "Empty has no version in force."


def test_r106_only_versions_in_force_count() -> None:
    policies.revise(of("enterprise-sla"), by=None, at=NIGHT)
    assert parse("P0", of("enterprise-sla")).version.number == 1


def test_parsing_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    policy = of("platform-sev")
    with django_assert_num_queries(1):
        assert meant(parse("SEV-1", policy)) == ("platform-sev", 1)
    with django_assert_num_queries(1), pytest.raises(SeverityError):
        parse("SEV-1")


@pytest.mark.parametrize(
    ("code", "label", "short", "full"),
    [("P1", "High", "P1", "P1 High"), ("minor", "Minor", "Minor", "Minor"), ("SEV-2", "Major", "SEV-2", "SEV-2 Major")],
)
def test_a_level_is_spelt_as_its_label_where_the_code_only_repeats_it(
    code: str, label: str, short: str, full: str
) -> None:
    level = Severity(code=code, label=label)
    assert (level.short, str(level)) == (short, full)
