"""Planned work in the console: a list, a screen, and acts; no editable state anywhere (R-501)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Case, F, IntegerField, Prefetch, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from incidents import maintenance
from incidents.admin import work_pages
from incidents.admin.deeds import DECLARE, PUBLISH
from incidents.admin.owed import Owed
from incidents.admin.preview import PHASE_COLOURS
from incidents.admin.works import STATE_COLOURS, Work, meeting, offered
from incidents.enums import AHEAD, MaintenanceState
from incidents.models import Maintenance, Obligation
from incidents.templatetags.incidents import badge, due, moment
from notifications import progress
from status import reading
from status.enums import Level, Phase
from status.models import Impact


@dataclass(frozen=True)
class Event:
    """A row of the history as people read it."""

    label: str
    at: datetime
    by: User | None
    words: str
    window: str


@admin.register(Maintenance)
class MaintenanceAdmin(ModelAdmin):
    list_display = ("named", "standing", "window", "touched", "promise")
    list_display_links = None
    list_filter = (("state", ChoicesDropdownFilter),)
    search_fields = ("reference", "title")
    list_per_page = 50
    show_full_result_count = False
    actions = None

    # --- who may what ---

    def has_view_permission(self, request: HttpRequest, obj: Maintenance | None = None) -> bool:
        wanted = ("incidents.view_maintenance", "incidents.view_incident", DECLARE, PUBLISH)
        return any(request.user.has_perm(permission) for permission in wanted)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(DECLARE)

    def has_change_permission(self, request: HttpRequest, obj: Maintenance | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Maintenance | None = None) -> bool:
        return False

    # --- pages ---

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        inherited: list[URLPattern] = super().get_urls()
        name = "incidents_maintenance"
        own = [
            path("preview/", view(work_pages.look), name=f"{name}_preview"),
            path("<int:pk>/act/<slug:slug>/", view(work_pages.act), name=f"{name}_act"),
            path("<int:pk>/act/<slug:slug>/preview/", view(work_pages.look), name=f"{name}_act_preview"),
        ]
        return own + inherited

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return work_pages.plan(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The screen. Nothing can be posted here: acts have pages of their own."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        pk = int(object_id) if object_id.isascii() and object_id.isdigit() and len(object_id) < 19 else 0
        work = get_object_or_404(base(), pk=pk)
        by = request.user
        assert isinstance(by, User)
        context = self.admin_site.each_context(request) | screen(work, by=by, at=timezone.now())
        context |= {"title": work.reference, "is_fullwidth": "1"}
        return render(request, "admin/incidents/maintenance/screen.html", context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Its screen shows all of it."""
        return redirect(reverse("admin:incidents_maintenance_change", args=[object_id]) + "#history")

    # --- the list ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Maintenance]:
        waiting = Prefetch("obligations", Obligation.objects.open().order_by("due_at"), to_attr="waiting")
        return base().prefetch_related(waiting, "components")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """What runs, what comes next, then what was, newest first."""
        place = Case(
            When(state=MaintenanceState.IN_PROGRESS, then=Value(0)),
            When(state=MaintenanceState.PLANNED, then=Value(1)),
            default=Value(2),
            output_field=IntegerField(),
        )
        ahead = Case(When(state__in=AHEAD, then=F("planned_start_at")))
        return [place, ahead.asc(nulls_last=True), F("planned_start_at").desc()]

    @admin.display(description="Maintenance", ordering="reference")
    def named(self, work: Maintenance) -> SafeString:
        link = work_pages.url_of(work)
        return format_html(
            '<a class="hg-named" href="{}"><b>{}</b> <span>{}</span></a>', link, work.title, work.reference
        )

    @admin.display(description="State", ordering="state")
    def standing(self, work: Maintenance) -> SafeString:
        words = work.get_state_display()
        if work.state == MaintenanceState.PLANNED:
            words += ", announced" if work.notice else ", not announced"
        return badge(words, STATE_COLOURS[MaintenanceState(work.state)], quiet=True)

    @admin.display(description="Window, UTC", ordering="planned_start_at")
    def window(self, work: Maintenance) -> SafeString | str:
        now, words = timezone.now(), window_in_words(work.planned_start_at, work.planned_end_at)
        if work.state == MaintenanceState.PLANNED:
            return format_html("<span>{} ({})</span>", words, moment(work.planned_start_at, now))
        return words

    @admin.display(description="Components")
    def touched(self, work: Maintenance) -> str:
        names = [component.name for component in work.components.all()]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    @admin.display(description="Owed next")
    def promise(self, work: Maintenance) -> SafeString | str:
        waiting: list[Obligation] = work.waiting  # type: ignore[attr-defined]  # to_attr of get_queryset
        next_one = next(iter(waiting), None)
        if next_one is None or next_one.due_at is None:
            return next_one.get_kind_display() if next_one else "–"
        return format_html("<span>{} {}</span>", next_one.get_kind_display(), due(next_one.due_at, timezone.now()))


def base() -> QuerySet[Maintenance]:
    """Planned work with everything a line about it needs."""
    return Maintenance.objects.select_related("severity__version__policy", "notice", "brand", "scheduled_by")


def screen(work: Maintenance, *, by: User, at: datetime) -> dict[str, Any]:
    """The context of its screen: seven queries at most, whatever its length."""
    rows = list(work.obligations.filter(dropped_at__isnull=True).select_related("maintenance"))
    owed: list[tuple[Owed, Work | None]] = [(Owed(row, at), meeting(row, by)) for row in rows if row.met_at is None]
    updates = reading.told(work.notice.updates.all()) if work.notice else []
    return {
        "work": work,
        "at": at,
        "state_colour": STATE_COLOURS[MaintenanceState(work.state)],
        "is_ahead": work.state in AHEAD,
        "is_planned": work.state == MaintenanceState.PLANNED,
        "is_running": work.state == MaintenanceState.IN_PROGRESS,
        "overruns": work.state == MaintenanceState.IN_PROGRESS and work.planned_end_at < at,
        "window": window_in_words(work.planned_start_at, work.planned_end_at),
        "phase_colour": PHASE_COLOURS.get(Phase(work.notice.phase), "blue") if work.notice else "grey",
        "waiting": owed,
        "met": [Owed(row, at) for row in rows if row.met_at],
        "sayings": [(told, PHASE_COLOURS.get(told.phase, "blue")) for told in updates],
        "components": components(work),
        "events": events(work),
        "permalink": reading.permalink(work.notice) if work.notice else "",
        "told": progress.newest(work.notice.lane) if work.notice else None,
        "deeds": offered(work, by),
    }


def components(work: Maintenance) -> list[tuple[str, Level]]:
    """Every component it concerns, with what it is at now, whoever holds it down. Two queries."""
    held: dict[int, list[str]] = {}
    impacts = Impact.objects.open().real().filter(component__maintenances=work)
    for component, level in impacts.values_list("component_id", "level"):
        held.setdefault(component, []).append(level)
    return [(one.name, Level.gravest(held.get(one.pk, []))) for one in work.components.all()]


def events(work: Maintenance) -> list[Event]:
    """Who did what when, newest first; the window where an act set it. One query."""
    setting = {maintenance.Said.SCHEDULED, maintenance.Said.RESCHEDULED, maintenance.Said.EXTENDED}
    return [
        Event(
            maintenance.Said(row.history_change_reason).label,
            row.history_date,
            row.history_user,
            row.words,
            window_in_words(row.planned_start_at, row.planned_end_at) if row.history_change_reason in setting else "",
        )
        for row in maintenance.log(work)
    ]


def window_in_words(start: datetime, end: datetime) -> str:
    """``30 Nov 02:00 – 04:00``; with both days where it ends on another."""
    first = f"{start.day} {start:%b %H:%M}"
    return (
        f"{first} – {end:%H:%M}"
        if end - start < timedelta(days=1) and end.date() == start.date()
        else (f"{first} – {end.day} {end:%b %H:%M}")
    )
