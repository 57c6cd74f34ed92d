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
from django.db.models import QuerySet

from notifications.enums import PHONES, Silence
from notifications.models import Suppression


def digest(channel: str, address: str) -> str:
    """The hash under which an address in its normal form is kept; capitals make no difference here."""
    return _digest(settings.SUPPRESSION_KEY, channel, address)


def add(channel: str, address: str, reason: Silence, *, at: datetime) -> None:
    """No mail to this address from ``at`` on. Again changes nothing; "erased" outweighs the others, STOP even that."""
    row = Suppression(digest=digest(channel, address), reason=reason, since=at)
    Suppression.objects.bulk_create([row], ignore_conflicts=True)
    if reason in (Silence.ERASED, Silence.STOPPED):
        weaker = Suppression.objects.filter(digest=row.digest).exclude(reason__in=(reason, Silence.STOPPED))
        weaker.update(reason=reason, since=at)


def add_all(channel: str, addresses: Iterable[str], reason: Silence, *, at: datetime) -> None:
    """``add`` for some thousand at most; who is on the list already stays as they are."""
    rows = [Suppression(digest=digest(channel, address), reason=reason, since=at) for address in addresses]
    Suppression.objects.bulk_create(rows, ignore_conflicts=True)


def lift(channel: str, address: str) -> None:
    """The owner of the mailbox or phone confirmed a sign-up of their own. STOP stays: only START ends it (S19)."""
    listed = Suppression.objects.filter(digest__in=_digests(channel, address))
    listed.exclude(reason=Silence.STOPPED).delete()


def start(number: str) -> None:
    """A phone sent START: it may be texted again, on whatever channel it said STOP."""
    _stopped(number).delete()


def stopped(number: str) -> bool:
    """Whether a phone said STOP on any channel and did not send START since (S19)."""
    return _stopped(number).exists()


def take_back(channel: str, addresses: Iterable[str], reason: Silence, *, since: datetime) -> None:
    """What was added after ``since`` for this reason was a mistake."""
    named = {found for address in addresses for found in _digests(channel, address)}
    Suppression.objects.filter(digest__in=named, reason=reason, since__gt=since).delete()


def holds(channel: str, address: str) -> bool:
    """Whether the address is on the list."""
    return Suppression.objects.filter(digest__in=_digests(channel, address)).exists()


def among(channel: str, addresses: Iterable[str]) -> set[str]:
    """Which of these addresses are on the list. One query, for some thousand at most."""
    named = {found: address for address in addresses for found in _digests(channel, address)}
    listed = Suppression.objects.filter(digest__in=named).values_list("digest", flat=True)
    return {named[found] for found in listed}


def _stopped(number: str) -> QuerySet[Suppression]:
    named = [found for channel in PHONES for found in _digests(channel, number)]
    return Suppression.objects.filter(digest__in=named, reason=Silence.STOPPED)


def _digests(channel: str, address: str) -> list[str]:
    """The hash under every key that was ever in use: a new key must not let the erased come back."""
    keys = dict.fromkeys((settings.SUPPRESSION_KEY, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
    return [_digest(key, channel, address) for key in keys]


def _digest(secret: str, channel: str, address: str) -> str:
    key = hmac.digest(secret.encode(), b"heliograph.suppression", hashlib.sha256)
    return hmac.new(key, f"{channel}:{address.casefold()}".encode(), hashlib.sha256).hexdigest()
