"""Whatever is learnt, approved, returned, kept, reversed and closed in whatever order: the invariants of
reliability.md 5.3 hold after every step (R-903…R-906, R-1308).

``make properties`` plays 500 games of 50 steps, and prints how often each act was done.
"""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from postmortems.credits import book
from postmortems.credits.book.moves import FOLLOWING
from postmortems.credits.checking import reconcile
from postmortems.enums import STANDING, WAITING, CreditKind, CreditState, Deed
from postmortems.models import ContractMonth, Credit, CreditDeed, Posting
from tests import scene
from tests.postmortems import stage
from tests.postmortems.ledger_game import Game

#: What a credit is never changes; what it became does not either, once it stands.
FROZEN = ("contract_month_id", "number", "kind", "amount_minor", "currency", "assessment_id", "reverses_id", "reason",
          "proposed_at", "proposed_by_id", "needs_second")  # fmt: skip
APPROVAL = ("first_by_id", "approved_by_id", "approved_at")
#: Each of them succeeds somewhere in a long run, or the games prove nothing about it.
ACTS = {"approve", "give_back", "keep", "stop", "release", "goodwill", "reverse", "close", "apply", "fact", "less"}


class Agreeing(Game):
    """What must hold after every step."""

    @invariant()
    def the_ledger_is_what_the_months_come_to(self) -> None:
        """Of what was not approved: now. Of what was: as approved, with a question until somebody decides."""
        held = book.balances(self.months)
        rows, credits = ContractMonth.objects.in_bulk(self.months), self.credits()
        for which, pk in enumerate(self.months):
            # No month gives less than nothing.
            assert min(held[pk].assessed, held[pk].goodwill, held[pk].total) >= 0
            if which in self.dirty:
                continue
            month = rows[pk]
            now = self.comes_to(which, credits).amount
            assert (month.assessed_minor or 0) == now
            waiting = [
                credit.amount_minor
                for credit in credits
                if credit.contract_month_id == pk and credit.state in WAITING and credit.kind in FOLLOWING
            ]
            assert len(waiting) <= 1
            stands = held[pk].assessed
            if waiting:
                assert stands + waiting[0] == now
                assert waiting[0] > 0 or not self.running[which]
            elif month.decided_minor is None:
                assert stands == now or (stands > now and self.running[which])

    @invariant()
    def what_was_written_stays(self) -> None:
        for credit in Credit.objects.filter(contract_month__in=self.months):
            stands = credit.state in STANDING
            now = tuple(getattr(credit, name) for name in FROZEN + (APPROVAL if stands else ()))
            before = self.seen.get(credit.pk, ())
            assert now[: len(before)] == before
            self.seen[credit.pk] = now

    @invariant()
    def everything_that_stands_was_approved_by_whom_it_takes(self) -> None:
        told: dict[int, list[CreditDeed]] = {}
        for deed in CreditDeed.objects.filter(credit__contract_month__in=self.months).order_by("pk"):
            told.setdefault(deed.credit_id, []).append(deed)
        credits = Credit.objects.filter(contract_month__in=self.months).select_related("assessment")
        for credit in credits:
            assert credit.state not in WAITING or credit.approved_at is None
            assert credit.state != CreditState.SECOND or credit.first_by_id
            deeds = {deed.deed: deed.by_id for deed in told[credit.pk]}
            assert next(iter(deeds)) == Deed.PROPOSED
            assert (credit.state in STANDING) == bool({Deed.APPROVED, Deed.BY_ITSELF} & deeds.keys())
            yes = [deeds[deed] for deed in (Deed.APPROVED_FIRST, Deed.APPROVED) if deed in deeds]
            assert len(set(yes)) == len(yes)
            assert credit.proposed_by_id is None or credit.proposed_by_id not in yes
            assert (
                not credit.assessment
                or credit.assessment.asked_by_id is None
                or (credit.assessment.asked_by_id not in yes)
            )
            if credit.amount_minor < 0 or credit.kind == CreditKind.REVERSAL:
                assert credit.needs_second
            if credit.state in STANDING and credit.needs_second:
                assert len(yes) == 2

    @invariant()
    def the_books_agree(self) -> None:
        """Whenever something was posted."""
        posted = Posting.objects.count()
        if posted != self.posted:
            self.posted = posted
            assert [one for one in reconcile.check(self.at).findings if one.rule not in ("stale", "unapplied")] == []


@pytest.mark.django_db
def test_whatever_is_done_in_whatever_order_the_books_agree() -> None:
    """Some games; with ``--hypothesis-profile=properties`` five hundred longer ones."""
    scene.component()
    stage.policy_b()
    long = settings.default.max_examples > 100
    # Two acts at once are tried elsewhere: there the databases differ.
    few = 16 if connection.vendor == "sqlite" else 6
    run_state_machine_as_test(
        Agreeing,
        settings=settings(
            max_examples=500 if long else few,
            stateful_step_count=50 if long else 25,
            deadline=None,
            phases=[phase for phase in Phase if long or phase != Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(Game.done.most_common()))
    if long:
        assert Game.done.keys() >= ACTS
