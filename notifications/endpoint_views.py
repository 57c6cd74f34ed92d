"""The pages of a webhook, for its owner: confirm it, see what it answered, send again, a new secret, the end.

Whoever holds the link from our mail is the owner. A secret is shown in the answer to the press that
made it, and never again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from notifications import endpoints, fates, measures, subscriptions, tokens
from notifications.channels.webhook import SCHEDULE
from notifications.enums import FINAL, Channel, Fate, Kind
from notifications.models import Brand, Delivery, Endpoint, Subscriber
from notifications.views import GONE, public_page

SHOWN = 50
#: How far back everything can be sent again: as the page says it, and in hours.
SINCE = {"1": "the last hour", "6": "the last 6 hours", "24": "the last day", "72": "the last 3 days"}


@dataclass(frozen=True)
class Row:
    """One message as its owner reads it."""

    delivery: Delivery
    words: str
    colour: str
    again: bool


@public_page
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """A button; pressing it begins the webhook and shows the secret, this once."""
    at, secret = timezone.now(), ""
    try:
        subscriber = _holder(token, tokens.CONFIRM, at)
        if request.method == "POST":
            secret = endpoints.confirm(subscriber, at=at)
            subscriber = Subscriber.objects.get(pk=subscriber.pk)
    except (tokens.BadToken, endpoints.NotAllowed) as reason:
        return _show(request, "stale", GONE, reason=reason)
    if not subscriber.is_active:
        return _show(request, "webhook_confirm", subscriber=subscriber)
    owners_page = reverse("subscriptions:webhook", args=[tokens.make(subscriber, tokens.MANAGE)])
    return _show(request, "webhook_confirmed", subscriber=subscriber, secret=secret, owners_page=owners_page)


@public_page
def webhook(request: HttpRequest, token: str) -> HttpResponse:
    """What becomes of a webhook, and what its owner can do about it."""
    at = timezone.now()
    try:
        subscriber = _holder(token, tokens.MANAGE, at)
        said: dict[str, Any] = {}
        if request.method == "POST":
            said = _do(request, subscriber, at)
            subscriber = Subscriber.objects.get(pk=subscriber.pk)
    except (tokens.BadToken, endpoints.NotAllowed) as reason:
        return _show(request, "stale", GONE, reason=reason)
    return _show(request, "webhook", token=token, since=SINCE.items(), **_state(subscriber, at), **said)


@public_page
def documentation(request: HttpRequest) -> HttpResponse:
    """What arrives and how to check it: the address stands in every message (``meta.documentation``)."""
    return _show(request, "webhooks", hours=[f"{seconds // 3600}" for seconds in SCHEDULE if seconds >= 3_600])


def _do(request: HttpRequest, subscriber: Subscriber, at: datetime) -> dict[str, Any]:
    """One press of one button; what the page says about it. Anything unknown does nothing."""
    act = _ACTS.get(request.POST.get("act", ""))
    if act is None:
        return {}
    try:
        return act(request, subscriber, at)
    except endpoints.NotAllowed as reason:
        return {"refused": str(reason)}


def _send_test(_: HttpRequest, subscriber: Subscriber, at: datetime) -> dict[str, Any]:
    endpoints.come_back(subscriber, at=at)
    return {"said": "test"}


def _rotate(_: HttpRequest, subscriber: Subscriber, at: datetime) -> dict[str, Any]:
    return {"secret": endpoints.rotate(subscriber, at=at)}


def _end(_: HttpRequest, subscriber: Subscriber, at: datetime) -> dict[str, Any]:
    endpoints.end(subscriber, at=at)
    return {"said": "ended"}


def _replay(request: HttpRequest, subscriber: Subscriber, at: datetime) -> dict[str, Any]:
    number = measures.number(request.POST.get("delivery", ""))
    which = Delivery.objects.filter(subscriber=subscriber, pk=number or 0)
    return {"said": "again", "count": endpoints.replay(which, at=at)}


def _replay_since(request: HttpRequest, subscriber: Subscriber, at: datetime) -> dict[str, Any]:
    hours = request.POST.get("since", "")
    if hours not in SINCE:
        return {}
    return {"said": "again", "count": endpoints.replay_since(subscriber, at - timedelta(hours=int(hours)), at=at)}


_ACTS: dict[str, Callable[[HttpRequest, Subscriber, datetime], dict[str, Any]]] = {
    "test": _send_test,
    "rotate": _rotate,
    "end": _end,
    "again": _replay,
    "again since": _replay_since,
}


def _state(subscriber: Subscriber, at: datetime) -> dict[str, Any]:
    """How it stands, with its last messages. Four queries."""
    endpoint = Endpoint.objects.select_related("brand").get(subscriber=subscriber)
    theirs = Delivery.objects.filter(subscriber=subscriber)
    well = subscriber.is_active and not endpoint.failing_since and not endpoint.quarantined_at
    rows = [
        _row(delivery, well) for delivery in theirs.select_related("announcement").order_by("-announcement_id")[:SHOWN]
    ]
    waiting = theirs.exclude(fate__in=FINAL)
    next_try = waiting.filter(fate=Fate.PENDING).order_by("next_at").values_list("next_at", flat=True).first()
    return {
        "subscriber": subscriber,
        "endpoint": endpoint,
        "state": _standing(subscriber, endpoint),
        "rows": rows,
        "waiting": waiting.count(),
        "next_try": next_try if next_try and next_try > at else None,
        "two_secrets": endpoint.old_secret_until if (endpoint.old_secret_until or at) > at else None,
        "well": well,
    }


def _standing(subscriber: Subscriber, endpoint: Endpoint) -> str:
    if not subscriber.is_active:
        return "ended"
    if endpoint.quarantined_at:
        return "paused"
    return "failing" if endpoint.failing_since else "on"


def _row(delivery: Delivery, well: bool) -> Row:
    again = well and delivery.fate in FINAL and delivery.announcement.kind != Kind.LETTER
    words, colour = fates.words(delivery.fate, delivery.channel, delivery.reason), fates.colour(delivery.fate)
    if delivery.fate == Fate.PENDING and delivery.reason:
        words, colour = f"{delivery.reason} It is tried again.", "orange"
    elif delivery.reason and delivery.sent_at:
        words = delivery.reason
    return Row(delivery, words, colour, again)


def _holder(token: str, purpose: str, at: datetime) -> Subscriber:
    subscriber = subscriptions.holder(token, purpose, at=at)
    if subscriber.channel != Channel.WEBHOOK:
        raise tokens.BadToken("This link does not belong to a webhook.")
    return subscriber


def _show(request: HttpRequest, page: str, status: int = 200, **context: Any) -> HttpResponse:
    brand = Brand.objects.filter(is_default=True).first()
    return render(request, f"notifications/pages/{page}.html", {"brand": brand, **context}, status=status)
