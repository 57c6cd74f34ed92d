"""Forgetting people: what is taken out of the rows that must stay (S29, R-807)."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat, Lower

from notifications import codes
from notifications.enums import UNSENT, Fate
from notifications.models import Announcement, Delivery, Endpoint, Follow, Receipt, Rendering, SignUp, Subscriber
from notifications.stories import Letter

#: What stands where an address stood.
NOBODY = "erased-"
#: Lanes of what was written to one person alone, by their public id.
_OWN_LANES = ("subscriber", "webhook-test")
#: Words of a relay or provider that may name an address or a number.
_TELLING = Q(reason__contains="@") | Q(reason__regex=r"[0-9]{6}")


def forget(people: Sequence[Subscriber], *, at: datetime) -> None:
    """Take people out of every table but the suppression list; the caller holds their rows.

    Deliveries keep their ids, fates and moments, so that the books of an incident still add up.
    Some thousand at most; the number of statements does not grow with it.
    """
    theirs = Delivery.objects.filter(subscriber__in=[person.pk for person in people])
    _forget_deliveries(theirs, at)
    by_channel: dict[str, list[str]] = defaultdict(list)
    for person in people:
        by_channel[person.channel].append(person.address)
    for channel, addresses in by_channel.items():
        _forget_addresses(channel, addresses, at)
    _forget_letters(people, at)
    _forget_endpoints(people)
    kind = ContentType.objects.get_for_model(Subscriber)
    entries = LogEntry.objects.filter(content_type=kind, object_id__in=[str(person.pk) for person in people])
    entries.update(object_repr=Concat(Value(NOBODY), "object_id"))
    _blank(people, at)


def _forget_addresses(channel: str, addresses: list[str], at: datetime) -> None:
    letters = Delivery.objects.filter(channel=channel, address__in=addresses)
    _forget_deliveries(letters, at)
    letters.update(address="")
    # A sign-up may be spelled in other capitals, and one for a webhook names its owner.
    spelled = [address.lower() for address in addresses]
    SignUp.objects.annotate(lower=Lower("address")).filter(lower__in=spelled).delete()
    codes.void(channel, addresses)


def _forget_deliveries(theirs: QuerySet[Delivery], at: datetime) -> None:
    stopped = {"settled_at": at, "lease_until": None, "fence": F("fence") + 1}
    theirs.filter(fate__in=UNSENT).update(fate=Fate.SUPPRESSED, reason="Erased", **stopped)
    # Nobody may write the relay's answer down any more: it may name the address.
    theirs.filter(fate=Fate.SENDING).update(fate=Fate.UNCERTAIN, reason="Erased while it was handed over", **stopped)
    theirs.filter(_TELLING).update(reason="The relay's words were erased.")
    Receipt.objects.filter(delivery__in=theirs.values("pk")).exclude(detail="").update(detail="")


def _forget_letters(people: Sequence[Subscriber], at: datetime) -> None:
    """Their letters carry links that name them by their public id; those to an owner also stand by another address."""
    lanes = {f"{lane}:{person.public_id}": f"{lane}:{NOBODY}{person.pk}" for person in people for lane in _OWN_LANES}
    letters = list(Announcement.objects.filter(lane__in=lanes))
    for letter in letters:
        letter.lane, letter.content = lanes[letter.lane], Letter("Erased", ()).as_json()
    Announcement.objects.bulk_update(letters, ["lane", "content"], batch_size=100)
    Rendering.objects.filter(announcement__in=letters).delete()
    rows = Delivery.objects.filter(announcement__in=letters)
    _forget_deliveries(rows, at)
    rows.exclude(address="").update(address="")


def _forget_endpoints(people: Sequence[Subscriber]) -> None:
    owned = Endpoint.objects.filter(subscriber__in=people)
    ids = list(owned.values_list("pk", flat=True))
    owned.delete()
    # After that: the end of it is written to their history, too.
    Endpoint.history.filter(id__in=ids).delete()


def _blank(people: Sequence[Subscriber], at: datetime) -> None:
    Follow.objects.filter(subscriber__in=people).delete()
    Subscriber.topics.through.objects.filter(subscriber__in=people).delete()
    fresh = [
        Subscriber(
            pk=person.pk,
            # Links in old mail name the old one: they lead to nobody.
            public_id=uuid.uuid4(),
            channel=person.channel,
            address=f"{NOBODY}{person.pk}",
            all_topics=False,
            wants_incidents=False,
            wants_maintenance=False,
            created_at=person.created_at,
            confirmed_at=person.confirmed_at,
            unsubscribed_at=person.unsubscribed_at or at,
            erased_at=at,
            # Who they were to be told is forgotten: their news is not audited any more.
            changed_at=at,
            generation=person.generation + 1,
        )
        for person in people
    ]
    names = [field.name for field in Subscriber._meta.concrete_fields if not field.primary_key]
    Subscriber.objects.bulk_update(fresh, names, batch_size=200)
