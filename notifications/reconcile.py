"""Finding out about texts that nobody knows the end of: we ask Twilio instead of guessing (F05).

A text in doubt is looked for at Twilio by number, time and words. Found, it is what Twilio says it is.
Not found when asked ten minutes later, it certainly never left, and is sent once more: that is
knowledge, not a guess. What is then in doubt again, or older than an hour, waits for a person. Amazon
SNS keeps no list, so its doubts all do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from twilio.base.exceptions import TwilioException

from notifications import bell, receipts_twilio, texts
from notifications.callbacks import Named
from notifications.channels import registry, twilio
from notifications.compiler import LANGUAGES
from notifications.enums import Channel, Fate
from notifications.models import Delivery
from notifications.outcomes import told_more
from notifications.queue import MAX_COPIES

log = logging.getLogger(__name__)

#: How long Twilio is asked; then a person decides.
LOOK_BACK = timedelta(hours=1)
#: Whoever is not known by then was never there.
PATIENCE = timedelta(minutes=10)
#: Clocks differ; a text cannot be older than this before we sent it.
SKEW = timedelta(minutes=5)
#: Texts in doubt belong to announcements of these days: longer lives none.
DAYS = timedelta(days=3)
#: Asked about in one run, at most so many, and for so many seconds.
MOST, SECONDS = 200, 20.0
#: A row that cannot be asked about waits; after so many of them Twilio has to.
RETRY, ENOUGH = timedelta(minutes=1), 3
#: No number gets more texts from us within LOOK_BACK.
FAR = 500


def run(*, at: datetime) -> int:
    """Ask about every text in doubt that is due to be asked about; returns of how many we know now.

    Safe to run twice at once: each row is changed only as it was found.
    """
    channels = _askable()
    if not channels:
        return 0
    http, until = twilio.Http(), time.monotonic() + SECONDS
    client, known, failed = twilio.connect(http), 0, 0
    for row in _in_doubt(channels, at):
        if time.monotonic() > until or failed == ENOUGH:
            break
        http.by(until)
        try:
            known += _ask(client, row, at)
        except (requests.RequestException, TwilioException, ValueError) as error:
            log.warning("Twilio cannot be asked about delivery %d (%s).", row.pk, type(error).__name__)
            # Later, so that it does not keep the others waiting.
            _as_found(row).update(next_at=at + RETRY)
            failed += 1
    http.session.close()
    return known


def _askable() -> list[str]:
    by_twilio = settings.SMS_PROVIDER == "twilio"
    channels = [Channel.SMS, Channel.WHATSAPP] if by_twilio else [Channel.WHATSAPP]
    return [channel for channel in channels if not registry.off(channel)]


def _in_doubt(channels: list[str], at: datetime) -> list[Delivery]:
    """``next_at`` of a row in doubt says when it is asked about next."""
    rows = Delivery.objects.filter(
        # By their announcements, which an index finds; there is none of doubts.
        announcement__published_at__gt=at - DAYS,
        fate=Fate.UNCERTAIN,
        channel__in=channels,
        settled_at__gt=at - LOOK_BACK,
        next_at__lte=at,
    )
    return list(rows.select_related("subscriber", "announcement").order_by("next_at", "pk")[:MOST])


def _ask(client: Any, row: Delivery, at: datetime) -> bool:
    number = row.address or (row.subscriber.address if row.subscriber and row.subscriber.erased_at is None else "")
    found = _found(client, row, number) if number else None
    if found is not None:
        named = Named(row.pk, row.fence)
        receipts_twilio.hear(named, found.sid, str(found.status), int(found.error_code or 0), at=at, asked=True)
    elif number:
        return _absent(row, at)
    # Still in doubt now, it is so for another reason, or nobody can be asked about: a person decides.
    _as_found(row).update(next_at=at + LOOK_BACK)
    return found is not None


def _found(client: Any, row: Delivery, number: str) -> Any | None:
    """The text at Twilio that is this row's, and no other's: the same number, words and time."""
    to = f"whatsapp:{number}" if row.channel == Channel.WHATSAPP else number
    words = texts.mould(Channel(row.channel), row.announcement_id, LANGUAGES[0]).text
    like = [sent for sent in _lately(client, to, row) if _says(sent, words)]
    others = Delivery.objects.filter(receipt__in=[sent.sid for sent in like]).exclude(pk=row.pk)
    taken = set(others.values_list("receipt", flat=True))
    return next((sent for sent in like if sent.sid not in taken), None)


def _says(sent: Any, words: str) -> bool:
    """The same words, wherever the lines break. A trial account's begin with its own, a template may go on."""
    said, meant = " ".join(str(sent.body or "").split()), " ".join(words.split())
    in_template = settings.TWILIO["whatsapp_template"] and str(sent.to).startswith("whatsapp:")
    return meant in said if in_template else said.endswith(meant)


def _lately(client: Any, to: str, row: Delivery) -> Iterator[Any]:
    """Newest first. Never asked for by date: Twilio's dates are of sending, which a queued text does not have yet."""
    since = (row.sent_at or row.created_at).astimezone(UTC) - SKEW
    for sent in client.messages.stream(to=to, limit=FAR, page_size=100):
        if sent.date_created and sent.date_created < since:
            return
        yield sent


def _absent(row: Delivery, at: datetime) -> bool:
    """Twilio does not have it: known for certain only after a while, and acted on only once."""
    mine = _as_found(row)
    begun = row.settled_at or at
    if at < begun + PATIENCE:
        mine.update(next_at=begun + PATIENCE)
        return False
    if row.copies >= MAX_COPIES:
        mine.update(next_at=begun + LOOK_BACK)
        return False
    # None of it left: whoever waits behind it may be the first they would hear (``order.STALE``).
    overtaken = mine.filter(told_more()).update(
        fate=Fate.SUPPRESSED, reason="Overtaken by a newer update; it never left.", settled_at=at, copies=0
    )
    again = mine.update(
        fate=Fate.PENDING, reason="It never left: Twilio does not have it.", settled_at=None, next_at=Now()
    )
    if again:
        bell.ring_deliver(row.pool)
    return bool(overtaken or again)


def _as_found(row: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk=row.pk, fate=Fate.UNCERTAIN, fence=row.fence)
