"""Months as assessments leave them, in one line each: for tests of the book, which judges amounts and not facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

from django.contrib.auth.models import User
from django.db import transaction

from postmortems.credits import book
from postmortems.credits.arithmetic.months import bounds, moment
from postmortems.enums import CreditKind
from postmortems.models import Assessment, Batch, Contract, ContractMonth, Credit, RuleVersion
from tests import scene
from tests.postmortems import stage

#: The day after October: when what is told here begins.
AT = datetime(2026, 11, 1, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def month(contract: Contract | None = None, on: date = stage.OCTOBER) -> ContractMonth:
    """Nothing was assessed of it yet."""
    contract = contract or Contract.objects.first() or stage.contract()
    begin, end = bounds(on, contract.zone, contract.billing_day)
    return ContractMonth.objects.create(contract=contract, month=on, starts_at=moment(begin), ends_at=moment(end))


@transaction.atomic
def assess(
    month: ContractMonth,
    amount: int,
    *,
    at: datetime = AT,
    references: Sequence[str] = (),
    running: bool = False,
    rules: RuleVersion | None = None,
    asked_by: User | None = None,
) -> list[Credit]:
    """The month comes to so much by now; what the book made of it."""
    month = ContractMonth.objects.select_for_update(of=("self",)).select_related("contract").get(pk=month.pk)
    assessment = Assessment.objects.create(
        contract_month=month,
        number=month.assessments.count() + 1,
        algorithm=1,
        rules=rules,
        inputs={},
        content={"lines": [{"references": list(references)}] if references else [], "amount": amount},
        amount_minor=amount,
        digest="0" * 64,
        made_at=at,
        asked_by=asked_by,
    )
    month.assessment, month.assessed_minor, month.estimate_minor = assessment, amount, amount
    month.is_running, month.stale_since = running, None
    month.save()
    return book.settle([(month, assessment)], at=at)


def proposed(amount: int = 25_000, **told: object) -> Credit:
    """A credit that waits, of a month of its own contract (the first: C-1)."""
    contract = stage.contract(f"C-{Contract.objects.count() + 1}")
    return assess(month(contract), amount, **told)[0]  # type: ignore[arg-type]  # as assess has them


def approved(amount: int = 25_000, *, by: str = "fay", at: datetime = AT) -> Credit:
    credit = proposed(amount, at=at)
    assert book.approve([credit.pk], by=scene.operator(by), at=at).refused == []
    return again(credit)


def batch(on: date = stage.OCTOBER, *, at: datetime = AT, **fields: object) -> Batch:
    """A closed month with nothing in it yet."""
    made, _ = Batch.objects.get_or_create(
        month=on,
        defaults={"number": f"CR-{on:%Y-%m}", "closed_at": at, "count": 0, "digest": sha256(b"").hexdigest(),
                  "csv": b"", "xlsx": b"", "json": b""} | fields,
    )  # fmt: skip
    return made


def again(credit: Credit) -> Credit:
    return Credit.objects.select_related("contract_month__contract").get(pk=credit.pk)


def waiting(month: ContractMonth) -> Credit:
    """The one credit of its assessment that waits."""
    return Credit.objects.waiting().get(contract_month=month, kind__in=[CreditKind.ASSESSED, CreditKind.CORRECTION])
