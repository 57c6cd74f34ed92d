"""What an act is to the console: its form, its permission and its moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from incidents import forms
from incidents.enums import OPEN, State
from incidents.lifecycle import MOVES
from incidents.models import Incident

DECLARE, PUBLISH, COMMAND = "incidents.declare", "incidents.publish", "incidents.command"


@dataclass(frozen=True)
class Deed:
    """``act`` raises what ``lifecycle`` raises. ``when`` is asked before the act is offered."""

    slug: str
    label: str
    #: What the button of its form says.
    button: str
    lead: str
    permission: str
    form: type[forms.ActForm]
    act: Callable[[Any, Incident, User, datetime], object]
    when: Callable[[Incident], bool]
    icon: str
    done: str
    #: Under which heading it is shown: "" for the course of the incident, "people", "links".
    group: str = ""
    #: Whether it has a button of its own; others are reached from what they are about.
    listed: bool = True
    #: Fields that its address may fill in: ``?role=scribe``.
    starts: tuple[str, ...] = ()

    def offered(self, incident: Incident, user: User) -> bool:
        return self.when(incident) and user.has_perm(self.permission)

    @property
    def is_short(self) -> bool:
        """Whether its form fits into a dialog: it says nothing in public, so there is nothing to preview."""
        return not issubclass(self.form, forms.TellingForm)

    def label_for(self, incident: Incident) -> str:
        if self.slug == "update" and incident.notice_id is None:
            return "Go public"
        return self.label


def may_become(state: State) -> Callable[[Incident], bool]:
    return lambda incident: state in MOVES[State(incident.state)]


def is_open(incident: Incident) -> bool:
    return incident.state in OPEN


def is_public(incident: Incident) -> bool:
    return incident.notice_id is not None and incident.state != State.FALSE_ALARM


def is_over(incident: Incident) -> bool:
    return incident.state in (State.RESOLVED, State.CLOSED)
