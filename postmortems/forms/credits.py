"""What finance types: a reason, an invoice, an amount in major units."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django import forms
from django.core.exceptions import ValidationError

from incidents.forms.base import line, words
from postmortems.credits.arithmetic.money import MoneyError, parse, plain

LONGEST = 1000


class Form(forms.Form):
    """Errors stand at their field; the cursor goes to the first."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("use_required_attribute", False)
        super().__init__(*args, **options)

    def focus(self) -> str:
        """The id of the first field with an error, which gets the cursor."""
        for name, field in self.fields.items():
            if name in self.errors:
                field.widget.attrs["autofocus"] = True
                return self[name].auto_id
        return ""


class SureForm(Form):
    """Nothing to type."""


class ReasonForm(Form):
    """A reason that stays in the history."""

    reason = words("Reason", longest=LONGEST, error_messages={"required": "Say why: it stays in the history."})


class InvoiceForm(Form):
    """The invoice that took the credits."""

    invoice = line(
        "Invoice",
        longest=120,
        error_messages={"required": "Name the invoice that took it."},
    )


class AmountForm(ReasonForm):
    """An amount of one currency, typed as people write it; cleans to minor units, more than nothing."""

    token = forms.UUIDField(
        widget=forms.HiddenInput, error_messages={"required": "This form is incomplete. Open it again."}
    )
    amount = line("Amount", longest=40, error_messages={"required": "Say how much."})
    field_order = ("token", "amount", "reason")

    def __init__(self, *args: Any, currency: str, **options: Any) -> None:
        self.currency = currency
        options["initial"] = {"token": uuid4()} | (options.get("initial") or {})
        super().__init__(*args, **options)
        self.fields["amount"].widget.attrs |= {
            "class": "time",
            "inputmode": "decimal",
            "autocomplete": "off",
            "placeholder": plain(5000, currency),
        }

    def clean_amount(self) -> int:
        try:
            minor = parse(self.cleaned_data["amount"], self.currency)
        except MoneyError as error:
            raise ValidationError(str(error)) from error
        if minor <= 0:
            raise ValidationError("Goodwill is more than nothing. To take something back, reverse the credit.")
        return minor
