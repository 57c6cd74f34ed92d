"""The scribe's quick entry: one line of the keyboard, backdated by how it begins (R-205, R-1302). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

#: ``14:05 …``, and ``-5m …``, ``-1h30m …``, ``-2h …``.
_CLOCK = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?=\s|$)", re.ASCII)
_AGO = re.compile(r"-\s?(?:(?P<hours>\d{1,6})\s?h)?\s?(?:(?P<minutes>\d{1,6})\s?(?:min|m))?(?=\s|$)", re.ASCII)
_DECISION = "!"
#: What was so long ago is no note of this incident.
FARTHEST = timedelta(days=7)


class Unreadable(ValueError):
    """The line cannot be read; the text says why, for people."""


@dataclass(frozen=True)
class Quick:
    """What a line says: the words, when it happened (UTC; None: now), and whether it was decided."""

    words: str
    happened_at: datetime | None
    is_decision: bool


def quick(text: str, at: datetime) -> Quick:
    """Read ``14:05 decided to fail over``, ``-5m errors fell``, ``! roll back``, in any order of mark and time.

    A clock time later than ``at`` (UTC) is yesterday's. Raises ``Unreadable``.
    """
    rest, decided, happened_at = text.strip(), False, None
    if rest.startswith(_DECISION):
        decided, rest = True, rest[1:].lstrip()
    happened_at, rest = _moment(rest, at)
    if not decided and happened_at and rest.startswith(_DECISION):
        decided, rest = True, rest[1:].lstrip()
    if not rest:
        raise Unreadable("Write what happened, after the time if you give one.")
    return Quick(rest, happened_at, decided)


def _moment(text: str, at: datetime) -> tuple[datetime | None, str]:
    """When it happened, and the words that are left."""
    if clock := _CLOCK.match(text):
        return _nearest(int(clock["hour"]), int(clock["minute"]), at), text[clock.end() :].lstrip()
    if (ago := _AGO.match(text)) and (ago["hours"] or ago["minutes"]):
        span = timedelta(hours=int(ago["hours"] or 0), minutes=int(ago["minutes"] or 0))
        if span > FARTHEST:
            raise Unreadable(f"“{ago[0].strip()}” is more than a week ago. Use the form of the note for that.")
        return at - span, text[ago.end() :].lstrip()
    return None, text


def _nearest(hour: int, minute: int, at: datetime) -> datetime:
    if hour > 23 or minute > 59:
        raise Unreadable(f"{hour:02}:{minute:02} is no time of day. Write 00:00 to 23:59, in UTC.")
    today = at.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today <= at else today - timedelta(days=1)
