"""The timeline: the only way to write an entry (R-205). The database refuses to change one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from incidents.enums import Verb
from incidents.models import Incident, TimelineEntry


def record(
    incident: Incident,
    verb: Verb,
    *,
    by: User | None,
    at: datetime,
    words: str = "",
    happened_at: datetime | None = None,
    corrects: TimelineEntry | None = None,
    token: UUID | None = None,
    **facts: Any,
) -> TimelineEntry:
    """Write down what happened; ``at`` is now, ``happened_at`` (default: now) when it happened (R-1302).

    ``facts`` are plain JSON values: what changed, from and to.
    """
    return TimelineEntry.objects.create(
        incident=incident,
        verb=verb,
        at=happened_at or at,
        recorded_at=at,
        by=by,
        words=words,
        facts=facts,
        corrects=corrects,
        token=token,
        version=incident.version,
    )


def record_by_itself(entries: Iterable[TimelineEntry]) -> None:
    """Write down what the house did by itself, for many incidents at once (``enums.AUTOMATIC``).

    Nobody's form becomes out of date by it: the incidents keep their versions.
    """
    TimelineEntry.objects.bulk_create(entries, batch_size=1_000)
