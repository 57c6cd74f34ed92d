"""What an operator may say about an incident: each act with its form, its permission and its moment.

The console offers acts, not fields (design.md, habit 10): nothing here decides about incidents,
``incidents.lifecycle`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from incidents import forms, lifecycle
from incidents.enums import OPEN, DutyKind, State
from incidents.lifecycle import MOVES
from incidents.models import Incident, Obligation

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

    def offered(self, incident: Incident, user: User) -> bool:
        return self.when(incident) and user.has_perm(self.permission)

    def label_for(self, incident: Incident) -> str:
        if self.slug == "update" and incident.notice_id is None:
            return "Go public"
        return self.label


def _may_become(state: State) -> Callable[[Incident], bool]:
    return lambda incident: state in MOVES[State(incident.state)]


def _is_open(incident: Incident) -> bool:
    return incident.state in OPEN


def _is_public(incident: Incident) -> bool:
    return incident.notice_id is not None and incident.state != State.FALSE_ALARM


def _is_over(incident: Incident) -> bool:
    return incident.state in (State.RESOLVED, State.CLOSED)


def _acknowledge(form: forms.AcknowledgeForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.acknowledge(incident, by=by, at=at, ask=form.ask)


def _update(form: forms.UpdateForm, incident: Incident, by: User, at: datetime) -> object:
    draft, levels, channels = form.draft(), form.changes, form.channels
    return lifecycle.post_update(
        incident, draft, levels=levels, by=by, at=at, channels=channels, letter=form.letter, ask=form.ask
    )


def _correct(form: forms.CorrectForm, incident: Incident, by: User, at: datetime) -> object:
    body, channels = form.cleaned_data["body"], form.channels
    return lifecycle.correct_update(
        incident, form.update, body, by=by, at=at, channels=channels, writes=form.asks_to_write, ask=form.ask
    )


def _note(form: forms.NoteForm, incident: Incident, by: User, at: datetime) -> object:
    words, happened_at = form.cleaned_data["words"], form.cleaned_data["happened_at"]
    return lifecycle.note(incident, words, by=by, at=at, happened_at=happened_at, ask=form.ask)


def _severity(form: forms.SeverityForm, incident: Incident, by: User, at: datetime) -> object:
    level, reason = form.cleaned_data["severity"], form.cleaned_data["reason"]
    return lifecycle.change_severity(incident, level, reason=reason, by=by, at=at, ask=form.ask)


def _mitigate(form: forms.MitigateForm, incident: Incident, by: User, at: datetime) -> object:
    words, happened_at = form.cleaned_data["words"], form.cleaned_data["happened_at"]
    return lifecycle.mitigate(incident, words=words, by=by, at=at, happened_at=happened_at, ask=form.ask)


def _resolve(form: forms.ResolveForm, incident: Incident, by: User, at: datetime) -> object:
    draft = form.draft()
    return lifecycle.resolve(
        incident,
        body=draft.body,
        sms=draft.sms,
        by=by,
        at=at,
        ended_at=form.cleaned_data["ended_at"],
        channels=form.channels,
        letter=form.letter,
        ask=form.ask,
    )


def _reopen(form: forms.ReopenForm, incident: Incident, by: User, at: datetime) -> object:
    draft, levels, channels = form.draft(), form.changes, form.channels
    return lifecycle.reopen(
        incident, draft, levels=levels, by=by, at=at, channels=channels, letter=form.letter, ask=form.ask
    )


def _false_alarm(form: forms.FalseAlarmForm, incident: Incident, by: User, at: datetime) -> object:
    body, channels = form.cleaned_data["body"], form.channels
    letter, ask = form.letter, form.ask
    return lifecycle.mark_false_alarm(incident, body=body, by=by, at=at, channels=channels, letter=letter, ask=ask)


def _close(form: forms.CloseForm, incident: Incident, by: User, at: datetime) -> object:
    return lifecycle.close(incident, words=form.cleaned_data["words"], by=by, at=at, ask=form.ask)


#: In the order in which they are offered.
DEEDS: dict[str, Deed] = {
    deed.slug: deed
    for deed in (
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
            _is_open,
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
            _is_open,
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
            _may_become(State.MITIGATED),
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
            _may_become(State.RESOLVED),
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
            _is_over,
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
            _may_become(State.CLOSED),
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
            _may_become(State.FALSE_ALARM),
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
            _is_public,
            "ink_eraser",
            "Corrected.",
        ),
    )
}


#: Which act meets what is owed.
MEETS = {
    DutyKind.RESPOND: "acknowledge",
    DutyKind.FIRST_UPDATE: "update",
    DutyKind.PUBLIC_UPDATE: "update",
    DutyKind.INTERNAL_UPDATE: "note",
    DutyKind.RESOLVE: "resolve",
}


def meeting(owed: Obligation, user: User) -> Deed | None:
    """The act that meets what is owed, if it is offered to this user now."""
    deed = DEEDS.get(MEETS.get(DutyKind(owed.kind), ""))
    return deed if deed and deed.offered(owed.incident, user) else None


def offered(incident: Incident, user: User) -> list[Deed]:
    """The buttons of the incident's screen, for this user and this state."""
    return [deed for deed in DEEDS.values() if deed.slug != "correct" and deed.offered(incident, user)]
