"""Versions of a policy: draft, in force, retired, and never back (R-102)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import models, transaction

from incidents import grid
from incidents.clock import calendar_of
from incidents.enums import Setting, Standing, Wire
from incidents.models import ChannelRule, Contradiction, Criterion, Duty, Policy, PolicyVersion, Severity, SupportTarget
from incidents.models.policy import PolicyError
from incidents.severities import spellings

from .offered import tell_answers

Row = TypeVar("Row", bound=models.Model)
#: What a version says besides its levels.
CALENDAR = ("work_zone", "work_days", "work_start", "work_end", "holiday_country", "watch_minutes")


def in_force(policy: Policy) -> PolicyVersion | None:
    """What the policy says today."""
    return policy.versions.filter(standing=Standing.IN_FORCE).first()


@transaction.atomic
def revise(policy: Policy, *, by: User | None, at: datetime) -> PolicyVersion:
    """The draft to edit: the one there is, or a copy of the version in force with the next number.

    A policy that never was in force starts with an empty version 1.
    """
    _lock(policy)
    draft = policy.versions.filter(standing=Standing.DRAFT).first()
    if draft:
        return draft
    current = in_force(policy)
    last = policy.versions.aggregate(last=models.Max("number"))["last"] or 0
    draft = PolicyVersion(policy=policy, number=last + 1, drafted_at=at, drafted_by=by)
    for name in CALENDAR if current else ():
        setattr(draft, name, getattr(current, name))
    draft.save()
    if current:
        _copy_parts(current, draft)
    return draft


@transaction.atomic
def put_in_force(version: PolicyVersion, *, by: User | None, at: datetime) -> PolicyVersion:
    """From ``at`` (UTC) incidents are judged by ``version``; the one before is retired, its incidents keep it.

    Twice is once. Raises PolicyError when the version is retired or has flaws.
    """
    _lock(version.policy)
    version.refresh_from_db()
    if version.standing == Standing.IN_FORCE:
        return version
    if version.standing == Standing.RETIRED:
        raise PolicyError(f"{version} is retired. Start a new version instead.")
    found = flaws(version)
    if found:
        raise PolicyError(f"{version} cannot be put in force. {' '.join(found)}")
    versions = PolicyVersion.objects.filter(policy=version.policy_id)
    versions.filter(standing=Standing.IN_FORCE).update(standing=Standing.RETIRED)
    versions.filter(pk=version.pk).update(standing=Standing.IN_FORCE, in_force_at=at, in_force_by=by)
    version.refresh_from_db()
    if version.policy.is_default:
        tell_answers(version)
    return version


def confirm(point: Contradiction, *, by: User, at: datetime) -> None:
    """The owner agrees with the value that was shipped (R-108). The first nod counts."""
    Contradiction.objects.filter(pk=point.pk, confirmed_at__isnull=True).update(confirmed_at=at, confirmed_by=by)
    point.refresh_from_db()


def flaws(version: PolicyVersion) -> list[str]:
    """What keeps a version from being put in force, one sentence each."""
    levels = list(version.severities.prefetch_related("channel_rules"))
    incidents = [level for level in levels if not level.is_maintenance]
    found = [] if incidents else ["It has no severity."]
    ranks = Counter(level.rank for level in incidents)
    found += [f"Rank {rank} is given to {count} severities." for rank, count in sorted(ranks.items()) if count > 1]
    spelled = Counter(spelling for level in levels for spelling in spellings(level))
    found += [f"“{spelling}” means {count} severities." for spelling, count in sorted(spelled.items()) if count > 1]
    found += [flaw for level in levels for flaw in _disagreements(level)]
    try:
        calendar_of(version)
    except ValueError as error:
        found.append(str(error))
    return found


def _disagreements(level: Severity) -> list[str]:
    """Where what the level says of itself is not what its row of the channel grid does."""
    said = grid.cells(level)
    promised = (
        (level.direct_enterprise, grid.LETTERS, "Enterprise mailed directly"),
        (level.banner, Wire.BANNER.value, "In-app banner"),
    )
    return [
        f"{level.short}: “{words}” is {'ticked' if flag else 'not ticked'}, but its channels say otherwise."
        for flag, cell, words in promised
        if flag != (said.get(cell, Setting.OFF) != Setting.OFF)
    ]


def _lock(policy: Policy) -> None:
    Policy.objects.select_for_update().get(pk=policy.pk)


def _copy_parts(source: PolicyVersion, target: PolicyVersion) -> None:
    """Every row of ``source`` once more under ``target``; eleven queries whatever their number."""
    levels = list(source.severities.order_by("pk"))
    old_ids = [level.pk for level in levels]
    new = dict(zip(old_ids, Severity.objects.bulk_create(_fresh(levels, version=target)), strict=True))
    duties = list(Duty.objects.filter(severity__in=old_ids).order_by("pk"))
    rules = list(ChannelRule.objects.filter(severity__in=old_ids).order_by("pk"))
    criteria = list(Criterion.objects.filter(severity__in=old_ids).order_by("pk"))
    parts: list[Duty | ChannelRule | Criterion] = [*duties, *rules, *criteria]
    for row in parts:
        row.severity = new[row.severity_id]
    Duty.objects.bulk_create(_fresh(duties))
    ChannelRule.objects.bulk_create(_fresh(rules))
    Criterion.objects.bulk_create(_fresh(criteria))
    Contradiction.objects.bulk_create(_fresh(source.contradictions.order_by("pk"), version=target))
    SupportTarget.objects.bulk_create(_fresh(source.support_targets.order_by("pk"), version=target))


def _fresh(rows: Iterable[Row], **changes: object) -> list[Row]:
    """The rows as if they were new."""
    made = []
    for row in rows:
        row.pk = None
        row._state.adding = True
        for name, value in changes.items():
            setattr(row, name, value)
        made.append(row)
    return made
