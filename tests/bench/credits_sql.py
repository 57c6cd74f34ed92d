"""A month of credits for thousands of contracts by the SQL twin, beside the pure function (performance.md C).

BENCH_CONTRACTS (10,000) contracts, some of them with terms that change within the month, in several zones, use up to
three of twenty components; twenty incidents hit them. The pure function computes from cases that are read already;
reading them is a figure of its own. Both must agree to the minor unit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import TypeVar

from django.db import connection

from incidents.enums import State
from incidents.models import Incident
from notifications.models import Customer
from postmortems.credits import facts
from postmortems.credits.arithmetic.assess import Assessor
from postmortems.credits.arithmetic.months import bounds, moment
from postmortems.credits.checking import twin
from postmortems.models import Contract, ContractMonth, Term
from status.enums import Level
from status.models import Impact
from tests import scene
from tests.bench.figures import Figure, MissingError, database
from tests.postmortems import stage

MONTH = date(2026, 10, 1)
AT = datetime(2026, 11, 20, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
COMPONENTS, INCIDENTS, ROUNDS = 20, 20, 3

Answer = TypeVar("Answer")


def figures() -> list[Figure]:
    if not twin.available():
        raise MissingError(twin.available().reason)
    count = int(os.environ.get("BENCH_CONTRACTS", "10000"))
    with database():
        months = _scene(count)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        by_sql, spent_sql = _timed(lambda: twin.recompute(MONTH, at=AT))
        cases, spent_reading = _timed(lambda: facts.cases(months, at=AT))
        by_hand, spent_pure = _timed(lambda: _assessed(cases))
    assert by_sql == by_hand
    assert any(by_sql.values())
    return [
        Figure("credits-sql", spent_sql * 1e3, "ms", spent_sql / spent_pure, "credits-pure"),
        Figure("credits-pure", spent_pure * 1e3, "ms"),
        Figure("credits-cases", spent_reading * 1e3, "ms"),
    ]


def _assessed(cases: list[tuple[ContractMonth, facts.Case]]) -> dict[int, int]:
    assessor = Assessor()
    return {month.contract_id: assessor.assess(case).amount for month, case in cases}


def _scene(count: int) -> list[ContractMonth]:
    stage.rules(uptimes=[(2, "P1", "99.9", "5")])
    components = [scene.component(f"Part {n}") for n in range(COMPONENTS)]
    policy = stage.policy_b()
    customers = Customer.objects.bulk_create(Customer(name=f"N{n}", reference=f"N{n}") for n in range(count))
    contracts = Contract.objects.bulk_create(
        Contract(
            customer=customer, reference=f"R{n}", policy=policy, currency="EUR", zone=ZONES[n * 7 // 3 % len(ZONES)]
        )
        for n, customer in enumerate(customers)
    )
    terms = Term.objects.bulk_create(
        Term(contract=contract, starts_on=starts, last_day=last, fee_minor=10_000 + n * 37 % 990_000)
        for n, contract in enumerate(contracts)
        for starts, last in _terms(n)
    )
    Term.components.through.objects.bulk_create(
        Term.components.through(term_id=term.pk, component_id=components[place].pk)
        for n, term in enumerate(terms)
        for place in {n % COMPONENTS, n * n % 7, 11}
    )
    _trouble(components)
    return ContractMonth.objects.bulk_create(_month(contract) for contract in contracts)


def _terms(number: int) -> list[tuple[date, date | None]]:
    """One for good; every tenth contract changed within the month."""
    begun = date(2024, 1, 1) + timedelta(days=number % 700)
    if number % 10:
        return [(begun, None)]
    return [(begun, date(2026, 10, 14)), (date(2026, 10, 15), None)]


def _month(contract: Contract) -> ContractMonth:
    start, end = bounds(MONTH, contract.zone, contract.billing_day)
    return ContractMonth(contract=contract, month=MONTH, starts_at=moment(start), ends_at=moment(end))


def _trouble(components: list[scene.Component]) -> None:
    """An incident every 36 hours, from 20 minutes to 9 hours, of three components each; some overlap the next."""
    level, brand = stage.level(), scene.brand()
    begins = [datetime(2026, 10, 1, tzinfo=UTC) + n * timedelta(hours=36) for n in range(INCIDENTS)]
    ends = [began + timedelta(minutes=20 + n * 27) for n, began in enumerate(begins)]
    incidents = Incident.objects.bulk_create(
        Incident(
            reference=f"INC-2026-{n:04d}", title=f"Trouble {n}", severity=level, brand=brand, state=State.RESOLVED,
            started_at=began, detected_at=began, declared_at=began, ended_at=ended, resolved_at=ended,
        )
        for n, (began, ended) in enumerate(zip(begins, ends, strict=True))
    )  # fmt: skip
    Impact.objects.bulk_create(
        Impact(
            component=components[(n * 3 + part) % COMPONENTS], level=Level.MAJOR, source=incident.source,
            began_at=incident.started_at, ended_at=incident.ended_at, recorded_at=incident.started_at,
        )
        for n, incident in enumerate(incidents)
        for part in range(3)
    )  # fmt: skip


def _timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    """Its answer, and seconds: the median of a few rounds."""
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = work()
        spent.append(time.perf_counter() - began)
    return answer, median(spent)
