"""What is written down, looked at and tried while an incident is worked on (R-205, R-208)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from incidents import working
from incidents.enums import StepKind
from incidents.lifecycle import may_be_reworded
from incidents.models import Incident, RunbookStep, TimelineEntry
from incidents.working import Quick

from .acts import check_happened
from .base import LONGEST, ActForm, line, words
from .moments import Moment

GONE = "This line is not in the runbook any more."
_ANSWERS = {"yes": True, "no": False}


class NoteForm(ActForm):
    """A note for colleagues; it may be about something that happened before."""

    words = words("Note for colleagues", rows=6, error_messages={"required": "Write the note."})
    decision = forms.BooleanField(required=False, label="This was a decision")

    def __init__(self, data: Any = None, *, at: datetime, **options: Any) -> None:
        super().__init__(data, at=at, **options)
        self.fields["happened_at"] = Moment(now=at, required=False, label="It happened at")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("happened_at") and cleaned["happened_at"] > self.at:
            self.add_error("happened_at", "This lies in the future.")
        return cleaned


class MitigateForm(ActForm):
    """Customers no longer suffer; the cause may still be there."""

    words = words("What helped", rows=4, required=False)

    def __init__(self, data: Any = None, *, at: datetime, **options: Any) -> None:
        super().__init__(data, at=at, initial={"happened_at": at}, **options)
        self.fields["happened_at"] = Moment(now=at, label="Since when do customers no longer suffer?")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        check_happened(self, "happened_at", cleaned)
        return cleaned


class VerifyForm(ActForm):
    """Somebody saw that the fix works; the watch begins (R-214)."""

    words = words("How do you know that it works?", rows=3, required=False)


class QuickForm(ActForm):
    """One line of the scribe: ``14:05 decided to fail over``, ``-5m errors fell``, ``! roll back``."""

    part = "admin/incidents/incident/quickly.html"

    line = line("What happened", longest=LONGEST, error_messages={"required": "Write what happened."})
    said: Quick

    def clean_line(self) -> str:
        try:
            self.said = working.quick(self.cleaned_data["line"], self.at)
        except working.Unreadable as refused:
            raise ValidationError(str(refused)) from None
        return str(self.cleaned_data["line"])


class StepForm(ActForm):
    """About one line of the runbook, named by its id."""

    part = "admin/incidents/incident/step.html"
    kind = StepKind.CHECK

    words = words("Remark for colleagues", rows=2, longest=1000, required=False)

    def __init__(self, data: Any = None, **options: Any) -> None:
        super().__init__(data, **options)
        self.fields["step"] = forms.ModelChoiceField(
            RunbookStep.objects.filter(kind=self.kind),
            widget=forms.HiddenInput,
            error_messages={"required": GONE, "invalid_choice": GONE},
        )

    @property
    def subject(self) -> RunbookStep | None:
        """The line it is about, as far as it is known."""
        value = str(self["step"].value() or "")
        return RunbookStep.objects.filter(pk=value, kind=self.kind).first() if _is_id(value) else None


class CheckForm(StepForm):
    """Tick a line of the checklist, or take the tick away."""

    done = forms.BooleanField(required=False, label="Looked at")


class TryForm(StepForm):
    """A way to mitigate is being tried, helped, or did not."""

    kind = StepKind.MITIGATION

    worked = forms.TypedChoiceField(
        choices=[("yes", "It helped"), ("no", "It did not help"), ("", "Being tried")],
        coerce=_ANSWERS.get,
        empty_value=None,
        required=False,
        label="How did it go?",
        widget=forms.RadioSelect,
        initial="",
    )

    def __init__(self, data: Any = None, *, at: datetime, **options: Any) -> None:
        super().__init__(data, at=at, **options)
        self.fields["happened_at"] = Moment(now=at, required=False, label="It happened at")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        check_happened(self, "happened_at", cleaned)
        return cleaned


class CorrectNoteForm(ActForm):
    """Better words for a note or a decision; the old ones stay (R-205)."""

    part = "admin/incidents/incident/noted.html"

    words = words(
        "The corrected words", rows=6, error_messages={"required": "Words cannot be taken back, only improved."}
    )

    def __init__(self, data: Any = None, *, incident: Incident, **options: Any) -> None:
        named = (data if data is not None else options.get("initial") or {}).get("entry", "")
        self.noted = self._find(incident, str(named or ""))
        if self.noted:
            options["initial"] = (options.get("initial") or {}) | {"words": self.noted.words}
        super().__init__(data, incident=incident, **options)
        self.fields["entry"] = forms.CharField(
            widget=forms.HiddenInput, error_messages={"required": "Choose the note in the timeline."}
        )

    @staticmethod
    def _find(incident: Incident, named: str) -> TimelineEntry | None:
        found = incident.timeline.filter(pk=named).first() if _is_id(named) else None
        return found if found and may_be_reworded(found) else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.noted is None and "entry" not in self.errors:
            self.add_error("entry", "There is no such note here.")
        elif self.noted and cleaned.get("words", "").strip() == self.noted.words.strip():
            self.add_error("words", "These are the same words. Change something, or go back.")
        return cleaned


def _is_id(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 19
