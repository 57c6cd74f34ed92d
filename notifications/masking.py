"""Addresses for people who need not know them whole (reliability.md 4.1)."""

from __future__ import annotations

from typing import Any

from notifications.enums import PHONES
from notifications.models import Delivery, Subscriber

#: Who may see addresses whole.
PERMISSION = "notifications.view_address"


def sees_addresses(user: Any) -> bool:
    return bool(user.has_perm(PERMISSION))


def shown_address(person: Subscriber, *, whole: bool) -> str:
    """The address of somebody who subscribed, as far as its reader may know."""
    if person.erased_at:
        return "erased"
    return person.address if whole else masked(person.address, person.channel)


def address_of(row: Delivery, *, whole: bool) -> str:
    """Where a message goes, as far as its reader may know; ``erased`` for whom nobody may know any more."""
    if row.subscriber:
        return shown_address(row.subscriber, whole=whole)
    if not row.address:
        return "erased"
    return row.address if whole else masked(row.address, row.channel)


def masked(address: str, channel: str = "") -> str:
    """``a…@e….example``, ``+49…78``, ``hooks….example``: enough to compare with what one knows already."""
    if "@" in address:
        local, _, domain = address.rpartition("@")
        return f"{local[:1]}…@{_masked_domain(domain)}"
    if channel in PHONES or address.startswith("+"):
        return f"{address[:3]}…{address[-2:]}"
    return f"{address[:5]}…" if address else ""


def _masked_domain(domain: str) -> str:
    name, dot, top = domain.rpartition(".")
    return f"{name[:1]}…{dot}{top}" if dot else f"{domain[:1]}…"
