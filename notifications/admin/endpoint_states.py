"""How a target or a webhook is, in words, and the filters that ask for it (R-1204)."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

from notifications.enums import Channel
from notifications.models import Endpoint

#: How a far end is; the first that fits holds.
STATES: dict[str, tuple[str, str, Q]] = {
    "ended": ("Ended", "grey", Q(subscriber__unsubscribed_at__isnull=False)),
    "unconfirmed": ("Waits for its owner", "blue", Q(subscriber__confirmed_at__isnull=True)),
    "stopped": ("Stopped: it kept failing", "red", Q(quarantined_at__isnull=False, failing_since__isnull=False)),
    "paused": ("Paused", "grey", Q(quarantined_at__isnull=False, failing_since__isnull=True)),
    "failing": ("Failing", "orange", Q(quarantined_at__isnull=True, failing_since__isnull=False)),
    "on": ("On", "green", Q(quarantined_at__isnull=True, failing_since__isnull=True)),
}


def state(endpoint: Endpoint) -> str:
    """The key of STATES that fits."""
    subscriber = endpoint.subscriber
    if subscriber.unsubscribed_at:
        return "ended"
    if not subscriber.confirmed_at:
        return "unconfirmed"
    if endpoint.quarantined_at:
        return "stopped" if endpoint.failing_since else "paused"
    return "failing" if endpoint.failing_since else "on"


def is_ours(endpoint: Endpoint) -> bool:
    """Whether our own people added it: then they may change it."""
    return endpoint.subscriber.channel != Channel.WEBHOOK and not endpoint.owner_email


class StateFilter(DropdownFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _, _) in STATES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
        chosen = self.value() or ""
        if chosen not in STATES:
            return queryset
        if chosen not in ("ended", "unconfirmed"):
            queryset = queryset.filter(subscriber__unsubscribed_at=None, subscriber__confirmed_at__isnull=False)
        return queryset.filter(STATES[chosen][2])


class KindFilter(DropdownFilter):
    title = "channel"
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(channel), str(channel.label)) for channel in (Channel.CHAT, Channel.SOCIAL, Channel.WEBHOOK)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
        return queryset.filter(subscriber__channel=self.value()) if self.value() else queryset


def is_webhook(endpoint: Endpoint) -> bool:
    return endpoint.subscriber.channel == Channel.WEBHOOK
