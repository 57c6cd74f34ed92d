"""Billing months: every instant belongs to exactly one (reliability.md 5.3, "Billing-month time zone").

A month is named by the first of the month in which it begins. It begins on the billing day at midnight of
the contract's zone; where the clocks skip that midnight, at the moment they do; where it comes twice, at the first.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

#: Microseconds since 1970 are how pure arithmetic counts time.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Microseconds since 1970, exact. ``at`` must know its zone."""
    return (at - EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The UTC datetime of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=at)


@lru_cache(maxsize=50_000)
def midnight(day: date, zone: str) -> int:
    """When ``day`` begins in ``zone``, in microseconds since 1970."""
    local = datetime.combine(day, time(), tzinfo=ZoneInfo(zone))
    # To UTC first: subtracting within one zone counts by the wall clock.
    return micros(local.astimezone(UTC))


def first(day: date) -> date:
    return day.replace(day=1)


def following(month: date) -> date:
    """The first of the month after ``month``."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def preceding(month: date) -> date:
    """The first of the month before ``month``."""
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


@lru_cache(maxsize=50_000)
def bounds(month: date, zone: str, billing_day: int) -> tuple[int, int]:
    """[from, to) of a billing month, in microseconds since 1970."""
    return (
        midnight(month.replace(day=billing_day), zone),
        midnight(following(month).replace(day=billing_day), zone),
    )


def month_of(at: int, zone: str, billing_day: int) -> date:
    """The billing month in which an instant lies."""
    month = first(moment(at).astimezone(ZoneInfo(zone)).date())
    # The wall clock may be off by a skipped day; the bounds decide.
    if at < bounds(month, zone, billing_day)[0]:
        return preceding(month)
    if at >= bounds(month, zone, billing_day)[1]:
        return following(month)
    return month
