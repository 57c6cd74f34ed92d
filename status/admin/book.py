"""The public book and the ledger, to read. Acts on incidents write them; nobody edits them here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from status.enums import Level
from status.models import Impact, Notice, NoticeUpdate


class ReadOnly:
    """Nothing is added, changed or deleted on this screen."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class StandingFilter(DropdownFilter):
    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("past", "Over"), ("withdrawn", "False alarms")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Notice]) -> QuerySet[Notice]:
        match self.value():
            case "open":
                return queryset.filter(withdrawn_at__isnull=True, resolved_at__isnull=True)
            case "past":
                return queryset.filter(withdrawn_at__isnull=True, resolved_at__isnull=False)
            case "withdrawn":
                return queryset.filter(withdrawn_at__isnull=False)
        return queryset


class UpdateInline(ReadOnly, TabularInline):
    """What was said, with corrections as rows of their own (R-205)."""

    model = NoticeUpdate
    fields = ["seq", "phase", "posted_at", "words", "next_update_by", "corrected"]
    readonly_fields = ["words", "corrected"]
    extra = 0
    ordering = ["-seq"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[NoticeUpdate]:
        found: QuerySet[NoticeUpdate] = super().get_queryset(request)
        return found.select_related("corrects", "notice")

    @display(description="Words")
    def words(self, update: NoticeUpdate) -> SafeString:
        # Made harmless when it was published (status.markup, S09).
        return mark_safe(update.html)  # noqa: S308

    @display(description="Corrects")
    def corrected(self, update: NoticeUpdate) -> str:
        return f"no. {update.corrects.seq}" if update.corrects else ""


@admin.register(Notice)
class NoticeAdmin(ReadOnly, ModelAdmin):
    list_display = ["reference", "title", "kind", "phase", "impact", "started_at", "resolved_at"]
    list_filter = [StandingFilter, ("kind", ChoicesDropdownFilter), ("impact", ChoicesDropdownFilter)]
    list_filter_submit = True
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["reference", "title"]
    ordering = ["-published_at"]
    inlines = [UpdateInline]
    fields = [
        "reference", "page", "title", "kind", "phase", "impact", "affected",
        "started_at", "published_at", "monitoring_at", "resolved_at", "withdrawn_at", "next_update_by",
    ]  # fmt: skip
    readonly_fields = ["page", "affected"]

    @display(description="Public page")
    def page(self, notice: Notice) -> SafeString:
        address = f"/status/incidents/{notice.public_id}"
        return format_html('<a class="underline" href="{}">{}</a>', address, address)

    @display(description="Affected components")
    def affected(self, notice: Notice) -> str:
        return ", ".join(component.name for component in notice.components.all()) or "None"


@admin.register(Impact)
class ImpactAdmin(ReadOnly, ModelAdmin):
    """Which source held which component at which level, from when to when, and when we wrote it (R-1302)."""

    list_display = ["component", "reached", "source", "began_at", "ended_at", "recorded_at", "counts"]
    list_filter = [("component", RelatedDropdownFilter), ("level", ChoicesDropdownFilter)]
    list_filter_submit = True
    list_select_related = ["component"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["source", "component__name"]
    ordering = ["-began_at"]

    @display(
        description="Level",
        ordering="level",
        label={
            Level.MAINTENANCE.label: "info",
            Level.DEGRADED.label: "warning",
            Level.PARTIAL.label: "warning",
            Level.MAJOR.label: "danger",
        },
    )
    def reached(self, impact: Impact) -> str:
        return Level(impact.level).label

    @display(description="Counts", boolean=True)
    def counts(self, impact: Impact) -> bool:
        return impact.voided_at is None
