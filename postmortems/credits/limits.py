"""What may be credited of a month at most: the cap of its rules, of its fee as the contract stands now (R-903)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from postmortems.models import ContractMonth

from .assess import WHOLE, fee
from .money import half_up


def limits(months: Sequence[ContractMonth], *, at: datetime) -> dict[int, int]:
    """By month, in minor units. Where no rules hold it is the whole fee."""
    if not months:
        return {}
    from .facts import cases  # noqa: PLC0415 -- until the facts are there

    found = {}
    for month, case in cases(months, at=at):
        base, _ = fee(case)
        found[month.pk] = half_up(base[0] * (case.rules.cap if case.rules else WHOLE), base[1] * WHOLE)
    return found
