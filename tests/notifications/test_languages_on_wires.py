"""An update in two languages followed to its readers over real wires: mail, texts, rooms, webhooks (R-206, R-205)."""

from __future__ import annotations

import email
import json
from datetime import time, timedelta
from email import policy

import pytest
from django.utils import timezone

from incidents import lifecycle
from incidents.models import Incident
from notifications import compiler, delivery, digests, fanout, targets
from notifications.choices import Choice
from notifications.enums import Pool
from notifications.models import Announcement, Delivery, Rendering, Subscriber
from status.enums import Level, Phase
from status.publishing import Draft
from status.translations import Translation
from tests import scene
from tests.notifications.carrier import Carrier
from tests.notifications.hooks import drain, webhook
from tests.notifications.news import reader
from tests.notifications.receiver import Receiver
from tests.notifications.relay import Relay
from tests.notifications.rooms import DISCORD, SLACK, Rooms
from tests.notifications.texting import ANN, BOB, phone
from tests.notifications.texting import work as text_everybody

pytestmark = pytest.mark.django_db
GERMAN = Translation("Wir **untersuchen** es.", "API: Wir untersuchen es.", "Wir sehen es uns an.")
DRAFT = Draft(Phase.INVESTIGATING, "We are **looking** into it.", "API: we look.", None, "Looking.", {"de": GERMAN})


def declared(draft: Draft = DRAFT) -> Incident:
    incident = scene.incident(
        draft=draft, at=timezone.now(), severity=scene.severity(rank=2), channels=["email", "sms", "chat", "webhook"]
    )
    tell()
    return incident


def tell() -> None:
    """Whatever was said and not yet written down for its readers."""
    for news in Announcement.objects.order_by("pk"):
        fanout.expand(news.pk)


def mails(relay: Relay, name: str) -> list[tuple[str, str]]:
    """(subject, text) of every mail to somebody, in order."""
    found = [
        email.message_from_bytes(kept.content, policy=policy.default)
        for kept in relay.kept
        if kept.to == f"{name}@example.org"
    ]
    return [(str(mail["Subject"]), mail.get_body(("plain",)).get_content()) for mail in found]  # type: ignore[union-attr]


def test_r206_by_mail_everybody_reads_their_own_language_from_declaring_to_the_false_alarm(relay: Relay) -> None:
    reader("ann")
    reader("uwe", language="de")
    incident = declared()
    delivery.drain("news")
    [(subject, text)] = mails(relay, "uwe")
    assert subject == "[Northwind] Wird untersucht: API is not answering"
    assert "Wir untersuchen es." in text
    assert "looking" not in text
    [(_, text)] = mails(relay, "ann")
    assert "We are looking into it." in text
    assert "Wir" not in text

    # A correction without German: nobody reads the old words any more.
    assert incident.notice is not None
    first = incident.notice.updates.get()
    lifecycle.correct_update(incident, first, "We look into the API.", by=None, at=timezone.now(), channels=["email"])
    tell()
    delivery.drain("news")
    subject, text = mails(relay, "uwe")[-1]
    assert subject == "[Northwind] Berichtigung: API is not answering"
    assert "We look into the API." in text
    assert "untersuchen es" not in text

    said = {"de": Translation("Das war ein Fehlalarm.")}
    lifecycle.mark_false_alarm(incident, body="A false alarm.", translations=said, by=None, at=timezone.now())
    tell()
    delivery.drain("news")
    subject, text = mails(relay, "uwe")[-1]
    assert subject == "[Northwind] Behoben: API is not answering"
    assert text.index("Das war ein Fehlalarm.") < text.index("We look into the API.")


def test_r206_what_is_sent_again_is_the_same_bytes_in_each_language(relay: Relay) -> None:
    uwe = reader("uwe", language="de")
    declared()
    delivery.drain("news")
    news = Announcement.objects.get(kind="incident")
    frozen = Rendering.objects.get(announcement=news, language="de")
    again, slots = compiler.compile_mail(news, "de")
    assert (again, slots) == (frozen.parts, frozen.slots)
    # Another language beside it changes nothing.
    compiler.mould(news.pk, "en")
    assert Rendering.objects.get(pk=frozen.pk).parts == again
    [kept] = relay.kept
    sealed = compiler.mould(news.pk, "de").cast(uwe.address, uwe.public_id.bytes, uwe.generation)
    assert len(sealed) == len(kept.content)


def test_r206_phones_read_their_own_language(carrier: Carrier) -> None:
    phone(ANN)
    phone(BOB, language="de")
    incident = declared()
    text_everybody()
    assert sorted(one.body for one in carrier.kept) == [
        "Northwind: API: Wir untersuchen es.\nAbmelden: STOP antworten",
        "Northwind: API: we look.\nReply STOP to end",
    ]
    carrier.kept.clear()
    later = Draft(Phase.IDENTIFIED, "Found it.", translations={"de": Translation("Gefunden.")})
    lifecycle.post_update(incident, later, levels={scene.component(): Level.MAJOR}, by=None, at=timezone.now())
    tell()
    text_everybody()
    said = {one.to: one.body for one in carrier.kept}
    assert said[BOB].startswith("Northwind: Ursache gefunden: API is not answering. Gefunden. http")
    assert said[ANN].startswith("Northwind: Identified: API is not answering. Found it. http")


def test_r1314_a_digest_has_each_story_in_the_readers_language(relay: Relay) -> None:
    reader("uwe", language="de", digest_at=time(8), time_zone="UTC")
    reader("ann", digest_at=time(8), time_zone="UTC")
    declared()
    assert delivery.drain("news") == 0
    # Two digests: they are alike, and each is read in the language of its reader.
    digests.send(timezone.now() + timedelta(days=1))
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert delivery.drain("news") == 2
    [(_, text)] = mails(relay, "uwe")
    assert "Wir untersuchen es." in text
    assert "looking" not in text
    [(_, text)] = mails(relay, "ann")
    assert "We are looking into it." in text


def test_r206_rooms_read_the_words_for_rooms_each_in_its_language(rooms: Rooms) -> None:
    brand, by = scene.brand(), scene.operator()
    for url, language in ((SLACK, "en"), (DISCORD, "de")):
        room = targets.add(url, name=language, brand=brand, team="", choice=Choice(), by=by, at=timezone.now())
        Subscriber.objects.filter(pk=room.pk).update(language=language)
    declared()
    assert delivery.drain(Pool.CHATS) == 2
    english, german = sorted((json.dumps(body, ensure_ascii=False) for _, _, body in rooms.asked), key=len)
    if "Wird untersucht" in english:
        english, german = german, english
    assert "[Northwind] Investigating: API is not answering" in english
    assert "Looking." in english
    assert "Wir sehen es uns an." not in english
    assert "[Northwind] Wird untersucht: API is not answering" in german
    assert "Wir sehen es uns an." in german


def test_r206_a_webhook_carries_the_original_as_the_protocol_says(receiver: Receiver) -> None:
    webhook(receiver)
    declared()
    drain()
    bodies = [json.loads(heard.body) for heard in receiver.heard]
    [told] = [body["incident"]["incident_updates"] for body in bodies if "incident" in body]
    assert [one["body"] for one in told] == ["We are looking into it."]
