"""The channel grid of a version: one table for each audience, one save for all of it (R-112)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse

from incidents import grid, policies
from incidents.enums import Audience, Publicity, Setting, Wire
from incidents.forms.telling import UNITS
from incidents.models import PolicyVersion, Severity
from notifications.enums import Channel
from notifications.models import Subscriber

from .policy_screens import FOLDER, url

CHOICES = [("", "–"), (Setting.ASK.value, "Ask"), (Setting.ON.value, "On")]
LEADS = {
    Audience.PUBLIC: "Whoever looks at the page, and everybody who subscribed.",
    Audience.ENTERPRISE: "E-mail is a letter to each contact of the Enterprise customers that use what is affected. "
    "The other channels reach subscribers that belong to such a customer, where everybody is not told anyway.",
    Audience.STAFF: "Chat rooms of our own teams, where all rooms are not told anyway.",
}
SILENT = (Publicity.INTERNAL, Publicity.NEVER)


@dataclass(frozen=True)
class Cell:
    """One cell as the page shows it; ``field`` is None where it can only be read."""

    wire: str
    setting: Setting
    field: forms.BoundField | None


@dataclass(frozen=True)
class Table:
    """The cells of one audience: a row for each level, a column for each channel."""

    audience: Audience
    lead: str
    wires: list[str]
    rows: list[tuple[Severity, list[Cell]]]


class GridForm(forms.Form):
    """A three-way choice for each cell; what is left blank is off. ``editable`` False: to read."""

    def __init__(self, data: Any = None, *, version: PolicyVersion, editable: bool = True) -> None:
        super().__init__(data, use_required_attribute=False)
        self.version = version
        self.levels = list(version.severities.prefetch_related("channel_rules"))
        self.said = {level.pk: grid.cells(level) for level in self.levels}
        for level in self.levels if editable else ():
            for audience, wires in grid.COLUMNS.items():
                for wire in wires:
                    self.fields[_name(level, wire, audience)] = self._field(level, wire, audience)

    def _field(self, level: Severity, wire: Wire, audience: Audience) -> forms.ChoiceField:
        said = self._said(level, wire, audience)
        return forms.ChoiceField(
            choices=CHOICES,
            required=False,
            initial="" if said == Setting.OFF else said.value,
            label=f"{level.short}, {_heading(wire, audience)}, {audience.label}",
            error_messages={"invalid_choice": "Choose on, ask, or leave it blank."},
        )

    def _said(self, level: Severity, wire: Wire, audience: Audience) -> Setting:
        return self.said[level.pk].get(grid.key_of(wire, audience), Setting.OFF)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for level in self.levels:
            for wire in grid.COLUMNS[Audience.PUBLIC] if level.publicity in SILENT else ():
                name = _name(level, wire, Audience.PUBLIC)
                if cleaned.get(name):
                    kept = level.get_publicity_display().lower()
                    words = f"{level.short} is not told to the public: {kept}."
                    self.add_error(name, ValidationError(words, code="silent"))
        return cleaned

    @property
    def cells(self) -> dict[tuple[int, Wire, Audience], Setting | None]:
        """What a valid form says, as ``policies.set_channels`` wants it."""
        return {
            (level.pk, wire, audience): Setting(chosen) if chosen else None
            for level in self.levels
            for audience, wires in grid.COLUMNS.items()
            for wire in wires
            for chosen in [self.cleaned_data[_name(level, wire, audience)]]
        }

    @property
    def tables(self) -> list[Table]:
        return [
            Table(
                audience=audience,
                lead=LEADS[audience],
                wires=[_heading(wire, audience) for wire in wires],
                rows=[(level, [self._cell(level, wire, audience) for wire in wires]) for level in self.levels],
            )
            for audience, wires in grid.COLUMNS.items()
        ]

    def _cell(self, level: Severity, wire: Wire, audience: Audience) -> Cell:
        name = _name(level, wire, audience)
        bound = self[name] if name in self.fields else None
        return Cell(_heading(wire, audience), self._said(level, wire, audience), bound)

    @property
    def unheard(self) -> list[tuple[str, int, str]]:
        """Channels that somebody subscribed by, and that no level tells: (channel, how many, of what). One query."""
        told = {key.partition(":")[0] for said in self.said.values() for key in said if said[key] != Setting.OFF}
        counts = Subscriber.objects.active().order_by().values_list("channel").annotate(people=Count("pk"))
        return [
            (Channel(channel).label, people, UNITS[Channel(channel)][people != 1])
            for channel, people in counts
            if channel not in told
        ]


def show(request: HttpRequest, admin: Any, object_id: int) -> HttpResponse:
    """The grid: to change while the version is a draft, to read afterwards (R-102)."""
    version = get_object_or_404(PolicyVersion.objects.select_related("policy"), pk=object_id)
    if not admin.has_view_permission(request, version):
        raise PermissionDenied
    editable = admin.has_change_permission(request, version)
    if request.method == "POST" and not editable:
        raise PermissionDenied
    form = GridForm(request.POST if request.method == "POST" else None, version=version, editable=editable)
    if form.is_bound and form.is_valid():
        return _save(request, admin, form)
    context = admin.admin_site.each_context(request) | {
        "title": f"Channels of {version}",
        "form": form,
        "version": version,
        "editable": editable,
    }
    return TemplateResponse(request, f"{FOLDER}/grid.html", context)


def _save(request: HttpRequest, admin: Any, form: GridForm) -> HttpResponse:
    changed = policies.set_channels(form.version, form.cells)
    if changed:
        admin.log_change(request, form.version, "; ".join(changed))
    count = len(changed)
    said = f"{count} cell{'s' if count != 1 else ''} changed." if count else "Nothing was changed."
    admin.message_user(request, f"Channels of {form.version}: {said}")
    return redirect(url("policyversion_change", form.version.pk))


def _name(level: Severity, wire: Wire, audience: Audience) -> str:
    return f"{level.pk}-{wire}-{audience}"


def _heading(wire: Wire, audience: Audience) -> str:
    return "Letter by e-mail" if grid.key_of(wire, audience) == grid.LETTERS else wire.label
