"""A credit as its page shows it: who did what, the arithmetic as stored, what was known, the ledger (R-903, R-904).

One read model; the same number of queries whatever its history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.urls import reverse

from incidents.models import Incident
from postmortems.admin import acts, places
from postmortems.credits.arithmetic.case import Outage
from postmortems.credits.arithmetic.months import moment
from postmortems.credits.finance import why
from postmortems.credits.stripe.troubles import is_refused
from postmortems.enums import STANDING, Account, CreditKind
from postmortems.models import Assessment, ContractMonth, Credit, OutageFacts, Posting

#: So many assessments of a month are compared; the others are counted.
COMPARED = 20


@dataclass(frozen=True)
class Told:
    """An incident by its reference; ``url`` and ``title`` for those who may see it, otherwise blank."""

    reference: str
    url: str = ""
    title: str = ""


@dataclass(frozen=True)
class Fact:
    """An incident as it was known to an assessment. ``ended`` None: it was still running."""

    told: Told
    started: datetime
    ended: datetime | None
    components: int
    planned: int
    excluded: int
    known_at: datetime
    digest: str


@dataclass(frozen=True)
class Change:
    """An assessment, and what was different from the one before it, in words."""

    assessment: Assessment
    changes: list[str]
    difference: int


def rows() -> QuerySet[Credit]:
    """Credits with everything their page needs of other rows."""
    return Credit.objects.select_related(
        "contract_month__contract__customer",
        "assessment__rules__book",
        "assessment__asked_by",
        "first_by",
        "approved_by",
        "proposed_by",
        "reverses",
        "batch",
    ).defer("batch__csv", "batch__xlsx", "batch__json")


def of(credit: Credit, *, by: User, at: datetime) -> dict[str, Any]:
    """The context of a credit's page. Eight queries."""
    month = credit.contract_month
    known = facts(credit.assessment, by=by) if credit.assessment else []
    waits = why.of([credit], by=by, at=at)[credit.pk]
    offered = acts.offered(credit, by)
    return {
        "credit": credit,
        "at": at,
        "why": waits,
        "acts": [(act, acts.label(act, credit)) for act in offered if not (act.slug == "approve" and waits.barred)],
        "barred": waits.barred if any(act.slug == "approve" for act in offered) else "",
        "may_reverse": _may_reverse(credit, by),
        "deeds": credit.deeds.select_related("by"),
        "words": arithmetic(credit.assessment),
        "facts": known,
        "postings": ledger(credit.postings.all()),
        "others": others(month, credit.pk),
        "month_url": places.month_url(month.pk),
        "statement_url": statement_url(month),
        "refused_for_good": is_refused(credit),
        "batch_url": places.there("admin:postmortems_batch_change", credit.batch_id) if credit.batch_id else "",
        **history(month, by=by),
    }


def _may_reverse(credit: Credit, by: User) -> bool:
    return credit.state in STANDING and credit.kind != CreditKind.REVERSAL and by.has_perm(places.GRANT)


def statement_url(month: ContractMonth) -> str:
    """The customer's statement; "" while there is no such page."""
    return places.there("money:statement", month.contract.customer_id)


# --- what was computed -----------------------------------------------------------------


def arithmetic(assessment: Assessment | None) -> Mapping[str, Any] | None:
    """The words as stored: ``{"base": […], "lines": [[…], …], "total": […]}``; None where a person typed the amount."""
    if assessment is None:
        return None
    stored: Mapping[str, Any] = assessment.content.get("words") or {}
    return stored


def facts(assessment: Assessment, *, by: User) -> list[Fact]:
    """What it knew of each incident. Two queries."""
    found = OutageFacts.objects.filter(pk__in=assessment.facts).order_by("pk")
    known = [(row, Outage.of(row.content)) for row in found]
    told = named([outage.reference for _, outage in known], by=by)
    customer = assessment.inputs.get("customer")
    return [
        Fact(
            told[outage.reference],
            moment(outage.start),
            None if outage.running else moment(outage.end),
            len({impact.component for impact in outage.impacts}),
            len(outage.planned),
            sum(1 for one in outage.excluded if one.customer in (0, customer)),
            row.known_at,
            row.digest,
        )
        for row, outage in sorted(known, key=lambda pair: (pair[1].start, pair[1].reference))
    ]


def named(references: Iterable[str], *, by: User) -> dict[str, Told]:
    """By reference: a link and a title for whoever may see the incident (R-213). One query."""
    wanted = list(references)
    seen = (
        Incident.objects.filter(reference__in=wanted).visible_to(by) if by.has_perm("incidents.view_incident") else ()
    )
    known = {
        incident.reference: Told(
            incident.reference, reverse("admin:incidents_incident_change", args=[incident.pk]), incident.title
        )
        for incident in seen
    }
    return {reference: known.get(reference, Told(reference)) for reference in wanted}


# --- its month -------------------------------------------------------------------------


def history(month: ContractMonth, *, by: User) -> dict[str, Any]:
    """Assessments of the month, newest first, each with what changed. Two queries."""
    found = list(month.assessments.select_related("asked_by", "rules__book").order_by("-number")[: COMPARED + 1])
    ids = {pk for assessment in found for pk in assessment.facts}
    references = dict(OutageFacts.objects.filter(pk__in=ids).values_list("pk", "incident__reference"))
    changes = [
        Change(
            newer,
            differences(older, newer, references) if older else [],
            newer.amount_minor - (older.amount_minor if older else 0),
        )
        for newer, older in zip(found, [*found[1:], None], strict=True)
    ]
    return {"history": changes[:COMPARED], "history_more": len(found) > COMPARED}


def differences(older: Assessment, newer: Assessment, references: Mapping[int, str]) -> list[str]:
    """What another assessment of the same month was computed from, in words."""
    before, after = _by_incident(older, references), _by_incident(newer, references)
    words = [f"{name} came in." for name in sorted(after.keys() - before.keys())]
    words += [f"{name} fell out." for name in sorted(before.keys() - after.keys())]
    words += [
        f"Facts of {name} changed." for name in sorted(after.keys() & before.keys()) if before[name] != after[name]
    ]
    if older.rules_id != newer.rules_id:
        words.append(f"Judged by {newer.rules or 'no rules'}, not {older.rules or 'by none'}.")
    if older.inputs.get("terms") != newer.inputs.get("terms"):
        words.append("The contract's terms changed.")
    if older.inputs.get("granted") != newer.inputs.get("granted"):
        words.append("Goodwill of the month changed.")
    if older.algorithm != newer.algorithm:
        words.append(f"Computed by version {newer.algorithm} of the arithmetic.")
    return words or ["Nothing that it is computed from."]


def _by_incident(assessment: Assessment, references: Mapping[int, str]) -> dict[str, int]:
    return {references.get(pk, f"facts {pk}"): pk for pk in assessment.facts}


def others(month: ContractMonth, but: int | None = None) -> list[Credit]:
    """Other credits of the month, in the order in which they came. One query."""
    found = month.credits.exclude(pk=but) if but else month.credits.all()
    return list(found.select_related("reverses").order_by("number"))


def ledger(postings: Iterable[Posting]) -> list[tuple[Posting, str, str]]:
    """(posting, debited account, credited account), in words."""
    return [(posting, Account(posting.debit).label, Account(posting.against).label) for posting in postings]


def balances(postings: Sequence[Posting]) -> list[tuple[str, int]]:
    """What each account of a month stands at: debits less credits, for people."""
    sums: dict[str, int] = {account.value: 0 for account in Account}
    for posting in postings:
        sums[posting.debit] += posting.amount_minor
        sums[posting.against] -= posting.amount_minor
    return [(Account(name).label, amount) for name, amount in sums.items()]
