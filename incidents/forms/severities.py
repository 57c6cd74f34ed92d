"""Choosing how bad it is: the levels of each policy side by side, with what each means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Q

from incidents import clock, words, workhours
from incidents.enums import DutyKind, Publicity, Standing, Unit
from incidents.models import Duty, Incident, PolicyVersion, Severity

_MINUTES = {Unit.MINUTES: 1, Unit.HOURS: 60}


@dataclass(frozen=True)
class Group:
    """The levels of one policy version; ``opened`` when one of them is chosen."""

    version: PolicyVersion
    levels: list[Severity]
    chosen: int | None

    @property
    def opened(self) -> bool:
        return any(level.pk == self.chosen for level in self.levels)


class SeverityChoice(forms.TypedChoiceField):
    """Cleans to the Severity; ``levels`` are loaded once, with policy and duties."""

    default_error_messages = {
        "required": "Choose how bad it is.",
        "invalid_choice": "That level is not in force any more. Choose one of these.",
    }

    def __init__(self, levels: Sequence[Severity], **options: Any) -> None:
        self.levels = {level.pk: level for level in levels}
        super().__init__(
            choices=[(pk, str(level)) for pk, level in self.levels.items()],
            coerce=lambda value: self.levels[int(value)],
            widget=forms.RadioSelect,
            **options,
        )

    def groups(self, chosen: Any) -> list[Group]:
        """In the order of ``levels``; ``chosen`` is the value in the form, perhaps nonsense."""
        pk = int(chosen) if str(chosen).isascii() and str(chosen).isdigit() else None
        versions: dict[int, Group] = {}
        for level in self.levels.values():
            versions.setdefault(level.version_id, Group(level.version, [], pk)).levels.append(level)
        return list(versions.values())


def for_declaring() -> list[Severity]:
    """Every level in force that is not maintenance, the default policy's first. Four queries."""
    offered = Severity.objects.in_force().filter(is_maintenance=False)
    found = offered.prefetch_related("duties", "channel_rules", "criteria")
    return list(found.order_by("-version__policy__is_default", "version__policy__name", "version", "rank"))


def for_changing(incident: Incident) -> list[Severity]:
    """The levels of the policy it is judged by first, then those of other policies in force (R-109)."""
    own = incident.severity.version
    elsewhere = Q(version__standing=Standing.IN_FORCE) & ~Q(version__policy=own.policy_id)
    levels = (
        Severity.objects.filter(Q(version=own) | elsewhere, is_maintenance=False)
        .select_related("version__policy")
        .prefetch_related("duties", "channel_rules", "criteria")
    )
    return sorted(levels, key=lambda level: (level.version_id != own.pk, level.version.policy.name, level.rank))


def default_level(levels: Iterable[Severity]) -> Severity | None:
    """What is chosen when the form is opened: the second level of the default policy, whatever its rank."""
    offered = list(levels)
    first = [level for level in offered if level.version_id == offered[0].version_id]
    return next(iter(first[1:] or first), None)


def cadence(level: Severity | None) -> int | None:
    """Minutes between two public updates that the level asks for; None: it does not say."""
    for duty in level.duties.all() if level else ():
        if duty.kind == DutyKind.PUBLIC_UPDATE and duty.amount and duty.unit in _MINUTES:
            return duty.amount * _MINUTES[Unit(duty.unit)]
    return None


def owed_review(level: Severity, incident: Incident, at: datetime) -> Duty | None:
    """The post-mortem that is owed for certain when the incident is resolved at ``at`` (UTC).

    By the rule of the clock itself: what nobody has said yet (customers hit, security) makes nothing owed.
    """
    return clock.review_owed(incident, level, over=at)


def day_of_review(duty: Duty, level: Severity, at: datetime, language: str = "en") -> str:
    """``27 November 2026``: when it is due after a resolution at ``at`` (UTC); blank: the policy names no time."""
    if duty.amount is None:
        return ""
    due = workhours.due(at, duty.amount, duty.unit, clock.calendar_of(level.version))
    return words.day(due, language)


def is_told(level: Severity | None) -> bool:
    """Whether the form starts with "publish now": unless the policy keeps this level inside."""
    return level is None or level.publicity not in (Publicity.INTERNAL, Publicity.NEVER)


def in_short(level: Severity) -> str:
    """What choosing the level means, in one line: who hears of it, and how soon words are owed."""
    duties = {duty.kind: duty for duty in reversed(level.duties.all())}
    parts = [_PUBLICITY[Publicity(level.publicity)]]
    if is_told(level):
        first, cadence_ = duties.get(DutyKind.FIRST_UPDATE), duties.get(DutyKind.PUBLIC_UPDATE)
        if first and first.amount:
            parts.append(f"first update within {_span(first)}")
        if cadence_ and cadence_.amount:
            parts.append(f"updates every {_span(cadence_).removeprefix('1 ')}")
    return ", ".join(parts)


def _span(duty: Duty) -> str:
    unit = duty.get_unit_display()
    return f"{duty.amount} {unit}" if duty.amount != 1 else f"1 {unit.removesuffix('s')}"


_PUBLICITY = {
    Publicity.ALWAYS: "Public",
    Publicity.IF_VISIBLE: "Public if customers can see it",
    Publicity.INTERNAL: "Internal only",
    Publicity.NEVER: "Never public",
    Publicity.UNSAID: "Public or not: you decide",
}
