"""While the work goes on: beginning, telling, extending and finishing it (R-501, R-503)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock
from incidents.enums import DutyKind, MaintenanceState
from incidents.models import Maintenance
from incidents.moves import UNSEEN, Ask, NotAllowed
from status import ledger, publishing
from status.enums import Level, Phase
from status.publishing import Draft

from .book import IN_PROGRESS, RUNNING_PHASES, Said, components_of, keep, move, post, publish, refuse_unless, take


@transaction.atomic
def begin(
    maintenance: Maintenance,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None = None,
    ask: Ask = UNSEEN,
) -> Maintenance:
    """Say that the work starts: its components go under maintenance (R-503).

    One that nobody announced is announced by this (R-502). What an incident holds down stays as grave as it is.
    """
    maintenance = take(maintenance, ask)
    move(maintenance, IN_PROGRESS, "begin it")
    if maintenance.planned_end_at <= at:
        raise NotAllowed(f"The window of {maintenance.reference} is over. Reschedule it first.")
    maintenance.began_at = at
    levels = dict.fromkeys(components_of(maintenance), Level.MAINTENANCE)
    if maintenance.notice:
        publishing.set_levels(maintenance.notice, maintenance.source, levels, at=at)
        post(maintenance, draft, Phase.IN_PROGRESS, at=at, channels=channels)
    else:
        publish(maintenance, draft, Phase.IN_PROGRESS, levels, at=at, channels=channels)
    keep(maintenance, Said.BEGUN, by=by, at=at, words=draft.body, token=ask.token)
    clock.meet_maintenance(maintenance, DutyKind.MAINTENANCE_NOTICE, DutyKind.START_UPDATE, by=by, at=at)
    return maintenance


@transaction.atomic
def post_update(
    maintenance: Maintenance,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None = None,
    ask: Ask = UNSEEN,
) -> Maintenance:
    """Say in public how the work goes; ``draft.phase`` is one of ``RUNNING_PHASES``."""
    maintenance = take(maintenance, ask)
    refuse_unless(maintenance, IN_PROGRESS, "post an update")
    phase = draft.phase if draft.phase in RUNNING_PHASES else Phase.IN_PROGRESS
    post(maintenance, draft, phase, at=at, channels=channels)
    keep(maintenance, Said.UPDATED, by=by, at=at, words=draft.body, token=ask.token)
    return maintenance


@transaction.atomic
def extend(
    maintenance: Maintenance,
    planned_end_at: datetime,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None = None,
    ask: Ask = UNSEEN,
) -> Maintenance:
    """It takes longer, and the public is told until when (R-501: overrunning is said)."""
    maintenance = take(maintenance, ask)
    refuse_unless(maintenance, IN_PROGRESS, "extend it")
    if planned_end_at <= max(at, maintenance.planned_end_at):
        raise NotAllowed("The new end must lie ahead, and after the end that was planned so far.")
    maintenance.planned_end_at = planned_end_at
    post(maintenance, draft, Phase.IN_PROGRESS, at=at, channels=channels)
    keep(maintenance, Said.EXTENDED, by=by, at=at, words=draft.body, token=ask.token)
    clock.open_maintenance_duties(maintenance, at=at)
    return maintenance


@transaction.atomic
def finish(
    maintenance: Maintenance,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    ended_at: datetime | None = None,
    channels: Collection[str] | None = None,
    ask: Ask = UNSEEN,
) -> Maintenance:
    """Say that it is done: components come back unless something else holds them down (R-503).

    ``ended_at`` (default ``at``) is when the work ended; it may lie before we say so (R-1302).
    """
    maintenance = take(maintenance, ask)
    move(maintenance, MaintenanceState.COMPLETED, "finish it")
    maintenance.ended_at = ended_at or at
    if maintenance.began_at and not maintenance.began_at <= maintenance.ended_at <= at:
        raise NotAllowed(f"It ended between {maintenance.began_at:%H:%M} UTC, when it began, and now.")
    ledger.close_impacts(maintenance.source, at=maintenance.ended_at)
    post(maintenance, draft, Phase.COMPLETED, at=at, channels=channels, ended_at=maintenance.ended_at)
    keep(maintenance, Said.FINISHED, by=by, at=at, words=draft.body, token=ask.token)
    clock.meet_maintenance(maintenance, DutyKind.END_UPDATE, DutyKind.RESOLVE, by=by, at=at)
    clock.open_maintenance_duties(maintenance, at=at)
    return maintenance
