"""What credits came to, by month, customer, incident, currency or kind; reconciled with the ledger (R-906).

Only what stands counts: approved, exported, applied. All sums are minor units of one currency; currencies are
never added. Each report carries the ledger's own total of the same selection, counted apart.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from notifications.dialects import rows as fetched
from notifications.models import Customer
from postmortems.credits.arithmetic.money import share_out
from postmortems.credits.arithmetic.months import first, preceding
from postmortems.credits.book.moves import FOLLOWING
from postmortems.enums import STANDING, Account, CreditKind, CreditState
from postmortems.models import Contract, Credit, Posting

#: How lines are grouped: name → words.
GROUPS = {
    "month": "Month",
    "customer": "Customer",
    "incident": "Incident",
    "currency": "Currency",
    "kind": "Kind",
}
#: No further than this back from the last month; so many months where nothing was asked.
LONGEST, USUAL = 120, 12
#: So many lines on a page; a file and the API have all.
SHOWN = 500
NO_INCIDENT = "No incident (goodwill)"
_MONTH = re.compile(r"(\d{4})-(\d{2})\Z", re.ASCII)


class AskedError(ValueError):
    """(field, words) of something that was asked for and cannot be."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name = name


@dataclass(frozen=True)
class Asked:
    """Billing months from ``oldest`` to ``newest``, both whole. Blank filters take everything."""

    oldest: date
    newest: date
    by: str = "month"
    currency: str = ""
    kind: str = ""
    customer: Customer | None = None

    @property
    def chosen(self) -> Q:
        """Of credits."""
        return self._common() & (Q(kind=self.kind) if self.kind else Q())

    @property
    def posted(self) -> Q:
        """Of postings, which know their month and currency themselves."""
        return self._common() & (Q(credit__kind=self.kind) if self.kind else Q())

    def _common(self) -> Q:
        where = Q(contract_month__month__range=(self.oldest, self.newest))
        if self.currency:
            where &= Q(currency=self.currency)
        if self.customer:
            where &= Q(contract_month__contract__customer=self.customer)
        return where


@dataclass(frozen=True)
class Line:
    """``key`` as programs read it, ``label`` as people do. Sums in minor units; ``amount`` is all of it.

    By incident the steps are not told apart, and ``number`` counts contract months.
    """

    key: str
    label: str
    currency: str
    number: int
    amount: int
    approved: int = 0
    exported: int = 0
    applied: int = 0


@dataclass(frozen=True)
class Report:
    """``ledger``: what the postings of the same credits say, by currency: the totals, or something is wrong."""

    asked: Asked
    lines: list[Line]
    totals: list[Line]
    ledger: dict[str, int] = field(default_factory=dict)

    @property
    def reconciles(self) -> bool:
        return {line.currency: line.amount for line in self.totals if line.amount} == {
            currency: amount for currency, amount in self.ledger.items() if amount
        }


# --- what is asked ---------------------------------------------------------------------


def ask(typed_from: str, typed_to: str, by: str, currency: str, kind: str, customer: str, *, at: datetime) -> Asked:
    """Read what was asked. Blank months: the last twelve. Raises AskedError at the field."""
    newest = _month("to", typed_to) if typed_to else first(at.date())
    oldest = _month("from", typed_from) if typed_from else _before(newest, USUAL - 1)
    if oldest > newest:
        raise AskedError("from", "The first month is after the last.")
    if oldest < _before(newest, LONGEST - 1):
        raise AskedError("from", f"No more than {LONGEST} months at once.")
    if by and by not in GROUPS:
        raise AskedError("by", f"Credits can be grouped by {', '.join(GROUPS)}.")
    if currency and not re.fullmatch(r"[A-Z]{3}", currency):
        raise AskedError("currency", "A currency is three letters, such as EUR.")
    if kind and kind not in CreditKind.values:
        raise AskedError("kind", f"Kinds of credits are {', '.join(CreditKind.values)}.")
    if kind and by == "incident":
        raise AskedError("kind", "By incident all kinds are taken together.")
    return Asked(oldest, newest, by or "month", currency, kind, _customer(customer))


def _month(name: str, typed: str) -> date:
    found = _MONTH.match(typed)
    try:
        # There is no year before the year 1, and the longest report needs ten of them.
        is_one = found and int(found[1]) > LONGEST // 12
        return date(int(found[1]), int(found[2]), 1) if found and is_one else date.fromisoformat("")
    except ValueError:
        raise AskedError(name, "Write the month as 2026-01.") from None


def _customer(typed: str) -> Customer | None:
    if not typed:
        return None
    known = None if "\x00" in typed else Customer.objects.filter(reference__iexact=typed).first()
    if known is None:
        raise AskedError("customer", f"There is no customer with the number “{typed}”.")
    return known


def currencies() -> list[str]:
    """Currencies of contracts, for the filter. One query."""
    return list(Contract.objects.order_by("currency").values_list("currency", flat=True).distinct())


# --- what is answered ------------------------------------------------------------------


def report(asked: Asked) -> Report:
    """Two queries; by incident five, for its lines do not tell the steps apart."""
    if asked.by == "incident":
        return Report(asked, _by_incident(asked), _totals(asked), _ledger(asked))
    lines = _grouped(asked)
    return Report(asked, lines, _together(lines), _ledger(asked))


_KEYS = {
    "month": ("contract_month__month",),
    "customer": ("contract_month__contract__customer__reference", "contract_month__contract__customer__name"),
    "currency": ("currency",),
    "kind": ("kind",),
}
_SUMS = {
    "number": Count("pk"),
    "amount": Sum("amount_minor"),
    **{
        state.value: Coalesce(Sum("amount_minor", filter=Q(state=state)), 0)
        for state in (CreditState.APPROVED, CreditState.EXPORTED, CreditState.APPLIED)
    },
}


def _standing(asked: Asked) -> QuerySet[Credit]:
    return Credit.objects.filter(asked.chosen, state__in=STANDING).order_by()


def _grouped(asked: Asked) -> list[Line]:
    keys = _KEYS[asked.by]
    found: Iterable[dict[str, Any]] = _standing(asked).values(*keys, "currency").annotate(**_SUMS)
    lines = [
        Line(*_named(asked.by, [row[key] for key in keys]), row["currency"], *(row[name] for name in _SUMS))
        for row in found
    ]
    lines.sort(key=lambda line: (line.key, line.currency))
    if asked.by == "month":
        lines.sort(key=lambda line: line.key, reverse=True)
    return lines


def _named(by: str, values: list[Any]) -> tuple[str, str]:
    if by == "month":
        return f"{values[0]:%Y-%m}", f"{values[0]:%B %Y}"
    if by == "kind":
        return values[0], CreditKind(values[0]).label
    return values[0], values[-1]


def _totals(asked: Asked) -> list[Line]:
    found: Any = _standing(asked).values("currency").annotate(**_SUMS).order_by("currency")
    return [Line("", "Total", row["currency"], *(row[name] for name in _SUMS)) for row in found]


def _together(lines: Iterable[Line]) -> list[Line]:
    """As ``_totals``, of lines that are read already: every credit is in one of them."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * len(_SUMS))
    for line in lines:
        sums[line.currency] = [
            held + getattr(line, name) for held, name in zip(sums[line.currency], _SUMS, strict=True)
        ]
    return [Line("", "Total", currency, *sums[currency]) for currency in sorted(sums)]


def _ledger(asked: Asked) -> dict[str, int]:
    """What the expense account says: debits less what was posted against it."""
    expense = Q(debit=Account.EXPENSE) | Q(against=Account.EXPENSE)
    postings = Posting.objects.filter(asked.posted).filter(expense).order_by().values("currency")
    found = postings.annotate(
        debits=Coalesce(Sum("amount_minor", filter=Q(debit=Account.EXPENSE)), 0),
        against=Coalesce(Sum("amount_minor", filter=Q(against=Account.EXPENSE)), 0),
    )
    return {row["currency"]: row["debits"] - row["against"] for row in found}


# --- by incident -----------------------------------------------------------------------


def _by_incident(asked: Asked) -> list[Line]:
    """What stands of a contract month, shared out by the lines of the last assessment that was approved.

    Incidents that were one outage are one line. Where what stands is what that assessment came to, its lines are
    taken as they are, by the database; the few other months (a reversal, a part the customer kept) are shared
    out here by largest remainder, so that the sum stays exact.
    """
    standing = _standing(asked)
    goodwill = Q(kind=CreditKind.GOODWILL) | Q(kind=CreditKind.REVERSAL, reverses__kind=CreditKind.GOODWILL)
    followed = Q(kind__in=FOLLOWING) | Q(kind=CreditKind.REVERSAL, reverses__kind__in=FOLLOWING)
    months = standing.filter(followed).values("contract_month", "currency")
    months = months.annotate(amount=Sum("amount_minor"), last=Max("assessment"))
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    given = standing.filter(goodwill).values_list("currency")
    for currency, number, amount in given.annotate(Count("contract_month", distinct=True), Sum("amount_minor")):
        sums["", currency] = [number, amount]
    for key, currency, number, amount in (*_as_assessed(months), *_shared_out(months)):
        sums[key, currency][0] += number
        sums[key, currency][1] += amount
    lines = [
        Line(key, key or NO_INCIDENT, currency, number, amount)
        for (key, currency), (number, amount) in sums.items()
        if amount
    ]
    return sorted(lines, key=lambda line: (not line.key, line.key, line.currency))


_LINES = {
    "postgresql": (
        "line ->> 'references'",
        "(line ->> 'amount')::bigint",
        "CROSS JOIN LATERAL jsonb_array_elements(a.content -> 'lines') AS line",
    ),
    "sqlite": (
        "json_extract(line.value, '$.references')",
        "json_extract(line.value, '$.amount')",
        ", json_each(a.content, '$.lines') AS line",
    ),
}


def _as_assessed(months: QuerySet[Any]) -> list[tuple[str, str, int, int]]:
    """(references, currency, months, amount) where what stands is what was assessed. One query."""
    inner, params = months.query.sql_with_params()
    references, amount, each = _LINES[connection.vendor]
    # Words of ours, and a query that Django wrote.
    found = fetched(
        f"SELECT {references}, s.currency, COUNT(*), SUM({amount}) FROM ({inner}) s "  # noqa: S608
        f"JOIN postmortems_assessment a ON a.id = s.last {each} WHERE s.amount = a.amount_minor GROUP BY 1, 2",
        list(params),
    )
    return [(", ".join(json.loads(key)), currency, number, int(amount)) for key, currency, number, amount in found]


def _shared_out(months: QuerySet[Any]) -> list[tuple[str, str, int, int]]:
    """The same for months in which something else stands than was assessed. One query."""
    inner, params = months.query.sql_with_params()
    found = fetched(
        f"SELECT s.currency, s.amount, a.content FROM ({inner}) s "  # noqa: S608 -- as above
        "LEFT JOIN postmortems_assessment a ON a.id = s.last WHERE a.id IS NULL OR s.amount <> a.amount_minor",
        list(params),
    )
    parts = []
    for currency, amount, content in found:
        lines = (json.loads(content) if isinstance(content, str) else content or {}).get("lines", [])
        sign = -1 if amount < 0 else 1
        shares = share_out(abs(int(amount)), [line["amount"] for line in lines])
        named = [(", ".join(line["references"]), share * sign) for line, share in zip(lines, shares, strict=True)]
        # Nothing to share it by: it is still shown, so that the sum is whole.
        named = named if any(shares) or not amount else [("", int(amount))]
        parts += [(key, currency, 1, share) for key, share in named if share]
    return parts


def _before(month: date, steps: int) -> date:
    for _ in range(steps):
        month = preceding(month)
    return month
