"""Approved credits go to billing, and from there to invoices, once each (R-905)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from postmortems.credits.stripe.stripe_wire import is_on
from postmortems.credits.stripe.troubles import theirs
from postmortems.enums import CreditState, Deed
from postmortems.models import Batch, Credit

from .moves import NotAllowed, Outcome, held, move

AT_STRIPE = (
    "Stripe takes it by itself and it is marked then. By hand only what Stripe refused for good is marked as applied."
)


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
    """Write down which invoice, or balance transaction, took each. Saying the same again changes nothing.

    ``by`` None: Stripe said so. Nobody else marks what Stripe takes by itself: the customer would have it twice.
    """
    outcome, fresh = Outcome(), []
    credits = held(ids)
    at_stripe = _kept_for_stripe(credits) if by else set()
    for credit in credits:
        if credit.state == CreditState.EXPORTED and credit.pk in at_stripe:
            outcome.refused.append((credit, AT_STRIPE))
        elif credit.state == CreditState.EXPORTED:
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


def _kept_for_stripe(credits: Iterable[Credit]) -> set[int]:
    """Ids of what Stripe takes. Two queries; whoever takes one to Stripe meanwhile has to wait, or passes it by."""
    ids = [credit.pk for credit in credits if credit.state == CreditState.EXPORTED]
    if not ids or not is_on():
        return set()
    list(Credit.objects.filter(pk__in=ids).select_for_update().order_by("pk").values_list("pk"))
    return theirs(ids)
