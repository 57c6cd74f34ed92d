"""Who may know of a security incident, and what outsiders read instead (R-213)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from incidents.models import Incident
from incidents.words import check_voice
from notifications.lint import Unsendable, lint_for
from notifications.models import Brand
from status import reading
from status.reading import Told

from .base import ActForm, line, words
from .people import People, Person, colleagues

TITLE = "What outsiders read instead of the title"
SAME = "This is the title itself. Say less."
NO_TITLE = "Say what outsiders may read. It must give nothing away."


def public_title(**options: Any) -> forms.CharField:
    """The title for outsiders; "" where none is needed."""
    widget = forms.TextInput({"autocomplete": "off", "placeholder": "Some services are limited"})
    return line(TITLE, longest=120, widget=widget, **options)


def check_public_title(form: ActForm, name: str, title: str, brand: Brand | None) -> None:
    """Refuse at its field what the brand may not say (R-111)."""
    if not title or brand is None:
        return
    try:
        check_voice(title, brand)
        lint_for(brand, [title])
    except Unsendable as refused:
        form.add_error(name, ValidationError(refused.problems, code="unsendable"))
    except ValidationError as refused:
        form.add_error(name, refused)


class RestrictForm(ActForm):
    """Close the doors: who is named, why, and the words for everybody else."""

    part = "admin/incidents/incident/restrict.html"

    public_title = public_title(error_messages={"required": NO_TITLE})
    reason = words("Why?", rows=3, longest=250, error_messages={"required": "Say why: the timeline keeps it."})

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        options["initial"] = {"public_title": incident.public_title} | (options.get("initial") or {})
        super().__init__(data, at=at, incident=incident, **options)
        self.fields["people"] = People(required=False, label="Who else may know?")
        by = self.by.pk if self.by else 0
        self.fields["people"].queryset = _not_named(incident).exclude(pk=by)  # type: ignore[attr-defined]

    @property
    def out(self) -> list[Told]:
        """Words that are out already, as the public reads them now."""
        assert self.incident is not None
        return reading.told(self.incident.notice.updates.all()) if self.incident.notice else []

    @property
    def named(self) -> list[tuple[str, str]]:
        """(name, role) of holders of its roles: they may know by themselves."""
        assert self.incident is not None
        rows = self.incident.assignments.current().select_related("user")
        return [(row.user.get_full_name() or row.user.get_username(), row.get_role_display()) for row in rows]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        assert self.incident is not None
        title = str(cleaned.get("public_title") or "").strip()
        check_public_title(self, "public_title", title, self.incident.brand)
        if title and title.casefold() == self.incident.title.casefold():
            self.add_error("public_title", SAME)
        return cleaned


class LiftForm(ActForm):
    """Open the doors again."""

    part = "admin/incidents/incident/lift.html"

    reason = words("Why?", rows=3, longest=250, error_messages={"required": "Say why: the timeline keeps it."})


class AdmitForm(ActForm):
    """Let one more colleague know."""

    part = "admin/incidents/incident/admit.html"

    reason = words("Why?", rows=3, longest=250, error_messages={"required": "Say why: the timeline keeps it."})

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        super().__init__(data, at=at, incident=incident, **options)
        self.fields["person"] = Person(label="Who may know as well?", empty_label="Choose …")
        self.fields["person"].queryset = _not_named(incident)  # type: ignore[attr-defined]  # ModelChoiceField


class EnterForm(ActForm):
    """An administrator lets themselves in, and says why."""

    reason = words(
        "Why must you see it?", rows=3, longest=250, error_messages={"required": "Say why: those in charge read it."}
    )


def _not_named(incident: Incident) -> QuerySet[Any]:
    roles = incident.assignments.current().values("user")
    return colleagues().exclude(pk__in=incident.insiders.values("user")).exclude(pk__in=roles)
