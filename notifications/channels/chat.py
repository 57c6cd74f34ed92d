"""The wires of chat rooms and of social accounts, over Apprise's plugins (R-801, R-1204, S20).

A message goes to one place by one post. A plugin says only whether that went well, so the answers
of the service itself are sorted here: by whether it was taken, and by whose fault it was when not.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

from apprise import NotifyFormat, NotifyType
from django.core.exceptions import ValidationError

from notifications import rooms, vault
from notifications.channels import chat_urls, replies, wording
from notifications.channels.chat_urls import Target
from notifications.channels.port import Answer, Port, Verdict
from notifications.channels.port import Mould as AnyMould
from notifications.channels.services import SERVICES
from notifications.channels.talk import Talk, take_over
from notifications.channels.webhook import place
from notifications.channels.wording import Note
from notifications.egress import Client
from notifications.enums import Channel, Doubt
from notifications.models import Announcement, Endpoint, Rendering
from notifications.queue import Item

log = logging.getLogger(__name__)
_random = SystemRandom()

for service in SERVICES:
    take_over(service.module)

#: Seconds from the first try to each of the tries: some hours, then it is no news any more.
SCHEDULE = (0, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400)
#: Keys are names, not secrets, and must not change when keys are rotated.
_KEY = b"heliograph.chat-key"


@dataclass(frozen=True)
class Mould:
    """A note, to be cut to the service of each target."""

    note: Note
    repeats: bool

    def fill(self, item: Item) -> bytes:
        """The note and where it goes, which is looked up on the way and never written anywhere. One query.

        Raises ``vault.Unreadable`` when the address was sealed with a key that is gone.
        """
        person = uuid.UUID(bytes=item.person)
        sealed = Endpoint.objects.values_list("url", flat=True).get(subscriber__public_id=person)
        url = vault.open_sealed(sealed, place("url", person))
        return json.dumps({"url": url, "note": self.note.as_json()}).encode()


class Wire:
    """Posts one message at a time; nothing is kept open between them."""

    def __init__(self) -> None:
        self._client: Client | None = None

    def open(self) -> None:
        """There is no connection to open: each request has its own."""

    def send(self, item: Item, message: bytes, mould: AnyMould, *, deadline: float) -> Answer:
        """One try at one place."""
        told = json.loads(message)
        note = wording.from_json(told["note"])
        try:
            target = chat_urls.parse(told["url"], sender=note.brand)
        except ValidationError as error:
            return Answer(Verdict.OURS, " ".join(error.messages))
        self._client = self._client or Client()
        return post(target, note, key=_key(note.news, item.person), client=self._client, deadline=deadline)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def mould(channel: Channel) -> Callable[[int, str], Mould]:
    """How the news of a channel are compiled: frozen once, then cut to each service."""

    def compiled(announcement_id: int, language: str) -> Mould:
        announcement = Announcement.objects.select_related("brand").get(pk=announcement_id)
        wire = {"announcement": announcement, "channel": channel, "language": language}
        rendering = Rendering.objects.filter(**wire).first()
        if rendering is None:
            part = json.dumps(wording.note(announcement, channel, language).as_json(), ensure_ascii=False)
            digest = hashlib.sha256(part.encode()).hexdigest()
            Rendering.objects.bulk_create(
                [Rendering(**wire, parts=[part], slots=[], sha256=digest)], ignore_conflicts=True
            )
            rendering = Rendering.objects.get(**wire)
        note = wording.from_json(json.loads(rendering.parts[0]))
        return Mould(note, repeats=announcement.on_doubt == Doubt.RETRY)

    return compiled


def post(target: Target, note: Note, *, key: str, client: Client, deadline: float) -> Answer:
    """Post a note to a place and sort what was answered; ``deadline`` as ``time.monotonic`` tells it."""
    service, plugin = target.service, target.plugin
    words = wording.written(note, service, public=service.channel == Channel.SOCIAL)
    _prepare(service.key, plugin, note)
    # A fresh plugin has nothing to wait for but what it makes up itself; courtesy is the courier's.
    plugin.throttle = lambda *_, **__: None
    talk = Talk(client, deadline, key, service.quiet)
    told = False
    try:
        with talk.held():
            told = plugin.notify(
                title=words.title,
                body=words.body,
                notify_type=NotifyType(note.severity),
                # Undeclared it goes as it is; Apprise's own ways to mark text up lose some of it.
                body_format=NotifyFormat.TEXT if service.escapes else None,
            )
    except Exception as error:  # what a plugin cannot read it may raise; the answers say what happened
        log.warning("%s: the plugin broke: %s", service.name, type(error).__name__)
    return replies.sort(target, talk, told=told)


def _prepare(service: str, plugin: Any, note: Note) -> None:
    """Alerts are opened, and closed, by the name of their incident."""
    name = note.lane or "heliograph-test"
    if service == "pagerduty":
        details = {"Update": note.text[:1_000], "Next update": note.promise}
        plugin.dedup, plugin.click = name, note.link
        plugin.details = {label: words for label, words in details.items() if words}
    elif service == "opsgenie":
        plugin.alias = name


def _key(news: str, person: bytes) -> str:
    """Of this news at this place, however often it is sent."""
    return hmac.new(_KEY, bytes.fromhex(news) + person, hashlib.sha256).hexdigest()[:32]


def backoff(attempts: int) -> float | None:
    """Seconds to wait after a failed try that ``attempts`` others came before; None: it was the last."""
    if attempts + 1 >= len(SCHEDULE):
        return None
    span = SCHEDULE[attempts + 1] - SCHEDULE[attempts]
    return _random.uniform(0.8, 1.2) * span


def _off(channel: Channel, setting: str) -> Callable[[], str]:
    def off() -> str:
        if any(service.is_allowed for service in SERVICES if service.channel == channel):
            return ""
        return f"No service is allowed: {setting} names none."

    return off


def _port(channel: Channel, setting: str) -> Port:
    return Port(
        channel=channel,
        wire=Wire,
        mould=mould(channel),
        off=_off(channel, setting),
        backoff=backoff,
        many_ends=True,
        settled=rooms.settled,
    )


CHAT = _port(Channel.CHAT, "CHAT_SERVICES")
SOCIAL = _port(Channel.SOCIAL, "SOCIAL_SERVICES")
