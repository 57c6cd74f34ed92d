"""Whose message is meant: the delivery behind what others quote of our mail (R-806).

Best is its signed name (``verp``). Else its Message-ID together with the address it went to: the id
is made from both, so it is computed anew for what this address was sent lately, and compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from notifications import verp
from notifications.compiler import message_id
from notifications.enums import Channel
from notifications.models import Delivery, Subscriber

#: Relays give up after five days; who quotes us later is not believed to mean this message.
LATELY = timedelta(days=30)
_MOST = 200


def named(texts: Iterable[str]) -> int | None:
    """The delivery whose signed name stands in one of these."""
    return next((found for text in texts if (found := verp.named(text)) is not None), None)


def identified(quoted_id: str, address: str, *, at: datetime) -> int | None:
    """The delivery to an address whose mail carried this Message-ID (with or without its brackets)."""
    wanted = f"<{quoted_id.strip().strip('<>')}>"
    if not address or len(wanted) < 3:
        return None
    # The person first, and their rows by it: asked for in one, all of history is read for either.
    reader = Subscriber.objects.filter(address=address, channel=Channel.EMAIL).values_list("pk", flat=True).first()
    letters = Q(address=address) & ~Q(address="")
    theirs = letters if reader is None else letters | Q(subscriber=reader)
    rows = Delivery.objects.filter(theirs, channel=Channel.EMAIL, created_at__gt=at - LATELY)
    for row in rows.select_related("announcement", "subscriber").order_by("-pk")[:_MOST]:
        # As ``queue`` names the person: a letter's reader by the address, all others by the subscriber.
        person = row.address.encode("utf-8", "replace")
        if row.subscriber and not row.address:
            person = row.subscriber.public_id.bytes
        if message_id(row.announcement, person) == wanted:
            return row.pk
    return None
