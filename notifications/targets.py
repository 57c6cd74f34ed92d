"""Chat rooms and social accounts that hear our news (R-801, R-1204): added, changed, tried out, paused, removed.

A target is a ``Subscriber`` whose address is a label, with an ``Endpoint`` that holds the real
address, sealed (S27). Staff add them in the console and vouch for them; customers add a room of
their own by its pasted address, and a link in a mail to its owner confirms it.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from urllib.parse import urljoin

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from notifications import quarantine, rooms, vault
from notifications.channels import chat, chat_urls, wording
from notifications.channels.chat_urls import Target
from notifications.channels.port import Answer, Verdict
from notifications.channels.webhook import place
from notifications.choices import Choice
from notifications.egress import Client
from notifications.fanout import PAUSED
from notifications.models import Brand, Endpoint, Subscriber

#: Somebody waits in front of a screen.
TRIAL_SECONDS = 10.0
REMOVED = "The target was removed."


def normal_chat_url(text: str) -> str:
    """The one spelling of a chat webhook that a customer pastes. Raises ``ValidationError`` in their words.

    Only kinds whose address itself proves the right to post: Slack, Teams, Discord, Mattermost, Google Chat.
    """
    return chat_urls.parse_pasted(text).url


@transaction.atomic
def create_chat(url: str, *, owner_email: str, choice: Choice, at: datetime) -> Subscriber:
    """A customer's own room, unconfirmed: nothing is sent before the owner's e-mail link says so (R-802).

    ``url`` is what ``normal_chat_url`` returned. Whoever adds a room that is subscribed already gets
    that subscriber back as it is: anybody can paste anybody's address. A room that was stopped because
    it kept failing is given another chance. Raises ``ValidationError``.
    """
    endpoint = _stored(chat_urls.parse_pasted(url), at=at)
    if endpoint.quarantined_at and endpoint.failing_since:
        endpoint.quarantined_at = endpoint.failing_since = None
        endpoint.save(update_fields=["quarantined_at", "failing_since"])
    if not endpoint.subscriber.is_active:
        choice.write(endpoint.subscriber)
        endpoint.owner_email = owner_email
        endpoint.save(update_fields=["owner_email"])
    return endpoint.subscriber


@transaction.atomic
def add(
    url: str, *, name: str, brand: Brand | None, team: str, choice: Choice, by: AbstractBaseUser, at: datetime
) -> Subscriber:
    """A target that our own people vouch for; it hears news from ``at`` on. Raises ``ValidationError``."""
    target = chat_urls.parse(url)
    endpoint = _stored(target, at=at)
    subscriber = endpoint.subscriber
    if subscriber.is_active:
        raise ValidationError(f"This place hears our news already: {endpoint}.", code="known")
    choice.write(subscriber)
    subscriber.confirmed_at, subscriber.unsubscribed_at, subscriber.bounced_at = at, None, None
    subscriber.consent_at, subscriber.consent_source = at, f"Entered by {by.get_username()}"
    subscriber.changed_at = at
    subscriber.save()
    endpoint.name, endpoint.brand, endpoint.team, endpoint.owner_email = name, brand, team, ""
    endpoint.failing_since = endpoint.quarantined_at = None
    endpoint.save()
    return subscriber


@transaction.atomic
def change(
    subscriber: Subscriber, *, name: str, brand: Brand | None, team: str, choice: Choice, at: datetime, url: str = ""
) -> Subscriber:
    """What it is called and hears from ``at`` on; ``url`` takes the place of its address, where there is one.

    Raises ``ValidationError`` for an address of another service, or of a place that is a target already.
    """
    endpoint = _held(subscriber)
    subscriber = endpoint.subscriber
    if url:
        _readdress(endpoint, chat_urls.parse(url))
    choice.write(subscriber)
    subscriber.changed_at = at
    subscriber.save(update_fields=["changed_at"])
    endpoint.name, endpoint.brand, endpoint.team = name, brand, team
    endpoint.save()
    return subscriber


def try_out(subscriber: Subscriber) -> Answer:
    """Post a test there, now, and return what was answered. Takes up to TRIAL_SECONDS.

    Also to one that is paused. Raises ``ValidationError`` where its address cannot be used any more.
    """
    endpoint = Endpoint.objects.select_related("subscriber", "brand").get(subscriber=subscriber)
    brand = endpoint.brand or Brand.objects.default()
    try:
        url = vault.open_sealed(endpoint.url, place("url", subscriber.public_id))
    except vault.Unreadable as error:
        raise ValidationError(f"{error} Enter its address anew.", code="unreadable") from error
    target = chat_urls.parse(url, sender=brand.name)
    note = wording.trial(brand.name, urljoin(settings.SITE_URL, "/status"), uuid.uuid4().hex)
    client = Client()
    try:
        answer = chat.post(target, note, key=note.news, client=client, deadline=time.monotonic() + TRIAL_SECONDS)
    finally:
        client.close()
    if answer.verdict in (Verdict.ACCEPTED, Verdict.DELIVERED):
        rooms.heard(subscriber.public_id, answer)
    return answer


@transaction.atomic
def pause(subscriber: Subscriber, *, at: datetime) -> None:
    """Nothing is sent there until ``resume``, not even what is queued. Again changes nothing."""
    endpoint = _held(subscriber)
    if endpoint.quarantined_at is None:
        # A pause is a person's: that it was failing is not why.
        endpoint.quarantined_at, endpoint.failing_since = at, None
        endpoint.save(update_fields=["quarantined_at", "failing_since"])
        rooms.withhold(endpoint, PAUSED, at=at)


@transaction.atomic
def resume(subscriber: Subscriber) -> None:
    """It hears what is published from now on, with a clean slate. What it missed stays missed."""
    endpoint = _held(subscriber)
    endpoint.quarantined_at = endpoint.failing_since = None
    endpoint.save(update_fields=["quarantined_at", "failing_since"])


@transaction.atomic
def remove(subscriber: Subscriber, *, at: datetime) -> None:
    """End it for good and forget its address; what was sent there keeps its lines in the log."""
    endpoint = _held(subscriber)
    rooms.withhold(endpoint, REMOVED, at=at)
    endpoint.subscriber.unsubscribed_at = at
    endpoint.subscriber.save(update_fields=["unsubscribed_at"])
    endpoint.delete()


def _stored(target: Target, *, at: datetime) -> Endpoint:
    """The endpoint of a place, its subscriber locked; both made where there was none."""
    channel, label = target.service.channel, target.label
    Subscriber.objects.bulk_create([Subscriber(channel=channel, address=label, created_at=at)], ignore_conflicts=True)
    subscriber = Subscriber.objects.select_for_update().get(channel=channel, address=label)
    endpoint = Endpoint.objects.select_related("subscriber").filter(subscriber=subscriber).first()
    if endpoint is None:
        endpoint = Endpoint.objects.create(subscriber=subscriber, url=_sealed(target, subscriber), created_at=at)
    return endpoint


def _readdress(endpoint: Endpoint, target: Target) -> None:
    subscriber = endpoint.subscriber
    if not subscriber.address.startswith(f"{target.service.name} "):
        raise ValidationError(f"This is an address of {target.service.name}. Add it as a target of its own.")
    if Subscriber.objects.filter(channel=subscriber.channel, address=target.label).exclude(pk=subscriber.pk).exists():
        raise ValidationError("This place is a target already.", code="known")
    subscriber.address = target.label
    subscriber.save(update_fields=["address"])
    endpoint.url, endpoint.failing_since = _sealed(target, subscriber), None


def _held(subscriber: Subscriber) -> Endpoint:
    endpoint = quarantine.locked(Q(subscriber=subscriber.pk))
    if endpoint is None:
        raise ValidationError("This target was removed.", code="removed")
    return endpoint


def _sealed(target: Target, subscriber: Subscriber) -> str:
    return vault.seal(target.url, place("url", subscriber.public_id))
