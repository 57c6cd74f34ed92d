"""A customer's statement: what was credited, month by month, with the arithmetic and totals to the cent (R-906).

One value, read in the same number of queries whatever its size, for the console, the customer's page and the PDF.
Only what stands is in it: no proposals and no estimates. What names an incident is its reference and, where the
public page tells of it, the title there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import QuerySet

from incidents.models import Incident
from notifications.models import Brand, Customer
from postmortems.credits.arithmetic.months import first as first_of
from postmortems.credits.arithmetic.months import preceding
from postmortems.enums import STANDING, CreditKind, CreditState
from postmortems.models import ContractMonth, Credit
from status import reading
from status.models import Notice

from . import customer_words as words

#: Months of the usual statement.
USUAL = 12
#: Of batches, megabytes that nobody reads here.
FILES = ("batch__csv", "batch__xlsx", "batch__json")
#: Of assessments, what only a recount reads.
INPUTS = ("assessment__inputs", "assessment__facts")


@dataclass(frozen=True)
class Named:
    """An incident by its reference, and what the public page calls it where it tells of it."""

    reference: str
    title: str = ""
    url: str = ""

    def __str__(self) -> str:
        return f"{self.reference} – {self.title}" if self.title else self.reference


@dataclass(frozen=True)
class Line:
    """What was credited for one outage (of one or several incidents), or for the month's uptime (of none)."""

    incidents: tuple[Named, ...]
    words: str
    amount: str


@dataclass(frozen=True)
class Item:
    """One credit. ``why``: sentences; ``lines``: what it is made of; ``corrects``: keys of what it changes."""

    credit: Credit
    heading: str
    why: tuple[str, ...]
    base: tuple[str, ...]
    lines: tuple[Line, ...]
    closing: tuple[str, ...]
    corrects: tuple[str, ...]
    standing: str
    amount: str

    @property
    def is_over(self) -> bool:
        return self.credit.state == CreditState.APPLIED

    @property
    def lowers(self) -> bool:
        return self.credit.amount_minor < 0


@dataclass(frozen=True)
class Month:
    """A contract's billing month with what was credited for it, and what that comes to."""

    row: ContractMonth
    items: tuple[Item, ...]
    minor: int

    @property
    def contract(self) -> str:
        return self.row.contract.reference

    @property
    def currency(self) -> str:
        return self.row.contract.currency

    @property
    def name(self) -> str:
        return f"{self.row.month:%B %Y}"

    @property
    def total(self) -> str:
        return words.amount(self.minor, self.currency)


@dataclass(frozen=True)
class Total:
    """One currency, in minor units: ``given`` and ``lowered`` add up to ``total``; so do the three states."""

    currency: str
    given: int
    lowered: int
    approved: int
    exported: int
    applied: int

    @property
    def total(self) -> int:
        return self.given + self.lowered

    def parts(self) -> list[tuple[str, str]]:
        """What it is made of, where something was taken back."""
        found = [("Credits", self.given), ("Corrections and reversals", self.lowered)] if self.lowered else []
        return [(name, words.amount(minor, self.currency)) for name, minor in found]

    def states(self) -> list[tuple[str, str]]:
        """Where it is, unless all of it was credited."""
        states = [("of which credited", self.applied), ("with billing", self.exported), ("approved", self.approved)]
        found = [pair for pair in states if pair[1]] if self.exported or self.approved else []
        return [(name, words.amount(minor, self.currency)) for name, minor in found]

    @property
    def words(self) -> str:
        return words.amount(self.total, self.currency)


@dataclass(frozen=True)
class Statement:
    """``first`` and ``last``: months, both included; None: from the first, to the last there is."""

    customer: Customer
    brand: Brand
    first: date | None
    last: date | None
    at: datetime
    months: tuple[Month, ...]
    totals: tuple[Total, ...]

    @property
    def period(self) -> str:
        """``October 2026 to November 2026``; of the months that are in it where nobody named any."""
        named = [month.row.month for month in self.months]
        start = self.first or min(named, default=None)
        end = self.last or max(named, default=None)
        if start is None or end is None:
            return ""
        return f"{start:%B %Y}" if start == end else f"{start:%B %Y} to {end:%B %Y}"

    @property
    def contracts(self) -> list[str]:
        return sorted({month.contract for month in self.months})


def statement(customer: Customer, *, at: datetime, first: date | None = None, last: date | None = None) -> Statement:
    """Everything that stands for this customer in these months. Four queries, however much it is."""
    rows = list(_standing(customer, first, last))
    references = {name for credit in rows for name in incidents_of(credit)}
    months = tuple(_months(rows, public(references)))
    return Statement(
        customer=customer,
        brand=brand_of(references),
        first=first,
        last=last,
        at=at,
        months=months,
        totals=totals(rows),
    )


def usual(at: datetime) -> tuple[date, date]:
    """The months of the usual statement: the last twelve, with this one."""
    last = start = first_of(at.date())
    for _ in range(USUAL - 1):
        start = preceding(start)
    return start, last


def incidents_of(credit: Credit) -> list[str]:
    """References of the incidents that it credits something for, each once."""
    if credit.assessment is None:
        return []
    lines = credit.assessment.content.get("lines", [])
    return list(dict.fromkeys(name for line in lines if line["points"] for name in line["references"]))


def totals(credits: Iterable[Credit]) -> tuple[Total, ...]:
    """By currency, in order of its code."""
    found: dict[str, list[Credit]] = {}
    for credit in credits:
        found.setdefault(credit.currency, []).append(credit)
    return tuple(_total(currency, found[currency]) for currency in sorted(found))


def brand_of(references: Collection[str]) -> Brand:
    """The one brand that all these incidents are of; else the default. Two queries at most."""
    if references:
        brands = Brand.objects.filter(pk__in=Incident.objects.filter(reference__in=references).values("brand"))
        found = list(brands[:2])
        if len(found) == 1:
            return found[0]
    return Brand.objects.default()


def public(references: Collection[str]) -> dict[str, Named]:
    """Those of which the public page tells. One query."""
    notices = Notice.objects.visible().filter(reference__in=references)
    return {notice.reference: Named(notice.reference, notice.title, reading.permalink(notice)) for notice in notices}


def _standing(customer: Customer, first: date | None, last: date | None) -> QuerySet[Credit]:
    found = Credit.objects.filter(contract_month__contract__customer=customer, state__in=STANDING)
    if first is not None:
        found = found.filter(contract_month__month__gte=first)
    if last is not None:
        found = found.filter(contract_month__month__lte=last)
    related = found.select_related("contract_month__contract", "assessment", "batch", "reverses")
    order = ("-contract_month__month", "contract_month__contract__reference", "number")
    return related.defer(*FILES, *INPUTS).order_by(*order)


def _months(rows: Sequence[Credit], told: Mapping[str, Named]) -> Iterable[Month]:
    together: dict[int, list[Credit]] = {}
    for credit in rows:
        together.setdefault(credit.contract_month_id, []).append(credit)
    for theirs in together.values():
        items = tuple(_item(credit, theirs, told) for credit in theirs)
        yield Month(theirs[0].contract_month, items, sum(credit.amount_minor for credit in theirs))


def _item(credit: Credit, beside: Sequence[Credit], told: Mapping[str, Named]) -> Item:
    content = credit.assessment.content if credit.assessment else {}
    return Item(
        credit=credit,
        heading=words.heading(credit),
        why=(words.correction(credit),) if credit.kind == CreditKind.CORRECTION else (),
        base=words.base(content, credit.currency),
        lines=tuple(
            Line(tuple(told.get(name, Named(name)) for name in one.references), one.words, one.amount)
            for one in words.lines(content, credit.currency)
        ),
        closing=words.closing(content, credit.currency),
        corrects=_corrects(credit, beside),
        standing=words.standing(credit),
        amount=words.amount(credit.amount_minor, credit.currency),
    )


def _corrects(credit: Credit, beside: Sequence[Credit]) -> tuple[str, ...]:
    """Of a reversal, what it takes back; of a correction, what stood of the month before it."""
    if credit.kind == CreditKind.REVERSAL:
        return tuple(one.key for one in beside if one.pk == credit.reverses_id)
    if credit.kind == CreditKind.CORRECTION:
        kinds = (CreditKind.ASSESSED, CreditKind.CORRECTION)
        return tuple(one.key for one in beside if one.number < credit.number and one.kind in kinds)
    return ()


def _total(currency: str, credits: Sequence[Credit]) -> Total:
    def among(*states: CreditState) -> int:
        return sum(credit.amount_minor for credit in credits if credit.state in states)

    return Total(
        currency=currency,
        given=sum(credit.amount_minor for credit in credits if credit.amount_minor > 0),
        lowered=sum(credit.amount_minor for credit in credits if credit.amount_minor < 0),
        approved=among(CreditState.APPROVED),
        exported=among(CreditState.EXPORTED),
        applied=among(CreditState.APPLIED),
    )
