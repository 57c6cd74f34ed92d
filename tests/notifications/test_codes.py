"""Codes of six digits: five tries, ten minutes, one use, one at a time (S18, S19)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from notifications import codes
from notifications.enums import PHONES, Channel
from notifications.models import Code, Tally
from tests.notifications.test_erasure import everywhere

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ADA, ANN = "ada@x.example", "+12125550101"


def make(at: datetime = NOON) -> str:
    return codes.make(Channel.SMS, ANN, codes.MANAGE, at=at)


def right(code: str, *, at: datetime = NOON, purpose: str = codes.MANAGE, number: str = ANN) -> bool:
    return codes.check(Channel.SMS, number, purpose, code, at=at)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_a_code_is_good_once() -> None:
    code = make()
    assert (len(code), code.isdigit()) == (6, True)
    assert [right(code), right(code)] == [True, False]


def test_five_tries_and_no_more() -> None:
    code = make()
    assert [right(wrong(code)) for _ in range(4)] == [False] * 4
    assert right(code)
    code = make()
    assert [right(wrong(code)) for _ in range(5)] == [False] * 5
    assert not right(code)


def test_ten_minutes_and_no_longer() -> None:
    code = make()
    assert not right(code, at=NOON + codes.LIFE)
    assert right(code, at=NOON + codes.LIFE - SECOND)


def test_a_new_code_makes_the_old_one_void_and_brings_new_tries() -> None:
    old = make()
    for _ in range(codes.TRIES):
        right(wrong(old))
    new = make(NOON + SECOND)
    assert (right(old), right(new)) == (old == new, True)
    assert Code.objects.count() == 1


def test_a_code_opens_one_door_of_one_address() -> None:
    code = make()
    assert not right(code, purpose=codes.CONFIRM)
    assert not right(code, number="+12125550102")
    assert not codes.check(Channel.WHATSAPP, ANN, codes.MANAGE, code, at=NOON)
    assert right(code)
    with pytest.raises(ValueError, match="No such purpose"):
        codes.make(Channel.SMS, ANN, "admin", at=NOON)


def test_capitals_of_a_mailbox_make_no_difference() -> None:
    code = codes.make(Channel.EMAIL, ADA, codes.MANAGE, at=NOON)
    assert codes.check(Channel.EMAIL, ADA.upper(), codes.MANAGE, code, at=NOON)


def test_neither_code_nor_address_can_be_read_from_the_row() -> None:
    """S18: only hashes are kept, and the same code is another hash for another address."""
    code = make()
    assert (everywhere(ANN), everywhere(code)) == ([], [])
    digests = {codes._digest(codes._key(Channel.SMS, number, codes.MANAGE), code) for number in (ANN, "+12125550102")}
    assert len(digests) == 2


def test_the_work_is_the_same_with_and_without_a_code(django_assert_num_queries: object) -> None:
    """S15: whether an address has a code is not to be seen from what is done."""
    code = make()
    for number, tried in ((ANN, wrong(code)), ("+12125550102", code), (ANN, code)):
        with django_assert_num_queries(6):  # type: ignore[operator]  # with a savepoint around
            right(tried, number=number)


@pytest.mark.django_db(transaction=True)
def test_one_commit_with_something_in_it_with_and_without_a_code() -> None:
    """S15: a commit that wrote nothing does not wait for the disk; measured, it came back sooner by a sixth."""
    code, seen = make(), []
    for number, tried in ((ANN, wrong(code)), ("+12125550102", code)):
        with CaptureQueriesContext(connection) as done:
            right(tried, number=number)
        seen.append([each["sql"].split()[0] for each in done])
        assert Tally.objects.aggregate(total=Sum("count"))["total"] == len(seen)
    assert seen[0] == seen[1] == ["BEGIN", "INSERT", "UPDATE", "SELECT", "UPDATE", "COMMIT"]


def test_codes_are_spread_over_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0, 999_999])
    monkeypatch.setattr(codes.secrets, "randbelow", lambda most: next(drawn) if most == 1_000_000 else None)
    assert [make(), make()] == ["000000", "999999"]


def test_void_and_forgotten() -> None:
    code = make()
    codes.void(Channel.SMS, [ANN])
    assert not right(code)
    make()
    assert codes.forget(at=NOON + codes.LIFE + codes.KEPT) == 0
    assert codes.forget(at=NOON + codes.LIFE + codes.KEPT + SECOND) == 1


def test_the_share_that_is_entered() -> None:
    """S19: those that are still on their way count neither way."""
    for n in range(6):
        code = codes.make(Channel.SMS, f"+1212555010{n}", codes.CONFIRM, at=NOON)
        if n < 2:
            codes.check(Channel.SMS, f"+1212555010{n}", codes.CONFIRM, code, at=NOON)
    codes.make(Channel.EMAIL, ADA, codes.MANAGE, at=NOON)
    assert codes.share(PHONES, at=NOON + SECOND) == (2, 2)
    assert codes.share(PHONES, at=NOON + codes.LIFE) == (6, 2)
    assert codes.share(PHONES, at=NOON + codes.KEPT) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_enter_it_at_once_one_is_right() -> None:
    code, answers, start = make(), [], threading.Barrier(5)

    def enter() -> None:
        try:
            start.wait(10)
            answers.append(right(code))
        finally:
            connection.close()

    crowd = [threading.Thread(target=enter) for _ in range(5)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(30)
    assert sorted(answers) == [False, False, False, False, True]


@pytest.mark.django_db(transaction=True)
def test_however_many_guess_at_once_five_are_counted() -> None:
    code, start = make(), threading.Barrier(8)

    def guess() -> None:
        try:
            start.wait(10)
            right(wrong(code))
        finally:
            connection.close()

    crowd = [threading.Thread(target=guess) for _ in range(8)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(30)
    assert (Code.objects.get().tries, right(code)) == (codes.TRIES, False)
