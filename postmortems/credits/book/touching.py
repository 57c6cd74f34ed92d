"""What taking time of an incident out would change, before it is done; and doing it once (R-902, F11)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from incidents.models import Incident
from notifications.models import Customer
from postmortems.credits.arithmetic.assess import assess
from postmortems.credits.arithmetic.case import BEGINNING, END, Case, Excluded
from postmortems.credits.arithmetic.months import micros
from postmortems.credits.facts import cases
from postmortems.enums import ExclusionKind
from postmortems.models import ContractMonth, Exclusion

from .excluding import exclude

#: More contract months than this are not computed while somebody waits.
QUICK = 400
#: What ``touched`` reads of an exclusion.
READ = ("incident", "customer", "kind", "starts_at", "ends_at")
#: The same person, the same time, the same reason: within so long it is the same form, sent again.
AGAIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Touched:
    """``number`` of contract months that look at the incident, of ``contracts``.

    ``totals``: (currency, what they come to now, what they would come to) in minor units; None: too many to say.
    """

    number: int
    contracts: int
    totals: list[tuple[str, int, int]] | None


def touched(
    *,
    incident: Incident,
    customer: Customer | None,
    kind: ExclusionKind,
    starts_at: datetime | None,
    ends_at: datetime | None,
    at: datetime,
) -> Touched:
    """What an exclusion would change, computed from the facts as known now. Nothing is written."""
    months = ContractMonth.objects.filter(touches__incident=incident).select_related("contract").order_by("pk")
    if customer:
        months = months.filter(contract__customer=customer)
    found = list(months[: QUICK + 1])
    if len(found) > QUICK:
        contracts = months.order_by().values("contract").distinct().count()
        return Touched(months.count(), contracts, None)
    start = micros(starts_at) if starts_at else BEGINNING
    end = micros(ends_at) if ends_at else END
    taken = Excluded(customer.pk if customer else 0, start, end, kind.value)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for _, case in cases(found, at=at):
        sums[case.currency][0] += assess(case).amount
        sums[case.currency][1] += assess(_without(case, incident.reference, taken)).amount
    totals = [(currency, before, after) for currency, (before, after) in sorted(sums.items())]
    return Touched(len(found), len({month.contract_id for month in found}), totals)


def _without(case: Case, reference: str, taken: Excluded) -> Case:
    outages = tuple(
        replace(outage, excluded=(*outage.excluded, taken)) if outage.reference == reference else outage
        for outage in case.outages
    )
    return replace(case, outages=outages)


@transaction.atomic
def exclude_once(*, by: User, at: datetime, **chosen: Any) -> tuple[Exclusion, bool]:
    """The exclusion, and whether it was made now. ``chosen`` and what is raised: as of ``excluding.exclude``."""
    # Forms sent at the same moment come one after the other.
    Incident.objects.select_for_update().get(pk=chosen["incident"].pk)
    same = Exclusion.objects.filter(made_by=by, made_at__gt=at - AGAIN, withdrawn_at=None, **chosen).first()
    return (same, False) if same else (exclude(**chosen, by=by, at=at), True)


def name_of(chosen: dict[str, Any]) -> str:
    """A name for what was chosen: another choice has another."""
    rows = [chosen["incident"].pk, chosen["customer"] and chosen["customer"].pk]
    told = [str(one) for one in (*rows, chosen["kind"], chosen["starts_at"], chosen["ends_at"])]
    return hashlib.sha256("|".join(told).encode()).hexdigest()[:32]
