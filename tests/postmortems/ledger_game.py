"""Two contracts, three people of finance, a worker, and a plain memory of what happened and what was agreed.

Acts that make sense are chosen most often, others now and then: they are refused, and nothing moves. What must
hold after each is in ``test_credit_machine``. Assessments are those of the real arithmetic, of outages that lie
in memory: from the books to cases is tried elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, ClassVar

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from postmortems.credits import book
from postmortems.credits.arithmetic.assess import Result
from postmortems.credits.arithmetic.assess import assess as judged
from postmortems.credits.arithmetic.months import following
from postmortems.credits.batches import closing
from postmortems.credits.book import NotAllowed
from postmortems.enums import STANDING, WAITING, CreditState
from postmortems.models import ContractMonth, Credit
from tests import scene
from tests.postmortems import booking, cases, stage

PEOPLE = ("fay", "bob", "cat")
WHO = st.sampled_from(PEOPLE)
#: Of two months; which credit is the one so many from the newest.
WHICH, PICK = st.integers(0, 1), st.integers(0, 5)
MANY = st.lists(PICK, min_size=1, max_size=4)
#: Nothing, then thresholds of preset B and a little more.
MINUTES = st.sampled_from([0, 60, 61, 240, 241, 600])
#: Whether the worker comes at once, or after the next act.
LATE = st.sampled_from([False, False, True])
FEES = st.sampled_from([100_000, 80_000, 100_001, 250_000, 30_000])


def there_is(*states: CreditState) -> Any:
    """The rule is played only while a credit is in one of these."""
    return precondition(lambda game: Credit.objects.filter(state__in=states, contract_month__in=game.months).exists())


class Game(RuleBasedStateMachine):
    """The acts."""

    done: ClassVar[Counter[str]] = Counter()

    @initialize()
    def begin(self) -> None:
        self.mark = transaction.savepoint()
        self.at, self.next_close = booking.AT, stage.OCTOBER
        self.people = {name: scene.operator(name) for name in PEOPLE}
        self.rules = stage.rules(hold_hours=24, second_above="300.00")
        contracts = [stage.contract("C-1"), stage.contract("C-2", currency="JPY")]
        self.months = [booking.month(contract).pk for contract in contracts]
        self.outages: list[dict[int, int]] = [{}, {}]
        self.running, self.fees = [False, False], [100_000, 100_000]
        self.dirty: set[int] = set()
        self.seen: dict[int, tuple[Any, ...]] = {}
        self.posted = 0
        # Every game begins with something that waits until its time is over, and with something that stands.
        for which in (0, 1):
            self.outages[which][0] = 241
            self._settled(which)
        for name in ("bob", "cat"):
            book.approve([one.pk for one in self.credits()][:1], by=self.people[name], at=self.at)

    def teardown(self) -> None:
        if hasattr(self, "mark"):
            transaction.savepoint_rollback(self.mark)

    # --- what becomes known --------------------------------------------------------

    @rule(which=WHICH, place=st.integers(0, 2), minutes=MINUTES, late=LATE, who=st.sampled_from([None, "fay"]))
    def a_fact_changes(self, which: int, place: int, minutes: int, late: bool, who: str | None) -> None:
        self.outages[which][place] = minutes
        self._learn("fact", which, late, who)

    @rule(which=WHICH, late=LATE)
    def it_is_reopened_or_over(self, which: int, late: bool) -> None:
        self.running[which] = not self.running[which]
        self._learn("reopen", which, late)

    @rule(which=WHICH, fee=FEES, late=LATE)
    def the_contract_changes(self, which: int, fee: int, late: bool) -> None:
        self.fees[which] = fee
        ContractMonth.objects.get(pk=self.months[which]).contract.terms.update(fee_minor=fee)
        self._learn("contract", which, late)

    # --- what people do ------------------------------------------------------------

    @rule(picks=MANY, who=WHO)
    @there_is(*WAITING)
    def approve(self, picks: list[int], who: str) -> None:
        ids = self._waiting(picks)
        before, clean = self._totals(), not self.dirty
        outcome = self._act("approve", lambda: book.approve(ids, by=self.people[who], at=self.at), moves=ids)
        if outcome and clean:
            self._within_the_cap(before)

    @rule(pick=PICK, who=WHO)
    @there_is(*WAITING)
    def approve_by_all(self, pick: int, who: str) -> None:
        """The second person comes at once."""
        for name in (who, *PEOPLE):
            self.approve([pick], name)

    @rule(picks=MANY, who=WHO, which=st.sampled_from(["give_back", "keep", "stop"]))
    @there_is(*WAITING)
    def say_no(self, picks: list[int], who: str, which: str) -> None:
        self._no(which, self._waiting(picks), who)

    @rule(pick=PICK, who=WHO)
    @there_is(CreditState.DECISION)
    def keep(self, pick: int, who: str) -> None:
        """Of what can be kept."""
        self._no("keep", self._of(pick, state=CreditState.DECISION), who)

    @rule(pick=PICK, who=WHO)
    @precondition(lambda game: game._of(0, state=CreditState.PROPOSED, holds_until__isnull=False))
    def stop(self, pick: int, who: str) -> None:
        """Of what has a holding time."""
        self._no("stop", self._of(pick, state=CreditState.PROPOSED, holds_until__isnull=False), who)

    @rule(which=WHICH, late=LATE)
    @there_is(*STANDING)
    def it_was_less(self, which: int, late: bool) -> None:
        """What stands is asked about then."""
        self.outages[which] = dict.fromkeys(self.outages[which], 60)
        self.running[which] = False
        self._learn("less", which, late)

    @rule(which=WHICH, amount=st.sampled_from([0, 1, 5_000, 30_000, 10**6]), who=WHO)
    def goodwill(self, which: int, amount: int, who: str) -> None:
        month = ContractMonth.objects.get(pk=self.months[which])
        by = self.people[who]
        given = self._act(
            "goodwill", lambda: book.grant(month, amount_minor=amount, reason="Sorry.", by=by, at=self.at)
        )
        if given and not self.dirty - {which}:
            self._settled(which)

    @rule(pick=PICK, who=WHO)
    @there_is(*STANDING)
    def reverse(self, pick: int, who: str) -> None:
        credits = Credit.objects.filter(state__in=STANDING, contract_month__in=self.months).order_by("-pk")
        if credit := self._one(credits, pick):
            self._act("reverse", lambda: book.reverse(credit, reason="Wrong.", by=self.people[who], at=self.at))

    @rule(hours=st.sampled_from([1, 25, 25]))
    def time_passes(self, hours: int) -> None:
        self.at += timedelta(hours=hours)
        ids = list(Credit.objects.filter(holds_until__lte=self.at).values_list("pk", flat=True))
        self._act("release", lambda: book.release(self.at), moves=ids)
        assert book.release(self.at) == 0

    @rule()
    @there_is(CreditState.APPROVED)
    def close_the_month(self) -> None:
        month: date = self.next_close
        self.next_close = following(month)
        self.at = max(self.at, closing.ends(month)[0])
        batch = self._act("close", lambda: closing.close(month, by=self.people["fay"], at=self.at, sure=True))
        assert batch
        assert closing.close(month, by=self.people["bob"], at=self.at).pk == batch.pk

    @rule(picks=MANY, invoice=st.sampled_from(["IN-1", "IN-2"]))
    @there_is(CreditState.EXPORTED)
    def apply(self, picks: list[int], invoice: str) -> None:
        credits = Credit.objects.filter(state__in=[CreditState.EXPORTED, CreditState.APPLIED]).order_by("-pk")
        ids = [credit.pk for pick in picks if (credit := self._one(credits, pick))]
        self._act("apply", lambda: book.apply(ids, invoice=invoice, by=None, at=self.at))

    @rule()
    def the_worker_comes(self) -> None:
        for which in sorted(self.dirty):
            self._settled(which)

    # --- how it is played ----------------------------------------------------------

    def credits(self) -> list[Credit]:
        """Of both months, with what they reverse."""
        return list(Credit.objects.filter(contract_month__in=self.months).select_related("reverses").order_by("-pk"))

    def comes_to(self, which: int, credits: list[Credit] | None = None) -> Result:
        """What the month comes to now, with goodwill as it stands or waits."""
        month = cases.case(fee=self.fees[which])
        held = self.credits() if credits is None else credits
        granted = sum(
            credit.amount_minor
            for credit in held
            if credit.contract_month_id == self.months[which]
            and (
                (credit.kind == "goodwill" and credit.state in ("proposed", "second", *STANDING))
                or (credit.reverses and credit.reverses.kind == "goodwill" and credit.state in STANDING)
            )
        )
        outages = tuple(
            cases.outage(place, month.start + (3 * place + 1) * cases.DAY, minutes * cases.MINUTE)
            for place, minutes in self.outages[which].items()
            if minutes
        )
        return judged(cases.case(*outages, fee=self.fees[which], granted=granted))

    def _learn(self, name: str, which: int, late: bool, who: str | None = None) -> None:
        Game.done[name] += 1
        self.dirty.add(which)
        ContractMonth.objects.filter(pk=self.months[which], stale_since=None).update(stale_since=self.at)
        if not late:
            self._settled(which, who)

    def _settled(self, which: int, who: str | None = None) -> None:
        """The worker assesses the month: nothing that stands moves by that."""
        before = self._totals()
        booking.assess(
            ContractMonth(pk=self.months[which]),
            self.comes_to(which).amount,
            at=self.at,
            running=self.running[which],
            rules=self.rules,
            asked_by=self.people[who] if who else None,
        )
        self.dirty.discard(which)
        assert self._totals() == before

    def _act(self, name: str, act: Callable[[], Any], moves: list[int] | None = None) -> Any:
        """What the act answered; None: it was refused. Only the months of ``moves`` may have moved, and by these."""
        before = self._totals()
        try:
            found = act()
        except NotAllowed:
            found = None
        Game.done[name if getattr(found, "done", found) else f"{name} refused"] += 1
        touched = set(Credit.objects.filter(pk__in=moves or []).values_list("contract_month_id", flat=True))
        after = self._totals()
        assert {month: before[month] for month in before if month not in touched} == {
            month: after[month] for month in after if month not in touched
        }
        stale = ContractMonth.objects.filter(stale_since__isnull=False).values_list("pk", flat=True)
        self.dirty |= {self.months.index(pk) for pk in stale}
        return found

    def _totals(self) -> dict[int, int]:
        return {pk: balance.total for pk, balance in book.balances(self.months).items()}

    def _within_the_cap(self, before: dict[int, int]) -> None:
        after = self._totals()
        for which, pk in enumerate(self.months):
            if after[pk] > before[pk]:
                assert after[pk] <= self.fees[which]

    def _no(self, which: str, ids: list[int], who: str) -> None:
        act = getattr(book, which)
        self._act(which, lambda: act(ids, reason="So.", by=self.people[who], at=self.at))

    def _of(self, pick: int, **wanted: Any) -> list[int]:
        credits = Credit.objects.filter(contract_month__in=self.months, **wanted).order_by("-pk")
        return [credit.pk] if (credit := self._one(credits, pick)) else []

    def _waiting(self, picks: list[int]) -> list[int]:
        """Mostly what waits; the last pick may be anything."""
        credits = Credit.objects.filter(contract_month__in=self.months)
        found = {credit.pk for pick in picks[:3] if (credit := self._one(credits.waiting().order_by("-pk"), pick))}
        if len(picks) > 3 and (credit := self._one(credits.order_by("pk"), picks[3])):
            found.add(credit.pk)
        return sorted(found)

    @staticmethod
    def _one(credits: Any, pick: int) -> Any:
        found = list(credits[: pick + 1])
        return found[pick % len(found)] if found else None
