"""Where a provider tells us what became of a text: an address that names the delivery and cannot be made up (R-806)."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.core import signing

from notifications.queue import Item

_SALT = "heliograph.callback"


class BadName(ValueError):
    """Not an address of ours."""


class Named(NamedTuple):
    """One copy of one message: ``fence`` tells it from copies that were sent before or after it."""

    delivery: int
    fence: int


def url(item: Item) -> str:
    """The status callback of one copy of one text."""
    return f"{settings.SITE_URL}/hooks/twilio/status/{_signer().sign(f'{item.id}.{item.fence}')}"


def read(name: str) -> Named:
    """Whose address it is. Raises BadName."""
    try:
        delivery, _, fence = _signer().unsign(name).partition(".")
        return Named(int(delivery), int(fence))
    except (signing.BadSignature, ValueError) as error:
        raise BadName("This is no address of ours.") from error


def _signer() -> signing.Signer:
    # Made when needed: a copy without a key must live long enough to say so.
    return signing.Signer(salt=_SALT)
