"""What a person gives, and what is taken back: always another credit, never an edit (R-904, R-1308)."""

from __future__ import annotations

from datetime import date, datetime

from django.contrib.auth.models import User
from django.db import transaction

from postmortems.credits.arithmetic.money import Money
from postmortems.credits.arithmetic.months import bounds, first, moment
from postmortems.enums import STANDING, WAITING, CreditKind, CreditState
from postmortems.models import Contract, ContractMonth, Credit, RuleVersion

from .approving import mark_stale
from .limits import limits
from .moves import FOLLOWING, NotAllowed, balances, because, held, lock
from .settling import needs_second, next_numbers, written


def month_of(contract: Contract, month: date) -> ContractMonth:
    """The row of a contract's billing month; made where nothing was ever assessed of it."""
    begin, end = bounds(first(month), contract.zone, contract.billing_day)
    made, _ = ContractMonth.objects.get_or_create(
        contract=contract, month=first(month), defaults={"starts_at": moment(begin), "ends_at": moment(end)}
    )
    return made


@transaction.atomic
def grant(contract_month: ContractMonth, *, amount_minor: int, reason: str, by: User, at: datetime) -> Credit:
    """Propose goodwill: an amount in minor units that somebody else approves. The cap counts it from now on.

    Raises NotAllowed: nothing or less, or more than the cap leaves beside what stands and what is proposed.
    """
    reason = because(reason)
    month = lock(ContractMonth.objects.filter(pk=contract_month.pk))[contract_month.pk]
    currency = month.contract.currency
    if amount_minor <= 0:
        raise NotAllowed("Goodwill is more than nothing. To take a credit back, reverse it.")
    limit, taken = limits([month], at=at)[month.pk], balances([month.pk])[month.pk]
    left = max(0, limit.minor - taken.total - taken.waiting)
    if amount_minor > left:
        raise NotAllowed(_too_much(Money(limit.minor, currency), Money(taken.total + taken.waiting, currency), left))
    rules = RuleVersion.objects.filter(pk=limit.version).first() if limit.version else None
    credit = _written(
        Credit(
            contract_month=month,
            kind=CreditKind.GOODWILL,
            amount_minor=amount_minor,
            reason=reason,
            needs_second=needs_second(amount_minor, currency, rules),
        ),
        by=by,
        at=at,
    )
    # The assessed credit makes room.
    mark_stale([month.pk], at=at)
    return credit


@transaction.atomic
def reverse(credit: Credit, *, reason: str, by: User, at: datetime) -> Credit:
    """Propose to take a standing credit back as a whole; two others approve it.

    Raises NotAllowed: it does not stand, is a reversal, or has one already; or more would be taken back than stands.
    """
    reason = because(reason)
    held_now = held([credit.pk])[0]
    _refuse_reversal(held_now)
    return _written(
        Credit(
            contract_month=held_now.contract_month,
            kind=CreditKind.REVERSAL,
            amount_minor=-held_now.amount_minor,
            reverses=held_now,
            reason=reason,
            needs_second=True,
        ),
        by=by,
        at=at,
    )


def _refuse_reversal(credit: Credit) -> None:
    if credit.state not in STANDING:
        raise NotAllowed(
            f"It is not in the ledger ({credit.get_state_display().lower()}): there is nothing to reverse."
        )
    if credit.kind == CreditKind.REVERSAL:
        raise NotAllowed("It is a reversal itself: what it took back is given again as goodwill.")
    if credit.reversals.filter(state__in=WAITING).exists():
        raise NotAllowed("Its reversal waits for approval already.")
    if credit.reversals.filter(state__in=STANDING).exists():
        raise NotAllowed("It is reversed already.")
    stands = balances([credit.contract_month_id])[credit.contract_month_id]
    part = stands.assessed if credit.kind in FOLLOWING else stands.goodwill
    if credit.amount_minor > part:
        raise NotAllowed(f"Only {Money(part, credit.currency)} stand: reverse what was taken back before.")


def _written(credit: Credit, *, by: User, at: datetime) -> Credit:
    month = credit.contract_month
    credit.number = next_numbers([month.pk])[month.pk]
    credit.state = CreditState.PROPOSED
    credit.currency = month.contract.currency
    credit.proposed_at, credit.proposed_by = at, by
    return written([credit], by=by, at=at)[0]


def _too_much(limit: Money, taken: Money, left: int) -> str:
    rest = Money(left, limit.currency)
    if not left:
        return f"Nothing is left of the month's cap of {limit}: {taken} stand or are proposed already."
    return f"Only {rest} are left of the month's cap of {limit}: {taken} stand or are proposed already."
