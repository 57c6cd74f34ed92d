"""Forgetting a person: what is taken out of the rows that must stay (S29, R-807)."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Q

from notifications.enums import UNSENT, Channel, Fate
from notifications.models import Announcement, Delivery, ImportFile, Rendering, SignUp, Subscriber

#: What stands where an address stood.
NOBODY = "erased-{pk}"


def forget(subscriber: Subscriber, *, at: datetime) -> None:
    """Take the person out of every table but the suppression list; the caller holds the row's lock.

    Deliveries keep their ids, fates and moments, so that the books of an incident still add up.
    """
    address = subscriber.address
    _forget_deliveries(subscriber, address, at)
    _forget_letters(f"subscriber:{subscriber.public_id}", f"erased:{subscriber.pk}")
    SignUp.objects.filter(address__iexact=address).delete()
    # Files that wait for a press may name anybody; their owners upload them again.
    ImportFile.objects.all().delete()
    kind = ContentType.objects.get_for_model(Subscriber)
    LogEntry.objects.filter(content_type=kind, object_id=str(subscriber.pk)).update(
        object_repr=NOBODY.format(pk=subscriber.pk)
    )
    _blank(subscriber, at)


def _blank(subscriber: Subscriber, at: datetime) -> None:
    subscriber.topics.clear()
    fresh = Subscriber(
        pk=subscriber.pk,
        # Links in old mail name the old one: they lead to nobody.
        public_id=uuid.uuid4(),
        channel=subscriber.channel,
        address=NOBODY.format(pk=subscriber.pk),
        all_topics=False,
        wants_incidents=False,
        wants_maintenance=False,
        created_at=subscriber.created_at,
        confirmed_at=subscriber.confirmed_at,
        unsubscribed_at=subscriber.unsubscribed_at or at,
        erased_at=at,
        # Who they were to be told is forgotten: their news is not audited any more.
        changed_at=at,
        generation=subscriber.generation + 1,
    )
    fresh.save(force_update=True)


def _forget_deliveries(subscriber: Subscriber, address: str, at: datetime) -> None:
    theirs = Delivery.objects.filter(Q(subscriber=subscriber) | Q(channel=Channel.EMAIL, address=address))
    stopped = {"settled_at": at, "lease_until": None, "fence": F("fence") + 1}
    theirs.filter(fate__in=UNSENT).update(fate=Fate.SUPPRESSED, reason="Erased", **stopped)
    # Nobody may write the relay's answer down any more: it may name the address.
    theirs.filter(fate=Fate.SENDING).update(fate=Fate.UNCERTAIN, reason="Erased while it was handed over", **stopped)
    theirs.filter(reason__icontains=address).update(reason="The relay's words were erased.")
    Delivery.objects.filter(channel=Channel.EMAIL, address=address).update(address="")


def _forget_letters(lane: str, blank: str) -> None:
    """Their letters carry links that name them by their public id."""
    letters = list(Announcement.objects.filter(lane=lane))
    for letter in letters:
        letter.lane, letter.content = blank, letter.content | {"button": "", "url": ""}
    Announcement.objects.bulk_update(letters, ["lane", "content"], batch_size=100)
    Rendering.objects.filter(announcement__in=letters).delete()
