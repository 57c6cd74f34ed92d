"""The five presets: from data files to rows, once (R-101)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from simple_history.utils import bulk_create_with_history

from incidents import clock
from incidents.enums import Audience, DutyKind, Start
from incidents.models import (
    ChannelRule,
    Contradiction,
    Criterion,
    Duty,
    Policy,
    PolicyVersion,
    Severity,
    SupportTarget,
    UpdateTemplate,
)
from notifications.compiler import LANGUAGES

from .versions import put_in_force

FOLDER = Path(__file__).parent / "presets"
#: In the order of requirements.md, playbooks A to E.
PRESETS = ("public-status", "enterprise-sla", "consumer-app", "startup-sev", "platform-sev")

#: What a preset need not say of a duty: the moment it starts from, and whom it concerns.
USUAL: dict[DutyKind, tuple[Start, Audience]] = {
    DutyKind.RESPOND: (Start.DECLARED, Audience.STAFF),
    DutyKind.FIRST_UPDATE: (Start.DECLARED, Audience.PUBLIC),
    DutyKind.PUBLIC_UPDATE: (Start.LAST_UPDATE, Audience.PUBLIC),
    DutyKind.INTERNAL_UPDATE: (Start.DECLARED, Audience.STAFF),
    DutyKind.ESCALATE: (Start.DECLARED, Audience.STAFF),
    DutyKind.ENTERPRISE_LETTERS: (Start.DECLARED, Audience.ENTERPRISE),
    DutyKind.RESOLVE: (Start.DECLARED, Audience.STAFF),
    DutyKind.MAINTENANCE_NOTICE: (Start.PLANNED_START, Audience.PUBLIC),
    DutyKind.START_UPDATE: (Start.PLANNED_START, Audience.PUBLIC),
    DutyKind.END_UPDATE: (Start.PLANNED_END, Audience.PUBLIC),
    DutyKind.REVIEW_SCHEDULED: (Start.RESOLVED, Audience.STAFF),
    DutyKind.REVIEW_PUBLISHED: (Start.RESOLVED, Audience.STAFF),
    DutyKind.ACTION_REVIEW: (Start.RESOLVED, Audience.STAFF),
}


@dataclass(frozen=True)
class Loaded:
    """What became of one preset: new, or there before and left alone."""

    policy: Policy
    created: bool


@transaction.atomic
def load_presets(*, at: datetime, by: User | None = None) -> list[Loaded]:
    """Bring in the presets that are not there yet, version 1 in force from ``at``; leave the others alone.

    A policy that is there keeps every edit of its owner (R-101). The first preset becomes the
    default when no policy is.
    """
    there = {policy.slug: policy for policy in Policy.objects.all()}
    defaulted = any(policy.is_default for policy in there.values())
    loaded = []
    for slug in PRESETS:
        preset = read(slug)
        if slug in there:
            loaded.append(Loaded(there[slug], created=False))
            continue
        policy, created = Policy.objects.get_or_create(
            slug=slug,
            defaults={
                "name": preset["name"],
                "summary": preset["summary"],
                "is_default": preset.get("default", False) and not defaulted,
            },
        )
        if created:
            _write(preset, policy, by=by, at=at)
        loaded.append(Loaded(policy, created=created))
    return loaded


def read(slug: str) -> dict[str, Any]:
    """A preset as its file has it."""
    with (FOLDER / f"{slug}.toml").open("rb") as file:
        return tomllib.load(file)


def _write(preset: Mapping[str, Any], policy: Policy, *, by: User | None, at: datetime) -> None:
    """Version 1 and everything in it, then in force. The number of queries does not depend on the number of rows."""
    calendar = preset["calendar"]
    version = PolicyVersion.objects.create(
        policy=policy,
        number=1,
        drafted_at=at,
        drafted_by=by,
        work_zone=calendar["zone"],
        work_days=",".join(str(day) for day in calendar["days"]),
        work_start=calendar["start"],
        work_end=calendar["end"],
        holiday_country=calendar["country"],
        # A blank is not borrowed: only a playbook that names a watch has one.
        watch_minutes=calendar.get("watch"),
    )
    levels = Severity.objects.bulk_create(_severity(version, row) for row in preset["severities"])
    pairs = list(zip(levels, preset["severities"], strict=True))
    owners = preset["owners"]
    Duty.objects.bulk_create(_duty(level, duty, owners) for level, row in pairs for duty in row["duties"])
    Criterion.objects.bulk_create(row for level, rows in pairs for row in _criteria(level, rows))
    ChannelRule.objects.bulk_create(
        ChannelRule(severity=level, wire=wire, audience=audience, setting=setting)
        for level, row in pairs
        for audience, cells in row.get("channels", {}).items()
        for wire, setting in cells.items()
    )
    Contradiction.objects.bulk_create(Contradiction(version=version, **row) for row in preset["contradictions"])
    SupportTarget.objects.bulk_create(
        SupportTarget(version=version, position=position, **row)
        for position, row in enumerate(preset.get("support_targets", ()))
    )
    _write_templates(policy, preset, by=by, at=at)
    put_in_force(version, by=by, at=at)


def _severity(version: PolicyVersion, row: Mapping[str, Any]) -> Severity:
    return Severity(
        version=version,
        **{name: value for name, value in row.items() if name not in ("duties", "channels", "criteria")},
    )


def _criteria(level: Severity, row: Mapping[str, Any]) -> Iterator[Criterion]:
    """Rules are lists of ``fact comparison value`` (R-110): all of a list must hold, one list is enough."""
    for number, rule in enumerate(row.get("criteria", ()), start=1):
        for words in rule:
            fact, comparison, value = words.split()
            yield Criterion(severity=level, rule=number, fact=fact, comparison=comparison, value=value)


def _duty(level: Severity, row: Mapping[str, Any], owners: Mapping[str, str]) -> Duty:
    kind = DutyKind(row["kind"])
    start, audience = USUAL[kind]
    usual = {
        "starts_from": start,
        "audience": audience,
        "repeats": kind in clock.REPEATING,
        "owner_role": owners.get(kind, ""),
    }
    return Duty(severity=level, **{**usual, **row})


def _write_templates(policy: Policy, preset: Mapping[str, Any], *, by: User | None, at: datetime) -> None:
    """The words to start from, then their translations, which belong to them (R-206)."""
    rows = preset["templates"]
    originals = bulk_create_with_history(
        [UpdateTemplate(policy=policy, position=position, **_words(row)) for position, row in enumerate(rows)],
        UpdateTemplate,
        default_user=by,
        default_date=at,
    )
    said = [(original, row) for original, row in zip(originals, rows, strict=True)]
    bulk_create_with_history(
        [
            UpdateTemplate(
                policy=policy,
                position=original.position,
                phase=original.phase,
                name=original.name,
                language=language,
                translates=original,
                **_words(row[language]),
            )
            for original, row in said
            for language in LANGUAGES[1:]
            if language in row
        ],
        UpdateTemplate,
        default_user=by,
        default_date=at,
    )


def _words(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row; what is said in another language has a table of its own."""
    return {
        name: value.strip() if name in ("body", "letter") else value
        for name, value in row.items()
        if name not in LANGUAGES
    }
