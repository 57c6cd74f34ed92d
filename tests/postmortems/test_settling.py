"""What follows from an assessment: every combination of what stands, waits, was decided and still runs."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest

from postmortems.credits import book
from postmortems.credits.book import due
from postmortems.credits.book.settling import LONG_AGO
from postmortems.credits.finance import why
from postmortems.enums import CreditKind, CreditState
from postmortems.models import ContractMonth, Credit
from tests import scene
from tests.postmortems import booking, stage
from tests.postmortems.booking import AT

#: Comes to, stands, decided, runs → what is asked for.
TABLE = [
    # Nothing stands.
    (0, 0, None, False, 0),
    (100, 0, None, False, 100),
    (100, 0, None, True, 100),
    # Returned at 100: not again, until it comes to something else.
    (100, 0, 100, False, 0),
    (120, 0, 100, False, 120),
    (80, 0, 100, False, 80),
    (0, 0, 100, False, 0),
    # 100 stand.
    (100, 100, None, False, 0),
    (150, 100, None, False, 50),
    (150, 100, None, True, 50),
    (150, 100, 150, False, 0),
    (160, 100, 150, False, 60),
    (100, 100, 150, False, 0),
    (40, 100, None, False, -60),
    (0, 100, None, False, -100),
    # Lowering is not asked while something runs.
    (40, 100, None, True, 0),
    # The customer keeps it, though it comes to 40: asked again only below.
    (40, 100, 40, False, 0),
    (60, 100, 40, False, 0),
    (30, 100, 40, False, -70),
    (30, 100, 40, True, 0),
    (150, 100, 40, False, 50),
    # A raise to 150 was returned; then it comes to less than what stands.
    (40, 100, 150, False, -60),
]


@pytest.mark.parametrize(("assessed", "standing", "decided", "running", "asked"), TABLE)
def test_what_an_assessment_asks_for(
    assessed: int, standing: int, decided: int | None, running: bool, asked: int
) -> None:
    assert due(assessed, standing, decided, running=running) == asked


def test_in_every_combination_approving_what_is_asked_leaves_what_was_assessed() -> None:
    amounts = (0, 40, 100, 150)
    for assessed, standing, decided, running in product(amounts, amounts, (None, *amounts), (False, True)):
        asked = due(assessed, standing, decided, running=running)
        assert asked == 0 or standing + asked == assessed
        if asked < 0:
            assert not running
            assert decided is None or assessed < decided
        if decided is None and not running:
            assert standing + asked == assessed


@pytest.mark.django_db
@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("decided", [False, True])
@pytest.mark.parametrize("new", [0, 40, 100, 150])
@pytest.mark.parametrize("waiting", [None, 40, 150])
@pytest.mark.parametrize("standing", [0, 100])
def test_what_waits_is_replaced_where_it_is_no_longer_right(
    standing: int, waiting: int | None, new: int, decided: bool, running: bool
) -> None:
    """One month: so much stands, then it came to ``waiting`` (which a person may have decided), then to ``new``."""
    fay, bob = scene.operator("fay"), scene.operator("bob")
    month = booking.month()
    if standing:
        book.approve([booking.assess(month, standing)[0].pk], by=fay, at=AT)
    old: Credit | None = None
    if waiting is not None:
        old = booking.assess(month, waiting)[0]
        if decided:
            act = book.keep if old.amount_minor < 0 else book.give_back
            assert act([old.pk], reason="So.", by=bob, at=AT).refused == []
    made = booking.assess(month, new, running=running)
    settled = waiting if decided else None
    asked = due(new, standing, settled, running=running)
    same = old is not None and not decided and old.amount_minor == asked
    assert [one.amount_minor for one in made] == ([] if same or not asked else [asked])
    left = list(Credit.objects.waiting())
    assert [one.amount_minor for one in left] == ([asked] if asked else [])
    for one in left:
        assert one.kind == (CreditKind.CORRECTION if standing else CreditKind.ASSESSED)
        assert one.state == (CreditState.PROPOSED if asked > 0 else CreditState.DECISION)
        assert one.needs_second == (asked < 0)
    if old and not decided:
        assert booking.again(old).state == (old.state if same else CreditState.SUPERSEDED)
    # Asking again changes nothing.
    held = ContractMonth.objects.select_related("contract", "assessment").get()
    assert held.assessment
    assert book.settle([(held, held.assessment)], at=AT) == []


@pytest.mark.django_db
def test_late_facts_about_a_closed_month_are_corrections() -> None:
    booking.batch()
    assert booking.proposed().kind == CreditKind.CORRECTION


@pytest.mark.django_db
def test_r903_many_months_are_settled_in_as_many_queries_as_few(django_assert_num_queries: object) -> None:
    for number in (2, 12):
        found = []
        for _ in range(number):
            credit = booking.proposed()
            month = credit.contract_month
            month.assessed_minor = 30_000
            assert credit.assessment
            found.append((month, credit.assessment))
        with django_assert_num_queries(11):  # type: ignore[operator]  # a fixture
            assert len(book.settle(found, at=AT)) == number


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("after", "waits"),
    [
        (LONG_AGO, "Approves by itself in 24 h unless somebody stops it."),
        (LONG_AGO + booking.MINUTE, "Its month ended more than 62 days before: a person decides."),
    ],
)
def test_r905_what_is_for_a_month_of_long_ago_waits_for_a_person(after: timedelta, waits: str) -> None:
    """The first import of contracts, and rules that hold since ever, find years of old incidents at once."""
    month, rules, fay = booking.month(), stage.rules(hold_hours=24), scene.operator("fay")
    at = month.ends_at + after
    [credit] = booking.assess(month, 100, rules=rules, at=at)
    assert why.of([credit], by=fay, at=at)[credit.pk].words == waits
    assert book.release(at + 2 * stage.DAY) == (after <= LONG_AGO)


@pytest.mark.django_db
def test_what_was_decided_ends_once_both_agree_again() -> None:
    """Kept at nothing, then right again by other facts, then wrong once more: that is asked once more."""
    month = booking.approved().contract_month
    booking.assess(month, 0)
    book.keep([booking.waiting(month).pk], reason="Ours to give.", by=stage.finance("fay"), at=AT)
    booking.assess(month, 25_000)
    booking.assess(month, 0)
    assert (booking.waiting(month).state, booking.waiting(month).amount_minor) == (CreditState.DECISION, -25_000)
