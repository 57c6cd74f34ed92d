"""The wire of webhooks: Statuspage's body under the headers of Standard Webhooks (R-801, F06, S20, S21).

The body is compiled once and frozen; it differs between receivers by the link that ends it. The id
is a delivery's for good, so that a receiver can drop a second copy; the moment and the signatures
are those of the try. Answers count by their status alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

from django.conf import settings
from django.utils import timezone
from standardwebhooks import Webhook

from notifications import quarantine, tokens, vault
from notifications.book import persist
from notifications.channels import port
from notifications.channels.port import Answer, Port, Verdict
from notifications.compiler import Unsendable
from notifications.egress import Client, Unreachable
from notifications.enums import UNSENT, Channel
from notifications.models import Announcement, Delivery, Endpoint, Rendering
from notifications.moments import stamp
from notifications.queue import Item

#: Seconds from the first try to each of the tries, as Standard Webhooks advises: a day in all.
SCHEDULE = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
#: Bodies have no words of ours in them: one serves every language.
LANGUAGE = "en"
_SLOT = "unsubscribe"
#: Ids are names, not secrets, and must not change when keys are rotated.
_ID_KEY = b"heliograph.webhook-id"


@dataclass(frozen=True)
class FarEnd:
    """Where a message goes and what signs it, as they were a moment before it leaves."""

    url: str
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class Mould:
    """A compiled body: what stands before and after the link by which its receiver leaves."""

    head: bytes
    tail: bytes
    #: The announcement's id, as ids of messages are made from; its place in its lane.
    news: bytes
    sequence: int
    leave: Callable[[bytes, int], bytes]
    repeats: bool = True
    #: By public id of the subscriber. Opened when it is needed: a hand has no database to ask.
    ends: dict[bytes, Endpoint] = field(default_factory=dict)
    ready: dict[bytes, FarEnd] = field(default_factory=dict)

    def fill(self, item: Item) -> bytes:
        """The body for one receiver. One query for the first; it brings the far ends of all that wait for this news.

        Raises ``vault.Unreadable`` when the secrets of this one were sealed with a key that is gone.
        """
        sealed = self.ends.get(item.person) or self._look_up(item)
        self.ready[item.person] = far_end(sealed)
        return self.head + self.leave(item.person, item.generation) + self.tail

    def _look_up(self, item: Item) -> Endpoint:
        waiting = Delivery.objects.filter(announcement=item.news, channel=Channel.WEBHOOK, fate__in=UNSENT)
        for endpoint in Endpoint.objects.filter(subscriber__in=waiting.values("subscriber")).select_related(
            "subscriber"
        ):
            self.ends[endpoint.subscriber.public_id.bytes] = endpoint
        return self.ends[item.person]

    def id(self, item: Item) -> str:
        """Of this news at this receiver, however often it is sent."""
        return f"msg_{hmac.new(_ID_KEY, self.news + item.person, hashlib.sha256).hexdigest()[:32]}"


class Wire:
    """Posts one message at a time; nothing is kept open between them."""

    def __init__(self) -> None:
        self._client: Client | None = None

    def open(self) -> None:
        """There is no connection to open: each message has its own."""

    def send(self, item: Item, message: bytes, mould: port.Mould, *, deadline: float) -> Answer:
        """One try. Whatever does not say 2xx or 410 may be tried again: its id stays the same."""
        assert isinstance(mould, Mould)
        if self._client is None:
            self._client = Client()
        end = mould.ready.pop(item.person)
        headers = signed(mould.id(item), message, end.secrets, at=datetime.now(UTC))
        headers["webhook-sequence"] = str(mould.sequence)
        try:
            status = self._client.post(end.url, message, headers, deadline=deadline)
        except Unreachable as reason:
            return Answer(Verdict.LATER, str(reason))
        return Answer(_verdict(status), f"It answered {status}{_phrase(status)}.")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def mould(announcement_id: int, language: str) -> Mould:
    """The compiled body of an announcement: the frozen one, or made and frozen now.

    Raises Unsendable where there is nothing to tell webhooks. ``language`` makes no difference.
    """
    announcement = Announcement.objects.get(pk=announcement_id)
    wire = {"announcement": announcement, "channel": Channel.WEBHOOK, "language": LANGUAGE}
    rendering = Rendering.objects.filter(**wire).first()
    if rendering is None:
        parts = _compiled(announcement)
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        Rendering.objects.bulk_create(
            [Rendering(**wire, parts=parts, slots=[_SLOT], sha256=digest)], ignore_conflicts=True
        )
        rendering = Rendering.objects.get(**wire)
    head, tail = rendering.parts
    return Mould(
        head=head.encode(),
        tail=tail.encode(),
        news=announcement.public_id.bytes,
        sequence=announcement.seq,
        leave=tokens.sealer(tokens.UNSUBSCRIBE),
    )


def far_end(endpoint: Endpoint) -> FarEnd:
    """Address and live secrets of an endpoint, the new one first. Raises ``vault.Unreadable``."""
    sealed = {"secret": endpoint.secret}
    if endpoint.old_secret_until and endpoint.old_secret_until > timezone.now():
        sealed["old_secret"] = endpoint.old_secret
    person = endpoint.subscriber.public_id
    return FarEnd(
        url=vault.open_sealed(endpoint.url, place("url", person)),
        secrets=tuple(vault.open_sealed(value, place(name, person)) for name, value in sealed.items()),
    )


def place(column: str, public_id: uuid.UUID) -> str:
    """Where a sealed value of an endpoint stands, as ``vault`` wants to know it."""
    return f"endpoint.{column}:{public_id}"


def signed(id: str, body: bytes, secrets: tuple[str, ...], *, at: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks, with a signature for each secret (S21)."""
    text = body.decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(id, at, text) for secret in secrets),
    }


def backoff(attempts: int) -> float | None:
    """Seconds to wait after a failed try that ``attempts`` others came before; None: it was the last."""
    if attempts + 1 >= len(SCHEDULE):
        return None
    return float(SCHEDULE[attempts + 1] - SCHEDULE[attempts])


def settled(item: Item, answer: Answer) -> None:
    persist(lambda: quarantine.settled(item, answer, last=backoff(item.attempts) is None))


def _compiled(announcement: Announcement) -> list[str]:
    hook = announcement.content.get("hook")
    if not hook:
        raise Unsendable(["There is nothing in it for webhooks."])
    # Wide as a token, and nothing that anybody can have written.
    marker = hmac.new(_ID_KEY, announcement.public_id.bytes, hashlib.sha256).hexdigest()[: tokens.LENGTH]
    meta = {
        "unsubscribe": tokens.url(marker, tokens.UNSUBSCRIBE),
        "documentation": f"{settings.SITE_URL}/subscriptions/webhooks",
        "generated_at": stamp(announcement.published_at),
    }
    told = json.dumps({"meta": meta}, ensure_ascii=False, separators=(",", ":"))
    head, tail = f"{told[:-1]},{hook[1:]}".split(marker)
    return [head, tail]


def _verdict(status: int) -> Verdict:
    if 200 <= status <= 299:
        return Verdict.DELIVERED
    return Verdict.BOUNCED if status == HTTPStatus.GONE else Verdict.LATER


def _phrase(status: int) -> str:
    """As the standard calls it; what the receiver calls it is nobody's business."""
    return f" {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else ""


PORT = Port(
    channel=Channel.WEBHOOK,
    wire=Wire,
    mould=mould,
    off=lambda: "",
    backoff=backoff,
    many_ends=True,
    knows_copies=True,
    settled=settled,
)
