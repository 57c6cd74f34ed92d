"""Webhooks: what their owners and our people say to us, one function each (R-801, S21, S27).

Whoever opens the link that was mailed to the owner is the owner. A signing secret is told once, to
whom it is made for, and then never again.
"""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from notifications import bell, destinations, limits, order, outbox, quarantine, tokens, vault
from notifications.channels.webhook import place
from notifications.choices import Choice
from notifications.enums import FINAL, Channel, Fate, Kind, Pool
from notifications.models import Announcement, Brand, Customer, Delivery, Endpoint, Subscriber
from notifications.moments import stamp
from notifications.outbox import Letter

log = logging.getLogger(__name__)

#: The old secret goes on signing beside the new one for this long (S21).
BOTH_SECRETS = timedelta(hours=24)
ENDED = "Ended by its owner."
#: A multiple of three: its Base64 has no padding to be lost when it is copied.
_SECRET_BYTES = 30


class NotAllowed(Exception):
    """The webhook is not in a state for this; ``str()`` says why, in words for its owner."""


def checked(url: str) -> str:
    """The one form of a webhook's address, as ``create_webhook`` wants it. Raises ``ValidationError``.

    Looks nothing up: where a name leads is not told to whoever types it (S20).
    """
    url = destinations.normal(url)
    if chat := destinations.chat_of(url):
        raise ValidationError(f"This is an address of {chat}: please choose “Chat” instead of “Webhook”.", code="chat")
    return url


@transaction.atomic
def create_webhook(
    url: str,
    *,
    owner_email: str,
    choice: Choice,
    at: datetime,
    name: str = "",
    brand: Brand | None = None,
    customer: Customer | None = None,
    network: str = "",
    by: AbstractBaseUser | None = None,
) -> tuple[Subscriber, str]:
    """Begin a webhook; ``url`` is in its normal form (``checked``), ``owner_email`` too (``addresses.normal``).

    Double opt-in: nothing is sent there until the link in the letter to its owner is pressed
    (``confirm``), and the page behind the link shows the secret. So the secret that is returned is
    empty, whoever else is subscribed (S15), but for our own people: with ``by`` the webhook begins
    at once, and the secret is theirs to hand on. One owner has one subscription per address; what
    is confirmed is not changed by typing it again. Whether its owner may be written to is asked
    before (``limits.may_write``). ``network`` as ``limits.network`` writes it.
    """
    label = _label(url, owner_email)
    newcomer = Subscriber(channel=Channel.WEBHOOK, address=label, created_at=at)
    Subscriber.objects.bulk_create([newcomer], ignore_conflicts=True)
    subscriber = Subscriber.objects.select_for_update().get(channel=Channel.WEBHOOK, address=label)
    endpoint = _endpoint(subscriber, url, owner_email, at)
    if subscriber.is_active:
        _write(endpoint, _settings_letter, at=at)
        return subscriber, ""
    choice.write(subscriber)
    subscriber.customer, subscriber.signed_up_from = customer, network
    subscriber.save(update_fields=["customer", "signed_up_from"])
    endpoint.name, endpoint.brand = name, brand
    endpoint.save(update_fields=["name", "brand"])
    if by is None:
        _write(endpoint, _confirm_letter, at=at)
        return subscriber, ""
    return subscriber, _begin(endpoint, f"Entered by {by.get_username()}", at=at)


@transaction.atomic
def confirm(subscriber: Subscriber, *, at: datetime) -> str:
    """The owner pressed the button: news from ``at`` on go there, and a test at once. Returns the secret.

    Empty when it was confirmed before. A link of before it ended does not bring it back: raises ``NotAllowed``.
    """
    endpoint = _held(subscriber)
    subscriber = endpoint.subscriber
    if subscriber.is_active:
        return ""
    left = subscriber.unsubscribed_at
    if left is not None and (subscriber.confirm_sent_at is None or subscriber.confirm_sent_at < left):
        raise NotAllowed("This webhook has been ended since this link was sent.")
    return _begin(endpoint, "Sign-up form, confirmed by a link in a mail to its owner", at=at)


@transaction.atomic
def rotate(subscriber: Subscriber, *, at: datetime) -> str:
    """A new secret, returned this once; the one until now goes on signing beside it for BOTH_SECRETS."""
    endpoint = _held(subscriber)
    _needs_life(endpoint)
    endpoint.old_secret = _seal(endpoint, "old_secret", _opened(endpoint, "secret"))
    endpoint.old_secret_until = at + BOTH_SECRETS
    return _new_secret(endpoint)


@transaction.atomic
def end(subscriber: Subscriber, *, at: datetime, reason: str = ENDED) -> None:
    """Nothing more goes there, not even what is queued. Again changes nothing."""
    endpoint = _held(subscriber)
    if endpoint.subscriber.unsubscribed_at is None:
        quarantine.end(endpoint, reason, at=at)


@transaction.atomic
def send_test(subscriber: Subscriber, *, at: datetime) -> Delivery:
    """Send an event that says nothing new, at once and only once, also to one that is failing or in quarantine.

    If it arrives, either is over, and what waits goes out. Raises ``NotAllowed`` where a test is on its way already.
    """
    endpoint = _held(subscriber)
    _needs_life(endpoint)
    lane = f"webhook-test:{endpoint.subscriber.public_id}"
    if Delivery.objects.filter(subscriber=subscriber, announcement__lane=lane).exclude(fate__in=FINAL).exists():
        raise NotAllowed("A test is on its way already.")
    brand = endpoint.brand or Brand.objects.default()
    letter = Letter(heading="Test event", paragraphs=(f"Somebody wants to know whether {endpoint} is reached.",))
    news = Announcement.objects.create(
        lane=lane,
        seq=Announcement.objects.filter(lane=lane).count() + 1,
        kind=Kind.LETTER,
        pool=Pool.HOOKS,
        brand=brand,
        channels=[Channel.WEBHOOK],
        subject="Test event",
        content=letter.as_json() | {"hook": _test_event(brand, at)},
        published_at=at,
        expires_at=at + outbox.LETTER_LIFE,
        expanded_at=at,
    )
    return _queue(news, endpoint, at=at)


@transaction.atomic
def come_back(subscriber: Subscriber, *, at: datetime) -> Delivery:
    """Begin again after a quarantine or an end, with the old choice: when the test that is sent now arrives."""
    endpoint = _held(subscriber)
    subscriber = endpoint.subscriber
    if subscriber.unsubscribed_at is not None and subscriber.confirmed_at is not None:
        # As in quarantine until the test has arrived: whoever said 410 is not bothered with news before.
        endpoint.quarantined_at = at
        endpoint.save(update_fields=["quarantined_at"])
        subscriber.confirmed_at, subscriber.unsubscribed_at = at, None
        subscriber.save(update_fields=["confirmed_at", "unsubscribed_at"])
    return send_test(subscriber, at=at)


def replay(which: Iterable[Delivery], *, at: datetime, by: AbstractBaseUser | None = None) -> int:
    """Send messages again that have come to an end, with the same ids (F06); returns how many.

    ``by`` None: their owner wants it. Not to endpoints that ended, are failing or in quarantine: those
    take a test first (``send_test``). Tests are not sent again.
    """
    return _replay(Delivery.objects.filter(pk__in=[delivery.pk for delivery in which]), at=at, by=by)


def replay_since(subscriber: Subscriber, since: datetime, *, at: datetime, by: AbstractBaseUser | None = None) -> int:
    """``replay`` of everything that was published for one webhook at ``since`` or later."""
    theirs = Delivery.objects.filter(subscriber=subscriber, announcement__published_at__gte=since)
    return _replay(theirs, at=at, by=by)


@transaction.atomic
def _replay(which: Any, *, at: datetime, by: AbstractBaseUser | None) -> int:
    unwell = Q(quarantined_at__isnull=False) | Q(failing_since__isnull=False)
    paused = Endpoint.objects.filter(unwell, subscriber=OuterRef("subscriber"))
    wanted = which.filter(
        ~Exists(paused),
        channel=Channel.WEBHOOK,
        fate__in=FINAL,
        subscriber__confirmed_at__isnull=False,
        subscriber__unsubscribed_at__isnull=True,
    ).exclude(announcement__kind=Kind.LETTER)
    ids = list(wanted.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    reason = f"Sent again by {by.get_username()}." if by else "Sent again for its owner."
    again = Delivery.objects.filter(pk__in=ids, fate__in=FINAL).update(
        # Each in its turn, in the order of publishing.
        fate=Fate.BLOCKED,
        reason=reason,
        next_at=at,
        replayed_at=at,
        settled_at=None,
        attempts=0,
        copies=0,
        fence=F("fence") + 1,
        pool=Pool.HOOKS,
    )
    order.take_turns()
    transaction.on_commit(lambda: bell.ring_deliver(Pool.HOOKS), robust=True)
    return again


def _endpoint(subscriber: Subscriber, url: str, owner_email: str, at: datetime) -> Endpoint:
    endpoint = Endpoint.objects.filter(subscriber=subscriber).first()
    if endpoint is None:
        endpoint = Endpoint(subscriber=subscriber, owner_email=owner_email, created_at=at)
        endpoint.url = _seal(endpoint, "url", url)
        _new_secret(endpoint)
    return endpoint


def _held(subscriber: Subscriber) -> Endpoint:
    """The endpoint with its subscriber, whose row is held until the act is over."""
    endpoint = quarantine.locked(Q(subscriber=subscriber.pk))
    if endpoint is None:
        raise NotAllowed("This webhook was removed.")
    return endpoint


def _needs_life(endpoint: Endpoint) -> None:
    if not endpoint.subscriber.is_active:
        raise NotAllowed("This webhook has ended.")


def _begin(endpoint: Endpoint, consent: str, *, at: datetime) -> str:
    subscriber = endpoint.subscriber
    if subscriber.confirmed_at is not None:
        # It was away: links of before are void.
        subscriber.generation += 1
    subscriber.confirmed_at, subscriber.unsubscribed_at, subscriber.bounced_at = at, None, None
    subscriber.consent_at, subscriber.consent_source = at, consent
    subscriber.confirm_sent_at, subscriber.confirm_sent_count = None, 0
    subscriber.save()
    # Its owner acted: what was written to that mailbox was no bombing.
    limits.answered(endpoint.owner_email)
    # Nobody else may know it: what signed before signs no more.
    endpoint.old_secret, endpoint.old_secret_until = "", None
    endpoint.failing_since = endpoint.quarantined_at = None
    secret = _new_secret(endpoint)
    send_test(subscriber, at=at)
    return secret


def _new_secret(endpoint: Endpoint) -> str:
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    endpoint.secret = _seal(endpoint, "secret", secret)
    endpoint.save()
    return secret


def _seal(endpoint: Endpoint, column: str, clear: str) -> str:
    return vault.seal(clear, place(column, endpoint.subscriber.public_id))


def _opened(endpoint: Endpoint, column: str) -> str:
    return vault.open_sealed(getattr(endpoint, column), place(column, endpoint.subscriber.public_id))


def _label(url: str, owner_email: str) -> str:
    """What may be shown of it: the host, and sixteen letters that tell two of them apart."""
    return f"{destinations.host_of(url)[:200]} #{vault.fingerprint(f'{owner_email.casefold()} {url}')}"


def _queue(news: Announcement, endpoint: Endpoint, *, at: datetime) -> Delivery:
    busy = Delivery.objects.filter(subscriber=endpoint.subscriber, fate__in=(Fate.LEASED, Fate.SENDING)).exists()
    delivery = Delivery.objects.create(
        announcement=news,
        subscriber=endpoint.subscriber,
        channel=Channel.WEBHOOK,
        pool=Pool.HOOKS,
        # Before what waits for a better moment; but two things at once are for nobody.
        fate=Fate.BLOCKED if busy else Fate.PENDING,
        next_at=at,
        created_at=at,
    )
    transaction.on_commit(lambda: bell.ring_deliver(Pool.HOOKS), robust=True)
    return delivery


def _test_event(brand: Brand, at: datetime) -> str:
    """A component event of a component that is none. The page is as it was told last: a test changes nothing."""
    told = Announcement.objects.exclude(kind__in=(Kind.LETTER, Kind.DIGEST)).order_by("-pk")
    # The content whole: SQLite would parse the text in it once too often.
    hooks = [content.get("hook") for content in told.values_list("content", flat=True)[:1]]
    page = next((json.loads(hook)["page"] for hook in hooks if hook), None)
    moment, nobody = stamp(at), "test00000000"
    event = {
        "page": page or {"id": nobody, "status_indicator": "none", "status_description": "All Systems Operational"},
        "component_update": {
            "created_at": moment,
            "new_status": "operational",
            "old_status": "operational",
            "id": nobody,
            "component_id": nobody,
            "component_type": "Component",
        },
        "component": {
            "created_at": moment,
            "id": nobody,
            "name": f"Test of {brand.name}",
            "status": "operational",
            "updated_at": moment,
            "position": 1,
            "description": "This is a test. Nothing has happened.",
            "showcase": False,
            "page_id": (page or {}).get("id", nobody),
            "group_id": None,
        },
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


# --- letters to the owner ---------------------------------------------------------------------


def _write(endpoint: Endpoint, letter_of: Any, *, at: datetime) -> None:
    subscriber, brand = endpoint.subscriber, endpoint.brand or Brand.objects.default()
    subscriber.confirm_sent_at = at
    subscriber.confirm_sent_count += 1
    subscriber.save(update_fields=["confirm_sent_at", "confirm_sent_count"])
    subject, letter = letter_of(endpoint, brand, at)
    outbox.write_to(
        [endpoint.owner_email], letter, subject=subject, brand=brand, lane=f"subscriber:{subscriber.public_id}", at=at
    )


def _confirm_letter(endpoint: Endpoint, brand: Brand, at: datetime) -> tuple[str, Letter]:
    hours = int(tokens.CONFIRM_LIFE.total_seconds() // 3600)
    token = tokens.make(endpoint.subscriber, tokens.CONFIRM, at=at)
    letter = Letter(
        heading="Please confirm your webhook",
        paragraphs=(
            f"Somebody, we hope you, asked for status updates of {brand.name} to be posted to {endpoint.subscriber}.",
            "They begin when you confirm; then you also get the secret that signs them. "
            f"The button works for {hours} hours.",
            "If it was not you, do nothing: nothing will be sent there.",
        ),
        button="Confirm webhook",
        url=f"{settings.SITE_URL}/subscriptions/webhook/confirm/{token}",
    )
    return f"Confirm your webhook for {brand.name} status updates", letter


def _settings_letter(endpoint: Endpoint, brand: Brand, at: datetime) -> tuple[str, Letter]:
    letter = Letter(
        heading="Your webhook exists already",
        paragraphs=(
            f"Somebody, perhaps you, asked for status updates of {brand.name} to be posted to {endpoint.subscriber}.",
            "They are already, and nothing has changed.",
            "Here you can see what was sent, change the secret, or end it.",
        ),
        button="Open your webhook",
        url=quarantine.page_url(endpoint.subscriber),
    )
    return f"Your webhook for {brand.name} status updates", letter
