"""Credits that were handed to billing, as rows: where the stories of Stripe, statements and letters begin."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from postmortems.credits.arithmetic.months import bounds, moment
from postmortems.enums import CreditKind, CreditState
from postmortems.models import Assessment, Batch, Contract, ContractMonth, Credit, Posting
from tests.postmortems import stage

#: When October was closed.
CLOSED = datetime(2026, 11, 3, 9, tzinfo=stage.UTC)
HOUR = 3_600_000_000


def batch(month: date = stage.OCTOBER) -> Batch:
    made, _ = Batch.objects.get_or_create(
        month=month,
        defaults={
            "number": f"CR-{month:%Y}-{month.month:04d}",
            "closed_at": CLOSED,
            "count": 1,
            "digest": "0" * 64,
            "csv": b"",
            "xlsx": b"",
            "json": b"",
        },
    )
    return made


def month_of(contract: Contract, month: date = stage.OCTOBER) -> ContractMonth:
    start, end = bounds(month, contract.zone, contract.billing_day)
    made, _ = ContractMonth.objects.get_or_create(
        contract=contract, month=month, defaults={"starts_at": moment(start), "ends_at": moment(end)}
    )
    return made


def line(*references: str, amount: int, hours: int = 2, points: int = 1_000, **changes: Any) -> dict[str, Any]:
    """A line of an assessment: an outage at P0 that passed "longer than 1 h: 10 %"."""
    plain = {
        "references": list(references),
        "lengths": [[1, 0, hours * HOUR, 0], [2, 0, hours * HOUR, 0]],
        "running": False,
        "tier": [1, "P0", HOUR, points],
        "earned": points,
        "earlier": 0,
        "points": points,
        "amount": amount,
        "uptime": None,
    }
    return plain | changes


def assessed(month: ContractMonth, *lines: dict[str, Any], fee: int = 100_000, **changes: Any) -> Assessment:
    amount = sum(one["amount"] for one in lines)
    points = sum(one["points"] for one in lines)
    content = {
        "algorithm": 1,
        "base": [fee, 1],
        "shares": [["Enterprise", fee, 1, 1]],
        "wanted": points,
        "points": points,
        "limit": fee,
        "amount": amount,
        "lines": list(lines),
    }
    content |= changes
    number = month.assessments.count() + 1
    return Assessment.objects.create(
        contract_month=month,
        number=number,
        algorithm=1,
        inputs={},
        content=content,
        amount_minor=content["amount"],
        digest=hashlib.sha256(f"{month.pk}:{number}".encode()).hexdigest(),
        made_at=CLOSED,
    )


def credit(
    contract: Contract,
    amount: int = 10_000,
    *,
    month: date = stage.OCTOBER,
    kind: CreditKind = CreditKind.ASSESSED,
    state: CreditState = CreditState.EXPORTED,
    lines: Sequence[dict[str, Any]] | None = None,
    **changes: Any,
) -> Credit:
    """A credit of this amount, by default for two hours of INC-2026-0001 and in the month's batch."""
    row = month_of(contract, month)
    assessment = None
    if kind in (CreditKind.ASSESSED, CreditKind.CORRECTION):
        assessment = assessed(row, *(lines if lines is not None else [line("INC-2026-0001", amount=amount)]))
    handed = state in (CreditState.EXPORTED, CreditState.APPLIED)
    values: dict[str, Any] = {
        "contract_month": row,
        "number": row.credits.count() + 1,
        "kind": kind,
        "state": state,
        "amount_minor": amount,
        "currency": contract.currency,
        "assessment": assessment,
        "proposed_at": CLOSED,
        "approved_at": CLOSED,
        "batch": batch(month) if handed else None,
        "applied_at": CLOSED if state == CreditState.APPLIED else None,
    }
    made: Credit = Credit.objects.create(**(values | changes))
    for step, debit, against in (("approve", "expense", "owed"), ("export", "owed", "billing")):
        one, other = (debit, against) if amount > 0 else (against, debit)
        Posting.objects.create(
            key=f"{made.key}:{step}",
            credit=made,
            contract_month=row,
            debit=one,
            against=other,
            amount_minor=abs(amount),
            currency=made.currency,
            posted_at=CLOSED,
        )
    return made
