"""Who publishes in a drill: reads one word per line, announces it, answers with the seconds it took.

A process of its own, so that it feels the same broken services as a web process would.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from notifications.compiler import compile_mail  # noqa: E402
from notifications.enums import Kind  # noqa: E402
from notifications.models import Announcement, Brand  # noqa: E402
from notifications.outbox import Line, Story, announce  # noqa: E402


def story_of(word: str, lines: tuple[Line, ...], at: datetime) -> Story:
    return Story(
        title="Card payments fail",
        reference="INC-2026-0001",
        phase=word,
        over=word == "Resolved",
        url="https://status.example/status/incidents/drill",
        started_at=at.isoformat(),
        next_update_by=None,
        components=(("Payments", "Partial outage"),),
        lines=lines,
    )


def tell(word: str, lines: tuple[Line, ...], brand: Brand) -> None:
    at = timezone.now()
    story = story_of(word, lines, at)
    with transaction.atomic():
        announce(
            story, subject=f"Drill {word}", lane="drill", kind=Kind.INCIDENT, rank=1, brand=brand, topics=[], at=at
        )


def the_brand() -> Brand:
    return Brand.objects.get_or_create(
        slug="drill",
        defaults={
            "name": "Drill",
            "sender_name": "Drill",
            "sender_email": "status@drill.example",
            "support_email": "help@drill.example",
            "is_default": True,
        },
    )[0]


def sample() -> str:
    """One mail as a reader would get it, unsent: for those who send it another way."""
    at = timezone.now()
    line = Line("Monitoring", at.isoformat(), "Monitoring it.", "<p>Monitoring it.</p>")
    news = Announcement(
        lane="drill",
        seq=1,
        kind=Kind.INCIDENT,
        brand=the_brand(),
        subject="Drill Monitoring",
        content=story_of("Monitoring", (line,), at).as_json(),
        published_at=at,
    )
    pieces, slots = compile_mail(news, "en")
    return "".join(
        piece + ("reader@example.org" if slot == "to" else slot)
        for piece, slot in zip(pieces, [*slots, ""], strict=True)
    )


def main() -> None:
    brand = the_brand()
    lines: tuple[Line, ...] = ()
    print("ready", flush=True)
    for word in map(str.strip, sys.stdin):
        now = timezone.now().isoformat()
        lines = (Line(word, now, f"{word} it.", f"<p>{word} it.</p>"), *lines)
        began = time.monotonic()
        tell(word, lines, brand)
        print(f"{time.monotonic() - began:.3f}", flush=True)


if __name__ == "__main__":
    main()
