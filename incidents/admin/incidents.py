"""Incidents in the console: a list, a screen, and acts; no editable state anywhere (R-201, R-1201)."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from incidents.admin import assistant, entering, kin, live, pages, screen, told
from incidents.admin.deeds import DECLARE
from incidents.admin.earlier import earlier
from incidents.admin.filters import HowBad, Lines, Mine, Security, StillOpen
from incidents.admin.places import log_url
from incidents.enums import State
from incidents.models import Incident, Obligation
from incidents.templatetags.incidents import RANK_COLOURS, ago, badge, due, moment
from notifications import progress

#: How a reference begins.
REFERENCE = re.compile(r"INC-[0-9]{4}-[0-9]*")
#: What htmx takes for the end of asking.
STOP_ASKING = 286


@admin.register(Incident)
class IncidentAdmin(ModelAdmin):
    list_display = ("named", "level", "standing", "lasting", "promise", "touched")
    list_display_links = None
    list_filter = (
        StillOpen,
        Mine,
        HowBad,
        Security,
        ("state", ChoicesDropdownFilter),
        ("severity__version__policy", RelatedDropdownFilter),
        ("origin", ChoicesDropdownFilter),
    )
    list_filter_submit = True
    search_fields = ("reference", "title")
    ordering = ("-declared_at", "-pk")
    list_per_page = 50
    show_full_result_count = False
    actions = None

    # --- who may what ---

    def has_view_permission(self, request: HttpRequest, obj: Incident | None = None) -> bool:
        return any(request.user.has_perm(right) for right in screen.MAY_LOOK)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(DECLARE)

    def has_change_permission(self, request: HttpRequest, obj: Incident | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Incident | None = None) -> bool:
        return False

    # --- pages ---

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        inherited: list[URLPattern] = super().get_urls()
        own = [
            path("preview/", view(pages.look), name="incidents_incident_preview"),
            path("alike/", view(kin.alike), name="incidents_incident_alike"),
            path("<int:pk>/enter/", view(entering.enter), name="incidents_incident_enter"),
            path("earlier-words/", view(earlier), name="incidents_incident_earlier"),
            path("<int:pk>/earlier-words/", view(earlier), name="incidents_incident_earlier_for"),
            path("propose/", view(assistant.propose), name="incidents_incident_propose"),
            path(
                "<int:pk>/act/correct/<slug:update>/",
                view(partial(pages.act, slug="correct")),
                name="incidents_incident_correct",
            ),
            path(
                "<int:pk>/act/correct/<slug:update>/preview/",
                view(partial(pages.look, slug="correct")),
                name="incidents_incident_correct_preview",
            ),
            path(
                "<int:pk>/act/correct/<slug:update>/kept/",
                view(partial(live.keep, slug="correct")),
                name="incidents_incident_correct_keep",
            ),
            path("kept/", view(live.keep), name="incidents_incident_keep"),
            path("<int:pk>/messages/", view(self.messages), name="incidents_incident_messages"),
            path("<int:pk>/body/", view(live.body), name="incidents_incident_body"),
            path("<int:pk>/earlier/", view(live.earlier), name="incidents_incident_timeline"),
            path("<int:pk>/pulse/", view(live.pulse), name="incidents_incident_pulse"),
            path("<int:pk>/act/<slug:slug>/kept/", view(live.keep), name="incidents_incident_act_keep"),
            path("<int:pk>/act/<slug:slug>/", view(pages.act), name="incidents_incident_act"),
            path("<int:pk>/act/<slug:slug>/preview/", view(pages.look), name="incidents_incident_act_preview"),
        ]
        return own + inherited

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return pages.declare(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The screen. Nothing can be posted here: acts have pages of their own."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        pk = int(object_id) if object_id.isascii() and object_id.isdigit() and len(object_id) < 19 else 0
        if behind := entering.locked(request, pk):
            return entering.door(request, behind)
        incident = live.known(request, pk)
        context = self.admin_site.each_context(request) | live.context_of(request, incident)
        context |= {"title": incident.reference, "is_fullwidth": "1"}
        return render(request, "admin/incidents/incident/screen.html", context)

    def messages(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The card of the newest update's messages, again; 286 tells the page to ask no more."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        incident = get_object_or_404(Incident.objects.visible_to(request.user).select_related("notice"), pk=pk)
        newest = progress.newest(incident.notice.lane) if incident.notice else None
        context = told.messages(incident, newest, timezone.now())
        context |= {"incident": incident, "log_url": log_url(request, incident), "again": True}
        status = 200 if context["pace"] else STOP_ASKING
        return render(request, "admin/incidents/incident/messages.html", context, status=status)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The timeline is the history."""
        return redirect(reverse("admin:incidents_incident_change", args=[object_id]) + "#timeline")

    # --- the list ---

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[Lines]:
        return Lines

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Incident], search_term: str
    ) -> tuple[QuerySet[Incident], bool]:
        """A reference, or its beginning, is found by its index; other words are looked for in every line."""
        typed = search_term.strip().upper()
        if REFERENCE.fullmatch(typed):
            return queryset.filter(reference__startswith=typed), False
        found: tuple[QuerySet[Incident], bool] = super().get_search_results(request, queryset, search_term)
        return found

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        waiting = Prefetch("obligations", Obligation.objects.open().order_by("due_at"), to_attr="waiting")
        return screen.base().visible_to(request.user).prefetch_related(waiting, "notice__components")

    @admin.display(description="Incident", ordering="reference")
    def named(self, incident: Incident) -> SafeString:
        link = pages.url_of(incident)
        return format_html(
            '<a class="hg-named" href="{}"><b>{}</b> <span>{}</span></a>', link, incident.title, incident.reference
        )

    @admin.display(description="Severity", ordering="severity__rank")
    def level(self, incident: Incident) -> SafeString:
        return badge(str(incident.severity), RANK_COLOURS[incident.severity.rank])

    @admin.display(description="State", ordering="state")
    def standing(self, incident: Incident) -> SafeString:
        return badge(incident.get_state_display(), screen.STATE_COLOURS[State(incident.state)], quiet=True)

    @admin.display(description="Hurt for", ordering="started_at")
    def lasting(self, incident: Incident) -> str:
        return ago(screen.span_of_impact(incident, timezone.now()))

    @admin.display(description="Owed next")
    def promise(self, incident: Incident) -> SafeString | str:
        waiting: list[Obligation] = incident.waiting  # type: ignore[attr-defined]  # to_attr of get_queryset
        next_one = next(iter(waiting), None)
        if next_one is None:
            return "–"
        now = timezone.now()
        if next_one.due_at is None or next_one.limit_at is None:
            return next_one.get_kind_display()
        when = due(next_one.limit_at, now) if next_one.limit_at <= now else moment(next_one.due_at, now)
        return format_html("{} {}", next_one.get_kind_display(), when)

    @admin.display(description="Components")
    def touched(self, incident: Incident) -> str:
        if incident.notice is None:
            return "not public"
        names = [component.name for component in incident.notice.components.all()]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "none"
