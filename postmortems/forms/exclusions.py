"""Time that a person takes out of an incident, for one customer or all (R-902)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from incidents.forms.base import line, words
from incidents.forms.moments import Moment
from incidents.models import Incident
from notifications.models import Customer
from postmortems.enums import ExclusionKind

from .credits import LONGEST, Form


class ExclusionForm(Form):
    """``at``: the moment of the request; a bare clock time is the last one before it."""

    token = forms.UUIDField(
        widget=forms.HiddenInput, error_messages={"required": "This form is incomplete. Open it again."}
    )
    incident = line("Incident", longest=20, error_messages={"required": "Name the incident, like INC-2026-0042."})
    customer = line("Customer’s number", longest=40, required=False)
    kind = forms.ChoiceField(label="Why it does not count", choices=ExclusionKind.choices, widget=forms.RadioSelect)
    starts_at = Moment(label="From, in UTC", required=False)
    ends_at = Moment(label="To, in UTC", required=False)
    reason = words("Reason", longest=LONGEST, error_messages={"required": "Say why: it stays in the history."})

    def __init__(self, *args: Any, by: User, at: datetime, **options: Any) -> None:
        self.by = by
        start = {"token": uuid4(), "kind": ExclusionKind.CUSTOMER}
        options["initial"] = start | (options.get("initial") or {})
        super().__init__(*args, **options)
        for name in ("starts_at", "ends_at"):
            self.fields[name].now = at  # type: ignore[attr-defined]  # a Moment
        for name, shown in (("incident", "INC-2026-0042"), ("customer", "C-1001")):
            self.fields[name].widget.attrs |= {"class": "time", "autocomplete": "off", "placeholder": shown}

    def clean_incident(self) -> Incident:
        """One that this person may know of."""
        typed = self.cleaned_data["incident"].strip().upper()
        found = Incident.objects.visible_to(self.by).filter(reference=typed).first()
        if found is None:
            raise ValidationError(f"There is no incident “{typed}”.")
        return found

    def clean_customer(self) -> Customer | None:
        typed = self.cleaned_data["customer"].strip()
        if not typed:
            return None
        found = Customer.objects.filter(reference__iexact=typed).first()
        if found is None:
            raise ValidationError(f"There is no customer with the number “{typed}”.")
        return found

    def clean(self) -> dict[str, Any]:
        known = super().clean() or {}
        starts, ends = known.get("starts_at"), known.get("ends_at")
        if starts and ends and ends <= starts:
            self.add_error("ends_at", "What is excluded ends after it begins.")
        return known
