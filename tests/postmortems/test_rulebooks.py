"""Rules as data: drafts, findings, versions in force that never change (R-901, R-904)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from postmortems.credits.rules import rulebooks, rulewords
from postmortems.credits.rules.rulechecks import Finding, Rung, findings
from postmortems.enums import Measure, RuleStanding
from postmortems.models import Batch, ContractMonth, RuleBook, RulesError, RuleVersion, Tier
from tests import scene
from tests.postmortems import stage

AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
LADDER = [Rung(1, "P0", True), Rung(2, "P1", True), Rung(3, "P2", False), Rung(4, "P3", False)]
HOUR = 3_600


def longer(rank: int, hours: int, percent: str) -> Tier:
    return Tier(
        measure=Measure.DURATION, rank=rank, code=f"P{rank - 1}", longer_than_seconds=hours * HOUR,
        percent=Decimal(percent),
    )  # fmt: skip


def below(rank: int, uptime: str, percent: str) -> Tier:
    return Tier(
        measure=Measure.UPTIME, rank=rank, code=f"P{rank - 1}", below_percent=Decimal(uptime), percent=Decimal(percent)
    )


def said(*tiers: Tier, ladder: list[Rung] = LADDER, **fields: object) -> list[tuple[int | None, str, str, bool]]:
    version = RuleVersion(**fields)
    return [(one.tier, one.field, one.words, one.is_error) for one in findings(version, tiers, ladder)]


def draft(*tiers: Tier, **fields: object) -> RuleVersion:
    book = rulebooks.create(name="Gold", policy=stage.policy_b(), plan="Gold", by=None, at=AT)
    return rulebooks.write(book.versions.get(), fields=fields, tiers=tiers or (longer(1, 1, "10"), longer(2, 4, "5")))


def closed(month: date) -> Batch:
    return Batch.objects.create(
        number=f"CR-{month.year}-{month.month:04d}", month=month, closed_at=AT, count=0, digest="", csv=b"", xlsx=b"",
        json=b"",
    )  # fmt: skip


# --- findings ----------------------------------------------------------------------------


def test_r901_preset_b_has_nothing_wrong() -> None:
    assert said(longer(1, 1, "10"), longer(1, 4, "25"), longer(2, 4, "5")) == []


def test_no_tier_at_all_is_said_once() -> None:
    assert said() == [(None, "tiers", "There is no tier at all: nothing would ever be credited.", True)]


def test_what_no_level_that_counts_can_pass_is_never_paid() -> None:
    ladder = [Rung(1, "P0", False), Rung(2, "P1", False)]
    assert said(longer(1, 1, "10"), longer(2, 4, "5"), ladder=ladder) == [
        (0, "rank", "It can never be paid: by the policy in force P0 does not count for credits.", True),
        (1, "rank", "It can never be paid: by the policy in force neither P1 nor anything worse counts for credits.",
         True),
    ]  # fmt: skip


def test_a_milder_tier_is_paid_for_worse_time_only() -> None:
    ladder = [Rung(1, "P0", True), Rung(2, "P1", False)]
    assert said(longer(1, 1, "10"), longer(2, 4, "5"), ladder=ladder) == [
        (1, "rank", "By the policy in force P1 does not count for credits: only time at P0 is looked at.", False)
    ]


def test_levels_that_count_without_a_tier_are_a_remark() -> None:
    assert said(longer(1, 1, "10")) == [
        (None, "tiers", "By the policy in force P1 counts for credits, and no tier is for it.", False)
    ]
    assert said(longer(2, 1, "10")) == [
        (None, "tiers", "P0 counts for credits without a tier of its own: it is credited as milder severities are.",
         False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tiers", "found"),
    [
        (
            (longer(1, 1, "10"), longer(1, 4, "10"), longer(2, 4, "5")),
            (1, "percent", "It never decides: “P0 longer than 1 h” is passed by then, and it credits 10 %.", True),
        ),
        (
            (longer(1, 4, "10"), longer(2, 4, "25")),
            (0, "percent", "A milder severity credits more: “P1 or worse longer than 4 h” is passed as well, "
             "and it credits 25 %.", True),
        ),
        (
            (longer(1, 4, "10"), longer(2, 4, "10")),
            (0, "percent", "It says nothing new: “P1 or worse longer than 4 h” is passed as well, "
             "and it credits 10 %, too.", False),
        ),
        (
            (longer(1, 1, "10"), longer(1, 1, "20"), longer(2, 4, "5")),
            (1, "longer_than", "“P0 longer than 1 h” stands here twice.", True),
        ),
    ],
)  # fmt: skip
def test_tiers_that_overlap_are_found_where_they_stand(
    tiers: tuple[Tier, ...], found: tuple[int, str, str, bool]
) -> None:
    assert said(*tiers) == [found]


def test_uptime_credits_more_the_lower_it_is() -> None:
    assert said(below(2, "99.9", "10"), below(2, "99", "5"), below(1, "98", "25")) == [
        (1, "percent", "It never decides: “Uptime of the month below 99.9 %, P1 or worse counted as down” is passed "
         "by then, and it credits 10 %.", True)
    ]  # fmt: skip


def test_percentages_out_of_range_and_above_the_cap() -> None:
    assert said(
        longer(1, 1, "30"), longer(1, 4, "50"), longer(2, 4, "5"), below(2, "100.5", "2"), cap_percent=Decimal(40)
    ) == [
        (1, "percent", "It credits 50 %, and the cap is 40 %.", True),
        (3, "below_percent", "An uptime tier begins above 0 % and at 100 % at most.", True),
    ]


def test_approving_by_itself_whatever_the_amount_is_a_remark() -> None:
    words = "Every amount approves by itself, however large: no second approver is asked for."
    assert said(longer(1, 1, "10"), longer(2, 4, "5"), hold_hours=24) == [(None, "second_above", words, False)]
    assert said(longer(1, 1, "10"), longer(2, 4, "5"), hold_hours=24, second_above=Decimal(500)) == []


# --- lengths as people type them -----------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "whole"),
    [("1 h", 3_600), ("90 min", 5_400), ("4h30", 16_200), ("4 h 30 min", 16_200), ("1:30", 5_400), ("1 d 2 h", 93_600),
     ("2 hours and 5 minutes", 7_500), ("45s", 45), ("1 Day", 86_400)],
)  # fmt: skip
def test_lengths_are_read_as_people_write_them(typed: str, whole: int) -> None:
    assert rulewords.seconds(typed) == whole
    assert rulewords.seconds(rulewords.length(whole)) == whole


@pytest.mark.parametrize("typed", ["", "4", "h", "30 min 4 h", "1.5 h", "4 x", "-1 h", "91 d", "٤ h", "1 h 1 h"])
def test_what_is_no_length_is_refused(typed: str) -> None:
    with pytest.raises(RulesError):
        rulewords.seconds(typed)


# --- drafts and versions ---------------------------------------------------------------------

db = pytest.mark.django_db


@db
def test_a_policy_and_plan_has_one_book() -> None:
    rulebooks.create(name="House", policy=stage.policy_b(), plan="", by=None, at=AT)
    with pytest.raises(RulesError, match="“House” is of this policy and plan already"):
        rulebooks.create(name="Other", policy=stage.policy_b(), plan=" ", by=None, at=AT)
    with pytest.raises(RulesError, match="There are rules called “House” already"):
        rulebooks.create(name="House", policy=None, plan="", by=None, at=AT)
    with pytest.raises(RulesError, match="of no plan"):
        rulebooks.create(name="Own", policy=None, plan="Gold", by=None, at=AT)
    assert RuleBook.objects.count() == 1


@db
def test_a_new_version_begins_as_the_newest_one_and_is_one_draft(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    old = stage.rules(hold_hours=24, cap_percent=Decimal(50))
    ann = scene.operator()
    with django_assert_max_num_queries(9):
        new = rulebooks.start_draft(old.book, by=ann, at=AT)
    assert (new.number, new.standing, new.drafted_by, new.hold_hours, new.cap_percent) == (
        2, RuleStanding.DRAFT, ann, 24, Decimal(50),
    )  # fmt: skip
    assert rulewords.sentences(new.tiers.all()) == rulewords.sentences(old.tiers.all())
    assert rulebooks.start_draft(old.book, by=None, at=AT) == new
    rulebooks.discard(new)
    assert list(old.book.versions.all()) == [old]


@db
def test_r904_a_version_in_force_is_frozen_by_rows_and_database() -> None:
    version = stage.rules()
    tier = version.tiers.first()
    assert tier is not None
    version.cap_percent = Decimal(10)
    for refused in (version.save, version.delete, tier.save, tier.delete):
        with pytest.raises(RulesError, match="Start a new version"):
            refused()
    around = (
        lambda: RuleVersion.objects.filter(pk=version.pk).update(cap_percent=10),
        lambda: RuleVersion.objects.filter(pk=version.pk).update(applies_from=date(2026, 1, 1)),
        lambda: RuleVersion.objects.filter(pk=version.pk).update(second_above=1),
        lambda: RuleVersion.objects.filter(pk=version.pk).update(standing=RuleStanding.DRAFT),
        lambda: Tier.objects.filter(pk=tier.pk).update(percent=99),
        lambda: Tier.objects.bulk_create([Tier(version=version, rank=4, longer_than_seconds=1, percent=Decimal(1))]),
    )
    for way in around:
        with pytest.raises(IntegrityError, match="can no longer be changed"), transaction.atomic():
            way()
    # Who put it in force may leave the house.
    RuleVersion.objects.filter(pk=version.pk).update(in_force_by=None, drafted_by=None)


@db
def test_a_draft_with_errors_is_not_put_in_force_and_says_why() -> None:
    version = draft(longer(1, 1, "10"), longer(1, 4, "5"))
    with pytest.raises(RulesError, match="It never decides"):
        rulebooks.put_in_force(version, applies_from=date(2026, 12, 1), by=None, at=AT)
    version.refresh_from_db()
    assert version.is_draft


@db
def test_rules_hold_from_the_first_of_the_next_month_unless_said_otherwise() -> None:
    assert rulebooks.usual_start(AT) == date(2026, 12, 1)
    assert rulebooks.usual_start(datetime(2026, 12, 31, 23, tzinfo=UTC)) == date(2027, 1, 1)
    with pytest.raises(RulesError, match="Rules begin with a month"):
        rulebooks.put_in_force(draft(), applies_from=date(2026, 12, 2), by=None, at=AT)


@db
def test_put_in_force_says_who_and_is_once(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    version, ann = draft(), scene.operator()
    with django_assert_max_num_queries(20):
        rulebooks.put_in_force(version, applies_from=date(2026, 12, 1), by=ann, at=AT)
    rulebooks.put_in_force(version, applies_from=None, by=None, at=AT + timedelta(days=1))
    version.refresh_from_db()
    assert (version.standing, version.applies_from, version.in_force_by, version.in_force_at) == (
        RuleStanding.IN_FORCE, date(2026, 12, 1), ann, AT,
    )  # fmt: skip


@db
def test_r1308_no_month_is_closed_while_rules_are_put_in_force() -> None:
    """What ``closing.close`` locks is locked before closed months are asked for."""
    version = draft()
    with CaptureQueriesContext(connection) as asked:
        rulebooks.put_in_force(version, applies_from=date(2026, 12, 1), by=None, at=AT)
    tables = [re.findall(r'FROM "postmortems_(batch\w*)"', query["sql"]) for query in asked]
    assert [table for found in tables for table in found][-2:] == ["batchnumber", "batch"]


@db
def test_r1308_months_that_are_closed_keep_their_rules() -> None:
    first = stage.rules()
    closed(date(2026, 10, 1))
    second = rulebooks.start_draft(first.book, by=None, at=AT)
    for since in (None, date(2026, 9, 1), date(2026, 10, 1)):
        with pytest.raises(RulesError, match="October 2026 is closed"):
            rulebooks.put_in_force(second, applies_from=since, by=None, at=AT)
    rulebooks.put_in_force(second, applies_from=date(2026, 11, 1), by=None, at=AT)
    assert not second.is_draft


@db
def test_first_rules_of_a_plan_may_hold_since_ever_where_no_closed_month_would_be_judged_by_them() -> None:
    closed(date(2026, 10, 1))
    version = draft()
    contract = stage.contract(plan="Gold")
    month = ContractMonth.objects.create(
        contract=contract, month=date(2026, 10, 1), starts_at=stage.NOON, ends_at=AT
    )  # fmt: skip
    with pytest.raises(RulesError, match="is closed"):
        rulebooks.put_in_force(version, applies_from=None, by=None, at=AT)
    month.delete()
    rulebooks.put_in_force(version, applies_from=None, by=None, at=AT)
    assert version.applies_from is None


@db
def test_of_several_versions_the_latest_that_has_begun_holds() -> None:
    one = stage.rules()
    two = stage.rules(applies_from=date(2026, 6, 1))
    three = stage.rules(applies_from=date(2026, 6, 1))
    four = rulebooks.start_draft(one.book, by=None, at=AT)
    versions = [four, one, three, two]
    held = [rulebooks.holding(versions, date(2026, month, 1)) for month in (5, 6, 7)]
    assert held == [one, three, three]


@db
def test_rules_of_single_contracts_are_checked_against_their_policies() -> None:
    own = stage.rules(own=True, name="ACME", tiers=[(1, "P0", timedelta(hours=1), "50")])
    assert rulebooks.ladder(own.book) == []
    stage.contract(own_rules=own.book)
    stage.contract("C-2", own_rules=own.book)
    assert rulebooks.ladder(own.book) == LADDER
    assert rulebooks.check(own) == [
        Finding("By the policy in force P1 counts for credits, and no tier is for it.", "tiers", is_error=False)
    ]


@db
def test_what_a_version_changes_is_said_in_words() -> None:
    old = stage.rules()
    new = rulebooks.start_draft(old.book, by=None, at=AT)
    rulebooks.write(
        new, fields={"stacking": "highest", "cap_percent": Decimal("50")},
        tiers=[longer(1, 1, "15"), longer(1, 4, "25"), below(2, "99.5", "5")],
    )  # fmt: skip
    assert rulewords.differences(old, list(old.tiers.all()), new, list(new.tiers.all())) == [
        ("P0 longer than 1 h", "10 % of the month's fee", "15 % of the month's fee"),
        ("P1 or worse longer than 4 h", "5 % of the month's fee", "—"),
        ("Several outages", "Every outage of the month earns its tier; together no more than the cap.",
         "Of all outages of the month only the one that earns most is credited."),
        ("Cap", "At most 100 % of the month's fee.", "At most 50 % of the month's fee."),
        ("Uptime of the month below 99.5 %, P1 or worse counted as down", "—", "5 % of the month's fee"),
    ]  # fmt: skip
