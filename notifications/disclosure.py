"""Everything we hold about one person, for themselves (GDPR 15 and 20; S29)."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from django.db.models import Model, Q

from notifications import fates
from notifications.enums import ENDPOINTS
from notifications.models import Delivery, SignUp, Subscriber

#: Our own numbers for rows say nothing about anybody; what is sealed is told to nobody, its owner has it.
_OURS = {"id", "subscriber", "topics", "customer", "delivery"}
_SEALED = {"url", "secret", "old_secret"}


def held(subscriber: Subscriber) -> dict[str, Any]:
    """Each field of every row that is about the person, ready for JSON; moments are ISO 8601 in UTC.

    Its queries are few, however much was sent.
    """
    found = {
        "subscription": _row(subscriber) | {"components": list(subscriber.topics.values_list("name", flat=True))},
        "customer": subscriber.customer.name if subscriber.customer else None,
        "follows": [_row(follow) for follow in subscriber.follows.order_by("pk")],
        "waiting": [_waiting(asked) for asked in SignUp.objects.filter(address__iexact=subscriber.address)],
        "messages": _messages(subscriber),
    }
    if subscriber.channel in ENDPOINTS:
        found["endpoint"] = _row(subscriber.endpoint)
    return found


def _waiting(asked: SignUp) -> dict[str, Any]:
    return _row(asked) | {"choice": {name: wish for name, wish in asked.choice.items() if name not in _SEALED}}


def _there(subscriber: Subscriber) -> dict[str, str]:
    return {"channel": subscriber.channel, "address": subscriber.address}


def _messages(subscriber: Subscriber) -> list[dict[str, Any]]:
    """News that were theirs, and letters by their address, oldest first."""
    theirs = Q(subscriber=subscriber) | Q(**_there(subscriber))
    rows = Delivery.objects.filter(theirs).select_related("announcement").prefetch_related("receipts")
    return [
        {
            "subject": row.announcement.subject,
            "channel": row.channel,
            "fate": fates.words(row.fate, row.channel, row.reason),
            "reason": row.reason,
            "queued_at": _plain(row.created_at),
            "sent_at": _plain(row.sent_at),
            "settled_at": _plain(row.settled_at),
            "provider_id": row.receipt,
            "receipts": [_row(receipt) for receipt in row.receipts.all()],
        }
        for row in rows.order_by("pk").iterator(chunk_size=1000)
    ]


def _row(row: Model) -> dict[str, Any]:
    # Also what no form may change.
    names = [field.name for field in row._meta.concrete_fields if field.name not in _OURS | _SEALED]
    return {name: _plain(getattr(row, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)
