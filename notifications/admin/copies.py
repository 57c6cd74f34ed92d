"""One message looked at closely: its moments, what the provider said of it, and what was sent (R-804)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q
from django.utils import timezone

from notifications.enums import ADDRESSED, PHONES, Channel, Fate
from notifications.mailbox.reading import opened
from notifications.models import Announcement, Delivery, Rendering

#: Stands where people's own links stand; a link that works would let the reader act in their name.
GAP = "…"
_SOON = (Fate.PENDING, Fate.LEASED, Fate.HELD)


@dataclass(frozen=True)
class Copy:
    """What was sent, as it was frozen. ``text``: words or JSON; ``html``: a mail's own page, never trusted."""

    text: str
    html: str = ""
    language: str = ""
    #: Said above it.
    remark: str = ""


def story(row: Delivery) -> dict[str, Any]:
    """The context of a message's page. Four queries."""
    news = Announcement.objects.only("kind", "seq", "lane", "content").get(pk=row.announcement_id)
    return {
        "row": row,
        "moments": _moments(row),
        "facts": [
            ("Update", f"{news.content.get('reference') or news.get_kind_display()}, message {news.seq} of its thread"),
            ("Queue", row.get_pool_display()),
            ("Tries", str(row.attempts)),
            ("Copies that may have left", str(row.copies)),
            *([("Workers lost while they held it", str(row.crashes))] if row.crashes else []),
            ("Provider's id", row.receipt or "–"),
        ],
        "receipts": list(row.receipts.all()),
        "sent_again": _sent_again(row),
        "copy": _copy(row, news),
    }


def _moments(row: Delivery) -> list[tuple[str, datetime]]:
    told = [
        ("Written down", row.created_at),
        ("Began to leave, the last time", row.sent_at),
        ("Came to its end", row.settled_at),
        ("Tried next", row.next_at if row.fate in _SOON and row.next_at > timezone.now() else None),
    ]
    return [(words, at) for words, at in told if at is not None]


def _sent_again(row: Delivery) -> list[LogEntry]:
    """Who asked for it, by this message or for its whole update; oldest first."""
    kinds = ContentType.objects.get_for_models(Delivery, Announcement)
    mine = Q(content_type=kinds[Delivery], object_id=str(row.pk))
    whole = Q(content_type=kinds[Announcement], object_id=str(row.announcement_id), action_time__gte=row.created_at)
    return list(LogEntry.objects.filter(mine | whole).select_related("user").order_by("action_time", "pk"))


def _copy(row: Delivery, news: Announcement) -> Copy:
    if news.kind in ADDRESSED:
        return Copy("", remark="Written for one person, with links or codes that are theirs alone: it is not shown.")
    frozen = list(Rendering.objects.filter(announcement=news, channel=row.channel).order_by("pk"))
    if not frozen:
        return Copy("", remark="Not written yet: it is frozen when the first one leaves.")
    language = row.subscriber.language if row.subscriber else ""
    rendering = next((one for one in frozen if one.language == language), frozen[0])
    filled = _filled(rendering)
    if row.channel == Channel.EMAIL:
        mail = opened(filled.encode())
        return Copy(mail.text or "", mail.html or "", rendering.language)
    if row.channel in PHONES:
        return Copy(filled, language=rendering.language)
    try:
        return Copy(json.dumps(json.loads(filled), indent=2, ensure_ascii=False))
    except ValueError:
        return Copy(filled)


def _filled(rendering: Rendering) -> str:
    """The literal pieces, and a mark where people differ."""
    pieces: list[str] = rendering.parts
    return GAP.join(pieces) if rendering.channel != Channel.EMAIL else "...".join(pieces)
