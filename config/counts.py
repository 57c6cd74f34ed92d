"""The numbers beside the side's entries: what is open, overdue, failed. One query for all, once per request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, IntegerField, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from incidents.models import Incident, Obligation
from notifications.enums import FAILURES
from notifications.models import Delivery
from postmortems.models import Credit

#: Failures of so long are counted, and no more than so many: the number must cost nothing on the worst of days.
LATELY, MOST = timedelta(hours=24), 100
#: Who is told how many credits wait.
APPROVE = "postmortems.approve_credit"
_ATTRIBUTE = "_heliograph_counts"


@dataclass(frozen=True)
class Counts:
    """What this person may know of; ``failed`` ends at ``MOST``."""

    open: int = 0
    overdue: int = 0
    failed: int = 0
    #: Credits that wait, for those who approve; ends at ``MOST``, too.
    credits: int = 0

    @property
    def failed_shown(self) -> str:
        return f"{self.failed}{'+' if self.failed >= MOST else ''}"

    @property
    def credits_shown(self) -> str:
        return f"{self.credits}{'+' if self.credits >= MOST else ''}"


def counts(request: HttpRequest) -> Counts:
    """Asked once, however many parts of a page want to know."""
    known: Counts | None = getattr(request, _ATTRIBUTE, None)
    if known is None:
        known = count(request.user, timezone.now()) if isinstance(request.user, User) else Counts()
        setattr(request, _ATTRIBUTE, known)
    return known


def count(user: User, at: datetime) -> Counts:
    """One query."""
    failed = Delivery.objects.filter(fate__in=FAILURES, announcement__published_at__gte=at - LATELY)
    credits = _number(Credit.objects.waiting()[:MOST]) if user.has_perm(APPROVE) else Value(0)
    row = (
        User.objects.filter(pk=user.pk)
        .values(
            open=_number(Incident.objects.visible_to(user).open()),
            overdue=_number(Obligation.objects.visible_to(user).overdue(at)),
            failed=_number(failed[:MOST]),
            credits=credits,
        )
        .first()
    )
    return Counts(**row) if row else Counts()


def _number(rows: QuerySet[Any]) -> Coalesce:
    """How many rows there are, as part of another query."""
    if rows.query.is_sliced:
        rows = rows.model._default_manager.filter(pk__in=rows.values("pk"))
    total = rows.order_by().annotate(one=Value(1)).values("one").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(total, output_field=IntegerField()), Value(0))
