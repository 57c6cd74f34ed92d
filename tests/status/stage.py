"""Setting the stage of the public page: notices with their updates, as publishing writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from status import ledger, publishing
from status.enums import Level, NoticeKind, Phase
from status.models import Component, Notice
from status.publishing import Draft
from tests.scene import NIGHT, brand


def source(reference: str) -> str:
    return f"incident:{reference}"


def notice(
    reference: str = "INC-2026-0001",
    *,
    title: str = "API is slow",
    levels: Mapping[Component, Level] | None = None,
    at: datetime = NIGHT,
    body: str = "We are looking into it.",
    next_update_by: datetime | None = None,
    kind: NoticeKind = NoticeKind.INCIDENT,
    phase: Phase = Phase.INVESTIGATING,
) -> Notice:
    """Published at ``at``, when it began as well."""
    return publishing.publish(
        Draft(phase, body, next_update_by=next_update_by),
        kind=kind,
        reference=reference,
        source=source(reference),
        title=title,
        rank=1,
        brand=brand(),
        levels=levels or {},
        started_at=at,
        at=at,
        channels=(),
    )


def post(told: Notice, phase: Phase, body: str, *, at: datetime, next_update_by: datetime | None = None) -> None:
    publishing.post(told, Draft(phase, body, next_update_by=next_update_by), at=at, channels=())


def resolve(told: Notice, *, at: datetime, body: str = "It works again.") -> None:
    ledger.close_impacts(source(told.reference), at=at)
    post(told, Phase.RESOLVED, body, at=at)


def over(reference: str, *, at: datetime, lasting: timedelta = timedelta(minutes=30), **told: object) -> Notice:
    """An incident that began at ``at`` and is over."""
    made = notice(reference, at=at, **told)  # type: ignore[arg-type]  # passed on as they came
    resolve(made, at=at + lasting)
    return made
