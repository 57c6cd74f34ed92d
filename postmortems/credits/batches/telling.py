"""Another billing system is told when a month was closed: one signed webhook, tried for a day (R-905, S20, S21, F06).

The row is the queue: ``tell_next_at`` says when. A try is claimed by compare-and-swap, sent outside the transaction,
and written down after; a program that dies in between is made up for by the next try, under the same id.
docs/billing.md is what the other side reads.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from binascii import Error as BadBase64
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from notifications.channels.webhook import backoff, signed
from notifications.egress import Client, Unreachable
from postmortems.credits.book.moves import NotAllowed
from postmortems.models import Batch

from .files import amounts_of, moment

EVENT = "credits.batch_closed"
#: Seconds for one try, everything together.
PATIENCE = 20
#: So many in one sweep; a claimed try that nobody finished is taken again after the lease.
AT_ONCE, LEASE = 5, timedelta(minutes=2)
_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


@dataclass(frozen=True)
class Answer:
    """How a try ended. ``final``: trying again is of no use."""

    told: bool
    words: str
    final: bool = False


def is_on() -> bool:
    """Whether somebody is to be told: an address is set, and what signs."""
    return not off()


def off() -> str:
    """Why nobody is told, in words; "" when somebody is."""
    far = settings.BILLING_WEBHOOK
    if not far["url"]:
        return "No billing system is to be told: BILLING_WEBHOOK_URL is empty."
    return wrong()


def wrong() -> str:
    """What is wrong with the settings, in words; "" when they are empty or complete."""
    url, secret = settings.BILLING_WEBHOOK["url"], settings.BILLING_WEBHOOK["secret"]
    if not url:
        return "BILLING_WEBHOOK_SECRET is set, but BILLING_WEBHOOK_URL is empty." if secret else ""
    parts = urlsplit(url)
    schemes = ("https", "http") if settings.WEBHOOKS["allow_http"] else ("https",)
    if parts.scheme not in schemes or not parts.hostname:
        return "BILLING_WEBHOOK_URL is no https address."
    if not secret:
        return "BILLING_WEBHOOK_SECRET is empty: what is not signed, nobody can trust."
    if not _is_secret(secret):
        return f"BILLING_WEBHOOK_SECRET must be {_PREFIX} and {_SHORTEST} to {_LONGEST} bytes in Base64."
    return ""


def _is_secret(secret: str) -> bool:
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (BadBase64, ValueError):
        return False
    return secret.startswith(_PREFIX) and _SHORTEST <= len(key) <= _LONGEST


def tell(at: datetime) -> int:
    """Try whatever is due; how many were told. Nothing where the settings are off: rows wait."""
    if not is_on():
        return 0
    due = Batch.objects.light().filter(tell_next_at__lte=at, told_at__isnull=True).order_by("tell_next_at")[:AT_ONCE]
    return sum(_settle(batch, _send(batch, at), at) for batch in due if _claim(batch, at))


def again(batch: Batch, *, at: datetime) -> Batch:
    """Tell it from the beginning, under the same id. Asking twice asks once.

    Raises NotAllowed where nobody is to be told.
    """
    if reason := off():
        raise NotAllowed(reason)
    with transaction.atomic():
        held = Batch.objects.light().select_for_update().get(pk=batch.pk)
        if held.tell_next_at is None or held.tell_tries:
            held.told_at, held.tell_tries, held.tell_next_at, held.tell_error = None, 0, at, ""
            held.save(update_fields=["told_at", "tell_tries", "tell_next_at", "tell_error"])
    return held


def body(batch: Batch) -> bytes:
    """What is told; the same at every try, and after every restart."""
    content = {
        "type": EVENT,
        "timestamp": moment(batch.closed_at),
        "data": {
            "number": batch.number,
            "month": f"{batch.month:%Y-%m}",
            "count": batch.count,
            "totals": amounts_of(batch.totals),
            "digest": batch.digest,
            "links": links(batch),
        },
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def links(batch: Batch) -> dict[str, str]:
    """Where it is read: the batch, its credits and its files in the API, its page in the console."""
    one = settings.SITE_URL + reverse("api:batch", args=[batch.number])
    return {
        "batch": one,
        "credits": f"{settings.SITE_URL}{reverse('api:credits')}?batch={batch.number}",
        **{kind: f"{one}/file.{kind}" for kind in ("json", "csv", "xlsx")},
        "page": settings.SITE_URL + reverse("admin:postmortems_batch_change", args=[batch.pk]),
    }


def _claim(batch: Batch, at: datetime) -> bool:
    """Take this try, unless somebody else has."""
    mine = Batch.objects.filter(pk=batch.pk, tell_next_at=batch.tell_next_at, tell_tries=batch.tell_tries)
    taken = mine.update(tell_tries=batch.tell_tries + 1, tell_next_at=at + LEASE)
    batch.tell_tries += 1
    return bool(taken)


def _send(batch: Batch, at: datetime) -> Answer:
    far, told = settings.BILLING_WEBHOOK, body(batch)
    client = Client()
    try:
        headers = signed(batch.number, told, (far["secret"],), at=at)
        status = client.post(far["url"], told, headers, deadline=time.monotonic() + PATIENCE)
    except Unreachable as reason:
        return Answer(told=False, words=str(reason))
    finally:
        client.close()
    known = status in HTTPStatus._value2member_map_
    words = f"It answered {status}{f' {HTTPStatus(status).phrase}' if known else ''}."
    return Answer(HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES, words, status == HTTPStatus.GONE)


def _settle(batch: Batch, answer: Answer, at: datetime) -> bool:
    """Write down how it ended, unless somebody asked to tell it from the beginning meanwhile."""
    mine = Batch.objects.filter(pk=batch.pk, tell_tries=batch.tell_tries, told_at__isnull=True)
    if answer.told:
        mine.update(told_at=at, tell_next_at=None, tell_error="")
        return True
    pause = None if answer.final else backoff(batch.tell_tries - 1)
    mine.update(tell_next_at=None if pause is None else at + timedelta(seconds=pause), tell_error=answer.words)
    return False
