"""Moments, spans and figures in words, the same on every public page. Times are UTC; a script makes them local."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

MINUTE, HOUR, DAY = 60, 3_600, 86_400
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def moment(at: datetime) -> str:
    """``20 Nov 2026, 14:32 UTC``."""
    at = at.astimezone(UTC)
    return f"{day(at)}, {at:%H:%M} UTC"


def day(on: date) -> str:
    """``20 Nov 2026``."""
    return f"{on.day} {_MONTHS[on.month - 1]} {on.year}"


def days(first: date, last: date) -> str:
    """``20 Nov 2026``, ``12 – 20 Nov 2026`` or ``28 Oct – 3 Nov 2026``."""
    if first == last:
        return day(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} – {day(last)}"
    start = day(first) if first.year != last.year else day(first).rpartition(" ")[0]
    return f"{start} – {day(last)}"


def elapsed(span: timedelta) -> str:
    """How long something lasted, in a sentence: ``1 hour 5 minutes``, ``2 days 3 hours``; at least a minute."""
    minutes = max(1, round(span.total_seconds() / MINUTE))
    days, minutes = divmod(minutes, DAY // MINUTE)
    hours, minutes = divmod(minutes, HOUR // MINUTE)
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    return " ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in parts if n and not (word == "minute" and days))


def lasting(seconds: int) -> str:
    """In a picture: ``42 min``, ``1 h 5 min``, ``3 days 4 h``: the two greatest units, rounded down; never seconds."""
    if seconds < MINUTE:
        return "less than a minute"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        return _pair(seconds // HOUR, "h", seconds % HOUR // MINUTE, "min")
    whole = seconds // DAY
    return _pair(whole, "day" if whole == 1 else "days", seconds % DAY // HOUR, "h")


def _pair(great: int, unit: str, small: int, small_unit: str) -> str:
    return f"{great} {unit} {small} {small_unit}" if small else f"{great} {unit}"


def percent(value: Decimal) -> str:
    """``99.98 %``, ``100 %``; the figure is never rounded up on its way here (R-1306)."""
    text = f"{value:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def listed(names: list[str], most: int = 3) -> str:
    """``A``, ``A and B``, ``A, B and 4 more``."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
