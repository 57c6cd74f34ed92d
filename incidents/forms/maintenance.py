"""Forms of planned work: everything on one form to plan it, and one form for each act after (R-501)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Q
from django.utils.functional import cached_property

from incidents import maintenance, phrases
from incidents.models import Maintenance, Severity, UpdateTemplate
from notifications.models import Brand
from status import ledger
from status.enums import Level, Phase
from status.models import Component, Impact
from status.models.notices import Window

from . import levels as levels_
from .base import line, words
from .declaring import LATER, NOW
from .moments import Moment, not_before
from .telling import TellingForm
from .works import WorkForm, levels_in_force

#: Notice that R-501 asks for, and the quiet hours it suggests: 02:00 to 04:00 UTC.
NOTICE, QUIET_HOUR, USUAL = timedelta(days=7), 2, timedelta(hours=2)
MOVED = {
    "en": "The maintenance **{{issue}}** takes place at another time: from {{started}} until {{next_update}}.",
    "de": "Die Wartung **{{issue}}** wird verschoben. Beginn: {{started}}. Ende voraussichtlich: {{next_update}}.",
}
LONGER = {
    "en": "The maintenance **{{issue}}** takes longer than planned. We now plan to be done by {{next_update}}.",
    "de": "Die Wartung **{{issue}}** dauert länger als geplant. Sie endet voraussichtlich um {{next_update}}.",
}
#: Nothing to start from: an update on running work says what only a person knows.
BLANK = {"en": ""}


class PlanForm(WorkForm):
    """Everything about planned work on one form; announced at once unless it is kept inside."""

    title = line(
        "What is done, in one line",
        longest=120,
        error_messages={"required": "Give it a title: people quote it."},
        widget=forms.TextInput({"class": "title", "autocomplete": "off", "placeholder": "Upgrade of the database"}),
    )
    what_changes = words(
        "What changes", rows=3, longest=2000, error_messages={"required": "Say what changes: customers read it, too."}
    )
    rollback_plan = words(
        "The way back",
        rows=3,
        longest=2000,
        error_messages={"required": "Say how you go back if it goes wrong. Work without a way back is not planned."},
    )
    publish = forms.ChoiceField(
        choices=[(NOW, "Announce now"), (LATER, "Keep internal")], widget=forms.RadioSelect, label="Who may know"
    )

    def __init__(self, data: Any = None, *, at: datetime, may_announce: bool = True, **options: Any) -> None:
        self.offered = list(levels_in_force())
        self.brands = list(Brand.objects.order_by("-is_default", "name"))
        shown = Component.objects.shown().select_related("topic", "group__topic")
        self.components = levels_.in_order(shown)
        level, start = next(iter(self.offered), None), _next_quiet(at)
        options["initial"] = {
            "severity": level.pk if level else "",
            "brand": self.brands[0].pk if self.brands else None,
            "publish": NOW if may_announce else LATER,
            "planned_start_at": start,
            "planned_end_at": start + USUAL,
        } | (options.get("initial") or {})
        super().__init__(data, at=at, work=None, level=level, **options)
        self.fields["severity"] = _choice(self.offered, "Policy that says what is owed", required=bool(self.offered))
        self.fields["brand"] = _choice(self.brands, "Brand", required=True)
        self.fields["planned_start_at"] = Moment(now=at, ahead=True, label="Planned to start")
        self.fields["planned_end_at"] = Moment(now=at, ahead=True, label="Planned to end")
        self.fields["components"] = forms.TypedMultipleChoiceField(
            choices=[(str(component.pk), component.name) for component in self.components],
            coerce=lambda pk: next(one for one in self.components if str(one.pk) == pk),
            label="What goes under maintenance",
            error_messages={"required": "Choose at least one component: the page shows it as under maintenance."},
        )
        if not may_announce:
            self.fields["publish"].choices = [(LATER, "Keep internal")]  # type: ignore[attr-defined]  # ChoiceField
        self.order_fields(["title", "severity", "brand", "components", "planned_start_at", "planned_end_at"])

    @property
    def speaks(self) -> bool:
        return bool(self.known("publish") == NOW)

    @property
    def brand(self) -> Brand | None:
        found = self.known("brand")
        return found if isinstance(found, Brand) else next(iter(self.brands), None)

    @property
    def first_brand(self) -> Brand | None:
        return next(iter(self.brands), None)

    def find_templates(self, level: Severity | None) -> list[UpdateTemplate]:
        """Words of every policy and brand that can be chosen; those of the first policy first."""
        found = phrases.offered({one.version.policy_id for one in self.offered}, [self.phase])
        own = level.version.policy_id if level else None
        return sorted(found, key=lambda one: (one.policy_id != own, one.policy.name, one.position))

    @property
    def ranked(self) -> Severity | None:
        found = self.known("severity")
        return found if isinstance(found, Severity) else self.level

    @property
    def window(self) -> Window | None:
        start, end = self.known("planned_start_at"), self.known("planned_end_at")
        return (start, end) if start and end and start < end else None

    @property
    def concerned(self) -> list[Component]:
        return [one for one in self.known("components") or () if isinstance(one, Component)]

    @property
    def levels(self) -> Mapping[Component, Level]:
        return dict.fromkeys(self.concerned, Level.OPERATIONAL)

    @property
    def sections(self) -> list[tuple[str, list[tuple[Component, bool]]]]:
        """(heading, [(component, chosen)])."""
        chosen = {str(pk) for pk in self["components"].value() or ()}
        found: dict[str, list[tuple[Component, bool]]] = {}
        for one in self.components:
            found.setdefault(one.group.name if one.group else "", []).append((one, str(one.pk) in chosen))
        return list(found.items())

    @property
    def is_short(self) -> bool:
        """Whether it starts sooner than the notice of R-501: allowed, and seen."""
        return self.window is not None and self.window[0] - self.at < NOTICE

    def check_facts(self, cleaned: dict[str, Any]) -> None:
        check_window(self, cleaned)


class AnnounceForm(WorkForm):
    """Tell the public that it will come."""


class RescheduleForm(WorkForm):
    """Another window; in public where it was announced."""

    start = MOVED

    def __init__(self, data: Any = None, *, at: datetime, work: Maintenance, **options: Any) -> None:
        start = {"planned_start_at": work.planned_start_at, "planned_end_at": work.planned_end_at}
        super().__init__(data, at=at, work=work, initial=start, **options)
        self.fields["planned_start_at"] = Moment(now=at, ahead=True, label="Now planned to start")
        self.fields["planned_end_at"] = Moment(now=at, ahead=True, label="Now planned to end")

    @property
    def speaks(self) -> bool:
        return self.notice is not None

    @property
    def window(self) -> Window | None:
        start, end = TellingForm.known(self, "planned_start_at"), TellingForm.known(self, "planned_end_at")
        return (start, end) if start and end and start < end else None

    @property
    def started_at(self) -> datetime | None:
        return self.window[0] if self.window else None

    def check_facts(self, cleaned: dict[str, Any]) -> None:
        check_window(self, cleaned)
        assert self.work is not None
        if self.window == (self.work.planned_start_at, self.work.planned_end_at):
            self.add_error("planned_start_at", "This is the time it is planned for already. Change it, or go back.")


class BeginForm(WorkForm):
    """The work starts, and its components go under maintenance."""

    phase = Phase.IN_PROGRESS

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        """What an incident holds down stays as grave as it is."""
        now = ledger.levels(self.concerned)
        return {one: Level.gravest([now.get(one.pk, Level.MAINTENANCE), Level.MAINTENANCE]) for one in self.concerned}

    @property
    def started_at(self) -> datetime | None:
        return self.at


class WorkUpdateForm(WorkForm):
    """How the work goes."""

    start = BLANK

    def __init__(self, data: Any = None, *, at: datetime, work: Maintenance, **options: Any) -> None:
        now = work.notice.phase if work.notice else Phase.IN_PROGRESS
        super().__init__(data, at=at, work=work, initial={"phase": now}, **options)
        self.fields["phase"] = forms.ChoiceField(
            choices=[(phase.value, phase.label) for phase in maintenance.RUNNING_PHASES],
            label="Where it stands",
            widget=forms.RadioSelect,
            error_messages={"required": "Say where it stands."},
        )

    @property
    def said_phase(self) -> Phase:
        return Phase(self.known("phase") or Phase.IN_PROGRESS)


class ExtendForm(WorkForm):
    """It takes longer, and until when."""

    phase = Phase.IN_PROGRESS
    start = LONGER

    def __init__(self, data: Any = None, *, at: datetime, work: Maintenance, **options: Any) -> None:
        later = max(work.planned_end_at, at.replace(second=0, microsecond=0)) + timedelta(minutes=30)
        super().__init__(data, at=at, work=work, initial={"planned_end_at": later}, **options)
        self.fields["planned_end_at"] = Moment(now=at, ahead=True, label="Now planned to end")

    @property
    def window(self) -> Window | None:
        assert self.work is not None
        end = TellingForm.known(self, "planned_end_at")
        return (self.work.planned_start_at, end or self.work.planned_end_at)

    def check_facts(self, cleaned: dict[str, Any]) -> None:
        assert self.work is not None
        end, planned = cleaned.get("planned_end_at"), self.work.planned_end_at
        if end and end <= self.at:
            self.add_error("planned_end_at", "This is in the past. Say when it will be done.")
        elif end and end <= planned:
            words_ = f"It was planned to end at {planned:%H:%M} UTC already. Say a later time, or finish it."
            self.add_error("planned_end_at", words_)


class FinishForm(WorkForm):
    """It is done: components come back."""

    phase = Phase.COMPLETED
    ends = True

    def __init__(self, data: Any = None, *, at: datetime, work: Maintenance, **options: Any) -> None:
        super().__init__(data, at=at, work=work, initial={"ended_at": at}, **options)
        self.fields["ended_at"] = Moment(now=at, label="When did it end?")

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        """What is left when the work lets go: an incident may hold a component down still."""
        assert self.work is not None
        others = Impact.objects.open().real().filter(~Q(source=self.work.source), component__in=self.concerned)
        left: dict[int, list[str]] = {}
        for component, level in others.values_list("component_id", "level"):
            left.setdefault(component, []).append(level)
        return {component: Level.gravest(left.get(component.pk, [])) for component in self.concerned}

    def check_facts(self, cleaned: dict[str, Any]) -> None:
        ended, began = cleaned.get("ended_at"), self.work.began_at if self.work else None
        if ended is None or began is None:
            return
        cleaned["ended_at"] = not_before(ended, began)
        if ended > self.at:
            self.add_error("ended_at", "This lies in the future.")
        elif cleaned["ended_at"] < began:
            self.add_error("ended_at", f"This is before the work began ({began:%Y-%m-%d %H:%M} UTC).")


class CancelForm(WorkForm):
    """It will not happen; in public where it was announced."""

    phase = Phase.CANCELLED
    ends = True

    def __init__(self, data: Any = None, *, at: datetime, work: Maintenance, **options: Any) -> None:
        super().__init__(data, at=at, work=work, **options)
        if not self.speaks:
            self.fields["body"].label = "Why? Only colleagues read this."
            self.initial.update(dict.fromkeys(self.starts[0], ""))

    @property
    def speaks(self) -> bool:
        return self.notice is not None

    def check_facts(self, cleaned: dict[str, Any]) -> None:
        if not self.speaks and "body" in cleaned and not cleaned["body"].strip():
            self.add_error("body", "Say why: the record keeps it.")


def check_window(form: forms.Form, cleaned: Mapping[str, Any]) -> None:
    start, end = cleaned.get("planned_start_at"), cleaned.get("planned_end_at")
    assert isinstance(form, WorkForm)
    if start and start <= form.at:
        form.add_error("planned_start_at", "This is in the past. Planned work lies ahead.")
    if start and end and end <= start:
        form.add_error("planned_end_at", "This is not after the start. Check both times.")


def _choice(rows: list[Any], label: str, *, required: bool) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        choices=[(row.pk, str(row)) for row in rows],
        coerce=lambda value: next(row for row in rows if str(row.pk) == str(value)),
        empty_value=None,
        required=required,
        label=label,
        error_messages={"required": f"{label}: nothing is set up yet, add one first."},
    )


def _next_quiet(at: datetime) -> datetime:
    """The first quiet hour that gives the notice of R-501."""
    first = (at + NOTICE).replace(hour=QUIET_HOUR, minute=0, second=0, microsecond=0)
    return first if first >= at + NOTICE else first + timedelta(days=1)
