"""Quiet hours and digests: wall clocks of people turned into moments (R-1314). Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


def until(at: datetime, zone: str, start: time, end: time) -> datetime | None:
    """When the quiet hours that ``at`` falls into are over, in UTC; None outside of them.

    ``start`` and ``end`` are what the clock on their wall shows; the hours may go over midnight, and
    the same time twice means none at all. Raises ``zoneinfo.ZoneInfoNotFoundError``.
    """
    local = at.astimezone(ZoneInfo(zone))
    clock = local.time()
    if start < end:
        return _at(local, end) if start <= clock < end else None
    if start > end and (clock >= start or clock < end):
        return _at(local + DAY if clock >= start else local, end)
    return None


def last(at: datetime, zone: str, clock: time) -> datetime:
    """The last moment up to ``at``, in UTC, at which the clock on their wall showed ``clock``."""
    local = at.astimezone(ZoneInfo(zone))
    moment = _at(local, clock)
    return moment if moment <= at else _at(local - DAY, clock)


def _at(day: datetime, clock: time) -> datetime:
    """Built anew from the date: a sum would keep the offset of before a change of clocks."""
    return datetime.combine(day.date(), clock, day.tzinfo).astimezone(UTC)
