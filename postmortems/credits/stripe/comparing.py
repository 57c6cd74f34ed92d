"""Stripe's books against ours: what stands in customers' balances is read back and compared (R-906).

A few customers at a time, those first that were not looked at for longest. What differs stays on record until a
later look finds it in order; it is shown to finance and never mended by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Min

from postmortems.models import BalanceEntry, StripeState

from .stripe_wire import MARK, Booked, KeyRefused, Later, Refused, is_on, listed

#: Customers in one go, and how far back: what Stripe booked does not change.
MOST, WINDOW = 100, timedelta(days=100)


def reconcile(at: datetime) -> int:
    """Read back what was booked in the last months; how many customers were compared."""
    if not is_on():
        return 0
    recent = BalanceEntry.objects.filter(done_at__isnull=False, made_at__gte=at - WINDOW)
    looked = recent.values("account").annotate(last=Min("compared_at"))
    accounts = [row["account"] for row in looked.order_by(F("last").asc(nulls_first=True), "account")[:MOST]]
    entries: dict[str, list[BalanceEntry]] = {account: [] for account in accounts}
    for entry in BalanceEntry.objects.filter(account__in=accounts, made_at__gte=at - WINDOW).order_by("pk"):
        entries[entry.account].append(entry)
    found: dict[str, list[str]] = {}
    for account, ours in entries.items():
        try:
            found[account] = _compared(ours, account)
        except (KeyRefused, Later):
            # Nothing was learnt; the next look begins here.
            break
    _keep(found, at)
    return len(found)


def findings() -> list[str]:
    """What the last looks found that is not in order, in sentences. One query."""
    state = StripeState.objects.order_by("pk").first()
    return [words for account in sorted(state.findings) for words in state.findings[account]] if state else []


def _compared(ours: list[BalanceEntry], account: str) -> list[str]:
    try:
        theirs = list(listed(account, since=min(entry.made_at for entry in ours)))
    except Refused as reason:
        return [str(reason)]
    by_id = {one.id: one for one in theirs}
    booked = {entry.transaction: entry for entry in ours if entry.done_at}
    # What is on its way may stand there already.
    awaited = {entry.metadata[MARK] for entry in ours if not entry.done_at and not entry.refused_at}
    words = [said for entry in booked.values() if (said := _difference(entry, by_id.get(entry.transaction)))]
    return words + _strange(theirs, booked, awaited, account)


def _difference(entry: BalanceEntry, theirs: Booked | None) -> str:
    name = f"{entry.metadata[MARK]} ({entry.transaction})"
    if theirs is None:
        return f"{name} is not in the balance of {entry.account} at Stripe."
    if (theirs.amount, theirs.currency) != (entry.amount, entry.currency):
        return (
            f"{name} is {theirs.amount} {theirs.currency} at Stripe and {entry.amount} {entry.currency} here, "
            "in Stripe’s units."
        )
    return ""


def _strange(theirs: Iterable[Booked], booked: dict[str, BalanceEntry], awaited: set[str], account: str) -> list[str]:
    """Marked as ours, and unknown to us."""
    return [
        f"Stripe holds {one.id} for {one.mark} in the balance of {account}, which was not booked from here."
        for one in theirs
        if one.mark and one.id not in booked and one.mark not in awaited
    ]


@transaction.atomic
def _keep(found: dict[str, list[str]], at: datetime) -> None:
    if not found:
        return
    StripeState.objects.get_or_create(pk=1)
    state = StripeState.objects.select_for_update().get(pk=1)
    rest = {account: words for account, words in state.findings.items() if account not in found}
    state.findings = rest | {account: words for account, words in found.items() if words}
    state.compared_at = at
    state.save(update_fields=["findings", "compared_at"])
    BalanceEntry.objects.filter(account__in=found, done_at__isnull=False).update(compared_at=at)
