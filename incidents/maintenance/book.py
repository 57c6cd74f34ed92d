"""The lock that every act on planned work takes, the only writer of its state, and its row of history."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet, TextChoices

from incidents import grid
from incidents.enums import MaintenanceState
from incidents.models import IncidentNumber, Maintenance
from incidents.moves import Ask, NotAllowed
from status import publishing
from status.enums import Level, NoticeKind, Phase
from status.models import Component
from status.publishing import Draft

PLANNED, IN_PROGRESS = MaintenanceState.PLANNED, MaintenanceState.IN_PROGRESS
#: From where to where it may move.
MOVES: dict[MaintenanceState, tuple[MaintenanceState, ...]] = {
    PLANNED: (IN_PROGRESS, MaintenanceState.CANCELLED),
    IN_PROGRESS: (MaintenanceState.COMPLETED,),
    MaintenanceState.COMPLETED: (),
    MaintenanceState.CANCELLED: (),
}
#: What an update may say while the work goes on.
RUNNING_PHASES = (Phase.IN_PROGRESS, Phase.VERIFYING)


class Said(TextChoices):
    """What a row of the history says happened."""

    SCHEDULED = "scheduled", "Scheduled"
    ANNOUNCED = "announced", "Announced"
    RESCHEDULED = "rescheduled", "Rescheduled"
    BEGUN = "begun", "Begun"
    UPDATED = "updated", "Public update"
    EXTENDED = "extended", "Extended"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"


class Changed(Exception):
    """Somebody else acted since the form was read; ``entries`` are the rows of history it had not seen (F09)."""

    def __init__(self, maintenance: Maintenance, entries: list[Any]) -> None:
        self.maintenance, self.entries = maintenance, entries
        super().__init__(f"{maintenance.reference} changed since you opened this form.")


class AlreadyDone(Exception):
    """This very form was received before: ``maintenance`` is what came of it (F11)."""

    def __init__(self, maintenance: Maintenance) -> None:
        self.maintenance = maintenance
        super().__init__("This was done already.")


def log(maintenance: Maintenance) -> QuerySet[Any]:
    """Everything that was done with it, newest first, with who did it."""
    rows: QuerySet[Any] = maintenance.history.select_related("history_user").order_by("-history_date", "-history_id")
    return rows


def done_before(token: UUID | None) -> Maintenance | None:
    """What came of this very form when it was sent the first time (F11)."""
    row = Maintenance.history.filter(token=token).first() if token else None
    return Maintenance.objects.filter(pk=row.id).first() if row else None


def take(maintenance: Maintenance, ask: Ask) -> Maintenance:
    """Lock the row, refuse what was sent twice or is out of date, and raise the version; ``keep`` writes it."""
    held = Maintenance.objects.select_for_update(of=("self",)).get(pk=maintenance.pk)
    refuse_replay(ask.token)
    if ask.version is not None and ask.version != held.version:
        raise Changed(held, list(log(held).filter(version__gt=ask.version).order_by("history_id")))
    held.version += 1
    return held


def refuse_replay(token: UUID | None) -> None:
    if done := done_before(token):
        raise AlreadyDone(done)


def refuse_unless(maintenance: Maintenance, state: MaintenanceState, deed: str) -> None:
    if maintenance.state != state:
        raise NotAllowed(f"{maintenance.reference} is {maintenance.get_state_display().lower()}; you cannot {deed}.")


def move(maintenance: Maintenance, state: MaintenanceState, deed: str) -> None:
    """The only writer of ``state``."""
    if state not in MOVES[MaintenanceState(maintenance.state)]:
        raise NotAllowed(f"{maintenance.reference} is {maintenance.get_state_display().lower()}; you cannot {deed}.")
    maintenance.state = state


def keep(
    maintenance: Maintenance, said: Said, *, by: User | None, at: datetime, words: str = "", token: UUID | None = None
) -> None:
    """Write the row, and the one row of history of this act."""
    facts = {"_history_user": by, "_history_date": at, "_change_reason": said.value}
    for name, value in facts.items():
        setattr(maintenance, name, value)
    maintenance.save()
    row = maintenance.history.latest("history_id")
    row.words, row.token = words, token
    row.save(update_fields=["words", "token"])


def check_window(start: datetime, end: datetime, at: datetime) -> None:
    if end <= start:
        raise NotAllowed("It cannot end before it starts.")
    if start <= at:
        raise NotAllowed("It cannot be planned to start in the past.")


def next_number(year: int) -> int:
    """Gapless within a year, as for incidents (R-202)."""
    IncidentNumber.objects.get_or_create(year=year)
    number = IncidentNumber.objects.select_for_update().get(year=year)
    number.last_maintenance += 1
    number.save(update_fields=["last_maintenance"])
    return number.last_maintenance


def publish(
    maintenance: Maintenance,
    draft: Draft,
    phase: Phase,
    levels: dict[Component, Level],
    *,
    at: datetime,
    channels: Collection[str] | None,
) -> None:
    maintenance.notice = publishing.publish(
        replace(draft, phase=phase, next_update_by=None),
        kind=NoticeKind.MAINTENANCE,
        reference=maintenance.reference,
        source=maintenance.source,
        title=maintenance.title,
        # "At least major" is said of incidents: planned work is chosen for itself.
        rank=None,
        brand=maintenance.brand,
        levels=levels,
        started_at=maintenance.began_at or maintenance.planned_start_at,
        at=at,
        channels=_ways(maintenance, channels),
        planned=(maintenance.planned_start_at, maintenance.planned_end_at),
    )
    maintenance.announced_at = at


def post(
    maintenance: Maintenance,
    draft: Draft,
    phase: Phase,
    *,
    at: datetime,
    channels: Collection[str] | None,
    ended_at: datetime | None = None,
) -> str:
    """An update of what was announced, with the window as it is now. Answers the words."""
    notice = maintenance.notice
    assert notice is not None
    window = (maintenance.planned_start_at, maintenance.planned_end_at)
    publishing.plan(notice, window, started_at=maintenance.began_at or maintenance.planned_start_at)
    ways = _ways(maintenance, channels)
    told = replace(draft, phase=phase, next_update_by=None)
    publishing.post(notice, told, at=at, ended_at=ended_at, channels=ways)
    return draft.body


def components_of(maintenance: Maintenance) -> Iterable[Component]:
    return maintenance.components.select_related("topic", "group__topic")


def _ways(maintenance: Maintenance, channels: Collection[str] | None) -> Collection[str]:
    return grid.chosen(grid.cells(maintenance.severity)) if channels is None else channels
