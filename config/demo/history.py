"""Ninety days of history, told by the same acts that operators use, each at its moment in the past.

Nothing of it is announced: the people who would have been told were told at the time.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

from incidents import clock, lifecycle, maintenance
from incidents.enums import Origin
from incidents.models import Incident, Maintenance, Severity
from notifications.models import Brand
from status.enums import Level, Phase
from status.models import Component
from status.publishing import Draft

FILE = Path(__file__).parent / "history.toml"
POLICY = "public-status"
#: Incidents of its levels earn service credits (R-901).
PAID_POLICY = "enterprise-sla"
#: How long after a resolution the review was held and the incident closed.
REVIEWED_AFTER = timedelta(days=3)

#: Something that happened: when, and the act that says so.
Step = tuple[datetime, Callable[[datetime], None]]


@dataclass
class Stage:
    """What the stories play on."""

    brand: Brand
    components: Mapping[str, Component]
    people: Mapping[str, User]
    severities: Mapping[str, Severity]
    now: datetime


def tell(
    brand: Brand,
    components: Mapping[str, Component],
    people: Mapping[str, User],
    *,
    now: datetime,
    beside: Iterable[Step] = (),
) -> None:
    """Write the whole history, in the order in which it happened, up to ``now`` (UTC).

    ``beside``: what others did meanwhile.
    """
    rows = Severity.objects.in_force().filter(version__policy__slug__in=(POLICY, PAID_POLICY))
    stage = Stage(brand, components, people, {row.code: row for row in rows}, now)
    with FILE.open("rb") as file:
        written = tomllib.load(file)
    steps: list[Step] = [*beside]
    for story in written["stories"]:
        steps += _Trouble(stage, story).steps()
    for plan in written["maintenances"]:
        steps += _Maintenance(stage, plan).steps()
    for at, act in sorted(steps, key=lambda step: step[0]):
        if at <= now:
            act(at)


def _moment(row: Mapping[str, Any], now: datetime) -> datetime:
    return datetime.combine(now.date() - timedelta(days=row["days"]), row["at"], UTC)


@dataclass
class _Trouble:
    """One incident, from the first pain to the closed file."""

    stage: Stage
    story: Mapping[str, Any]
    incident: Incident = field(init=False)

    def steps(self) -> Iterator[Step]:
        began = _moment(self.story, self.stage.now)
        first, *others = self.story["acts"]
        yield began + timedelta(minutes=first["after"]), lambda at: self._declare(first, began, at)
        for row in others:
            act: Callable[[Mapping[str, Any], datetime], None] = getattr(self, f"_{row['act']}", self._update)
            yield began + timedelta(minutes=row["after"]), lambda at, act=act, row=row: act(row, at)  # type: ignore[misc]  # a bound default
        if "ended" in self.story:
            yield began + timedelta(minutes=others[-1]["after"]) + REVIEWED_AFTER, self._close

    def _declare(self, row: Mapping[str, Any], began: datetime, at: datetime) -> None:
        origin = Origin(self.story["origin"])
        self.incident = lifecycle.declare(
            severity=self.stage.severities[self.story["severity"]],
            title=self.story["title"],
            started_at=began,
            # A customer tells us when it hurts; our own monitoring notices at once.
            detected_at=at - timedelta(minutes=2) if origin in (Origin.CUSTOMER, Origin.TICKET) else began,
            by=self.stage.people["support" if origin in (Origin.CUSTOMER, Origin.TICKET) else "commander"],
            at=at,
            brand=self.stage.brand,
            levels=self._levels(self.story),
            draft=self._draft(row, at),
            origin=origin,
            channels=(),
        )

    def _update(self, row: Mapping[str, Any], at: datetime) -> None:
        lifecycle.post_update(
            self.incident,
            self._draft(row, at),
            levels=self._levels(row),
            by=self.stage.people["comms"],
            at=at,
            channels=(),
        )
        self.incident.refresh_from_db()

    def _note(self, row: Mapping[str, Any], at: datetime) -> None:
        lifecycle.note(self.incident, row["words"], by=self.stage.people["commander"], at=at)

    def _severity(self, row: Mapping[str, Any], at: datetime) -> None:
        severity = self.stage.severities[row["severity"]]
        lifecycle.change_severity(
            self.incident, severity, reason=row["words"], by=self.stage.people["commander"], at=at
        )

    def _resolved(self, row: Mapping[str, Any], at: datetime) -> None:
        began = _moment(self.story, self.stage.now)
        lifecycle.resolve(
            self.incident,
            body=row["words"],
            by=self.stage.people["commander"],
            at=at,
            ended_at=min(at, began + timedelta(minutes=self.story["ended"])),
            channels=(),
            # Not where the policy writes to enterprise customers, either.
            letter="",
        )

    def _reopen(self, row: Mapping[str, Any], at: datetime) -> None:
        draft = self._draft({**row, "act": "investigating"}, at)
        lifecycle.reopen(
            self.incident, draft, levels=self._levels(row), by=self.stage.people["commander"], at=at, channels=()
        )

    def _correct(self, row: Mapping[str, Any], at: datetime) -> None:
        self.incident.refresh_from_db()
        notice = self.incident.notice
        if notice is not None:
            said = notice.updates.latest("seq")
            lifecycle.correct_update(self.incident, said, row["words"], by=self.stage.people["comms"], at=at)

    def _false_alarm(self, row: Mapping[str, Any], at: datetime) -> None:
        lifecycle.mark_false_alarm(
            self.incident, body=row["words"], by=self.stage.people["commander"], at=at, channels=()
        )

    def _close(self, at: datetime) -> None:
        self.incident.refresh_from_db()
        clock.meet(self.incident, *clock.AFTERWARDS, by=self.stage.people["commander"], at=at)
        lifecycle.close(
            self.incident, words="Reviewed; nothing is left to do.", by=self.stage.people["commander"], at=at
        )

    def _levels(self, row: Mapping[str, Any]) -> dict[Component, Level]:
        return {self.stage.components[name]: Level(level) for name, level in row.get("levels", {}).items()}

    def _draft(self, row: Mapping[str, Any], at: datetime) -> Draft:
        promise = at + timedelta(minutes=row["next"]) if "next" in row else None
        return Draft(Phase(row["act"]), row["words"], next_update_by=promise)


@dataclass
class _Maintenance:
    """Planned work, by the acts that say so: announced, begun, done (R-501)."""

    stage: Stage
    plan: Mapping[str, Any]
    planned: Maintenance = field(init=False)

    def steps(self) -> Iterator[Step]:
        begins = _moment(self.plan, self.stage.now)
        yield begins - timedelta(days=self.plan["notice"]), lambda at: self._announce(begins, at)
        yield begins, self._begin
        yield begins + timedelta(minutes=self.plan["minutes"]), self._finish

    def _announce(self, begins: datetime, at: datetime) -> None:
        self.planned = maintenance.schedule(
            title=self.plan["title"],
            severity=self.stage.severities["maintenance"],
            brand=self.stage.brand,
            components=[self.stage.components[name] for name in self.plan["components"]],
            planned_start_at=begins,
            planned_end_at=begins + timedelta(minutes=self.plan["window"]),
            what_changes=self.plan["changes"],
            rollback_plan=self.plan["rollback"],
            by=self.stage.people["commander"],
            at=at,
            draft=Draft(Phase.SCHEDULED, self.plan["announced"]),
            channels=(),
        )

    def _begin(self, at: datetime) -> None:
        draft = Draft(Phase.IN_PROGRESS, self.plan["started"])
        self.planned = maintenance.begin(self.planned, draft, by=self.stage.people["commander"], at=at, channels=())

    def _finish(self, at: datetime) -> None:
        draft = Draft(Phase.COMPLETED, self.plan["completed"])
        maintenance.finish(self.planned, draft, by=self.stage.people["commander"], at=at, channels=())
