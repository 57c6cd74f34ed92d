"""Mail that comes back: real-shaped reports of four mail systems, complaints, garbage and forgeries (R-804, R-806)."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from notifications import bounces, compiler, dsn, fanout, receipts, tokens, verp
from notifications.enums import Fate
from notifications.models import Delivery, Receipt, Subscriber
from tests.notifications.news import letter, news, reader

pytestmark = pytest.mark.django_db

RETURNED = Path(__file__).parent / "returned"
ANN, STATUS = "ann@example.org", "status@northwind.example"


@pytest.fixture(autouse=True)
def mailbox(settings: Settings) -> None:
    settings.BOUNCE_ADDRESS = "bounces@northwind.example"


def sent() -> Delivery:
    """News to Ann that left."""
    reader("ann")
    fanout.expand(news().pk)
    left = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(fate=Fate.ACCEPTED, copies=1, sent_at=left, settled_at=left)
    return Delivery.objects.get()


def address_of(row: Delivery) -> str:
    returning = verp.returning()
    assert returning is not None
    return returning(row.pk)


def returned(name: str, row: Delivery, **changes: str) -> bytes:
    """A report of the corpus about a message of ours."""
    person = Subscriber.objects.get(pk=row.subscriber_id)
    known = {
        "to": ANN,
        "return_path": address_of(row),
        "message_id": compiler.message_id(row.announcement, person.public_id.bytes),
        "link": tokens.url(tokens.make(person, tokens.UNSUBSCRIBE), tokens.UNSUBSCRIBE),
    }
    text = (RETURNED / f"{name}.eml").read_text()
    for field, value in (known | changes).items():
        text = text.replace(f"{{{field}}}", value)
    return text.replace("\n", "\r\n").encode()


def hear(raw: bytes, to: str = "") -> list[str]:
    return bounces.receive(raw, to=to, at=timezone.now())


def outcome() -> tuple[str, bool, bool, int]:
    """The fate, whether they bounced, whether they left, and how many words were heard."""
    person = Subscriber.objects.get()
    fate = Delivery.objects.get().fate
    return fate, person.bounced_at is not None, person.unsubscribed_at is not None, Receipt.objects.count()


UNTOUCHED = (Fate.ACCEPTED, False, False, 0)
CORPUS = [
    ("postfix", Fate.BOUNCED, True, False),
    ("exim", Fate.BOUNCED, True, False),
    ("exchange", Fate.BOUNCED, True, False),
    ("gmail", Fate.BOUNCED, True, False),
    ("policy", Fate.BOUNCED, False, False),
    ("postfix-expired", Fate.BOUNCED, False, False),
    ("postfix-delayed", Fate.ACCEPTED, False, False),
    ("delivered", Fate.DELIVERED, False, False),
    ("complaint", Fate.DELIVERED, False, True),
]


def test_the_whole_corpus_is_read() -> None:
    assert sorted(name for name, *_ in CORPUS) == sorted(path.stem for path in RETURNED.glob("*.eml"))


@pytest.mark.parametrize(("name", "fate", "bounced", "left"), CORPUS)
def test_a_report_to_the_return_address_finds_its_row(name: str, fate: str, bounced: bool, left: bool) -> None:
    """Read twice it is heard once (S22)."""
    raw = returned(name, sent())
    for _ in range(2):
        assert len(hear(raw)) == 1
        assert outcome() == (fate, bounced, left, 1)


@pytest.mark.parametrize(("name", "fate", "bounced", "left"), CORPUS)
def test_a_report_to_another_address_finds_its_row_by_the_message_id(
    name: str, fate: str, bounced: bool, left: bool
) -> None:
    """A relay of others writes its own return address; complaints hide whom the mail went to."""
    hear(returned(name, sent(), return_path=STATUS))
    assert outcome() == (fate, bounced, left, 1)


def test_the_words_of_the_far_end_are_kept() -> None:
    row = sent()
    assert hear(returned("exim", row)) == [f"failed 5.0.0: delivery {row.pk}"]
    row.refresh_from_db()
    assert row.reason == "smtp; 550 5.1.1 no mailbox here by that name"
    receipt = Receipt.objects.get()
    assert (receipt.source, receipt.word, receipt.code) == ("dsn", "failed", "5.1.1")
    assert hear(returned("exim", row)) == [f"failed 5.0.0: delivery {row.pk}, as heard before"]


def test_a_relay_may_change_capitals() -> None:
    row = sent()
    hear(returned("postfix", row, return_path=address_of(row).upper(), message_id="<lost@example.org>"))
    assert outcome()[0] == Fate.BOUNCED


def test_the_address_it_was_delivered_to_may_be_told_from_outside() -> None:
    row = sent()
    raw = returned("postfix", row, return_path=STATUS, message_id="<lost@example.org>")
    assert hear(raw) == ["failed: about no message of ours"]
    assert hear(raw, to=address_of(row)) == [f"failed 5.1.1: delivery {row.pk}"]
    assert outcome()[0] == Fate.BOUNCED


def test_a_letter_comes_back() -> None:
    letter("new@example.org")
    Delivery.objects.update(fate=Fate.ACCEPTED, copies=1)
    row = Delivery.objects.get()
    text = (RETURNED / "postfix.eml").read_text()
    quoted = {"to": "new@example.org", "return_path": STATUS, "link": ""}
    quoted["message_id"] = compiler.message_id(row.announcement, b"new@example.org")
    for field, value in quoted.items():
        text = text.replace(f"{{{field}}}", value)
    assert hear(text.encode()) == [f"failed 5.1.1: delivery {row.pk}"]
    row.refresh_from_db()
    assert row.fate == Fate.BOUNCED


def test_a_crowd_of_reports_punishes_nobody() -> None:
    """F04: also here."""
    people = [reader(f"r{number}") for number in range(30)]
    fanout.expand(news().pk)
    Delivery.objects.update(fate=Fate.ACCEPTED, copies=1)
    for row in Delivery.objects.all():
        hear(returned("gmail", row, to=Subscriber.objects.get(pk=row.subscriber_id).address))
    assert Delivery.objects.filter(fate=Fate.UNCERTAIN).count() == len(people) == 30
    assert Subscriber.objects.filter(bounced_at__isnull=False).count() == 0


# --- what proves nothing changes nothing ---------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.stem for path in RETURNED.glob("*.eml")))
def test_a_forged_report_changes_nothing(name: str) -> None:
    """Who knows the address, but has not got the mail."""
    row = sent()
    forged = {
        "return_path": f"bounces+{row.pk:x}-{'0' * 20}@northwind.example",
        "message_id": f"<{'0' * 32}@{compiler.message_host()}>",
        "link": f"https://status.example/subscriptions/unsubscribe/{'A' * tokens.LENGTH}",
    }
    assert hear(returned(name, row, **forged))[0].endswith(": about no message of ours")
    assert outcome() == UNTOUCHED


def test_a_real_message_id_with_another_address_proves_nothing() -> None:
    row = sent()
    reader("bob")
    raw = returned("postfix", row, to="bob@example.org", return_path=STATUS, link="")
    assert hear(raw) == ["failed: about no message of ours"]
    assert Receipt.objects.count() == 0


def test_a_key_of_before_still_proves_it(settings: Settings) -> None:
    """Bounces take days; a change of key must not lose them."""
    raw = returned("postfix", sent(), message_id="<lost@example.org>")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new key that is long enough for everybody"
    hear(raw)
    assert outcome()[0] == Fate.BOUNCED


GARBAGE = {
    "nothing": b"",
    "noise": bytes(range(256)) * 40,
    "a vacation": b"To: {return_path}\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n",
    "no parts": b'Content-Type: multipart/report; boundary="x"\r\nTo: {return_path}\r\n\r\n',
    "no boundary": b"Content-Type: multipart/report; report-type=delivery-status\r\nTo: {return_path}\r\n\r\n--x\r\n",
    "an empty status": (
        b'Content-Type: multipart/report; boundary="x"\r\nTo: {return_path}\r\n\r\n'
        b"--x\r\nContent-Type: message/delivery-status\r\n\r\n\r\n--x--\r\n"
    ),
    "an action nobody knows": (
        b'Content-Type: multipart/report; boundary="x"\r\nTo: {return_path}\r\n\r\n--x\r\n'
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a\r\n\r\nAction: exploded\r\n\r\n--x--\r\n"
    ),
    "a virus report": (
        b'Content-Type: multipart/report; boundary="x"\r\nTo: {return_path}\r\n\r\n--x\r\n'
        b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: virus\r\n\r\n--x--\r\n"
    ),
    "who thought it was fine": (
        b'Content-Type: multipart/report; boundary="x"\r\nTo: {return_path}\r\n\r\n--x\r\n'
        b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: not-spam\r\n\r\n--x--\r\n"
    ),
    "boxes in boxes": b"".join(
        b'Content-Type: multipart/report; boundary="%d"\r\n\r\n--%d\r\n' % (depth, depth) for depth in range(2000)
    ),
    "a charset of its own": (
        b'Content-Type: multipart/report; boundary="x"\r\nTo: =?nonsense?b?////?=\r\n\r\n--x\r\n'
        b"Content-Type: message/delivery-status; charset=nonsense\r\n\r\n\xff\xfe\r\n\r\n"
        b"Action: failed\xff\r\n\r\n--x--\r\n"
    ),
    "endless": b"Content-Type: multipart/report; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * 300_000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_report_changes_nothing(name: str) -> None:
    row = sent()
    assert hear(GARBAGE[name].replace(b"{return_path}", address_of(row).encode())) == []
    assert outcome() == UNTOUCHED


def test_a_cut_report_still_says_what_it_says() -> None:
    """Some systems quote so much that theirs is cut; the proof stands at its head."""
    raw = returned("postfix", sent())
    hear(raw[: raw.index(b"Content-Description: Undelivered Message Headers")])
    assert outcome()[0] == Fate.BOUNCED


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", ["gmail", "complaint"])
def test_no_cut_of_a_report_breaks_anything(name: str, share: float) -> None:
    raw = returned(name, sent())
    hear(raw[: int(len(raw) * share)])
    assert outcome()[0] in (Fate.ACCEPTED, Fate.BOUNCED, Fate.DELIVERED)


def test_what_is_read_says_the_same_every_time() -> None:
    raw = returned("gmail", sent())
    [first], [second] = dsn.read(raw), dsn.read(b"Received: once more\r\n" + raw)
    assert first.event == second.event


# --- the command ----------------------------------------------------------------------------------


def piped(monkeypatch: pytest.MonkeyPatch, raw: bytes, *options: str) -> str:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
    out = io.StringIO()
    call_command("receive_bounce", *options, stdout=out, stderr=out)
    return out.getvalue()


def test_the_command_says_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    row = sent()
    assert piped(monkeypatch, returned("postfix", row)) == f"failed 5.1.1: delivery {row.pk}\n"
    assert piped(monkeypatch, b"Hello") == "no report in it\n"
    assert outcome() == (Fate.BOUNCED, True, False, 1)


def test_the_command_is_told_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    row = sent()
    raw = returned("postfix", row, return_path=STATUS, message_id="<lost@example.org>")
    assert piped(monkeypatch, raw, "--to", address_of(row)) == f"failed 5.1.1: delivery {row.pk}\n"


def test_when_the_database_is_away_the_mail_system_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """75 is EX_TEMPFAIL: it comes again."""

    def away(_: object) -> bool:
        raise OperationalError("connection refused")

    raw = returned("postfix", sent())
    monkeypatch.setattr(receipts, "bounced", lambda heard, for_good: away(heard))
    with pytest.raises(SystemExit) as ended:
        piped(monkeypatch, raw)
    assert ended.value.code == 75


def test_a_pipe_of_noise_ends_well() -> None:
    """The whole command, as a mail system would run it: nobody is sent a bounce for a bounce."""
    done = subprocess.run(
        [sys.executable, "manage.py", "receive_bounce"],
        input=bytes(range(256)),
        capture_output=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"no report in it\n")
