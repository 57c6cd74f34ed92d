"""Which other incident this one has to do with, and how (R-212)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.functional import cached_property

from incidents import repeats
from incidents.enums import Tie
from incidents.lifecycle import linking
from incidents.models import Incident
from notifications.compiler import LANGUAGES
from notifications.models import Brand
from status import ledger, reading
from status.enums import Level
from status.models import Component
from status.publishing import Draft

from .base import ActForm, line, words
from .last_words import LastWords

#: So many are offered while typing, and named when several match.
OFFERED, NAMED = 20, 5
_REFERENCE = re.compile(r"\s*(INC-\d{4}-\d{4,9})\b", re.IGNORECASE)
_BRACKET, _ESCAPED = re.compile(r"[\[\]]"), r"\\\g<0>"
#: Where it goes on, as a link; what the words for the public start with, by language.
INTO = "into"
GOES_ON = {
    "en": "This is part of a larger problem. Please follow {{into}}: we post every further update there.",
    "de": "Das gehört zu einer größeren Störung. Alles Weitere veröffentlichen wir hier: {{into}}.",
}


class OtherIncident(forms.CharField):
    """An incident, by its reference or by part of its title; only of those ``user`` may know of (R-213)."""

    default_error_messages = {  # Django's own way
        "required": "Type a reference, or part of a title.",
        "none": "No incident is called “%(typed)s”. Type a reference like INC-2026-0001, or part of a title.",
        "several": "Several match: %(found)s. Type more of it, or the reference.",
    }

    def __init__(self, user: User, besides: Incident, **options: Any) -> None:
        self.known = Incident.objects.visible_to(user).exclude(pk=besides.pk)
        widget = forms.TextInput({"autocomplete": "off", "placeholder": "INC-2026-0001 or part of the title"})
        super().__init__(max_length=200, widget=widget, **options)

    @cached_property
    def offered(self) -> list[Incident]:
        """The newest, to choose from while typing. One query."""
        return list(self.known.order_by("-declared_at", "-pk")[:OFFERED])

    def clean(self, value: Any) -> Any:
        typed = str(super().clean(value) or "").strip()
        if not typed:
            return None
        if reference := _REFERENCE.match(typed):
            exact = self.known.filter(reference=reference[1].upper()).first()
            if exact:
                return exact
        matching = self.known.filter(Q(reference__icontains=typed) | Q(title__icontains=typed))
        found = list(matching.select_related("brand", "notice").order_by("-declared_at", "-pk")[: NAMED + 1])
        if len(found) == 1:
            return found[0]
        if not found:
            raise ValidationError(self.error_messages["none"], code="none", params={"typed": typed})
        named = "; ".join(str(one) for one in found[:NAMED]) + (" …" if len(found) > NAMED else "")
        raise ValidationError(self.error_messages["several"], code="several", params={"found": named})


class LinkForm(ActForm):
    """How it is tied to another. A duplicate is merged instead."""

    part = "admin/incidents/incident/link.html"

    tie = forms.ChoiceField(
        choices=[(tie.value, tie.label) for tie in Tie if tie != Tie.DUPLICATE],
        initial=Tie.RELATED,
        label="This incident …",
        widget=forms.RadioSelect,
        error_messages={"required": "Choose how they are tied.", "invalid_choice": "There is no such tie."},
    )
    note = line("Why do you think so?", longest=250, required=False)

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        super().__init__(data, at=at, incident=incident, **options)
        self.fields["other"] = _other(self, "other", "Which incident?")
        self.order_fields(["tie", "other", "note"])

    @property
    def offered(self) -> list[Incident]:
        return _offered(self, "other")


class UnlinkForm(ActForm):
    """Which tie was wrong."""

    part = "admin/incidents/incident/unlink.html"

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        super().__init__(data, at=at, incident=incident, **options)
        assert self.by is not None
        self.ties = {str(tie.other.pk): tie for tie in repeats.ties(incident, self.by) if _may_go(incident, tie)}
        self.fields["other"] = forms.TypedChoiceField(
            choices=[(key, f"{incident.reference} {tie.words} {tie.other}") for key, tie in self.ties.items()],
            coerce=lambda key: self.ties[key].other,
            widget=forms.RadioSelect,
            label="Which link is wrong?",
            error_messages={"required": "Choose a link.", "invalid_choice": "There is no such link."},
        )


class MergeForm(LastWords):
    """The same trouble twice: what goes on where, and the last words on this one's page (R-1311)."""

    part = "admin/incidents/incident/merge.html"
    inside = "Why is it the same? Only colleagues read this."
    fed = {INTO: ("into", "The words ask for {}. Say where it goes on, or remove it from the text.")}

    body = words("Last words for those who read it here", rows=5, error_messages={"required": "Say where it goes on."})

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        super().__init__(data, at=at, incident=incident, **options)
        self.fields["into"] = _other(self, "into", "Into which incident?")
        if Brand.objects.count() > 1:
            self.fields["across"] = forms.BooleanField(required=False, label="Even if it is told by another brand")
        self.order_fields(["into", "across", "body"])

    def opening(self, incident: Incident) -> Mapping[str, str]:
        return GOES_ON

    @property
    def offered(self) -> list[Incident]:
        return _offered(self, "into")

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        """What is affected stays affected: it goes on elsewhere."""
        held = ledger.levels(self.attached)
        return {component: held.get(component.pk, Level.OPERATIONAL) for component in self.attached}

    def as_values(self, language: str = LANGUAGES[0]) -> dict[str, str]:
        """The other's page in place of its name."""
        return {INTO: self._link} if self._link else {}

    @property
    def _link(self) -> str:
        into = self.known("into")
        if not isinstance(into, Incident):
            return ""
        if into.notice is None:
            return into.told_title
        # A bracket of its own would end the link.
        return f"[{_BRACKET.sub(_ESCAPED, into.told_title)}]({reading.permalink(into.notice)})"

    def texts(self, draft: Draft) -> dict[str, str]:
        # The other's title is checked with the rest; our own address need not be.
        into = self.known("into")
        title = into.told_title if self._link else ""
        return {name: text.replace(self._link, title) if title else text for name, text in super().texts(draft).items()}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        into = cleaned.get("into")
        assert self.incident is not None
        if into and (reason := linking.why_not(self.incident, into, across_brands=bool(cleaned.get("across")))):
            self.add_error(
                "across" if into.brand_id != self.incident.brand_id and "brand" in reason else "into", reason
            )
        return cleaned


def _other(form: ActForm, name: str, label: str) -> OtherIncident:
    assert form.by is not None
    assert form.incident is not None
    field = OtherIncident(form.by, form.incident, label=label)
    field.widget.attrs["list"] = f"id_{name}_offered"
    return field


def _offered(form: ActForm, name: str) -> list[Incident]:
    field = form.fields[name]
    assert isinstance(field, OtherIncident)
    return field.offered


def _may_go(incident: Incident, tie: repeats.Tied) -> bool:
    return tie.own and incident.merged_into_id != tie.other.pk
