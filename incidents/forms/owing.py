"""Settling something owed by a person's word: it need not be done, or it is done (R-301)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django import forms

from incidents import clock
from incidents.models import Incident, Obligation

from .base import ActForm, words


class Owed(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic to the checker only
    """Something the incident owes now."""

    def __init__(self, incident: Incident | None, but: Collection[str] = ()) -> None:
        rows = incident.obligations.open().exclude(kind__in=but) if incident else Obligation.objects.none()
        super().__init__(
            rows,
            label="What is owed",
            empty_label=None,
            error_messages={
                "required": "Choose what is meant.",
                "invalid_choice": "This is not owed any more. Choose again, or go back to the incident.",
            },
        )

    def label_from_instance(self, obj: Any) -> str:
        if obj.due_at is None:
            return f"{obj.get_kind_display()}, no date"
        return f"{obj.get_kind_display()}, due {obj.due_at:%H:%M} UTC on {obj.due_at.day} {obj.due_at:%B}"


class OwedForm(ActForm):
    """Something owed, chosen from what is."""

    part = "admin/incidents/incident/owed.html"
    #: Kinds that are not offered.
    but: Collection[str] = ()

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident | None = None, **options: Any) -> None:
        super().__init__(data, at=at, incident=incident, **options)
        self.fields["obligation"] = Owed(incident, self.but)


class WaiveForm(OwedForm):
    reason = words("Why it need not be done", longest=500, error_messages={"required": "Say why it need not be done."})


class MetForm(OwedForm):
    but = clock.ONLY_BY_ACT
    words = words("What was done, and by whom", longest=1000, error_messages={"required": "Say what was done."})
