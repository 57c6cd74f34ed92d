"""What a month comes to, by a second way: the definitions of reliability.md 5.2 as one statement of PostgreSQL.

``arithmetic.assess`` and this share nothing but the rows: not the arithmetic of spans, not the calendar, not the
rules' lookup. Where both agree it is right; where they do not, ``credits.recheck`` shows finance a red light.
PostgreSQL ≥ 14 only: its multiranges do the work.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connection, transaction

from postmortems.models import RuleVersion

#: The first PostgreSQL with multiranges, and whose ``extract`` is exact.
OLDEST = 140_000


class Availability(NamedTuple):
    """``reason`` is for people; empty: there is a second way."""

    is_there: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.is_there


class Unavailable(Exception):
    """This database has no second way. The message is written for people."""


def available() -> Availability:
    if connection.vendor != "postgresql":
        return Availability(False, "There is no second opinion on SQLite: it takes PostgreSQL 14 or later.")
    connection.ensure_connection()
    version = connection.connection.info.server_version
    if version < OLDEST:
        return Availability(
            False, f"There is no second opinion on PostgreSQL {version // 10_000}: it takes 14 or later."
        )
    return Availability(True)


def recompute(
    month: date,
    *,
    at: datetime,
    contracts: Collection[int] | None = None,
    version: RuleVersion | None = None,
) -> dict[int, int]:
    """What the month comes to of each contract (minor units by contract id), as the rows stand now.

    ``month`` is the first of the month; ``at`` the moment of the look, at which what still runs ends for now.
    ``contracts`` None: all. ``version``: these rules instead of those in force. Raises Unavailable.
    """
    there = available()
    if not there:
        raise Unavailable(there.reason)
    asked: dict[str, Any] = {
        "month": month.replace(day=1),
        "at": at,
        "contracts": None if contracts is None else list(contracts),
        "version": version and version.pk,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        # Nothing is known of the sizes of the steps: joins by hash are never far from the best,
        # loops may be; and compiling the statement takes longer than running it.
        cursor.execute("SET LOCAL enable_nestloop = off; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'")
        cursor.execute(_statement(), asked)
        return {contract: int(amount) for contract, amount in cursor.fetchall()}


@cache
def _statement() -> str:
    return Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
