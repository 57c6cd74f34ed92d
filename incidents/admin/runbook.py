"""Screens of the runbook and of the tools an incident links to (R-208, R-1204)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from unfold.admin import ModelAdmin

from incidents import runbook
from incidents.enums import StepKind
from incidents.models import RunbookStep, Tool
from notifications.admin.pasts import PastsAdmin

from .policy_forms import CleanText


class StepForm(CleanText):
    class Meta:
        model = RunbookStep
        fields = ("kind", "name", "slug", "hint", "risk", "minutes", "position", "is_active")
        help_texts = {
            "slug": "What the timeline knows it by. It stays when the name changes.",
            "minutes": "How long it takes, of mitigation options.",
            "position": "Smaller ones come first.",
            "is_active": "Off: new incidents no longer show it.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("kind") == StepKind.CHECK:
            for name, words in (("risk", "A check has no risk."), ("minutes", "A check takes no fixed time.")):
                if cleaned.get(name) not in ("", None):
                    self.add_error(name, f"{words} Leave this blank, or make it a mitigation option.")
        return cleaned


class ToolForm(CleanText):
    class Meta:
        model = Tool
        fields = ("name", "kind", "url", "component", "position", "is_active")
        labels = {"url": "Address"}
        help_texts = {"position": "Smaller ones come first."}

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        try:
            runbook.check_address(url)
        except ValidationError as refused:
            raise ValidationError(refused.messages) from None
        return url


@admin.register(RunbookStep)
class RunbookStepAdmin(PastsAdmin, ModelAdmin):
    """A line is taken out of use rather than deleted: timelines name it."""

    form = StepForm
    list_display = ("name", "kind", "risk", "takes", "is_active")
    list_filter = ("kind", "is_active")
    list_filter_submit = True
    search_fields = ("name", "hint")
    actions = None

    @admin.display(description="Takes", ordering="minutes")
    def takes(self, step: RunbookStep) -> str:
        return f"{step.minutes} min" if step.minutes else "—"

    def get_readonly_fields(self, request: Any, obj: RunbookStep | None = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def get_prepopulated_fields(self, request: Any, obj: RunbookStep | None = None) -> dict[str, Any]:
        return {} if obj else {"slug": ("name",)}


@admin.register(Tool)
class ToolAdmin(PastsAdmin, ModelAdmin):
    form = ToolForm
    list_display = ("name", "kind", "component", "is_active")
    list_filter = ("kind", "is_active")
    list_filter_submit = True
    list_select_related = ("component",)
    search_fields = ("name", "url")
    actions = None
