"""Mail that relays can sign and receivers can verify: a real signer, a hop, a real verifier (RFC 6376, RFC 8058)."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from contextlib import closing
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parsedate_to_datetime

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notifications import compiler
from notifications.channels.email import Wire
from notifications.channels.port import Verdict
from notifications.models import Announcement, Brand
from tests.notifications.news import letter, news
from tests.notifications.providers import ready
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db

DOMAIN = b"northwind.example"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = _KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
_PUBLIC = _KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
RECORD = b"v=DKIM1; k=rsa; p=" + base64.b64encode(_PUBLIC)
#: What a signature has to cover (docs/relay.md): all that a reader sees, and what RFC 8058 asks for.
COVERED = [b"From", b"To", b"Reply-To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"MIME-Version"]
COVERED += [b"Content-Type", b"List-Unsubscribe", b"List-Unsubscribe-Post", b"In-Reply-To", b"References"]
WAYS = [(b"relaxed", b"relaxed"), (b"simple", b"simple")]


@pytest.fixture(params=["news", "later news", "letter", "beyond ascii"])
def mail(request: pytest.FixtureRequest, brand: Brand) -> bytes:
    """Each kind of mail we send, as it leaves."""
    return ready(_announced(request.param))[1]


def _announced(kind: str) -> Announcement:
    match kind:
        case "letter":
            return letter("ann@example.org")
        case "later news":
            news("Investigating")
            return news("Investigating", "Identified")
        case "beyond ascii":
            long = "Überlänge ohne Leerzeichen " + "支付失败" * 400 + " . Punkt\n.\n. am Anfang"
            return news(title="Zahlungen scheitern – 支付失败 🔧", text=long)
    return news()


def signed(mail: bytes, way: tuple[bytes, bytes]) -> bytes:
    present = [name for name in COVERED if re.search(rb"(?im)^" + name + rb":", mail.partition(b"\r\n\r\n")[0])]
    return bytes(dkim.sign(mail, b"relay", DOMAIN, PRIVATE, canonicalize=way, include_headers=present)) + mail


def verifies(mail: bytes) -> bool:
    return bool(dkim.verify(mail, dnsfunc=lambda name, timeout=5: RECORD))


def over_a_hop(mail: bytes, relay: Relay) -> bytes:
    """As our wire hands it over, and as the next host passes it on."""
    with closing(Wire()) as wire:
        answer = wire.hand_over("status@northwind.example", "ann@example.org", mail, deadline=time.monotonic() + 5)
    assert answer.verdict is Verdict.ACCEPTED
    received = b"Received: from relay.northwind.example (relay [192.0.2.10])\r\n\tby mx.example.org with ESMTPS;\r\n"
    return received + b"\tFri, 20 Nov 2026 14:05:11 +0000 (UTC)\r\n" + relay.kept[-1].content


@pytest.mark.parametrize("way", WAYS)
def test_a_signature_holds_over_a_hop(mail: bytes, relay: Relay, way: tuple[bytes, bytes]) -> None:
    assert verifies(over_a_hop(signed(mail, way), relay))


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b"List-Unsubscribe: <http", b"List-Unsubscribe: <HTTP"),
        (b"List-Unsubscribe-Post: List", b"List-Unsubscribe-Post: list"),
        (b"We are on it", b"We are off it"),
        (b"Date: ", b"Date: Mon, 1 Jan 2001 00:00:00 +0000\r\nX-Date: "),
    ],
)
def test_what_was_changed_on_the_way_is_noticed(relay: Relay, there: bytes, instead: bytes) -> None:
    """Otherwise the tests above would prove nothing."""
    passed_on = over_a_hop(signed(ready()[1], WAYS[0]), relay)
    assert there in passed_on
    assert not verifies(passed_on.replace(there, instead, 1))


def headers(mail: bytes) -> EmailMessage:
    parsed = message_from_bytes(mail, policy=SMTP)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_the_sender_stands_for_the_domain_that_signs(mail: bytes) -> None:
    """DMARC asks for one From, of the domain of the signature or of the return address."""
    [address] = headers(mail)["From"].addresses
    assert address.domain.encode() == DOMAIN


def test_every_header_that_receivers_expect_stands_there_once(mail: bytes) -> None:
    parsed = headers(mail)
    for name in ("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"):
        assert len(parsed.get_all(name, [])) == 1, name
    assert parsedate_to_datetime(parsed["Date"]).utcoffset() is not None


def test_message_ids_are_of_our_own_host(mail: bytes) -> None:
    ours = re.escape(compiler.message_host())
    assert re.fullmatch(rf"<[0-9a-f]{{32}}@{ours}>", str(headers(mail)["Message-ID"]))


def test_nothing_on_the_way_has_to_be_rewritten(mail: bytes) -> None:
    """Seven bits, CRLF, short lines, no dot at the beginning of one: no relay has a reason to touch it."""
    assert mail.isascii()
    assert b"\n" not in mail.replace(b"\r\n", b"")
    assert b"\r" not in mail.replace(b"\r\n", b"")
    head, _, body = mail.partition(b"\r\n\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 998
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert not re.search(rb"(?m)^\.", body)
    assert mail.endswith(b"\r\n")


def _parts(parsed: EmailMessage) -> Iterator[tuple[str, str]]:
    for part in parsed.iter_parts():
        yield part.get_content_type(), str(part["Content-Transfer-Encoding"])


def test_both_bodies_are_quoted_printable(mail: bytes) -> None:
    assert list(_parts(headers(mail))) == [("text/plain", "quoted-printable"), ("text/html", "quoted-printable")]
