"""Who has which role, and the command from one to the next (R-204)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.db.models import QuerySet

from incidents import raci
from incidents.enums import Role
from incidents.lifecycle.staffing import named
from incidents.models import Incident

from .base import ActForm, words


class Person(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic to the checker only
    """Somebody who may sign in to the console."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("error_messages", {"required": "Choose somebody.", "invalid_choice": "There is nobody so."})
        super().__init__(colleagues(), **options)

    def label_from_instance(self, obj: Any) -> str:
        return named(obj)


class People(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic to the checker only
    """Several of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(colleagues(), widget=forms.CheckboxSelectMultiple, **options)

    def label_from_instance(self, obj: Any) -> str:
        return named(obj)


def colleagues() -> QuerySet[User]:
    return User.objects.filter(is_active=True, is_staff=True).order_by("first_name", "last_name", "username")


class AssignForm(ActForm):
    """One role, and who has it from now on; with what each role does."""

    part = "admin/incidents/incident/assign.html"

    role = forms.ChoiceField(
        choices=Role,
        widget=forms.RadioSelect,
        label="Which role?",
        error_messages={"required": "Choose a role.", "invalid_choice": "There is no such role."},
    )

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        holders = incident.assignments.current().select_related("user")
        self.holders = {Role(row.role): row.user for row in holders}
        free = next((role for role in Role if role not in self.holders), Role.COMMANDER)
        by = options.get("by")
        options["initial"] = {"role": free, "person": by.pk if by else None} | (options.get("initial") or {})
        super().__init__(data, at=at, incident=incident, **options)
        self.fields["person"] = Person(required=False, empty_label="Nobody", label="Who has it from now on?")

    @property
    def roles(self) -> list[tuple[str, str, str, str, bool]]:
        """(value, label, what it does, who has it now, whether it is chosen) of each role."""
        chosen = str(self["role"].value() or "")
        return [
            (role.value, role.label, task, named(self.holders.get(role)), role.value == chosen)
            for role, task in raci.roles()
        ]

    @property
    def table(self) -> dict[str, Any]:
        return raci.table()


class HandOverForm(ActForm):
    """From one commander to the next, with what the next one must know."""

    part = "admin/incidents/incident/hand_over.html"

    words = words(
        "What the next commander must know",
        rows=6,
        error_messages={"required": "Say where it stands: the next commander starts from these words."},
    )

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        super().__init__(data, at=at, incident=incident, **options)
        found = incident.assignments.current().filter(role=Role.COMMANDER).select_related("user").first()
        self.commander = found.user if found else None
        self.fields["to"] = Person(label="Who takes over?", empty_label="Choose …")

    def clean_to(self) -> User:
        to: User = self.cleaned_data["to"]
        if to == self.commander:
            raise forms.ValidationError(f"{named(to)} commands it already.", code="same")
        return to

    def clean(self) -> dict[str, Any]:
        if self.commander is None:
            self.add_error("to", "Nobody commands it yet. Assign the role instead: nothing is to hand over.")
        return super().clean() or {}
