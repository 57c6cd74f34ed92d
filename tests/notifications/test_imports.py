"""Lists of people that come in as files: what is taken, what is refused, and why (R-807, S29)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from notifications import imports, sheets, subscriptions, suppression
from notifications.enums import Channel, Kind, Silence
from notifications.imports import Verdict
from notifications.models import Brand, Delivery, ImportFile, SignUp, Subscriber, Topic
from notifications.sheets import BadFile, Report
from notifications.subscriptions import Choice

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ADA = "ada@analytical.example"
HEAD = "address,consent_at,consent_source"
FULL = f"{HEAD},components,least_severity,language"
SCREEN = "/admin/notifications/subscriber/import/"
LIST = "/admin/notifications/subscriber/"


def run(text: str | bytes, *, dry: bool = False) -> Report:
    return imports.run(BytesIO(text if isinstance(text, bytes) else text.encode()), at=NOON, dry=dry)


def csv_file(count: int, domain: str = "x.example") -> bytes:
    lines = [f"p{n:06}@{domain},2026-05-31,Order form" for n in range(count)]
    return "\n".join([HEAD, *lines]).encode()


def said(report: Report) -> list[tuple[int, str, str]]:
    return [(line.number, line.verdict.value, line.words) for line in report.shown]


def test_a_line_becomes_a_subscriber_with_the_proof_on_the_row(topics: list[Topic]) -> None:
    """R-807: confirmed by the proof given, told about news from now on, mailed by nobody."""
    report = run(
        f"{FULL}\r\n"
        f'Ada@Analytical.EXAMPLE,2026-05-31T14:30:00+02:00,"Order form, May",api; Payments,2,pt-BR\r\n'
        "bob@x.example,2026-05-31,Fair,,,\r\n"
    )
    assert (report.counts, report.shown) == ({Verdict.NEW: 2}, [])
    ada, bob = Subscriber.objects.order_by("pk")
    assert (ada.address, ada.consent_source, ada.language) == ("Ada@analytical.example", "Order form, May", "pt-BR")
    assert ada.consent_at == datetime(2026, 5, 31, 12, 30, tzinfo=UTC)
    assert Choice.of(ada) == Choice(
        all_topics=False, topics=(topics[0].pk, topics[2].pk), least_rank=2, language="pt-BR"
    )
    assert (Choice.of(bob), bob.language, bob.consent_at) == (Choice(), "en", datetime(2026, 5, 31, tzinfo=UTC))
    told = Subscriber.objects.interested(kind=Kind.INCIDENT, rank=1, topics=[], at=NOON)
    before = Subscriber.objects.interested(kind=Kind.INCIDENT, rank=1, topics=[], at=NOON - timedelta(seconds=1))
    assert (told.count(), before.count()) == (2, 0)
    assert (Delivery.objects.count(), SignUp.objects.count()) == (0, 0)


def test_phones_come_in_by_their_channel(settings: Settings, topics: list[Topic]) -> None:
    """R-807, S19: a number is checked like one that was typed; the same number on two channels is two people's wish."""
    settings.SMS_COUNTRIES = ["US"]
    suppression.add(Channel.SMS, "+12125550103", Silence.STOPPED, at=NOON)
    report = run(
        f"{HEAD},channel,components\n"
        "(212) 555-0101,2026-01-01,Contract,SMS,API\n"
        "+12125550101,2026-01-01,Contract,whatsapp,\n"
        "'+1 212 555 0101,2026-01-01,Contract,sms,\n"
        "+12125550103,2026-01-01,Contract,sms,\n"
        "+49 151 12345678,2026-01-01,Contract,sms,\n"
        "ada@x.example,2026-01-01,Contract,sms,\n"
        "https://x.example/,2026-01-01,Contract,webhook,\n"
        "ada@x.example,2026-01-01,Contract,,\n"
    )
    assert [(number, verdict) for number, verdict, _ in said(report)] == [
        (4, "wrong"), (5, "suppressed"), (6, "wrong"), (7, "wrong"), (8, "wrong"),
    ]  # fmt: skip
    assert said(report)[0][2] == "The same address stands further up."
    assert said(report)[4][2] == "channel is one of email, sms, whatsapp; empty means email."
    assert list(Subscriber.objects.order_by("channel").values_list("channel", "address", "all_topics")) == [
        ("email", "ada@x.example", True),
        ("sms", "+12125550101", False),
        ("whatsapp", "+12125550101", True),
    ]
    ann = Subscriber.objects.get(channel=Channel.SMS)
    assert (list(ann.topics.all()), ann.is_active) == ([topics[0]], True)


def test_the_proof_makes_a_follower_a_subscriber(brand: Brand) -> None:
    subscriptions.follow(Channel.EMAIL, ADA, "notice:x", "Fire", at=NOON)
    assert run(f"{HEAD}\n{ADA},2026-01-01,Contract\n").counts == {"new": 1}
    ada = Subscriber.objects.active().get()
    assert (Choice.of(ada), ada.follows.filter(since=None).count()) == (Choice(), 1)


def test_a_dry_run_says_the_same_and_writes_nothing(ada: Subscriber) -> None:
    suppression.add(Channel.EMAIL, "gone@x.example", Silence.ERASED, at=NOON)
    lines = f"{HEAD}\n{ADA},2026-01-01,x\nGONE@x.example,2026-01-01,x\nnew@x.example,2026-01-01,x\nbad,2026-01-01,x\n"
    dry = run(lines, dry=True)
    assert list(Subscriber.objects.values_list("address", flat=True)) == [ADA]
    wet = run(lines)
    assert said(dry) == said(wet)
    assert [(number, verdict) for number, verdict, _ in said(dry)] == [(2, "known"), (3, "suppressed"), (5, "wrong")]
    assert dry.counts == wet.counts == {"known": 1, "suppressed": 1, "new": 1, "wrong": 1}
    assert sorted(Subscriber.objects.values_list("address", flat=True)) == [ADA, "new@x.example"]
    assert run(lines).counts[Verdict.NEW] == 0


def test_capitals_make_nobody_new(ada: Subscriber) -> None:
    """R-804: otherwise they would be told twice."""
    subscriptions.subscribe("Bob@x.example", Choice(), at=NOON)
    lines = f"{HEAD}\n{ada.address.upper()},2026-05-31,paper\nbob@X.example,2026-05-31,paper\n"
    assert run(lines, dry=True).counts == run(lines).counts == {Verdict.KNOWN: 1, Verdict.NEW: 1}
    assert set(Subscriber.objects.active().values_list("address", flat=True)) == {ada.address, "Bob@x.example"}


def test_the_erased_stay_away_whatever_is_imported(ada: Subscriber) -> None:
    """S29."""
    subscriptions.erase(ada, by=None, at=NOON)
    report = run(f"{HEAD}\n{ADA},2026-01-01,x\n")
    assert (report.counts, Subscriber.objects.filter(address=ADA).count()) == ({"suppressed": 1}, 0)


def test_who_left_or_bounced_is_not_brought_back(brand: Brand) -> None:
    for fact in ("unsubscribed_at", "bounced_at"):
        Subscriber.objects.create(address=f"{fact}@x.example", created_at=NOON, confirmed_at=NOON, **{fact: NOON})
    lines = f"{HEAD}\nunsubscribed_at@x.example,2026-01-01,x\nbounced_at@x.example,2026-01-01,x\n"
    assert run(lines).counts == {"known": 2}
    assert Subscriber.objects.active().count() == 0


def test_the_proof_confirms_who_never_pressed_the_button(brand: Brand, topics: list[Topic]) -> None:
    """Anybody can type an address into the form: that must not keep its owner out."""
    subscriptions.subscribe(ADA, Choice(all_topics=False, topics=(topics[1].pk,)), at=NOON)
    assert run(f"{FULL}\n{ADA},2026-01-01,Contract,API,3,\n").counts == {"new": 1}
    ada = Subscriber.objects.active().get()
    assert (Choice.of(ada), ada.consent_source) == (
        Choice(all_topics=False, topics=(topics[0].pk,), least_rank=3),
        "Contract",
    )


WRONG = {
    "ragged short": (b"a@x.example,2026-01-01", "2 cells, but the first line names 6 columns."),
    "ragged long": (b"a@x.example,2026-01-01,x,,,,", "7 cells, but the first line names 6 columns."),
    "NUL in the address": (b"a\0@x.example,2026-01-01,x,,,", None),
    "NUL in the proof": (b"a@x.example,2026-01-01,x\0,,,", None),
    "quote in the middle": (b'a@x.example,"2026"-01-01,x,,,', None),
    "Latin-1": ("a@x.example,2026-01-01,café,,,".encode("latin-1"), "This line is not in UTF-8."),
    "formula": (b'"=HYPERLINK(""http://evil"",1)",2026-01-01,x,,,', None),
    "no address": (b",2026-01-01,x,,,", None),
    "two addresses": (b'"a@x.example,b@x.example",2026-01-01,x,,,', None),
    "header injection": (b'"a@x.example\nBcc: b@x.example",2026-01-01,x,,,', "Please write this on one line."),
    "no date": (b"a@x.example,,x,,,", "consent_at is not a date like 2026-05-31 or 2026-05-31T14:30:00Z."),
    "American date": (
        b"a@x.example,05/31/2026,x,,,",
        "consent_at is not a date like 2026-05-31 or 2026-05-31T14:30:00Z.",
    ),
    "31 February": (
        b"a@x.example,2026-02-31,x,,,",
        "consent_at is not a date like 2026-05-31 or 2026-05-31T14:30:00Z.",
    ),
    "tomorrow": (b"a@x.example,2026-11-21,x,,,", "consent_at is in the future."),
    "year one": (b"a@x.example,0001-01-01T00:00+14:00,x,,,", "consent_at is outside of the calendar."),
    "no proof": (b"a@x.example,2026-01-01, ,,,", "consent_source is empty: say how the person agreed."),
    "long proof": (
        b"a@x.example,2026-01-01," + b"x" * 201 + b",,,",
        "consent_source is longer than 200 characters.",
    ),
    "unknown component": (b"a@x.example,2026-01-01,x,API;Warp drive,,", "There is no component “Warp drive”."),
    "severity": (
        b"a@x.example,2026-01-01,x,,5,",
        "least_severity is a number from 1 (only the worst) to 4 (everything).",
    ),
    "language": (b"a@x.example,2026-01-01,x,,,English!", "language is a code like en or pt-BR."),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_bad_line_harms_no_other(topics: list[Topic], name: str) -> None:
    """F17: the line is named with what is wrong; the lines around it come in."""
    line, words = WRONG[name]
    good = b"%s@x.example,2026-01-01,x,,,\n"
    text = FULL.encode() + b"\n" + good % b"first" + line + b"\n\n" + good % b"last"
    report = run(text)
    assert (report.counts[Verdict.NEW], report.counts[Verdict.WRONG]) == (2, 1)
    assert [(number, verdict) for number, verdict, _ in said(report)] == [(3, "wrong")]
    assert words in (None, report.shown[0].words)
    assert report.shown[0].words
    assert sorted(Subscriber.objects.values_list("address", flat=True)) == ["first@x.example", "last@x.example"]


def test_the_same_address_twice_comes_in_once(db: None) -> None:
    report = run(f"{HEAD}\n{ADA},2026-01-01,first\n{ADA.upper()},2026-01-01,second\n", dry=False)
    assert said(report) == [(3, "wrong", "The same address stands further up.")]
    assert Subscriber.objects.get().consent_source == "first"


def test_an_open_quote_is_named_and_ends_nothing(db: None) -> None:
    report = run(f'{HEAD}\na@x.example,2026-01-01,x\nb@x.example,2026-01-01,"open\nc@x.example,2026-01-01,x\n')
    assert (report.counts[Verdict.NEW], [line.number for line in report.shown]) == (1, [3])


BAD_FILES = {
    "empty": (b"", "The file is empty"),
    "only a mark": (b"\xef\xbb\xbf", "The first line lacks"),
    "no header": (b"a@x.example,2026-01-01,x\n", "The first line lacks: address, consent_at, consent_source"),
    "semicolons": (HEAD.replace(",", ";").encode(), "separated by commas"),
    "unknown column": (f"{HEAD},state\n".encode(), "Unknown columns: “state”"),
    "column twice": (f"{HEAD},address\n".encode(), "named twice"),
    "UTF-16": (HEAD.encode("utf-16"), "UTF-16"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "The first line"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_no_such_file_is_refused_whole(db: None, name: str) -> None:
    content, words = BAD_FILES[name]
    with pytest.raises(BadFile, match=words):
        run(content)


def test_a_byte_order_mark_changes_nothing(db: None) -> None:
    assert run("\ufeff" + f"{HEAD}\n{ADA},2026-01-01,x\n").counts == {"new": 1}
    assert Subscriber.objects.get().address == ADA


def test_a_file_that_is_too_large_is_not_begun(db: None) -> None:
    with pytest.raises(BadFile, match="larger than 30 MB"):
        run(csv_file(1) + b"\n" * sheets.LARGEST)
    assert Subscriber.objects.count() == 0


def test_many_lines_cost_a_few_queries_a_thousand(topics: list[Topic]) -> None:
    """Set-based: the number of statements grows with the chunks, not with the people."""
    run(csv_file(1))
    with CaptureQueriesContext(
        connection,
    ) as small:
        run(csv_file(1000, "a.example"))
    with CaptureQueriesContext(connection) as large:
        assert run(csv_file(3000, "b.example")).counts == {"new": 3000}
    assert len(large) - len(small) == 2 * (len(small) - 1)


# --- the command -------------------------------------------------------------------------


def test_the_command_reports_every_line_and_then_imports(tmp_path: Path, brand: Brand) -> None:
    file, out = tmp_path / "people.csv", StringIO()
    file.write_text(f"{HEAD}\n{ADA},2026-01-01,x\nbad,2026-01-01,x\n")
    call_command("import_subscribers", file, "--dry-run", stdout=out)
    assert out.getvalue().splitlines()[0].startswith("line 3: wrong: bad ")
    assert out.getvalue().splitlines()[1] == (
        "2 lines: 1 new, 0 already there, 0 suppressed, 1 wrong. Nothing was written."
    )
    assert Subscriber.objects.count() == 0
    call_command("import_subscribers", file, stdout=StringIO())
    assert Subscriber.objects.get().address == ADA
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_subscribers", tmp_path / "nothing.csv")


# --- the console -------------------------------------------------------------------------


@pytest.fixture
def clerk(client: Client, brand: Brand) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_subscriber", "import_subscriber"]))
    client.force_login(user)
    return client


def upload(text: str) -> dict[str, SimpleUploadedFile]:
    return {"file": SimpleUploadedFile("people.csv", text.encode())}


def test_check_then_import(clerk: Client) -> None:
    """The file is checked first; the button imports it once, however often it is pressed."""
    assert b"count as confirmed by the proof you give" in clerk.get(SCREEN).content
    page = clerk.post(SCREEN, upload(f"{HEAD}\n{ADA},2026-01-01,x\n<b>,2026-01-01,x\n"))
    assert (page.status_code, b"1 of 2 lines would be imported" in page.content) == (200, True)
    assert (b"<b>" in page.content, Subscriber.objects.count()) == (False, 0)
    button = {"confirm": str(ImportFile.objects.get().pk)}
    for _ in range(2):
        assert clerk.post(SCREEN, button).headers["Location"] == LIST
    assert (Subscriber.objects.get().address, ImportFile.objects.count()) == (ADA, 0)
    assert list(LogEntry.objects.values_list("change_message", flat=True)) == ["Imported 1 of 2 lines."]


def test_nobody_presses_the_button_of_another(clerk: Client) -> None:
    other = User.objects.create_user("other")
    theirs = ImportFile.objects.create(owner=other, name="x", packed=b"", uploaded_at=NOON)
    for pressed in (str(theirs.pk), "x", "9" * 30):
        assert clerk.post(SCREEN, {"confirm": pressed}).status_code == 302
    assert (ImportFile.objects.count(), Subscriber.objects.count()) == (1, 0)


def test_a_bad_upload_says_why(clerk: Client) -> None:
    page = clerk.post(SCREEN, upload("x\n"))
    assert (page.status_code, b"The first line lacks" in page.content) == (422, True)
    assert b"Choose a file first." in clerk.post(SCREEN).content


def test_importing_needs_its_permission(clerk: Client) -> None:
    User.objects.get(username="clerk").user_permissions.set(Permission.objects.filter(codename="view_subscriber"))
    assert (clerk.get(SCREEN).status_code, clerk.post(SCREEN, upload(HEAD)).status_code) == (403, 403)
