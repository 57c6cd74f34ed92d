"""Secrets at rest: AES-256-GCM, a key per purpose, bound to the place they stand in (S27).

A sealed value is ``1.<key name>.<nonce and ciphertext>``. It opens only where it was sealed: the
place (column and row) is authenticated with it, so that a row's secret moved to another row is
refused. The first of ``SECRETS_KEYS`` seals, all of them open.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_VERSION = "1"
_NONCE_BYTES = 12


class Unreadable(ValueError):
    """The value was sealed elsewhere, with a key that is gone, or not by us at all."""


def seal(clear: str, place: str) -> str:
    """The sealed form of a text; ``place`` says where it will stand (``endpoint.url:<public id>``)."""
    name, key = _key(settings.SECRETS_KEYS[0])
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, clear.encode(), place.encode())
    return f"{_VERSION}.{name}.{urlsafe_b64encode(sealed).decode()}"


def open_sealed(sealed: str, place: str) -> str:
    """The clear text. Raises Unreadable."""
    version, _, rest = sealed.partition(".")
    name, _, body = rest.partition(".")
    keys = dict(_key(secret) for secret in settings.SECRETS_KEYS)
    if version != _VERSION or name not in keys:
        raise Unreadable("This secret was sealed with a key that is not here any more.")
    try:
        raw = urlsafe_b64decode(body)
        return AESGCM(keys[name]).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise Unreadable("This secret does not belong here.") from error


def fingerprint(clear: str) -> str:
    """Sixteen letters that name a secret without telling it; the same secret always gets the same ones."""
    key = hmac.digest(settings.SUPPRESSION_KEY.encode(), b"heliograph.fingerprint", hashlib.sha256)
    return hmac.new(key, clear.encode(), hashlib.sha256).hexdigest()[:16]


@lru_cache(maxsize=16)
def _key(secret: str) -> tuple[str, bytes]:
    key = hmac.digest(secret.encode(), b"heliograph.vault", hashlib.sha256)
    return hashlib.sha256(key).hexdigest()[:8], key
