"""What people text back, through the signed webhook: STOP, START, HELP and the rest (S19, S22)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from twilio.request_validator import RequestValidator

from notifications import optouts, retention, subscriptions, suppression
from notifications.choices import Choice
from notifications.enums import Channel, Fate, Silence
from notifications.models import Announcement, Brand, Delivery, Receipt, SignUp, Subscriber
from tests.notifications.carrier import TOKEN, Carrier
from tests.notifications.test_keywords import HELP, START, STOP
from tests.notifications.texting import ANN, BOB, TEXTS, phone, post, received, reply, rows, text, told, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("carrier", "brand")]
CONFIRMED = "Northwind: you get no more texts from us. Reply START to get them again."
BACK = "Northwind: you get our status updates. Reply STOP to end, HELP for help."
HELPED = "Northwind status updates, as often as something breaks. Help: support@northwind.example. Reply STOP to end."


class TestStop:
    def test_ends_everything_for_the_number_before_the_next_text(self, carrier: Carrier, settings: Settings) -> None:
        settings.TWILIO = settings.TWILIO | {"whatsapp_from": "+15005550007"}
        ann, by_whatsapp, bob = phone(ANN), phone(ANN, Channel.WHATSAPP), phone(BOB)
        told()
        assert text("Stop") == CONFIRMED
        work()
        assert [kept.to for kept in carrier.kept] == [BOB]
        for person in (ann, by_whatsapp, bob):
            person.refresh_from_db()
        assert [person.is_active for person in (ann, by_whatsapp, bob)] == [False, False, True]
        gone = {row.subscriber_id: (row.fate, row.reason) for row in Delivery.objects.exclude(subscriber=bob)}
        stopped = (Fate.SUPPRESSED, "Answered STOP")
        assert gone == {ann.pk: stopped, by_whatsapp.pk: stopped}

    def test_is_heard_from_whatsapp_too(self) -> None:
        ann = phone(ANN)
        assert text("stop", f"whatsapp:{ANN}") == CONFIRMED
        ann.refresh_from_db()
        assert (ann.is_active, suppression.stopped(ANN)) == (False, True)

    def test_is_confirmed_once_however_often_it_is_said(self) -> None:
        phone(ANN)
        assert [text(words) for words in ("STOP", "stop!!", "unsubscribe")] == [CONFIRMED, None, None]

    def test_is_heard_from_numbers_we_never_texted(self) -> None:
        assert text("STOP", BOB) == CONFIRMED
        assert suppression.stopped(BOB)

    def test_stops_what_a_worker_already_holds(self) -> None:
        phone(ANN)
        told()
        Delivery.objects.update(fate=Fate.LEASED, fence=4, lease_until=timezone.now() + timedelta(seconds=30))
        text("STOP")
        row = Delivery.objects.get()
        assert (row.fate, row.fence, row.lease_until) == (Fate.SUPPRESSED, 5, None)

    def test_what_has_left_stays_what_it_was(self, carrier: Carrier) -> None:
        phone(ANN)
        told()
        work()
        text("STOP")
        assert rows() == {ANN: (Fate.ACCEPTED, "")}

    def test_a_sign_up_that_waits_is_forgotten(self) -> None:
        SignUp.objects.create(channel=Channel.SMS, address=ANN, choice={}, asked_at=timezone.now())
        text("STOP")
        assert not SignUp.objects.exists()

    def test_the_web_alone_does_not_bring_the_number_back(self) -> None:
        """S19: a code that was texted before does not count any more either."""
        ann = phone(ANN)
        text("STOP")
        at = timezone.now()
        subscriptions.subscribe(ANN, Choice(), channel=Channel.SMS, at=at)
        with pytest.raises(subscriptions.NotAllowed):
            subscriptions.confirm(ann, at=at)
        ann.refresh_from_db()
        assert ann.is_active is False
        assert not Delivery.objects.exists()


@pytest.mark.parametrize("word", STOP)
def test_every_common_spelling_of_stop_stops(word: str) -> None:
    ann = phone(ANN)
    assert text(f" {word.upper()}. ") == CONFIRMED
    ann.refresh_from_db()
    assert ann.is_active is False


class TestStart:
    @pytest.mark.parametrize("word", START)
    def test_brings_the_subscription_back_as_it_was(self, word: str) -> None:
        ann = phone(ANN, all_topics=False, least_rank=2)
        text("STOP")
        assert text(word) == BACK
        ann.refresh_from_db()
        assert (ann.is_active, ann.all_topics, ann.least_rank) == (True, False, 2)
        assert ann.consent_source == "START from the phone itself"
        assert not suppression.stopped(ANN)

    def test_does_not_bring_news_of_before(self, carrier: Carrier) -> None:
        phone(ANN)
        with time_machine.travel(timezone.now() - timedelta(minutes=10), tick=False):
            told(lane="before")
            text("STOP")
            text("START")
        assert work() == 0
        told(lane="after")
        assert work() == 1
        assert [row.fate for row in Delivery.objects.order_by("pk")] == [Fate.SUPPRESSED, Fate.ACCEPTED]

    def test_on_one_channel_is_not_said_for_the_other(self) -> None:
        phone(ANN), phone(ANN, Channel.WHATSAPP)
        text("STOP")
        text("START", f"whatsapp:{ANN}")
        active = Subscriber.objects.active().values_list("channel", flat=True)
        assert list(active) == [Channel.WHATSAPP]

    @pytest.mark.parametrize("confirmed", [True, False])
    def test_who_has_no_subscription_is_told_how_to_get_one(self, confirmed: bool) -> None:
        if not confirmed:
            phone(ANN, confirmed_at=None)
        assert text("START") == "Northwind: you are not subscribed. Sign up at http://127.0.0.1:8000/subscribe"
        assert not Subscriber.objects.active().exists()

    def test_ends_what_a_carrier_told_us(self) -> None:
        ann = phone(ANN, bounced_at=timezone.now())
        suppression.add(Channel.SMS, ANN, Silence.STOPPED, at=timezone.now())
        assert text("UNSTOP") == BACK
        ann.refresh_from_db()
        assert ann.is_active


class TestHelp:
    @pytest.mark.parametrize("word", HELP)
    def test_says_who_we_are_and_who_helps(self, word: str) -> None:
        phone(ANN)
        assert text(word) == HELPED

    def test_speaks_for_the_brand_of_the_last_text(self, carrier: Carrier) -> None:
        other = Brand.objects.create(
            slug="south", name="Southwind", sender_email="s@s.example", support_email="h@s.example"
        )
        phone(ANN)
        told()
        work()
        Announcement.objects.update(brand=other)
        assert text("HELP") == (
            "Southwind status updates, as often as something breaks. Help: h@s.example. Reply STOP to end."
        )

    def test_after_stop_says_how_to_come_back(self) -> None:
        text("STOP")
        assert text("HELP") == HELPED.replace("Reply STOP to end", "Reply START to get texts")

    def test_before_there_is_a_brand_somebody_answers(self) -> None:
        Brand.objects.all().delete()
        assert text("HELP") == "Status updates status updates, as often as something breaks. Reply STOP to end."


class TestReplies:
    def test_end_after_five_a_day_so_that_no_machines_talk_for_ever(self) -> None:
        noon = timezone.now()
        with time_machine.travel(noon, tick=False):
            assert [text("HELP") for _ in range(7)] == [HELPED] * 5 + [None] * 2
            assert text("HELP", BOB) == HELPED
        with time_machine.travel(noon + timedelta(days=1), tick=False):
            assert text("HELP") == HELPED

    def test_beyond_five_stop_still_stops(self) -> None:
        ann = phone(ANN)
        for _ in range(5):
            text("HELP")
        assert text("STOP") is None
        ann.refresh_from_db()
        assert ann.is_active is False

    def test_are_left_to_twilio_where_it_answers_itself(self, settings: Settings) -> None:
        settings.TWILIO = settings.TWILIO | {"answers_keywords": True}
        assert [text("STOP"), text("START"), text("HELP")] == [None, None, None]
        text("STOP")
        assert suppression.stopped(ANN)

    def test_are_left_to_twilio_where_it_says_so(self) -> None:
        assert text("STOP", OptOutType="STOP") is None
        assert suppression.stopped(ANN)

    @pytest.mark.parametrize(
        ("words", "word"),
        [("Thanks!", "text"), ("when is it over?", "text"), ("", "text"), ("please stop texting me", "leaving?")],
    )
    def test_anything_else_is_noted_for_a_person_and_not_answered(
        self, carrier: Carrier, words: str, word: str
    ) -> None:
        phone(ANN)
        told()
        work()
        assert text(words) is None
        note = Receipt.objects.get(source="twilio-in")
        assert (note.word, note.detail, note.delivery) == (word, words, Delivery.objects.get())
        assert Subscriber.objects.active().exists()

    def test_their_words_are_forgotten_after_ninety_days(self) -> None:
        text("Thanks!")
        retention.forget(at=timezone.now() + timedelta(days=89))
        assert Receipt.objects.get().detail == "Thanks!"
        retention.forget(at=timezone.now() + timedelta(days=91))
        assert Receipt.objects.get().detail == ""

    def test_a_long_text_is_noted_as_far_as_there_is_room(self) -> None:
        text("ä\0🔥" * 800)
        assert Receipt.objects.get().detail == "ä🔥" * 150

    @pytest.mark.parametrize("sender", ["55555", "NORTHWIND", "", "+", "whatsapp:", "messenger:123"])
    def test_short_codes_and_names_are_not_answered(self, sender: str) -> None:
        assert text("STOP", sender) is None
        assert not Receipt.objects.exists()


class TestForgery:
    """S22: nothing without Twilio's signature has any effect."""

    @pytest.mark.parametrize(
        "forge",
        [
            lambda form: post(TEXTS, form, token="another token"),
            lambda form: post(TEXTS, form, token=""),
            lambda form: post(TEXTS, form, **{"X-Twilio-Signature": ""}),
            lambda form: Client().post(TEXTS, form),
            lambda form: Client().post(TEXTS, form, headers={"X-Twilio-Signature": _signed(form, "/elsewhere")}),
            lambda form: Client().post(
                TEXTS, form | {"Body": "START"}, headers={"X-Twilio-Signature": _signed(form, TEXTS)}
            ),
            lambda form: Client().post(
                TEXTS, form | {"More": "1"}, headers={"X-Twilio-Signature": _signed(form, TEXTS)}
            ),
            lambda form: post(TEXTS, form | {"AccountSid": "AC" + "6" * 32}),
        ],
    )
    def test_is_refused(self, forge: Callable[[dict[str, str]], HttpResponse]) -> None:
        ann = phone(ANN)
        assert forge(received("STOP")).status_code == 403
        ann.refresh_from_db()
        assert (ann.is_active, Receipt.objects.exists()) == (True, False)

    def test_without_a_token_nobody_can_sign(self, settings: Settings) -> None:
        settings.TWILIO = settings.TWILIO | {"auth_token": ""}
        assert post(TEXTS, received("STOP"), token="").status_code == 404

    def test_the_host_of_a_request_proves_nothing(self) -> None:
        form = received("STOP")
        signature = RequestValidator(TOKEN).compute_signature(f"http://testserver{TEXTS}", form)
        response = Client().post(TEXTS, form, headers={"X-Twilio-Signature": signature})
        assert response.status_code == 403

    def test_a_replay_gets_the_same_words_and_changes_nothing(self) -> None:
        ann = phone(ANN)
        stop = received("STOP")
        assert reply(post(TEXTS, stop)) == CONFIRMED
        assert text("START") == BACK
        assert reply(post(TEXTS, stop)) == CONFIRMED
        ann.refresh_from_db()
        assert (ann.is_active, Receipt.objects.count()) == (True, 2)

    def test_a_body_larger_than_any_text_is_not_read(self) -> None:
        response = post(TEXTS, received("x" * 20_000))
        assert response.status_code == 413

    @pytest.mark.parametrize("length", ["-1", "many", "9" * 5_000])
    def test_a_length_that_is_none_is_refused(self, length: str) -> None:
        assert Client().post(TEXTS, received("STOP"), CONTENT_LENGTH=length).status_code == 413

    def test_nothing_is_done_by_looking(self) -> None:
        assert Client().get(TEXTS).status_code == 405


def _signed(form: dict[str, str], path: str) -> str:
    return str(RequestValidator(TOKEN).compute_signature(f"http://127.0.0.1:8000{path}", form))


def test_two_at_once_are_one_stop() -> None:
    at = timezone.now()
    assert [optouts.stop(ANN, at=at), optouts.stop(ANN, at=at)] == [True, False]
