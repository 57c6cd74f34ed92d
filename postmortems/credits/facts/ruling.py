"""By which rules a billing month is judged, and what was granted beside them (R-901, R-902)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from django.db.models import Q

from postmortems.credits.arithmetic.case import Rules, TermSpan, TierRule
from postmortems.credits.arithmetic.months import SECOND, bounds
from postmortems.enums import STANDING, WAITING, CreditKind, Measure, RuleStanding
from postmortems.models import Contract, ContractMonth, Credit, RuleBook, RuleVersion
from status.enums import Level

_DAY = 86_400 * SECOND


def rules_of(version: RuleVersion) -> Rules:
    """What a version says, as the arithmetic reads it. One query unless its tiers are prefetched."""
    durations, uptimes = [], []
    for tier in version.tiers.all():
        points = int(tier.percent * 100)
        if tier.measure == Measure.UPTIME:
            assert tier.below_percent is not None
            uptimes.append(TierRule(tier.rank, tier.code, int(tier.below_percent * 1000), points))
        else:
            assert tier.longer_than_seconds is not None
            durations.append(TierRule(tier.rank, tier.code, tier.longer_than_seconds * SECOND, points))
    return Rules(
        label=str(version),
        durations=tuple(sorted(durations, key=lambda tier: (tier.rank, tier.threshold))),
        uptimes=tuple(sorted(uptimes, key=lambda tier: (tier.rank, -tier.threshold))),
        stacking=str(version.stacking),
        overlap=str(version.overlap),
        mix=str(version.mix),
        clock=str(version.clock),
        scope=str(version.scope),
        least_gravity=Level(version.least_level).gravity,
        proration=str(version.proration),
        cap=int(version.cap_percent * 100),
        notice=version.notice_days * _DAY,
    )


#: A book by its id, or by its policy and plan.
Name = int | tuple[int, str]


def looked_up(contract: Contract, plan: str) -> tuple[Name, ...]:
    """The contract's own rules, the plan's, the policy's: of these the first that says something of a month holds."""
    return contract.own_rules_id or 0, (contract.policy_id, plan), (contract.policy_id, "")


def names_of(book: RuleBook) -> set[Name]:
    """What ``looked_up`` may find a book by."""
    return {book.pk, (book.policy_id, book.plan)} if book.policy_id else {book.pk}


def plan_in(terms: Iterable[TermSpan], start: int, end: int) -> str:
    """The plan of a month: of the term in force when it begins, or of the first one in it."""
    return next((term.plan for term in terms if term.start < end and term.end > start), "")


class Ruling:
    """Rules and goodwill of some months. Three queries."""

    def __init__(self, months: Sequence[ContractMonth]) -> None:
        contracts = [month.contract for month in months]
        policies = {contract.policy_id for contract in contracts}
        own = {contract.own_rules_id for contract in contracts if contract.own_rules_id}
        versions = (
            RuleVersion.objects.filter(Q(book__policy__in=policies) | Q(book__in=own), standing=RuleStanding.IN_FORCE)
            .select_related("book")
            .prefetch_related("tiers")
            .order_by("book", "number")
        )
        self._books: dict[Name, list[RuleVersion]] = {}
        for version in versions:
            for name in names_of(version.book):
                self._books.setdefault(name, []).append(version)
        self._rules: dict[int, Rules] = {}
        self._granted = _granted(months)

    def version(self, month: ContractMonth, terms: Iterable[TermSpan]) -> RuleVersion | None:
        """The version that holds for the month; None: no rules say anything of it."""
        contract = month.contract
        plan = plan_in(terms, *bounds(month.month, contract.zone, contract.billing_day))
        books = [self._books.get(name, ()) for name in looked_up(contract, plan)]
        day = month.month.replace(day=contract.billing_day)
        return next((version for versions in books if (version := _holding(versions, day))), None)

    def rules(self, version: RuleVersion) -> Rules:
        if version.pk not in self._rules:
            self._rules[version.pk] = rules_of(version)
        return self._rules[version.pk]

    def granted(self, month: ContractMonth) -> int:
        """Goodwill that stands or waits, in minor units."""
        return self._granted.get(month.pk, 0)


def _holding(versions: Iterable[RuleVersion], day: date) -> RuleVersion | None:
    """Of those in force, the one with the latest first day; of the same day the higher number."""
    begun = [version for version in versions if version.applies_from is None or version.applies_from <= day]
    return max(begun, key=lambda one: (one.applies_from or date.min, one.number), default=None)


def _granted(months: Sequence[ContractMonth]) -> dict[int, int]:
    ids = [month.pk for month in months if month.pk]
    given = Q(kind=CreditKind.GOODWILL, state__in=[*WAITING, *STANDING])
    taken = Q(kind=CreditKind.REVERSAL, reverses__kind=CreditKind.GOODWILL, state__in=STANDING)
    found: dict[int, int] = {}
    for month, amount in Credit.objects.filter(given | taken, contract_month__in=ids).values_list(
        "contract_month_id", "amount_minor"
    ):
        found[month] = found.get(month, 0) + amount
    return {month: max(0, amount) for month, amount in found.items()}
