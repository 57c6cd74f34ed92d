"""Who publishes in a drill: reads ``word lane rank`` per line, announces it, answers with the seconds it took.

``audit`` is answered with the auditor's findings as JSON instead. A process of its own, so that it
feels the same broken services as a web process would.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from notifications.audit import audit  # noqa: E402
from notifications.compiler import compile_mail  # noqa: E402
from notifications.enums import Kind  # noqa: E402
from notifications.models import Announcement, Brand, Subscriber  # noqa: E402
from notifications.outbox import Line, Story, announce  # noqa: E402
from tests.drills.databases import PATTERN  # noqa: E402


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
        sms=f"{word} it.",
    )


def tell(word: str, lane: str, rank: int, lines: tuple[Line, ...], brand: Brand) -> None:
    at = timezone.now()
    # What a webhook is told says which lane it is of.
    hook = json.dumps({"page": {}, "incident": {"id": lane, "status": word}})
    story = replace(story_of(word, lines, at), hook=hook)
    with transaction.atomic():
        announce(
            story, subject=f"Drill {word}", lane=lane, kind=Kind.INCIDENT, rank=rank, brand=brand, topics=[], at=at
        )


def findings() -> list[tuple[str, int, str]]:
    """The rules of the auditor that are broken: id, how often, and words; asked as if its times of grace were over."""
    report = audit(timezone.now() + timedelta(minutes=10))
    return [(wrong.rule.id, wrong.count, f"{wrong.rule.words}: {wrong.shown}") for wrong in report.wrong]


def prepare() -> None:
    """What every drill finds in its database: a brand, and a reader all others are copies of."""
    the_brand()
    at = timezone.now()
    Subscriber.objects.get_or_create(address=PATTERN, defaults={"created_at": at})


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
    told: dict[str, tuple[Line, ...]] = {}
    print("ready", flush=True)
    for line in map(str.strip, sys.stdin):
        # The database may have been away since the last line; a web process asks anew for every request.
        connection.close()
        if line == "audit":
            print(json.dumps(findings()), flush=True)
            continue
        word, lane, rank = line.split(" ")
        now = timezone.now().isoformat()
        told[lane] = (Line(word, now, f"{word} it.", f"<p>{word} it.</p>"), *told.get(lane, ()))
        began = time.monotonic()
        tell(word, lane, int(rank), told[lane], brand)
        print(f"{time.monotonic() - began:.3f}", flush=True)


if __name__ == "__main__":
    main()
