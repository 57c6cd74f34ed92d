"""What the console asks of a contract: its own fields, and a row for each term (R-902)."""

from __future__ import annotations

from functools import cache
from typing import Any, cast
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import BaseInlineFormSet
from moneyed import CURRENCIES
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from incidents.models import Policy
from postmortems.credits.arithmetic.money import MoneyError, exponent, parse, plain
from postmortems.credits.contracts import TermDraft, assessed_among, fixed, problems
from postmortems.models import Contract, Term


@cache
def currencies() -> list[tuple[str, str]]:
    """What anybody is billed in, by code."""
    found = []
    for code, currency in sorted(CURRENCIES.items()):
        try:
            exponent(code)
        except MoneyError:
            continue
        found.append((code, f"{code} {currency.name}"))
    return found


@cache
def zones() -> list[tuple[str, str]]:
    return [(zone, zone.replace("_", " ")) for zone in sorted(available_timezones())]


class ContractForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the checker only
    currency = forms.ChoiceField(
        choices=currencies, initial="EUR", widget=UnfoldAdminSelectWidget, help_text="Fees and credits are in it."
    )
    zone = forms.ChoiceField(
        label="Billing time zone",
        choices=zones,
        initial="UTC",
        widget=UnfoldAdminSelectWidget,
        help_text="Billing months begin at midnight there.",
    )

    class Meta:
        model = Contract
        fields = [
            "customer", "reference", "policy", "own_rules", "currency", "zone", "billing_day", "billing_account",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None and "policy" in self.fields:
            # What most contracts are under: the policy that has rules at all.
            paying = Policy.objects.filter(rule_books__isnull=False).distinct()[:2]
            if len(paying) == 1:
                self.fields["policy"].initial = paying[0].pk

    def _post_clean(self) -> None:
        """After the row has what was typed: the words of the act stand at its fields."""
        before = Contract.objects.filter(pk=self.instance.pk).first() if self.instance.pk else None
        super()._post_clean()  # type: ignore[misc]  # of Django's model forms
        if self.errors:
            return
        wrong = problems(self.instance, ())
        if before and assessed_among([before.pk]):
            wrong |= fixed(self.instance, before)
        for name, words in wrong.items():
            if isinstance(name, str):
                self.add_error(name if name in self.fields else NON_FIELD_ERRORS, words)


class TermForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the checker only
    """One term; the fee is typed as people write it, and read in the contract's currency by the rows together."""

    fee = forms.CharField(
        label="Monthly fee",
        max_length=30,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "size": 12}),
    )

    class Meta:
        model = Term
        fields = ["starts_on", "last_day", "plan", "fee", "uses_everything", "components"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["fee"].initial = plain(self.instance.fee_minor, self.instance.contract.currency)

    def draft(self, currency: str) -> TermDraft:
        """What was typed. Raises MoneyError."""
        typed = self.cleaned_data
        everything = typed.get("uses_everything", False)
        used = () if everything else typed.get("components", ())
        return TermDraft(
            starts_on=typed["starts_on"],
            fee_minor=parse(typed["fee"], currency),
            last_day=typed.get("last_day"),
            plan=typed.get("plan", ""),
            uses_everything=everything,
            components=frozenset(component.pk for component in used),
        )


class TermRows(BaseInlineFormSet):  # type: ignore[type-arg]  # generic to the checker only
    """All terms of a contract: they do not overlap, and what is wrong stands in the row that has it."""

    drafts: list[TermDraft]

    def clean(self) -> None:
        super().clean()
        self.drafts = []
        rows = [form for form in self.forms if form.has_changed() or form.instance.pk]
        rows = [form for form in rows if not (self.can_delete and self._should_delete_form(form))]  # type: ignore[attr-defined]
        if any(form.errors for form in rows):
            return
        read = [form for form in rows if self._read(cast(TermForm, form))]
        for where, words in problems(self.instance, self.drafts).items():
            if isinstance(where, tuple):
                place, name = where
                read[place].add_error(name if name in read[place].fields else None, words)

    def _read(self, form: TermForm) -> bool:
        try:
            self.drafts.append(form.draft(self.instance.currency))
        except MoneyError as error:
            form.add_error("fee", str(error))
            return False
        return True
