"""Forms of the policy screens: what is typed is checked at its field, in words (R-101, R-105…R-107, R-206)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from incidents import assistant, workhours
from incidents.enums import Comparison, Fact
from incidents.models import (
    Contradiction,
    Criterion,
    Duty,
    Policy,
    PolicyVersion,
    Severity,
    SupportTarget,
)
from incidents.models.policy import LONGEST
from incidents.severities import plain, spellings
from notifications.validators import one_line, prose

WEEKDAYS = [
    ("0", "Monday"),
    ("1", "Tuesday"),
    ("2", "Wednesday"),
    ("3", "Thursday"),
    ("4", "Friday"),
    ("5", "Saturday"),
    ("6", "Sunday"),
]


if TYPE_CHECKING:
    AnyModelForm = forms.ModelForm[Any]
    Levels = BaseInlineFormSet[Any, Any, Any]
else:
    AnyModelForm = forms.ModelForm
    Levels = BaseInlineFormSet


class CleanText(AnyModelForm):
    """Refuses control characters in every text, and line breaks where one line is meant."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, forms.CharField) and not isinstance(field, forms.JSONField):
                field.validators = [*field.validators, prose if isinstance(field.widget, forms.Textarea) else one_line]


class SpellingsField(forms.CharField):
    """A list of spellings, typed with commas between."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [part.strip() for part in (value or "").split(",") if part.strip()]

    def validate(self, value: Any) -> None:
        if len(value) > 12:
            raise ValidationError("At most 12 spellings.")
        for spelling in value:
            if len(spelling) > 40:
                raise ValidationError(f"“{spelling[:40]}…” is too long for a spelling.")

    def run_validators(self, value: Any) -> None:
        for spelling in value:
            super().run_validators(spelling)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != list(self.to_python(data))


class WeekdaysField(forms.MultipleChoiceField):
    """Weekdays as the column has them: ``0,1,2,3,4``."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def prepare_value(self, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    def clean(self, value: Any) -> Any:
        return ",".join(sorted(super().clean(value)))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or "") != ",".join(sorted(data or [])))


class PolicyForm(CleanText):
    class Meta:
        model = Policy
        fields = ("name", "slug", "summary", "is_default")
        labels = {"is_default": "Offered first"}
        help_texts = {"is_default": "Chosen already when an incident is declared."}
        widgets = {"summary": UnfoldAdminExpandableTextareaWidget}

    def clean_is_default(self) -> bool:
        wanted: bool = self.cleaned_data["is_default"]
        if self.instance.is_default and not wanted:
            raise ValidationError("One policy is offered first. Choose another one instead, and this one steps back.")
        if wanted and not self.instance.is_default and not _is_usable(self.instance):
            raise ValidationError("A policy can be offered once a version is in force.")
        return wanted

    def _get_validation_exclusions(self) -> set[str]:
        # The one that was the default steps back when this one is saved.
        return super()._get_validation_exclusions() | {"is_default"}  # type: ignore[misc, no-any-return]  # Untyped in the stubs.


class VersionForm(CleanText):
    """The working calendar and the remark of a draft."""

    work_days = WeekdaysField(label="Working days", choices=WEEKDAYS)

    class Meta:
        model = PolicyVersion
        fields = ("remark", "work_zone", "work_days", "work_start", "work_end", "holiday_country", "watch_minutes")
        labels = {
            "work_zone": "Time zone",
            "work_start": "Work begins",
            "work_end": "Work ends",
            "holiday_country": "Public holidays of",
            "watch_minutes": "Watch before resolved",
        }
        help_texts = {
            "holiday_country": "A country's code like DE. Blank: no public holidays.",
            "watch_minutes": "Minutes from a verified fix until “resolved” is suggested. Blank: it is not watched.",
        }
        widgets = {"remark": UnfoldAdminExpandableTextareaWidget}

    def clean_work_zone(self) -> str:
        zone: str = self.cleaned_data["work_zone"]
        if not workhours.is_zone(zone):
            raise ValidationError(f"“{zone}” is not a time zone. Write it like Europe/Berlin or UTC.")
        return zone

    def clean_holiday_country(self) -> str:
        country: str = self.cleaned_data["holiday_country"].upper()
        if country and not workhours.is_country(country):
            raise ValidationError(f"No public holidays are known for “{country}”. Use a code like DE, FR or US.")
        return country

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        start, end = cleaned.get("work_start"), cleaned.get("work_end")
        if start and end and end <= start:
            self.add_error("work_end", "Working hours end after they start, on the same day.")
        return cleaned


class SeverityForm(CleanText):
    """One level; its spellings mean nothing else in the same version (R-106)."""

    aliases = SpellingsField(
        label="Also called",
        required=False,
        help_text="Other spellings, with commas between. Case and dashes do not matter.",
    )

    class Meta:
        model = Severity
        fields = (
            "rank",
            "code",
            "label",
            "aliases",
            "is_maintenance",
            "meaning",
            "examples",
            "publicity",
            "banner",
            "direct_enterprise",
            "counts_for_credits",
            "paged",
            "told",
        )
        labels = {
            "is_maintenance": "Planned work",
            "banner": "In-app banner",
            "direct_enterprise": "Enterprise mailed directly",
            "publicity": "Told to the public",
        }
        help_texts = {"banner": "", "direct_enterprise": "", "is_maintenance": "Not an incident."}
        widgets = {"meaning": UnfoldAdminExpandableTextareaWidget, "examples": UnfoldAdminExpandableTextareaWidget}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in ("code", "label"):
            if re.fullmatch("[0-9]+", plain(cleaned.get(name, "x"))):
                self.add_error(name, "A bare number means a rank. Add a letter, like P1.")
        if any(re.fullmatch("[0-9]+", plain(alias)) for alias in cleaned.get("aliases", [])):
            self.add_error("aliases", "A bare number means a rank. Add a letter, like P1.")
        return cleaned

    @property
    def spelled(self) -> dict[str, str]:
        """What the level would be called: the plain spelling, and the field it stands in."""
        cleaned = self.cleaned_data
        found = {plain(alias): "aliases" for alias in cleaned.get("aliases") or []}
        return found | {plain(cleaned[name]): name for name in ("label", "code") if cleaned.get(name)}

    def refuse_clashes(self, others: dict[str, str]) -> None:
        """Put an error at each field whose spelling is another level's (spelling → that level's name)."""
        for spelling, name in self.spelled.items():
            if spelling in others:
                self.add_error(name, f"“{spelling}” already means {others[spelling]}.")


class LoneSeverityForm(SeverityForm):
    """A level on its own screen: its neighbours are in the database."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        neighbours = Severity.objects.filter(version=self.instance.version_id).exclude(pk=self.instance.pk)
        self.refuse_clashes({spelling: str(level) for level in neighbours for spelling in spellings(level)})
        rank = cleaned.get("rank")
        if (
            rank
            and not cleaned.get("is_maintenance")
            and any(level.rank == rank and not level.is_maintenance for level in neighbours)
        ):
            self.add_error("rank", f"Another severity has rank {rank}.")
        return cleaned


class SeverityFormSet(Levels):
    """The levels of a version: no rank and no spelling twice."""

    def validate_unique(self) -> None:
        """A code given twice is a spelling given twice: ``clean`` says so at its field."""

    def clean(self) -> None:
        super().clean()
        self._refuse_trades()
        taken: dict[str, str] = {}
        ranks: dict[int, str] = {}
        for form in self.forms:
            cleaned = getattr(form, "cleaned_data", None)
            if not cleaned or cleaned.get("DELETE"):
                continue
            form.refuse_clashes(taken)
            name = cleaned.get("code") or cleaned.get("label") or "another level"
            taken |= dict.fromkeys(form.spelled, name)
            rank = cleaned.get("rank")
            if rank and not cleaned.get("is_maintenance"):
                if rank in ranks:
                    form.add_error("rank", f"{ranks[rank]} has rank {rank} already.")
                ranks.setdefault(rank, name)

    def _refuse_trades(self) -> None:
        """Rows are saved one by one, so a code is free only once its old owner was saved without it."""
        owners = {form.initial.get("code"): form for form in self.initial_forms}
        for form in self.forms:
            code = getattr(form, "cleaned_data", {}).get("code")
            owner = owners.get(code)
            if not code or owner in (None, form):
                continue
            left = getattr(owner, "cleaned_data", {})
            if left.get("DELETE") or left.get("code") != code:
                form.add_error("code", f"“{code}” is another severity's until this is saved. Take it in a second step.")


class DutyForm(CleanText):
    class Meta:
        model = Duty
        fields = (
            "kind",
            "condition",
            "amount",
            "limit",
            "unit",
            "starts_from",
            "repeats",
            "owner_role",
            "audience",
            "note",
        )


class CriterionForm(CleanText):
    """A part of a rule (R-110): a comparison that its fact has, and a value that its fact can be."""

    class Meta:
        model = Criterion
        fields = ("rule", "fact", "comparison", "value")
        help_texts = {"rule": "", "value": ""}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("fact"):
            return cleaned
        fact, comparison = Fact(cleaned["fact"]), cleaned.get("comparison")
        known = assistant.OF_WORDS if fact in assistant.VOCABULARY else assistant.OF_NUMBERS
        if comparison and Comparison(comparison) not in known:
            kind = "a word" if fact in assistant.VOCABULARY else "a number"
            choice = ", ".join(f"“{one.label}”" for one in known)
            self.add_error("comparison", f"“{fact.label}” is {kind}. Choose {choice}.")
        if cleaned.get("value"):
            try:
                cleaned["value"] = assistant.stored(assistant.read(fact, cleaned["value"]))
            except assistant.FactError as error:
                self.add_error("value", str(error))
        return cleaned


class ContradictionForm(CleanText):
    class Meta:
        model = Contradiction
        fields = ("subject", "shipped", "other")
        labels = {"shipped": "In use", "other": "The other reading"}
        widgets = dict.fromkeys(fields, UnfoldAdminExpandableTextareaWidget)


class SupportTargetForm(CleanText):
    class Meta:
        model = SupportTarget
        fields = ("priority", "amount", "unit", "position")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        amount, unit = cleaned.get("amount"), cleaned.get("unit")
        if amount is not None and unit in LONGEST and amount > LONGEST[unit]:
            self.add_error("amount", f"At most {LONGEST[unit]:,} {self.instance.get_unit_display()}: one year.")
        return cleaned


def _is_usable(policy: Policy) -> bool:
    return policy.pk is not None and policy.versions.filter(in_force_at__isnull=False).exists()
