"""Texts that nobody knows the end of: Twilio is asked, and only what it knows is acted on (F05)."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from notifications import audit, outbox, reconcile, states
from notifications.enums import Channel, Fate, Pool
from notifications.models import Delivery, Receipt, Subscriber
from notifications.tasks import reconcile_texts
from tests import scene
from tests.notifications.carrier import TAKE, Act, Carrier, Text, refuse
from tests.notifications.texting import ANN, BOB, call, hasten, phone, rows, told, work

pytestmark = pytest.mark.django_db
TAKEN_UNANSWERED, LOST = Act(status=0), refuse(500)


def doubt(carrier: Carrier, act: Act, number: str = ANN, **changes: object) -> Delivery:
    """A text to a phone, and nobody knows whether it left."""
    phone(number)
    carrier.say = lambda _: act
    told(**changes)
    work()
    carrier.say = lambda _: TAKE
    row = Delivery.objects.latest("pk")
    assert row.fate == Fate.UNCERTAIN
    return row


def ask(minutes: float = 0) -> int:
    return reconcile.run(at=timezone.now() + timedelta(minutes=minutes))


def test_nobody_hears_that_it_is_over_while_nobody_knows_whether_they_heard_that_it_began(carrier: Carrier) -> None:
    """F12: "resolved" waits for the doubt; Twilio never had the first, so both end (saves money, too)."""
    row = doubt(carrier, LOST)
    told("Investigating", "Resolved")
    for _ in range(2):
        work()
    assert (len(carrier.kept), Delivery.objects.latest("pk").fate) == (0, Fate.BLOCKED)
    assert audit.audit(timezone.now() + timedelta(minutes=5)).wrong == []
    assert ask() == 0
    assert ask(10) == 1
    work()
    row.refresh_from_db()
    last = Delivery.objects.latest("pk")
    assert (row.fate, row.reason) == (Fate.SUPPRESSED, "Overtaken by a newer update; it never left.")
    assert (last.fate, last.reason) == (Fate.SUPPRESSED, "It was over before the first one left.")
    assert carrier.kept == []


def test_the_end_follows_the_beginning_as_soon_as_twilio_is_found_to_have_it(carrier: Carrier) -> None:
    doubt(carrier, TAKEN_UNANSWERED)
    told("Investigating", "Resolved")
    work()
    assert ask() == 1
    work()
    assert Counter(Delivery.objects.values_list("fate", flat=True)) == {Fate.ACCEPTED: 2}


def test_a_doubt_that_nobody_can_end_holds_the_next_back_for_a_while_only(carrier: Carrier) -> None:
    """F12: about ten minutes."""
    doubt(carrier, TAKEN_UNANSWERED)
    told("Investigating", "Identified")
    work()
    assert len(carrier.kept) == 1
    Delivery.objects.filter(fate=Fate.UNCERTAIN).update(settled_at=timezone.now() - timedelta(minutes=13))
    work()
    assert len(carrier.kept) == 2


@pytest.mark.parametrize(
    ("status", "code", "then"),
    [
        ("queued", None, (Fate.ACCEPTED, "")),
        ("sent", None, (Fate.ACCEPTED, "")),
        ("delivered", None, (Fate.DELIVERED, "")),
        ("undelivered", 30003, (Fate.DEAD, "30003 The phone is off or out of reach.")),
        ("undelivered", 30005, (Fate.BOUNCED, "30005 The carrier does not know the number.")),
    ],
)
def test_a_text_that_twilio_has_is_what_twilio_says(
    carrier: Carrier, status: str, code: int | None, then: tuple[str, str]
) -> None:
    row = doubt(carrier, TAKEN_UNANSWERED)
    carrier.kept[0].status, carrier.kept[0].error_code = status, code
    assert ask() == 1
    row.refresh_from_db()
    assert (row.fate, row.reason) == then
    if not code:
        assert row.receipt == carrier.kept[0].sid
    assert carrier.texts() == Counter([ANN])


def test_a_text_that_twilio_does_not_have_is_not_sent_again_at_once(carrier: Carrier) -> None:
    doubt(carrier, LOST)
    assert ask() == 0
    assert ask(9) == 0
    assert rows()[ANN][0] == Fate.UNCERTAIN
    assert len(carrier.looked) == 1, "It is asked again after ten minutes, not all the time."


def test_asked_again_after_ten_minutes_it_never_left_and_is_sent_once_more(carrier: Carrier) -> None:
    doubt(carrier, LOST)
    ask()
    assert ask(11) == 1
    assert rows()[ANN] == (Fate.PENDING, "It never left: Twilio does not have it.")
    hasten()
    assert work() == 1
    assert carrier.texts() == Counter([ANN])
    assert rows()[ANN] == (Fate.ACCEPTED, "")


def test_it_is_sent_once_more_and_no_more(carrier: Carrier) -> None:
    doubt(carrier, LOST)
    ask(11)
    hasten()
    carrier.say = lambda _: LOST
    work()
    assert rows()[ANN][0] == Fate.UNCERTAIN
    assert ask(22) == 0
    assert ask(33) == 0
    assert rows()[ANN][0] == Fate.UNCERTAIN
    assert len(carrier.asked) == 2


def test_a_text_that_turns_up_before_the_second_look_is_not_repeated(carrier: Carrier) -> None:
    row = doubt(carrier, LOST)
    ask()
    late = Text("SM" + "9" * 32, ANN, "Northwind: Card payments fail\nReply STOP to end", "+15005550006", "", {})
    carrier.kept.append(late)
    assert ask(11) == 1
    row.refresh_from_db()
    assert (row.fate, row.receipt) == (Fate.ACCEPTED, late.sid)


def test_after_an_hour_a_person_decides(carrier: Carrier) -> None:
    doubt(carrier, LOST)
    assert ask(61) == 0
    assert (rows()[ANN][0], carrier.looked) == (Fate.UNCERTAIN, [])


def test_another_text_to_the_same_phone_is_not_taken_for_it(carrier: Carrier) -> None:
    """By its words, by its time, and by whose it is already."""
    row = doubt(carrier, LOST)
    for body, age in (("Northwind: Something else", 0), ("Northwind: Card payments fail\nReply STOP to end", 3_600)):
        text = Text(f"SM{age:032x}", ANN, body, "+15005550006", "", {})
        text.at -= age
        carrier.kept.append(text)
    letter = outbox.Letter("Code", (), sms="123456")
    outbox.write_to(
        [BOB], letter, subject="Code", brand=scene.brand(), lane="code", at=timezone.now(), channel=Channel.SMS
    )
    other = Delivery.objects.get(address=BOB)
    other.fate, other.receipt = Fate.ACCEPTED, "SM" + "8" * 32
    other.save()
    carrier.kept.append(
        Text(other.receipt, ANN, "Northwind: Card payments fail\nReply STOP to end", "+15005550006", "", {})
    )
    assert ask() == 0
    row.refresh_from_db()
    assert row.fate == Fate.UNCERTAIN


def test_two_doubts_with_the_same_words_find_each_their_own(carrier: Carrier) -> None:
    phone(ANN)
    carrier.say = lambda _: TAKEN_UNANSWERED
    told(lane="one"), told(lane="two")
    work()
    assert ask() == 2
    assert sorted(Delivery.objects.values_list("receipt", flat=True)) == sorted(text.sid for text in carrier.kept)


def test_a_trial_accounts_preface_makes_no_difference(carrier: Carrier) -> None:
    doubt(carrier, TAKEN_UNANSWERED)
    carrier.kept[0].body = "Sent from your Twilio trial account - " + carrier.kept[0].body
    assert ask() == 1


def test_it_is_found_behind_many_others(carrier: Carrier) -> None:
    doubt(carrier, TAKEN_UNANSWERED)
    mine = carrier.kept[0]
    carrier.kept += [Text(f"SM{n:032x}", ANN, "Another", "+15005550006", "", {}) for n in range(1, 250)]
    assert ask() == 1
    assert Delivery.objects.get().receipt == mine.sid
    assert len(carrier.looked) == 3


def test_whatsapp_is_asked_about_by_its_own_address(carrier: Carrier, settings: Settings) -> None:
    settings.TWILIO = settings.TWILIO | {"whatsapp_from": "+15005550007", "whatsapp_template": "HX" + "2" * 32}
    phone(ANN, Channel.WHATSAPP)
    carrier.say = lambda _: TAKEN_UNANSWERED
    told()
    work(Pool.WHATSAPP)
    # Twilio keeps the words as the template put them.
    carrier.kept[0].body = "Status update: Northwind: Card payments fail Reply STOP to end. Thank you."
    assert ask() == 1
    assert carrier.looked[0]["To"] == f"whatsapp:{ANN}"
    assert Delivery.objects.get().fate == Fate.ACCEPTED


def test_what_was_told_more_since_is_not_sent_again(carrier: Carrier) -> None:
    row = doubt(carrier, LOST)
    told("Investigating", "Identified")
    assert ask(11) == 1
    row.refresh_from_db()
    assert (row.fate, row.reason) == (Fate.SUPPRESSED, "Overtaken by a newer update; it never left.")


def test_a_word_that_was_called_in_too_early_is_asked_for_again(carrier: Carrier) -> None:
    """Twilio said "sent" while the worker still held the row; then the worker died."""
    row = doubt(carrier, TAKEN_UNANSWERED)
    Delivery.objects.update(fate=Fate.SENDING)
    call(row, "sent", sid=carrier.kept[0].sid)
    Delivery.objects.update(fate=Fate.UNCERTAIN)
    assert ask() == 1
    row.refresh_from_db()
    assert row.fate == Fate.ACCEPTED
    assert Receipt.objects.filter(delivery=row).count() == 2


def test_who_was_erased_meanwhile_is_not_asked_about(carrier: Carrier) -> None:
    """And is not texted again either: nobody looked for it, so nobody knows that it never left."""
    row = doubt(carrier, LOST)
    Subscriber.objects.update(address="erased-1", erased_at=timezone.now())
    assert (ask(11), ask(12)) == (0, 0)
    row.refresh_from_db()
    assert (row.fate, carrier.looked) == (Fate.UNCERTAIN, [])


def test_a_bounce_that_is_not_believed_is_asked_about_once(carrier: Carrier) -> None:
    row = doubt(carrier, TAKEN_UNANSWERED)
    carrier.kept[0].status, carrier.kept[0].error_code = "undelivered", 30005
    call(row, "undelivered", 30005, sid=carrier.kept[0].sid)
    Delivery.objects.update(fate=Fate.UNCERTAIN)
    ask(), ask(1), ask(2)
    row.refresh_from_db()
    assert (row.fate, len(carrier.looked)) == (Fate.UNCERTAIN, 1)


class TestTwilioIsAway:
    def test_nothing_changes_and_it_is_tried_again(self, carrier: Carrier, caplog: pytest.LogCaptureFixture) -> None:
        for number in range(6):
            doubt(carrier, LOST, f"+121255504{number:02}", lane=f"lane {number}")
            Delivery.objects.exclude(fate=Fate.UNCERTAIN).delete()
            # Five failures in a row give Twilio a rest; these are of different days.
            states.well(Channel.SMS)
        doubts = Delivery.objects.filter(fate=Fate.UNCERTAIN).count()
        carrier.list_status = 503
        caplog.clear()
        with caplog.at_level(logging.WARNING, "notifications.reconcile"):
            assert ask() == 0
        assert Delivery.objects.filter(fate=Fate.UNCERTAIN).count() == doubts
        assert (len(caplog.records), len(carrier.looked)) == (3, 3)
        carrier.list_status = 200
        assert ask(12) == doubts

    def test_off_means_nobody_is_asked(self, carrier: Carrier, settings: Settings) -> None:
        doubt(carrier, LOST)
        settings.SMS_PROVIDER = "sns"
        settings.SNS = settings.SNS | {"region": "eu-west-1"}
        assert ask(11) == 0
        assert (rows()[ANN][0], carrier.looked) == (Fate.UNCERTAIN, [])


def test_mail_in_doubt_is_not_its_business(carrier: Carrier) -> None:
    doubt(carrier, LOST)
    Delivery.objects.update(channel=Channel.EMAIL)
    assert ask(11) == 0
    assert carrier.looked == []


def test_the_beat_asks(carrier: Carrier) -> None:
    doubt(carrier, TAKEN_UNANSWERED)
    reconcile_texts()
    assert rows()[ANN] == (Fate.ACCEPTED, "")
