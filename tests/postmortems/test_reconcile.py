"""R-906, A8: whatever is wrong with the books is found, named and logged; nothing is found where they agree."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection

from postmortems.credits import book
from postmortems.credits.checking import reconcile
from postmortems.credits.checking.reconcile import RULES, Report
from postmortems.enums import STANDING, CreditState, RunKind
from postmortems.models import Batch, ContractMonth, Credit, CreditDeed, Posting, Run
from tests import scene
from tests.postmortems import booking, stage
from tests.postmortems.booking import AT, MINUTE

pytestmark = pytest.mark.django_db

LATER = AT + timedelta(days=1)


def told(at: object = None) -> dict[str, list[str]]:
    """What is wrong, by rule: rows in words."""
    report = reconcile.check(LATER)
    assert report.is_clean == (not report.errors)
    return {finding.rule: list(finding.rows) for finding in report.findings}


@pytest.fixture
def books() -> Batch:
    """Five credits, one in every state that stands (the first twice), one that waits, in a closed month."""
    credits = [booking.approved(amount) for amount in (10_000, 20_000, 30_000)]
    booking.assess(booking.proposed(40_000).contract_month, 45_000)
    file = b'{"credits": []}'
    batch = booking.batch(count=2, totals={"EUR": 50_000}, json=file, digest=hashlib.sha256(file).hexdigest())
    book.export(credits[1:], batch, by=None, at=AT)
    book.apply([credits[2].pk], invoice="IN-1", by=None, at=AT)
    return batch


def test_books_that_agree_are_clean(books: Batch) -> None:
    report = reconcile.check(LATER)
    assert (report.findings, report.is_clean, report.credits, report.batches) == ((), True, 5, 1)


def test_empty_books_are_clean() -> None:
    assert reconcile.check(AT).is_clean


def force(table: type, **columns: object) -> Callable[[int], None]:
    """What only somebody with the database's own tools could do: the guards are taken away for it."""

    def change(pk: int) -> None:
        assignments = ", ".join(f"{name} = %s" for name in columns)
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET session_replication_role = replica")
            else:
                cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
                for (name,) in cursor.fetchall():
                    cursor.execute(f"DROP TRIGGER {name}")
            name = table._meta.db_table  # type: ignore[attr-defined]  # a model
            cursor.execute(f"UPDATE {name} SET {assignments} WHERE id = %s", [*columns.values(), pk])
            if connection.vendor == "postgresql":
                cursor.execute("SET session_replication_role = DEFAULT")

    return change


@pytest.mark.parametrize(
    ("number", "columns", "found"),
    [
        (1, {"amount_minor": 10_001}, {"controls", "postings"}),
        (1, {"state": CreditState.RETURNED}, {"controls", "postings"}),
        (1, {"currency": "USD"}, {"controls", "postings", "currencies"}),
        (1, {"approved_by_id": None}, {"approvals"}),
        (1, {"approved_at": None}, {"approvals"}),
        (1, {"needs_second": True}, {"approvals"}),
        (2, {"amount_minor": 20_001}, {"controls", "postings", "batches"}),
        (2, {"state": CreditState.APPLIED}, {"controls", "postings"}),
        (5, {"state": CreditState.APPROVED}, {"controls", "postings", "approvals"}),
    ],
)
def test_a_credit_that_was_tampered_with_is_found(
    books: Batch, number: int, columns: dict[str, object], found: set[str]
) -> None:
    credit = Credit.objects.order_by("pk")[number - 1]
    force(Credit, **columns)(credit.pk)
    assert set(told()) == found


@pytest.mark.parametrize(
    "columns", [{"amount_minor": 9_999}, {"debit": "owed", "against": "expense"}, {"currency": "USD"}]
)
def test_a_posting_that_was_tampered_with_is_found(books: Batch, columns: dict[str, object]) -> None:
    posting = Posting.objects.order_by("pk")[0]
    force(Posting, **columns)(posting.pk)
    assert set(told()) == {"controls", "postings"}


def test_a_posting_to_another_month_is_found(books: Batch) -> None:
    other = ContractMonth.objects.order_by("pk")[1]
    force(Posting, contract_month_id=other.pk)(Posting.objects.order_by("pk")[0].pk)
    assert told() == {
        "controls": [
            "C-1 2026-10: Service credits (expense) is off by 100.00 EUR",
            "C-1 2026-10: Owed to the customer is off by -100.00 EUR",
            "C-2 2026-10: Service credits (expense) is off by -100.00 EUR",
            "C-2 2026-10: Owed to the customer is off by 100.00 EUR",
        ],
        "postings": ["C-1:2026-10:1 (approved, 100.00 EUR)"],
    }


@pytest.mark.parametrize("columns", [{"count": 3}, {"totals": '{"EUR": 50001}'}, {"json": b"{}"}])
def test_r905_a_batch_that_differs_from_the_ledger_or_its_file_is_found(
    books: Batch, columns: dict[str, object]
) -> None:
    force(Batch, **columns)(books.pk)
    assert set(told()) == {"batches"}


def test_r1308_a_reversal_of_what_does_not_stand_is_found(books: Batch) -> None:
    credit = Credit.objects.order_by("pk")[0]
    undoing = book.reverse(credit, reason="Wrong.", by=scene.operator("dan"), at=AT)
    for name in ("fay", "bob"):
        book.approve([undoing.pk], by=scene.operator(name), at=AT)
    assert told() == {}
    force(Credit, reverses_id=Credit.objects.order_by("pk")[1].pk)(undoing.pk)
    assert set(told()) == {"reversals"}


def test_r1308_who_proposed_it_did_not_approve_it(books: Batch) -> None:
    force(Credit, proposed_by_id=scene.operator("fay").pk)(Credit.objects.order_by("pk")[0].pk)
    assert told() == {"approvals": ["C-1:2026-10:1 (approved, 100.00 EUR)"]}


def test_by_itself_is_an_approval_where_it_is_written_down() -> None:
    credit = booking.proposed(rules=stage.rules(hold_hours=1))
    book.release(AT + timedelta(hours=1))
    assert told() == {}
    force(CreditDeed, deed="approved")(credit.deeds.get(deed="by_itself").pk)
    assert set(told()) == {"approvals"}


def test_more_taken_back_than_given_is_found(books: Batch) -> None:
    first, second = Credit.objects.order_by("pk")[:2]
    force(Credit, amount_minor=-1)(first.pk)
    assert told()["negative"] == ["C-1 2026-10: -0.01 EUR"]
    assert second.amount_minor > 0


def test_months_that_wait_too_long_are_found(books: Batch) -> None:
    month = ContractMonth.objects.order_by("pk")[0]
    ContractMonth.objects.filter(pk=month.pk).update(stale_since=LATER - 9 * MINUTE)
    assert told() == {}
    ContractMonth.objects.filter(pk=month.pk).update(stale_since=LATER - 10 * MINUTE)
    assert told() == {"stale": ["C-1 2026-10"]}


def test_what_billing_does_not_apply_is_a_warning(books: Batch) -> None:
    report = reconcile.check(AT + timedelta(days=14))
    assert [(one.rule, one.rows) for one in report.warnings] == [
        ("unapplied", ("C-2:2026-10:1 (exported, 200.00 EUR)",))
    ]
    assert report.is_clean


def test_the_last_answer_is_kept_and_what_is_wrong_logged(books: Batch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        clean = reconcile.sweep(LATER)
    assert caplog.messages == []
    assert reconcile.latest(LATER + MINUTE) == clean
    force(Credit, approved_at=None)(Credit.objects.order_by("pk")[0].pk)
    assert reconcile.latest(LATER + MINUTE).is_clean
    with caplog.at_level(logging.ERROR):
        wrong = reconcile.sweep(LATER)
    assert caplog.messages == [
        "The books of credits do not agree. Credits that stand without the approvals they need: "
        "C-1:2026-10:1 (approved, 100.00 EUR)."
    ]
    assert Report.of(wrong.as_json()) == wrong == reconcile.latest(LATER)
    assert Run.objects.filter(kind=RunKind.LEDGER).count() == 1
    # What is kept is not believed for ever.
    force(Credit, approved_at=AT)(Credit.objects.order_by("pk")[0].pk)
    assert reconcile.latest(LATER + reconcile.RECENT).is_clean


def test_a_screen_asks_once_for_the_kept_answer(books: Batch, django_assert_num_queries: object) -> None:
    reconcile.sweep(LATER)
    with django_assert_num_queries(1):  # type: ignore[operator]  # a fixture
        reconcile.latest(LATER)


def test_more_credits_are_not_more_questions(books: Batch, django_assert_num_queries: object) -> None:
    for number in (0, 5):
        for _ in range(number):
            booking.approved()
        with django_assert_num_queries(13):  # type: ignore[operator]  # a fixture
            reconcile.check(LATER)


@time_machine.travel(LATER, tick=False)
def test_the_command_says_so_and_ends_with_1(books: Batch) -> None:
    out = StringIO()
    call_command("audit_credits", stdout=out)
    assert out.getvalue().splitlines()[0] == f"        0  {RULES[0].words}"
    assert out.getvalue().rstrip().endswith("the books agree.")
    force(Credit, approved_at=None)(Credit.objects.order_by("pk")[0].pk)
    with pytest.raises(SystemExit) as ended:
        call_command("audit_credits", "--json", stdout=(out := StringIO()))
    assert ended.value.code == 1
    told = json.loads(out.getvalue())
    assert (told["is_clean"], [one["rule"] for one in told["findings"]]) == (False, ["approvals"])
    with pytest.raises(SystemExit):
        call_command("audit_credits", stdout=(out := StringIO()))
    assert "           C-1:2026-10:1 (approved, 100.00 EUR)" in out.getvalue().splitlines()


def test_what_stands_is_what_the_ledger_says(books: Batch) -> None:
    """The rules above, told once by hand."""
    standing = sum(Credit.objects.filter(state__in=STANDING).values_list("amount_minor", flat=True))
    expense = sum(Posting.objects.filter(debit="expense").values_list("amount_minor", flat=True))
    assert standing == expense == 60_000
