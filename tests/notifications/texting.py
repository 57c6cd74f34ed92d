"""Texts in one line each: phones that are told, what the carrier did, and what Twilio or a phone says of it."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from twilio.request_validator import RequestValidator

from notifications import callbacks, delivery, fanout
from notifications.courier import Courier
from notifications.enums import Channel, Pool
from notifications.models import Announcement, Delivery, Subscriber
from notifications.queue import Item
from notifications.texts import TextMould
from tests.notifications.carrier import ACCOUNT, TOKEN
from tests.notifications.news import news, reader

ANN, BOB, CY = "+12125550101", "+12125550102", "+12125550103"
SID = "SM" + "7" * 32
TEXTS = "/hooks/twilio/texts"
_sids = itertools.count()


def item(address: str = ANN, **changes: Any) -> Item:
    row = {
        "id": 7,
        "fence": 3,
        "news": 1,
        "channel": Channel.SMS,
        "address": address,
        "person": b"",
        "generation": 0,
        "language": "en",
        "attempts": 0,
        "copies": 0,
        "reason": "",
        "stale": False,
    }
    return Item(**(row | changes))


def mould(text: str = "Northwind: all is well", channel: Channel = Channel.SMS) -> TextMould:
    return TextMould(text, channel, "lane", is_code=False, expires_at=timezone.now() + timedelta(hours=1))


def phone(number: str, channel: Channel = Channel.SMS, **changes: Any) -> Subscriber:
    return reader(number, channel=channel, address=number, **changes)


def told(*phases: str, **changes: Any) -> Announcement:
    announcement = news(*phases, sms="Card payments fail", **changes)
    fanout.expand(announcement.pk)
    return announcement


def work(pool: Pool = Pool.TEXTS) -> int:
    delivery.sweep()
    return Courier(pool).drain(seconds=20.0, lying_for=0.0)


def hasten() -> None:
    """What waits for another try is due."""
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))


def rows() -> dict[str, tuple[str, str]]:
    found = Delivery.objects.order_by("pk").values_list("subscriber__address", "address", "fate", "reason")
    return {theirs or letter: (fate, reason) for theirs, letter, fate, reason in found}


def post(path: str, form: dict[str, str], *, token: str = TOKEN, **changes: Any) -> HttpResponse:
    """As Twilio does, from no browser; the signature is made by its own library."""
    signature = RequestValidator(token).compute_signature(f"http://127.0.0.1:8000{path}", form)
    client = Client(enforce_csrf_checks=True)
    return client.post(path, form, headers={"X-Twilio-Signature": signature} | changes)


def received(text: str, sender: str = ANN, sid: str = "", **more: str) -> dict[str, str]:
    sid = sid or f"SM{next(_sids):032x}"
    return {"MessageSid": sid, "AccountSid": ACCOUNT, "From": sender, "To": "+15005550006", "Body": text} | more


def reply(response: HttpResponse) -> str | None:
    assert (response.status_code, response["Content-Type"]) == (200, "text/xml")
    message = ElementTree.fromstring(response.content).find("Message")
    return None if message is None else message.text


def text(words: str, sender: str = ANN, **more: str) -> str | None:
    return reply(post(TEXTS, received(words, sender, **more)))


def path(row: Delivery, fence: int | None = None) -> str:
    url = callbacks.url(item(id=row.pk, fence=row.fence if fence is None else fence))
    return url.removeprefix("http://127.0.0.1:8000")


def call(
    row: Delivery, status: str, code: int = 0, *, sid: str = "", fence: int | None = None, **changes: Any
) -> HttpResponse:
    form = {"MessageSid": sid or row.receipt or SID, "MessageStatus": status, "AccountSid": ACCOUNT, "To": ANN}
    if code:
        form["ErrorCode"] = str(code)
    return post(path(row, fence), form, **changes)
