"""Mail in the reader's language: what stands around an operator's words (R-802)."""

from __future__ import annotations

import email
import gettext
import re
from datetime import time, timedelta
from email import policy
from pathlib import Path

import pytest
from babel.messages import pofile
from django.apps import apps
from django.utils import timezone

from notifications import delivery, digests, fanout
from notifications.compiler import _HUES, LANGUAGES
from notifications.models import Announcement
from tests.notifications.news import news, reader
from tests.notifications.relay import Relay

HOME = Path(apps.get_app_config("notifications").path)
MAIL = HOME / "templates" / "notifications" / "email"
OTHERS = [language for language in LANGUAGES if language != "en"]
_SAID = re.compile(r'{% translate "([^"]+)"')


def read_mail(relay: Relay, address: str) -> tuple[str, str, str]:
    """Subject, plain text and HTML."""
    [kept] = [kept for kept in relay.kept if kept.to == address]
    message = email.message_from_bytes(kept.content, policy=policy.default)
    bodies = [message.get_body((kind,)) for kind in ("plain", "html")]
    text, html = (body.get_content().replace("\r\n", "\n") for body in bodies if body)
    return str(message["Subject"]), text, html


@pytest.mark.parametrize("language", OTHERS)
def test_everything_we_say_is_said_in_every_language_and_compiled(language: str) -> None:
    folder = HOME / "locale" / language / "LC_MESSAGES"
    with (folder / "django.po").open("rb") as written:
        catalog = pofile.read_po(written, locale=language)
    with (folder / "django.mo").open("rb") as compiled:
        ready = gettext.GNUTranslations(compiled)
    said = {text for path in MAIL.glob("*") for text in _SAID.findall(path.read_text())} | set(_HUES)
    assert said - {str(entry.id) for entry in catalog if entry.string} == set()
    single = {str(entry.id): entry.string for entry in catalog if entry.id and isinstance(entry.id, str)}
    assert {text: ready.gettext(text) for text in single} == single


@pytest.mark.django_db
def test_each_reads_it_in_their_language_and_the_operators_words_as_written(relay: Relay) -> None:
    reader("ann")
    reader("uwe", language="de")
    reader("ghost", language="tlh")
    announcement = news("Investigating", "Resolved", text="The cards work again.")
    fanout.expand(announcement.pk)
    assert delivery.drain("news") == 3
    subject, text, html = read_mail(relay, "uwe@example.org")
    assert subject == "[Northwind] Behoben: Card payments fail"
    for body in (text, html):
        for words in ("The cards work again.", "Teilweise ausgefallen", "Frühere Nachrichten", "Abbestellen"):
            assert words.casefold() in body.casefold()
        foreign = ("Unsubscribe", "Partial outage", "Earlier updates", "EARLIER UPDATES", "Posted")
        assert [word for word in foreign if word in body] == []
    assert text.startswith("BEHOBEN: Card payments fail\n")
    english = read_mail(relay, "ann@example.org")
    assert english[0] == "[Northwind] Resolved: Card payments fail"
    assert read_mail(relay, "ghost@example.org")[0] == english[0]


@pytest.mark.django_db
def test_a_title_that_begins_like_a_phase_stays_as_written(relay: Relay) -> None:
    """R-802: it is the operator's; only the word before it is ours."""
    reader("uwe", language="de")
    announcement = news("Resolved")
    announcement.subject = "[Northwind] Resolved: Monitoring: no data, Correction: wrong data"
    announcement.save()
    fanout.expand(announcement.pk)
    assert delivery.drain("news") == 1
    assert read_mail(relay, "uwe@example.org")[0] == (
        "[Northwind] Behoben: Monitoring: no data, Correction: wrong data"
    )


@pytest.mark.django_db
def test_a_digest_has_its_readers_language(relay: Relay) -> None:

    reader("uwe", language="de", digest_at=time(8))
    for lane in ("one", "two"):
        fanout.expand(news(lane=lane, rank=2).pk)
    digests.send(timezone.now() + timedelta(days=1))
    Announcement.objects.get(kind="digest").deliveries.update(next_at=timezone.now() - timedelta(seconds=1))
    assert delivery.drain("news") == 1
    subject, text, _ = read_mail(relay, "uwe@example.org")
    assert subject == "[Northwind] 2 Nachrichten seit der letzten Sammlung"
    assert text.startswith("2 Nachrichten seit der letzten Sammlung\n")
