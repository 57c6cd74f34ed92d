"""The list of addresses that may not be mailed: hashes only, so that it says nothing about anybody (S29).

It outlives the person's row. An import finds its people here and leaves them alone; only their own
confirmed sign-up takes them off again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from notifications.enums import Silence
from notifications.models import Suppression


def digest(channel: str, address: str) -> str:
    """The hash under which an address in its normal form is kept; capitals make no difference here."""
    return _digest(settings.SUPPRESSION_KEY, channel, address)


def add(channel: str, address: str, reason: Silence, *, at: datetime) -> None:
    """No mail to this address from ``at`` on. Again changes nothing, except that "erased" outweighs the others."""
    row = Suppression(digest=digest(channel, address), reason=reason, since=at)
    Suppression.objects.bulk_create([row], ignore_conflicts=True)
    if reason == Silence.ERASED:
        Suppression.objects.filter(digest=row.digest).exclude(reason=reason).update(reason=reason, since=at)


def lift(channel: str, address: str) -> None:
    """The owner of the mailbox confirmed a sign-up of their own."""
    Suppression.objects.filter(digest__in=_digests(channel, address)).delete()


def holds(channel: str, address: str) -> bool:
    """Whether the address is on the list."""
    return Suppression.objects.filter(digest__in=_digests(channel, address)).exists()


def among(channel: str, addresses: Iterable[str]) -> set[str]:
    """Which of these addresses are on the list. One query, for some thousand at most."""
    named = {found: address for address in addresses for found in _digests(channel, address)}
    listed = Suppression.objects.filter(digest__in=named).values_list("digest", flat=True)
    return {named[found] for found in listed}


def _digests(channel: str, address: str) -> list[str]:
    """The hash under every key that was ever in use: a new key must not let the erased come back."""
    keys = dict.fromkeys((settings.SUPPRESSION_KEY, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
    return [_digest(key, channel, address) for key in keys]


def _digest(secret: str, channel: str, address: str) -> str:
    key = hmac.digest(secret.encode(), b"heliograph.suppression", hashlib.sha256)
    return hmac.new(key, f"{channel}:{address.casefold()}".encode(), hashlib.sha256).hexdigest()
