"""Credits that are approved and wait for their month to be closed: where the stories of batches begin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from postmortems.enums import CreditKind, CreditState
from postmortems.models import Assessment, Contract, ContractMonth, Credit, Posting
from tests import scene
from tests.postmortems import paid, stage

#: Whoever approved them.
APPROVED = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
#: When October is over in every zone there is, and November.
AFTER, LATER = datetime(2026, 11, 2, 8, tzinfo=UTC), datetime(2026, 12, 2, 8, tzinfo=UTC)


def credit(
    contract: Contract,
    amount: int = 10_000,
    *,
    month: date = stage.OCTOBER,
    references: Sequence[str] = ("INC-2026-0001",),
    kind: CreditKind = CreditKind.ASSESSED,
    **changes: Any,
) -> Credit:
    """Approved by Fay, posted, for these incidents."""
    row = paid.month_of(contract, month)
    assessment = None
    if kind in (CreditKind.ASSESSED, CreditKind.CORRECTION):
        assessment = paid.assessed(row, paid.line(*references, amount=abs(amount)))
    values: dict[str, Any] = {
        "number": row.credits.count() + 1,
        "kind": kind,
        "state": CreditState.APPROVED,
        "amount_minor": amount,
        "currency": contract.currency,
        "assessment": assessment,
        "proposed_at": APPROVED,
        "approved_at": APPROVED,
        "approved_by": scene.operator("fay"),
    }
    made: Credit = Credit.objects.create(contract_month=row, **(values | changes))
    _post([made])
    return made


def many(count: int, *, currency: str = "EUR") -> None:
    """As many contracts, each with a credit of October; in eight statements or so."""
    customer, policy = stage.buyer("MANY"), stage.policy_b()
    first = Contract.objects.count()
    contracts = Contract.objects.bulk_create(
        Contract(customer=customer, policy=policy, reference=f"M-{first + at:05d}", currency=currency)
        for at in range(count)
    )
    months = ContractMonth.objects.bulk_create(
        ContractMonth(
            contract=contract,
            month=stage.OCTOBER,
            starts_at=datetime(2026, 10, 1, tzinfo=UTC),
            ends_at=datetime(2026, 11, 1, tzinfo=UTC),
        )
        for contract in contracts
    )
    assessments = Assessment.objects.bulk_create(
        Assessment(
            contract_month=month,
            number=1,
            algorithm=1,
            inputs={},
            content={"lines": [paid.line("INC-2026-0001", amount=10_000)]},
            amount_minor=10_000,
            digest=f"{month.pk:064d}",
            made_at=APPROVED,
        )
        for month in months
    )
    made = Credit.objects.bulk_create(
        Credit(
            contract_month=month,
            number=1,
            kind=CreditKind.ASSESSED,
            state=CreditState.APPROVED,
            amount_minor=10_000,
            currency=currency,
            assessment=assessment,
            proposed_at=APPROVED,
            approved_at=APPROVED,
            approved_by=scene.operator("fay"),
        )
        for month, assessment in zip(months, assessments, strict=True)
    )
    _post(made)


def _post(credits: Sequence[Credit]) -> None:
    Posting.objects.bulk_create(
        Posting(
            key=f"{credit.key}:approve",
            credit=credit,
            contract_month=credit.contract_month,
            debit="expense" if credit.amount_minor > 0 else "owed",
            against="owed" if credit.amount_minor > 0 else "expense",
            amount_minor=abs(credit.amount_minor),
            currency=credit.currency,
            posted_at=APPROVED,
        )
        for credit in credits
    )
