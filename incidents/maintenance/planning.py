"""Before the work begins: scheduling, announcing, moving and cancelling it (R-501)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from incidents import clock
from incidents.enums import DutyKind, MaintenanceState
from incidents.models import Maintenance, Severity
from incidents.moves import UNSEEN, Ask, NotAllowed
from notifications.models import Brand
from status.enums import Level, Phase
from status.models import Component
from status.publishing import Draft
from status.translations import Translation

from .book import (
    PLANNED,
    Said,
    check_window,
    components_of,
    keep,
    move,
    next_number,
    post,
    publish,
    refuse_replay,
    refuse_unless,
    take,
)


@transaction.atomic
def schedule(
    *,
    title: str,
    severity: Severity | None,
    brand: Brand,
    components: Collection[Component],
    planned_start_at: datetime,
    planned_end_at: datetime,
    what_changes: str,
    rollback_plan: str,
    by: User | None,
    at: datetime,
    draft: Draft | None = None,
    channels: Collection[str] | None = None,
    token: UUID | None = None,
) -> Maintenance:
    """Plan work: takes the next number and, with a ``draft``, announces it at once.

    Moments are UTC. ``severity`` is a maintenance level in force; None: no policy knows maintenance, nothing is
    owed. ``channels`` are those it is told by, None: those the policy says (``grid``). Raises ``AlreadyDone``.
    """
    number = next_number(at.year)
    refuse_replay(token)
    if not components:
        raise NotAllowed("Choose what the work concerns: at least one component.")
    check_window(planned_start_at, planned_end_at, at)
    maintenance = Maintenance(
        reference=f"MNT-{at.year}-{number:04d}",
        title=title,
        severity=severity,
        brand=brand,
        what_changes=what_changes,
        rollback_plan=rollback_plan,
        planned_start_at=planned_start_at,
        planned_end_at=planned_end_at,
        scheduled_by=by,
        scheduled_at=at,
    )
    keep(maintenance, Said.SCHEDULED, by=by, at=at, words=what_changes, token=token)
    maintenance.components.set(components)
    clock.open_maintenance_duties(maintenance, at=at)
    if draft:
        maintenance.version += 1
        _announce(maintenance, draft, by=by, at=at, channels=channels)
    return maintenance


@transaction.atomic
def announce(
    maintenance: Maintenance,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None = None,
    ask: Ask = UNSEEN,
) -> Maintenance:
    """Tell the public that it will come; no component moves yet."""
    maintenance = take(maintenance, ask)
    refuse_unless(maintenance, PLANNED, "announce it")
    if maintenance.notice:
        raise NotAllowed(f"{maintenance.reference} was announced already. To change its time, reschedule it.")
    check_window(maintenance.planned_start_at, maintenance.planned_end_at, at)
    _announce(maintenance, draft, by=by, at=at, channels=channels, token=ask.token)
    return maintenance


@transaction.atomic
def reschedule(
    maintenance: Maintenance,
    planned_start_at: datetime,
    planned_end_at: datetime,
    *,
    draft: Draft | None,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None = None,
    ask: Ask = UNSEEN,
) -> Maintenance:
    """Move the window before it begins; once it was announced, the public is told, so ``draft`` is needed."""
    maintenance = take(maintenance, ask)
    refuse_unless(maintenance, PLANNED, "reschedule it")
    check_window(planned_start_at, planned_end_at, at)
    if maintenance.notice and draft is None:
        raise NotAllowed(f"{maintenance.reference} was announced: say in public that its time changes.")
    maintenance.planned_start_at, maintenance.planned_end_at = planned_start_at, planned_end_at
    said = post(maintenance, draft, Phase.SCHEDULED, at=at, channels=channels) if draft and maintenance.notice else ""
    keep(maintenance, Said.RESCHEDULED, by=by, at=at, words=said, token=ask.token)
    clock.open_maintenance_duties(maintenance, at=at)
    return maintenance


@transaction.atomic
def cancel(
    maintenance: Maintenance,
    *,
    body: str,
    sms: str = "",
    chat: str = "",
    translations: Mapping[str, Translation] | None = None,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None = None,
    ask: Ask = UNSEEN,
) -> Maintenance:
    """It will not happen. The words are public if it was announced, and for colleagues otherwise."""
    maintenance = take(maintenance, ask)
    move(maintenance, MaintenanceState.CANCELLED, "cancel it")
    if maintenance.notice:
        draft = Draft(Phase.CANCELLED, body, sms, chat=chat, translations=translations or {})
        post(maintenance, draft, Phase.CANCELLED, at=at, channels=channels)
    keep(maintenance, Said.CANCELLED, by=by, at=at, words=body, token=ask.token)
    clock.drop_maintenance(maintenance, at=at, remark="It was cancelled.")
    return maintenance


def _announce(
    maintenance: Maintenance,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    channels: Collection[str] | None,
    token: UUID | None = None,
) -> None:
    # Nothing is down yet: the components are named, not held.
    levels = dict.fromkeys(components_of(maintenance), Level.OPERATIONAL)
    publish(maintenance, draft, Phase.SCHEDULED, levels, at=at, channels=channels)
    keep(maintenance, Said.ANNOUNCED, by=by, at=at, words=draft.body, token=token)
    clock.meet_maintenance(maintenance, DutyKind.MAINTENANCE_NOTICE, by=by, at=at)
