"""Approved credits go to billing, and from there to invoices, once each (R-905)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from postmortems.enums import CreditState, Deed
from postmortems.models import Batch, Credit

from .moves import NotAllowed, Outcome, held, move


@transaction.atomic
def export(credits: Iterable[Credit], batch: Batch, *, by: User | None, at: datetime) -> list[Credit]:
    """Put approved credits into a batch: all of them, or none. Those that are in it already are left alone.

    Raises NotAllowed where one is not approved, or is in another batch.
    """
    fresh = [credit for credit in held(credit.pk for credit in credits) if credit.batch_id != batch.pk]
    for credit in fresh:
        if credit.batch_id:
            raise NotAllowed(f"{credit.key} is in batch {credit.batch} already.")
        if credit.state != CreditState.APPROVED:
            raise NotAllowed(f"{credit.key} is not approved: {credit.get_state_display().lower()}.")
    move(fresh, CreditState.EXPORTED, deed=Deed.EXPORTED, by=by, at=at, batch=batch)
    return fresh


@transaction.atomic
def apply(ids: Iterable[int], *, invoice: str, by: User | None, at: datetime) -> Outcome:
    """Write down which invoice, or balance transaction, took each. Saying the same again changes nothing."""
    outcome, fresh = Outcome(), []
    for credit in held(ids):
        if credit.state == CreditState.EXPORTED:
            fresh.append(credit)
        elif credit.state == CreditState.APPLIED and credit.invoice == invoice:
            outcome.done.append(credit)
        elif credit.state == CreditState.APPLIED:
            outcome.refused.append((credit, f"It was applied to {credit.invoice} already."))
        else:
            outcome.refused.append((credit, "Only what was exported is applied: close its month first."))
    move(fresh, CreditState.APPLIED, deed=Deed.APPLIED, by=by, at=at, invoice=invoice, applied_at=at)
    outcome.done += fresh
    return outcome
