"""What a customer's credits come to while it still runs: computed at the moment of the look (R-1305)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from notifications.models import Customer
from postmortems.credits.arithmetic.assess import Assessor, Result
from postmortems.credits.arithmetic.case import Case
from postmortems.credits.arithmetic.money import Money
from postmortems.credits.arithmetic.months import bounds, micros, moment, month_of
from postmortems.credits.arithmetic.wording import explain
from postmortems.credits.facts import cases
from postmortems.enums import STANDING, WAITING, CreditState
from postmortems.models import Contract, ContractMonth, Credit


@dataclass(frozen=True, slots=True)
class Estimate:
    """One contract's month. ``minor``: with what still runs, as if it were over now; ``running``: so much of it.

    ``standing``: approved, exported or applied already; ``state``: of the newest credit that waits or stands.
    """

    contract: str
    month: date
    currency: str
    minor: int
    running: int
    is_running: bool
    standing: int
    state: CreditState | None
    words: tuple[str, ...]

    @property
    def amount(self) -> str:
        return str(Money(self.minor, self.currency))

    @property
    def of_which_running(self) -> str:
        return str(Money(self.running, self.currency))

    @property
    def stands(self) -> str:
        return str(Money(self.standing, self.currency))


def estimates(customer: Customer, *, at: datetime) -> list[Estimate]:
    """The present month of each of their contracts, and months of which something still runs, the newest first.

    The same queries whatever the sizes. Nothing is written.
    """
    months = _months(customer, at)
    if not months:
        return []
    found, assessor = [], Assessor()
    credits = _credits(months)
    for month, case in cases(months, at=at):
        over = assessor.assess(case)
        result = assessor.assess(case, with_running=True)
        known = credits.get(month.pk or 0, [])
        found.append(
            Estimate(
                contract=case.contract,
                month=month.month,
                currency=case.currency,
                minor=result.amount,
                running=max(0, result.amount - over.amount),
                is_running=any(outage.running for outage in case.outages),
                standing=sum(amount for state, amount in known if state in STANDING),
                state=CreditState(known[-1][0]) if known else None,
                words=_words(case, result),
            )
        )
    return sorted(found, key=lambda one: (-one.month.toordinal(), one.contract))


def _months(customer: Customer, at: datetime) -> list[ContractMonth]:
    """Rows there are, and new ones (never saved) where the present month has none. Two queries."""
    contracts = {contract.pk: contract for contract in Contract.objects.filter(customer=customer)}
    now = {pk: month_of(micros(at), one.zone, one.billing_day) for pk, one in contracts.items()}
    rows = ContractMonth.objects.filter(contract__in=contracts).order_by("month", "contract")
    there = [row for row in rows if row.is_running or row.month == now[row.contract_id]]
    for row in there:
        row.contract = contracts[row.contract_id]
    missing = now.keys() - {row.contract_id for row in there if row.month == now[row.contract_id]}
    return there + [_unsaved(contracts[pk], now[pk]) for pk in sorted(missing)]


def _unsaved(contract: Contract, month: date) -> ContractMonth:
    start, end = bounds(month, contract.zone, contract.billing_day)
    return ContractMonth(contract=contract, month=month, starts_at=moment(start), ends_at=moment(end))


def _credits(months: list[ContractMonth]) -> dict[int, list[tuple[str, int]]]:
    """(state, amount) of credits that wait or stand, the newest last. One query."""
    rows = Credit.objects.filter(
        contract_month__in=[month.pk for month in months if month.pk], state__in=[*WAITING, *STANDING]
    )
    found: dict[int, list[tuple[str, int]]] = {}
    for month, state, amount in rows.order_by("number").values_list("contract_month_id", "state", "amount_minor"):
        found.setdefault(month, []).append((state, amount))
    return found


def _words(case: Case, result: Result) -> tuple[str, ...]:
    """The arithmetic, sentence by sentence."""
    said = explain(case, result)
    lines = [sentence for line in said["lines"] for sentence in line]
    return tuple(str(sentence) for sentence in (*said["base"], *lines, *said["total"]))
