"""Contracts and their terms: what may be written, and the only way to write it (R-902).

Whatever changes makes the billing months stale in which it makes a difference; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.apps import apps
from django.contrib.auth.models import User
from django.db import transaction
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from postmortems.credits import assessing
from postmortems.credits.arithmetic.money import Money, MoneyError, exponent
from postmortems.models import Contract, ContractMonth, Term
from postmortems.models.contracts import LARGEST_FEE

_DAY = timedelta(days=1)
#: Of a contract, what its billing months and amounts are counted in, and what names them for good: keys of credits,
#: of postings and of entries at Stripe are made of the reference.
FIXED = {
    "currency": "currency",
    "zone": "billing time zone",
    "billing_day": "billing day",
    "customer_id": "customer",
    "reference": "reference",
}
_CONTRACT = (
    "reference",
    "customer_id",
    "policy_id",
    "own_rules_id",
    "currency",
    "zone",
    "billing_day",
    "billing_account",
)
_TERM = ("starts_on", "last_day", "plan", "fee_minor", "uses_everything")


@dataclass(frozen=True, slots=True)
class TermDraft:
    """A term as somebody wants it; ``components`` are ids. ``fee_minor`` is a month's, in minor units."""

    starts_on: date
    fee_minor: int
    last_day: date | None = None
    plan: str = ""
    uses_everything: bool = False
    components: frozenset[int] = frozenset()

    @classmethod
    def of(cls, term: Term) -> TermDraft:
        used = frozenset(component.pk for component in term.components.all())
        return cls(term.starts_on, term.fee_minor, term.last_day, term.plan, term.uses_everything, used)

    def holds_on(self, day: date) -> bool:
        return self.starts_on <= day and (self.last_day is None or day <= self.last_day)


class ContractError(ValueError):
    """It cannot be so. ``problems`` are words by field of the contract, or by (place of the term, its field)."""

    def __init__(self, problems: Mapping[str | tuple[int, str], str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(self.problems.values()))


@dataclass
class Wanted:
    """A contract, new or changed, with all the terms it shall have."""

    contract: Contract
    terms: Sequence[TermDraft]
    #: What is there now; filled by ``save_all``.
    before: Contract | None = None
    had: dict[date, Term] = field(default_factory=dict)


def problems(contract: Contract, terms: Sequence[TermDraft]) -> dict[str | tuple[int, str], str]:
    """What is wrong with it, by field; empty: nothing. No query."""
    found: dict[str | tuple[int, str], str] = {}
    try:
        exponent(contract.currency)
    except MoneyError as error:
        found["currency"] = str(error)
    try:
        ZoneInfo(contract.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found["zone"] = f"There is no time zone “{contract.zone}”. Write it like Europe/Berlin, or UTC."
    if not 1 <= contract.billing_day <= 28:
        found["billing_day"] = "A billing month begins on one of the days 1 to 28, which every month has."
    for place, term in enumerate(terms):
        found |= {(place, name): words for name, words in _wrong(term).items()}
    found |= _overlapping(terms)
    return found


@transaction.atomic
def save(contract: Contract, terms: Sequence[TermDraft], *, by: User | None, at: datetime) -> Contract:
    """Write one contract with all its terms. Raises ``ContractError``."""
    save_all([Wanted(contract, terms)], by=by, at=at)
    return contract


@transaction.atomic
def save_all(wanted: Sequence[Wanted], *, by: User | None, at: datetime) -> int:
    """Write many contracts, each with all its terms; terms that are not named go. How many differed.

    The same number of statements however many. Raises ``ContractError`` of the first that cannot be.
    """
    _look_up(wanted)
    assessed = assessed_among(one.contract.pk for one in wanted if one.before)
    for one in wanted:
        wrong = problems(one.contract, one.terms)
        if one.before and one.contract.pk in assessed:
            wrong |= fixed(one.contract, one.before)
        if wrong:
            raise ContractError(wrong)
    changed = [one for one in wanted if _differs(one)]
    # Compared before what is there is written over.
    days = [_since(one) for one in changed]
    new = [one.contract for one in changed if one.before is None]
    bulk_create_with_history(new, Contract, default_user=by, default_date=at)
    old = [one.contract for one in changed if one.before is not None and values(one.contract) != values(one.before)]
    bulk_update_with_history(old, Contract, _CONTRACT, default_user=by, default_date=at)
    _write_terms(changed, by=by, at=at)
    for day in dict.fromkeys(days):
        ids = [one.contract.pk for one, since in zip(changed, days, strict=True) if since == day]
        assessing.mark_contracts(ids, since=day, at=at)
    return len(changed)


def _differs(one: Wanted) -> bool:
    """Whether it is not there yet just so."""
    if one.before is None or values(one.contract) != values(one.before):
        return True
    return {day: TermDraft.of(term) for day, term in one.had.items()} != {term.starts_on: term for term in one.terms}


def _look_up(wanted: Sequence[Wanted]) -> None:
    """Fill in what is there, locked. Three queries."""
    ids = [one.contract.pk for one in wanted if one.contract.pk]
    there = {row.pk: row for row in Contract.objects.select_for_update().filter(pk__in=ids).order_by("pk")}
    terms: dict[int, dict[date, Term]] = {}
    for term in Term.objects.filter(contract__in=ids).prefetch_related("components"):
        terms.setdefault(term.contract_id, {})[term.starts_on] = term
    for one in wanted:
        one.before = there.get(one.contract.pk)
        one.had = terms.get(one.contract.pk, {})


def assessed_among(ids: Iterable[int]) -> set[int]:
    """Those of these contracts of which months were assessed. One query."""
    return set(ContractMonth.objects.filter(contract__in=list(ids)).values_list("contract", flat=True).distinct())


def fixed(contract: Contract, before: Contract) -> dict[str | tuple[int, str], str]:
    """What changed, and cannot once months of it were assessed: they are counted in it. By field."""
    return {
        name.removesuffix("_id"): f"Months of this contract were assessed already, so its {words} stays. "
        "End this contract and start another."
        for name, words in FIXED.items()
        if getattr(contract, name) != getattr(before, name)
    }


def _wrong(term: TermDraft) -> dict[str, str]:
    found = {}
    if not 0 <= term.fee_minor <= LARGEST_FEE:
        found["fee"] = "A fee is not negative, and not more than anybody is billed."
    if term.last_day and term.last_day < term.starts_on:
        found["last_day"] = f"It ends before it begins on {term.starts_on}."
    if not term.uses_everything and not term.components:
        found["components"] = "Choose the components this customer uses, or say that they use everything."
    return found


def _overlapping(terms: Sequence[TermDraft]) -> dict[str | tuple[int, str], str]:
    found: dict[str | tuple[int, str], str] = {}
    order = sorted(range(len(terms)), key=lambda place: (terms[place].starts_on, place))
    for earlier, later in pairwise(order):
        if terms[earlier].last_day is None:
            found[(later, "starts_on")] = (
                f"The term from {terms[earlier].starts_on} has no last day. Let it end before this one begins."
            )
        elif terms[earlier].holds_on(terms[later].starts_on):
            found[(later, "starts_on")] = (
                f"It overlaps the term from {terms[earlier].starts_on}, which ends on {terms[earlier].last_day}."
            )
    return found


def values(contract: Contract) -> tuple[Any, ...]:
    """What is compared of a contract itself."""
    return tuple(getattr(contract, name) for name in _CONTRACT)


def _write_terms(changed: Sequence[Wanted], *, by: User | None, at: datetime) -> None:
    new: list[tuple[Term, TermDraft]] = []
    kept: list[tuple[Term, TermDraft]] = []
    for one in changed:
        for draft in one.terms:
            there = one.had.get(draft.starts_on)
            if there is None:
                new.append((Term(contract=one.contract, **_columns(draft)), draft))
            elif TermDraft.of(there) != draft:
                for name, value in _columns(draft).items():
                    setattr(there, name, value)
                kept.append((there, draft))
        stay = {draft.starts_on for draft in one.terms}
        for day, term in one.had.items():
            if day not in stay:
                # The library's name for who does it.
                cast(Any, term)._history_user = by
                term.delete()
    bulk_create_with_history([term for term, _ in new], Term, default_user=by, default_date=at)
    bulk_update_with_history([term for term, _ in kept], Term, _TERM, default_user=by, default_date=at)
    _write_components([*new, *kept], at)


def _columns(draft: TermDraft) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in _TERM}


def _write_components(terms: Sequence[tuple[Term, TermDraft]], at: datetime) -> None:
    """What they use, now and in their history: the library writes that one row at a time."""
    used = Term.components.through
    used.objects.filter(term__in=[term.pk for term, _ in terms]).delete()
    made = used.objects.bulk_create(
        used(term_id=term.pk, component_id=component) for term, draft in terms for component in sorted(draft.components)
    )
    past = apps.get_model("postmortems", "HistoricalTerm_components")
    ids = [term.pk for term, _ in terms]
    # Of two changes of one moment the last is what they use.
    rows = dict(Term.history.filter(id__in=ids, history_date=at).order_by("history_id").values_list("id", "history_id"))
    past._default_manager.bulk_create(
        past(id=row.pk, history_id=rows[row.term_id], term_id=row.term_id, component_id=row.component_id)
        for row in made
    )


def _since(one: Wanted) -> date | None:
    """The first day on which it is not as it was; None: it may differ on every day."""
    if one.before is not None and values(one.contract) != values(one.before):
        return None
    return _first_difference([TermDraft.of(term) for term in one.had.values()], one.terms)


def _first_difference(old: Sequence[TermDraft], new: Sequence[TermDraft]) -> date | None:
    turns = {term.starts_on for term in (*old, *new)} | {term.last_day + _DAY for term in (*old, *new) if term.last_day}
    for day in sorted(turns):
        if _on(old, day) != _on(new, day):
            return day
    return None


def _on(terms: Sequence[TermDraft], day: date) -> tuple[Any, ...] | None:
    """What holds on a day, whatever the days between which it does."""
    term = next((term for term in terms if term.holds_on(day)), None)
    return None if term is None else (term.plan, term.fee_minor, term.uses_everything, term.components)


def fee_words(term: Term, currency: str) -> str:
    """``1,200.00 EUR``."""
    return str(Money(term.fee_minor, currency))
