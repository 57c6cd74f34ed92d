"""Exported credits become entries in the customer's balance at Stripe, each exactly once (R-905).

1. An entry is written down: what will be asked of Stripe, frozen, with its idempotency key.
2. A worker claims it and says so, in a commit of its own: from here on nobody knows whether it was booked.
3. Stripe is called, outside any transaction. Whose end was not known before is looked for first, because Stripe
   forgets idempotency keys after a day; the same key stands for the same request all the same, as two may be at it.
4. The answer is recorded, together with what it means for the ledger.

Whoever dies in between leaves an entry in doubt, which the next one looks for. Per customer the order is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from postmortems.credits import book
from postmortems.credits.statements import FILES, INPUTS, incidents_of
from postmortems.enums import CreditKind, CreditState, Deed
from postmortems.models import BalanceEntry, Credit, CreditDeed, StripeState

from .stripe_wire import MARK, Booked, KeyRefused, Later, Refused, create, find, fingerprint, is_on, units
from .troubles import ACCOUNT

log = logging.getLogger(__name__)

#: Calls in flight at once: Stripe takes a hundred a second, and 25 with test keys.
HANDS = 8
#: Longer than a look, a call and the client's own repetitions can take.
LEASE = timedelta(minutes=5)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=6)
#: A key that Stripe refused is tried again after so long, or at once when it is another one.
KEY_PAUSE = timedelta(minutes=15)
#: Entries written down in one go.
CHUNK = 500
#: What Stripe lets a description be.
LONGEST_DESCRIPTION = 350

_WORDS = {
    CreditKind.ASSESSED: "Service credit",
    CreditKind.CORRECTION: "Correction of the service credit",
    CreditKind.GOODWILL: "Goodwill credit",
    CreditKind.REVERSAL: "Reversal of a service credit",
}


@dataclass(frozen=True)
class Answer:
    """What became of one call: booked, or why not. ``stops``: our key is refused, nothing else is tried."""

    entry: BalanceEntry
    booked: Booked | None = None
    refused: str = ""
    later: str = ""
    in_doubt: bool = False
    stops: str = ""


def post(at: datetime) -> int:
    """Bring a few credits to Stripe; how many were tried. To be called until it is 0."""
    if not is_on() or not _may_try(at):
        return 0
    _write_down(at)
    claimed = _claim(at)
    if not claimed:
        return 0
    with ThreadPoolExecutor(HANDS) as hands:
        answers = list(hands.map(_call, claimed))
    for answer in answers:
        _record(answer, at)
    return 0 if any(answer.stops for answer in answers) else len(answers)


@transaction.atomic
def try_again(ids: Collection[int], *, by: User | None, at: datetime) -> int:
    """Ask Stripe once more for credits that it refused for good; how many there were."""
    refused = _exported().filter(pk__in=ids).exclude(Exists(_current())).filter(Exists(_refused()))
    found = list(refused.select_for_update(of=("self",)))
    _write(found, at)
    CreditDeed.objects.bulk_create(
        CreditDeed(credit=credit, deed=Deed.POSTED, at=at, by=by, reason="Asked for once more after Stripe refused it.")
        for credit in found
    )
    return len(found)


# --- 1: written down ---------------------------------------------------------------------


def _write_down(at: datetime) -> None:
    """Entries for what has none; and for what Stripe refused for another account than the contract names now."""
    _leave_old_accounts(at)
    unwritten = _exported().exclude(Exists(_current()))
    found = unwritten.exclude(
        Exists(_refused().filter(account=OuterRef("contract_month__contract__billing_account")))
    ).order_by("pk")[:CHUNK]
    if found.exists():
        with transaction.atomic():
            _write(list(found), at)


def _leave_old_accounts(at: datetime) -> None:
    """What was surely not booked yet follows its contract to another customer at Stripe."""
    moved = BalanceEntry.objects.filter(done_at=None, refused_at=None, in_doubt=False).exclude(
        credit__contract_month__contract__billing_account=F("account")
    )
    BalanceEntry.objects.filter(pk__in=moved.values("pk")).update(
        refused_at=at, error="The contract names another customer at Stripe since."
    )


def _exported() -> QuerySet[Credit]:
    return (
        Credit.objects.filter(state=CreditState.EXPORTED, contract_month__contract__billing_account__startswith=ACCOUNT)
        .select_related("contract_month__contract", "assessment", "batch")
        .defer(*FILES, *INPUTS)
    )


def _current() -> QuerySet[BalanceEntry]:
    return BalanceEntry.objects.filter(credit=OuterRef("pk"), refused_at=None)


def _refused() -> QuerySet[BalanceEntry]:
    return BalanceEntry.objects.filter(credit=OuterRef("pk"), refused_at__isnull=False)


def _write(credits: Sequence[Credit], at: datetime) -> None:
    """One entry each. A second one looks for the first before it asks, under its name."""
    earlier: dict[int, list[BalanceEntry]] = {}
    for entry in BalanceEntry.objects.filter(credit__in=credits).order_by("number"):
        earlier.setdefault(entry.credit_id, []).append(entry)
    written = [_entry(credit, earlier.get(credit.pk, []), at) for credit in credits]
    # Two workers may write the same: the database keeps one.
    BalanceEntry.objects.bulk_create(written, ignore_conflicts=True)
    for entry in written:
        if entry.refused_at:
            Credit.objects.filter(pk=entry.credit_id).update(stripe_error=entry.error)


def _entry(credit: Credit, earlier: list[BalanceEntry], at: datetime) -> BalanceEntry:
    number = len(earlier) + 1
    key = f"heliograph:{credit.key}"
    entry = BalanceEntry(
        credit=credit,
        number=number,
        key=key if number == 1 else f"{earlier[0].key}/{number}",
        account=credit.contract_month.contract.billing_account,
        amount=0,
        currency=credit.currency.lower(),
        description=_description(credit),
        metadata=earlier[0].metadata if earlier else _metadata(credit),
        made_at=earlier[0].made_at if earlier else at,
        next_at=at,
        in_doubt=bool(earlier),
    )
    try:
        entry.amount = -units(credit.amount_minor, credit.currency)
    except Refused as reason:
        entry.refused_at, entry.error = at, str(reason)[:250]
    return entry


def _metadata(credit: Credit) -> dict[str, str]:
    return {
        MARK: credit.key,
        "batch": credit.batch.number if credit.batch else "",
        "month": f"{credit.contract_month.month:%Y-%m}",
    }


def _description(credit: Credit) -> str:
    """As the customer may read it on an invoice."""
    month = credit.contract_month
    words = f"{_WORDS[CreditKind(credit.kind)]} for {month.month:%B %Y}, contract {month.contract.reference}"
    named = incidents_of(credit)
    if named:
        words += f" ({', '.join(named)})"
    return words if len(words) <= LONGEST_DESCRIPTION else f"{words[: LONGEST_DESCRIPTION - 1]}…"


# --- 2: claimed -----------------------------------------------------------------------------


@transaction.atomic
def _claim(at: datetime) -> list[BalanceEntry]:
    """A few entries that are due, the oldest of each customer; ``in_doubt`` as it was before."""
    older = BalanceEntry.objects.filter(
        account=OuterRef("account"), pk__lt=OuterRef("pk"), done_at=None, refused_at=None
    )
    due = BalanceEntry.objects.filter(
        ~Exists(older), done_at=None, refused_at=None, next_at__lte=at, credit__state=CreditState.EXPORTED
    )
    # Credits, too: one that somebody marks as applied right now is passed by.
    due = due.select_related("credit")
    found = list(due.order_by("pk").select_for_update(skip_locked=True, of=("self", "credit"))[:HANDS])
    # SQLite knows no row locks: whoever changes the row first has it.
    claimed = [
        entry
        for entry in found
        if BalanceEntry.objects.filter(pk=entry.pk, tries=entry.tries, done_at=None, refused_at=None).update(
            tries=F("tries") + 1, in_doubt=True, next_at=at + LEASE
        )
    ]
    Credit.objects.filter(pk__in=[entry.credit_id for entry in claimed]).update(
        stripe_tried_at=at, stripe_tries=F("stripe_tries") + 1
    )
    return claimed


# --- 3: called ----------------------------------------------------------------------------------


def _call(entry: BalanceEntry) -> Answer:
    """Without the database: it runs beside others."""
    try:
        booked = None
        if entry.in_doubt:
            booked = find(entry.account, entry.metadata[MARK], since=entry.made_at)
        if booked is None:
            booked = create(entry.account, _params(entry), entry.key)
    except Refused as reason:
        return Answer(entry, refused=str(reason))
    except KeyRefused as reason:
        return Answer(entry, later=str(reason), in_doubt=entry.in_doubt, stops=str(reason))
    except Later as reason:
        return Answer(entry, later=str(reason), in_doubt=entry.in_doubt or reason.in_doubt)
    except Exception:
        # Whatever it was, the others' answers are to be recorded, and this one may have been booked.
        log.exception("%s: calling Stripe failed", entry.key)
        return Answer(entry, later="Calling Stripe failed in a way nobody foresaw; the log says how.", in_doubt=True)
    if (booked.amount, booked.currency) != (entry.amount, entry.currency):
        return Answer(
            entry,
            refused=f"Stripe holds {booked.id} for this credit with another amount: {booked.amount} {booked.currency}.",
        )
    return Answer(entry, booked=booked)


def _params(entry: BalanceEntry) -> dict[str, object]:
    return {
        "amount": entry.amount,
        "currency": entry.currency,
        "description": entry.description,
        "metadata": entry.metadata,
    }


# --- 4: recorded ----------------------------------------------------------------------------------


@transaction.atomic
def _record(answer: Answer, at: datetime) -> None:
    entry = answer.entry
    open_still = BalanceEntry.objects.filter(pk=entry.pk, done_at=None, refused_at=None)
    if answer.booked:
        if open_still.update(done_at=at, transaction=answer.booked.id, in_doubt=False, error=""):
            _apply(entry, answer.booked, at)
        _go_on()
    elif answer.refused:
        words = answer.refused[:250]
        if open_still.update(refused_at=at, in_doubt=False, error=words):
            Credit.objects.filter(pk=entry.credit_id).update(stripe_error=words)
    else:
        # Whoever took it over after our lease knows better.
        mine = open_still.filter(tries=entry.tries + 1)
        words = answer.later[:250]
        if mine.update(next_at=at + _pause(entry.tries), in_doubt=answer.in_doubt, error=words):
            Credit.objects.filter(pk=entry.credit_id).update(stripe_error=words)
        if answer.stops:
            _stop(words, at)


def _apply(entry: BalanceEntry, booked: Booked, at: datetime) -> None:
    """It is in their balance: so it says in the ledger."""
    CreditDeed.objects.create(credit_id=entry.credit_id, deed=Deed.POSTED, at=at, reason=booked.id)
    outcome = book.apply([entry.credit_id], invoice=booked.id, by=None, at=at)
    error = " ".join(f"Booked at Stripe as {booked.id}, but not here: {words}" for _, words in outcome.refused)
    if error:
        log.error("%s: %s", entry.key, error)
    Credit.objects.filter(pk=entry.credit_id).update(stripe_error=error[:250])


def _pause(tries: int) -> timedelta:
    """Twice as long after every try."""
    return min(FIRST_PAUSE * (1 << min(tries, 20)), LONGEST_PAUSE)


# --- whether our key is any good ----------------------------------------------------------------------


def state() -> StripeState:
    """How we stand with Stripe; an empty one where nothing ever happened."""
    return StripeState.objects.order_by("pk").first() or StripeState()


def _may_try(at: datetime) -> bool:
    found = state()
    return not found.stopped_at or found.refused_key != fingerprint() or at >= found.stopped_at + KEY_PAUSE


def _stop(words: str, at: datetime) -> None:
    log.error("Nothing is posted to Stripe: %s", words)
    StripeState.objects.update_or_create(
        pk=1, defaults={"stopped_at": at, "stopped_why": words, "refused_key": fingerprint()}
    )


def _go_on() -> None:
    StripeState.objects.filter(stopped_at__isnull=False).update(stopped_at=None, stopped_why="", refused_key="")
