"""Mail providers call us: verified or refused, read in every shape, believed once (R-806, S22)."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from notifications import compiler, fanout, tracking, verp
from notifications.enums import Fate
from notifications.models import Delivery, Receipt, Subscriber
from tests.notifications import calls
from tests.notifications.calls import BASIC, PROVIDERS, SETTINGS, About, Call, post
from tests.notifications.news import letter, news, reader

pytestmark = pytest.mark.django_db

ANN = "ann@example.org"


def sent(receipt: str = "") -> Delivery:
    """News to Ann that left."""
    reader("ann")
    fanout.expand(news().pk)
    left = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(fate=Fate.ACCEPTED, copies=1, sent_at=left, settled_at=left, receipt=receipt)
    return Delivery.objects.get()


def about(row: Delivery, **changes: str) -> About:
    known = {"name": verp.name(row.pk), "receipt": "esp-1", "address": ANN}
    return About(**(known | changes))  # type: ignore[arg-type]


def outcome() -> tuple[str, bool, bool, int]:
    """The fate, whether they bounced, whether they left, and how many words were heard."""
    person = Subscriber.objects.get()
    fate = Delivery.objects.get().fate
    return fate, person.bounced_at is not None, person.unsubscribed_at is not None, Receipt.objects.count()


def test_the_address_stands_in_providers_consoles() -> None:
    """It must never change."""
    assert reverse("hooks:mail", args=["postmark"]) == "/hooks/mail/postmark/"


# --- what they say ------------------------------------------------------------------------


@pytest.mark.parametrize("esp", sorted(PROVIDERS))
@pytest.mark.parametrize(
    ("word", "fate", "bounced", "left"),
    [
        ("delivered", Fate.DELIVERED, False, False),
        ("hard", Fate.BOUNCED, True, False),
        ("soft", Fate.ACCEPTED, False, False),
        ("policy", Fate.BOUNCED, False, False),
        ("complaint", Fate.DELIVERED, False, True),
    ],
)
def test_every_provider_is_understood(
    settings: Settings, esp: str, word: str, fate: str, bounced: bool, left: bool
) -> None:
    """One bad address, one full mailbox, one policy, one complaint; called twice, heard once (S22)."""
    settings.ANYMAIL = SETTINGS[esp]
    call = PROVIDERS[esp](word, about(sent()))
    if (esp, word) == ("mandrill", "delivered"):
        fate = Fate.ACCEPTED  # it only says that it has sent it
    if (esp, word) == ("resend", "policy"):
        fate = Fate.ACCEPTED  # it does not know itself
    for _ in range(2):
        assert post(esp, call) == 200
        assert outcome() == (fate, bounced, left, 1)
    receipt = Receipt.objects.get()
    assert (receipt.source, receipt.delivery_id) == (esp, Delivery.objects.get().pk)


def test_a_receipt_says_it_in_the_providers_word(settings: Settings) -> None:
    settings.ANYMAIL = SETTINGS["mailgun"]
    post("mailgun", calls.mailgun("hard", about(sent())))
    receipt = Receipt.objects.get()
    assert (receipt.word, receipt.detail, receipt.code) == ("failed", "5.1.1 no such user", "5.1.1")


@pytest.mark.parametrize("esp", sorted(PROVIDERS))
def test_who_opened_a_mail_is_not_written_down(settings: Settings, esp: str) -> None:
    """S29."""
    settings.ANYMAIL = SETTINGS[esp]
    assert post(esp, PROVIDERS[esp]("open", about(sent()))) == 200
    assert outcome() == (Fate.ACCEPTED, False, False, 0)


def test_several_events_in_one_call_are_each_heard(settings: Settings) -> None:
    settings.ANYMAIL = SETTINGS["mailjet"]
    row = sent()
    events = [calls.mailjet(word, about(row)).body[1:-1] for word in ("delivered", "complaint")]
    assert post("mailjet", Call(b"[" + b",".join(events) + b"]", BASIC)) == 200
    assert outcome() == (Fate.DELIVERED, False, True, 2)


# --- whose message it is ----------------------------------------------------------------------


def test_a_message_is_known_by_the_providers_id(settings: Settings) -> None:
    """Where a provider takes no name of ours with it."""
    settings.ANYMAIL = SETTINGS["postmark"]
    row = sent(receipt="pm-7")
    post("postmark", calls.postmark("delivered", about(row, name="", receipt="pm-7")))
    assert outcome()[0] == Fate.DELIVERED


def test_a_message_is_known_by_its_message_id_and_its_reader(settings: Settings) -> None:
    """Handed over by SMTP, nothing but the mail itself tells whose it is."""
    settings.ANYMAIL = SETTINGS["mailgun"]
    row = sent()
    person = Subscriber.objects.get()
    quoted = compiler.message_id(row.announcement, person.public_id.bytes)
    post("mailgun", calls.mailgun("delivered", about(row, name="", receipt=quoted, address="bob@example.org")))
    assert outcome()[0] == Fate.ACCEPTED
    post("mailgun", calls.mailgun("delivered", about(row, name="", receipt=quoted)))
    assert outcome()[0] == Fate.DELIVERED


def test_a_letter_is_known_by_its_message_id(settings: Settings) -> None:
    settings.ANYMAIL = SETTINGS["mailgun"]
    letter("new@example.org")
    Delivery.objects.update(fate=Fate.ACCEPTED, copies=1)
    row = Delivery.objects.get()
    quoted = compiler.message_id(row.announcement, b"new@example.org")
    call = calls.mailgun("hard", About("", quoted, "new@example.org"))
    assert post("mailgun", call) == 200
    assert Delivery.objects.get().fate == Fate.BOUNCED


def test_another_installation_with_the_same_account_is_not_us(settings: Settings) -> None:
    """Its deliveries have numbers, too; their names are signed with a key of its own."""
    settings.ANYMAIL = SETTINGS["postmark"]
    row = sent()
    ours = settings.SECRET_KEY
    settings.SECRET_KEY = "another installation"
    theirs = verp.name(row.pk)
    settings.SECRET_KEY = ours
    assert post("postmark", calls.postmark("hard", about(row, name=theirs))) == 200
    assert outcome() == (Fate.ACCEPTED, False, False, 1)
    assert Receipt.objects.get().delivery is None


# --- who may say it --------------------------------------------------------------------------


@pytest.mark.parametrize("esp", sorted(PROVIDERS))
def test_a_call_that_is_not_proven_changes_nothing(settings: Settings, esp: str) -> None:
    settings.ANYMAIL = SETTINGS[esp]
    call = PROVIDERS[esp]("hard", about(sent()))
    kept = {name: value for name, value in call.headers.items() if name.startswith("x-amz")}
    forged = {name: "forged" for name in call.headers if not name.startswith("x-amz")}
    for headers in (kept, kept | forged):
        spoilt = call._replace(headers=headers)
        if esp == "mailgun":
            spoilt = call._replace(body=call.body.replace(b'"signature": "', b'"signature": "0'))
        assert post(esp, spoilt) in (400, 401, 403)
    assert outcome() == (Fate.ACCEPTED, False, False, 0)


@pytest.mark.parametrize("esp", sorted(tracking.READERS))
def test_where_nothing_is_proven_nobody_is_heard(
    settings: Settings, esp: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ANYMAIL = {}
    row = sent()
    call = PROVIDERS[esp]("hard", about(row)) if esp in PROVIDERS else Call(b"{}", {})
    with caplog.at_level(logging.WARNING):
        assert post(esp, call) == 403
    assert len([record for record in caplog.records if record.name == "notifications.tracking"]) == 1
    assert outcome() == (Fate.ACCEPTED, False, False, 0)


def test_a_signed_call_of_long_ago_is_not_heard(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """S22: at most five minutes."""
    settings.ANYMAIL = SETTINGS["resend"]
    now = calls.time.time()
    monkeypatch.setattr(calls.time, "time", lambda: now - 400)
    call = calls.resend("hard", about(sent()))
    monkeypatch.undo()
    assert post("resend", call) == 401
    assert outcome() == (Fate.ACCEPTED, False, False, 0)


@pytest.mark.parametrize(
    ("esp", "body", "status"),
    [
        ("pigeon", b"{}", 404),
        ("postmark", b"", 400),
        ("postmark", b"\xff\xfe", 400),
        ("postmark", b"[]", 400),
        ("postmark", b'{"RecordType": {}}', 400),
        ("brevo", b'{"event": ["hard_bounce"]}', 400),
        ("mailjet", b'"text"', 400),
        ("sparkpost", b"[" * 5000, 400),
        ("sendgrid", b"{}", 200),
        ("postmark", b'{"a": "' + b"x" * 1_000_000 + b'"}', 413),
    ],
)
def test_a_body_that_nobody_can_read_is_refused(settings: Settings, esp: str, body: bytes, status: int) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": calls.SECRET}
    assert post(esp, Call(body, BASIC)) == status
    assert Receipt.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_no_database_can_hold_is_left_out_of_a_word(settings: Settings) -> None:
    """F17, R-806."""
    settings.ANYMAIL = {"WEBHOOK_SECRET": calls.SECRET}
    event = {"RecordType": "Bounce", "Type": "HardBounce", "MessageID": "a\0b", "ID": "4\0", "Email": "a\0@x.example"}
    event |= {"BouncedAt": "2026-11-20T12:00:00Z", "Details": "no\0body", "Metadata": {"delivery": "1\0"}}
    assert post("postmark", Call(json.dumps(event).encode(), BASIC)) == 200
    assert Receipt.objects.get().event == "bounced:4"


def test_only_calls_are_answered(settings: Settings) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": calls.SECRET}
    client = calls.Client()
    assert [getattr(client, verb)("/hooks/mail/postmark/").status_code for verb in ("get", "head", "put")] == [
        405,
        200,
        405,
    ]


def test_who_does_not_name_himself_is_asked_to(settings: Settings) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": calls.SECRET}
    answer = calls.Client().post("/hooks/mail/postmark/", b"{}", content_type="application/json")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="Heliograph"')
