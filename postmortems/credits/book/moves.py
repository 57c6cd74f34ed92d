"""How a credit moves: the table of moves, its only writer, postings, and the lock that every act takes (R-904).

The lock is the contract's month. Acts on many take the months in the order of their ids, so that no two acts
wait for each other; what they read of credits, they read after that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Q, QuerySet, Sum

from postmortems.enums import STANDING, WAITING, Account, CreditKind, CreditState, Deed
from postmortems.models import ContractMonth, Credit, CreditDeed, Posting

#: From where to where a credit may move. What stands never goes back: a reversal is another credit.
MOVES: dict[CreditState, tuple[CreditState, ...]] = {
    CreditState.PROPOSED: (
        CreditState.SECOND,
        CreditState.APPROVED,
        CreditState.RETURNED,
        CreditState.SUPERSEDED,
    ),
    CreditState.SECOND: (
        CreditState.APPROVED,
        CreditState.RETURNED,
        CreditState.KEPT,
        CreditState.SUPERSEDED,
    ),
    CreditState.DECISION: (CreditState.SECOND, CreditState.KEPT, CreditState.SUPERSEDED),
    CreditState.APPROVED: (CreditState.EXPORTED,),
    CreditState.EXPORTED: (CreditState.APPLIED,),
    CreditState.APPLIED: (),
    CreditState.RETURNED: (),
    CreditState.SUPERSEDED: (),
    CreditState.KEPT: (),
}
#: What each step posts, of an amount that is owed; one that is taken back moves the other way.
STEPS: dict[CreditState, tuple[str, Account, Account]] = {
    CreditState.APPROVED: ("approve", Account.EXPENSE, Account.OWED),
    CreditState.EXPORTED: ("export", Account.OWED, Account.BILLING),
    CreditState.APPLIED: ("apply", Account.BILLING, Account.INVOICED),
}
#: Kinds that follow the assessment; goodwill stands beside it.
FOLLOWING = (CreditKind.ASSESSED, CreditKind.CORRECTION)
_ASSESSED = Q(kind__in=FOLLOWING) | Q(kind=CreditKind.REVERSAL, reverses__kind__in=FOLLOWING)
_GOODWILL = Q(kind=CreditKind.GOODWILL) | Q(kind=CreditKind.REVERSAL, reverses__kind=CreditKind.GOODWILL)


class NotAllowed(Exception):
    """It cannot be done with this credit; the text says why, for people."""


@dataclass
class Outcome:
    """What an act on many did, and which it left as they were, each with why in a sentence."""

    done: list[Credit] = field(default_factory=list)
    refused: list[tuple[Credit, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Balance:
    """A contract month's money in minor units.

    ``assessed``: what stands of assessed credits, corrections and their reversals (S of the rules);
    ``goodwill``: what stands of goodwill; ``waiting``: what is proposed to be given; ``standing``: how many credits
    of assessments stand.
    """

    assessed: int = 0
    goodwill: int = 0
    waiting: int = 0
    standing: int = 0

    @property
    def total(self) -> int:
        return self.assessed + self.goodwill


def lock(months: QuerySet[ContractMonth]) -> dict[int, ContractMonth]:
    """The months, locked in the order of their ids, with their contracts."""
    held = months.select_for_update(of=("self",)).select_related("contract").order_by("pk")
    return {month.pk: month for month in held}


def held(ids: Iterable[int]) -> list[Credit]:
    """The credits as they are now, their months locked; by month and number. Unknown ids are left out."""
    wanted = set(ids)
    months = lock(ContractMonth.objects.filter(pk__in=Credit.objects.filter(pk__in=wanted).values("contract_month_id")))
    credits = list(
        Credit.objects.filter(pk__in=wanted)
        .select_related("assessment", "reverses", "batch")
        .defer(
            "assessment__inputs",
            "assessment__content",
            "assessment__facts",
            "batch__csv",
            "batch__xlsx",
            "batch__json",
        )
        .order_by("contract_month_id", "number")
    )
    for credit in credits:
        credit.contract_month = months[credit.contract_month_id]
    return credits


def balances(months: Collection[int]) -> dict[int, Balance]:
    """Of each month by its id; one query."""
    rows = (
        Credit.objects.filter(contract_month__in=months)
        .order_by()
        .values("contract_month_id")
        .annotate(
            assessed=Sum("amount_minor", filter=Q(state__in=STANDING) & _ASSESSED, default=0),
            goodwill=Sum("amount_minor", filter=Q(state__in=STANDING) & _GOODWILL, default=0),
            waiting=Sum("amount_minor", filter=Q(state__in=WAITING, amount_minor__gt=0), default=0),
            standing=Count("pk", filter=Q(state__in=STANDING) & _ASSESSED),
        )
        .values_list("contract_month_id", "assessed", "goodwill", "waiting", "standing")
    )
    found = {pk: Balance(*sums) for pk, *sums in rows}
    return {pk: found.get(pk, Balance()) for pk in months}


def move(
    credits: Sequence[Credit],
    to: CreditState,
    *,
    deed: Deed,
    by: User | None,
    at: datetime,
    reason: str = "",
    **columns: Any,
) -> None:
    """The only writer of ``state``; the caller holds the months. What the step posts is posted."""
    if not credits:
        return
    for credit in credits:
        if to not in MOVES[CreditState(credit.state)]:
            raise NotAllowed(f"{credit} is {credit.get_state_display().lower()} and cannot become {to.label.lower()}.")
    sources = {credit.state for credit in credits}
    moved = Credit.objects.filter(pk__in=[credit.pk for credit in credits], state__in=sources).update(
        state=to, **columns
    )
    if moved != len(credits):
        raise NotAllowed("Somebody else acted at the same moment; nothing was done.")
    for credit in credits:
        credit.state = to
        for name, value in columns.items():
            setattr(credit, name, value)
    record(credits, deed, by=by, at=at, reason=reason)
    if to in STEPS:
        _post(credits, to, at=at)


def record(credits: Iterable[Credit], deed: Deed, *, by: User | None, at: datetime, reason: str = "") -> None:
    """A line of each one's history."""
    CreditDeed.objects.bulk_create(
        CreditDeed(credit=credit, deed=deed, by=by, at=at, reason=reason) for credit in credits
    )


def _post(credits: Iterable[Credit], to: CreditState, *, at: datetime) -> None:
    """Move each amount between accounts. The key is unique: the same step is never posted twice."""
    step, debit, against = STEPS[to]
    Posting.objects.bulk_create(
        Posting(
            key=f"{credit.key}:{step}",
            credit=credit,
            contract_month=credit.contract_month,
            debit=debit if credit.amount_minor > 0 else against,
            against=against if credit.amount_minor > 0 else debit,
            amount_minor=abs(credit.amount_minor),
            currency=credit.currency,
            posted_at=at,
        )
        for credit in credits
    )


def because(reason: str) -> str:
    """The reason as typed, without blanks around it. Raises NotAllowed where there is none."""
    if not (words := reason.strip()):
        raise NotAllowed("Say why: it stays in the history.")
    return words
