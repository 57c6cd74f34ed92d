"""What may be credited of a month at most: the cap of its rules, of its fee as the contract stands now (R-903)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from postmortems.credits.arithmetic.assess import WHOLE, fee
from postmortems.credits.arithmetic.money import half_up
from postmortems.credits.facts import load
from postmortems.models import ContractMonth


@dataclass(frozen=True, slots=True)
class Limit:
    """``minor`` units at most; where no rules hold it is the whole fee. ``version``: of the rules that hold now."""

    minor: int
    version: int | None


def limits(months: Sequence[ContractMonth], *, at: datetime) -> dict[int, Limit]:
    """By month. A dozen queries, however many; none where there is none."""
    found = {}
    for one in load(months, at=at):
        base, _ = fee(one.case)
        cap = one.case.rules.cap if one.case.rules else WHOLE
        found[one.month.pk] = Limit(half_up(base[0] * cap, base[1] * WHOLE), one.version)
    return found
