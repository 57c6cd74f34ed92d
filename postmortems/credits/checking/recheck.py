"""The second opinion: months computed a second way and compared with what was assessed (reliability.md 5.3).

Both ways share nothing but the rows (``twin``), so a difference is a fault of one of them, or a month that nobody
marked when something changed. It changes nothing: finance sees a red light, and a person looks.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.contrib.auth.models import User

from postmortems.credits import assessing
from postmortems.credits.arithmetic.money import Money
from postmortems.credits.arithmetic.months import first, preceding
from postmortems.enums import RunKind
from postmortems.models import Contract, ContractMonth, Run

from . import twin

log = logging.getLogger(__name__)

#: Contracts in one statement: memory does not grow with their number.
CHUNK = 20_000
#: So many differences are written down; the rest is counted.
SHOWN = 50


@dataclass(frozen=True)
class Difference:
    """``ours``: as assessed; ``theirs``: by the second way. Minor units of ``currency``."""

    contract: str
    month: date
    currency: str
    ours: int
    theirs: int

    def __str__(self) -> str:
        ours, theirs = Money(self.ours, self.currency), Money(self.theirs, self.currency)
        return f"{self.contract} {self.month:%Y-%m}: assessed {ours}, the second opinion says {theirs}."


@dataclass(frozen=True)
class Compared:
    """How many contracts were looked at, and where both ways differ."""

    count: int
    differences: list[Difference]


def recheck(*months: date, at: datetime, by: User | None = None) -> Run:
    """Compare these months and keep what was found. Where there is no second opinion the run says why.

    What changed a moment ago is assessed first. ``result``: ``differ`` says how many months do, ``found`` names them in
    sentences, ``unavailable`` says why nobody could look.
    """
    run = Run(kind=RunKind.RECHECK, asked={"months": [f"{month:%Y-%m}" for month in months]})
    run.asked_by, run.asked_at, run.started_at, run.finished_at = by, at, at, at
    if there := twin.available():
        assessing.sweep(at)
        found = [compare(month, at=at) for month in months]
        differing = [one for compared in found for one in compared.differences]
        run.total = run.done = sum(compared.count for compared in found)
        run.result = {"differ": len(differing), "found": [str(one) for one in differing[:SHOWN]]}
        for one in differing[:SHOWN]:
            log.error("%s", one)
    else:
        run.result = {"unavailable": there.reason}
    run.save()
    return run


def nightly(at: datetime) -> Run | None:
    """The current month and the one before, once a day (UTC); None: this day has its second opinion."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if Run.objects.filter(kind=RunKind.RECHECK, asked_by=None, asked_at__gte=day).exists():
        return None
    month = first(at.date())
    return recheck(preceding(month), month, at=at)


def differences(month: date, *, at: datetime) -> list[Difference]:
    """Where a month's assessments and the second way differ, by contract. Raises twin.Unavailable."""
    return compare(month, at=at).differences


def compare(month: date, *, at: datetime) -> Compared:
    """Every contract's month that is not out of date; one that has no row was found to have nothing.

    A few statements for every CHUNK of contracts. What was assessed while this looked is looked at again: only what
    differs twice is a difference. Raises twin.Unavailable.
    """
    if not (there := twin.available()):
        raise twin.Unavailable(there.reason)
    month = first(month)
    keys = list(Contract.objects.order_by("pk").values_list("pk", flat=True))
    count = 0
    differing: list[tuple[int, tuple[int, int]]] = []
    for place in range(0, len(keys), CHUNK):
        fresh, suspects = _compare(month, keys[place : place + CHUNK], at=at)
        count += fresh
        differing += _compare(month, list(suspects), at=at)[1].items() if suspects else ()
    named = {
        pk: (reference, currency)
        for pk, reference, currency in Contract.objects.filter(pk__in=[pk for pk, _ in differing]).values_list(
            "pk", "reference", "currency"
        )
    }
    found = [Difference(named[pk][0], month, named[pk][1], *amounts) for pk, amounts in differing]
    return Compared(count, sorted(found, key=lambda one: one.contract))


def _compare(month: date, contracts: Sequence[int], *, at: datetime) -> tuple[int, dict[int, tuple[int, int]]]:
    """How many of these months are not out of date, and (ours, theirs) of those that differ, by contract."""
    theirs = twin.recompute(month, at=at, contracts=contracts)
    rows = ContractMonth.objects.filter(month=month, contract__in=contracts)
    ours = {pk: assessed or 0 for pk, assessed in rows.values_list("contract", "assessed_minor")}
    stale = set(rows.filter(stale_since__isnull=False).values_list("contract", flat=True))
    differing = {
        pk: (ours.get(pk, 0), amount) for pk, amount in theirs.items() if pk not in stale and amount != ours.get(pk, 0)
    }
    return len(theirs.keys() - stale), differing
