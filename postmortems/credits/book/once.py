"""Goodwill is given once, however often the form is sent (F11)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from postmortems.enums import WAITING, CreditKind
from postmortems.models import ContractMonth, Credit

from .correcting import grant
from .moves import lock

#: The same person gives the same amount for the same reason: within so long it is the same form, sent again.
AGAIN = timedelta(minutes=10)


@transaction.atomic
def grant_once(
    contract_month: ContractMonth, *, amount_minor: int, reason: str, by: User, at: datetime
) -> tuple[Credit, bool]:
    """The goodwill, and whether it was proposed now. Raises NotAllowed as ``correcting.grant`` does."""
    lock(ContractMonth.objects.filter(pk=contract_month.pk))
    same = Credit.objects.filter(
        contract_month=contract_month,
        kind=CreditKind.GOODWILL,
        state__in=WAITING,
        amount_minor=amount_minor,
        reason=reason.strip(),
        proposed_by=by,
        proposed_at__gt=at - AGAIN,
    ).first()
    if same:
        return same, False
    return grant(contract_month, amount_minor=amount_minor, reason=reason, by=by, at=at), True
