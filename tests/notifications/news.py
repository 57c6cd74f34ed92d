"""News and readers in one line each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from notifications.enums import Kind
from notifications.models import Announcement, Brand, Subscriber, Topic
from notifications.outbox import Letter, Line, Story, announce, write_to
from tests import scene


def reader(name: str = "ann", **changes: Any) -> Subscriber:
    """Somebody who confirmed an hour ago and wants everything."""
    then = timezone.now() - timedelta(hours=1)
    return Subscriber.objects.create(
        **({"address": f"{name}@example.org", "created_at": then, "confirmed_at": then} | changes)
    )


def readers(count: int) -> list[Subscriber]:
    then = timezone.now() - timedelta(hours=1)
    rows = [Subscriber(address=f"r{n:05}@example.org", created_at=then, confirmed_at=then) for n in range(count)]
    return Subscriber.objects.bulk_create(rows)


def story(*phases: str, title: str = "Card payments fail", text: str = "We are on it.", **changes: Any) -> Story:
    """Updates in the order they were posted; the last is the newest."""
    phases = phases or ("Investigating",)
    lines = [
        Line(phase, f"2026-11-20T14:{n:02}:00+00:00", f"{text} ({n})", f"<p>{text} ({n})</p>")
        for n, phase in enumerate(phases)
    ]
    told: dict[str, Any] = {
        "title": title,
        "reference": "INC-2026-0042",
        "phase": phases[-1],
        "over": phases[-1] == "Resolved",
        "url": "https://status.example/status/incidents/abc",
        "started_at": "2026-11-20T13:55:00+00:00",
        "next_update_by": None,
        "components": (("Payments", "Partial outage"),),
        "lines": tuple(reversed(lines)),
    }
    return Story(**(told | changes))


def news(
    *phases: str,
    lane: str = "lane",
    rank: int | None = 1,
    topics: list[Topic] | None = None,
    at: datetime | None = None,
    brand: Brand | None = None,
    **changes: Any,
) -> Announcement:
    told = story(*phases, **changes)
    return announce(
        told,
        subject=f"[Northwind] {told.phase}: {told.title}",
        lane=lane,
        kind=Kind.INCIDENT,
        rank=rank,
        brand=brand or scene.brand(),
        topics=topics or [],
        at=at or timezone.now() - timedelta(seconds=1),
    )


def letter(*addresses: str, lane: str = "confirm:1") -> Announcement:
    words = Letter("Confirm your subscription", ("Press the button.",), "Confirm", "https://status.example/c/1")
    at = timezone.now() - timedelta(seconds=1)
    return write_to(addresses, words, subject="Confirm your subscription", brand=scene.brand(), lane=lane, at=at)
