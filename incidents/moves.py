"""How an incident moves: the table of moves, the only writer of its state, and the lock every act takes.

A form that is older than the incident is refused with what changed (F09); a form that was sent
twice changes nothing the second time (F11).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from incidents.enums import OPEN, State
from incidents.models import Incident, TimelineEntry

#: From where to where an incident may move. Going back and reopening are allowed, and recorded.
MOVES: dict[State, tuple[State, ...]] = {
    State.DECLARED: (State.ACKNOWLEDGED, State.MITIGATED, State.RESOLVED, State.FALSE_ALARM, State.MERGED),
    State.ACKNOWLEDGED: (State.MITIGATED, State.RESOLVED, State.FALSE_ALARM, State.MERGED),
    State.MITIGATED: (State.ACKNOWLEDGED, State.RESOLVED, State.FALSE_ALARM, State.MERGED),
    State.RESOLVED: (State.ACKNOWLEDGED, State.CLOSED, State.FALSE_ALARM),
    State.CLOSED: (State.ACKNOWLEDGED,),
    State.FALSE_ALARM: (),
    State.MERGED: (),
}
#: The timestamps that a state implies: none is skipped on the way (R-201).
STAMPS: dict[State, tuple[str, ...]] = {
    State.ACKNOWLEDGED: ("acknowledged_at",),
    State.MITIGATED: ("acknowledged_at", "mitigated_at"),
    State.RESOLVED: ("acknowledged_at", "mitigated_at", "resolved_at"),
    State.CLOSED: ("closed_at",),
    State.FALSE_ALARM: ("closed_at",),
    State.MERGED: ("closed_at",),
}


class NotAllowed(Exception):
    """The incident is not in a state in which this can be said; the text says why, for people."""


class Contradicted(NotAllowed):
    """It would make the two books belie each other, and nobody said why all the same (R-1303)."""

    def __init__(self, concerns: Iterable[str]) -> None:
        self.concerns = list(concerns)
        super().__init__(" ".join(self.concerns))


class Changed(Exception):
    """Somebody else acted since the form was read; ``entries`` are what it had not seen (F09)."""

    def __init__(self, incident: Incident, entries: list[TimelineEntry]) -> None:
        self.incident, self.entries = incident, entries
        super().__init__(f"{incident.reference} changed since you opened this form.")


class AlreadyDone(Exception):
    """This very form was received before: ``incident`` is what came of it (F11)."""

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        super().__init__("This was done already.")


@dataclass(frozen=True)
class Ask:
    """What a form knew when it was shown: the incident's version, and its own token."""

    version: int | None = None
    token: UUID | None = None


#: From callers that showed no form.
UNSEEN = Ask()


def take(incident: Incident, ask: Ask) -> Incident:
    """Lock the row, refuse what was sent twice or is out of date, and raise the version."""
    held = Incident.objects.select_for_update(of=("self",)).get(pk=incident.pk)
    refuse_replay(ask.token)
    if ask.version is not None and ask.version != held.version:
        raise Changed(held, list(held.timeline.filter(version__gt=ask.version).select_related("by")))
    held.version += 1
    held.save(update_fields=["version"])
    return held


def refuse_replay(token: UUID | None) -> None:
    done = TimelineEntry.objects.filter(token=token).select_related("incident").first() if token else None
    if done:
        raise AlreadyDone(done.incident)


def refuse_unless_open(incident: Incident, deed: str) -> None:
    if incident.state not in OPEN:
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()}; you cannot {deed}.")


def move(incident: Incident, state: State, *, at: datetime) -> None:
    """The only writer of ``state``; the caller holds the row lock."""
    if state not in MOVES[State(incident.state)]:
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()} already or cannot become so.")
    if incident.state == State.MITIGATED and state == State.ACKNOWLEDGED:
        # The fix failed; the timeline keeps when it was believed to work.
        incident.mitigated_at = incident.verified_at = None
    incident.state = state
    for stamp in STAMPS[state]:
        if getattr(incident, stamp) is None:
            setattr(incident, stamp, at)
    # A merged one says into what in the same statement, as the database demands.
    incident.save(update_fields=["state", "mitigated_at", "verified_at", "merged_into", *STAMPS[state]])
