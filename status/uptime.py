"""Uptime that anyone can recompute (R-1306): from intervals to daily bars and percentages.

Pure. Moments are whole seconds since 1970 (UTC), spans are half-open, days are UTC days. The
formula, version 1:

1. At each instant a component is at the gravest level that holds it; overlapping impacts are
   never counted twice. Impacts of false alarms are not passed in.
2. measured = seconds of the span − seconds under maintenance.
3. lost = seconds of each level × its weight: a major outage loses all of a second, a partial
   outage 0.3 of it, degraded performance nothing.
4. uptime = (measured − lost) ÷ measured, rounded down to 0.01 %: 100 % is said only when it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from status.enums import Level

FORMULA = 1
DAY = 86_400
#: What a second at a level loses, in tenths. Maintenance is not weighed but left out.
LOST_TENTHS: Mapping[Level, int] = {Level.DEGRADED: 0, Level.PARTIAL: 3, Level.MAJOR: 10}
_CENT = Decimal("0.01")
_LEVELS = tuple(Level)
_GRAVITY = {level.value: place for place, level in enumerate(_LEVELS)}

#: (level, from, to)
Interval = tuple[str, int, int]


def merge(intervals: Iterable[Interval], since: int, until: int) -> list[tuple[Level, int, int]]:
    """Cut ``[since, until)`` into pieces at the gravest level of each instant, in order.

    Operational stretches are left out; neighbouring pieces never share a level.
    """
    turns: list[tuple[int, int, int]] = []
    for level, start, end in intervals:
        start, end = max(start, since), min(end, until)
        if start < end and _GRAVITY[level]:
            turns += [(start, _GRAVITY[level], 1), (end, _GRAVITY[level], -1)]
    turns.sort()
    held = [0] * len(_LEVELS)
    pieces: list[tuple[Level, int, int]] = []
    now = since
    for moment, gravity, step in turns:
        if moment > now:
            _append(pieces, _gravest(held), now, moment)
            now = moment
        held[gravity] += step
    return pieces


def _gravest(held: list[int]) -> int:
    return next((place for place in range(len(held) - 1, 0, -1) if held[place]), 0)


def _append(pieces: list[tuple[Level, int, int]], gravity: int, start: int, end: int) -> None:
    if not gravity:
        return
    level = _LEVELS[gravity]
    if pieces and pieces[-1][0] is level and pieces[-1][2] == start:
        start = pieces.pop()[1]
    pieces.append((level, start, end))


@dataclass(frozen=True, slots=True)
class Uptime:
    """The seconds a percentage came from: ``measured``, and ``lost`` in tenths of seconds."""

    measured: int
    lost: int

    @property
    def percent(self) -> Decimal | None:
        """0.00 to 100.00, rounded down; None when nothing was measured."""
        if not self.measured:
            return None
        return (Decimal(self._kept * 10) / self.measured).quantize(_CENT, ROUND_FLOOR)

    def meets(self, target: Decimal) -> bool:
        """Whether the unrounded uptime reaches ``target`` (per cent)."""
        return self._kept * 10 >= target * self.measured

    @property
    def _kept(self) -> int:
        return self.measured * 10 - self.lost


@dataclass(frozen=True, slots=True)
class Day:
    """One bar: seconds per level of the part of a UTC day that was measured. ``number``: days since 1970."""

    number: int
    seconds: Mapping[Level, int]

    @property
    def worst(self) -> Level | None:
        """The gravest level of the day; None when nothing is known of it."""
        return Level.gravest(self.seconds) if self.seconds else None


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one component in ``[since, until)``. ``troubled`` holds only the days with trouble."""

    since: int
    until: int
    troubled: Mapping[int, Day]

    def day(self, number: int) -> Day:
        """Any day; without seconds when it lies outside of what is known."""
        if number in self.troubled:
            return self.troubled[number]
        length = _length(number, self.since, self.until)
        return Day(number, {Level.OPERATIONAL: length} if length else {})

    def uptime(self, first_day: int) -> Uptime:
        """From the start of ``first_day`` (or of what is known) to the end."""
        span = max(0, self.until - max(self.since, first_day * DAY))
        maintenance = lost = 0
        for number, day in self.troubled.items():
            if number >= first_day:
                maintenance += day.seconds.get(Level.MAINTENANCE, 0)
                lost += sum(weight * day.seconds.get(level, 0) for level, weight in LOST_TENTHS.items())
        return Uptime(span - maintenance, lost)


def history(intervals: Iterable[Interval], since: int, until: int) -> History:
    """Fold the impacts of one component into days."""
    seconds: dict[int, dict[Level, int]] = {}
    for level, start, end in merge(intervals, since, until):
        while start < end:
            number = start // DAY
            stop = min(end, (number + 1) * DAY)
            day = seconds.setdefault(number, {})
            day[level] = day.get(level, 0) + stop - start
            start = stop
    troubled = {number: Day(number, _whole(number, day, since, until)) for number, day in sorted(seconds.items())}
    return History(since, until, troubled)


def _whole(number: int, day: dict[Level, int], since: int, until: int) -> dict[Level, int]:
    clear = _length(number, since, until) - sum(day.values())
    return {Level.OPERATIONAL: clear, **day} if clear else day


def _length(number: int, since: int, until: int) -> int:
    return max(0, min(until, (number + 1) * DAY) - max(since, number * DAY))
