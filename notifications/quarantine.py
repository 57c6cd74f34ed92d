"""What an endpoint's answers do to it: failing apart, a day of failing ends in quarantine, 410 ends it (F06).

``settled`` is told every outcome by the courier, after it was written down; ``sweep`` finds what a
worker that died in between could not say.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from notifications import bell, outbox, tokens
from notifications.channels.port import Answer, Verdict
from notifications.enums import UNSENT, Channel, Fate, Kind, Pool
from notifications.fanout import QUARANTINED
from notifications.lint import sayable
from notifications.models import Brand, Delivery, Endpoint, Subscriber
from notifications.outbox import Letter
from notifications.queue import Item

log = logging.getLogger(__name__)

#: Failing for this long ends in quarantine; so long after the first try is the last one.
PATIENCE = timedelta(hours=24)
GONE = "Its receiver said that it is gone for good (410)."
#: A row is tried near the end of the patience at least once; an endpoint without such a row is not failing, but idle.
_LATE_TRY = timedelta(hours=20)
#: The sweep leaves the last try to whoever makes it.
_SLACK = timedelta(minutes=1)


def settled(item: Item, answer: Answer, *, last: bool) -> None:
    """An outcome was written down; ``last``: there will be no more tries of this message."""
    match answer.verdict:
        case Verdict.DELIVERED | Verdict.ACCEPTED:
            recovered(item)
        case Verdict.BOUNCED:
            gone(item)
        case _:
            failed(item, last=last)


def recovered(item: Item) -> None:
    """It answers. Whatever it was, failing or in quarantine, is over."""
    known = Q(failing_since__isnull=False) | Q(quarantined_at__isnull=False)
    its = Subscriber.objects.filter(public_id=_person(item)).values("pk")
    # Nearly always that is all: one statement, no transaction.
    if Endpoint.objects.filter(known, subscriber__in=its).update(failing_since=None, quarantined_at=None):
        _move(its, Pool.HOOKS)
        # What waits for a better moment has found it.
        Delivery.objects.filter(subscriber__in=its, fate=Fate.PENDING, next_at__gt=Now()).update(next_at=Now())
        bell.ring_deliver(Pool.HOOKS)


def failed(item: Item, *, last: bool) -> None:
    """It did not take a message: from now on it waits for nobody but itself. A test is tried once.

    One query for one that failed before, three for one that did not.
    """
    far_end = "subscriber__endpoint"
    state = Delivery.objects.filter(pk=item.id).values_list(
        "announcement__kind", "subscriber", far_end, f"{far_end}__failing_since", f"{far_end}__quarantined_at"
    )
    kind, subscriber, endpoint, since, quarantined_at = state.first() or (None,) * 5
    at = timezone.now()
    if kind == Kind.LETTER:
        its = Delivery.objects.filter(pk=item.id, fence=item.fence, fate=Fate.PENDING)
        its.update(fate=Fate.DEAD, settled_at=Now())
    elif endpoint is None or quarantined_at is not None:
        return
    elif since is None or (item.attempts == 0 and not last):
        # The first try of a message: the one before it did not fail to the end.
        Endpoint.objects.filter(pk=endpoint).update(failing_since=at)
        _move([subscriber], Pool.RETRIES)
    elif last or at - since >= PATIENCE:
        _pause(endpoint, at=at)


@transaction.atomic
def gone(item: Item) -> None:
    """Its receiver wants no more of it, ever: the subscription ends."""
    endpoint = locked(Q(subscriber__public_id=_person(item)))
    if endpoint is not None and endpoint.subscriber.unsubscribed_at is None:
        end(endpoint, GONE, at=timezone.now())


def sweep(at: datetime) -> None:
    """Quarantine who failed for a day although the worker that saw it died before it could say so."""
    late = Delivery.objects.filter(
        subscriber=OuterRef("subscriber"),
        fate__in=(Fate.PENDING, Fate.DEAD),
        sent_at__gte=OuterRef("failing_since") + _LATE_TRY,
    )
    overdue = Endpoint.objects.filter(
        Exists(late),
        subscriber__channel=Channel.WEBHOOK,
        failing_since__lte=at - PATIENCE - _SLACK,
        quarantined_at__isnull=True,
    )
    for pk in list(overdue.order_by("pk").values_list("pk", flat=True)):
        _pause(pk, at=at)


def locked(which: Q) -> Endpoint | None:
    """An endpoint with its subscriber, whose row is held: it orders everything that is done to either."""
    found = Endpoint.objects.filter(which)
    if not Subscriber.objects.select_for_update(no_key=True).filter(pk__in=found.values("subscriber")):
        return None
    return found.select_related("subscriber", "brand").first()


def end(endpoint: Endpoint, reason: str, *, at: datetime) -> None:
    """Nothing more goes there, not even what is queued. The caller holds the row (``locked``)."""
    endpoint.subscriber.unsubscribed_at = at
    endpoint.subscriber.save(update_fields=["unsubscribed_at"])
    endpoint.failing_since = endpoint.quarantined_at = None
    endpoint.save(update_fields=["failing_since", "quarantined_at"])
    _suppress(endpoint, reason, at=at)
    log.info("Endpoint %s has ended: %s", endpoint.pk, reason)


def page_url(subscriber: Subscriber) -> str:
    """Where the owner of a webhook sees what becomes of it."""
    return f"{settings.SITE_URL}/subscriptions/webhook/{tokens.make(subscriber, tokens.MANAGE)}"


def _move(subscribers: Any, pool: Pool) -> None:
    rows = Delivery.objects.filter(subscriber__in=subscribers, channel=Channel.WEBHOOK, fate__in=UNSENT)
    rows.exclude(pool=pool).update(pool=pool)


@transaction.atomic
def _pause(pk: int, *, at: datetime) -> None:
    """Nothing more is sent; its owner is told once, however many find out at the same time."""
    endpoint = locked(Q(pk=pk))
    if endpoint is None or endpoint.quarantined_at or not endpoint.failing_since or endpoint.subscriber.unsubscribed_at:
        return
    last = _last_words(endpoint)
    endpoint.quarantined_at = at
    endpoint.save(update_fields=["quarantined_at"])
    _suppress(endpoint, QUARANTINED, at=at)
    log.warning("Endpoint %s is in quarantine: it has failed since %s.", endpoint.pk, endpoint.failing_since)
    brand = endpoint.brand or Brand.objects.default()
    if endpoint.owner_email:
        outbox.write_to(
            [endpoint.owner_email],
            _letter(endpoint, brand, last),
            subject=f"Your webhook for {brand.name} status updates is paused",
            brand=brand,
            lane=f"subscriber:{endpoint.subscriber.public_id}",
            at=at,
        )


def _suppress(endpoint: Endpoint, reason: str, *, at: datetime) -> None:
    # The fence moves too: a worker that holds one of these may not begin to send it.
    Delivery.objects.filter(subscriber=endpoint.subscriber_id, fate__in=UNSENT).update(
        fate=Fate.SUPPRESSED, reason=reason, settled_at=at, lease_until=None, fence=F("fence") + 1
    )


def _last_words(endpoint: Endpoint) -> str:
    tries = Delivery.objects.filter(subscriber=endpoint.subscriber_id, sent_at__isnull=False).exclude(reason="")
    return tries.order_by("-sent_at").values_list("reason", flat=True).first() or "It did not answer."


def _letter(endpoint: Endpoint, brand: Brand, last: str) -> Letter:
    return Letter(
        heading="Your webhook is paused",
        paragraphs=(
            f"For 24 hours, {sayable(brand, str(endpoint), instead='it')} could not be reached with status updates "
            f"of {brand.name}.",
            f"The last try ended so: {sayable(brand, last, instead='it did not take the message')}",
            "Until you switch it on again nothing more is sent. What it missed you can have sent again.",
        ),
        button="See what happened",
        url=page_url(endpoint.subscriber),
    )


def _person(item: Item) -> uuid.UUID:
    return uuid.UUID(bytes=item.person)
