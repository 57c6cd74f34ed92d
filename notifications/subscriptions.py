"""Subscribing by e-mail: what people say to us, one function each (R-802).

``ask`` is all that the public form does; ``answer`` is the worker's half. Between them lies a row,
so that nobody can learn from the form, by its words or its speed, who is subscribed (S15).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet

from notifications import bell, erasure, limits, outbox, suppression, tokens
from notifications.enums import UNSENT, Channel, Fate, Silence
from notifications.models import Brand, Delivery, SignUp, Subscriber, Topic
from notifications.outbox import Letter

log = logging.getLogger(__name__)

#: A mailbox must not be bombed through our form (S16): one letter in this time …
LETTER_EVERY = timedelta(minutes=10)
#: … and no more than this many in a row, each within a day of the one before, without an answer.
LETTERS_UNANSWERED = 3
LETTERS_FORGOTTEN_AFTER = timedelta(hours=24)


class NotAllowed(Exception):
    """The link no longer allows this; ``str()`` says why, in words for the person."""


@dataclass(frozen=True)
class Choice:
    """What somebody wants to hear. ``topics`` are ids of Topic; they count when ``all_topics`` is False.

    ``least_rank`` 1–4: told about incidents of this rank and worse (1 only the worst, 4 all).
    """

    all_topics: bool = True
    topics: tuple[int, ...] = ()
    wants_incidents: bool = True
    wants_maintenance: bool = True
    least_rank: int = 4

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Choice:
        return cls(**{**written, "topics": tuple(written["topics"])})

    @classmethod
    def of(cls, subscriber: Subscriber) -> Choice:
        return cls(
            all_topics=subscriber.all_topics,
            topics=tuple(subscriber.topics.values_list("pk", flat=True)),
            wants_incidents=subscriber.wants_incidents,
            wants_maintenance=subscriber.wants_maintenance,
            least_rank=subscriber.least_rank,
        )


@transaction.atomic
def ask(address: str, choice: Choice, *, at: datetime, network: str = "") -> None:
    """Note that somebody wants to subscribe; ``address`` is in its normal form (``addresses.normal``).

    ``network`` is where from, as ``limits.network`` writes it: part of the proof of consent (S29).

    Does the same work whoever the address belongs to: it never looks at the subscribers (S15).
    """
    SignUp.objects.bulk_create(
        [SignUp(address=address, choice=choice.as_json(), asked_at=at, asked_from=network)],
        update_conflicts=True,
        unique_fields=["address"],
        update_fields=["choice", "asked_at", "asked_from"],
    )
    transaction.on_commit(bell.ring_sign_ups, robust=True)


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
    sign_up = SignUp.objects.select_for_update(skip_locked=True).filter(pk=pk).first()
    if sign_up is None:
        return False
    subscribe(sign_up.address, Choice.from_json(sign_up.choice), at=at, network=sign_up.asked_from)
    sign_up.delete()
    return True


@transaction.atomic
def subscribe(address: str, choice: Choice, *, at: datetime, network: str = "") -> Subscriber:
    """Begin a double opt-in (R-802): keep the choice and mail a link that confirms it.

    Who is subscribed already gets a link to their settings instead, and nothing of theirs changes:
    anybody can type anybody's address. Raises ``Brand.DoesNotExist`` before set-up.
    """
    newcomer = Subscriber(channel=Channel.EMAIL, address=address, created_at=at)
    Subscriber.objects.bulk_create([newcomer], ignore_conflicts=True)
    subscriber = Subscriber.objects.select_for_update().get(channel=Channel.EMAIL, address=address)
    if not subscriber.is_active:
        _write_choice(subscriber, choice)
        subscriber.signed_up_from = network
        subscriber.save(update_fields=["signed_up_from"])
    if _may_write(subscriber, at):
        _write(subscriber, at)
    return subscriber


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


@transaction.atomic
def confirm(subscriber: Subscriber, *, at: datetime) -> Subscriber:
    """The owner of the mailbox pressed the button. News from ``at`` on reaches them; again changes nothing.

    A confirmation of before they left does not bring them back: raises ``NotAllowed``.
    """
    subscriber = _locked(subscriber)
    if subscriber.is_active:
        return subscriber
    left = subscriber.unsubscribed_at
    if left is not None and (subscriber.confirm_sent_at is None or subscriber.confirm_sent_at < left):
        raise NotAllowed("You have unsubscribed since this link was sent.")
    if subscriber.confirmed_at is not None:
        # The address was away and may have a new owner: settings links in its old mail are void.
        subscriber.generation += 1
    subscriber.confirmed_at = at
    subscriber.unsubscribed_at = subscriber.bounced_at = None
    subscriber.consent_at, subscriber.consent_source = at, "Sign-up form, confirmed by a link in a mail"
    _forget_letters(subscriber)
    subscriber.save()
    suppression.lift(subscriber.channel, subscriber.address)
    return subscriber


@transaction.atomic
def choose(subscriber: Subscriber, choice: Choice, *, at: datetime) -> Subscriber:
    """Change what a subscriber hears from ``at`` on. Raises ``NotAllowed`` for one who left."""
    subscriber = _locked(subscriber)
    if not subscriber.is_active:
        raise NotAllowed("You are not subscribed at the moment.")
    _write_choice(subscriber, choice)
    subscriber.changed_at = at
    subscriber.save(update_fields=["changed_at"])
    return subscriber


@transaction.atomic
def rejoin(subscriber: Subscriber, *, at: datetime) -> Subscriber:
    """Come back with the old choice, by a link that only the owner of the mailbox has.

    Raises ``NotAllowed`` where the address was never confirmed or has refused mail: then only a
    new confirmation shows that mail arrives.
    """
    subscriber = _locked(subscriber)
    if subscriber.is_active:
        return subscriber
    unreached = subscriber.confirmed_at is None or subscriber.bounced_at is not None
    if unreached or suppression.holds(subscriber.channel, subscriber.address):
        raise NotAllowed("Please subscribe again, so that we can check that mail reaches you.")
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
    erasure.forget(subscriber, at=at)
    log.info("Subscriber %s was erased by %s.", subscriber.pk, by.get_username() if by else "themselves or a command")
    return Subscriber.objects.get(pk=subscriber.pk)


def _chunks(ids: Sequence[int], size: int = 1000) -> Iterator[Sequence[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _stop_queued(deliveries: QuerySet[Delivery], at: datetime) -> None:
    # The fence moves too: a worker that holds one of these may not begin to send it.
    deliveries.filter(fate__in=UNSENT).update(
        fate=Fate.SUPPRESSED, reason="Unsubscribed", settled_at=at, lease_until=None, fence=F("fence") + 1
    )


def _locked(subscriber: Subscriber) -> Subscriber:
    return Subscriber.objects.select_for_update().get(pk=subscriber.pk)


def _write_choice(subscriber: Subscriber, choice: Choice) -> None:
    subscriber.all_topics = choice.all_topics
    subscriber.wants_incidents = choice.wants_incidents
    subscriber.wants_maintenance = choice.wants_maintenance
    subscriber.least_rank = choice.least_rank
    subscriber.save(update_fields=["all_topics", "wants_incidents", "wants_maintenance", "least_rank"])
    # Components may have gone between the question and the answer.
    subscriber.topics.set([] if choice.all_topics else Topic.objects.filter(pk__in=choice.topics))


def _forget_letters(subscriber: Subscriber) -> None:
    """The owner of the mailbox acted, so the letters were no bombing: the count begins anew."""
    subscriber.confirm_sent_at, subscriber.confirm_sent_count = None, 0


def _may_write(subscriber: Subscriber, at: datetime) -> bool:
    last = subscriber.confirm_sent_at
    if last is None or at - last >= LETTERS_FORGOTTEN_AFTER:
        subscriber.confirm_sent_count = 0
        return True
    return at - last >= LETTER_EVERY and subscriber.confirm_sent_count < LETTERS_UNANSWERED


def _write(subscriber: Subscriber, at: datetime) -> None:
    """Mail the link that fits: to confirm, or to the settings of one who is subscribed already."""
    subscriber.confirm_sent_at = at
    subscriber.confirm_sent_count += 1
    subscriber.save(update_fields=["confirm_sent_at", "confirm_sent_count"])
    brand = Brand.objects.default()
    write = _settings_letter if subscriber.is_active else _confirm_letter
    subject, letter = write(subscriber, brand, at)
    outbox.write_to(
        [subscriber.address],
        letter,
        subject=subject,
        brand=brand,
        lane=f"subscriber:{subscriber.public_id}",
        at=at,
    )


def _confirm_letter(subscriber: Subscriber, brand: Brand, at: datetime) -> tuple[str, Letter]:
    hours = int(tokens.CONFIRM_LIFE.total_seconds() // 3600)
    letter = Letter(
        heading="Please confirm your subscription",
        paragraphs=(
            f"Somebody, we hope you, asked for status updates of {brand.name} at this address.",
            f"They begin when you confirm. The button works for {hours} hours.",
            "If it was not you, do nothing: you will not be subscribed.",
        ),
        button="Confirm subscription",
        url=tokens.url(tokens.make(subscriber, tokens.CONFIRM, at=at), tokens.CONFIRM),
    )
    return f"Confirm your subscription to {brand.name} status updates", letter


def _settings_letter(subscriber: Subscriber, brand: Brand, at: datetime) -> tuple[str, Letter]:
    letter = Letter(
        heading="You are subscribed already",
        paragraphs=(
            f"Somebody, perhaps you, asked for status updates of {brand.name} at this address.",
            "It is subscribed already, and nothing has changed.",
            "Here you can see and change what you hear about, or unsubscribe.",
        ),
        button="Open your settings",
        url=tokens.url(tokens.make(subscriber, tokens.MANAGE, at=at), tokens.MANAGE),
    )
    return f"Your subscription to {brand.name} status updates", letter
