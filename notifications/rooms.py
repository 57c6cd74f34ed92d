"""What answers do to a chat room or an account: failing is shown, and one that is gone hears no more (R-804)."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone

from notifications import outbox, quarantine
from notifications.book import persist
from notifications.channels.port import Answer, Verdict
from notifications.enums import UNSENT, Channel, Fate
from notifications.lint import sayable
from notifications.models import Brand, Delivery, Endpoint
from notifications.outbox import Letter
from notifications.queue import Item

log = logging.getLogger(__name__)

#: Failing for so long, and still failing near the end of it, ends in a stop.
PATIENCE, _LATE = timedelta(hours=24), timedelta(hours=20)


def settled(item: Item, answer: Answer) -> None:
    """Told by the courier after an outcome was written down."""
    persist(lambda: heard(uuid.UUID(bytes=item.person), answer))


def heard(person: uuid.UUID, answer: Answer) -> None:
    """Keep what an answer says about its place; ``person`` is the subscriber's public id."""
    mine = Endpoint.objects.filter(subscriber__public_id=person)
    match answer.verdict:
        case Verdict.ACCEPTED | Verdict.DELIVERED:
            mine.filter(failing_since__isnull=False).update(failing_since=None)
        case Verdict.BOUNCED:
            _stop(person, answer.reason)
        case _:
            mine.filter(failing_since__isnull=True).update(failing_since=timezone.now())


def sweep(at: datetime) -> None:
    """Stop what failed for a day: a message of its second day came to its end there, too."""
    spent = Delivery.objects.filter(
        subscriber=OuterRef("subscriber"), fate=Fate.DEAD, sent_at__gte=OuterRef("failing_since") + _LATE
    )
    overdue = Endpoint.objects.filter(
        Exists(spent),
        subscriber__channel__in=(Channel.CHAT, Channel.SOCIAL),
        failing_since__lte=at - PATIENCE,
        quarantined_at__isnull=True,
    )
    last = Subquery(spent.order_by("-pk").values("reason")[:1])
    for person, reason in overdue.order_by("pk").values_list("subscriber__public_id", last):
        _stop(person, reason)


@transaction.atomic
def _stop(person: uuid.UUID, reason: str) -> None:
    """The place is gone: nothing more is tried until somebody says that it is back. Its owner is told once."""
    endpoint = quarantine.locked(Q(subscriber__public_id=person))
    if endpoint is None or endpoint.quarantined_at is not None:
        return
    at = timezone.now()
    endpoint.quarantined_at, endpoint.failing_since = at, endpoint.failing_since or at
    endpoint.save(update_fields=["quarantined_at", "failing_since"])
    withhold(endpoint, reason, at=at)
    log.warning("Target %s is stopped: %s", endpoint.pk, reason)
    if not endpoint.owner_email:
        return
    brand = endpoint.brand or Brand.objects.default()
    letter = Letter(
        heading="Your chat room hears no more",
        paragraphs=(
            f"Status updates of {brand.name} can no longer be posted to {sayable(brand, str(endpoint), instead='it')}.",
            sayable(brand, reason, instead="The place does not take them."),
            "If you want them again, subscribe once more with the address of a webhook that works.",
        ),
    )
    subject = f"{brand.name} status updates no longer reach your chat room"
    lane = f"subscriber:{person}"
    outbox.write_to([endpoint.owner_email], letter, subject=subject, brand=brand, lane=lane, at=at)


def withhold(endpoint: Endpoint, reason: str, *, at: datetime) -> None:
    """End all that has not left; a worker that holds one of these may not begin to send it."""
    Delivery.objects.filter(subscriber=endpoint.subscriber_id, fate__in=UNSENT).update(
        fate=Fate.SUPPRESSED, reason=reason[:300], settled_at=at, lease_until=None, fence=F("fence") + 1
    )
