"""Declaring an incident: everything on one form (R-201…R-207)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms

from incidents import guard, phrases
from incidents.enums import Origin, State
from incidents.guard import Concern
from incidents.models import Severity, UpdateTemplate
from incidents.models.incident import DISCREET
from notifications.models import Brand
from status.enums import OPEN_PHASES, Phase
from status.models import Component

from . import levels as levels_
from . import restricting, severities
from .base import line
from .composer import ComposerForm
from .concerns import Weighed
from .facts import Assisted, with_used
from .levels import Levels
from .moments import Moment, not_before

NOW, LATER = "now", "later"


class DeclareForm(Weighed, Assisted, ComposerForm):
    """The form opens with the default policy's second worst level and its first words."""

    title = line(
        "What is wrong, in one line",
        longest=120,
        error_messages={"required": "Give it a title: people quote it."},
        widget=forms.TextInput(
            {"class": "title", "autocomplete": "off", "placeholder": "Checkout is failing for some customers"}
        ),
    )
    origin = forms.ChoiceField(choices=Origin, initial=Origin.STAFF, label="Where it came from")
    restricted = forms.BooleanField(required=False, label="Yes, restrict it")
    public_title = restricting.public_title(required=False)
    publish = forms.ChoiceField(
        choices=[(NOW, "Publish now"), (LATER, "Keep internal")], widget=forms.RadioSelect, label="Who may know"
    )

    def __init__(self, data: Any = None, *, at: datetime, **options: Any) -> None:
        self.offered = severities.for_declaring()
        chosen = severities.default_level(self.offered)
        self.brands = list(Brand.objects.order_by("-is_default", "name"))
        options["initial"] = {
            "started_at": at,
            "severity": chosen.pk if chosen else None,
            "brand": self.brands[0].pk if self.brands else None,
            "publish": NOW if severities.is_told(chosen) else LATER,
        } | (options.get("initial") or {})
        super().__init__(with_used(data), at=at, templates=_templates(self.offered, chosen), level=chosen, **options)
        self.fields["severity"] = severities.SeverityChoice(self.offered, label="How bad is it?")
        self.fields["started_at"] = Moment(now=at, label="When did it begin?")
        self.fields["detected_at"] = Moment(now=at, required=False, label="When was it noticed?")
        self.fields["brand"] = forms.TypedChoiceField(
            choices=[(brand.pk, brand.name) for brand in self.brands],
            coerce=lambda value: next(brand for brand in self.brands if brand.pk == int(value)),
            error_messages={"required": "No brand is set up yet: add one first."},
        )
        self.components = levels_.in_order(Component.objects.shown().select_related("topic", "group__topic"))
        self.fields["levels"] = Levels(self.components)
        self.ask_facts(self.offered)
        self.order_fields(["severity", "title", "started_at", "detected_at", "origin", "brand", "levels", "publish"])

    def _first_template(self) -> UpdateTemplate | None:
        first = self.brands[0] if self.brands else None
        spoken = phrases.spoken_by(self.templates, first)
        return next((one for phase in self.phases for one in spoken if one.phase == phase), None)

    def _cadences(self) -> set[int]:
        return {minutes for level in self.offered if (minutes := severities.cadence(level))}

    @property
    def groups(self) -> list[severities.Group]:
        field = self.fields["severity"]
        assert isinstance(field, severities.SeverityChoice)
        return field.groups(self["severity"].value())

    @property
    def sections(self) -> list[tuple[str, list[levels_.Row]]]:
        return levels_.sections(self.components, "levels", self["levels"].value() or {})

    @property
    def brand(self) -> Brand | None:
        found = self.known("brand")
        return found if isinstance(found, Brand) else next(iter(self.brands), None)

    @property
    def ranked(self) -> Severity | None:
        found = self.known("severity")
        return found if isinstance(found, Severity) else self.level

    @property
    def speaks(self) -> bool:
        return bool(self.known("publish") == NOW)

    def known(self, name: str, default: Any = None) -> Any:
        """Words for outsiders call a restricted one by its public title (R-213)."""
        if name == "title" and super().known("restricted"):
            return super().known("public_title") or DISCREET
        return super().known(name, default)

    @property
    def own_title(self) -> str:
        """What colleagues read, as far as it is typed."""
        return str(super().known("title") or "")

    def weigh(self) -> list[Concern]:
        # Before anything is filled in there is nothing to warn of.
        if not self.is_bound or not self.speaks or self.ranked is None:
            return []
        state = State.MITIGATED if self.known("phase") == Phase.MONITORING else State.DECLARED
        return guard.before_publishing(self.ranked, state, self.levels.values())

    def clean_title(self) -> str:
        return str(self.cleaned_data["title"]).strip()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("restricted"):
            self._check_public_title(cleaned)
        started, detected = cleaned.get("started_at"), cleaned.get("detected_at")
        if started and started > self.at:
            self.add_error("started_at", "This lies in the future. It began before you noticed it.")
        if detected and detected > self.at:
            self.add_error("detected_at", "This lies in the future.")
        elif started and detected:
            cleaned["detected_at"] = not_before(detected, started)
            if cleaned["detected_at"] < started:
                self.add_error("detected_at", "It was noticed before it began. Check both times.")
        return cleaned

    def _check_public_title(self, cleaned: dict[str, Any]) -> None:
        if "public_title" in self.errors:
            return
        said = cleaned["public_title"] = str(cleaned.get("public_title") or "").strip()
        restricting.check_public_title(self, "public_title", said, self.brand)
        if self.speaks and not said:
            self.add_error("public_title", restricting.NO_TITLE)
        if said and said.casefold() == str(cleaned.get("title") or "").casefold():
            self.add_error("public_title", restricting.SAME)


def _templates(offered: list[Any], chosen: Any) -> list[UpdateTemplate]:
    """Words of every policy and brand that can be chosen; those of the chosen policy first."""
    found = phrases.offered({level.version.policy_id for level in offered}, OPEN_PHASES)
    own = chosen.version.policy_id if chosen else None
    return sorted(found, key=lambda template: (template.policy_id != own, template.policy.name, template.position))
