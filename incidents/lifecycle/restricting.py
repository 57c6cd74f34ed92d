"""Security incidents: only people who are named may know; legal and CISO are informed (R-213)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from incidents import clock, letters, timeline
from incidents.enums import UNCOUNTED, Role, Verb
from incidents.models import Incident, Insider
from incidents.models.people import INFORMED
from incidents.moves import UNSEEN, Ask, NotAllowed, take
from notifications import outbox
from notifications.outbox import Letter
from status import amending

from .staffing import holder, named

BUTTON = "Open it"
TOLD = "You are told because your role must know of security incidents. Everything else stands behind the link."
LET_IN = "{who} opened it without being named in it, and gave a reason. You are told because you answer for who may."


@transaction.atomic
def restrict(
    incident: Incident,
    *,
    public_title: str,
    people: Iterable[User],
    reason: str,
    by: User | None,
    at: datetime,
    ask: Ask = UNSEEN,
) -> Incident:
    """Only ``people``, who acts, holders of its roles, and those informed of security may know of it from now on.

    Outsiders read ``public_title``, also on the page that is out; words that are out stay, messages
    that have not left are held back: who is to be told is told anew, by an update. Raises ``NotAllowed``.
    """
    incident = take(incident, ask)
    if incident.is_restricted:
        raise NotAllowed(f"{incident.reference} is restricted already.")
    if incident.state in UNCOUNTED:
        raise NotAllowed(f"{incident.reference} is {incident.get_state_display().lower()}; nothing of it is secret.")
    if not public_title.strip():
        raise NotAllowed("Say what outsiders read instead of the title.")
    facts: dict[str, Any] = {"withheld": True} if close_doors(incident, public_title.strip(), at=at) else {}
    let_in = name_people(incident, [*people, *([by] if by else [])], by=by, at=at, reason=reason)
    timeline.record(incident, Verb.RESTRICTED, by=by, at=at, words=reason, token=ask.token, people=let_in, **facts)
    inform(incident, at=at)
    clock.open_duties(incident, at=at)
    return incident


def close_doors(incident: Incident, public_title: str, *, at: datetime) -> bool:
    """Restricted, and told by another title; the caller holds the row and writes the entry.

    Messages with the old title that have not left are held back; answers whether there were any.
    """
    incident.is_restricted = incident.is_security = True
    incident.public_title = public_title
    incident.save(update_fields=["is_restricted", "is_security", "public_title"])
    if incident.notice and incident.notice.title != incident.told_title:
        amending.retitle(incident.notice, incident.told_title, at=at)
        return outbox.withhold([incident.notice.lane, letters.lane(incident.notice)], at=at)
    return False


def begin(incident: Incident, public_title: str, *, by: User | None, at: datetime) -> None:
    """It is declared as a security incident: only who declares it may know yet; the caller holds the row."""
    close_doors(incident, public_title, at=at)
    let_in = name_people(incident, [by] if by else [], by=by, at=at, reason="Declared it.")
    timeline.record(incident, Verb.RESTRICTED, by=by, at=at, people=let_in)
    inform(incident, at=at)


@transaction.atomic
def lift(incident: Incident, *, reason: str, by: User | None, at: datetime, ask: Ask = UNSEEN) -> Incident:
    """Every colleague may know again. It stays a security incident, and outsiders go on reading its public title."""
    incident = take(incident, ask)
    if not incident.is_restricted:
        raise NotAllowed(f"{incident.reference} is not restricted.")
    # What outsiders read must not change by itself where nobody chose other words.
    incident.public_title = incident.told_title
    incident.is_restricted = False
    incident.save(update_fields=["is_restricted", "public_title"])
    timeline.record(incident, Verb.LIFTED, by=by, at=at, words=reason, token=ask.token)
    return incident


@transaction.atomic
def admit(incident: Incident, user: User, *, reason: str, by: User | None, at: datetime, ask: Ask = UNSEEN) -> Incident:
    """Let somebody know of it. Who lets themselves in ("break glass") is told to the commander and the informed."""
    incident = take(incident, ask)
    if not incident.is_restricted:
        raise NotAllowed(f"{incident.reference} is not restricted: every colleague may know of it.")
    if not reason.strip():
        raise NotAllowed("Say why: the timeline keeps it.")
    if not name_people(incident, [user], by=by, at=at, reason=reason):
        raise NotAllowed(f"{named(user)} may know of it already.")
    timeline.record(incident, Verb.ADMITTED, by=by, at=at, words=reason, token=ask.token, people=[named(user)])
    if user == by:
        warn(incident, user, at=at)
    return incident


def name_people(incident: Incident, people: Iterable[User], *, by: User | None, at: datetime, reason: str) -> list[str]:
    """Write down who may know, once each; names of those who could not before."""
    known = set(incident.insiders.values_list("user_id", flat=True))
    new = {person.pk: person for person in people if person.pk not in known}
    Insider.objects.bulk_create(
        Insider(incident=incident, user=person, granted_at=at, granted_by=by, reason=reason[:250])
        for person in new.values()
    )
    return sorted(named(person) for person in new.values())


def inform(incident: Incident, *, at: datetime) -> None:
    """Write to everybody whose role must know: only which incident, and where (R-213)."""
    _write(incident, _informed(), TOLD, at=at)


def warn(incident: Incident, who: User, *, at: datetime) -> None:
    """Say to the commander and the informed that somebody let themselves in."""
    commander = holder(incident, Role.COMMANDER)
    told = {person.pk: person for person in [*([commander] if commander else []), *_informed()] if person != who}
    _write(incident, list(told.values()), LET_IN.format(who=named(who)), at=at)


def _informed() -> list[User]:
    wanted = Permission.objects.filter(INFORMED)
    held = Q(user_permissions__in=wanted) | Q(groups__permissions__in=wanted)
    return list(User.objects.filter(held, is_active=True).distinct().order_by("pk"))


def _write(incident: Incident, people: list[User], words: str, *, at: datetime) -> None:
    """One letter to each with an address; the timeline names who was written to, and who has none."""
    addresses = list({person.email.casefold(): person.email for person in people if person.email}.values())
    if addresses:
        subject = f"Please look at {incident.reference}"
        path = reverse("admin:incidents_incident_change", args=[incident.pk])
        letter = Letter(subject, (words,), BUTTON, f"{settings.SITE_URL}{path}")
        lane = f"discreet:{incident.reference}"
        outbox.write_to(addresses, letter, subject=subject, brand=incident.brand, lane=lane, at=at)
    if people:
        reached = sorted(named(person) for person in people if person.email)
        missed = sorted(named(person) for person in people if not person.email)
        timeline.record(incident, Verb.INFORMED, by=None, at=at, people=reached, missed=missed)
