"""The guard against contradictions: what the two books say must not belie each other (R-1303).

Questions only; each answers words for people. Acts refuse what is contradictory, or record the reason for
doing it all the same (``incidents.lifecycle.overriding``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q

from incidents import watch
from incidents.discretion import HIDDEN, hidden_sources
from incidents.enums import AHEAD, MaintenanceState, State
from incidents.models import Incident, Maintenance, Severity
from status import ledger
from status.enums import Level
from status.models import Component, Impact

#: The rank whose incidents must show on the page.
GRAVE = 1


@dataclass(frozen=True)
class Concern:
    """One contradiction, in words. ``incident`` or ``component`` is where it is put right, if anywhere."""

    words: str
    incident: Incident | None = None
    component: Component | None = None


def before_resolving(incident: Incident, at: datetime) -> list[Concern]:
    """What speaks against saying that it is over: components that stay down, a watch that is not over. Three queries
    at most.
    """
    return [*_still_down(incident), *_unwatched(incident, at)]


def before_publishing(severity: Severity, state: str, levels: Iterable[str]) -> list[Concern]:
    """What speaks against these words in public: the gravest level while nothing is marked. Pure.

    ``levels`` are those the incident would hold afterwards, ``state`` is where it would stand. Mitigated,
    customers no longer suffer: green is the truth then.
    """
    if severity.rank != GRAVE or state == State.MITIGATED or _marks(levels):
        return []
    return [Concern(f"No component is marked, so the page stays green beside a {severity} incident.")]


def before_judging(incident: Incident, severity: Severity) -> list[Concern]:
    """What speaks against this severity: the gravest, in public, while nothing is marked. One query at most."""
    if incident.notice_id is None or severity.rank != GRAVE:
        return []
    return before_publishing(severity, incident.state, ledger.held_by(incident.source).values())


def standing(at: datetime, user: User | None = None) -> list[Concern]:
    """Every contradiction there is now. Five queries at most.

    What is restricted is named to those only who may know of it (R-213); without a ``user`` to nobody.
    """
    impacts = list(Impact.objects.open().real().select_related("component").order_by("component__position", "pk"))
    incidents = list(Incident.objects.open().select_related("severity").order_by("declared_at"))
    works = list(Maintenance.objects.filter(Q(state__in=AHEAD) | Q(began_at__isnull=False, ended_at__isnull=True)))
    known = _known(incidents, user)
    return [
        *_green(incidents, impacts, known),
        *_orphans(impacts, incidents, works),
        *_still_blue(impacts, works, at),
    ]


def _still_down(incident: Incident) -> list[Concern]:
    if incident.notice_id is None:
        return []
    rows = (
        Impact.objects.open()
        .real()
        .exclude(source=incident.source)
        .exclude(level=Level.MAINTENANCE)
        .filter(component__notices=incident.notice_id)
        .select_related("component")
    )
    found = list(rows.order_by("component__position", "pk"))
    # The timeline keeps these words, and more people read it than may know of a restricted one.
    hidden = hidden_sources(AnonymousUser()) if found and not incident.is_restricted else set()
    return [
        Concern(
            f"{row.component} stays at “{_level(row)}”: {_holder(row.source, hidden)} holds it down.",
            None,
            row.component,
        )
        for row in found
    ]


def _unwatched(incident: Incident, at: datetime) -> list[Concern]:
    now = watch.stands(incident, at)
    if now.needed is None or now.suggest:
        return []
    minutes, policy = int(now.needed.total_seconds() // 60), incident.severity.version.policy
    if not now.verified or incident.state != State.MITIGATED:
        words = f"The fix is not verified yet. {policy} watches a verified fix for {minutes} min first."
    else:
        words = f"The fix is watched until {now.over_at:%H:%M} UTC: {policy} asks for {minutes} min."
    return [Concern(words, incident)]


def _green(incidents: Iterable[Incident], impacts: Iterable[Impact], known: Collection[int]) -> list[Concern]:
    held: dict[str, list[str]] = {}
    for impact in impacts:
        held.setdefault(impact.source, []).append(impact.level)
    return [
        Concern(f"{found.reference} is open at {found.severity}, and no component is marked.", found)
        for found in incidents
        if found.notice_id
        and found.pk in known
        and before_publishing(found.severity, found.state, held.get(found.source, ()))
    ]


def _orphans(impacts: Iterable[Impact], incidents: Iterable[Incident], works: Iterable[Maintenance]) -> list[Concern]:
    sources = {incident.source for incident in incidents} | {work.source for work in works}
    return [
        Concern(
            f"{row.component} is at “{_level(row)}”, and no open incident says why ({_holder(row.source)}).",
            None,
            row.component,
        )
        for row in impacts
        if row.source not in sources and row.level != Level.MAINTENANCE
    ]


def _still_blue(impacts: Iterable[Impact], works: Iterable[Maintenance], at: datetime) -> list[Concern]:
    by_source = {work.source: work for work in works}
    found = []
    for row in impacts:
        work = by_source.get(row.source)
        if row.level != Level.MAINTENANCE or (work and _goes_on(work, at)):
            continue
        over = f"since {work.planned_end_at:%Y-%m-%d %H:%M} UTC" if work else "already"
        name = work.reference if work else _holder(row.source)
        found.append(
            Concern(f"{row.component} is still under maintenance; {name} is over {over}.", None, row.component)
        )
    return found


def _goes_on(work: Maintenance, at: datetime) -> bool:
    return work.state == MaintenanceState.IN_PROGRESS and at < work.planned_end_at


def _known(incidents: Collection[Incident], user: User | None) -> set[int]:
    """Ids of those that may be named to ``user``; asks only when one of them is restricted."""
    hidden = [found.pk for found in incidents if found.is_restricted]
    known = {found.pk for found in incidents} - set(hidden)
    if hidden and user is not None:
        known |= set(Incident.objects.filter(pk__in=hidden).visible_to(user).values_list("pk", flat=True))
    return known


def _marks(levels: Iterable[str]) -> bool:
    return any(level != Level.OPERATIONAL for level in levels)


def _level(impact: Impact) -> str:
    return Level(impact.level).label.lower()


def _holder(source: str, hidden: Collection[str] = ()) -> str:
    """``incident:INC-2026-0002`` as people name it."""
    if source in hidden:
        return HIDDEN
    kind, _, name = source.partition(":")
    return name if kind in ("incident", "maintenance") and name else source
