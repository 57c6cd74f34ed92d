"""Quiet hours and digests: wall clocks of people turned into moments (R-1314). Pure."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

log = logging.getLogger(__name__)

DAY = timedelta(days=1)


def until(at: datetime, zone: str, start: time, end: time) -> datetime | None:
    """When the quiet hours that ``at`` falls into are over, in UTC; None outside of them.

    ``start`` and ``end`` are what the clock on their wall shows; the hours may go over midnight, and
    the same time twice means none at all.
    """
    local = at.astimezone(_zone(zone))
    clock = local.time()
    if start < end:
        quiet, day = start <= clock < end, local
    else:
        quiet, day = start > end and (clock >= start or clock < end), local + DAY if clock >= start else local
    if not quiet:
        return None
    over = _at(day, end)
    # In the hour that comes twice, the first time may be past.
    return over if over > at else _at(day, end.replace(fold=1))


def reason(zone: str, end: time) -> str:
    """Why a message waits, for people."""
    return f"Quiet hours until {end:%H:%M}, {zone}."


def last(at: datetime, zone: str, clock: time) -> datetime:
    """The last moment up to ``at``, in UTC, at which the clock on their wall showed ``clock``.

    Of an hour that comes twice, the first time counts: one digest a day.
    """
    local = at.astimezone(_zone(zone))
    moment = _at(local, clock)
    return moment if moment <= at else _at(local - DAY, clock)


def _at(day: datetime, clock: time) -> datetime:
    """Built anew from the date: a sum would keep the offset of before a change of clocks."""
    return datetime.combine(day.date(), clock, day.tzinfo).astimezone(UTC)


def _zone(name: str) -> ZoneInfo:
    """A zone that this machine does not know is UTC: whoever chose it must not keep everybody else's news."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        log.error("There is no time zone “%s” here; UTC is taken instead.", name)
        return ZoneInfo("UTC")
