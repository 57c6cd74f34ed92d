"""What is typed where a month is closed, and where its credits are marked as applied (R-905)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from incidents.forms.base import line
from postmortems.forms.credits import Form, InvoiceForm

ALL, CHOSEN = "all", "chosen"


class CloseForm(Form):
    """Nothing to type; where something would be left behind, the month, so that nobody does it without reading."""

    typed = line("Type the month to close it all the same", longest=20, required=False)

    def __init__(self, *args: Any, month: date, is_incomplete: bool, **options: Any) -> None:
        self.month, self.is_incomplete = month, is_incomplete
        super().__init__(*args, **options)
        if not is_incomplete:
            del self.fields["typed"]
            return
        self.fields["typed"].widget.attrs |= {"class": "time", "placeholder": self.wanted, "autocomplete": "off"}

    @property
    def wanted(self) -> str:
        return f"{self.month:%Y-%m}"

    def clean_typed(self) -> str:
        if self.cleaned_data["typed"].strip() != self.wanted:
            raise ValidationError(f"Not everything is ready. Type {self.wanted} to close the month all the same.")
        return self.wanted


class AppliedForm(InvoiceForm):
    """The invoice, and which credits of a batch it took: the ticked ones, or all that are not applied yet."""

    which = forms.ChoiceField(choices=[(ALL, "All"), (CHOSEN, "The ticked ones")], widget=forms.HiddenInput)
    ids = forms.TypedMultipleChoiceField(coerce=int, required=False, widget=forms.MultipleHiddenInput)

    def __init__(self, *args: Any, offered: Sequence[int], **options: Any) -> None:
        """``offered``: ids of the credits of the batch that are not applied."""
        super().__init__(*args, **options)
        self.offered = offered
        ids = self.fields["ids"]
        assert isinstance(ids, forms.TypedMultipleChoiceField)
        ids.choices = [(pk, str(pk)) for pk in offered]
        ids.error_messages["invalid_choice"] = "One of the ticked credits is applied already. Look again."

    def clean(self) -> dict[str, Any]:
        known = super().clean() or {}
        if known.get("which") == CHOSEN and "ids" not in self.errors and not known.get("ids"):
            self.add_error("ids", "Tick at least one credit, or take all of them.")
        return known

    @property
    def chosen(self) -> list[int]:
        """Ids; call on a valid form only."""
        return self.cleaned_data["ids"] if self.cleaned_data["which"] == CHOSEN else list(self.offered)
