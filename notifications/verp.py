"""Names of deliveries that others hand back to us: in return addresses, and beside mail given to a provider (R-806).

A name is the delivery's number and a truncated HMAC under a key derived from ``SECRET_KEY``, so that
nobody can make one for a message they did not get, and a copy of the database elsewhere makes others.
In a return address (VERP: ``bounces+2f-5a1…@status.example``) it finds the row of a bounce even
where the bounce quotes nothing of our mail. Old keys (``SECRET_KEY_FALLBACKS``) stay good.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings

_MAC_BYTES = 10
#: Hexadecimal throughout: relays may change capitals.
_NAME = re.compile(r"\b([0-9a-f]{1,16})-([0-9a-f]{20})\b", re.I | re.A)


def name(delivery: int) -> str:
    """The signed name of a delivery: at most 37 letters of ``0-9a-f-``."""
    return f"{delivery:x}-{_mac(settings.SECRET_KEY, delivery)}"


def named(text: str) -> int | None:
    """The delivery whose name stands somewhere in a text. None: no name, or none of ours."""
    for match in _NAME.finditer(text):
        delivery, mac = int(match[1], 16), match[2].lower()
        if delivery >> 63 == 0 and any(hmac.compare_digest(mac, _mac(key, delivery)) for key in _keys()):
            return delivery
    return None


def returning() -> Callable[[int], str] | None:
    """Makes the return address of a delivery from its number. None where ``BOUNCE_ADDRESS`` names no mailbox."""
    mailbox, _, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    if not mailbox:
        return None
    key = _key(settings.SECRET_KEY)

    def address(delivery: int) -> str:
        mac = hmac.digest(key, delivery.to_bytes(8, "big"), "sha256")[:_MAC_BYTES].hex()
        return f"{mailbox}+{delivery:x}-{mac}@{domain}"

    return address


def _mac(secret: str, delivery: int) -> str:
    return hmac.digest(_key(secret), delivery.to_bytes(8, "big"), "sha256")[:_MAC_BYTES].hex()


def _keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@lru_cache(maxsize=16)
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"heliograph.return-path", "sha256")
