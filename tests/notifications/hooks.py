"""Webhooks in one line each: who gets them, what is told, and how time goes by for those that fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from notifications import delivery, endpoints, fanout
from notifications.choices import Choice
from notifications.enums import Fate, Pool
from notifications.models import Announcement, Delivery, Endpoint, Subscriber
from tests import scene
from tests.notifications.news import news
from tests.notifications.receiver import Receiver

OWNER = "ops@acme.example"
EVENT = '{"page":{"id":"p1aaaaaaaaaa","status_indicator":"minor","status_description":"Minor Service Outage"},"n":%d}'


def webhook(receiver: Receiver, path: str = "/hook", **changes: Any) -> tuple[Subscriber, str]:
    """One of our people entered it an hour ago; its test has arrived and is forgotten. With its secret."""
    at = timezone.now() - timedelta(hours=1)
    scene.brand()
    url = receiver.url.replace("/hook", path)
    values = {"owner_email": OWNER, "choice": Choice(), "at": at, "by": scene.operator()} | changes
    subscriber, secret = endpoints.create_webhook(url, **values)
    drain()
    Announcement.objects.filter(lane__startswith="webhook-test").delete()
    receiver.heard.clear()
    return subscriber, secret


def told(n: int, **changes: Any) -> Announcement:
    """News for webhooks, its rows written down."""
    announcement = news(hook=EVENT % n, **({"lane": f"lane {n}"} | changes))
    fanout.expand(announcement.pk)
    return announcement


def drain() -> int:
    """Send all that is due, wherever it waits; how many arrived."""
    return sum(delivery.drain(pool) for pool in (Pool.RETRIES, Pool.HOOKS))


def wait() -> int:
    """The moment of the next try has come."""
    Delivery.objects.filter(fate=Fate.PENDING).update(next_at=timezone.now() - timedelta(seconds=1))
    return drain()


def endpoint(subscriber: Subscriber) -> Endpoint:
    return Endpoint.objects.select_related("subscriber").get(subscriber=subscriber)
