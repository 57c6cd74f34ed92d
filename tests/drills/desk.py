"""Finance's desk in a drill: a program whose acts can be killed one by one.

It reads the name of an act, does it in a child, and says ``begun PID``, then ``over CODE``. A child begins in a
moment, so that many can be killed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from postmortems.credits import book  # noqa: E402 -- Django is set up first
from postmortems.credits.arithmetic.months import bounds, moment  # noqa: E402
from postmortems.credits.batches import closing  # noqa: E402 -- Django is set up first
from postmortems.models import Assessment, Contract, ContractMonth, Credit  # noqa: E402
from tests import scene  # noqa: E402
from tests.postmortems import stage  # noqa: E402

MONTH, AT = date(2026, 10, 1), datetime(2026, 11, 2, 8, tzinfo=UTC)
AMOUNT = 12_345
#: So many in one click.
CLICK = 500


def propose(number: int) -> None:
    """So many contracts, each with one credit that waits."""
    policy, customer = stage.policy_b(), stage.buyer()
    for name in ("fay", "bob"):
        scene.operator(name)
    contracts = Contract.objects.bulk_create(
        Contract(reference=f"C-{n}", customer=customer, policy=policy, currency="EUR") for n in range(number)
    )
    begin, end = bounds(MONTH, "UTC", 1)
    months = ContractMonth.objects.bulk_create(
        ContractMonth(
            contract=contract, month=MONTH, starts_at=moment(begin), ends_at=moment(end), assessed_minor=AMOUNT
        )
        for contract in contracts
    )
    assessments = Assessment.objects.bulk_create(
        Assessment(
            contract_month=month, number=1, algorithm=1, inputs={}, content={"lines": []}, amount_minor=AMOUNT,
            digest="0" * 64, made_at=AT,
        )
        for month in months
    )  # fmt: skip
    book.settle(list(zip(months, assessments, strict=True)), at=AT)


def approve() -> None:
    """Every credit, some hundreds in a click; those that were approved before are refused, and that is right."""
    ids = list(Credit.objects.order_by("pk").values_list("pk", flat=True))
    for first in range(0, len(ids), CLICK):
        book.approve(ids[first : first + CLICK], by=scene.operator("fay"), at=AT)


def close() -> None:
    closing.close(MONTH, by=scene.operator("bob"), at=AT, sure=True)


def apply() -> None:
    ids = list(Credit.objects.values_list("pk", flat=True))
    for first in range(0, len(ids), CLICK):
        book.apply(ids[first : first + CLICK], invoice="IN-2026-11", by=None, at=AT)


ACTS: dict[str, Callable[[], None]] = {"approve": approve, "close": close, "apply": apply}


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            print(f"begun {os.getpid()}", flush=True)
            ACTS[line.strip()]()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(f"over {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
