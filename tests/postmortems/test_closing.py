"""A month is closed once, in order, in whole, and stays as it was (R-905, R-1308)."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from postmortems.credits import book
from postmortems.credits.batches import closing
from postmortems.credits.batches.closing import TooEarly, Total
from postmortems.credits.book.moves import NotAllowed
from postmortems.enums import CreditKind, CreditState, Deed
from postmortems.models import Batch, ContractMonth, Credit, Posting
from tests import scene
from tests.postmortems import paid, ready, stage
from tests.postmortems.ready import AFTER, LATER

pytestmark = pytest.mark.django_db
OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)


def close(month: date = OCTOBER, at: datetime = AFTER, by: str = "fin") -> Batch:
    return closing.close(month, by=scene.operator(by), at=at)


def keys(batch: Batch) -> list[str]:
    return [one["key"] for one in json.loads(bytes(batch.json))["credits"]]


# --- what goes along ---------------------------------------------------------------------


def test_r905_what_is_approved_goes_to_billing_in_one_batch_with_its_postings() -> None:
    first = ready.credit(stage.contract("C-1"), 25_000)
    second = ready.credit(stage.contract("C-2", currency="JPY"), 700)
    batch = close()
    assert (batch.number, batch.month, batch.count, batch.totals) == (
        "CR-2026-0001",
        OCTOBER,
        2,
        {"EUR": 25_000, "JPY": 700},
    )
    assert batch.digest == hashlib.sha256(bytes(batch.json)).hexdigest()
    assert keys(batch) == ["C-1:2026-10:1", "C-2:2026-10:1"]
    for credit in (first, second):
        credit.refresh_from_db()
        assert (credit.state, credit.batch_id) == (CreditState.EXPORTED, batch.pk)
        assert credit.deeds.get().deed == Deed.EXPORTED
        posted = credit.postings.get(key=f"{credit.key}:export")
        assert (posted.debit, posted.against, posted.amount_minor) == ("owed", "billing", credit.amount_minor)


def test_r904_what_is_late_for_a_closed_month_goes_along_under_its_own_month() -> None:
    contract = stage.contract()
    ready.credit(contract, 10_000)
    close()
    ready.credit(contract, 2_500, kind=CreditKind.CORRECTION)
    ready.credit(contract, 4_000, month=NOVEMBER)
    ready.credit(contract, 9_000, month=DECEMBER)
    batch = close(NOVEMBER, LATER)
    told = json.loads(bytes(batch.json))
    assert [(one["month"], one["kind"], one["amount_minor"]) for one in told["credits"]] == [
        ("2026-10", "correction", 2_500),
        ("2026-11", "assessed", 4_000),
    ]
    assert (batch.number, batch.totals) == ("CR-2026-0002", {"EUR": 6_500})


def test_an_earlier_month_that_nobody_closed_is_included_and_stays_behind() -> None:
    ready.credit(stage.contract())
    batch = close(NOVEMBER, LATER)
    assert (batch.count, Credit.objects.get().batch_id) == (1, batch.pk)
    with pytest.raises(NotAllowed, match="November 2026 is closed already, and months are closed in order"):
        close(OCTOBER, LATER)


def test_what_waits_is_left_for_the_next_batch() -> None:
    contract = stage.contract()
    waiting = ready.credit(contract, state=CreditState.PROPOSED)
    assert close().count == 0
    assert Credit.objects.get(pk=waiting.pk).state == CreditState.PROPOSED
    Credit.objects.filter(pk=waiting.pk).update(state=CreditState.APPROVED)
    assert keys(close(NOVEMBER, LATER)) == [waiting.key]


def test_a_month_in_which_nothing_happened_is_closed_all_the_same() -> None:
    batch = close()
    assert (batch.count, batch.totals, keys(batch)) == (0, {}, [])
    assert bytes(batch.csv).count(b"\r\n") == 1


def test_more_may_be_taken_back_than_given() -> None:
    contract = stage.contract()
    ready.credit(contract, 10_000)
    close()
    ready.credit(contract, -4_000, kind=CreditKind.CORRECTION)
    found = closing.preview(NOVEMBER, at=LATER)
    assert found.negative == [Total("EUR", 1, -4_000)]
    batch = close(NOVEMBER, LATER)
    assert batch.totals == {"EUR": -4_000}
    posted = Posting.objects.get(key__endswith=":2:export")
    assert (posted.debit, posted.against, posted.amount_minor) == ("billing", "owed", 4_000)


# --- when --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "until"),
    [
        ("UTC", 1, datetime(2026, 11, 1, tzinfo=UTC)),
        ("Pacific/Honolulu", 1, datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("Pacific/Kiritimati", 1, datetime(2026, 10, 31, 10, tzinfo=UTC)),
        ("Europe/Berlin", 15, datetime(2026, 11, 14, 23, tzinfo=UTC)),
    ],
)
def test_a_month_is_closed_when_it_is_over_in_every_contracts_zone(zone: str, day: int, until: datetime) -> None:
    stage.contract(zone=zone, billing_day=day)
    with pytest.raises(TooEarly) as early:
        close(at=until - timedelta(microseconds=1))
    assert early.value.until == until
    assert str(early.value) == (
        f"October 2026 is not over yet for contracts billed in {zone}: "
        f"it can be closed from {until.day} {until:%B %Y, %H:%M} UTC on."
    )
    assert closing.preview(OCTOBER, at=until - timedelta(seconds=1)).refused == str(early.value)
    assert close(at=until).number == "CR-2026-0001"


def test_contracts_that_were_over_or_had_not_begun_hold_up_nobody() -> None:
    stage.contract("C-1", zone="Pacific/Honolulu", last_day=date(2026, 9, 30))
    stage.contract("C-2", zone="Pacific/Honolulu", starts_on=date(2026, 12, 1))
    stage.contract("C-3")
    assert close(at=datetime(2026, 11, 1, tzinfo=UTC)).count == 0


def test_the_month_to_close_is_offered() -> None:
    assert closing.proposed(AFTER) == OCTOBER
    stage.contract(zone="Pacific/Honolulu")
    assert closing.proposed(datetime(2026, 11, 1, 9, tzinfo=UTC)) == date(2026, 9, 1)
    close()
    assert closing.proposed(AFTER) == NOVEMBER


# --- what is shown before ------------------------------------------------------------------


def test_the_preview_says_what_goes_along_and_what_does_not() -> None:
    one, other = stage.contract("C-1"), stage.contract("C-2", currency="JPY")
    ready.credit(one, 10_000)
    ready.credit(one, 500, month=date(2026, 9, 1))
    ready.credit(other, -70, kind=CreditKind.CORRECTION)
    ready.credit(one, 800, kind=CreditKind.GOODWILL, state=CreditState.SECOND)
    ready.credit(other, 90, state=CreditState.PROPOSED)
    ready.credit(other, 90, month=NOVEMBER, state=CreditState.PROPOSED)
    ContractMonth.objects.filter(contract=other).update(stale_since=AFTER)
    ContractMonth.objects.filter(contract=one, month=OCTOBER).update(is_running=True)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = closing.preview(OCTOBER, at=AFTER)
    # With the second opinion's, where there is one.
    assert len(asked) == (15 if connection.vendor == "postgresql" else 8)
    assert found == closing.Preview(
        month=OCTOBER,
        count=3,
        totals=[Total("EUR", 2, 10_500), Total("JPY", 1, -70)],
        late=1,
        waiting={"proposed": 1, "second": 1},
        waiting_totals=[Total("EUR", 1, 800), Total("JPY", 1, 90)],
        stale=1,
        running=1,
        refused="",
        batch=None,
    )
    assert (found.is_incomplete, found.negative) == (True, [Total("JPY", 1, -70)])
    batch = close()
    assert (batch.count, batch.totals) == (3, {"EUR": 10_500, "JPY": -70})
    again = closing.preview(OCTOBER, at=AFTER)
    assert (again.count, again.batch, again.refused) == (0, batch, "")


# --- once --------------------------------------------------------------------------------


def test_a_second_click_gets_the_same_batch_and_changes_nothing() -> None:
    ready.credit(stage.contract())
    batch = close()
    ready.credit(stage.contract("C-2"))
    again = close(by="other", at=LATER)
    assert (again.pk, again.closed_at, again.closed_by) == (batch.pk, AFTER, scene.operator("fin"))
    assert (Batch.objects.count(), Posting.objects.filter(key__endswith=":export").count()) == (1, 1)


def test_numbers_are_gapless_within_the_year_of_the_month(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was undone leaves no gap; December is of its own year though it is closed in the next."""
    ready.credit(stage.contract())

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(book, "export", fail)
        with pytest.raises(RuntimeError):
            close()
    assert (Batch.objects.count(), Credit.objects.get().state) == (0, CreditState.APPROVED)
    new_year = datetime(2027, 4, 1, tzinfo=UTC)
    months = [OCTOBER, NOVEMBER, DECEMBER, date(2027, 1, 1), date(2027, 2, 1)]
    numbers = [close(month, new_year).number for month in months]
    assert numbers == ["CR-2026-0001", "CR-2026-0002", "CR-2026-0003", "CR-2027-0001", "CR-2027-0002"]


@pytest.mark.django_db(transaction=True)
def test_twelve_who_close_at_the_same_moment_get_one_batch() -> None:
    """R-905: exactly once, and each credit in one batch."""
    for at in range(5):
        ready.credit(stage.contract(f"C-{at}"))
    by = scene.operator("fin")
    start, got, failed = threading.Barrier(12), [], []

    def one(month: date) -> None:
        try:
            start.wait()
            got.append((month, closing.close(month, by=by, at=LATER).number))
        except NotAllowed as refused:
            got.append((month, str(refused)))
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(month,)) for month in [OCTOBER, NOVEMBER] * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    numbers = sorted(Batch.objects.values_list("number", flat=True))
    assert numbers in (["CR-2026-0001"], ["CR-2026-0001", "CR-2026-0002"])
    assert len({answer for month, answer in got if month == NOVEMBER}) == 1
    assert sum(Batch.objects.values_list("count", flat=True)) == 5
    assert Posting.objects.filter(key__endswith=":export").count() == 5


def test_the_number_of_queries_does_not_grow_with_the_credits() -> None:
    # The row of numbers is made by the first of all.
    close(date(2026, 9, 1))
    asked = []
    for count, month, at in ((3, OCTOBER, AFTER), (60, NOVEMBER, LATER)):
        ready.many(count)
        with CaptureQueriesContext(connection) as queries:
            made = closing.close(month, by=scene.operator("fin"), at=at, sure=True)
        assert made.count == count
        asked.append(len(queries))
    assert asked == [20, 20]


# --- locked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"number": "CR-2026-0009"},
        {"month": NOVEMBER},
        {"closed_at": LATER},
        {"closed_by": None},
        {"count": 0},
        {"totals": {"EUR": 1}},
        {"digest": "f" * 64},
        {"csv": b"x"},
        {"xlsx": b"x"},
        {"json": b"x"},
    ],
)
def test_r1308_the_database_refuses_to_change_a_batch(change: dict[str, object]) -> None:
    ready.credit(stage.contract())
    batch = close()
    with pytest.raises(DatabaseError, match="A closed month stays as it is"), transaction.atomic():
        Batch.objects.filter(pk=batch.pk).update(**change)
    assert Batch.objects.filter(pk=batch.pk).update(told_at=AFTER, tell_tries=1, tell_error="x") == 1


@pytest.mark.parametrize("change", [{"amount_minor": 1}, {"currency": "JPY"}, {"number": 9}, {"kind": "goodwill"}])
def test_r904_the_database_refuses_to_change_what_a_credit_is(change: dict[str, object]) -> None:
    credit = ready.credit(stage.contract())
    with pytest.raises(DatabaseError, match="A credit keeps its amount"), transaction.atomic():
        Credit.objects.filter(pk=credit.pk).update(**change)


def test_r1308_nothing_leaves_its_batch() -> None:
    credit = ready.credit(stage.contract())
    close()
    other = paid.batch(NOVEMBER)
    for change in ({"batch": other}, {"batch": None, "state": CreditState.APPROVED}):
        with pytest.raises(DatabaseError, match="the batch that took it"), transaction.atomic():
            Credit.objects.filter(pk=credit.pk).update(**change)


def test_a_closed_month_stays_closed() -> None:
    batch = close()
    with pytest.raises(TypeError, match="A closed month stays closed"):
        batch.delete()
    if connection.vendor == "postgresql":
        with pytest.raises(DatabaseError, match="A closed month stays closed"), transaction.atomic():
            Batch.objects.filter(pk=batch.pk)._raw_delete("default")
