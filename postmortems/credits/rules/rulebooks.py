"""Rules for service credits as data: books, their versions, and putting one in force (R-901, R-904).

A draft can be written; a version in force never changes, and the next change needs a new version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max, Q

from incidents.enums import Standing
from incidents.models import Policy, Severity
from postmortems.credits import assessing
from postmortems.credits.arithmetic.months import first, following
from postmortems.credits.batches.closing import held_number
from postmortems.enums import RuleStanding
from postmortems.models import Batch, ContractMonth, RuleBook, RulesError, RuleVersion, Tier

from .rulechecks import Finding, Rung, findings

#: What a version says besides its tiers.
FIELDS = (
    "stacking", "overlap", "mix", "clock", "scope", "least_level", "proration",
    "cap_percent", "notice_days", "hold_hours", "second_above",
)  # fmt: skip
TIER = ("measure", "rank", "code", "longer_than_seconds", "below_percent", "percent")


@transaction.atomic
def create(*, name: str, policy: Policy | None, plan: str, by: User | None, at: datetime) -> RuleBook:
    """A book with an empty draft of version 1. Raises RulesError: the name, or policy and plan, are taken."""
    plan = plan.strip()
    if policy is None and plan:
        raise RulesError("Rules of single contracts are of no plan. Leave it blank, or choose a policy.")
    taken = RuleBook.objects.filter(policy=policy, plan=plan).first() if policy else None
    if taken:
        raise RulesError(f"“{taken}” is of this policy and plan already. Start a new version of it.")
    try:
        with transaction.atomic():
            book = RuleBook.objects.create(name=name.strip(), policy=policy, plan=plan)
    except IntegrityError:
        raise RulesError(f"There are rules called “{name.strip()}” already.") from None
    RuleVersion.objects.create(book=book, number=1, drafted_at=at, drafted_by=by)
    return book


@transaction.atomic
def start_draft(book: RuleBook, *, by: User | None, at: datetime) -> RuleVersion:
    """The draft to edit: the one there is, or a copy of the newest version with the next number."""
    _lock(book)
    newest = book.versions.order_by("-number").first()
    if newest and newest.is_draft:
        return newest
    copied = {name: getattr(newest, name) for name in FIELDS} if newest else {}
    number = (book.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    draft = RuleVersion.objects.create(book=book, number=number, drafted_at=at, drafted_by=by, **copied)
    if newest:
        Tier.objects.bulk_create(
            Tier(version=draft, **{name: getattr(tier, name) for name in TIER}) for tier in newest.tiers.all()
        )
    return draft


@transaction.atomic
def write(version: RuleVersion, *, fields: Mapping[str, Any], tiers: Iterable[Tier]) -> RuleVersion:
    """Replace what a draft says: explicit fields, remark and all tiers (unsaved rows). RulesError when in force.

    The draft keeps the name of who began it: who wrote and who put it in force are both said.
    """
    _lock(version.book)
    version.refresh_from_db()
    version.refuse_unless_draft()
    for name, value in fields.items():
        setattr(version, name, value)
    version.save()
    version.tiers.all().delete()
    made = []
    for tier in tiers:
        tier.version = version
        made.append(tier)
    Tier.objects.bulk_create(made)
    return version


@transaction.atomic
def discard(version: RuleVersion) -> None:
    """Throw a draft away. RulesError when it is in force."""
    _lock(version.book)
    version.refresh_from_db()
    version.delete()


def ladder(book: RuleBook) -> list[Rung]:
    """Levels in force of the book's policy, or of the policies of the contracts it is of. One query."""
    levels = Severity.objects.filter(version__standing=Standing.IN_FORCE, is_maintenance=False)
    if book.policy_id:
        levels = levels.filter(version__policy=book.policy_id)
    else:
        levels = levels.filter(version__policy__contracts__own_rules=book).distinct()
    return [Rung(level.rank, level.short, level.counts_for_credits) for level in levels.order_by("rank", "pk")]


def check(version: RuleVersion) -> list[Finding]:
    """What is wrong (errors keep it from being put in force) or odd with a version. Two queries."""
    return findings(version, list(version.tiers.all()), ladder(version.book))


def usual_start(at: datetime) -> date:
    """Rules hold from the beginning of a month; unless somebody says otherwise, of the next one."""
    return following(first(at.date()))


def closed_through() -> date | None:
    """The last month that was closed."""
    month: date | None = Batch.objects.aggregate(last=Max("month"))["last"]
    return month


@transaction.atomic
def put_in_force(version: RuleVersion, *, applies_from: date | None, by: User | None, at: datetime) -> RuleVersion:
    """Billing months that begin on ``applies_from`` (None: all) or later are judged by ``version`` from now on.

    Twice is once. Raises RulesError: the version has errors, the day is no first of a month, or a month that
    was closed would be judged anew. Months that are judged otherwise now are marked to be assessed again.
    """
    _lock(version.book)
    version.refresh_from_db()
    if not version.is_draft:
        return version
    wrong = [finding.words for finding in check(version) if finding.is_error]
    if wrong:
        raise RulesError(f"{version} cannot be put in force. {' '.join(wrong)}")
    # No month is closed between the look and the mark.
    held_number()
    if found := refused(version, applies_from):
        raise RulesError(found)
    RuleVersion.objects.filter(pk=version.pk).update(
        standing=RuleStanding.IN_FORCE, applies_from=applies_from, in_force_at=at, in_force_by=by
    )
    version.refresh_from_db()
    assessing.mark_rules(version, at=at)
    return version


def refused(version: RuleVersion, applies_from: date | None) -> str:
    """Why a version cannot be in force from then; empty: it can."""
    if applies_from and applies_from.day != 1:
        return "Rules begin with a month: choose the first of one."
    through = closed_through()
    if through is None or (applies_from and applies_from > through):
        return ""
    if not version.book.versions.filter(standing=RuleStanding.IN_FORCE).exists() and not _judges_closed(
        version.book, applies_from, through
    ):
        return ""
    return f"{through:%B %Y} is closed: its amounts are final. Choose {following(through):%B %Y} or later."


def _judges_closed(book: RuleBook, applies_from: date | None, through: date) -> bool:
    """Whether contracts that the first version of a book is for have a month that was closed."""
    ours = Q(contract__own_rules=book)
    if book.policy_id:
        ours |= Q(contract__own_rules=None, contract__policy=book.policy_id)
    months = ContractMonth.objects.filter(ours, month__lte=through)
    return (months.filter(month__gte=applies_from) if applies_from else months).exists()


def holding(versions: Sequence[RuleVersion], month: date) -> RuleVersion | None:
    """Of one book's versions the one by which a month is judged."""
    begun = [one for one in versions if not one.is_draft and (one.applies_from or date.min) <= month]
    return max(begun, key=lambda one: (one.applies_from or date.min, one.number), default=None)


def _lock(book: RuleBook) -> None:
    RuleBook.objects.select_for_update().get(pk=book.pk)
