"""The local mailbox: kept whole, bounded, readable, and harmless whatever the mail says."""

import asyncio
import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from notifications.mailbox import box as box_module
from notifications.mailbox.box import Box
from notifications.mailbox.reading import opened
from notifications.mailbox.sink import LARGEST, protocol


@pytest.fixture
def box(settings, tmp_path: Path) -> Box:
    settings.MAILBOX_DIR = tmp_path / "mailbox"
    settings.MAILBOX_IN_USE = True
    return Box(settings.MAILBOX_DIR)


@pytest.fixture
def port(box: Box) -> Iterator[int]:
    """The relay on a free port, in a thread of its own."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: protocol(box), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def staff(db) -> Client:
    client = Client()
    sam = get_user_model().objects.create_user("sam", is_staff=True)
    sam.user_permissions.add(Permission.objects.get(codename="view_address"))
    client.force_login(sam)
    return client


def mail(subject: str = "Down", html: str | None = "<p>We are on it.</p>", text: str = "We are on it.") -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "Northwind <status@northwind.example>", "ada@example.org", subject
    letter.set_content(text)
    if html is not None:
        letter.add_alternative(html, subtype="html")
    return letter


def put(box: Box, content: bytes | EmailMessage) -> str:
    raw = content if isinstance(content, bytes) else content.as_bytes()
    return box.add(raw, recipients=["ada@example.org"], sender="bounce@northwind.example")


def test_what_is_sent_over_smtp_is_read_in_the_console(port: int, box: Box, staff: Client) -> None:
    with smtplib.SMTP("127.0.0.1", port) as relay:
        relay.send_message(mail("API störung"), to_addrs=["ada@example.org", "bob@example.org"])
    page = staff.get("/admin/mailbox/")
    (entry,) = page.context["entries"]
    assert entry.head.recipient == "ada@example.org, bob@example.org"
    assert entry.head.subject == "API störung"
    (key,) = box.keys()
    shown = staff.get(f"/admin/mailbox/{key}/")
    assert shown.context["title"] == "API störung"
    assert [name for name, _ in shown.context["tabs"]] == ["html", "text", "headers"]
    assert staff.get(f"/admin/mailbox/{key}/?part=text").context["mail"].text.strip() == "We are on it."


def test_the_newest_stand_first_and_the_search_reads_recipient_sender_and_subject(box: Box, staff: Client) -> None:
    for subject in ("first", "second", "third"):
        put(box, mail(subject))
    assert [entry.head.subject for entry in box.entries()] == ["third", "second", "first"]
    assert [entry.head.subject for entry in box.entries("SECOND ada")] == ["second"]
    assert staff.get("/admin/mailbox/?q=nobody").context["entries"] == []


def test_older_mail_is_a_page_away(box: Box, staff: Client) -> None:
    keys = [put(box, mail(str(number))) for number in range(60)]
    first = staff.get("/admin/mailbox/")
    assert len(first.context["entries"]) == 50
    assert first.context["older"] == f"?before={keys[10]}"
    second = staff.get("/admin/mailbox/" + first.context["older"])
    assert len(second.context["entries"]) == 10
    assert second.context["older"] == ""


def test_only_the_newest_are_kept(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_module, "MESSAGES_KEPT", 5)
    monkeypatch.setattr(box_module, "_SLACK", 1)
    keys = [put(box, mail(str(number))) for number in range(9)]
    assert box.keys() == keys[:3:-1]
    monkeypatch.setattr(box_module, "BYTES_KEPT", 1)
    box.clear_out()
    assert box.keys() == []


def test_a_message_appears_whole_or_not_at_all(box: Box) -> None:
    put(box, mail())
    (box.folder / "tmp" / "half").write_bytes(b"From: x")
    (box.folder / "new" / "not-ours").write_bytes(b"From: x")
    assert len(box.keys()) == 1


@pytest.mark.parametrize("key", ["..", "../../secret", "%2e%2e%2fsecret", "0" * 20 + ".1.1", "x", "..%2F..%2Fup.lock"])
def test_no_path_leads_out_of_the_box(box: Box, staff: Client, key: str) -> None:
    put(box, mail())
    (box.folder.parent / "secret").write_text("no")
    with pytest.raises(KeyError):
        box.read(key)
    for tail in ("/", "/html", "/source"):
        assert staff.get(f"/admin/mailbox/{key}{tail}").status_code in (404, 302)


def test_html_in_mail_runs_nothing_and_loads_nothing(box: Box, staff: Client) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)><form action='/admin/logout/'><button></form>"
    key = put(box, mail("<script>alert(3)</script>", html=evil))
    frame = staff.get(f"/admin/mailbox/{key}/html")
    policy = frame["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("; sandbox allow-popups allow-popups-to-escape-sandbox")
    assert "script" not in policy
    assert frame["X-Frame-Options"] == "SAMEORIGIN"
    page = staff.get(f"/admin/mailbox/{key}/").content.decode()
    assert "<script>alert" not in page
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page
    listed = staff.get("/admin/mailbox/").content.decode()
    assert "<script>alert" not in listed
    assert "&lt;script&gt;alert(3)&lt;/script&gt;" in listed


def test_links_of_a_mail_open_in_a_tab_of_their_own(box: Box, staff: Client) -> None:
    key = put(box, mail(html="<!doctype html><html><body><a href='https://example.org'>x</a></body></html>"))
    body = staff.get(f"/admin/mailbox/{key}/html").content.decode()
    assert body.startswith('<!doctype html><base target="_blank"><html>')


def test_the_source_is_text_and_whole(box: Box, staff: Client) -> None:
    raw = mail().as_bytes()
    key = put(box, raw)
    response = staff.get(f"/admin/mailbox/{key}/source")
    envelope = b"Return-Path: <bounce@northwind.example>\r\nDelivered-To: ada@example.org\r\n"
    assert response.content == envelope + raw
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"


BROKEN = {
    "nothing at all": b"",
    "no headers": b"\r\n\r\nhello",
    "unknown charset": b"Content-Type: text/plain; charset=klingon\r\n\r\nhello",
    "charset with NUL": b"Content-Type: text/plain; charset=a\x00b\r\n\r\nhello",
    "broken base64": b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!=A=\x00",
    "broken encoded word": b"Subject: =?utf-8?b?!!!?= =?x?q?=ff?=\r\n\r\nhello",
    "raw bytes in headers": b"Subject: caf\xe9 \xff\xfe\r\nTo: \xf0\x9f\r\n\r\nhello",
    "multipart without boundary": b"Content-Type: multipart/mixed\r\n\r\nhello",
    "multipart never closed": b'Content-Type: multipart/alternative; boundary="a"\r\n\r\n--a\r\n\r\nhello',
    "broken parameter": b"Content-Type: text/html; charset*=utf-8'\r\nContent-Disposition: inline; name*=x'\r\n\r\n",
    "control characters": b"Subject: a\x00b\x1b[31mc\x07\r\n\r\nhello\x00",
    "endless header": b"Subject: " + b"x" * 200_000 + b"\r\n\r\nhello",
    "nested too deeply": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth) for depth in range(3_000)
    ),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_broken_mail_is_still_shown(box: Box, staff: Client, content: bytes) -> None:
    key = put(box, content)
    assert staff.get("/admin/mailbox/").status_code == 200
    assert staff.get(f"/admin/mailbox/{key}/").status_code == 200
    assert staff.get(f"/admin/mailbox/{key}/?part=headers").status_code == 200
    assert staff.get(f"/admin/mailbox/{key}/source").status_code == 200
    assert staff.get(f"/admin/mailbox/{key}/html").status_code in (200, 404)


def test_a_huge_mail_is_cut_for_reading_only(box: Box, staff: Client) -> None:
    key = put(box, mail(html=None, text="wide words " * 1_000_000))
    page = staff.get(f"/admin/mailbox/{key}/")
    assert page.context["mail"].remark == "Only the first 300,000 characters are shown. The source has everything."
    assert len(page.content) < 1_000_000
    assert len(staff.get(f"/admin/mailbox/{key}/source").content) > 11_000_000


def test_mail_beyond_the_limit_is_refused_in_smtp(port: int, box: Box) -> None:
    with smtplib.SMTP("127.0.0.1", port) as relay, pytest.raises(smtplib.SMTPSenderRefused) as refusal:
        relay.sendmail("a@example.org", ["b@example.org"], b"x" * (LARGEST + 1))
    assert refusal.value.smtp_code == 552
    assert box.keys() == []


def test_attachments_are_named_not_shown() -> None:
    letter = mail()
    letter.add_attachment(b"BEGIN:VCALENDAR", maintype="text", subtype="calendar", filename="plan.ics")
    assert opened(letter.as_bytes()).attachments == ["plan.ics (text/calendar)"]


def test_an_empty_box_says_how_to_fill_it(box: Box, staff: Client) -> None:
    assert "No mail yet" in staff.get("/admin/mailbox/").content.decode()


@pytest.mark.parametrize("path", ["", "{key}/", "{key}/html", "{key}/source"])
def test_staff_only(box: Box, db, path: str) -> None:
    address = "/admin/mailbox/" + path.format(key=put(box, mail()))
    client = Client()
    assert client.get(address).headers["Location"].startswith("/admin/login/")
    client.force_login(get_user_model().objects.create_user("visitor"))
    assert client.get(address).headers["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", ["", "{key}/", "{key}/html", "{key}/source"])
def test_not_there_when_a_relay_is_in_use(box: Box, staff: Client, settings, path: str) -> None:
    key = put(box, mail())
    settings.MAILBOX_IN_USE = False
    assert staff.get("/admin/mailbox/" + path.format(key=key)).status_code == 404


def test_who_may_not_see_addresses_reads_nobodys_mail(staff: Client, box: Box) -> None:
    """A whole mail names its reader and holds links that act for them (reliability.md 4.1)."""
    key = put(box, mail())
    get_user_model().objects.get().user_permissions.clear()
    for tail in ("", f"{key}/", f"{key}/html", f"{key}/source"):
        assert staff.get(f"/admin/mailbox/{tail}").status_code == 403, tail
    assert "/admin/mailbox/" not in staff.get("/admin/").content.decode()
