"""The overall status: derived from the components by breadth, never typed (R-601, statuspage-v2.md 5.3 and 5.12)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from status.enums import Level, Phase


class Indicator(StrEnum):
    """The roll-up as third-party tools read it."""

    NONE = "none"
    MAINTENANCE = "maintenance"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Overall:
    """``level`` is the gravest component; ``words`` are sentence case, for people and (in title case) for tools."""

    indicator: Indicator
    words: str
    level: Level


def roll_up(levels: Sequence[Level]) -> Overall:
    """By breadth: one major outage among many is a partial outage of the system, all of them a major one."""
    worst = Level.gravest(levels)
    everywhere = bool(levels) and all(level == worst for level in levels)
    indicator, words = {
        Level.OPERATIONAL: (Indicator.NONE, "All systems operational"),
        Level.MAINTENANCE: (Indicator.MAINTENANCE, "Service under maintenance"),
        Level.DEGRADED: (Indicator.MINOR, "Partially degraded service"),
        Level.PARTIAL: (Indicator.MINOR, "Partial system outage" if everywhere else "Minor service outage"),
        Level.MAJOR: (Indicator.CRITICAL, "Major system outage")
        if everywhere
        else (Indicator.MAJOR, "Partial system outage"),
    }[worst]
    return Overall(indicator, words, worst)


@dataclass(frozen=True, slots=True)
class Headline:
    """What the page says on top; ``colour`` as in ``Level.colour``, or grey before there is anything to say."""

    words: str
    colour: str


def headline(levels: Sequence[Level], open_phases: Iterable[Phase]) -> Headline:
    """The roll-up for people. With an open incident it never says that all is well (R-1303).

    ``open_phases``: of the open incidents, without maintenance.
    """
    overall, phases = roll_up(levels), list(open_phases)
    if overall.indicator is Indicator.NONE and phases:
        watched = all(phase == Phase.MONITORING for phase in phases)
        return Headline("A fix is in place and being watched" if watched else "We are looking into a problem", "yellow")
    if not levels:
        return Headline("This page is being set up", "grey")
    return Headline(overall.words, overall.level.colour)
