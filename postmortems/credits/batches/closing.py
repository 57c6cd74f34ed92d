"""A month is closed: what was approved goes to billing as one batch, exactly once, and stays as it was (R-905, R-1308).

A batch takes every approved credit of its month and of the months before, so that what is late goes along; each
line names its own month. What still waits is taken by the next batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet, Sum

from postmortems.credits import book
from postmortems.credits.arithmetic.money import Money
from postmortems.credits.arithmetic.months import bounds, first, following, moment, preceding
from postmortems.credits.book.moves import NotAllowed, lock
from postmortems.credits.checking import recheck, twin
from postmortems.credits.facts.cited import cited
from postmortems.enums import WAITING, CreditState
from postmortems.models import Batch, BatchNumber, Contract, ContractMonth, Credit

from . import files, telling
from .files import Entry, Head

#: So many differences are named.
NAMED = 5
IN_DOUBT = "A second computation of the month comes to something else: look before it is closed."


class Doubtful(NotAllowed):
    """The second opinion differs, and nobody said that the month is closed all the same."""


class TooEarly(NotAllowed):
    """The month is not over everywhere; ``until`` is when it will be."""

    def __init__(self, words: str, until: datetime) -> None:
        super().__init__(words)
        self.until = until


@dataclass(frozen=True)
class Total:
    """``number`` credits of one currency, and what they come to (signed, minor units)."""

    currency: str
    number: int
    amount_minor: int

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


@dataclass(frozen=True)
class Preview:
    """What closing ``month`` would take. ``refused``: why it cannot be closed now; "": it can.

    ``late``: how many of ``count`` are of earlier months. ``waiting``, ``stale``, ``running``: credits that wait for
    a person, contract months whose assessment is out of date, and those that an open incident touches: they are left
    for the next batch. ``differing``: where the second opinion comes to something else, in sentences. ``batch``: it is
    closed already.
    """

    month: date
    count: int
    totals: list[Total]
    late: int
    waiting: dict[str, int]
    waiting_totals: list[Total]
    stale: int
    running: int
    refused: str
    batch: Batch | None
    differing: tuple[str, ...] = ()

    @property
    def is_incomplete(self) -> bool:
        """Something of this month or earlier would not go along, or the month is in doubt."""
        return bool(self.waiting or self.stale or self.running or self.differing)

    @property
    def negative(self) -> list[Total]:
        """Currencies in which more is taken back than given."""
        return [one for one in self.totals if one.amount_minor < 0]


def preview(month: date, *, at: datetime) -> Preview:
    """What ``close`` would do at ``at``. Nine queries at most, whatever the data, beside the second opinion's."""
    month = first(month)
    ready = _ready(month)
    waiting = Credit.objects.filter(state__in=WAITING, contract_month__month__lte=month)
    so_far = ContractMonth.objects.filter(month__lte=month).aggregate(
        stale=Count("pk", filter=Q(stale_since__isnull=False)), running=Count("pk", filter=Q(is_running=True))
    )
    totals = _sums(ready)
    batch = Batch.objects.light().filter(month=month).first()
    refused = "" if batch else _refusal(month, at)
    return Preview(
        month=month,
        count=sum(one.number for one in totals),
        totals=totals,
        late=ready.filter(contract_month__month__lt=month).count(),
        waiting=dict(waiting.order_by("state").values_list("state").annotate(Count("pk"))),
        waiting_totals=_sums(waiting),
        stale=so_far["stale"],
        running=so_far["running"],
        refused=refused,
        batch=batch,
        differing=() if batch or refused else _differing(month, at),
    )


def close(month: date, *, by: User | None, at: datetime, sure: bool = False) -> Batch:
    """Make the batch of a month, and export what is in it. A month that is closed already answers its batch.

    Raises TooEarly where the month is not over in every contract's zone, NotAllowed where a later one is closed, and
    Doubtful where the second opinion differs and nobody is ``sure``.
    """
    month = first(month)
    if not sure and not Batch.objects.filter(month=month).exists():
        refuse(month, at=at)
        if differing := _differing(month, at):
            raise Doubtful(f"{IN_DOUBT} {' '.join(differing)}")
    return _close(month, by=by, at=at)


def _differing(month: date, at: datetime) -> tuple[str, ...]:
    """Where the second opinion comes to something else now; nothing where there is none (SQLite)."""
    try:
        found = recheck.differences(month, at=at)
    except twin.Unavailable:
        return ()
    more = (f"And {len(found) - NAMED:,} more.",) if len(found) > NAMED else ()
    return (*(str(one) for one in found[:NAMED]), *more)


@transaction.atomic
def _close(month: date, *, by: User | None, at: datetime) -> Batch:
    number = held_number()
    if batch := Batch.objects.light().filter(month=month).first():
        return batch
    refuse(month, at=at)
    credits = _taken(month)
    head = Head(_next(number, month.year), month, at, by.get_username() if by else "")
    made = files.write(head, _entries(credits))
    batch = Batch.objects.create(
        number=head.number,
        month=month,
        closed_at=at,
        closed_by=by,
        count=len(credits),
        totals=files.totals((credit.currency, credit.amount_minor) for credit in credits),
        digest=made.digest,
        json=made.json,
        csv=made.csv,
        xlsx=made.xlsx,
        tell_next_at=at if telling.is_on() else None,
    )
    book.export(credits, batch, by=by, at=at)
    return batch


def refuse(month: date, *, at: datetime) -> None:
    """Raises TooEarly or NotAllowed where this month cannot be closed. Three queries at most."""
    newest = Batch.objects.aggregate(newest=Max("month"))["newest"]
    if newest and month < newest:
        raise NotAllowed(
            f"{newest:%B %Y} is closed already, and months are closed in order. "
            f"What is late for {month:%B %Y} goes into the next batch."
        )
    until, zone = ends(month)
    if at < until:
        raise TooEarly(
            f"{month:%B %Y} is not over yet for contracts billed in {zone}: "
            f"it can be closed from {until.day} {until:%B %Y, %H:%M} UTC on.",
            until,
        )


def ends(month: date) -> tuple[datetime, str]:
    """When the billing months of this name are over for every contract that has one (UTC), and the last one's zone."""
    after = following(month)
    running = Contract.objects.filter(
        Q(terms__last_day__isnull=True) | Q(terms__last_day__gte=month), terms__starts_on__lt=following(after)
    )
    kinds = set(running.order_by().values_list("zone", "billing_day").distinct()) or {("UTC", 1)}
    end, zone = max((bounds(month, zone, day)[1], zone) for zone, day in kinds)
    return moment(end), zone


def proposed(at: datetime) -> date:
    """The month to offer: the one after the newest batch; before there is any, the newest that is over."""
    newest = Batch.objects.aggregate(newest=Max("month"))["newest"]
    if newest:
        return following(newest)
    month = preceding(first(at.astimezone(UTC).date()))
    return month if ends(month)[0] <= at else preceding(month)


# --- what is taken ---------------------------------------------------------------------


def _ready(month: date) -> QuerySet[Credit]:
    return Credit.objects.filter(state=CreditState.APPROVED, contract_month__month__lte=month)


def _sums(credits: QuerySet[Credit]) -> list[Total]:
    rows = credits.order_by("currency").values_list("currency").annotate(Count("pk"), Sum("amount_minor"))
    return [Total(currency, number, amount) for currency, number, amount in rows]


def _refusal(month: date, at: datetime) -> str:
    try:
        refuse(month, at=at)
    except NotAllowed as refused:
        return str(refused)
    return ""


def _taken(month: date) -> list[Credit]:
    """The approved credits of months that are locked now, by contract, month and number.

    What is approved meanwhile in a month that was not locked is left for the next batch.
    """
    held = lock(ContractMonth.objects.filter(pk__in=_ready(month).values("contract_month_id")))
    rows = _ready(month).select_related(
        "contract_month__contract__customer",
        "reverses__contract_month__contract",
        "first_by",
        "approved_by",
    )
    taken = [credit for credit in rows if credit.contract_month_id in held]
    # Sorted here: databases put letters in different orders.
    return sorted(taken, key=lambda one: (one.contract_month.contract.reference, one.contract_month.month, one.number))


def _entries(credits: Sequence[Credit]) -> list[Entry]:
    incidents = cited({credit.assessment_id for credit in credits if credit.assessment_id})
    return [_entry(credit, incidents.get(credit.assessment_id or 0, ())) for credit in credits]


def _entry(credit: Credit, incidents: tuple[str, ...]) -> Entry:
    contract = credit.contract_month.contract
    assert credit.approved_at
    return Entry(
        key=credit.key,
        contract=contract.reference,
        customer_reference=contract.customer.reference,
        customer_name=contract.customer.name,
        billing_account=contract.billing_account,
        month=credit.contract_month.month,
        kind=credit.kind,
        currency=credit.currency,
        amount_minor=credit.amount_minor,
        incidents=incidents,
        reverses=credit.reverses.key if credit.reverses else "",
        first_approved_by=credit.first_by.get_username() if credit.first_by else "",
        approved_by=credit.approved_by.get_username() if credit.approved_by else "",
        approved_at=credit.approved_at,
        reason=credit.reason,
    )


# --- numbers ---------------------------------------------------------------------------


def held_number() -> BatchNumber:
    """The row of numbers, locked until the caller's transaction ends: no month is closed meanwhile by anybody else."""
    BatchNumber.objects.get_or_create(pk=BatchNumber.THE)
    return BatchNumber.objects.select_for_update().get(pk=BatchNumber.THE)


def _next(number: BatchNumber, year: int) -> str:
    """``CR-2026-0003``: gapless within the year of the month that is closed."""
    number.last = number.last + 1 if number.year == year else 1
    number.year = year
    number.save(update_fields=["year", "last"])
    return f"CR-{year}-{number.last:04d}"
