"""What providers and relays tell us afterwards of what we handed them: one act per thing they say (R-806).

Whatever its source, a word is ``Heard``. Each act writes it down and draws its consequences in one
transaction, once: a word that was heard before changes nothing (S22), and no row ever moves back.

Bounces are believed one by one, but not in crowds: when many addresses are refused for good with
one code within minutes, the far end is at fault. Then nobody is punished, an ERROR is logged and
the console shows it (F04).
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from notifications import states, subscriptions, suppression
from notifications.enums import Fate, Silence
from notifications.models import Delivery, Receipt, Subscriber
from notifications.outcomes import give_back

log = logging.getLogger(__name__)

#: So many bounces with one code within MINUTES, and more than SHARE of what left that day, are not believed.
CROWD, SHARE, MINUTES = 20, 0.02, timedelta(minutes=15)
DAY = timedelta(days=1)
_CODE = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_PLAIN_CODE = re.compile(r"\b[45]\d\d\b")
#: What a row may be before a word about its message arrives: it left, for all we know, and did not end otherwise.
_UNDER_WAY = (Fate.PENDING, Fate.LEASED, Fate.SENDING, Fate.ACCEPTED, Fate.UNCERTAIN, Fate.SUPPRESSED, Fate.DEAD)


@dataclass(frozen=True)
class Heard:
    """One thing somebody says of one of our messages.

    ``source`` names who (at most 20 letters: ``postmark``, ``twilio``, ``dsn``), ``event`` is its id
    there (any length; hashed when long), ``word`` what it says in its own word, ``detail`` why, for
    people. ``delivery`` None: not ours, or nobody knows which; the word is kept all the same.
    ``at`` is when we heard it.
    """

    source: str
    event: str
    word: str
    delivery: int | None
    at: datetime
    detail: str = ""


def by_receipt(channel: str, receipt: str) -> int | None:
    """The delivery that a provider knows by this id. None: none of ours."""
    if not receipt:
        return None
    rows = Delivery.objects.filter(receipt=receipt[:120], channel=channel)
    return rows.order_by("-pk").values_list("pk", flat=True).first()


@transaction.atomic
def note(heard: Heard) -> bool:
    """Write a word down that changes nothing else (deferred, soft bounce). False when heard before."""
    return _note(heard)


@transaction.atomic
def accepted(heard: Heard, *, earlier: bool = False) -> bool:
    """The provider has the message: where we could not know whether it left, now we do. False when heard before.

    ``earlier``: it is a copy of before somebody wanted it sent once more, which counts none of them.
    """
    if not _note(heard):
        return False
    row = _row(heard)
    if row and (row.copies or earlier) and row.fate in (Fate.PENDING, Fate.LEASED, Fate.UNCERTAIN):
        _end(row, Fate.ACCEPTED, "", heard.at)
    return True


@transaction.atomic
def delivered(heard: Heard) -> bool:
    """It arrived. False when heard before. What bounced stays bounced: words may come in the wrong order."""
    if not _note(heard):
        return False
    row = _row(heard)
    if row and row.copies and row.fate in _UNDER_WAY:
        _end(row, Fate.DELIVERED, "", heard.at)
    return True


@transaction.atomic
def returned(heard: Heard) -> bool:
    """This message came back and will not arrive, but its address is not to blame. False when heard before."""
    if not _note(heard):
        return False
    row = _row(heard)
    if row and row.copies and row.fate in (*_UNDER_WAY, Fate.DELIVERED):
        _end(row, Fate.BOUNCED, heard.detail or heard.word, heard.at)
    return True


@transaction.atomic
def failed(heard: Heard) -> bool:
    """The provider had it and could not pass it on; another try may work. False when heard before."""
    if not _note(heard):
        return False
    row = _row(heard)
    if row and row.copies and row.fate in _UNDER_WAY:
        _end(row, Fate.DEAD, heard.detail or heard.word, heard.at)
    return True


@transaction.atomic
def bounced(heard: Heard, *, for_good: bool) -> bool:
    """The address refuses mail. Not ``for_good``: only noted, the far end may still try. False when heard before.

    For good: the row is bounced and its person is sent nothing more until they sign up anew, unless
    this is one of a crowd of bounces.
    """
    code = _code(heard) if for_good else ""
    if not _note(heard, code):
        return False
    row = _row(heard)
    if not for_good or row is None or not row.copies:
        return True
    if _is_crowd(row.channel, code, heard.at):
        _disbelieve(row, code, heard.at)
    elif row.fate in (*_UNDER_WAY, Fate.DELIVERED):
        _end(row, Fate.BOUNCED, heard.detail or heard.word, heard.at)
        _silence(row, heard.at)
    return True


@transaction.atomic
def complained(heard: Heard) -> bool:
    """The person called our message spam: it is the last one (R-804). False when heard before."""
    if not _note(heard):
        return False
    if row := _row(heard):
        if row.subscriber:
            subscriptions.unsubscribe(row.subscriber, at=heard.at)
        _suppress(row, Silence.COMPLAINED, heard.at)
        if row.copies and row.fate in _UNDER_WAY:
            _end(row, Fate.DELIVERED, "", heard.at)
    return True


@transaction.atomic
def left(heard: Heard) -> bool:
    """The person unsubscribed at the provider instead of here. False when heard before."""
    if not _note(heard):
        return False
    row = _row(heard)
    if row and row.subscriber:
        subscriptions.unsubscribe(row.subscriber, at=heard.at)
    return True


def _note(heard: Heard, code: str = "") -> bool:
    event = heard.event if len(heard.event) <= 120 else hashlib.sha256(heard.event.encode()).hexdigest()
    rows = Delivery.objects.select_related("subscriber").filter(pk=heard.delivery or 0)
    row = rows.first() if heard.delivery else None
    # Words of far ends name addresses: of people we forgot, or never knew, none is written down (S29).
    detail = "" if row is None or _is_forgotten(row) else heard.detail[:300]
    known = {"word": heard.word[:40], "detail": detail, "code": code, "at": heard.at, "delivery": row}
    return Receipt.objects.get_or_create(source=heard.source[:20], event=event, defaults=known)[1]


def _is_forgotten(row: Delivery) -> bool:
    person = row.subscriber
    return person.erased_at is not None if person else not row.address


def _row(heard: Heard) -> Delivery | None:
    """The message's row, locked; its person first, as everybody else locks them."""
    row = Delivery.objects.filter(pk=heard.delivery).first() if heard.delivery else None
    if row is None:
        return None
    person = Subscriber.objects.select_for_update().filter(pk=row.subscriber_id or 0).first()
    row = Delivery.objects.select_for_update().get(pk=row.pk)
    row.subscriber = person
    return row


def _end(row: Delivery, fate: Fate, reason: str, at: datetime) -> None:
    settled_at = row.settled_at if row.fate in (Fate.ACCEPTED, Fate.DELIVERED) and row.settled_at else at
    reason = "" if _is_forgotten(row) else reason[:300]
    row.fate, row.reason, row.settled_at, row.lease_until = fate, reason, settled_at, None
    row.save(update_fields=["fate", "reason", "settled_at", "lease_until"])


def _silence(row: Delivery, at: datetime) -> None:
    """Nothing more to this person, unless they confirmed anew after this message was sent."""
    person, sent = row.subscriber, row.sent_at or row.created_at
    if person and person.confirmed_at and person.confirmed_at > sent:
        return
    if person and person.bounced_at is None:
        person.bounced_at = at
        person.save(update_fields=["bounced_at"])
    _suppress(row, Silence.BOUNCED, at)


def _suppress(row: Delivery, why: Silence, at: datetime) -> None:
    person = row.subscriber
    address = row.address or (person.address if person and person.erased_at is None else "")
    if address:
        suppression.add(row.channel, address, why, at=at)


def _code(heard: Heard) -> str:
    match = _CODE.search(heard.detail) or _PLAIN_CODE.search(heard.detail)
    return (match.group() if match else heard.word)[:20] or "?"


def _lately(channel: str, code: str, at: datetime) -> QuerySet[Delivery]:
    """Whose messages bounced for good with this code within the last minutes."""
    words = Receipt.objects.filter(code=code, at__gt=at - MINUTES)
    return Delivery.objects.filter(pk__in=words.values("delivery"), channel=channel)


def _is_crowd(channel: str, code: str, at: datetime) -> bool:
    crowd = _lately(channel, code, at).count()
    if crowd < CROWD:
        return False
    gone = Delivery.objects.filter(
        announcement__published_at__gt=at - DAY,
        channel=channel,
        fate__in=(Fate.ACCEPTED, Fate.DELIVERED, Fate.BOUNCED, Fate.UNCERTAIN),
    )
    # No more are counted than it takes to decide.
    enough = int(crowd / SHARE)
    return gone.values("pk")[:enough].count() < enough


def _disbelieve(row: Delivery, code: str, at: datetime) -> None:
    """Take back what was believed of this crowd before it was one, and say so."""
    since = at - MINUTES
    believed = _lately(row.channel, code, at).filter(fate=Fate.BOUNCED)
    mistaken = list(believed.values_list("pk", "subscriber", "subscriber__address", "address"))
    doubtful = Delivery.objects.filter(pk__in=[row.pk, *(pk for pk, *_ in mistaken)])
    doubtful.filter(fate__in=(Fate.ACCEPTED, Fate.BOUNCED)).update(
        fate=Fate.UNCERTAIN, reason=f"Came back with {code} like many others within minutes; that is not believed."
    )
    give_back(person for _, person, _, _ in mistaken if person)
    addresses = [address for *_, theirs, letter in mistaken for address in (theirs, letter) if address]
    suppression.take_back(row.channel, addresses, Silence.BOUNCED, since=since)
    words = f"Many messages came back with {code} within {MINUTES.seconds // 60} minutes."
    if states.doubt(row.channel, words, at=at):
        log.error("%s That is not believed: nobody was taken off the list.", words)
