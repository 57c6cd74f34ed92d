"""STOP and START: a phone speaks for itself, for every channel it can be reached on (S19)."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q

from notifications import suppression
from notifications.enums import PHONES, UNSENT, Fate, Silence
from notifications.models import Delivery, SignUp, Subscriber

log = logging.getLogger(__name__)

REASON = "Answered STOP"


@transaction.atomic
def stop(number: str, *, at: datetime) -> bool:
    """Text and message ``number`` (E.164) no more from ``at`` on, also not with what is queued (A7).

    Whatever the web says, only START ends it. False when it had said so before.
    """
    news = not suppression.stopped(number)
    for channel in PHONES:
        suppression.add(channel, number, Silence.STOPPED, at=at)
    people = Subscriber.objects.filter(channel__in=PHONES, address=number)
    # In the order of their ids, as everybody locks them.
    ids = list(people.select_for_update().order_by("pk").values_list("pk", flat=True))
    Subscriber.objects.filter(pk__in=ids, unsubscribed_at__isnull=True).update(unsubscribed_at=at)
    SignUp.objects.filter(channel__in=PHONES, address=number).delete()
    theirs = Delivery.objects.filter(Q(subscriber__in=ids) | Q(channel__in=PHONES, address=number))
    # The fence moves too: a worker that holds one of these may not begin to send it.
    theirs.filter(fate__in=UNSENT).update(
        fate=Fate.SUPPRESSED, reason=REASON, settled_at=at, lease_until=None, fence=F("fence") + 1
    )
    if news:
        log.info("A phone of %d subscriptions answered STOP.", len(ids))
    return news


@transaction.atomic
def start(number: str, channel: str, *, at: datetime) -> bool:
    """The phone may be texted again, and its confirmed subscription on ``channel`` goes on from ``at``.

    Returns whether it is subscribed there now. Who never confirmed one has to sign up.
    """
    suppression.start(number)
    person = Subscriber.objects.select_for_update().filter(channel=channel, address=number).first()
    if person is None or person.confirmed_at is None:
        return False
    if not person.is_active:
        person.confirmed_at, person.unsubscribed_at, person.bounced_at = at, None, None
        person.consent_at, person.consent_source = at, "START from the phone itself"
        person.save(update_fields=["confirmed_at", "unsubscribed_at", "bounced_at", "consent_at", "consent_source"])
    return True
