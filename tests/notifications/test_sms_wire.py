"""The wire to Twilio, through its own client: what every answer means, and that nothing is texted twice (F05)."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.utils import timezone
from pytest_django import Settings

from notifications import callbacks, delivery, queue, suppression
from notifications.breaker import Breaker
from notifications.channels import registry, twilio
from notifications.channels.port import Answer, Outage, Verdict
from notifications.enums import Channel, Fate, Pool
from notifications.models import Delivery, Subscriber
from notifications.outbox import Letter, write_to
from notifications.outcomes import Outcomes
from tests import scene
from tests.notifications.carrier import TAKE, TOKEN, Act, Carrier, refuse
from tests.notifications.texting import ANN, BOB, CY, hasten, item, mould, phone, rows, told, work

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue is full: connections to it are neither made nor refused."""
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        yield int(deaf.getsockname()[1])


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[int]:
    """A TLS server with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, NOON, NOON + timedelta(days=36_500))
    certificate = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    pem = tmp_path / "stranger.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def send(text: str = "Northwind: all is well", *, seconds: float = 5.0, channel: Channel = Channel.SMS) -> Answer:
    wire, words = twilio.Wire(channel), mould(text, channel)
    try:
        wire.open()
        return wire.send(item(), words.fill(item()), words, deadline=time.monotonic() + seconds)
    finally:
        wire.close()


class TestOneText:
    def test_is_handed_over_with_everything_twilio_needs(self, carrier: Carrier) -> None:
        answer = send("Northwind: “Ärger”")
        (text,) = carrier.kept
        assert answer == Answer(Verdict.ACCEPTED, receipt=text.sid)
        asked = carrier.asked[0]
        assert 3_590 <= int(asked.pop("ValidityPeriod")) <= 3_600
        assert asked == {
            "To": ANN,
            "From": "+15005550006",
            "Body": "Northwind: “Ärger”",
            "StatusCallback": callbacks.url(item()),
        }
        assert callbacks.read(text.callback.rpartition("/")[2]) == (7, 3)

    def test_goes_through_a_messaging_service_where_one_is_named(self, carrier: Carrier, settings: Settings) -> None:
        settings.TWILIO = settings.TWILIO | {"sms_from": "MG" + "1" * 32}
        send()
        assert carrier.asked[0]["MessagingServiceSid"] == "MG" + "1" * 32
        assert "From" not in carrier.asked[0]

    @pytest.mark.parametrize("sender", ["+15005550007", "whatsapp:+15005550007"])
    def test_goes_by_whatsapp_over_the_same_wire(self, carrier: Carrier, settings: Settings, sender: str) -> None:
        settings.TWILIO = settings.TWILIO | {"whatsapp_from": sender}
        assert send("It is down.", channel=Channel.WHATSAPP).verdict is Verdict.ACCEPTED
        assert carrier.asked == [
            {
                "To": f"whatsapp:{ANN}",
                "From": "whatsapp:+15005550007",
                "Body": "It is down.",
                "StatusCallback": callbacks.url(item()),
            }
        ]

    def test_is_put_into_the_template_that_whatsapp_approved(self, carrier: Carrier, settings: Settings) -> None:
        settings.TWILIO = settings.TWILIO | {"whatsapp_from": "+15005550007", "whatsapp_template": "HX" + "2" * 32}
        send("It is down.\nReply STOP to end", channel=Channel.WHATSAPP)
        asked = carrier.asked[0]
        assert (asked["ContentSid"], json.loads(asked["ContentVariables"])) == (
            "HX" + "2" * 32,
            {"1": "It is down. Reply STOP to end"},
        )
        assert "Body" not in asked

    def test_names_nobody_in_the_logs(self, carrier: Carrier, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            send("Northwind: a secret code 123456")
            carrier.say = lambda _: refuse(400, 21211, words=f"The number {ANN} is not valid")
            send()
        said = caplog.text
        assert [secret for secret in (ANN[1:], TOKEN, "123456") if secret in said] == []


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        (refuse(429, 20429), Answer(Verdict.LATER, "20429 Too many requests at once.")),
        (
            refuse(429, headers=(("Retry-After", "17"),)),
            Answer(Verdict.LATER, "20429 Too many requests at once.", wait=17.0),
        ),
        (
            refuse(429, headers=(("Retry-After", "999999"),)),
            Answer(Verdict.LATER, "20429 Too many requests at once.", wait=3600.0),
        ),
        (
            refuse(429, headers=(("Retry-After", "soon"),)),
            Answer(Verdict.LATER, "20429 Too many requests at once."),
        ),
        (refuse(400, 14107), Answer(Verdict.LATER, "14107 Too many texts at once.")),
        (refuse(408), Answer(Verdict.LATER, "408 Twilio says: Something.")),
        (refuse(400, 21211), Answer(Verdict.BOUNCED, "21211 There is no such number.")),
        (refuse(400, 21614), Answer(Verdict.BOUNCED, "21614 It is not a mobile number.")),
        (refuse(400, 21610), Answer(Verdict.BOUNCED, "21610 They answered STOP.")),
        (refuse(403, 21408), Answer(Verdict.NEVER, "21408 Our Twilio account may not text this country.")),
        (refuse(400, 21617), Answer(Verdict.NEVER, "21617 The text is too long.")),
        (refuse(400, 29999, words="No such\nthing."), Answer(Verdict.NEVER, "29999 Twilio says: No such thing.")),
        (refuse(400, body=b"<html>"), Answer(Verdict.NEVER, "400 Twilio says: Unable to create record.")),
        (
            refuse(401, 20003),
            Answer(Verdict.OURS, "20003 Twilio refuses our login (TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN)."),
        ),
        (refuse(403), Answer(Verdict.OURS, "403 Twilio says: Something.")),
        (refuse(404), Answer(Verdict.OURS, "404 Twilio says: Something.")),
        (refuse(302, headers=(("Location", "/elsewhere"),)), Answer(Verdict.OURS, "302 Twilio says: Something.")),
        (
            refuse(400, 21606),
            Answer(Verdict.OURS, "21606 Our sender cannot text, or is not ours (TWILIO_SMS_FROM)."),
        ),
        (refuse(500), Answer(Verdict.DOUBT, "500 Twilio failed; the text may have left.")),
        (Act(status=500), Answer(Verdict.DOUBT, "500 Twilio failed; the text may have left.")),
        (refuse(503), Answer(Verdict.DOUBT, "503 Twilio failed; the text may have left.")),
        (refuse(0), Answer(Verdict.DOUBT, "No answer from Twilio; the text may have left.")),
        (Act(status=0), Answer(Verdict.DOUBT, "No answer from Twilio; the text may have left.")),
        (Act(seconds=1.5), Answer(Verdict.DOUBT, "No answer from Twilio; the text may have left.")),
        (
            Act(body=b"<html>"),
            Answer(Verdict.DOUBT, "Twilio's answer was not understood; the text may have left."),
        ),
        (Act(body=b"{}"), Answer(Verdict.DOUBT, "Twilio's answer has no id; the text may have left.")),
    ],
)
def test_every_answer_is_sorted_by_whether_the_text_may_have_left(carrier: Carrier, act: Act, answer: Answer) -> None:
    carrier.say = lambda _: act
    assert send() == answer
    assert len(carrier.asked) == 1


def test_a_date_in_retry_after_is_understood(carrier: Carrier) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)
    carrier.say = lambda _: refuse(429, headers=(("Retry-After", format_datetime(soon, usegmt=True)),))
    wait = send().wait
    assert wait is not None
    assert 55.0 <= wait <= 60.0


def test_waiting_ends_with_the_deadline(carrier: Carrier, settings: Settings) -> None:
    settings.TWILIO = settings.TWILIO | {"read_timeout": 30.0}
    carrier.say = lambda _: Act(seconds=5.0)
    began = time.monotonic()
    assert send(seconds=0.5).verdict is Verdict.DOUBT
    assert time.monotonic() - began < 2.0


class TestNothingLeft:
    """No connection is no doubt: nothing of these is uncertain."""

    def test_when_nobody_listens(self, carrier: Carrier, settings: Settings, free_tcp_port: int) -> None:
        settings.TWILIO = settings.TWILIO | {"api_base": f"http://127.0.0.1:{free_tcp_port}"}
        with pytest.raises(Outage) as outage:
            send()
        assert (outage.value.reason, outage.value.ours) == ("No connection to Twilio: ConnectionRefusedError.", False)

    def test_when_the_name_is_unknown(self, carrier: Carrier, settings: Settings) -> None:
        settings.TWILIO = settings.TWILIO | {"api_base": "http://twilio.invalid"}
        with pytest.raises(Outage) as outage:
            send()
        assert (outage.value.reason, outage.value.ours) == ("No connection to Twilio: gaierror.", False)

    def test_when_connecting_takes_too_long(self, carrier: Carrier, settings: Settings, deaf_port: int) -> None:
        settings.TWILIO = settings.TWILIO | {"api_base": f"http://127.0.0.1:{deaf_port}", "connect_timeout": 0.2}
        with pytest.raises(Outage) as outage:
            send()
        assert outage.value.ours is False

    def test_when_somebody_else_answers(self, carrier: Carrier, settings: Settings, stranger: int) -> None:
        """F27: the name is checked, and that is the channel's fault, no number's."""
        settings.TWILIO = settings.TWILIO | {"api_base": f"https://localhost:{stranger}"}
        with pytest.raises(Outage) as outage:
            send()
        assert outage.value.reason == "No secure connection to Twilio: its certificate is not trusted."
        assert outage.value.ours is True


@pytest.mark.django_db
class TestDelivered:
    """The whole way: an announcement, a row per phone, the courier, the carrier."""

    def test_everybody_gets_one_text_and_their_rows_keep_twilios_id(self, carrier: Carrier) -> None:
        phone(ANN), phone(BOB)
        told()
        assert work() == 2
        assert carrier.texts() == Counter([ANN, BOB])
        assert {text.body for text in carrier.kept} == {"Northwind: Card payments fail\nReply STOP to end"}
        receipts = dict(Delivery.objects.values_list("subscriber__address", "receipt"))
        assert receipts == {text.to: text.sid for text in carrier.kept}
        assert rows() == {ANN: (Fate.ACCEPTED, ""), BOB: (Fate.ACCEPTED, "")}

    def test_a_doubt_is_never_resent(self, carrier: Carrier) -> None:
        """F05: one text was taken, one was not; neither is texted again, both are left to a person."""
        phone(ANN), phone(BOB)
        carrier.say = lambda form: Act(status=0) if form["To"] == ANN else refuse(500)
        told()
        for _ in range(3):
            hasten()
            work()
        assert Counter(form["To"] for form in carrier.asked) == Counter([ANN, BOB])
        assert {number: fate for number, (fate, _) in rows().items()} == {ANN: Fate.UNCERTAIN, BOB: Fate.UNCERTAIN}

    def test_a_twilio_that_never_answers_leaves_few_in_doubt(self, carrier: Carrier, settings: Settings) -> None:
        """F07: after a row of doubts it gets a rest; who was not begun waits, and is told once it works again."""
        settings.COURIER_HANDS = settings.COURIER_HANDS | {Pool.TEXTS: 2}
        for number in range(20):
            phone(f"+121255502{number:02}")
        carrier.say = lambda _: refuse(500)
        told()
        work()
        assert Counter(fate for fate, _ in rows().values()) == {Fate.UNCERTAIN: 6, Fate.PENDING: 14}

    def test_a_twilio_that_knows_no_number_punishes_nobody(
        self, carrier: Carrier, caplog: pytest.LogCaptureFixture
    ) -> None:
        """F04: the first five are all "no such number": that is not them."""
        for number in range(5):
            phone(f"+121255502{number:02}")
        carrier.say = lambda _: refuse(400, 21211)
        told()
        work()
        assert Subscriber.objects.active().count() == 5
        assert Counter(fate for fate, _ in rows().values()) == {Fate.PENDING: 5}
        assert "5 of the last 5 recipients refused with 21211: that is us." in caplog.messages

    def test_too_many_at_once_are_sent_when_twilio_says(self, carrier: Carrier) -> None:
        phone(ANN)
        carrier.say = lambda _: refuse(429, headers=(("Retry-After", "3000"),))
        told()
        before = timezone.now()
        work()
        row = Delivery.objects.get()
        assert (row.fate, row.copies) == (Fate.PENDING, 0)
        assert timedelta(seconds=2_990) < row.next_at - before < timedelta(seconds=3_020)
        carrier.say = lambda _: TAKE
        hasten()
        assert work() == 1
        assert carrier.texts() == Counter([ANN])

    def test_what_twilio_took_is_known_although_the_lease_was_over(self, carrier: Carrier) -> None:
        """F03: the database was away while it left; the reaper guessed, we know."""
        phone(ANN)
        told()
        (claimed,) = queue.claim(Pool.TEXTS, 1)
        queue.turn([], [claimed])
        Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        delivery.sweep()
        assert rows()[ANN][0] == Fate.UNCERTAIN
        answer = Answer(Verdict.ACCEPTED, receipt="SM1")
        Outcomes(registry.PORTS[Channel.SMS], Breaker(Channel.SMS)).record(claimed, answer, mould())
        row = Delivery.objects.get()
        assert (row.fate, row.receipt, row.reason) == (Fate.ACCEPTED, "SM1", "")

    def test_who_told_twilio_stop_has_told_us(self, carrier: Carrier) -> None:
        ann = phone(ANN)
        by_whatsapp = phone(ANN, Channel.WHATSAPP)
        carrier.say = lambda _: refuse(400, 21610)
        told(lane="one")
        work()
        assert Delivery.objects.get(subscriber=ann).fate == Fate.BOUNCED
        assert suppression.stopped(ANN)
        ann.refresh_from_db(), by_whatsapp.refresh_from_db()
        assert (ann.is_active, by_whatsapp.is_active) == (False, False)
        assert Delivery.objects.get(subscriber=by_whatsapp).reason == "Answered STOP"

    def test_a_refused_login_punishes_nobody(self, carrier: Carrier, settings: Settings) -> None:
        ann = phone(ANN)
        settings.TWILIO = settings.TWILIO | {"auth_token": "wrong"}
        told()
        work()
        assert rows()[ANN] == (
            Fate.PENDING,
            "20003 Twilio refuses our login (TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN).",
        )
        ann.refresh_from_db()
        assert ann.is_active

    def test_a_code_goes_to_a_phone_and_not_to_one_that_said_stop(self, carrier: Carrier) -> None:
        letter = Letter("Your code", (), sms="Northwind code: 123456")
        at = timezone.now() - timedelta(seconds=1)
        suppression.add(Channel.SMS, BOB, suppression.Silence.STOPPED, at=at)
        write_to([ANN, BOB], letter, subject="Code", brand=scene.brand(), lane="code", at=at, channel=Channel.SMS)
        assert work(Pool.CODES) == 1
        assert [(text.to, text.body) for text in carrier.kept] == [(ANN, "Northwind code: 123456")]
        assert rows() == {ANN: (Fate.ACCEPTED, ""), BOB: (Fate.SUPPRESSED, "Answered STOP")}

    def test_sms_that_is_not_set_up_says_so_on_every_row(self, carrier: Carrier, settings: Settings) -> None:
        settings.SMS_PROVIDER = ""
        phone(ANN)
        told()
        assert work() == 0
        assert rows() == {ANN: (Fate.DEAD, "SMS is not set up: SMS_PROVIDER is empty.")}

    def test_whatsapp_has_a_pool_of_its_own(self, carrier: Carrier, settings: Settings) -> None:
        settings.TWILIO = settings.TWILIO | {"whatsapp_from": "+15005550007"}
        phone(CY, Channel.WHATSAPP)
        told()
        assert (work(Pool.TEXTS), work(Pool.WHATSAPP)) == (0, 1)
        assert carrier.texts() == Counter([f"whatsapp:{CY}"])


class TestOff:
    """What is not set up is visibly off, and says what is missing."""

    @pytest.mark.parametrize(
        ("provider", "twilio_settings", "words"),
        [
            ("", {}, "SMS is not set up: SMS_PROVIDER is empty."),
            (
                "twilio",
                {"account_sid": "", "auth_token": ""},
                "SMS through Twilio is not complete: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
            ),
            ("twilio", {"sms_from": ""}, "SMS through Twilio is not complete: set TWILIO_SMS_FROM."),
            ("twilio", {}, ""),
            ("carrier pigeon", {}, "SMS_PROVIDER is “carrier pigeon”: it can be twilio or sns."),
        ],
    )
    def test_sms(
        self, carrier: Carrier, settings: Settings, provider: str, twilio_settings: dict[str, str], words: str
    ) -> None:
        settings.SMS_PROVIDER, settings.TWILIO = provider, settings.TWILIO | twilio_settings
        assert registry.off(Channel.SMS) == words

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({}, "WhatsApp is not set up: TWILIO_WHATSAPP_FROM is empty."),
            (
                {"whatsapp_from": "+15005550007", "auth_token": ""},
                "WhatsApp is not complete: set TWILIO_AUTH_TOKEN.",
            ),
            ({"whatsapp_from": "+15005550007"}, ""),
        ],
    )
    def test_whatsapp(self, carrier: Carrier, settings: Settings, changes: dict[str, str], words: str) -> None:
        settings.TWILIO = settings.TWILIO | changes
        assert registry.off(Channel.WHATSAPP) == words
