"""What is owed, settled by a person's word (R-301): said where it is shown, without a button of its own."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User

from incidents import lifecycle
from incidents.enums import DutyKind, State
from incidents.forms.owing import MetForm, WaiveForm
from incidents.models import Incident

from .deed import COMMAND, Deed


def _waive(form: WaiveForm, incident: Incident, by: User, at: datetime) -> object:
    known = form.cleaned_data
    return lifecycle.waive(incident, known["obligation"], reason=known["reason"], by=by, at=at, ask=form.ask)


def _met(form: MetForm, incident: Incident, by: User, at: datetime) -> object:
    known = form.cleaned_data
    kind = DutyKind(known["obligation"].kind)
    return lifecycle.mark_met(incident, kind, words=known["words"], by=by, at=at, ask=form.ask)


def _may_owe(incident: Incident) -> bool:
    return incident.state not in (State.FALSE_ALARM, State.MERGED)


OWING = (
    Deed(
        "met",
        "Mark as done",
        "It is done",
        "For what this console cannot see by itself: somebody was called, met or written to.",
        COMMAND,
        MetForm,
        _met,
        _may_owe,
        "task_alt",
        "Written down as done.",
        listed=False,
        starts=("obligation",),
    ),
    Deed(
        "waive",
        "Waive",
        "Waive it",
        "It need not be done. What was broken before stays broken; what is owed again and again is owed "
        "again after the next update.",
        COMMAND,
        WaiveForm,
        _waive,
        _may_owe,
        "event_busy",
        "Waived. The timeline keeps the reason.",
        listed=False,
        starts=("obligation",),
    ),
)
