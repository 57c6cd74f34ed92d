"""What is written down, looked at and tried: said in place, without a button of its own (R-205, R-208)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User

from incidents import forms, lifecycle
from incidents.models import Incident

from .deed import PUBLISH, Deed, is_open


def _quick(form: forms.QuickForm, incident: Incident, by: User, at: datetime) -> object:
    said = form.said
    return lifecycle.note(
        incident, said.words, by=by, at=at, happened_at=said.happened_at, decision=said.is_decision, ask=form.ask
    )


def _check(form: forms.CheckForm, incident: Incident, by: User, at: datetime) -> object:
    known = form.cleaned_data
    return lifecycle.check(
        incident, known["step"], done=known["done"], words=known["words"], by=by, at=at, ask=form.ask
    )


def _try(form: forms.TryForm, incident: Incident, by: User, at: datetime) -> object:
    known = form.cleaned_data
    return lifecycle.try_mitigation(
        incident,
        known["step"],
        worked=known["worked"],
        words=known["words"],
        by=by,
        at=at,
        happened_at=known["happened_at"],
        ask=form.ask,
    )


def _correct_note(form: forms.CorrectNoteForm, incident: Incident, by: User, at: datetime) -> object:
    assert form.noted is not None
    return lifecycle.correct_note(incident, form.noted, form.cleaned_data["words"], by=by, at=at, ask=form.ask)


WORKING = (
    Deed(
        "quick",
        "Write down",
        "Write down",
        "One line for colleagues. It never leaves this console.",
        PUBLISH,
        forms.QuickForm,
        _quick,
        lambda incident: True,
        "bolt",
        "Noted.",
        listed=False,
    ),
    Deed(
        "check",
        "Checklist",
        "Save",
        "What was looked at. The timeline keeps each tick.",
        PUBLISH,
        forms.CheckForm,
        _check,
        is_open,
        "checklist",
        "Written down.",
        listed=False,
        starts=("step",),
    ),
    Deed(
        "try",
        "Mitigation",
        "Save",
        "What was tried against it, and whether it helped.",
        PUBLISH,
        forms.TryForm,
        _try,
        is_open,
        "healing",
        "Written down.",
        listed=False,
        starts=("step",),
    ),
    Deed(
        "correct-note",
        "Correct a note",
        "Save the correction",
        "The old words stay in the timeline; the new ones point at them.",
        PUBLISH,
        forms.CorrectNoteForm,
        _correct_note,
        lambda incident: True,
        "ink_eraser",
        "Corrected.",
        listed=False,
        starts=("entry",),
    ),
)
