"""What follows from an assessment: proposals, corrections, questions to a person (R-903, reliability.md 5.2).

Raising is proposed, lowering is asked; what a person decided holds until the assessment says something else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from postmortems.credits.arithmetic.money import exponent
from postmortems.enums import WAITING, CreditKind, CreditState, Deed
from postmortems.models import Assessment, Batch, ContractMonth, Credit, CreditDeed, RuleVersion

from .moves import FOLLOWING, Balance, balances, move, record

#: What is proposed for a month that ended longer ago waits for a person: contracts that are imported, and rules put
#: in force since ever, find years of old incidents at once.
LONG_AGO = timedelta(days=62)
Found = tuple[ContractMonth, Assessment]


def due(assessed: int, standing: int, decided: int | None, *, running: bool) -> int:
    """What the assessment asks for beside what stands, in minor units; 0: nothing.

    Positive: to be proposed. Negative: a person decides whether the customer keeps it; not asked while an incident
    of the month still runs, nor of an amount that a person decided about already.
    """
    if assessed > standing:
        return 0 if assessed == decided else assessed - standing
    if assessed < standing and not running and (decided is None or assessed < decided):
        return assessed - standing
    return 0


@transaction.atomic
def settle(found: Sequence[Found], *, at: datetime) -> list[Credit]:
    """Propose what the assessments ask for, and replace what waits and is no longer right.

    ``found``: months, locked by the caller and with what they come to written to them, each once; answers with the
    new credits. Asking again changes nothing.
    """
    months = [month.pk for month, _ in found]
    sums = balances(months)
    waiting = {
        credit.contract_month_id: credit
        for credit in Credit.objects.filter(contract_month__in=months, state__in=WAITING, kind__in=FOLLOWING)
    }
    outdated: list[Credit] = []
    asked: list[tuple[Found, int]] = []
    agreed = [month.pk for month, _ in found if month.assessed_minor == sums[month.pk].assessed]
    # What was decided was about another amount: it holds no longer once both agree.
    ContractMonth.objects.filter(pk__in=agreed, decided_minor__isnull=False).update(decided_minor=None)
    for month, assessment in found:
        stands = sums[month.pk].assessed
        amount = due(month.assessed_minor or 0, stands, month.decided_minor, running=month.is_running)
        there = waiting.get(month.pk)
        if there and there.amount_minor == amount:
            continue
        if there:
            outdated.append(there)
        if amount:
            asked.append(((month, assessment), amount))
    stopped = _stopped(outdated)
    move(outdated, CreditState.SUPERSEDED, deed=Deed.SUPERSEDED, by=None, at=at)
    return _propose(asked, sums, stopped, at=at) if asked else []


def _propose(
    asked: Sequence[tuple[Found, int]], sums: Mapping[int, Balance], stopped: Mapping[int, CreditDeed], *, at: datetime
) -> list[Credit]:
    rules = RuleVersion.objects.in_bulk({assessment.rules_id for (_, assessment), _ in asked if assessment.rules_id})
    numbers = next_numbers([month.pk for (month, _), _ in asked])
    closed = Batch.objects.aggregate(newest=Max("month"))["newest"]
    credits = []
    for (month, assessment), amount in asked:
        version = rules.get(assessment.rules_id or 0)
        # Late facts about a closed month, too, are corrections; months are closed in order.
        late = bool(sums[month.pk].standing) or (closed is not None and month.month <= closed)
        second = needs_second(amount, month.contract.currency, version)
        waits = None if second or month.pk in stopped or is_long_ago(month, at) else _holds_until(version, at)
        credits.append(
            Credit(
                contract_month=month,
                number=numbers[month.pk],
                kind=CreditKind.CORRECTION if late else CreditKind.ASSESSED,
                state=CreditState.PROPOSED if amount > 0 else CreditState.DECISION,
                amount_minor=amount,
                currency=month.contract.currency,
                assessment=assessment,
                proposed_at=at,
                holds_until=waits,
                needs_second=second,
            )
        )
    return written(credits, by=None, at=at, stopped=stopped)


def written(
    credits: list[Credit], *, by: User | None, at: datetime, stopped: Mapping[int, CreditDeed] | None = None
) -> list[Credit]:
    """New credits with the first lines of their history; ``stopped``: by month, what was stopped before."""
    made = Credit.objects.bulk_create(credits)
    record(made, Deed.PROPOSED, by=by, at=at)
    CreditDeed.objects.bulk_create(
        CreditDeed(credit=credit, deed=Deed.STOPPED, at=at, by_id=deed.by_id, reason=deed.reason)
        for credit in made
        if (deed := (stopped or {}).get(credit.contract_month_id))
    )
    return made


def settle_again(months: Collection[ContractMonth], *, at: datetime) -> list[Credit]:
    """Of locked months of which something else stands now; those never assessed are left out."""
    wanted = {month.assessment_id: month for month in months if month.assessment_id}
    if not wanted:
        return []
    assessments = Assessment.objects.filter(pk__in=wanted).defer("inputs", "content", "facts").order_by("pk")
    return settle([(wanted[assessment.pk], assessment) for assessment in assessments], at=at)


def next_numbers(months: Collection[int]) -> dict[int, int]:
    """The number that the next credit of each month has."""
    last = (
        Credit.objects.filter(contract_month__in=months)
        .order_by()
        .values_list("contract_month_id")
        .annotate(last=Max("number"))
    )
    found = dict(last)
    return {month: found.get(month, 0) + 1 for month in months}


def needs_second(amount: int, currency: str, rules: RuleVersion | None) -> bool:
    """Whether one approver is not enough: what takes money back, and what is above the limit (R-1308)."""
    if amount < 0:
        return True
    return rules is not None and rules.second_above is not None and amount > _minor(rules.second_above, currency)


def _minor(limit: Decimal, currency: str) -> Decimal:
    """A limit in minor units; not a whole number where the currency has fewer places than the limit."""
    return limit.scaleb(exponent(currency))


def is_long_ago(month: ContractMonth, proposed_at: datetime) -> bool:
    """Whether what is proposed then for this month is for a person, whatever the rules say."""
    return proposed_at - month.ends_at > LONG_AGO


def _holds_until(rules: RuleVersion | None, at: datetime) -> datetime | None:
    """When it approves by itself (R-905); None: a person has to."""
    return at + timedelta(hours=rules.hold_hours) if rules and rules.hold_hours is not None else None


def _stopped(outdated: Collection[Credit]) -> dict[int, CreditDeed]:
    """By month: that somebody stopped the holding time of what is replaced. It holds for what replaces it."""
    month_of = {credit.pk: credit.contract_month_id for credit in outdated}
    deeds = CreditDeed.objects.filter(credit__in=month_of, deed=Deed.STOPPED).order_by("at", "pk") if month_of else ()
    return {month_of[deed.credit_id]: deed for deed in deeds}
