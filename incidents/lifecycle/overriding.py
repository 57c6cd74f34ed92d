"""Doing it all the same: a contradiction is refused, or its reason is written down (R-1303)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import User

from incidents import timeline
from incidents.enums import Verb
from incidents.guard import Concern
from incidents.models import Incident
from incidents.moves import Contradicted


def weigh(incident: Incident, concerns: Iterable[Concern], override: str, *, by: User | None, at: datetime) -> None:
    """Raise ``Contradicted`` unless there are no concerns, or a reason that the timeline keeps with them."""
    told = [concern.words for concern in concerns]
    if not told:
        return
    if not override.strip():
        raise Contradicted(told)
    timeline.record(incident, Verb.OVERRODE, by=by, at=at, words=override.strip(), concerns=told)
