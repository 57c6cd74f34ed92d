"""Working time: business days, public holidays, and when a duty falls due (R-105). Pure: values in, values out.

Every moment is an aware datetime and every result is UTC, so that differences are elapsed time even
across a change of daylight saving. What the units mean:

* minutes, hours: time that passes, whatever the clock on the wall says;
* days: the same time of day in the calendar's zone, that many days of the calendar later (a day of
  daylight saving has 23 or 25 hours). A time of day that does not exist then moves one hour on;
* business days: the end of working hours on the n-th working day after the day it starts on. So
  "next business day" is 1, and what is asked on a Saturday is due on Monday evening, like on Friday.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import holidays

from incidents.enums import Unit


@dataclass(frozen=True)
class Calendar:
    """When people work: ``weekdays`` (Monday is 0) from ``start`` to ``end`` in ``zone``, not on holidays.

    ``country`` is an ISO 3166 code whose public holidays are off; empty: none are. Raises ValueError
    when the parts make no calendar.
    """

    zone: str = "UTC"
    weekdays: frozenset[int] = frozenset(range(5))
    start: time = time(9)
    end: time = time(17)
    country: str = ""

    def __post_init__(self) -> None:
        if not is_zone(self.zone):
            raise ValueError(f"“{self.zone}” is not a time zone. Write it like Europe/Berlin.")
        if not self.weekdays or not self.weekdays <= set(range(7)):
            raise ValueError("Name at least one working day, 0 (Monday) to 6 (Sunday).")
        if self.end <= self.start:
            raise ValueError("Working hours end after they start, on the same day.")
        if self.country and not is_country(self.country):
            raise ValueError(f"No public holidays are known for “{self.country}”. Use a code like DE, FR or US.")

    def is_business_day(self, day: date) -> bool:
        return day.weekday() in self.weekdays and not (self.country and day in _holidays(self.country, day.year))

    def local_day(self, moment: datetime) -> date:
        """The date on the wall in the calendar's zone."""
        return _aware(moment).astimezone(ZoneInfo(self.zone)).date()

    def closing(self, day: date) -> datetime:
        """The end of working hours on ``day``, UTC."""
        return datetime.combine(day, self.end, ZoneInfo(self.zone)).astimezone(UTC)


def next_business_day(day: date, calendar: Calendar) -> date:
    """The first working day after ``day``."""
    return next(_business_days_after(day, calendar))


def add_business_days(start: datetime, n: int, calendar: Calendar) -> datetime:
    """The end of working hours ``n`` working days after the local day of ``start``, UTC.

    The day of ``start`` never counts. With ``n`` 0 it is the end of that day itself if it is a
    working day that is not over yet, the end of the next one otherwise. Raises ValueError below 0.
    """
    if n < 0:
        raise ValueError("Business days are counted forward.")
    day = calendar.local_day(start)
    if n == 0 and calendar.is_business_day(day) and calendar.closing(day) >= start:
        return calendar.closing(day)
    days = _business_days_after(day, calendar)
    for _ in range(n - 1):
        next(days)
    return calendar.closing(next(days))


def due(start: datetime, amount: int, unit: str, calendar: Calendar) -> datetime:
    """When ``amount`` of ``unit`` (``enums.Unit``) from ``start`` is over, UTC; never before ``start``."""
    begun = _aware(start).astimezone(UTC)
    match Unit(unit):
        case Unit.MINUTES:
            return begun + timedelta(minutes=amount)
        case Unit.HOURS:
            return begun + timedelta(hours=amount)
        case Unit.DAYS:
            if amount == 0:
                return begun
            # fold=0: of an hour that comes twice, the first is the stricter.
            local = begun.astimezone(ZoneInfo(calendar.zone)).replace(fold=0)
            return (local + timedelta(days=amount)).astimezone(UTC)
        case Unit.BUSINESS_DAYS:
            return add_business_days(begun, amount, calendar)


def before(moment: datetime, amount: int, unit: str, calendar: Calendar) -> datetime:
    """The last moment that is ``amount`` of ``unit`` before ``moment``, UTC: what notice must be given by.

    Days count back to the same time of day on the calendar; business days to the end of working hours on
    the n-th working day before, 0 to the moment itself.
    """
    end = _aware(moment).astimezone(UTC)
    match Unit(unit):
        case Unit.MINUTES:
            return end - timedelta(minutes=amount)
        case Unit.HOURS:
            return end - timedelta(hours=amount)
        case Unit.DAYS:
            local = end.astimezone(ZoneInfo(calendar.zone)).replace(fold=0)
            return (local - timedelta(days=amount)).astimezone(UTC) if amount else end
        case Unit.BUSINESS_DAYS:
            days = _business_days_from(calendar.local_day(end), calendar, -1)
            closings = [calendar.closing(next(days)) for _ in range(amount)]
            return closings[-1] if closings else end


def is_zone(name: str) -> bool:
    return name in _zones()


def is_country(code: str) -> bool:
    """Whether public holidays of ``code`` (ISO 3166, upper case) are known."""
    return code in _countries()


def _business_days_after(day: date, calendar: Calendar) -> Iterator[date]:
    return _business_days_from(day, calendar, 1)


def _business_days_from(day: date, calendar: Calendar, step: int) -> Iterator[date]:
    while True:
        day += timedelta(days=step)
        if calendar.is_business_day(day):
            yield day


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("A moment without a time zone is no moment.")
    return moment


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1)
def _countries() -> frozenset[str]:
    return frozenset(holidays.list_supported_countries(include_aliases=False))


@lru_cache(maxsize=512)
def _holidays(country: str, year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, years=year))
