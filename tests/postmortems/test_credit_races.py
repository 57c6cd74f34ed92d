"""Two people of finance, a worker and a timetable at once: one of them wins, each amount is posted once (R-904, F13).

On PostgreSQL, where acts really run beside each other; embedded SQLite takes one writer at a time, few rounds there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection

from postmortems.credits import book
from postmortems.credits.checking import reconcile
from postmortems.enums import CreditState, Deed
from postmortems.models import ContractMonth, Credit, CreditDeed, Posting
from tests import scene
from tests.incidents.test_at_once import at_once
from tests.postmortems import booking, stage
from tests.postmortems.booking import AT

pytestmark = pytest.mark.django_db(transaction=True)

LATER = AT + timedelta(days=2)


def rounds(number: int) -> int:
    return number if connection.vendor == "postgresql" else 3


def people(*names: str) -> list[User]:
    return [scene.operator(name) for name in names]


def approving(credits: list[Credit], by: User) -> Callable[[], book.Outcome]:
    return lambda: book.approve([credit.pk for credit in credits], by=by, at=AT)


def clean() -> None:
    wrong = [finding for finding in reconcile.check(AT).findings if finding.rule not in ("stale", "unapplied")]
    assert wrong == []


def same(answers: list[object]) -> list[book.Outcome]:
    assert [answer for answer in answers if not isinstance(answer, book.Outcome)] == []
    return answers  # type: ignore[return-value]  # as just looked at


def test_of_two_who_approve_the_same_at_once_one_wins_a_hundred_times() -> None:
    fay, bob = people("fay", "bob")
    for _ in range(rounds(100)):
        credit = booking.proposed()
        first, second = same(at_once(approving([credit], fay), approving([credit], bob)))
        assert sorted([len(first.done), len(second.done)]) == [0, 1]
        refused = first.refused or second.refused
        assert [words for _, words in refused] == ["It is approved already."]
        assert credit.postings.count() == 1
        assert list(credit.deeds.order_by("pk").values_list("deed", flat=True)) == [Deed.PROPOSED, Deed.APPROVED]
    clean()


def test_two_who_approve_the_same_many_in_other_orders_do_not_wait_for_each_other() -> None:
    fay, bob = people("fay", "bob")
    for _ in range(rounds(6)):
        credits = [booking.proposed() for _ in range(6)]
        first, second = same(at_once(approving(credits, fay), approving(credits[::-1], bob)))
        assert {credit.pk for credit in (*first.done, *second.done)} == {credit.pk for credit in credits}
        assert len(first.done) + len(second.done) == 6
    assert Posting.objects.count() == Credit.objects.count()
    clean()


def test_two_second_persons_at_once_are_one() -> None:
    rules = stage.rules(second_above="1.00")
    fay, bob, cat = people("fay", "bob", "cat")
    for _ in range(rounds(6)):
        credit = booking.proposed(rules=rules)
        book.approve([credit.pk], by=fay, at=AT)
        first, second = same(at_once(approving([credit], bob), approving([credit], cat)))
        assert sorted([len(first.done), len(second.done)]) == [0, 1]
    clean()


def assessing(month: ContractMonth, amount: int) -> Callable[[], list[Credit]]:
    return lambda: booking.assess(month, amount)


def test_what_is_approved_while_it_is_replaced_stands_or_was_refused() -> None:
    """Approved first: the rest is proposed as a correction. Replaced first: refused, with what replaced it."""
    (fay,) = people("fay")
    for _ in range(rounds(12)):
        credit = booking.proposed(25_000)
        outcome, made = at_once(approving([credit], fay), assessing(credit.contract_month, 30_000))
        assert isinstance(outcome, book.Outcome)
        assert isinstance(made, list)
        new = [one.amount_minor for one in made]
        if outcome.done:
            assert new == [5_000]
        else:
            assert new == [30_000]
            assert [words for _, words in outcome.refused] == [
                "A newer assessment replaced it: 300.00 EUR instead of 250.00 EUR."
            ]
        held = Credit.objects.filter(contract_month=credit.contract_month).exclude(state=CreditState.SUPERSEDED)
        assert sum(one.amount_minor for one in held) == 30_000
    clean()


def test_approved_and_returned_at_once_it_is_one_of_both() -> None:
    fay, bob = people("fay", "bob")
    for _ in range(rounds(12)):
        credit = booking.proposed()
        yes, no = same(
            at_once(
                approving([credit], fay),
                lambda: book.give_back([credit.pk], reason="No.", by=bob, at=AT),  # noqa: B023 -- called now
            )
        )
        assert len(yes.done) + len(no.done) == 1
        assert (credit.postings.count(), booking.again(credit).state) == (
            (1, CreditState.APPROVED) if yes.done else (0, CreditState.RETURNED)
        )
    clean()


def test_two_who_put_the_same_into_a_batch_put_it_there_once() -> None:
    batch = booking.batch()
    for _ in range(rounds(6)):
        credits = [booking.approved() for _ in range(4)]
        answers = at_once(*(lambda: book.export(credits, batch, by=None, at=AT) for _ in range(2)))  # noqa: B023
        assert sorted(len(answer) for answer in answers if isinstance(answer, list)) == [0, 4]
    exported = Credit.objects.filter(state=CreditState.EXPORTED).count()
    assert Posting.objects.filter(debit="owed").count() == exported == Credit.objects.count()


def test_f13_the_timetable_may_come_three_times_at_once_beside_somebody_who_stops_it() -> None:
    rules = stage.rules(hold_hours=24)
    (fay,) = people("fay")
    for _ in range(rounds(6)):
        credits = [booking.proposed(rules=rules) for _ in range(6)]
        halted = [credit.pk for credit in credits[:2]]
        *released, stopped = at_once(
            *(lambda: book.release(LATER) for _ in range(3)),
            lambda: book.stop(halted, reason="Wait.", by=fay, at=LATER),  # noqa: B023 -- called now
        )
        assert isinstance(stopped, book.Outcome)
        released.append(book.release(LATER))
        assert sum(number for number in released if isinstance(number, int)) == 6 - len(stopped.done)
        still = Credit.objects.filter(state=CreditState.PROPOSED, holds_until__isnull=False)
        assert not still.exists()
    told = CreditDeed.objects.filter(deed=Deed.BY_ITSELF)
    assert told.count() == Posting.objects.count() == Credit.objects.filter(state=CreditState.APPROVED).count()
    clean()


def test_r1308_of_two_reversals_at_once_one_is_asked_for() -> None:
    fay, bob = people("dan", "eve")
    for _ in range(rounds(6)):
        credit = booking.approved()
        answers = at_once(
            *(lambda by=by: book.reverse(credit, reason="Wrong.", by=by, at=AT) for by in (fay, bob))  # noqa: B023
        )
        refused = [str(answer) for answer in answers if isinstance(answer, book.NotAllowed)]
        assert refused == ["Its reversal waits for approval already."]
        assert credit.reversals.count() == 1


def test_r904_two_goodwills_at_once_stay_within_the_cap() -> None:
    stage.rules()
    fay, bob = people("fay", "bob")
    for number in range(rounds(6)):
        month = booking.month(stage.contract(f"G-{number}", fee=100_000))
        answers = at_once(
            *(
                lambda by=by: book.grant(month, amount_minor=60_000, reason="Sorry.", by=by, at=AT)  # noqa: B023
                for by in (fay, bob)
            )
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["Credit", "NotAllowed"]
