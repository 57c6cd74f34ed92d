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


def void_impacts(source: str, *, at: datetime) -> None:
    """It was a false alarm: its impacts end and no figure counts them (R-203)."""
    close_impacts(source, at=at)
    Impact.objects.filter(source=source).update(voided_at=at)


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
