"""Mail as bytes: well-formed, frozen, and nobody else's words in its headers (S25, reliability.md 3.2)."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from notifications import compiler, mime, tokens
from notifications.compiler import Unsendable, mould, preview, preview_letter
from notifications.enums import Kind
from notifications.models import Announcement, Brand, Rendering
from notifications.outbox import Letter
from tests import scene
from tests.notifications.news import letter, news, reader, story

pytestmark = pytest.mark.django_db


def cast(announcement: Announcement, address: str = "ann@example.org", person: bytes = b"p" * 16) -> bytes:
    return mould(announcement.pk, "en").cast(address, person, 0)


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.SMTP)
    assert isinstance(message, EmailMessage)
    return message


def bodies(message: EmailMessage) -> tuple[str, str]:
    text, html = message.iter_parts()
    return text.get_content(), html.get_content()


def test_a_message_is_well_formed() -> None:
    """Multipart text and HTML, the brand's sender, answers to support, frozen date."""
    announcement = news(at=datetime(2026, 11, 20, 14, 5, 6, tzinfo=UTC))
    message = parsed(cast(announcement))
    assert message.defects == []
    assert message["From"] == "Northwind Status <status@northwind.example>"
    assert message["To"] == "ann@example.org"
    assert message["Reply-To"] == "Northwind <support@northwind.example>"
    assert message["Subject"] == "[Northwind] Investigating: Card payments fail"
    assert message["Date"] == "Fri, 20 Nov 2026 14:05:06 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert re.fullmatch(r"<[0-9a-f]{32}@127\.0\.0\.1>", message["Message-ID"])
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [part.defects for part in message.iter_parts()] == [[], []]
    for name in ("From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "MIME-Version"):
        assert len(message.get_all(name)) == 1


def test_one_click_unsubscribe() -> None:
    """RFC 8058: both headers, an https link of this person, the same in both bodies."""
    ann = reader("ann")
    announcement = news()
    message = parsed(mould(announcement.pk, "en").cast(ann.address, ann.public_id.bytes, ann.generation))
    leave = tokens.url(tokens.make(ann, tokens.UNSUBSCRIBE), tokens.UNSUBSCRIBE)
    manage = tokens.url(tokens.make(ann, tokens.MANAGE), tokens.MANAGE)
    assert message["List-Unsubscribe"] == f"<{leave}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for body in bodies(message):
        assert (body.count(leave), body.count(manage)) == (1, 1)


def test_every_copy_is_the_same_bytes() -> None:
    """reliability.md 3.2 no. 9: rendered once, kept, whatever the templates or the brand say later."""
    announcement = news()
    first = cast(announcement)
    Brand.objects.update(signature="Another signature")
    assert cast(announcement) == first
    assert Rendering.objects.count() == 1
    Rendering.objects.all().delete()
    assert cast(announcement) != first


def test_compiling_twice_gives_the_same_bytes() -> None:
    announcement = news()
    assert compiler.compile_mail(announcement, "en") == compiler.compile_mail(announcement, "en")


def test_people_differ_only_in_their_gaps() -> None:
    announcement = news()
    one, two = cast(announcement, "ann@example.org", b"a" * 16), cast(announcement, "bob@example.org", b"b" * 16)
    assert parsed(one)["Message-ID"] != parsed(two)["Message-ID"]
    different = [(a, b) for a, b in zip(one.split(b"\r\n"), two.split(b"\r\n"), strict=True) if a != b]
    # To, Message-ID, List-Unsubscribe, and two links in each body.
    assert len(different) == 3 + 2 * 2


def test_a_lane_is_a_thread() -> None:
    """The first message of a lane is the root that all later ones answer."""
    first, second = parsed(cast(news("Investigating"))), parsed(cast(news("Investigating", "Resolved")))
    assert first["In-Reply-To"] is None
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    assert second["Message-ID"] != first["Message-ID"]
    assert parsed(cast(news(lane="other")))["Message-ID"] != first["Message-ID"]


@pytest.mark.parametrize(
    "title", ["Zahlungen schlagen fehl – für alle Händler in Köln", "支払いができません" * 10, "x" * 120]
)
def test_words_beyond_ascii_travel_as_seven_bits(title: str) -> None:
    """998 limit, 7-bit, CRLF, no line that begins with a dot (SMTP smuggling)."""
    text = "Ünïcödé ✓ " + "long " * 400 + "\n.\n..dots\nFrom here = there \n" + "a" * 3000
    raw = cast(news(title=title, text=text))
    assert raw.isascii()
    lines = raw.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(line.startswith(b".") or b"\n" in line or b"\r" in line for line in lines)
    message = parsed(raw)
    assert message["Subject"] == f"[Northwind] Investigating: {title}"
    plain, html = bodies(message)
    assert text.strip() in plain.replace("\r\n", "\n")
    assert "Ünïcödé ✓" in html


def test_names_beyond_ascii() -> None:
    brand = scene.brand(sender_name="Straßenbahn, „Köln“ Status", name="Straßenbahn")
    message = parsed(cast(news(brand=brand)))
    assert message["From"].addresses[0].display_name == "Straßenbahn, „Köln“ Status"
    assert message["From"].addresses[0].addr_spec == "status@northwind.example"


@pytest.mark.parametrize("evil", ["a\r\nBcc: all@example.org", "a\nBcc: x@y", "a\x00b", "a\rb", "a\x85b", "a\u2028b"])
@pytest.mark.parametrize("where", ["subject", "sender_name", "sender_email", "support_email", "name", "to"])
def test_no_words_become_headers(evil: str, where: str) -> None:
    """S25: line breaks and NUL are refused wherever words meet a header."""
    announcement = news()
    if where == "to":
        made = mould(announcement.pk, "en")
        with pytest.raises(mime.BadHeader):
            made.cast(evil, b"p" * 16, 0)
        return
    setattr(announcement if where == "subject" else announcement.brand, where, evil)
    with pytest.raises((mime.BadHeader, Unsendable)):
        compiler.compile_mail(announcement, "en")


def test_markup_in_words_stays_words() -> None:
    """Titles, names and signatures are escaped in the HTML part."""
    _, html = bodies(parsed(cast(news(title="<script>alert(1)</script>"))))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_gaps_are_counted() -> None:
    """A template that loses a link is not sent."""
    announcement = news()
    with pytest.raises(Unsendable, match="gaps"):
        compiler._check("To: x\r\n", ["to"], compiler._expected(announcement))
    assert announcement.kind == Kind.INCIDENT


def test_a_letter_has_no_list_headers() -> None:
    announcement = letter("new@example.org", "other@example.org")
    message = parsed(mould(announcement.pk, "en").cast("new@example.org", b"new@example.org", 0))
    assert message["List-Unsubscribe"] is None
    assert message["To"] == "new@example.org"
    text, html = bodies(message)
    for body in (text, html):
        assert "https://status.example/c/1" in body
    again = parsed(mould(announcement.pk, "en").cast("other@example.org", b"other@example.org", 0))
    assert again["Message-ID"] != message["Message-ID"]


def test_the_mail_tells_what_the_page_tells() -> None:
    """R-1301, R-206: phase, newest words first, what is affected, the promise, the whole timeline, the page."""
    told = story("Investigating", "Identified", "Monitoring", next_update_by="2026-11-20T15:30:00+00:00")
    seen = preview(told, scene.brand(), "Subject")
    for body in (seen.text, seen.html):
        places = [body.index(f"We are on it. ({n})") for n in (2, 1, 0)]
        assert places == sorted(places)
        assert "15:30" in body
        assert "Payments" in body
        assert "Partial outage" in body
        assert told.url in body
        assert "The Northwind team" in body
        assert "INC-2026-0042" in body
    assert "MONITORING: Card payments fail" in seen.text
    assert "There is no fixed time" not in seen.text


def test_a_mail_without_a_promise_says_so_unless_it_is_over() -> None:
    """R-1301: each update says when the next comes, or that there is none."""
    brand = scene.brand()
    assert "There is no fixed time for the next update." in preview(story(), brand, "s").text
    over = preview(story("Investigating", "Resolved"), brand, "s")
    assert "no fixed time" not in over.text
    assert "What was affected" in over.html


def test_a_preview_writes_nothing_and_asks_once(django_assert_num_queries: object) -> None:
    brand = scene.brand()
    with django_assert_num_queries(1):  # type: ignore[operator]
        preview(story(), brand, "Subject")
    with django_assert_num_queries(1):  # type: ignore[operator]
        preview_letter(Letter("Hello", ("One.",)), brand, "Subject")
    assert Rendering.objects.count() == 0


def test_filling_in_is_cheap_in_statements(django_assert_num_queries: object) -> None:
    announcement = news()
    made = mould(announcement.pk, "en")
    with django_assert_num_queries(0):  # type: ignore[operator]
        for n in range(50):
            made.cast(f"r{n}@example.org", bytes(16), 0)
    with django_assert_num_queries(2):  # type: ignore[operator]
        mould(announcement.pk, "en")


def test_an_unknown_language_reads_the_first() -> None:
    announcement = news()
    assert mould(announcement.pk, "tlh").pieces == mould(announcement.pk, "en").pieces
    assert Rendering.objects.count() == 1


def test_soft_breaks_never_cut_an_atom() -> None:
    atom = "T" * 56
    for lead in range(80):
        encoded = mime.quoted_printable("x" * lead + atom + "é" * 30, [atom])
        assert encoded.count(atom) == 1
        assert max(map(len, encoded.split("\r\n"))) <= 76
