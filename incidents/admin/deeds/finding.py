"""What was found out: whether the fix works, what it was, when it really happened (R-214, R-103, R-1302)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from django.contrib.auth.models import User

from incidents import forms, lifecycle
from incidents.enums import UNCOUNTED, State
from incidents.models import Incident

from .deed import COMMAND, PUBLISH, Deed


def _verify(form: forms.VerifyForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.verify(incident, words=form.cleaned_data["words"], by=by, at=at, ask=form.ask)


def _judge(form: forms.FindingForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.judge(incident, **asdict(form.findings), by=by, at=at, ask=form.ask)


def _times(form: forms.TimesForm, incident: Incident, by: User, at: datetime) -> object:
    reason = form.cleaned_data["reason"]
    return lifecycle.correct_times(incident, **form.given, reason=reason, by=by, at=at, ask=form.ask)


def _counts(incident: Incident) -> bool:
    return incident.state not in UNCOUNTED


FINDING = (
    Deed(
        "verify",
        "Fix verified",
        "The fix works",
        "Somebody saw that it works. Where the policy asks for a watch, it begins now. Only colleagues see this.",
        PUBLISH,
        forms.VerifyForm,
        _verify,
        lambda incident: incident.state == State.MITIGATED,
        "verified",
        "Verified.",
    ),
    Deed(
        "findings",
        "Findings",
        "Save findings",
        "What caused it, and whom it hit. It decides whether a post-mortem is owed.",
        COMMAND,
        forms.FindingForm,
        _judge,
        _counts,
        "search_insights",
        "Noted. What is owed follows.",
        group="findings",
    ),
    Deed(
        "times",
        "Correct times",
        "Correct the times",
        "When it really happened. The timeline keeps the old times with the reason.",
        COMMAND,
        forms.TimesForm,
        _times,
        _counts,
        "history_toggle_off",
        "The times are corrected.",
        group="findings",
    ),
)
