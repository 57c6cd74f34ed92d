"""What finance sees first: what each month comes to, what waits and why, whether the books agree.

Read models: a fixed number of queries, whatever the data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from django.db.models import Case, CharField, Count, F, Max, Min, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from postmortems.credits.arithmetic.months import first, following, preceding
from postmortems.enums import STANDING, WAITING, CreditKind, CreditState, RuleStanding, RunKind
from postmortems.models import Batch, Contract, ContractMonth, Credit, RuleVersion, Run

#: So many months to a page, so many waiting credits before the list takes over.
MONTHS, SHOWN = 12, 25
#: Sums of states that count towards a month's total; a decision changes nothing until it is made.
COUNTED = (
    CreditState.PROPOSED,
    CreditState.SECOND,
    CreditState.APPROVED,
    CreditState.EXPORTED,
    CreditState.APPLIED,
)
GOODWILL = "goodwill"
#: Goodwill, and what takes it back.
IS_GOODWILL = Q(kind=CreditKind.GOODWILL) | Q(kind=CreditKind.REVERSAL, reverses__kind=CreditKind.GOODWILL)


@dataclass
class Sums:
    """One currency of one month, in minor units. Goodwill is apart: the states are without it."""

    currency: str
    #: What running incidents would add if they were over now.
    estimate: int = 0
    proposed: int = 0
    second: int = 0
    decision: int = 0
    approved: int = 0
    exported: int = 0
    applied: int = 0
    goodwill: int = 0

    @property
    def total(self) -> int:
        """What the month costs if everything proposed is approved; decisions and estimates are left out."""
        counted: list[int] = [getattr(self, state.value) for state in COUNTED]
        return sum(counted) + self.goodwill


@dataclass
class Month:
    """A billing month over all contracts. ``number``: how many credits; ``ready``: approved, not yet exported."""

    month: date
    currencies: list[Sums] = field(default_factory=list)
    number: int = 0
    waiting: int = 0
    ready: int = 0
    running: int = 0
    stale: int = 0
    batch: Batch | None = None


@dataclass(frozen=True)
class Page:
    """Twelve months, newest first. ``newer`` and ``older`` are numbers of pages; None: there is none.

    ``closable``: months that are over (in UTC; ``closing`` knows every zone) and after the newest batch.
    """

    months: list[Month]
    newer: int | None
    older: int | None
    closable: frozenset[date] = frozenset()


def months(page: int = 0, *, at: datetime) -> Page:
    """Six queries."""
    ends = ContractMonth.objects.aggregate(newest=Max("month"), oldest=Min("month"))
    if ends["newest"] is None:
        return Page([], None, None)
    newest, oldest = _before(first(ends["newest"]), page * MONTHS), first(ends["oldest"])
    if newest < oldest:
        return Page([], page - 1 if page else None, None)
    shown = [month for month in _back_from(newest, MONTHS) if month >= oldest]
    found = {month: Month(month) for month in shown}
    _count(found, shown)
    closed = Batch.objects.aggregate(newest=Max("month"))["newest"]
    closable = frozenset(month for month in shown if following(month) <= at.date() and (not closed or month > closed))
    return Page(list(found.values()), page - 1 if page else None, page + 1 if shown[-1] > oldest else None, closable)


def _count(found: dict[date, Month], shown: list[date]) -> None:
    span = Q(month__range=(shown[-1], shown[0]))
    sums: dict[tuple[date, str], Sums] = {}

    def of(month: date, currency: str) -> Sums:
        return sums.setdefault((month, currency), Sums(currency))

    for month, currency, state, is_goodwill, amount, number in credit_sums(shown[-1], shown[0]):
        row = found[month]
        row.number += number
        row.waiting += number if state in WAITING else 0
        row.ready += number if state == CreditState.APPROVED else 0
        name = GOODWILL if is_goodwill else state
        setattr(of(month, currency), name, getattr(of(month, currency), name) + amount)
    running = ContractMonth.objects.filter(span, is_running=True).order_by()
    added = Sum(F("estimate_minor") - Coalesce(F("assessed_minor"), 0))
    grouped = running.values_list("month", "contract__currency").annotate(added=added, n=Count("pk"))
    for month, currency, amount, number in grouped:
        of(month, currency).estimate += amount
        found[month].running += number
    stale = ContractMonth.objects.filter(span, stale_since__isnull=False).order_by()
    for month, number in stale.values_list("month").annotate(Count("pk")):
        found[month].stale = number
    for batch in Batch.objects.filter(span).defer("csv", "xlsx", "json"):
        found[batch.month].batch = batch
    for (month, _), row_of in sorted(sums.items(), key=lambda pair: pair[0][1]):
        found[month].currencies.append(row_of)


def credit_sums(oldest: date, newest: date) -> list[tuple[date, str, str, bool, int, int]]:
    """(month, currency, state, whether goodwill, sum, number) of waiting and standing credits. One query."""
    rows = Credit.objects.filter(
        contract_month__month__range=(oldest, newest), state__in=[*WAITING, *STANDING]
    ).order_by()
    kind = Case(When(IS_GOODWILL, then=Value(GOODWILL)), default=Value(""), output_field=CharField())
    grouped = rows.annotate(apart=kind).values_list("contract_month__month", "currency", "state", "apart")
    return [
        (month, currency, state, apart == GOODWILL, amount, number)
        for month, currency, state, apart, amount, number in grouped.annotate(Sum("amount_minor"), Count("pk"))
    ]


def waiting() -> QuerySet[Credit]:
    """What waits for a person or for the end of its holding time, oldest first, with what a line about it needs."""
    rows = Credit.objects.waiting().select_related("contract_month__contract__customer", "assessment", "first_by")
    return rows.order_by("proposed_at", "pk")


def waiting_totals() -> list[tuple[str, int, int]]:
    """(currency, sum, number) of everything that waits. One query."""
    grouped = Credit.objects.waiting().order_by("currency").values_list("currency")
    return [
        (currency, amount, number) for currency, amount, number in grouped.annotate(Sum("amount_minor"), Count("pk"))
    ]


# --- the red light ---------------------------------------------------------------------


def ready() -> tuple[bool, bool]:
    """Whether rules are in force, and whether there is a contract: what comes before the first month. Two queries."""
    return RuleVersion.objects.filter(standing=RuleStanding.IN_FORCE).exists(), Contract.objects.exists()


def runs(at: datetime) -> list[Run]:
    """Assessments that were asked for and are not done, newest first. One query."""
    return list(Run.objects.filter(kind=RunKind.ASSESS, finished_at__isnull=True).select_related("asked_by")[:3])


def last_recheck() -> Run | None:
    """The last second opinion. One query."""
    return Run.objects.filter(kind=RunKind.RECHECK, finished_at__isnull=False).first()


def stale() -> tuple[int, datetime | None]:
    """How many contract months wait to be assessed again, and since when the oldest does. One query."""
    found = ContractMonth.objects.filter(stale_since__isnull=False).aggregate(n=Count("pk"), since=Min("stale_since"))
    return found["n"], found["since"]


# --- months ----------------------------------------------------------------------------


def _before(month: date, steps: int) -> date:
    whole = month.year * 12 + month.month - 1 - steps
    return date(max(whole // 12, 1), whole % 12 + 1, 1)


def _back_from(month: date, number: int) -> list[date]:
    found = [month]
    while len(found) < number and found[-1] > date(1, 1, 1):
        found.append(preceding(found[-1]))
    return found
