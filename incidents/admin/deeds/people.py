"""People of an incident: who has which role, and who may know of it (R-204, R-213)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User

from incidents import lifecycle
from incidents.enums import UNCOUNTED, Role
from incidents.forms import people, restricting
from incidents.models import Incident

from .deed import COMMAND, PUBLISH, Deed, is_open


def _assign(form: people.AssignForm, incident: Incident, by: User, at: datetime) -> object:
    role, person = Role(form.cleaned_data["role"]), form.cleaned_data["person"]
    return lifecycle.assign(incident, role, person, by=by, at=at, ask=form.ask)


def _hand_over(form: people.HandOverForm, incident: Incident, by: User, at: datetime) -> object:
    to, words = form.cleaned_data["to"], form.cleaned_data["words"]
    return lifecycle.hand_over(incident, to, words=words, by=by, at=at, ask=form.ask)


def _restrict(form: restricting.RestrictForm, incident: Incident, by: User, at: datetime) -> object:
    known = form.cleaned_data
    title, named, reason = known["public_title"], known["people"], known["reason"]
    return lifecycle.restrict(incident, public_title=title, people=named, reason=reason, by=by, at=at, ask=form.ask)


def _lift(form: restricting.LiftForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.lift(incident, reason=form.cleaned_data["reason"], by=by, at=at, ask=form.ask)


def _admit(form: restricting.AdmitForm, incident: Incident, by: User, at: datetime) -> object:
    person, reason = form.cleaned_data["person"], form.cleaned_data["reason"]
    return lifecycle.admit(incident, person, reason=reason, by=by, at=at, ask=form.ask)


def _needs_people(incident: Incident) -> bool:
    return incident.state not in UNCOUNTED


#: In the order in which they are offered.
PEOPLE = (
    Deed(
        "assign",
        "Roles",
        "Save the role",
        "Who does what. Whoever had the role before has it no more.",
        PUBLISH,
        people.AssignForm,
        _assign,
        _needs_people,
        "group",
        "The role is changed.",
        group="people",
        starts=("role",),
    ),
    Deed(
        "hand-over",
        "Hand over command",
        "Hand over",
        "From one commander to the next. The timeline keeps what you say here.",
        PUBLISH,
        people.HandOverForm,
        _hand_over,
        is_open,
        "handshake",
        "The command is handed over.",
        group="people",
    ),
    Deed(
        "restrict",
        "Restrict",
        "Restrict it",
        "A security incident: only people who are named may know of it. Legal and the CISO are informed at once.",
        COMMAND,
        restricting.RestrictForm,
        _restrict,
        lambda incident: not incident.is_restricted and _needs_people(incident),
        "lock",
        "Restricted. Only those who are named know of it.",
        group="people",
    ),
    Deed(
        "admit",
        "Let somebody in",
        "Let in",
        "They may read everything about it from now on.",
        COMMAND,
        restricting.AdmitForm,
        _admit,
        lambda incident: incident.is_restricted,
        "person_add",
        "They may know of it now.",
        group="people",
    ),
    Deed(
        "lift",
        "Lift the restriction",
        "Lift it",
        "Every colleague may read all of it again, its whole timeline too.",
        COMMAND,
        restricting.LiftForm,
        _lift,
        lambda incident: incident.is_restricted,
        "lock_open",
        "Every colleague may know of it now.",
        group="people",
    ),
)
