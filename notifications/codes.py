"""Codes of six digits that prove who reads a mailbox or holds a phone (R-802, S18, S19).

One code at a time per address and purpose: a new one makes the old void. Only hashes are kept. A
code that was entered stays for a day as "used", so that the share of codes that anybody enters is
known: far below the usual, somebody earns money with our texts.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q

from notifications import limits
from notifications.enums import PHONES
from notifications.models import Code

#: What a code is good for: to begin a subscription, to see and change what there is.
CONFIRM, MANAGE = "confirm", "manage"
PURPOSES = (CONFIRM, MANAGE)
DIGITS = 6
LIFE = timedelta(minutes=10)
TRIES = 5
#: Codes, used or not, are counted for this long.
KEPT = timedelta(days=1)
_USED = ""
#: More than anybody could enter: written down, never refused.
_ANY = 1_000_000


class Share(NamedTuple):
    """Of the codes of the last day that had their time: how many there were, and how many were entered."""

    sent: int
    entered: int


def make(channel: str, address: str, purpose: str, *, at: datetime) -> str:
    """A new code, good for LIFE from ``at``; an older one for the same address and purpose is void."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    key = _key(channel, address, purpose)
    row = Code(key=key, channel=channel, digest=_digest(key, code), tries=0, sent_at=at, expires_at=at + LIFE)
    Code.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["channel", "digest", "tries", "sent_at", "expires_at"],
    )
    return code


@transaction.atomic
def check(channel: str, address: str, purpose: str, code: str, *, at: datetime) -> bool:
    """Whether this is the code, once: of several who enter it at the same moment one is right.

    Each call is one of TRIES, counted before the code is looked at. The work is the same whether or
    not there is a code, and so is the wait: each call is one transaction that writes something, because
    one that does not never waits for the disk. Never call it in another that may be rolled back.
    """
    key = _key(channel, address, purpose)
    limits.take("code entered", key, most=_ANY, per=LIFE, at=at)
    alive = Code.objects.filter(key=key, expires_at__gt=at, tries__lt=TRIES).exclude(digest=_USED)
    counted = alive.update(tries=F("tries") + 1)
    kept = Code.objects.filter(key=key).values_list("digest", flat=True).first() or ""
    right = hmac.compare_digest(kept, _digest(key, code)) and counted == 1
    # The digest again: a code that was exchanged or entered meanwhile is not this one.
    used = Code.objects.filter(key=key if right else "", digest=kept).update(digest=_USED)
    return used == 1


def void(channel: str, addresses: Iterable[str]) -> None:
    """Forget the codes of these addresses; those of a number on every channel of phones."""
    channels = PHONES if channel in PHONES else (channel,)
    keys = [_key(each, address, of) for address in addresses for each in channels for of in PURPOSES]
    Code.objects.filter(key__in=keys).delete()


def share(channels: Iterable[str], *, at: datetime) -> Share:
    """How many of the last day's codes were entered; those on their way do not count yet."""
    lately = Code.objects.filter(channel__in=tuple(channels), sent_at__gt=at - KEPT)
    had_time = Q(expires_at__lte=at) | Q(digest=_USED)
    found = lately.aggregate(sent=Count("pk", had_time), entered=Count("pk", Q(digest=_USED)))
    return Share(found["sent"], found["entered"])


def forget(*, at: datetime) -> int:
    """Drop what is older than KEPT. Returns how many."""
    return Code.objects.filter(expires_at__lt=at - KEPT).delete()[0]


def _key(channel: str, address: str, purpose: str) -> str:
    if purpose not in PURPOSES:
        raise ValueError(f"No such purpose: {purpose}")
    return _hash("code", f"{channel}:{purpose}:{address.casefold()}")


def _digest(key: str, code: str) -> str:
    return _hash("digest", f"{key}:{code}")


def _hash(what: str, words: str) -> str:
    secret = hmac.digest(settings.SECRET_KEY.encode(), f"heliograph.{what}".encode(), hashlib.sha256)
    return hmac.new(secret, words.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
