"""The ledger of impacts: its only writer, and the levels that follow from it (R-207, R-601).

A component's level is never stored. Every open impact holds it down; it is back when the last
one lets go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import Q

from status.enums import Level
from status.models import Component, Impact

#: A mark before and after it was corrected (UTC).
Moved = tuple[datetime, datetime]


def open_impacts(source: str, levels: Mapping[Component, Level], *, began_at: datetime, at: datetime) -> None:
    """Let ``source`` hold components down since ``began_at`` (UTC); ``at`` is when we write it."""
    Impact.objects.bulk_create(
        Impact(component=component, level=level, source=source, began_at=began_at, recorded_at=at)
        for component, level in levels.items()
        if level != Level.OPERATIONAL
    )


def set_levels(source: str, levels: Mapping[Component, Level], *, at: datetime) -> None:
    """Move components to other levels for this source from ``at`` on; those not named stay as they are.

    Operational lets go. A level that is already held is left alone, so that saying the same
    twice does not cut the interval.
    """
    held = {impact.component_id: impact for impact in Impact.objects.open().filter(source=source)}
    changed = {
        component: level
        for component, level in levels.items()
        if level != (Level(held[component.pk].level) if component.pk in held else Level.OPERATIONAL)
    }
    _end([held[component.pk] for component in changed if component.pk in held], at)
    open_impacts(source, changed, began_at=at, at=at)


def close_impacts(source: str, *, at: datetime) -> None:
    """Let go of everything ``source`` holds down, and of what it was thought to hold down after ``at``."""
    later = Q(ended_at__isnull=True) | Q(ended_at__gt=at)
    _end(Impact.objects.filter(later, source=source), at)


def shift(source: str, *, began: Moved | None = None, ended: Moved | None = None, at: datetime) -> None:
    """Times of ``source`` were corrected (R-1302): the edges that stood at an old mark move to the new one.

    Other edges stay. An impact that would end before it begins lies outside of what happened: it keeps no length.
    """
    first = Q(began_at=began[0]) if began else Q()
    last = Q(ended_at=ended[0]) if ended else Q()
    moved = list(Impact.objects.filter(first | last, source=source)) if began or ended else []
    for impact in moved:
        if began and impact.began_at == began[0]:
            impact.began_at = began[1] if impact.ended_at is None else min(began[1], impact.ended_at)
        if ended and impact.ended_at == ended[0]:
            impact.ended_at = max(ended[1], impact.began_at)
        impact.recorded_at = at
    Impact.objects.bulk_update(moved, ["began_at", "ended_at", "recorded_at"])


def void_impacts(source: str, *, at: datetime) -> None:
    """It was a false alarm: its impacts end and no figure counts them (R-203)."""
    close_impacts(source, at=at)
    Impact.objects.filter(source=source).update(voided_at=at)


def hand_over(source: str, to: str, *, at: datetime) -> None:
    """``to`` takes over whatever ``source`` held and holds, since it began (R-212).

    At every instant a component is at the level it was at before: where both held it, the graver one stays,
    once. What had to be cut anew is voided and written again.
    """
    theirs: dict[int, list[Impact]] = {}
    for impact in Impact.objects.real().filter(source=source):
        theirs.setdefault(impact.component_id, []).append(impact)
    ours: dict[int, list[Impact]] = {}
    for impact in Impact.objects.real().filter(source=to, component__in=theirs):
        ours.setdefault(impact.component_id, []).append(impact)
    Impact.objects.real().filter(source=source).exclude(component__in=ours).update(source=to)
    for component_id, held in ours.items():
        pieces = _pieces([*held, *theirs[component_id]])
        whole = {(impact.level, impact.began_at, impact.ended_at) for impact in held}
        _void([impact for impact in held if (impact.level, impact.began_at, impact.ended_at) not in pieces], at)
        _void(theirs[component_id], at)
        Impact.objects.bulk_create(
            Impact(
                component_id=component_id, level=level, source=to, began_at=began_at, ended_at=ended_at, recorded_at=at
            )
            for level, began_at, ended_at in pieces
            if (level, began_at, ended_at) not in whole
        )


def levels(components: Iterable[Component] | None = None) -> dict[int, Level]:
    """Effective level by component id, now; components that are not in the answer are operational. One query."""
    impacts = Impact.objects.open().real()
    if components is not None:
        impacts = impacts.filter(component__in=components)
    found: dict[int, list[str]] = {}
    for component_id, level in impacts.values_list("component_id", "level"):
        found.setdefault(component_id, []).append(level)
    return {component_id: Level.gravest(held) for component_id, held in found.items()}


def held_by(source: str) -> dict[int, Level]:
    """What ``source`` alone claims, by component id."""
    return {
        component_id: Level(level)
        for component_id, level in Impact.objects.open().filter(source=source).values_list("component_id", "level")
    }


def _end(impacts: Iterable[Impact], at: datetime) -> None:
    ended = list(impacts)
    for impact in ended:
        # Two marks of one instant may arrive in either order: an impact cannot end before it began.
        impact.ended_at = max(at, impact.began_at)
    Impact.objects.bulk_update(ended, ["ended_at"])


def _void(impacts: list[Impact], at: datetime) -> None:
    for impact in impacts:
        impact.voided_at = at
        if impact.ended_at is None:
            impact.ended_at = max(at, impact.began_at)
    Impact.objects.bulk_update(impacts, ["ended_at", "voided_at"])


def _pieces(impacts: Iterable[Impact]) -> list[tuple[str, datetime, datetime | None]]:
    """(level, from, to) at the gravest level of each instant, in order; neighbours never share a level."""
    held = list(impacts)
    turns = sorted({*(one.began_at for one in held), *(one.ended_at for one in held if one.ended_at)})
    pieces: list[tuple[str, datetime, datetime | None]] = []
    for start, end in zip(turns, [*turns[1:], None], strict=True):
        level = Level.gravest(
            one.level for one in held if one.began_at <= start and (one.ended_at is None or one.ended_at > start)
        )
        if level == Level.OPERATIONAL:
            continue
        if pieces and pieces[-1][0] == level and pieces[-1][2] == start:
            start = pieces.pop()[1]
        pieces.append((level.value, start, end))
    return pieces
