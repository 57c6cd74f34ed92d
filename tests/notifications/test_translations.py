"""Words that an operator put into the reader's language: mail, text messages, rooms (R-206)."""

from __future__ import annotations

import email
from email import policy

import pytest

from notifications import compiler, delivery, fanout, texts
from notifications.channels import wording
from notifications.enums import Channel
from notifications.lint import Unsendable
from notifications.models import Announcement
from notifications.outbox import Line
from tests.notifications.news import news, reader
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db
GERMAN = {"de": {"text": "Es geht wieder.", "html": "<p>Es geht wieder.</p>"}}
OLD = Line("Investigating", "2026-11-20T14:00:00+00:00", "We look into it.", "<p>We look into it.</p>")
NEW = Line("Resolved", "2026-11-20T14:30:00+00:00", "It works again.", "<p>It works again.</p>", translations=GERMAN)


def resolved(**changes: object) -> Announcement:
    """News whose newest line is said in German too, the older one only in English."""
    return news("Resolved", **({"lines": (NEW, OLD)} | changes))  # type: ignore[arg-type]


def mail(relay: Relay, address: str) -> tuple[str, str]:
    [kept] = [kept for kept in relay.kept if kept.to == address]
    message = email.message_from_bytes(kept.content, policy=policy.default)
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text
    assert html
    return text.get_content(), html.get_content()


def test_r206_mail_has_each_line_in_the_readers_language_or_as_it_was_written(relay: Relay) -> None:
    reader("ann")
    reader("uwe", language="de")
    fanout.expand(resolved().pk)
    assert delivery.drain("news") == 2
    text, html = mail(relay, "uwe@example.org")
    assert "Es geht wieder." in text
    assert "It works again." not in text + html
    assert "We look into it." in text
    assert html.count('lang="de"') == 1, "the mail itself"
    assert 'class="words" lang="en"' in html, "a screen reader is told where the language changes"
    text, html = mail(relay, "ann@example.org")
    assert "It works again." in text
    assert "Es geht" not in text + html
    assert 'class="words" lang' not in html


def test_r206_a_text_is_in_the_language_of_its_reader_and_says_there_how_to_leave() -> None:
    announcement = resolved(sms="Up again.", translations={"de": {"sms": "Es läuft wieder.", "chat": ""}})
    assert texts.compile_text(announcement, Channel.SMS, "de") == (
        "Northwind: Es läuft wieder.\nAbmelden: STOP antworten"
    )
    for language in ("en", "fr"):
        assert texts.compile_text(announcement, Channel.SMS, language) == "Northwind: Up again.\nReply STOP to end"


def test_r206_rooms_read_their_own_words_and_accounts_those_of_everybody() -> None:
    announcement = resolved(
        chat="Rolled back.",
        next_update_by="2027-01-02T16:00:00+00:00",
        translations={"de": {"sms": "", "chat": "Zurückgerollt."}},
    )
    english, german = wording.note(announcement), wording.note(announcement, language="de")
    assert (english.text, english.title) == ("Rolled back.", "Resolved: Card payments fail")
    assert (german.text, german.title) == ("Zurückgerollt.", "Behoben: Card payments fail")
    assert german.subject == "[Northwind] Behoben: Card payments fail"
    assert german.promise == "Nächste Nachricht bis 16:00 UTC am 2. Januar."
    assert wording.note(announcement, Channel.SOCIAL).text == "It works again."
    assert wording.note(announcement, Channel.SOCIAL, "de").text == "Es geht wieder."


def test_a_room_whose_language_is_missing_reads_all_of_it_in_the_original() -> None:
    announcement = resolved(lines=(OLD,), chat="Looking.", translations={})
    assert wording.note(announcement, language="de") == wording.note(announcement)


@pytest.mark.parametrize(
    "broken",
    [
        {"chat": "Cause: {{cause}}"},
        {"translations": {"de": {"sms": "GrÃ¼ÃŸe", "chat": ""}}},
        {"translations": {"de": {"sms": "", "chat": "Ursache: {{cause}}"}}},
        {"lines": (Line("Resolved", OLD.posted_at, "x", "x", translations={"de": {"text": "{{cause}}", "html": ""}}),)},
    ],
)
def test_r111_no_language_and_no_room_gets_what_must_not_go_out(broken: dict[str, object]) -> None:
    with pytest.raises(Unsendable):
        resolved(**broken)


def test_news_from_before_there_were_languages_is_still_told() -> None:
    announcement = resolved()
    for key in ("translations", "chat"):
        del announcement.content[key]
    for line in announcement.content["lines"]:
        del line["translations"]
    compiler.compile_mail(announcement, "de")
    assert wording.note(announcement, language="de").text == "It works again."
    assert texts.compile_text(news(lane="other", sms="Down."), Channel.SMS, "de").startswith("Northwind: Down.")
