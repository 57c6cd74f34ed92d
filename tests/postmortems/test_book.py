"""R-904, R-905, R-1308: from proposal to invoice; who may say yes; nothing is edited, nothing happens twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from postmortems.credits import book
from postmortems.credits.book import MOVES, NotAllowed
from postmortems.enums import STANDING, WAITING, Account, CreditKind, CreditState, Deed
from postmortems.models import Contract, ContractMonth, Credit, CreditDeed, Posting
from tests import scene
from tests.postmortems import booking, stage
from tests.postmortems.booking import AT, MINUTE, again

pytestmark = pytest.mark.django_db


def person(name: str = "fay") -> User:
    return scene.operator(name)


def approve(*credits: Credit, by: str = "fay") -> book.Outcome:
    return book.approve([credit.pk for credit in credits], by=person(by), at=AT)


def postings() -> list[tuple[str, str, str, int]]:
    return list(Posting.objects.order_by("pk").values_list("key", "debit", "against", "amount_minor"))


def deeds(credit: Credit) -> list[tuple[str, str | None]]:
    return list(credit.deeds.order_by("pk").values_list("deed", "by__username"))


def said(outcome: book.Outcome) -> list[str]:
    assert outcome.done == []
    return [words for _, words in outcome.refused]


# --- the way of a credit ---------------------------------------------------------------


def test_r904_every_state_has_its_moves_and_what_stands_never_goes_back() -> None:
    assert set(MOVES) == set(CreditState)
    for state in STANDING:
        assert set(MOVES[state]) <= set(STANDING) - {state}
    for state in set(CreditState) - set(STANDING) - set(WAITING):
        assert MOVES[state] == ()


def test_r904_from_the_proposal_to_the_invoice_each_step_is_posted_and_told() -> None:
    credit = booking.proposed(25_000)
    assert (credit.key, credit.state, credit.kind) == ("C-1:2026-10:1", CreditState.PROPOSED, CreditKind.ASSESSED)
    assert postings() == []
    assert [one.state for one in approve(credit).done] == [CreditState.APPROVED]
    batch = booking.batch()
    book.export([credit], batch, by=person("bob"), at=AT + MINUTE)
    assert [one.state for one in book.apply([credit.pk], invoice="IN-7", by=None, at=AT + 2 * MINUTE).done] == [
        CreditState.APPLIED
    ]
    assert postings() == [
        ("C-1:2026-10:1:approve", Account.EXPENSE, Account.OWED, 25_000),
        ("C-1:2026-10:1:export", Account.OWED, Account.BILLING, 25_000),
        ("C-1:2026-10:1:apply", Account.BILLING, Account.INVOICED, 25_000),
    ]
    assert deeds(credit) == [
        (Deed.PROPOSED, None),
        (Deed.APPROVED, "fay"),
        (Deed.EXPORTED, "bob"),
        (Deed.APPLIED, None),
    ]
    credit = again(credit)
    assert (credit.approved_by, credit.approved_at, credit.batch) == (person(), AT, batch)
    assert (credit.invoice, credit.applied_at) == ("IN-7", AT + 2 * MINUTE)


def test_r905_a_second_try_changes_nothing() -> None:
    credit = booking.approved()
    before = postings()
    assert said(approve(credit)) == ["It is approved already."]
    assert postings() == before
    batch = booking.batch()
    assert len(book.export([credit], batch, by=None, at=AT)) == 1
    assert book.export([credit], batch, by=None, at=AT) == []
    assert said(approve(credit)) == ["It was approved and exported already."]
    book.apply([credit.pk], invoice="IN-7", by=None, at=AT)
    before = postings()
    assert [one.pk for one in book.apply([credit.pk], invoice="IN-7", by=None, at=AT).done] == [credit.pk]
    assert said(book.apply([credit.pk], invoice="IN-8", by=None, at=AT)) == ["It was applied to IN-7 already."]
    assert said(approve(credit)) == ["It was approved and applied already."]
    assert postings() == before
    assert len(deeds(credit)) == 4


def test_r904_the_same_step_cannot_be_posted_twice_even_by_hand() -> None:
    credit = booking.approved()
    Credit.objects.filter(pk=credit.pk).update(state=CreditState.PROPOSED)
    with pytest.raises(IntegrityError), transaction.atomic():
        approve(credit)


def test_r905_only_what_is_approved_is_exported_and_only_what_is_exported_applied() -> None:
    ready, fresh = booking.approved(), booking.proposed()
    with pytest.raises(NotAllowed, match="C-2:2026-10:1 is not approved: waiting for approval"):
        book.export([ready, fresh], booking.batch(), by=None, at=AT)
    assert again(ready).state == CreditState.APPROVED
    assert said(book.apply([ready.pk], invoice="IN-7", by=None, at=AT)) == [
        "Only what was exported is applied: close its month first."
    ]
    book.export([ready], booking.batch(), by=None, at=AT)
    with pytest.raises(NotAllowed, match="C-1:2026-10:1 is in batch CR-2026-10 already"):
        book.export([ready], booking.batch(stage.OCTOBER.replace(month=11)), by=None, at=AT)


# --- who may say yes -------------------------------------------------------------------


def test_r904_whoever_resolved_an_incident_of_it_does_not_approve() -> None:
    stage.rules()
    reference = stage.resolved(by="fay").reference
    credit = booking.proposed(references=("INC-2026-9999", reference))
    other = booking.proposed(references=("INC-2026-9999",))
    outcome = approve(credit, other)
    assert [one.pk for one in outcome.done] == [other.pk]
    assert outcome.refused == [(credit, f"You resolved {reference}, which it is for: somebody else has to approve it.")]
    assert approve(credit, by="bob").refused == []


def test_r1308_whoever_asked_or_proposed_does_not_approve() -> None:
    asked = booking.proposed(asked_by=person("fay"))
    assert said(approve(asked)) == ["You asked for the assessment that it comes from: somebody else has to approve it."]
    given = book.grant(asked.contract_month, amount_minor=100, reason="Sorry.", by=person("fay"), at=AT)
    assert said(approve(given)) == ["You proposed it: somebody else has to approve it."]
    assert approve(given, by="bob").refused == []


@pytest.mark.parametrize(("amount", "second"), [(50_000, False), (50_001, True)])
def test_r1308_above_the_limit_it_takes_two(amount: int, second: bool) -> None:
    rules = stage.rules(second_above="500.00", hold_hours=24)
    credit = booking.proposed(amount, rules=rules)
    assert (credit.needs_second, credit.holds_until) == (second, None if second else AT + timedelta(hours=24))
    assert [one.state for one in approve(credit).done] == [CreditState.SECOND if second else CreditState.APPROVED]
    if not second:
        return
    assert postings() == []
    assert said(approve(credit)) == ["You approved it already: it needs a second person."]
    approve(credit, by="bob")
    credit = again(credit)
    assert (credit.state, credit.first_by, credit.approved_by) == (CreditState.APPROVED, person(), person("bob"))
    assert deeds(credit)[1:] == [(Deed.APPROVED_FIRST, "fay"), (Deed.APPROVED, "bob")]


def test_r1308_the_limit_is_in_the_currency_of_the_contract() -> None:
    rules = stage.rules(second_above="500.00")
    for currency, amount in (("JPY", 500), ("KWD", 500_000)):
        contract = stage.contract(currency, currency=currency, fee=10**9)
        least = booking.assess(booking.month(contract), amount, rules=rules)[0]
        assert not least.needs_second
        more = booking.assess(least.contract_month, amount + 1, rules=rules)[0]
        assert more.needs_second


# --- optimistic ------------------------------------------------------------------------


def test_what_was_seen_is_what_is_approved() -> None:
    old = booking.proposed(25_000)
    new = booking.assess(old.contract_month, 30_000)[0]
    assert said(approve(old)) == ["A newer assessment replaced it: 300.00 EUR instead of 250.00 EUR."]
    booking.assess(old.contract_month, 0)
    assert said(approve(new)) == ["A newer assessment replaced it: nothing instead of 300.00 EUR."]
    assert said(book.give_back([old.pk], reason="No.", by=person(), at=AT)) == [
        "A newer assessment replaced it: nothing instead of 250.00 EUR."
    ]
    assert deeds(old) == [(Deed.PROPOSED, None), (Deed.SUPERSEDED, None)]
    assert postings() == []


# --- no, keep, take back ---------------------------------------------------------------


def test_r904_returned_with_a_reason_and_not_proposed_again_until_it_changes() -> None:
    credit = booking.proposed(25_000)
    with pytest.raises(NotAllowed, match="Say why"):
        book.give_back([credit.pk], reason=" ", by=person(), at=AT)
    book.give_back([credit.pk], reason="Agreed otherwise.", by=person(), at=AT)
    assert list(credit.deeds.values_list("deed", "reason"))[1:] == [(Deed.RETURNED, "Agreed otherwise.")]
    assert booking.assess(credit.contract_month, 25_000) == []
    assert [one.amount_minor for one in booking.assess(credit.contract_month, 30_000)] == [30_000]
    assert said(approve(credit)) == ["It was returned already."]


def lowered() -> Credit:
    """What was approved at 250.00 comes to 100.00 now."""
    credit = booking.approved(25_000)
    return booking.assess(credit.contract_month, 10_000)[0]


def test_r904_lowering_asks_a_person_and_takes_two_to_take_back() -> None:
    question = lowered()
    assert (question.state, question.kind, question.amount_minor) == (
        CreditState.DECISION,
        CreditKind.CORRECTION,
        -15_000,
    )
    assert said(book.give_back([question.pk], reason="No.", by=person(), at=AT)) == [
        "It asks for a decision: keep it, or take it back."
    ]
    assert [one.state for one in approve(question).done] == [CreditState.SECOND]
    approve(question, by="bob")
    assert postings()[1:] == [("C-1:2026-10:2:approve", Account.OWED, Account.EXPENSE, 15_000)]
    assert booking.assess(question.contract_month, 10_000) == []


def test_r904_the_customer_keeps_it_until_it_would_be_lowered_further() -> None:
    question = lowered()
    book.keep([question.pk], reason="Their goodwill is worth it.", by=person(), at=AT)
    assert deeds(question)[1:] == [(Deed.KEPT, "fay")]
    month = question.contract_month
    assert booking.assess(month, 10_000) == []
    assert booking.assess(month, 12_000) == []
    assert [one.amount_minor for one in booking.assess(month, 9_000)] == [-16_000]
    assert said(approve(question)) == ["It was decided already that the customer keeps it."]


def test_what_takes_nothing_back_is_not_kept() -> None:
    credit = booking.proposed()
    assert said(book.keep([credit.pk], reason="Hm.", by=person(), at=AT)) == [
        "It takes nothing back: approve or return it."
    ]


# --- holding time ----------------------------------------------------------------------


def holding() -> Credit:
    return booking.proposed(rules=stage.rules(hold_hours=24))


def test_r905_it_approves_by_itself_after_the_holding_time() -> None:
    credit = holding()
    over = AT + timedelta(hours=24)
    assert book.release(over - MINUTE) == 0
    assert book.release(over) == 1
    assert book.release(over + 30 * MINUTE) == 0
    credit = again(credit)
    assert (credit.state, credit.approved_by, credit.approved_at) == (CreditState.APPROVED, None, over)
    assert deeds(credit)[1:] == [(Deed.BY_ITSELF, None)]
    assert len(postings()) == 1


def test_r905_finance_stops_it_and_it_stays_stopped_when_the_amount_changes() -> None:
    credit = holding()
    assert [one.pk for one in book.stop([credit.pk], reason="Let me look.", by=person(), at=AT).done] == [credit.pk]
    assert said(book.stop([credit.pk], reason="Again.", by=person(), at=AT)) == [
        "It has no holding time: a person has to approve it anyway."
    ]
    new = booking.assess(credit.contract_month, 30_000, rules=credit.assessment and credit.assessment.rules)[0]
    assert new.holds_until is None
    assert deeds(new) == [(Deed.PROPOSED, None), (Deed.STOPPED, "fay")]
    assert book.release(AT + timedelta(days=9)) == 0
    assert approve(new, by="fay").refused == []


def test_r905_nothing_approves_by_itself_of_a_month_whose_facts_are_newer() -> None:
    credit = holding()
    later = AT + timedelta(days=2)
    ContractMonth.objects.update(stale_since=later)
    assert book.release(later) == 0
    booking.assess(credit.contract_month, 25_000, rules=credit.assessment and credit.assessment.rules, at=later)
    assert book.release(later) == 1


def test_r1308_neither_goodwill_nor_what_needs_two_approves_by_itself() -> None:
    rules = stage.rules(hold_hours=0, second_above="1.00")
    credit = booking.proposed(25_000, rules=rules)
    book.grant(credit.contract_month, amount_minor=50, reason="Sorry.", by=person(), at=AT)
    ContractMonth.objects.update(stale_since=None)
    assert book.release(AT + timedelta(days=9)) == 0


# --- goodwill --------------------------------------------------------------------------


def test_r904_goodwill_is_capped_with_what_stands_and_waits() -> None:
    stage.rules(cap_percent=50)
    month = booking.month(stage.contract(fee=100_000))
    values: dict[str, Any] = {"reason": "A long night.", "by": person(), "at": AT}
    with pytest.raises(NotAllowed) as refused:
        book.grant(month, amount_minor=50_001, **values)
    assert str(refused.value) == (
        "Only 500.00 EUR are left of the month's cap of 500.00 EUR: 0.00 EUR stand or are proposed already."
    )
    with pytest.raises(NotAllowed, match="Goodwill is more than nothing"):
        book.grant(month, amount_minor=0, **values)
    credit = book.grant(month, amount_minor=30_000, **values)
    assert (credit.kind, credit.state, credit.proposed_by, credit.reason) == (
        CreditKind.GOODWILL,
        CreditState.PROPOSED,
        person(),
        "A long night.",
    )
    assert ContractMonth.objects.get().stale_since == AT
    booking.assess(month, 20_000)
    with pytest.raises(NotAllowed) as refused:
        book.grant(month, amount_minor=1, **values)
    assert str(refused.value) == (
        "Nothing is left of the month's cap of 500.00 EUR: 500.00 EUR stand or are proposed already."
    )


def test_r904_goodwill_that_no_longer_fits_is_not_approved() -> None:
    stage.rules()
    contract = stage.contract(fee=100_000)
    credit = book.grant(booking.month(contract), amount_minor=90_000, reason="Sorry.", by=person(), at=AT)
    contract.terms.update(fee_minor=50_000)
    assert said(approve(credit, by="bob")) == [
        "With it the month would come to 900.00 EUR, above its cap of 500.00 EUR."
    ]


def test_goodwill_of_a_month_nobody_looked_at_makes_its_row() -> None:
    contract = stage.contract(zone="America/New_York", billing_day=5)
    month = book.month_of(contract, stage.OCTOBER)
    assert month.starts_at.isoformat() == "2026-10-05T04:00:00+00:00"
    assert book.month_of(contract, stage.OCTOBER).pk == month.pk


def test_r1308_goodwill_above_the_limit_takes_two_even_where_nothing_was_assessed() -> None:
    stage.rules(second_above="500.00")
    month = booking.month()
    given = [book.grant(month, amount_minor=amount, reason="Sorry.", by=person(), at=AT) for amount in (50_000, 100)]
    assert [one.needs_second for one in given] == [False, False]
    other = booking.month(stage.contract("C-2"))
    assert book.grant(other, amount_minor=50_001, reason="Sorry.", by=person(), at=AT).needs_second


def test_a_returned_goodwill_leaves_room_and_decides_nothing() -> None:
    given = book.grant(booking.month(), amount_minor=100, reason="Sorry.", by=person(), at=AT)
    ContractMonth.objects.update(stale_since=None)
    book.give_back([given.pk], reason="Not now.", by=person("bob"), at=AT + MINUTE)
    month = ContractMonth.objects.get()
    assert (month.stale_since, month.decided_minor) == (AT + MINUTE, None)


# --- reversal --------------------------------------------------------------------------


def reverse(credit: Credit, by: str = "fay") -> Credit:
    return book.reverse(credit, reason="Sent to the wrong customer.", by=person(by), at=AT)


def test_r1308_a_reversal_is_another_credit_that_two_others_approve() -> None:
    credit = booking.approved(25_000)
    undoing = reverse(credit)
    assert (undoing.kind, undoing.amount_minor, undoing.reverses, undoing.needs_second) == (
        CreditKind.REVERSAL,
        -25_000,
        credit,
        True,
    )
    assert said(approve(undoing)) == ["You proposed it: somebody else has to approve it."]
    approve(undoing, by="bob")
    approve(undoing, by="cat")
    assert again(undoing).state == CreditState.APPROVED
    assert again(credit).state == CreditState.APPROVED
    assert sum(credit.amount_minor for credit in Credit.objects.filter(state__in=STANDING)) == 0
    # Not proposed again by the same assessment; by another one it is.
    assert booking.assess(credit.contract_month, 25_000) == []
    assert [one.kind for one in booking.assess(credit.contract_month, 26_000)] == [CreditKind.CORRECTION]


def test_r1308_a_credit_is_reversed_once_and_only_when_it_stands() -> None:
    fresh = booking.proposed()
    with pytest.raises(NotAllowed, match=r"It is not in the ledger \(waiting for approval\)"):
        reverse(fresh)
    approve(fresh)
    undoing = reverse(fresh)
    with pytest.raises(NotAllowed, match="Its reversal waits for approval already"):
        reverse(fresh)
    approve(undoing, by="bob")
    approve(undoing, by="cat")
    with pytest.raises(NotAllowed, match="It is reversed already"):
        reverse(fresh)
    with pytest.raises(NotAllowed, match="It is a reversal itself"):
        reverse(undoing)


def test_r1308_a_returned_reversal_may_be_asked_for_again() -> None:
    credit = booking.approved()
    book.give_back([reverse(credit).pk], reason="It was right.", by=person("bob"), at=AT)
    assert reverse(credit).state == CreditState.PROPOSED


def test_reversed_and_lowered_in_one_click_takes_back_no_more_than_stands() -> None:
    question = lowered()
    credit = Credit.objects.get(number=1)
    undoing = reverse(credit, by="dan")
    for by in ("bob", "cat"):
        outcome = approve(question, undoing, by=by)
    assert [one.pk for one in outcome.done] == [undoing.pk]
    assert [words for _, words in outcome.refused] == ["What stands of its month has changed: look at the month again."]
    assert again(question).state == CreditState.SUPERSEDED
    assert sum(one.amount_minor for one in Credit.objects.filter(state__in=STANDING)) == 0


def test_a_credit_that_was_partly_taken_back_is_not_reversed_before_that() -> None:
    question = lowered()
    for by in ("bob", "cat"):
        approve(question, by=by)
    with pytest.raises(NotAllowed, match=r"Only 100\.00 EUR stand: reverse what was taken back before"):
        reverse(Credit.objects.get(number=1))
    up = reverse(again(question))
    for by in ("bob", "cat"):
        approve(up, by=by)
    assert up.amount_minor == 15_000
    assert reverse(Credit.objects.get(number=1)).amount_minor == -25_000


def test_reversed_goodwill_makes_room() -> None:
    month = booking.month()
    given = book.grant(month, amount_minor=100, reason="Sorry.", by=person("dan"), at=AT)
    approve(given)
    ContractMonth.objects.update(stale_since=None, decided_minor=7)
    undoing = reverse(again(given))
    for by in ("bob", "cat"):
        approve(undoing, by=by)
    held = ContractMonth.objects.get()
    assert (held.stale_since, held.decided_minor) == (AT, 7)


# --- many ------------------------------------------------------------------------------


def many(number: int) -> list[int]:
    for _ in range(number):
        booking.proposed()
    return list(Credit.objects.waiting().values_list("pk", flat=True))


@pytest.mark.parametrize("act", [book.give_back, book.stop])
def test_no_to_many_asks_no_more_than_to_few(act: Any) -> None:
    asked, rules = [], stage.rules(hold_hours=24)
    person()
    for number in (2, 9):
        ids = [booking.proposed(rules=rules).pk for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            assert len(act(ids, reason="So.", by=person(), at=AT).done) == number
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_acts_on_many_ask_no_more_than_on_few() -> None:
    batch, asked = booking.batch(), []
    person()
    for number in (2, 9):
        ids = [booking.proposed().pk for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            assert len(book.approve(ids, by=person(), at=AT).done) == number
            book.export(Credit.objects.filter(pk__in=ids), batch, by=None, at=AT)
            book.apply(ids, invoice="IN-1", by=None, at=AT)
        asked.append(len(queries))
    assert asked[0] == asked[1]
    assert CreditDeed.objects.count() == 4 * Contract.objects.count()
