"""Signed links: who may leave, manage or confirm, said by 56 letters that cannot be forged (S17, S18).

A token carries the subscriber's public id, the generation of their links, and an expiry; the
rest is a truncated HMAC under a key derived from ``SECRET_KEY`` and the purpose, so that a
token of one purpose opens no other door. Old keys (``SECRET_KEY_FALLBACKS``) stay good, so that
links in mail already sent survive a change of key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from struct import Struct

from django.conf import settings
from django.utils import timezone

from notifications.models import Subscriber

UNSUBSCRIBE, MANAGE, CONFIRM = "unsubscribe", "manage", "confirm"
PURPOSES = (UNSUBSCRIBE, MANAGE, CONFIRM)
#: Every token has this many characters: a compiled message leaves a gap of exactly this width.
LENGTH = 56
CONFIRM_LIFE = timedelta(hours=48)
#: How long the settings stay open to whoever entered a code (S18).
VISIT = timedelta(minutes=30)

#: public id, generation, expiry in seconds since 1970 (0: never)
_BODY = Struct(">16sII")
_MAC_BYTES = 18
_URLSAFE = bytes.maketrans(b"+/", b"-_")
#: 56 characters are 42 bytes without a spare bit: one spelling per token.
_SHAPE = re.compile(r"[A-Za-z0-9_-]{56}", re.ASCII)


class BadToken(ValueError):
    """The token is forged, broken, or made for another purpose."""


class ExpiredToken(BadToken):
    """The token was good once."""


@dataclass(frozen=True)
class Bearer:
    """Whom a token speaks for. Links of an older ``generation`` than the subscriber's are void."""

    public_id: uuid.UUID
    generation: int


def make(subscriber: Subscriber, purpose: str, *, at: datetime | None = None, life: timedelta | None = None) -> str:
    """A token for one subscriber and one of PURPOSES, good for ``life`` from ``at`` (default: now).

    Without ``life``, ``confirm`` is good for 48 h and the others for good.
    """
    life = life or (CONFIRM_LIFE if purpose == CONFIRM else None)
    expiry = int(((at or timezone.now()) + life).timestamp()) if life else 0
    return seal(subscriber.public_id.bytes, subscriber.generation, purpose, expiry)


def read(token: str, purpose: str, *, at: datetime | None = None) -> Bearer:
    """Whom the token speaks for. Raises ExpiredToken or BadToken; compare ``generation`` yourself."""
    if not _SHAPE.fullmatch(token):
        raise BadToken("This link is not complete.")
    raw = urlsafe_b64decode(token)
    body, mac = raw[: _BODY.size], raw[_BODY.size :]
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(mac, _mac(key, purpose, body)) for key in keys):
        raise BadToken("This link is not complete.")
    public_id, generation, expiry = _BODY.unpack(body)
    if expiry and (at or timezone.now()).timestamp() > expiry:
        raise ExpiredToken("This link is too old.")
    return Bearer(uuid.UUID(bytes=public_id), generation)


def seal(public_id: bytes, generation: int, purpose: str, expiry: int = 0) -> str:
    """``make`` from bare values, for the hot path of delivery."""
    body = _BODY.pack(public_id, generation, expiry)
    return urlsafe_b64encode(body + _mac(settings.SECRET_KEY, purpose, body)).decode("ascii")


def sealer(purpose: str) -> Callable[[bytes, int], bytes]:
    """``seal`` for one purpose with the key at hand: (public id, generation) to the token's bytes."""
    key = _key(settings.SECRET_KEY, purpose)

    def sealed(public_id: bytes, generation: int) -> bytes:
        body = _BODY.pack(public_id, generation, 0)
        raw = body + hmac.digest(key, body, "sha256")[:_MAC_BYTES]
        return b2a_base64(raw, newline=False).translate(_URLSAFE)

    return sealed


def url(token: str, purpose: str) -> str:
    """Where a token is to be presented."""
    return f"{settings.SITE_URL}/subscriptions/{purpose}/{token}"


def _mac(secret: str, purpose: str, body: bytes) -> bytes:
    return hmac.digest(_key(secret, purpose), body, "sha256")[:_MAC_BYTES]


@lru_cache(maxsize=32)
def _key(secret: str, purpose: str) -> bytes:
    if purpose not in PURPOSES:
        raise ValueError(f"No such purpose: {purpose}")
    return hmac.digest(secret.encode(), f"heliograph.token.{purpose}".encode(), hashlib.sha256)
