"""How long we keep what people told us about themselves (S16, S29): not longer than it serves them.

Safe to run late, twice, or again after a crash (F13): what is due is found by its own date.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet

from notifications import codes, erasure, limits, suppression
from notifications.enums import ENDPOINTS, Silence
from notifications.models import Announcement, Endpoint, Follow, ImportFile, Receipt, SignUp, Subscriber
from notifications.receipts_twilio import TEXTS

UNCONFIRMED = timedelta(days=7)
LEFT = timedelta(days=30)
#: A file of an import that nobody confirmed.
UPLOADED = timedelta(days=1)
#: The words of somebody who texted us.
TEXTED = timedelta(days=90)
#: People in one transaction.
CHUNK = 500


class Forgotten(NamedTuple):
    """How many sign-ups that nobody confirmed were deleted, and how many who left lost their names."""

    unconfirmed: int
    left: int


def forget(*, at: datetime) -> Forgotten:
    """Delete sign-ups that nobody confirmed, take the names off rows of those who left, and clean up what is over."""
    SignUp.objects.filter(asked_at__lt=at - UNCONFIRMED).delete()
    Follow.objects.filter(since__isnull=True, asked_at__lt=at - UNCONFIRMED).delete()
    ImportFile.objects.filter(uploaded_at__lt=at - UPLOADED).delete()
    Receipt.objects.filter(source=TEXTS, at__lt=at - TEXTED).exclude(detail="").update(detail="")
    codes.forget(at=at)
    limits.forget(at=at)
    return Forgotten(_each_chunk(_unconfirmed(at), _delete, at), _each_chunk(_left(at), _anonymise, at))


def _unconfirmed(at: datetime) -> QuerySet[Subscriber]:
    """Who never confirmed and was not asked again lately."""
    asked = Q(confirm_sent_at__isnull=True) | Q(confirm_sent_at__lt=at - UNCONFIRMED)
    return Subscriber.objects.filter(asked, confirmed_at=None, erased_at=None, created_at__lt=at - UNCONFIRMED)


def _left(at: datetime) -> QuerySet[Subscriber]:
    """Who left and does not wait for a letter to come back."""
    back = Q(confirm_sent_at__isnull=True) | Q(confirm_sent_at__lt=at - UNCONFIRMED)
    return Subscriber.objects.filter(back, erased_at=None, unsubscribed_at__lt=at - LEFT)


def _each_chunk(due: QuerySet[Subscriber], act: Callable[[list[Subscriber], datetime], None], at: datetime) -> int:
    done = 0
    while True:
        with transaction.atomic():
            some = list(due.order_by("pk").select_for_update(skip_locked=True)[:CHUNK])
            if not some:
                return done
            act(some, at)
        done += len(some)


def _delete(people: list[Subscriber], at: datetime) -> None:
    """With the letters that asked them: they hold the address, and a link that names the row."""
    Announcement.objects.filter(lane__in=[f"subscriber:{person.public_id}" for person in people]).delete()
    owned = list(Endpoint.objects.filter(subscriber__in=people).values_list("pk", flat=True))
    Subscriber.objects.filter(pk__in=[person.pk for person in people]).delete()
    Endpoint.history.filter(id__in=owned).delete()


def _anonymise(people: list[Subscriber], at: datetime) -> None:
    """A hash stays of whoever said that they want no more, so that no import brings them back (R-807)."""
    said_so = [each for each in people if each.channel not in ENDPOINTS and not each.follows_only]
    for channel, some in groupby(sorted(said_so, key=lambda each: each.channel), key=lambda each: each.channel):
        suppression.add_all(channel, [each.address for each in some], Silence.LEFT, at=at)
    erasure.forget(people, at=at)
