"""Affected components with a level each: one row per component, four choices side by side (R-207)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from status.enums import IMPACTS, Level
from status.models import Component

#: As the segments of a row are worded: short, so that four fit side by side on a phone.
SEGMENTS = {
    Level.OPERATIONAL: "Not affected",
    Level.DEGRADED: "Degraded",
    Level.PARTIAL: "Partial",
    Level.MAJOR: "Major",
}


@dataclass(frozen=True)
class Row:
    """One component as the form shows it."""

    component: Component
    name: str
    chosen: str

    @property
    def segments(self) -> list[tuple[str, str, str, bool]]:
        """(value, words, colour, chosen)."""
        return [(level.value, words, level.colour, level.value == self.chosen) for level, words in SEGMENTS.items()]


class LevelsInput(forms.Widget):
    """Reads one value per component: ``<name>-<component id>``. Drawn by the page itself."""

    components: list[Component] = []

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> dict[int, str]:
        return {
            component.pk: str(data.get(f"{name}-{component.pk}") or Level.OPERATIONAL.value)
            for component in self.components
        }


class Levels(forms.Field):
    """Cleans to ``{component: level}`` of every component shown, operational ones included."""

    widget = LevelsInput

    def __init__(self, components: Iterable[Component], **options: Any) -> None:
        super().__init__(required=False, label="What is affected", **options)
        self.components = list(components)
        self.widget.components = self.components

    def clean(self, value: Mapping[int, str] | None) -> dict[Component, Level]:
        chosen = value or {}
        levels = {}
        for component in self.components:
            level = chosen.get(component.pk, Level.OPERATIONAL.value)
            if level != Level.OPERATIONAL and level not in IMPACTS:
                raise ValidationError(f"Choose one of the four levels for {component}.", code="invalid")
            levels[component] = Level(level)
        return levels


def sections(components: Iterable[Component], name: str, chosen: Mapping[int, str]) -> list[tuple[str, list[Row]]]:
    """Rows under the heading of their group, in the page's order; those without a group come last."""
    rows = [
        Row(component, f"{name}-{component.pk}", str(chosen.get(component.pk, Level.OPERATIONAL.value)))
        for component in components
    ]
    return [(heading, list(found)) for heading, found in groupby(rows, key=_heading)]


def in_order(components: Iterable[Component]) -> list[Component]:
    """By group and position, as the public page lists them."""
    return sorted(components, key=_place)


def _heading(row: Row) -> str:
    return row.component.group.name if row.component.group else ""


def _place(component: Component) -> tuple[bool, int, str, int, str]:
    group = component.group
    return (
        group is None,
        group.position if group else 0,
        group.name if group else "",
        component.position,
        component.name,
    )
