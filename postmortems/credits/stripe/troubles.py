"""What is not as it should be with Stripe, as our own rows say; nothing here asks Stripe (R-905, R-906)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from postmortems.enums import CreditState
from postmortems.models import BalanceEntry, Credit, StripeState

from .stripe_wire import is_on

#: How customers at Stripe are named.
ACCOUNT = "cus_"
#: So many credits are named.
NAMED = 5


@dataclass(frozen=True)
class Troubles:
    """``stopped``: why nothing is posted. ``refused``: credits that Stripe refused for good, ``number`` of them in all.

    ``late``: how many could not be posted yet and are tried again. ``findings``: where their books differ, in
    sentences.
    """

    stopped: str
    number: int
    refused: list[Credit]
    late: int
    findings: list[str]

    def __bool__(self) -> bool:
        return bool(self.stopped or self.number or self.late or self.findings)


def troubles() -> Troubles:
    """Four queries. What Stripe refused stands here even when it is off by now: somebody has to hand it over."""
    state = (StripeState.objects.order_by("pk").first() if is_on() else None) or StripeState()
    refused = refused_for_good()
    newest = refused.select_related("contract_month__contract").order_by("-stripe_tried_at", "-pk")
    late = Credit.objects.filter(current(), state=CreditState.EXPORTED).exclude(stripe_error="")
    findings = [words for account in sorted(state.findings) for words in state.findings[account]]
    return Troubles(state.stopped_why, refused.count(), list(newest[:NAMED]), late.count() if is_on() else 0, findings)


def refused_for_good() -> QuerySet[Credit]:
    """Exported, refused by Stripe, and not asked for again: a person has to do something."""
    return Credit.objects.filter(~current(), was_refused(), state=CreditState.EXPORTED)


def current() -> Q:
    """Credits with an entry that Stripe took, or may still take."""
    return Q(Exists(BalanceEntry.objects.filter(credit=OuterRef("pk"), refused_at=None)))


def was_refused() -> Q:
    return Q(Exists(BalanceEntry.objects.filter(credit=OuterRef("pk"), refused_at__isnull=False)))


def is_refused(credit: Credit) -> bool:
    """One query at most."""
    return bool(credit.stripe_error) and refused_for_good().filter(pk=credit.pk).exists()


def theirs(credits: Collection[int]) -> set[int]:
    """Those of these exported credits that Stripe takes, or may have taken, by itself. One query; none where it is off.

    All of ``cus_…`` but what it refused for that very account.
    """
    if not is_on():
        return set()
    refused_there = BalanceEntry.objects.filter(
        credit=OuterRef("pk"),
        refused_at__isnull=False,
        account=OuterRef("contract_month__contract__billing_account"),
    )
    will_be = Q(contract_month__contract__billing_account__startswith=ACCOUNT) & ~Q(Exists(refused_there))
    return set(Credit.objects.filter(current() | will_be, pk__in=credits).order_by().values_list("pk", flat=True))
