"""What happened in worlds at random: incidents with all that people do to them, and planned work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

from django.contrib.auth.models import User

from incidents.enums import MaintenanceState, State, Tie, Verb
from incidents.models import Incident, IncidentLink, Maintenance, Policy, Severity, TimelineEntry
from notifications.models import Brand, Customer
from postmortems.enums import ExclusionKind
from postmortems.models import Exclusion
from status.enums import IMPACTS, Level
from status.models import Component, Impact

HOUR, DAY, TICK = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
#: Thresholds of tiers, so that outages can hit them.
LENGTHS = (timedelta(minutes=10), HOUR, 4 * HOUR, 12 * HOUR)


@dataclass
class Making:
    """What is at hand while a world is made."""

    dice: Random
    first: date
    since: datetime
    until: datetime
    at: datetime
    by: User
    brand: Brand
    policies: list[Policy]
    levels: list[Severity]
    components: list[Component]
    customers: list[Customer]
    #: Moments at which something turned: others like to turn there too.
    edges: list[datetime] = field(default_factory=list)

    def moment(self) -> datetime:
        """Anywhere, or where something else began or ended, or a microsecond beside it."""
        if self.edges and self.dice.random() < 0.45:
            return self.dice.choice(self.edges) + self.dice.choice((timedelta(0), timedelta(0), TICK, -TICK))
        span = (self.until - self.since) // timedelta(minutes=1)
        return self.since + timedelta(minutes=self.dice.randrange(span))

    def length(self) -> timedelta:
        """Of an outage: a threshold, a tick beside it, or anything up to two days."""
        chance = self.dice.random()
        if chance < 0.45:
            return self.dice.choice(LENGTHS) + self.dice.choice((timedelta(0), TICK, -TICK))
        if chance < 0.9:
            return timedelta(seconds=self.dice.randrange(1, 8 * 3600), microseconds=self.dice.randrange(1_000_000))
        return timedelta(seconds=self.dice.randrange(1, 2 * 86400))

    def turned(self, *moments: datetime) -> None:
        self.edges += moments


def incidents(making: Making, count: int) -> None:
    dice = making.dice
    incidents: list[Incident] = []
    # Duplicates of what stands by itself, then also duplicates of duplicates.
    for number, merged in ((count - 5, False), (3, True), (2, True)):
        first = len(incidents) + 1
        into = incidents[:]
        new = [_incident(making, first + n, dice.choice(into) if merged else None) for n in range(number)]
        # What the timeline says last is what the row says.
        entries = [entry for incident in new for entry in _timeline(making, incident)]
        incidents += Incident.objects.bulk_create(new)
        TimelineEntry.objects.bulk_create(entries)
    Impact.objects.bulk_create(impact for incident in incidents for impact in _impacts(making, incident))
    IncidentLink.objects.bulk_create(_links(making, incidents))
    Exclusion.objects.bulk_create(_exclusion(making, dice.choice(incidents)) for _ in range(6))


def _incident(making: Making, number: int, into: Incident | None) -> Incident:
    dice = making.dice
    states = (State.RESOLVED, State.CLOSED, State.FALSE_ALARM, State.MITIGATED)
    state = State.MERGED if into else dice.choices(states, (70, 10, 6, 5))[0]
    began, length = making.moment(), making.length()
    if state == State.MITIGATED:
        # What runs is one outage with all that follows: it begins late, so that months before it come to something.
        began = max(began, making.until - 45 * DAY)
    if into and dice.random() < 0.8:
        # What it goes on under began when the first of both did.
        began = into.started_at
    ended = began + length
    said = began + dice.choice((timedelta(0), timedelta(0), min(length, timedelta(minutes=7))))
    unsaid = dice.choice((ended, ended, ended + timedelta(minutes=20)))
    making.turned(began, ended)
    over = state in (State.RESOLVED, State.CLOSED)
    return Incident(
        reference=f"INC-2026-{number:04d}",
        title=f"Trouble {number}",
        severity=dice.choice(making.levels),
        state=state,
        merged_into=into,
        brand=making.brand,
        started_at=began,
        detected_at=began,
        declared_at=said,
        ended_at=ended if over else None,
        resolved_at=unsaid if over else None,
        closed_at=unsaid if state == State.CLOSED else None,
    )


def _span(incident: Incident, making: Making) -> tuple[datetime, datetime]:
    return incident.started_at, incident.ended_at or making.at


def _timeline(making: Making, incident: Incident) -> list[TimelineEntry]:
    """Up to seven changes of severity, and the end of what was merged."""
    dice = making.dice
    began, ended = _span(incident, making)
    entries = []
    last = dice.choice(making.levels)
    for at in sorted(_inside(making, began, ended) for _ in range(dice.choice((0, 0, 0, 1, 1, 2, 4, 7)))):
        level = dice.choice(making.levels)
        entries.append(_entry(incident, Verb.SEVERITY, at, {"levels": [last.pk, level.pk]}))
        last = level
    if entries:
        incident.severity = last
    if incident.merged_into:
        incident.closed_at = at = _inside(making, began, min(ended, began + 20 * HOUR))
        entries.append(_entry(incident, Verb.MERGED, at, {"into": incident.merged_into.reference}))
    return entries


def _entry(incident: Incident, verb: Verb, at: datetime, facts: dict[str, Any]) -> TimelineEntry:
    return TimelineEntry(incident=incident, verb=verb, at=at, recorded_at=at, facts=facts, version=1)


def _inside(making: Making, began: datetime, ended: datetime) -> datetime:
    """Some moment of a span; thresholds and their neighbours are likely."""
    dice = making.dice
    if dice.random() < 0.4:
        at = began + dice.choice(LENGTHS) + dice.choice((timedelta(0), TICK, -TICK))
        if began < at < ended:
            return at
    return began + timedelta(microseconds=dice.randrange((ended - began) // TICK + 1))


def _impacts(making: Making, incident: Incident) -> list[Impact]:
    dice = making.dice
    if incident.state == State.MERGED:
        return []
    began, ended = _span(incident, making)
    running = incident.ended_at is None
    impacts = []
    for component in dice.sample(making.components, dice.choice((0, 1, 2, 2, 3, 3, 4))):
        turns = sorted(_inside(making, began, ended) for _ in range(dice.choice((0, 0, 0, 1, 2))))
        edges = [began if dice.random() < 0.8 else _inside(making, began, ended), *turns, ended]
        edges.sort()
        for start, end in pairwise(edges):
            impacts.append(
                Impact(
                    component=component,
                    level=dice.choice(IMPACTS),
                    source=incident.source,
                    began_at=start,
                    ended_at=None if running and end == ended else end,
                    recorded_at=start,
                    voided_at=start if incident.state == State.FALSE_ALARM or dice.random() < 0.04 else None,
                )
            )
    return _one_open_each(impacts)


def _one_open_each(impacts: list[Impact]) -> list[Impact]:
    """The ledger holds one open impact for each component and source."""
    seen, kept = set(), []
    for impact in impacts:
        if impact.ended_at is None:
            if impact.component_id in seen:
                continue
            seen.add(impact.component_id)
        kept.append(impact)
    return kept


def _links(making: Making, incidents: Sequence[Incident]) -> list[IncidentLink]:
    """Parts of one incident, as the console ties them, and ties that mean nothing here."""
    dice = making.dice
    pairs: set[tuple[int, int]] = set()
    links = []
    for _ in range(len(incidents) // 4):
        one, other = dice.sample(incidents, 2)
        if (one.pk, other.pk) in pairs:
            continue
        pairs.add((one.pk, other.pk))
        tie = dice.choice((Tie.PART, Tie.PART, Tie.RELATED, Tie.REPEAT))
        links.append(IncidentLink(incident=one, other=other, tie=tie, linked_at=making.at))
    return links


def _exclusion(making: Making, incident: Incident) -> Exclusion:
    dice = making.dice
    began, ended = _span(incident, making)
    start, end = sorted((_inside(making, began, ended), _inside(making, began, ended)))
    return Exclusion(
        incident=incident,
        customer=dice.choice((None, dice.choice(making.customers))),
        kind=ExclusionKind.CUSTOMER,
        starts_at=dice.choice((None, start)),
        ends_at=dice.choice((None, end + TICK)),
        reason="Their own firewall.",
        made_at=making.at,
        made_by=making.by,
        withdrawn_at=making.at if dice.random() < 0.2 else None,
    )


# --- planned work ----------------------------------------------------------------------


def maintenance(making: Making) -> None:
    """Announced early, late, at its beginning or never; moved, extended; done earlier or longer than was said."""
    dice = making.dice
    impacts: list[Impact] = []
    history: list[Any] = []
    for number in range(1, 11):
        starts = making.moment()
        ends = starts + dice.choice((2 * HOUR, 9 * HOUR, DAY))
        work = Maintenance(
            reference=f"MNT-2026-{number:04d}",
            title="Upgrade",
            brand=making.brand,
            planned_start_at=starts,
            planned_end_at=ends,
            scheduled_at=starts - 40 * DAY,
            state=MaintenanceState.COMPLETED,
        )
        rows = [_row(work, work.scheduled_at, "scheduled")]
        if dice.random() < 0.8:
            work.announced_at = (
                starts
                - dice.choice((7, 7, 7, 14, 1, 30)) * DAY
                + dice.choice((timedelta(0), timedelta(0), TICK, -TICK))
            )
            rows.append(_row(work, work.announced_at, "announced"))
        if dice.random() < 0.35:
            moved = dice.choice((-3 * HOUR, HOUR, DAY))
            work.planned_start_at, work.planned_end_at = starts + moved, ends + moved
            last = work.announced_at or work.scheduled_at
            rows.append(_row(work, last + (starts - 6 * HOUR - last) * dice.choice((0, 0.3, 1)), "rescheduled"))
        began = work.planned_start_at + dice.choice((timedelta(0), timedelta(0), HOUR, -HOUR))
        work.began_at = began
        work.announced_at = work.announced_at or began
        rows.append(_row(work, began, "begun"))
        ended = work.planned_end_at
        if dice.random() < 0.5:
            work.planned_end_at += 5 * HOUR
            rows.append(_row(work, ended - timedelta(minutes=30), "extended"))
            ended += 4 * HOUR
        work.ended_at = ended
        rows.append(_row(work, ended, "finished"))
        work.save_without_historical_record()
        for row in rows:
            row.id = work.pk
        history += rows
        making.turned(began, ended)
        impacts += [
            Impact(
                component=component,
                level=Level.MAINTENANCE,
                source=work.source,
                began_at=began,
                ended_at=ended,
                recorded_at=began,
            )
            for component in dice.sample(making.components, dice.choice((2, 3, 5)))
        ]
    Maintenance.history.bulk_create(history)
    Impact.objects.bulk_create(impacts)


def _row(work: Maintenance, at: datetime, said: str) -> Any:
    """A row of its history, with everything as it is then."""
    kept = {
        name: getattr(work, name)
        for name in (
            *("reference", "title", "state", "what_changes", "rollback_plan", "planned_start_at", "planned_end_at"),
            *("scheduled_at", "announced_at", "began_at", "ended_at", "version", "brand_id"),
        )
    }
    return Maintenance.history.model(history_date=at, history_change_reason=said, history_type="~", **kept)
