"""What was found out, and when it really happened (R-103, R-1302)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from django import forms

from incidents import clock, marks
from incidents.enums import Cause, Condition
from incidents.lifecycle import Findings, changed_marks, misplaced
from incidents.models import Incident, Severity

from .base import ActForm, words
from .moments import Moment, not_before

#: Questions that only people can answer, by the condition of a duty that asks for the answer.
ASKED = {Condition.CUSTOMERS_HIT: "customers_hit", Condition.SIGNIFICANT: "is_significant"}
_LABELS = {"customers_hit": "Were customers hit?", "is_significant": "Was the impact significant?"}
_ANSWERS = {"yes": True, "no": False}
_WORDS = {True: "yes", False: "no", None: ""}
UNKNOWN = "Not known yet"


def asked_by(severity: Severity) -> list[str]:
    """The questions whose answers decide what is owed afterwards; their duties are loaded."""
    wanted = {duty.condition for duty in severity.duties.all() if duty.kind in clock.AFTERWARDS}
    return [name for condition, name in ASKED.items() if condition in wanted]


class Asking(forms.Form):
    """A form that asks what was found out: call ``ask_findings`` in its ``__init__``."""

    asked: tuple[str, ...] = ()

    def ask_findings(self, incident: Incident, names: Collection[str]) -> None:
        """The cause always, the others where ``names`` has them."""
        self.before = Findings.of(incident)
        self.asked = ("cause", *names)
        self.fields["cause"] = forms.ChoiceField(
            choices=[("", UNKNOWN), *Cause.choices], required=False, label="Kind of cause", initial=self.before.cause
        )
        for name in names:
            self.fields[name] = forms.TypedChoiceField(
                choices=[("yes", "Yes"), ("no", "No"), ("", UNKNOWN)],
                coerce=_ANSWERS.get,
                empty_value=None,
                required=False,
                label=_LABELS[name],
                widget=forms.RadioSelect,
                initial=_WORDS[getattr(self.before, name)],
            )

    @property
    def findings(self) -> Findings:
        """What is known now; what was not asked stays as it was. Call on a valid form only."""
        return replace(self.before, **{name: self.cleaned_data[name] for name in self.asked})

    def answers(self) -> list[forms.BoundField]:
        return [self[name] for name in self.asked if name != "cause"]


class FindingForm(Asking, ActForm):
    """What was found out: it decides whether a post-mortem is owed, and finds repeats (R-103)."""

    part = "admin/incidents/incident/findings.html"

    review_asked = forms.BooleanField(required=False, label="A customer asked for a post-mortem")

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        start = {"review_asked": incident.review_asked_at is not None}
        super().__init__(data, at=at, incident=incident, initial=start, **options)
        self.ask_findings(incident, list(_LABELS))

    @property
    def findings(self) -> Findings:
        return replace(super().findings, review_asked=self.cleaned_data["review_asked"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and self.findings == self.before:
            self.add_error("cause", "All of this is noted already. Change something, or go back.")
        return cleaned


class TimesForm(ActForm):
    """When it really happened: only marks that are there, each to the minute (R-1302)."""

    part = "admin/incidents/incident/times.html"

    reason = words(
        "How do you know?",
        rows=2,
        longest=1000,
        error_messages={"required": "Say how you know: the timeline keeps it."},
    )

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        self.there = {mark: moment for mark in marks.HAPPENED if (moment := getattr(incident, mark))}
        super().__init__(data, at=at, incident=incident, initial=self.there, **options)
        for mark in self.there:
            self.fields[mark] = Moment(now=at, label=marks.HAPPENED[mark], required=False)
        self.marks = [(mark, self[mark.name]) for mark in marks.of(incident) if mark.name in self.there]

    @property
    def given(self) -> dict[str, datetime | None]:
        """What was typed, by mark; None where it was left as it is, to the minute."""
        assert self.incident is not None
        typed = {mark: self.cleaned_data.get(mark) for mark in self.there}
        moved = {
            mark: None if moment is None or moment == to_the_minute(self.there[mark]) else moment
            for mark, moment in typed.items()
        }
        began = moved["started_at"] or self.incident.started_at
        return {mark: moment and not_before(moment, began) for mark, moment in moved.items()}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        assert self.incident is not None
        if any(mark in self.errors for mark in self.there):
            return cleaned
        wrong = misplaced(self.incident, self.given, self.at)
        for mark, told in wrong.items():
            self.add_error(mark if mark in self.fields else None, told)
        if not wrong and not changed_marks(self.incident, self.given):
            self.add_error(next(iter(self.there)), "These are its times already. Change one, or go back.")
        return cleaned


def to_the_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
