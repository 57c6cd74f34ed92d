"""Subscribing: what people say to us, one function each (R-802).

``ask…`` is all that the public forms do; ``answer`` is the worker's half. Between them lies a row,
so that nobody can learn from a form, by its words or its speed, who is subscribed (S15).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet

from notifications import bell, codes, correspondence, endpoints, erasure, limits, suppression, targets, tokens, vault
from notifications.choices import Choice
from notifications.enums import ENDPOINTS, PHONES, UNSENT, Channel, Fate, Silence
from notifications.models import Brand, Delivery, Endpoint, Follow, ImportFile, SignUp, Subscriber

__all__ = ["MANAGE", "Choice", "NotAllowed", "answer", "ask", "confirm", "holder", "subscribe"]

log = logging.getLogger(__name__)

#: What a row of ``SignUp`` is about when somebody wants to see their settings.
MANAGE = "manage"


class NotAllowed(Exception):
    """The link no longer allows this; ``str()`` says why, in words for the person."""


# --- the door: rows that wait for a worker -----------------------------------------------


def ask(address: str, choice: Choice, *, at: datetime, network: str = "", channel: Channel = Channel.EMAIL) -> None:
    """Note that somebody wants to subscribe; ``address`` is in its normal form (``addresses``, ``phones``).

    ``network`` is where from, as ``limits.network`` writes it: part of the proof of consent (S29).
    """
    _note(channel, address, "", choice.as_json(), at, network)


def ask_to_follow(channel: Channel, address: str, lane: str, name: str, *, at: datetime, network: str = "") -> None:
    """Note that somebody wants to hear of one incident to its end; ``name`` as the public page calls it."""
    _note(channel, address, lane, {"name": name}, at, network)


def ask_for_endpoint(
    channel: Channel, url: str, owner: str, choice: Choice, *, at: datetime, network: str = ""
) -> None:
    """Note that somebody wants a webhook or a room of theirs to be told; ``url``, ``owner`` in their normal forms."""
    place = vault.fingerprint(url)
    wish = {"choice": choice.as_json(), "url": vault.seal(url, f"signup.url:{place}")}
    _note(channel, owner, place, wish, at, network)


def ask_for_code(channel: Channel, address: str, *, at: datetime) -> None:
    """Note that somebody wants to see what is subscribed at their mailbox, or (``sms``) at their number."""
    _note(channel, address, MANAGE, {}, at, "")


@transaction.atomic
def _note(channel: Channel, address: str, about: str, choice: dict[str, Any], at: datetime, network: str) -> None:
    """Does the same work whoever the address belongs to: it never looks at the subscribers (S15)."""
    SignUp.objects.bulk_create(
        [SignUp(channel=channel, address=address, about=about, choice=choice, asked_at=at, asked_from=network)],
        update_conflicts=True,
        unique_fields=["channel", "address", "about"],
        update_fields=["choice", "asked_at", "asked_from"],
    )
    transaction.on_commit(bell.ring_sign_ups, robust=True)


# --- the worker's half ---------------------------------------------------------------------


def answer(*, at: datetime, most: int = 500) -> int:
    """Answer those who asked, oldest first, each in a transaction of its own. Returns how many.

    Safe to run twice at once, late, or again after a crash (F01): the row goes with the answer.
    Before there is a brand to speak for, everybody waits.
    """
    if not Brand.objects.filter(is_default=True).exists():
        return 0
    limits.forget(at=at)
    done = 0
    for pk in list(SignUp.objects.values_list("pk", flat=True)[:most]):
        try:
            done += _answer_one(pk, at)
        except DatabaseError:
            raise
        except Exception:  # one that cannot be answered must not keep the others waiting
            log.exception("Sign-up %s could not be answered; it stays.", pk)
    return done


@transaction.atomic
def _answer_one(pk: int, at: datetime) -> bool:
    asked = SignUp.objects.select_for_update(skip_locked=True).filter(pk=pk).first()
    if asked is None:
        return False
    channel = Channel(asked.channel)
    if channel in ENDPOINTS:
        _answer_owner(asked, channel, at)
    elif asked.about == MANAGE:
        send_code(channel, asked.address, at=at)
    elif asked.about:
        follow(channel, asked.address, asked.about, asked.choice["name"], at=at, network=asked.asked_from)
    else:
        choice = Choice.from_json(asked.choice)
        subscribe(asked.address, choice, at=at, network=asked.asked_from, channel=channel)
    asked.delete()
    return True


def _answer_owner(asked: SignUp, channel: Channel, at: datetime) -> None:
    url = vault.open_sealed(asked.choice["url"], f"signup.url:{asked.about}")
    choice = Choice.from_json(asked.choice["choice"])
    if channel == Channel.WEBHOOK:
        # Asked here, because a row is made even where its letter is not written.
        if limits.may_write(asked.address, at=at):
            endpoints.create_webhook(url, owner_email=asked.address, choice=choice, at=at, network=asked.asked_from)
        return
    room = targets.create_chat(url, owner_email=asked.address, choice=choice, at=at)
    if not room.is_active:
        room.signed_up_from = asked.asked_from
        room.save(update_fields=["signed_up_from"])
    correspondence.ask_to_confirm(room, at=at)


@transaction.atomic
def subscribe(
    address: str, choice: Choice, *, at: datetime, network: str = "", channel: Channel = Channel.EMAIL
) -> Subscriber:
    """Begin a double opt-in (R-802): keep the choice; mail a link, or text a code, that confirms it.

    Who is subscribed already gets a link to their settings instead, and nothing of theirs changes:
    anybody can type anybody's address. Raises ``Brand.DoesNotExist`` before set-up.
    """
    subscriber, _ = _begun(channel, address, at)
    if not subscriber.is_active:
        choice.write(subscriber)
        subscriber.signed_up_from = network
        subscriber.save(update_fields=["signed_up_from"])
    correspondence.ask_to_confirm(subscriber, at=at)
    return subscriber


@transaction.atomic
def follow(channel: Channel, address: str, lane: str, name: str, *, at: datetime, network: str = "") -> Subscriber:
    """Begin to follow one incident: nothing is sent, and nobody's choice changes, before its owner confirms."""
    subscriber, is_new = _begun(channel, address, at)
    if is_new or (not subscriber.is_active and (subscriber.unsubscribed_at or subscriber.bounced_at)):
        Choice(follows_only=True).write(subscriber)
        subscriber.signed_up_from = network
        subscriber.save(update_fields=["signed_up_from"])
    Follow.objects.get_or_create(subscriber=subscriber, lane=lane, defaults={"name": name, "asked_at": at})
    correspondence.ask_to_confirm(subscriber, at=at)
    return subscriber


@transaction.atomic
def send_code(channel: Channel, address: str, *, at: datetime) -> None:
    """Send a code for the settings to a mailbox or a phone at which something is subscribed; to nobody else."""
    theirs = subscribed_at(channel, address)
    if not theirs:
        return
    # Held: it orders the letters of its lane.
    first = _locked(theirs[0])
    if channel in PHONES:
        correspondence.text_code(first, codes.MANAGE, at=at)
    else:
        # As it was confirmed, not as somebody typed it now.
        correspondence.mail_code(correspondence.mailbox_of(first), first, len(theirs) - 1, at=at)


def subscribed_at(channel: Channel, address: str) -> list[Subscriber]:
    """Everything that the holder of a mailbox or a phone may see: also webhooks and rooms they own.

    Those who confirmed once, also who left since. Two queries at most.
    """
    confirmed = Subscriber.objects.filter(confirmed_at__isnull=False, erased_at__isnull=True).order_by("pk")
    if channel in PHONES:
        return list(confirmed.filter(channel__in=PHONES, address=address))
    # Looked up first: joined, the whole table would be read for it.
    owned = list(Endpoint.objects.filter(owner_email__iexact=address).values_list("subscriber", flat=True))
    mailed = confirmed.at_address(address).filter(channel=Channel.EMAIL)
    return sorted([*mailed, *confirmed.filter(pk__in=owned)], key=lambda each: each.pk)


# --- what owners do ----------------------------------------------------------------------------


def holder(token: str, purpose: str, *, at: datetime) -> Subscriber:
    """Whom a link speaks for. Raises ``tokens.BadToken`` (``tokens.ExpiredToken``: it was good once).

    Settings links end when the address left and came back; leaving works by any link for good.
    """
    bearer = tokens.read(token, purpose, at=at)
    subscriber = Subscriber.objects.filter(public_id=bearer.public_id).first()
    if subscriber is None:
        raise tokens.ExpiredToken("This subscription was removed.")
    if purpose == tokens.MANAGE and subscriber.generation != bearer.generation:
        raise tokens.ExpiredToken("This link belongs to an earlier subscription.")
    return subscriber


def enter_code(channel: Channel, address: str, purpose: str, code: str, *, at: datetime) -> list[Subscriber]:
    """Whose subscriptions a code opens (S18); empty: it is wrong, too old or used, whoever the address belongs to.

    A code of ``codes.CONFIRM`` begins the subscription that asked for it. Raises ``NotAllowed``.
    """
    if not codes.check(channel, address, purpose, code, at=at):
        return []
    if purpose == codes.MANAGE:
        return subscribed_at(channel, address)
    found = Subscriber.objects.filter(channel=channel, address=address)
    return [confirm(subscriber, at=at, proof="Sign-up form, confirmed by a code sent there") for subscriber in found]


@transaction.atomic
def confirm(
    subscriber: Subscriber, *, at: datetime, proof: str = "Sign-up form, confirmed by a link in a mail"
) -> Subscriber:
    """The owner of the mailbox or phone agreed. News from ``at`` on reaches them; again changes nothing.

    What they asked to follow begins, too. A confirmation of before they left does not bring them back,
    and there is nothing to confirm when the only thing they wanted is over: raises ``NotAllowed``.
    """
    subscriber = _locked(subscriber)
    if not subscriber.is_active:
        _begin(subscriber, proof, at)
    if subscriber.follows.filter(since__isnull=True).update(since=at):
        subscriber.changed_at = at
        _forget_letters(subscriber)
        subscriber.save(update_fields=["changed_at", "confirm_sent_at", "confirm_sent_count"])
    return subscriber


def _begin(subscriber: Subscriber, proof: str, at: datetime) -> None:
    if subscriber.channel in PHONES and suppression.stopped(subscriber.address):
        raise NotAllowed("This phone has answered STOP. Send START first, then subscribe again.")
    left = subscriber.unsubscribed_at
    if left is not None and (subscriber.confirm_sent_at is None or subscriber.confirm_sent_at < left):
        raise NotAllowed("You have unsubscribed since this link was sent.")
    if subscriber.follows_only and not subscriber.follows.exists():
        raise NotAllowed("What you wanted to follow is over.")
    if subscriber.confirmed_at is not None:
        # The address was away and may have a new owner: settings links in its old mail are void.
        subscriber.generation += 1
    subscriber.confirmed_at = at
    subscriber.unsubscribed_at = subscriber.bounced_at = None
    subscriber.consent_at, subscriber.consent_source = at, proof
    _forget_letters(subscriber)
    subscriber.save()
    suppression.lift(subscriber.channel, subscriber.address)


@transaction.atomic
def choose(subscriber: Subscriber, choice: Choice, *, at: datetime) -> Subscriber:
    """Change what a subscriber hears from ``at`` on. Raises ``NotAllowed`` for one who left."""
    subscriber = _locked(subscriber)
    if not subscriber.is_active:
        raise NotAllowed("You are not subscribed at the moment.")
    choice.write(subscriber)
    subscriber.changed_at = at
    subscriber.save(update_fields=["changed_at"])
    return subscriber


@transaction.atomic
def stop_following(subscriber: Subscriber, lane: str, *, at: datetime) -> Subscriber:
    """Hear no more of one incident than the rest of the choice says; who wanted nothing else has left."""
    subscriber = _locked(subscriber)
    subscriber.follows.filter(lane=lane).delete()
    subscriber.changed_at = at
    subscriber.save(update_fields=["changed_at"])
    if subscriber.follows_only:
        _stop_queued(Delivery.objects.filter(subscriber=subscriber, announcement__lane=lane), at)
        if not subscriber.follows.exists():
            return unsubscribe(subscriber, at=at)
    return subscriber


@transaction.atomic
def end_follows(lanes: Sequence[str], *, at: datetime) -> int:
    """What these lanes tell is over: nobody follows them any more. Returns how many followers were let go.

    Who wanted nothing else has left by it. Again changes nothing.
    """
    over = Follow.objects.filter(lane__in=lanes)
    Subscriber.objects.filter(pk__in=over.values("subscriber")).update(changed_at=at)
    ended = over.delete()[0]
    done = Subscriber.objects.active().filter(follows_only=True, follows__isnull=True)
    done.update(unsubscribed_at=at, confirm_sent_at=None, confirm_sent_count=0)
    return ended


@transaction.atomic
def rejoin(subscriber: Subscriber, *, at: datetime) -> Subscriber:
    """Come back with the old choice, by a link that only the owner of the mailbox has.

    Raises ``NotAllowed`` where the address was never confirmed or has refused mail: then only a
    new confirmation shows that mail arrives.
    """
    subscriber = _locked(subscriber)
    if subscriber.is_active:
        return subscriber
    if subscriber.channel in PHONES and suppression.stopped(subscriber.address):
        raise NotAllowed("This phone has answered STOP. Send START first, then come back here.")
    unreached = subscriber.confirmed_at is None or subscriber.bounced_at is not None
    if unreached or suppression.holds(subscriber.channel, subscriber.address):
        raise NotAllowed("Please subscribe again, so that we can check that mail reaches you.")
    if subscriber.follows_only and not subscriber.follows.exists():
        raise NotAllowed("What you followed is over. Please subscribe again.")
    subscriber.confirmed_at, subscriber.unsubscribed_at = at, None
    subscriber.save(update_fields=["confirmed_at", "unsubscribed_at"])
    return subscriber


@transaction.atomic
def unsubscribe(subscriber: Subscriber, *, at: datetime) -> Subscriber:
    """Stop all mail at once, also what is queued (S17, A7). Again changes nothing."""
    subscriber = _locked(subscriber)
    if subscriber.unsubscribed_at is None:
        subscriber.unsubscribed_at = at
        _forget_letters(subscriber)
        subscriber.save(update_fields=["unsubscribed_at", "confirm_sent_at", "confirm_sent_count"])
    _stop_queued(Delivery.objects.filter(subscriber=subscriber), at)
    _calm([subscriber.pk])
    return subscriber


@transaction.atomic
def unsubscribe_all(ids: Sequence[int], *, at: datetime) -> int:
    """``unsubscribe`` for many at once. Returns how many left; who had left already stays as they were."""
    left = 0
    # In the order of their ids, so that two of these never wait for each other crosswise.
    for some in _chunks(sorted(ids)):
        staying = Subscriber.objects.filter(pk__in=some, unsubscribed_at__isnull=True).order_by("pk")
        going = list(staying.select_for_update().values_list("pk", flat=True))
        left += Subscriber.objects.filter(pk__in=going).update(
            unsubscribed_at=at, confirm_sent_at=None, confirm_sent_count=0
        )
        _stop_queued(Delivery.objects.filter(subscriber__in=going), at)
        _calm(going)
    return left


@transaction.atomic
def erase(subscriber: Subscriber, *, by: AbstractBaseUser | None, at: datetime) -> Subscriber:
    """Forget a person for good (R-807, S29): only a hash remains, so that no import brings them back.

    ``by`` is None when they asked for it themselves or a command did. Again changes nothing.
    Customers' contacts are the customer's to keep: they are not touched.
    """
    subscriber = _locked(subscriber)
    if subscriber.erased_at is not None:
        return subscriber
    suppression.add(subscriber.channel, subscriber.address, Silence.ERASED, at=at)
    erasure.forget(_known_at(subscriber.channel, subscriber.address), at=at)
    # Files that wait for a press may name anybody; their owners upload them again.
    ImportFile.objects.all().delete()
    log.info("Subscriber %s was erased by %s.", subscriber.pk, by.get_username() if by else "themselves or a command")
    return Subscriber.objects.get(pk=subscriber.pk)


def _chunks(ids: Sequence[int], size: int = 1000) -> Iterator[Sequence[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _stop_queued(deliveries: QuerySet[Delivery], at: datetime) -> None:
    # The fence moves too: a worker that holds one of these may not begin to send it.
    deliveries.filter(fate__in=UNSENT).update(
        fate=Fate.SUPPRESSED, reason="Unsubscribed", settled_at=at, lease_until=None, fence=F("fence") + 1
    )


def _calm(ids: Sequence[int]) -> None:
    """What has ended is not failing, and its owner is not written to about it."""
    Endpoint.objects.filter(subscriber__in=ids).update(failing_since=None, quarantined_at=None)


def _locked(subscriber: Subscriber) -> Subscriber:
    return Subscriber.objects.select_for_update().get(pk=subscriber.pk)


def _known_at(channel: str, address: str) -> list[Subscriber]:
    """The rows of an address, however it is written, locked."""
    return list(Subscriber.objects.at_address(address).filter(channel=channel).select_for_update().order_by("pk"))


def _begun(channel: Channel, address: str, at: datetime) -> tuple[Subscriber, bool]:
    """The row of an address, locked; whether it was made now."""
    if known := _known_at(channel, address):
        # From before capitals made no difference there may be more than one.
        return max(known, key=lambda each: (each.is_active, each.address == address)), False
    newcomer = Subscriber(channel=channel, address=address, created_at=at)
    Subscriber.objects.bulk_create([newcomer], ignore_conflicts=True)
    subscriber = Subscriber.objects.select_for_update().get(channel=channel, address=address)
    return subscriber, subscriber.public_id == newcomer.public_id


def _forget_letters(subscriber: Subscriber) -> None:
    """The owner of the mailbox acted, so the letters were no bombing: the count begins anew."""
    subscriber.confirm_sent_at, subscriber.confirm_sent_count = None, 0
    if to := correspondence.mailbox_of(subscriber):
        limits.answered(to)
