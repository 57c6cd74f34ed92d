"""What an operator may say about planned work: each act with its form, its permission and its moment (R-501)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from incidents import maintenance
from incidents.admin.deeds import DECLARE, PUBLISH
from incidents.enums import DutyKind, MaintenanceState
from incidents.forms import maintenance as forms
from incidents.forms.works import WorkForm
from incidents.models import Maintenance, Obligation

PLANNED, IN_PROGRESS = MaintenanceState.PLANNED, MaintenanceState.IN_PROGRESS
#: Colours of a state, as the console names them.
STATE_COLOURS = {
    PLANNED: "blue",
    IN_PROGRESS: "blue",
    MaintenanceState.COMPLETED: "green",
    MaintenanceState.CANCELLED: "grey",
}


@dataclass(frozen=True)
class Work:
    """``act`` raises what ``incidents.maintenance`` raises. ``when`` is asked before the act is offered."""

    slug: str
    label: str
    #: What the button of its form says.
    button: str
    lead: str
    form: type[WorkForm]
    act: Callable[[Any, Maintenance, User, datetime], object]
    when: Callable[[Maintenance], bool]
    icon: str
    done: str
    #: Whether it says something in public only where the work was announced.
    quiet_inside: bool = False

    def permission(self, work: Maintenance) -> str:
        """Public words need the right to publish; what stays inside is for whoever may plan."""
        return DECLARE if self.quiet_inside and work.notice_id is None else PUBLISH

    def offered(self, work: Maintenance, user: User) -> bool:
        return self.when(work) and user.has_perm(self.permission(work))


def meeting(owed: Obligation, user: User) -> Work | None:
    """The act that meets what planned work owes, if it is offered to this user now."""
    found = WORKS.get(MEETS.get(DutyKind(owed.kind), ""))
    return found if found and owed.maintenance and found.offered(owed.maintenance, user) else None


def offered(work: Maintenance, user: User) -> list[Work]:
    """The buttons of its screen, for this user and this state."""
    return [found for found in WORKS.values() if found.offered(work, user)]


def _told(form: WorkForm) -> dict[str, Any]:
    return {"channels": form.channels, "ask": form.ask}


def _announce(form: forms.AnnounceForm, work: Maintenance, by: User, at: datetime) -> object:
    return maintenance.announce(work, form.draft(), by=by, at=at, **_told(form))


def _reschedule(form: forms.RescheduleForm, work: Maintenance, by: User, at: datetime) -> object:
    start, end = form.cleaned_data["planned_start_at"], form.cleaned_data["planned_end_at"]
    draft = form.draft() if form.speaks else None
    return maintenance.reschedule(work, start, end, draft=draft, by=by, at=at, **_told(form))


def _begin(form: forms.BeginForm, work: Maintenance, by: User, at: datetime) -> object:
    return maintenance.begin(work, form.draft(), by=by, at=at, **_told(form))


def _update(form: forms.WorkUpdateForm, work: Maintenance, by: User, at: datetime) -> object:
    return maintenance.post_update(work, form.draft(), by=by, at=at, **_told(form))


def _extend(form: forms.ExtendForm, work: Maintenance, by: User, at: datetime) -> object:
    return maintenance.extend(work, form.cleaned_data["planned_end_at"], form.draft(), by=by, at=at, **_told(form))


def _finish(form: forms.FinishForm, work: Maintenance, by: User, at: datetime) -> object:
    ended_at = form.cleaned_data["ended_at"]
    return maintenance.finish(work, form.draft(), by=by, at=at, ended_at=ended_at, **_told(form))


def _cancel(form: forms.CancelForm, work: Maintenance, by: User, at: datetime) -> object:
    draft = form.draft()
    told = _told(form) | {"sms": draft.sms, "chat": draft.chat, "translations": draft.translations}
    return maintenance.cancel(work, body=draft.body, by=by, at=at, **told)


def _is_planned(work: Maintenance) -> bool:
    return work.state == PLANNED


def _is_running(work: Maintenance) -> bool:
    return work.state == IN_PROGRESS


#: By slug, in the order in which they are offered.
WORKS: dict[str, Work] = {
    work.slug: work
    for work in (
        Work(
            "announce",
            "Announce",
            "Announce it",
            "Customers read that it will come, and when. No component changes yet.",
            forms.AnnounceForm,
            _announce,
            lambda work: work.state == PLANNED and work.notice_id is None,
            "campaign",
            "Announced.",
        ),
        Work(
            "begin",
            "Begin",
            "Begin now",
            "The work starts: the page shows its components under maintenance, and customers are told.",
            forms.BeginForm,
            _begin,
            _is_planned,
            "play_arrow",
            "It has begun.",
        ),
        Work(
            "update",
            "Post update",
            "Publish update",
            "Tell customers how the work goes.",
            forms.WorkUpdateForm,
            _update,
            _is_running,
            "campaign",
            "The update is public.",
        ),
        Work(
            "extend",
            "Extend",
            "Extend it",
            "It takes longer. Customers are told until when.",
            forms.ExtendForm,
            _extend,
            _is_running,
            "more_time",
            "Extended.",
        ),
        Work(
            "finish",
            "Finish",
            "Finish it",
            "The work is done. Components come back unless an incident holds them down.",
            forms.FinishForm,
            _finish,
            _is_running,
            "check_circle",
            "Finished.",
        ),
        Work(
            "reschedule",
            "Reschedule",
            "Move it",
            "Another time. What is owed moves with it.",
            forms.RescheduleForm,
            _reschedule,
            _is_planned,
            "event_repeat",
            "Rescheduled.",
            quiet_inside=True,
        ),
        Work(
            "cancel",
            "Cancel",
            "Cancel the maintenance",
            "It will not happen. This cannot be undone: plan it anew instead.",
            forms.CancelForm,
            _cancel,
            _is_planned,
            "event_busy",
            "Cancelled.",
            quiet_inside=True,
        ),
    )
}

#: Which act meets what is owed.
MEETS = {
    DutyKind.MAINTENANCE_NOTICE: "announce",
    DutyKind.START_UPDATE: "begin",
    DutyKind.END_UPDATE: "finish",
    DutyKind.RESOLVE: "finish",
}
