"""The overall status: derived from the components by breadth, never typed (R-601, statuspage-v2.md 5.3 and 5.12)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from status.enums import Level, Phase
from status.page.wording import listed


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


def headline(components: Sequence[tuple[str, Level]], open_phases: Iterable[Phase]) -> Headline:
    """What is wrong, and with what: the words of the roll-up are a tool's, and call one dead component "partial".

    ``components``: each by its name. ``open_phases``: of the open incidents, without maintenance;
    while there is one it is never said that all is well (R-1303).
    """
    overall, phases = roll_up([level for _, level in components]), list(open_phases)
    if overall.indicator is Indicator.NONE and phases:
        watched = all(phase == Phase.MONITORING for phase in phases)
        return Headline("A fix is in place and being watched" if watched else "We are looking into a problem", "yellow")
    if not components:
        return Headline("This page is being set up", "grey")
    if overall.indicator is Indicator.NONE:
        return Headline(overall.words, overall.level.colour)
    if overall.indicator is Indicator.CRITICAL:
        return Headline("Full outage", overall.level.colour)
    worst = [name for name, level in components if level == overall.level]
    return Headline(f"{overall.level.label}: {listed(worst)}", overall.level.colour)
