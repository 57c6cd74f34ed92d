"""A failure before and after every statement of propose → approve → second → export → apply → reverse, then the act
again: the same ledger (reliability.md 5.3, "Double application").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from postmortems.credits import book
from postmortems.credits.book import NotAllowed
from postmortems.credits.checking import reconcile
from postmortems.models import ContractMonth, Credit, CreditDeed, Posting, RuleVersion
from tests import scene
from tests.postmortems import booking, stage
from tests.postmortems.booking import AT

pytestmark = pytest.mark.django_db(transaction=True)


class Crash(Exception):
    """The program died here."""


class Fuse:
    """Blows at one statement of all that are asked: before it ran, or after."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.at, self.after, self.asked = at, after, 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("BEGIN"):
            # Nothing is asked yet; a program that dies here takes its connection with it.
            return execute(sql, params, many, context)
        place, self.asked = self.asked, self.asked + 1
        if place == self.at and not self.after:
            raise Crash
        found = execute(sql, params, many, context)
        if place == self.at:
            raise Crash
        return found


@contextmanager
def lit(fuse: Fuse) -> Iterator[Fuse]:
    with connection.execute_wrapper(fuse):
        yield fuse


class Story:
    """Two credits above the limit, from their assessment to their invoice; one of them is taken back after that."""

    def __init__(self, name: str, rules: RuleVersion) -> None:
        self.name = name
        self.fay, self.bob, self.cat = (scene.operator(person) for person in ("fay", "bob", "cat"))
        # Both stories have a batch of their own.
        self.batch = booking.batch(
            stage.OCTOBER.replace(month=len(name)), number=f"CR-{name}", count=2, totals={"EUR": 50_000}
        )
        for number in (1, 2):
            booking.assess(booking.month(stage.contract(f"{name}-{number}")), 0, rules=rules)
        self.acts = (
            self.propose,
            self.approve_first,
            self.approve_second,
            self.export,
            self.apply,
            self.reverse,
            self.approve_reversal_first,
            self.approve_reversal_second,
        )

    @property
    def credits(self) -> QuerySet[Credit]:
        return Credit.objects.filter(contract_month__contract__reference__startswith=f"{self.name}-").order_by("pk")

    @property
    def months(self) -> QuerySet[ContractMonth]:
        return ContractMonth.objects.filter(contract__reference__startswith=f"{self.name}-").order_by("pk")

    @transaction.atomic
    def propose(self) -> None:
        months = list(self.months.select_related("contract", "assessment").select_for_update(of=("self",)))
        for month in months:
            month.assessed_minor = 25_000
            month.save(update_fields=["assessed_minor"])
        book.settle([(month, month.assessment) for month in months if month.assessment], at=AT)

    def approve_first(self) -> None:
        book.approve(self._ids(), by=self.fay, at=AT)

    def approve_second(self) -> None:
        book.approve(self._ids(), by=self.bob, at=AT)

    def export(self) -> None:
        book.export(self.credits.exclude(kind="reversal"), self.batch, by=self.fay, at=AT)

    def apply(self) -> None:
        book.apply(self._ids(), invoice="IN-1", by=None, at=AT)

    def reverse(self) -> None:
        try:
            book.reverse(self.credits[0], reason="Wrong.", by=self.cat, at=AT)
        except NotAllowed as refusal:
            # Sent twice: the first was heard.
            if str(refusal) != "Its reversal waits for approval already.":
                raise

    def approve_reversal_first(self) -> None:
        book.approve(self._ids("reversal"), by=self.fay, at=AT)

    def approve_reversal_second(self) -> None:
        book.approve(self._ids("reversal"), by=self.bob, at=AT)

    def _ids(self, *kinds: str) -> list[int]:
        return [credit.pk for credit in self.credits if credit.kind in (kinds or ("assessed", "correction"))]

    def entries(self) -> str:
        """Its books without ids and its own name: what must be the same in every story."""
        name = ("credit__contract_month__contract__reference", "credit__number")
        columns = (
            "contract_month__contract__reference", "number", "kind", "state", "amount_minor", "currency",
            "first_by__username", "approved_by__username", "approved_at", "batch__number", "invoice",
        )  # fmt: skip
        mine = {"credit__in": self.credits}
        rows = [
            *self.credits.order_by("contract_month", "number").values_list(*columns),
            *CreditDeed.objects.filter(**mine)
            .order_by("pk")
            .values_list(*name, "deed", "by__username", "at", "reason"),
            *Posting.objects.filter(**mine)
            .order_by("pk")
            .values_list("key", *name, "debit", "against", "amount_minor", "currency"),
            *self.months.values_list("assessed_minor", "decided_minor", "stale_since"),
        ]
        return "\n".join(map(str, rows)).replace(self.name, "C")


def test_whatever_statement_dies_the_act_again_makes_the_same_ledger() -> None:
    """Every act dies before and after each of its statements, and leaves nothing; then it comes through, twice."""
    rules = stage.rules(second_above="100.00")
    died, calm = Story("DIED", rules), Story("CALM!", rules)
    points = []
    for act, undisturbed in zip(died.acts, calm.acts, strict=True):
        before = died.entries()
        with lit(Fuse()) as counted:
            undisturbed()
        for place in range(counted.asked):
            for after in (False, True):
                with lit(Fuse(place, after=after)), pytest.raises(Crash):
                    act()
                assert died.entries() == before
                points.append((act.__name__, place, after))
        act()
        once = died.entries()
        assert once == calm.entries()
        assert once != before
        # The answer was lost: it is asked again.
        act()
        assert died.entries() == once
    assert reconcile.check(AT).errors == []
    assert len(points) >= 40
    print(f"{len(points)} points of failure")
