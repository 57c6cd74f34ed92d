"""Who publishes in a drill: reads one word per line, announces it, answers with the seconds it took.

A process of its own, so that it feels the same broken services as a web process would.
"""

from __future__ import annotations

import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from notifications.enums import Kind  # noqa: E402
from notifications.models import Brand  # noqa: E402
from notifications.outbox import Line, Story, announce  # noqa: E402


def tell(word: str, lines: tuple[Line, ...], brand: Brand) -> None:
    at = timezone.now()
    story = Story(
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
    with transaction.atomic():
        announce(
            story, subject=f"Drill {word}", lane="drill", kind=Kind.INCIDENT, rank=1, brand=brand, topics=[], at=at
        )


def main() -> None:
    brand, _ = Brand.objects.get_or_create(
        slug="drill",
        defaults={
            "name": "Drill",
            "sender_name": "Drill",
            "sender_email": "status@drill.example",
            "support_email": "help@drill.example",
            "is_default": True,
        },
    )
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
