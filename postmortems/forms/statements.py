"""What is asked for before somebody is given a link to a customer's statement."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from notifications.models import Contact, Customer


class Ticked(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic to the checker only
    """Contacts by name and address."""

    def label_from_instance(self, obj: Contact) -> str:
        return f"{obj.name}, {obj.email}"


class LinkForm(forms.Form):
    """Contacts that get a link each by mail; nobody: one link is shown, for whoever it is given to."""

    contacts = Ticked(
        queryset=Contact.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, label="Mail it to"
    )
    given_to = forms.CharField(
        required=False, max_length=120, label="Or give it to", help_text="For your record: who gets the link."
    )

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        contacts = self.fields["contacts"]
        assert isinstance(contacts, forms.ModelMultipleChoiceField)
        contacts.queryset = Contact.objects.filter(customer=customer)

    def clean_given_to(self) -> str:
        typed: str = self.cleaned_data["given_to"].strip()
        if "@" in typed:
            raise ValidationError("A name or a role, no address: it would be kept when the person is forgotten.")
        return typed

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not self.errors and not given.get("contacts") and not given.get("given_to"):
            self.add_error("given_to", "Say who gets the link, or tick somebody it is mailed to.")
        return given
