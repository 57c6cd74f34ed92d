"""Who has which role, and the command from one to the next (R-204)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from incidents import timeline
from incidents.enums import UNCOUNTED, Role, Verb
from incidents.models import Assignment, Incident
from incidents.moves import UNSEEN, Ask, NotAllowed, take


@transaction.atomic
def assign(
    incident: Incident, role: Role, user: User | None, *, by: User | None, at: datetime, ask: Ask = UNSEEN
) -> Incident:
    """Give a role to somebody; who had it before has it no more. None: nobody has it any more.

    Whoever has it already keeps it since when they had it, and nothing is written down.
    """
    incident = take(incident, ask)
    _refuse_when_nothing(incident)
    before = holder(incident, role)
    if before == user:
        return incident
    give(incident, role, user, by=by, at=at)
    people = [named(before), named(user)]
    timeline.record(incident, Verb.ASSIGNED, by=by, at=at, token=ask.token, role=role.value, people=people)
    return incident


def take_role(incident: Incident, role: Role, *, by: User, at: datetime, ask: Ask = UNSEEN) -> Incident:
    """Take a role oneself."""
    return assign(incident, role, by, by=by, at=at, ask=ask)


@transaction.atomic
def hand_over(
    incident: Incident, to: User, *, words: str, by: User | None, at: datetime, ask: Ask = UNSEEN
) -> Incident:
    """From one commander to the next, with what the next one must know.

    Raises ``NotAllowed`` when nobody commands it, or when the next one does already.
    """
    incident = take(incident, ask)
    _refuse_when_nothing(incident)
    before = holder(incident, Role.COMMANDER)
    if before is None:
        raise NotAllowed("Nobody commands it yet, so there is nothing to hand over. Assign the role instead.")
    if before == to:
        raise NotAllowed(f"{named(to)} commands it already.")
    if not words.strip():
        raise NotAllowed("Say what the next commander must know.")
    give(incident, Role.COMMANDER, to, by=by, at=at)
    facts: dict[str, Any] = {"from": named(before), "to": named(to)}
    timeline.record(incident, Verb.HANDED_OVER, by=by, at=at, words=words, token=ask.token, **facts)
    return incident


def step_in(incident: Incident, *, by: User | None, at: datetime) -> None:
    """Whoever acknowledges it commands it, unless somebody does; the caller holds the incident's row."""
    if by is not None and holder(incident, Role.COMMANDER) is None:
        give(incident, Role.COMMANDER, by, by=by, at=at)
        people = [named(None), named(by)]
        timeline.record(incident, Verb.ASSIGNED, by=by, at=at, role=Role.COMMANDER.value, people=people)


def holder(incident: Incident, role: Role) -> User | None:
    """Who has the role now. One query."""
    found = incident.assignments.current().filter(role=role).select_related("user").first()
    return found.user if found else None


def give(incident: Incident, role: Role, user: User | None, *, by: User | None, at: datetime) -> None:
    """Write down who has the role from now on; the caller holds the incident's row and writes the entry."""
    incident.assignments.current().filter(role=role).update(until=at)
    if user is not None:
        Assignment.objects.create(incident=incident, role=role, user=user, since=at, assigned_by=by)


def named(person: User | None) -> str:
    """As the timeline names people; empty: nobody."""
    return (person.get_full_name() or person.get_username()) if person else ""


def _refuse_when_nothing(incident: Incident) -> None:
    if incident.state in UNCOUNTED:
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()}; it needs nobody any more.")
