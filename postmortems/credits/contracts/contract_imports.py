"""Bringing contracts in from a CSV file: one line a term, lines of one contract together or apart (R-902).

A contract is written whole or not at all; one that is wrong does not keep the others away. Run twice it changes
nothing the second time. A term that begins while an earlier one has no last day ends that one the day before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import BinaryIO

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import TextChoices
from django.utils.dateparse import parse_date
from simple_history.utils import bulk_create_with_history

from incidents.models import Policy
from notifications import sheets
from notifications.models import Customer
from notifications.sheets import Finding, Report
from postmortems.credits.arithmetic.money import MoneyError, parse
from postmortems.models import Contract, RuleBook, Term
from status.models import Component

from . import TermDraft, Wanted, assessed_among, fixed, problems, save_all, values

REQUIRED = ("contract", "customer", "from", "fee", "currency")
OPTIONAL = (
    "customer_name", "until", "plan", "components", "policy", "rules", "zone", "billing_day", "billing_account",
)  # fmt: skip
#: Contracts of one transaction.
CHUNK = 500
EVERYTHING = "*"


class Verdict(TextChoices):
    NEW = "new", "New"
    CHANGED = "changed", "Changed"
    SAME = "same", "As it is"
    WRONG = "wrong", "Wrong"


@dataclass(frozen=True)
class _Known:
    """What the lines may name, by what they call it."""

    policies: Mapping[str, Policy]
    books: Mapping[str, RuleBook]
    components: Mapping[str, int]
    usual: Policy | None


@dataclass
class _Reading:
    """The lines of one contract, what is there of it, and what they come to."""

    lines: list[sheets.Line]
    old: Contract | None = None
    had: dict[date, TermDraft] = field(default_factory=dict)
    #: The first day of the term that each line is about.
    days: dict[int, date] = field(default_factory=dict)
    wanted: Wanted | None = None
    words: dict[int, str] = field(default_factory=dict)
    wrong: dict[int, str] = field(default_factory=dict)
    new_customer: Customer | None = None


def run(file: BinaryIO, *, by: User | None, at: datetime, dry: bool) -> Report:
    """Import a file, or with ``dry`` only say what would become of each line. Raises ``sheets.BadFile``."""
    report, findings = Report(Verdict.SAME), list[Finding]()
    groups: dict[str, list[sheets.Line]] = {}
    for line in sheets.lines(file, required=REQUIRED, optional=OPTIONAL):
        if line.wrong or not line.cells["contract"]:
            findings.append(Finding(line.number, Verdict.WRONG, line.first, line.wrong or "contract is empty."))
        else:
            groups.setdefault(line.cells["contract"], []).append(line)
    known, waiting = _known(), iter(groups.items())
    while some := dict(islice(waiting, CHUNK)):
        findings += _chunk(some, known, by=by, at=at, dry=dry)
    for finding in sorted(findings, key=lambda one: one.number):
        report.add(finding)
    return report


def writes(report: Report) -> int:
    """How many lines change something, or did."""
    return report.counts[Verdict.NEW] + report.counts[Verdict.CHANGED]


@transaction.atomic
def _chunk(
    groups: Mapping[str, list[sheets.Line]], known: _Known, *, by: User | None, at: datetime, dry: bool
) -> list[Finding]:
    """Judge the lines of some contracts, and write what is good. Constant queries."""
    readings = _read(groups, known)
    good = {reference: one for reference, one in readings.items() if not one.wrong}
    findings: list[Finding] = []
    for reference, one in readings.items():
        findings += _findings(reference, one)
    if not dry:
        new = {one.new_customer.reference: one.new_customer for one in good.values() if one.new_customer}
        bulk_create_with_history(list(new.values()), Customer, default_user=by, default_date=at)
        for one in good.values():
            if one.wanted and one.new_customer:
                one.wanted.contract.customer = new[one.new_customer.reference]
        save_all([one.wanted for one in good.values() if one.wanted], by=by, at=at)
    return findings


def _read(groups: Mapping[str, list[sheets.Line]], known: _Known) -> dict[str, _Reading]:
    there = {row.reference: row for row in Contract.objects.filter(reference__in=list(groups))}
    had: dict[int, list[Term]] = {}
    for term in Term.objects.filter(contract__in=list(there.values())).prefetch_related("components"):
        had.setdefault(term.contract_id, []).append(term)
    names = {line.cells["customer"] for lines in groups.values() for line in lines}
    customers = {row.reference: row for row in Customer.objects.filter(reference__in=names).prefetch_related("topics")}
    used, assessed = _used(customers.values()), assessed_among(row.pk for row in there.values())
    readings = {}
    for reference, lines in groups.items():
        readings[reference] = one = _Reading(lines, there.get(reference))
        if one.old:
            one.had = {term.starts_on: TermDraft.of(term) for term in had.get(one.old.pk, ())}
        _contract(reference, one, customers, known)
        if one.wanted and not one.wrong:
            _terms(one, used, known)
        if one.wanted and one.old and one.old.pk in assessed and (stays := fixed(one.wanted.contract, one.old)):
            one.wrong[lines[0].number] = " ".join(stays.values())
    return readings


def _used(customers: Iterable[Customer]) -> dict[str, frozenset[int]]:
    """Components that customers use by what is written down of them, by reference. One query."""
    of_topic: dict[int, set[int]] = {}
    for pk, topic, group in Component.objects.shown().values_list("pk", "topic", "group__topic"):
        for chosen in (topic, group):
            if chosen:
                of_topic.setdefault(chosen, set()).add(pk)
    return {
        customer.reference: frozenset(pk for topic in customer.topics.all() for pk in of_topic.get(topic.pk, ()))
        for customer in customers
    }


def _known() -> _Known:
    policies = {policy.slug: policy for policy in Policy.objects.all()}
    books = {book.name.casefold(): book for book in RuleBook.objects.select_related("policy")}
    paying = {book.policy for book in books.values() if book.policy}
    return _Known(
        policies,
        books,
        {component.name.casefold(): component.pk for component in Component.objects.all()},
        paying.pop() if len(paying) == 1 else next((one for one in policies.values() if one.is_default), None),
    )


# --- the contract ----------------------------------------------------------------------


def _contract(reference: str, one: _Reading, customers: Mapping[str, Customer], known: _Known) -> None:
    """The contract that the lines describe; an empty cell leaves what is there, or means the usual."""
    first = one.lines[0].cells
    for line in one.lines[1:]:
        for name in ("customer", "currency", "policy", "rules", "zone", "billing_day", "billing_account"):
            if line.cells.get(name, "") != first.get(name, ""):
                one.wrong[line.number] = f"{name} is not the same as in line {one.lines[0].number} of this contract."
    number = one.lines[0].number
    # A copy: what is there stays to be compared with.
    contract = copy(one.old) if one.old else Contract()
    try:
        contract.reference = _short(reference, 60, "contract")
        _customer(contract, one, first, customers)
        contract.currency = first["currency"].upper()
        _named(contract, first, known)
        contract.zone = first.get("zone") or contract.zone
        contract.billing_day = _day(first["billing_day"]) if first.get("billing_day") else contract.billing_day
        contract.billing_account = _short(
            first.get("billing_account") or contract.billing_account, 80, "billing_account"
        )
    except ValidationError as error:
        one.wrong[number] = " ".join(error.messages)
        return
    one.wanted = Wanted(contract, ())


def _customer(contract: Contract, one: _Reading, cells: Mapping[str, str], customers: Mapping[str, Customer]) -> None:
    reference, name = cells["customer"], cells.get("customer_name", "")
    if reference in customers:
        contract.customer = customers[reference]
    elif not name or not reference:
        raise ValidationError(
            f"There is no customer “{sheets.printable(reference)}”. Give a customer_name to make one."
        )
    else:
        one.new_customer = Customer(
            reference=_short(reference, 40, "customer"), name=_short(name, 120, "customer_name")
        )
        one.words[one.lines[0].number] = f"The customer “{sheets.printable(name)}” is new, too."


def _named(contract: Contract, cells: Mapping[str, str], known: _Known) -> None:
    if slug := cells.get("policy", ""):
        if slug not in known.policies:
            raise ValidationError(f"There is no policy “{sheets.printable(slug)}”.")
        contract.policy = known.policies[slug]
    elif contract.policy_id is None:
        if known.usual is None:
            raise ValidationError("Name a policy: none is the usual one.")
        contract.policy = known.usual
    if name := cells.get("rules", ""):
        if name.casefold() not in known.books:
            raise ValidationError(f"There are no credit rules “{sheets.printable(name)}”.")
        contract.own_rules = known.books[name.casefold()]


def _day(cell: str) -> int:
    if not (cell.isascii() and cell.isdigit() and 1 <= int(cell) <= 28):
        raise ValidationError("billing_day is a number from 1 to 28.")
    return int(cell)


def _short(cell: str, most: int, name: str) -> str:
    if len(cell) > most:
        raise ValidationError(f"{name} is longer than {most} characters.")
    if not cell.isprintable():
        raise ValidationError(f"{name} holds characters that cannot be printed.")
    return cell


# --- its terms -------------------------------------------------------------------------


def _terms(one: _Reading, used: Mapping[str, frozenset[int]], known: _Known) -> None:
    """What the lines say of terms, beside those that are there already."""
    assert one.wanted is not None
    by_day, told = dict(one.had), dict[date, int]()
    for line in one.lines:
        try:
            draft = _term(line.cells, one.wanted.contract.currency, used, known)
        except (ValidationError, MoneyError) as error:
            one.wrong[line.number] = " ".join(getattr(error, "messages", [str(error)]))
            continue
        if draft.starts_on in told:
            one.wrong[line.number] = f"Line {told[draft.starts_on]} has a term from {draft.starts_on}, too."
            continue
        told[draft.starts_on], one.days[line.number] = line.number, draft.starts_on
        by_day[draft.starts_on] = draft
    if one.wrong:
        return
    one.wanted.terms = list(_ended(by_day, told, one.words))
    places = [term.starts_on for term in one.wanted.terms]
    for where, words in problems(one.wanted.contract, one.wanted.terms).items():
        line_of = told.get(places[where[0]]) if isinstance(where, tuple) else None
        one.wrong[line_of or one.lines[0].number] = words


def _term(cells: Mapping[str, str], currency: str, used: Mapping[str, frozenset[int]], known: _Known) -> TermDraft:
    names = [name.strip() for name in cells.get("components", "").split(";") if name.strip()]
    everything = names == [EVERYTHING]
    components = frozenset[int]() if everything else _components(names, used.get(cells["customer"]), known)
    return TermDraft(
        starts_on=_date(cells["from"], "from"),
        fee_minor=parse(cells["fee"], currency),
        last_day=_date(cells["until"], "until") if cells.get("until") else None,
        plan=_short(cells.get("plan", ""), 60, "plan"),
        uses_everything=everything,
        components=components,
    )


def _components(names: list[str], used: frozenset[int] | None, known: _Known) -> frozenset[int]:
    if unknown := [name for name in names if name.casefold() not in known.components]:
        raise ValidationError(f"There is no component “{sheets.printable(unknown[0])}”.")
    found = frozenset(known.components[name.casefold()] for name in names) or used
    if not found:
        raise ValidationError("Nobody wrote down what this customer uses: name components, or write * for everything.")
    return found


def _date(cell: str, name: str) -> date:
    try:
        day = parse_date(cell)
    except ValueError:
        day = None
    if day is None or not 1990 <= day.year <= 2200:
        raise ValidationError(f"“{name}” is a date like 2026-05-31.")
    return day


def _ended(by_day: Mapping[date, TermDraft], told: Mapping[date, int], words: dict[int, str]) -> Iterator[TermDraft]:
    """In order; what has no last day ends before the next begins, which the line of the next says."""
    order = [by_day[day] for day in sorted(by_day)]
    for term, following in zip(order, [*order[1:], None], strict=True):
        if term.last_day is None and following is not None:
            last = following.starts_on - timedelta(days=1)
            yield replace(term, last_day=last)
            if line := told.get(following.starts_on):
                words[line] = f"The term from {term.starts_on} ends on {last}. {words.get(line, '')}".strip()
        else:
            yield term


def _findings(reference: str, one: _Reading) -> Iterator[Finding]:
    shown = sheets.printable(reference)
    if one.wrong:
        others = "Another line of this contract is wrong, so nothing of it is written."
        for line in one.lines:
            yield Finding(line.number, Verdict.WRONG, shown, one.wrong.get(line.number, others))
        return
    assert one.wanted is not None
    for line in one.lines:
        yield Finding(line.number, _verdict(one, line), shown, one.words.get(line.number, ""))


def _verdict(one: _Reading, line: sheets.Line) -> Verdict:
    assert one.wanted is not None
    day = one.days[line.number]
    if one.old is None or day not in one.had:
        return Verdict.NEW
    after = {term.starts_on: term for term in one.wanted.terms}
    same = after[day] == one.had[day] and values(one.wanted.contract) == values(one.old)
    return Verdict.SAME if same else Verdict.CHANGED
