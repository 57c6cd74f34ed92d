"""The course of an incident: from acknowledging to closing (R-201)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User

from incidents import forms, lifecycle
from incidents.enums import State
from incidents.models import Incident

from .deed import COMMAND, PUBLISH, Deed, is_open, is_over, is_public, may_become


def _acknowledge(form: forms.AcknowledgeForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.acknowledge(incident, by=by, at=at, ask=form.ask)


def _update(form: forms.UpdateForm, incident: Incident, by: User, at: datetime) -> object:
    draft, levels, channels = form.draft(), form.changes, form.channels
    return lifecycle.post_update(
        incident,
        draft,
        levels=levels,
        by=by,
        at=at,
        channels=channels,
        letter=form.letter,
        override=form.excuse,
        ask=form.ask,
    )


def _correct(form: forms.CorrectForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.correct_update(
        incident,
        form.update,
        form.cleaned_data["body"],
        by=by,
        at=at,
        channels=form.channels,
        writes=form.asks_to_write,
        translations=form.translations,
        ask=form.ask,
    )


def _note(form: forms.NoteForm, incident: Incident, by: User, at: datetime) -> object:
    known = form.cleaned_data
    return lifecycle.note(
        incident,
        known["words"],
        by=by,
        at=at,
        happened_at=known["happened_at"],
        decision=known["decision"],
        ask=form.ask,
    )


def _severity(form: forms.SeverityForm, incident: Incident, by: User, at: datetime) -> object:
    level, reason = form.cleaned_data["severity"], form.cleaned_data["reason"]
    return lifecycle.change_severity(incident, level, reason=reason, by=by, at=at, override=form.excuse, ask=form.ask)


def _mitigate(form: forms.MitigateForm, incident: Incident, by: User, at: datetime) -> object:
    words, happened_at = form.cleaned_data["words"], form.cleaned_data["happened_at"]
    return lifecycle.mitigate(incident, words=words, by=by, at=at, happened_at=happened_at, ask=form.ask)


def _resolve(form: forms.ResolveForm, incident: Incident, by: User, at: datetime) -> object:
    draft = form.draft()
    return lifecycle.resolve(
        incident,
        body=draft.body,
        sms=draft.sms,
        chat=draft.chat,
        translations=draft.translations,
        by=by,
        at=at,
        ended_at=form.cleaned_data["ended_at"],
        channels=form.channels,
        letter=form.letter,
        findings=form.findings,
        override=form.excuse,
        ask=form.ask,
    )


def _reopen(form: forms.ReopenForm, incident: Incident, by: User, at: datetime) -> object:
    draft, levels, channels = form.draft(), form.changes, form.channels
    return lifecycle.reopen(
        incident,
        draft,
        levels=levels,
        by=by,
        at=at,
        channels=channels,
        letter=form.letter,
        override=form.excuse,
        ask=form.ask,
    )


def _false_alarm(form: forms.FalseAlarmForm, incident: Incident, by: User, at: datetime) -> object:
    draft = form.draft()
    return lifecycle.mark_false_alarm(
        incident,
        body=draft.body,
        translations=draft.translations,
        channels=form.channels,
        letter=form.letter,
        by=by,
        at=at,
        ask=form.ask,
    )


def _close(form: forms.CloseForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.close(incident, words=form.cleaned_data["words"], by=by, at=at, ask=form.ask)


#: In the order in which they are offered.
COURSE = (
    Deed(
        "acknowledge",
        "Acknowledge",
        "Acknowledge",
        "Say that somebody is working on it. Only colleagues see this.",
        PUBLISH,
        forms.AcknowledgeForm,
        _acknowledge,
        lambda incident: incident.state == State.DECLARED,
        "front_hand",
        "Acknowledged. It is yours now.",
    ),
    Deed(
        "update",
        "Post update",
        "Publish update",
        "Tell customers where it stands, set the components, promise the next word.",
        PUBLISH,
        forms.UpdateForm,
        _update,
        is_open,
        "campaign",
        "The update is public.",
    ),
    Deed(
        "note",
        "Add note",
        "Save note",
        "For colleagues only. It never leaves this console.",
        PUBLISH,
        forms.NoteForm,
        _note,
        lambda incident: True,
        "edit_note",
        "Noted.",
    ),
    Deed(
        "severity",
        "Change severity",
        "Show what would change",
        "Choose the level. Before anything changes you see what it does to the clocks.",
        COMMAND,
        forms.SeverityForm,
        _severity,
        is_open,
        "swap_vert",
        "The severity is changed, and the clocks are planned anew.",
    ),
    Deed(
        "mitigate",
        "Mitigated",
        "It is mitigated",
        "Customers no longer suffer; the cause may still be there. Only colleagues see this: "
        "to tell customers, post an update with “Monitoring”.",
        PUBLISH,
        forms.MitigateForm,
        _mitigate,
        may_become(State.MITIGATED),
        "healing",
        "Mitigated.",
    ),
    Deed(
        "resolve",
        "Resolve",
        "Resolve",
        "Say that it is over. Components come back unless another incident holds them down.",
        COMMAND,
        forms.ResolveForm,
        _resolve,
        may_become(State.RESOLVED),
        "check_circle",
        "Resolved. What is owed afterwards is below.",
    ),
    Deed(
        "reopen",
        "Reopen",
        "Reopen",
        "It is back: same incident, same public page.",
        COMMAND,
        forms.ReopenForm,
        _reopen,
        is_over,
        "undo",
        "Reopened.",
    ),
    Deed(
        "close",
        "Close",
        "Close",
        "Nothing is left to do about it.",
        COMMAND,
        forms.CloseForm,
        _close,
        may_become(State.CLOSED),
        "inventory_2",
        "Closed.",
    ),
    Deed(
        "false-alarm",
        "False alarm",
        "It was a false alarm",
        "Nothing was wrong. Those who were told are told so, and no figure counts it. This cannot be undone.",
        COMMAND,
        forms.FalseAlarmForm,
        _false_alarm,
        may_become(State.FALSE_ALARM),
        "notifications_off",
        "Marked as a false alarm. Its page stays and says so.",
    ),
    Deed(
        "correct",
        "Correct",
        "Publish the correction",
        "The page shows the new words at the place of the old ones, marked as corrected. "
        "The old words stay in the timeline.",
        PUBLISH,
        forms.CorrectForm,
        _correct,
        is_public,
        "ink_eraser",
        "Corrected.",
        listed=False,
    ),
)
