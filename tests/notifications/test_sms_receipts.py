"""What Twilio tells us of a text afterwards: twice, late, out of order, forged, before our own commit (R-806, S22)."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from notifications import delivery, queue, suppression
from notifications.channels.twilio_codes import CODES, Fault
from notifications.enums import Channel, Fate, Pool
from notifications.models import Delivery, Receipt, Subscriber
from tests.notifications.carrier import ACCOUNT, TAKE, Act, Carrier
from tests.notifications.texting import ANN, SID, call, path, phone, post, told, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("brand")]


def told_ann(carrier: Carrier, act: Act = TAKE) -> Delivery:
    """One text to Ann, with what the carrier did about it."""
    phone(ANN)
    carrier.say = lambda _: act
    told()
    work()
    return Delivery.objects.get()


def fate(row: Delivery) -> tuple[str, str]:
    row.refresh_from_db()
    return row.fate, row.reason


def test_twilio_calls_the_address_it_was_given(carrier: Carrier) -> None:
    row = told_ann(carrier)
    assert carrier.kept[0].callback == f"http://127.0.0.1:8000{path(row)}"


@pytest.mark.parametrize(
    ("status", "code", "then"),
    [
        ("queued", 0, (Fate.ACCEPTED, "")),
        ("sent", 0, (Fate.ACCEPTED, "")),
        ("delivered", 0, (Fate.DELIVERED, "")),
        ("read", 0, (Fate.DELIVERED, "")),
        ("undelivered", 30003, (Fate.DEAD, "30003 The phone is off or out of reach.")),
        ("undelivered", 30005, (Fate.BOUNCED, "30005 The carrier does not know the number.")),
        ("undelivered", 30007, (Fate.DEAD, "30007 The carrier took it for spam.")),
        ("failed", 30034, (Fate.DEAD, "30034 Our number is not registered with US carriers (A2P 10DLC).")),
        ("failed", 39999, (Fate.DEAD, "39999 Twilio failed it.")),
        ("undelivered", 0, (Fate.DEAD, "undelivered")),
        ("canceled", 0, (Fate.DEAD, "canceled")),
        ("something-new", 0, (Fate.ACCEPTED, "")),
    ],
)
def test_what_became_of_a_text_is_written_on_its_row(
    carrier: Carrier, status: str, code: int, then: tuple[str, str]
) -> None:
    row = told_ann(carrier)
    assert call(row, status.replace("-", ""), code).status_code == 204
    assert fate(row) == then


def test_a_number_that_does_not_exist_gets_no_more_texts(carrier: Carrier) -> None:
    row = told_ann(carrier)
    call(row, "undelivered", 30006)
    assert not Subscriber.objects.active().exists()
    assert suppression.holds(Channel.SMS, ANN)


def test_a_phone_that_is_off_gets_the_next_one(carrier: Carrier) -> None:
    row = told_ann(carrier)
    call(row, "undelivered", 30003)
    assert Subscriber.objects.active().exists()


def test_who_said_stop_to_twilio_said_it_to_us(carrier: Carrier) -> None:
    row = told_ann(carrier)
    call(row, "failed", 21610)
    assert fate(row) == (Fate.BOUNCED, "21610 They answered STOP.")
    assert suppression.stopped(ANN)


def test_every_order_ends_the_same(carrier: Carrier) -> None:
    """Never backwards: whatever comes after the last word, or before the ones in between."""
    for statuses in permutations(["queued", "sent", "delivered"]):
        Delivery.objects.all().delete(), Subscriber.objects.all().delete(), Receipt.objects.all().delete()
        row = told_ann_again(carrier)
        for status in statuses:
            call(row, status)
        assert fate(row) == (Fate.DELIVERED, "")
        assert Receipt.objects.filter(delivery=row).count() == 3


def told_ann_again(carrier: Carrier) -> Delivery:
    phone(ANN)
    told(lane=f"lane {timezone.now().timestamp()}")
    work()
    return Delivery.objects.get()


@pytest.mark.parametrize(
    ("first", "then"), [("delivered", "undelivered"), ("undelivered", "delivered"), ("failed", "sent")]
)
def test_the_last_word_stays_the_last(carrier: Carrier, first: str, then: str) -> None:
    row = told_ann(carrier)
    call(row, first, 30003 if first != "delivered" else 0)
    before = fate(row)
    call(row, then, 30005 if then == "undelivered" else 0)
    assert fate(row) == before
    assert Subscriber.objects.active().exists()


def test_a_word_that_comes_twice_is_heard_once(carrier: Carrier) -> None:
    row = told_ann(carrier)
    call(row, "delivered")
    row.refresh_from_db()
    settled = row.settled_at
    for _ in range(3):
        assert call(row, "delivered").status_code == 204
    row.refresh_from_db()
    assert (row.settled_at, Receipt.objects.count()) == (settled, 1)


class TestBeforeOurOwnCommit:
    """Twilio is quick: it may call while the worker has not written down yet that the text left."""

    def sending(self, carrier: Carrier) -> tuple[queue.Item, Delivery]:
        phone(ANN)
        told()
        (claimed,) = queue.claim(Pool.TEXTS, 1)
        assert queue.turn([], [claimed]) == {claimed.id}
        return claimed, Delivery.objects.get()

    @pytest.mark.parametrize(
        ("status", "code", "then"),
        [
            ("sent", 0, Fate.ACCEPTED),
            ("delivered", 0, Fate.DELIVERED),
            ("undelivered", 30003, Fate.DEAD),
            ("undelivered", 30005, Fate.BOUNCED),
        ],
    )
    def test_neither_wins_over_the_other(self, carrier: Carrier, status: str, code: int, then: str) -> None:
        claimed, row = self.sending(carrier)
        call(row, status, code)
        queue.settle(claimed, Fate.ACCEPTED, receipt=SID)
        assert fate(row)[0] == then

    def test_a_worker_that_dies_then_leaves_no_doubt(self, carrier: Carrier) -> None:
        _, row = self.sending(carrier)
        call(row, "delivered")
        Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        delivery.sweep()
        assert fate(row)[0] == Fate.DELIVERED


class TestDoubt:
    """A row that nobody knew the end of (F05)."""

    @pytest.mark.parametrize(
        ("status", "code", "then"),
        [
            ("queued", 0, (Fate.ACCEPTED, "")),
            ("delivered", 0, (Fate.DELIVERED, "")),
            ("undelivered", 30003, (Fate.DEAD, "30003 The phone is off or out of reach.")),
        ],
    )
    def test_ends_with_the_first_word(self, carrier: Carrier, status: str, code: int, then: tuple[str, str]) -> None:
        row = told_ann(carrier, Act(status=0))
        assert fate(row)[0] == Fate.UNCERTAIN
        call(row, status, code, sid=carrier.kept[0].sid)
        assert fate(row) == then
        assert row.receipt == (carrier.kept[0].sid if not code else "")

    def test_a_copy_sent_on_a_persons_word_is_not_ended_by_the_first(self, carrier: Carrier) -> None:
        row = told_ann(carrier, Act(status=0))
        fence = row.fence
        delivery.send_again(
            Delivery.objects.filter(pk=row.pk), by=User.objects.create(username="ann"), at=timezone.now()
        )
        carrier.say = lambda _: TAKE
        work()
        assert fate(row)[0] == Fate.ACCEPTED
        call(row, "undelivered", 30005, sid=carrier.kept[0].sid, fence=fence)
        assert fate(row)[0] == Fate.ACCEPTED
        assert Subscriber.objects.active().exists()

    def test_a_copy_that_waits_is_not_sent_when_the_first_did_leave(self, carrier: Carrier) -> None:
        """Asked, Twilio did not know it yet; then it calls (``reconcile``)."""
        row = told_ann(carrier, Act(status=0))
        fence = row.fence
        Delivery.objects.update(fate=Fate.PENDING, fence=fence + 1, next_at=timezone.now() - timedelta(seconds=1))
        call(row, "sent", sid=carrier.kept[0].sid, fence=fence)
        assert fate(row)[0] == Fate.ACCEPTED
        work()
        assert len(carrier.asked) == 1

    def test_nor_where_a_person_wanted_it_once_more(self, carrier: Carrier) -> None:
        """Nobody is told twice: the callback of the first came in between (F05)."""
        row = told_ann(carrier, Act(status=0))
        fence = row.fence
        delivery.send_again(Delivery.objects.all(), by=User.objects.create(username="ann"), at=timezone.now())
        call(row, "delivered", sid=carrier.kept[0].sid, fence=fence)
        assert fate(row)[0] == Fate.ACCEPTED
        work()
        assert len(carrier.asked) == 1


class TestForgery:
    def test_another_signature_is_refused(self, carrier: Carrier) -> None:
        row = told_ann(carrier)
        assert call(row, "undelivered", 30005, token="another").status_code == 403
        assert (fate(row)[0], Receipt.objects.exists()) == (Fate.ACCEPTED, False)

    def test_a_name_that_we_did_not_make_is_nobodys(self, carrier: Carrier) -> None:
        row = told_ann(carrier)
        forged = path(row).replace(f"/{row.pk}.", f"/{row.pk + 1}.")
        form = {"MessageSid": SID, "MessageStatus": "delivered", "AccountSid": ACCOUNT}
        assert post(forged, form).status_code == 404
        assert not Receipt.objects.exists()

    @pytest.mark.parametrize(
        "bad", [{"MessageSid": ""}, {"MessageSid": "S M"}, {"MessageStatus": ""}, {"MessageSid": "x" * 65}]
    )
    def test_what_is_not_a_status_is_refused(self, carrier: Carrier, bad: dict[str, str]) -> None:
        row = told_ann(carrier)
        form = {"MessageSid": SID, "MessageStatus": "delivered", "AccountSid": ACCOUNT} | bad
        assert post(path(row), form).status_code == 400
        assert fate(row)[0] == Fate.ACCEPTED

    def test_an_error_code_that_is_none_is_no_code(self, carrier: Carrier) -> None:
        row = told_ann(carrier)
        form = {"MessageSid": row.receipt, "MessageStatus": "failed", "AccountSid": ACCOUNT, "ErrorCode": "30x"}
        assert post(path(row), form).status_code == 204
        assert fate(row) == (Fate.DEAD, "failed")

    def test_a_row_that_is_gone_leaves_a_note(self, carrier: Carrier) -> None:
        row = told_ann(carrier)
        address, sid = path(row), row.receipt
        Delivery.objects.all().delete()
        form = {"MessageSid": sid, "MessageStatus": "delivered", "AccountSid": ACCOUNT}
        assert post(address, form).status_code == 204
        assert (Receipt.objects.get().delivery, Receipt.objects.get().word) == (None, "delivered")

    def test_before_twilio_is_set_up_there_is_nothing_here(self, settings: Settings) -> None:
        settings.TWILIO = settings.TWILIO | {"account_sid": "", "auth_token": ""}
        assert Client().post("/hooks/twilio/status/1.1:x").status_code == 404
        assert Client().post("/hooks/twilio/texts").status_code == 404


def test_a_carrier_that_bounces_everybody_punishes_nobody(carrier: Carrier) -> None:
    """F04: thirty numbers that "do not exist" within minutes are one broken carrier."""
    for number in range(30):
        phone(f"+121255503{number:02}")
    told()
    work()
    for row in Delivery.objects.all():
        call(row, "undelivered", 30005)
    assert Subscriber.objects.active().count() == 30
    assert set(Delivery.objects.values_list("fate", flat=True)) == {Fate.UNCERTAIN}


def test_every_code_has_a_fault_and_words_that_end_well() -> None:
    for code, (fault, words) in CODES.items():
        assert 10_000 <= code <= 99_999
        assert isinstance(fault, Fault)
        assert words[0].isupper()
        assert words[-1] != "."
