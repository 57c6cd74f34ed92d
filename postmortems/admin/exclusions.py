"""Time that does not count: a list, a form that says what it touches before it is saved, and withdrawing (R-902)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from incidents.admin.filters import Lines
from incidents.models import Incident
from incidents.templatetags.incidents import badge, exact, who
from postmortems.admin import places
from postmortems.credits import book
from postmortems.credits.book import excluding, touching
from postmortems.enums import ExclusionKind
from postmortems.forms.credits import ReasonForm
from postmortems.forms.exclusions import ExclusionForm
from postmortems.models import Exclusion

LIST = "admin:postmortems_exclusion_changelist"
#: The same exclusion by the same person within so long is the same form, sent again.
_SAME = ("incident", "customer", "kind", "starts_at", "ends_at", "reason")


class StandingFilter(admin.SimpleListFilter):
    title = "whether it holds"
    parameter_name = "holds"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Holds"), ("no", "Withdrawn")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Exclusion]) -> QuerySet[Exclusion]:
        return queryset.filter(withdrawn_at__isnull=self.value() == "yes") if self.value() else queryset


@admin.register(Exclusion)
class ExclusionAdmin(ModelAdmin):
    list_display = ("named", "customer_shown", "kind", "span", "made", "standing")
    list_display_links = None
    list_filter = (StandingFilter, ("kind", ChoicesDropdownFilter))
    list_per_page = 50
    ordering = ("-made_at", "-id")
    sortable_by: tuple[str, ...] = ()
    show_full_result_count = False
    search_fields = ("incident__reference", "customer__reference", "customer__name")
    actions = None

    # --- who may what ---

    def has_view_permission(self, request: HttpRequest, obj: Exclusion | None = None) -> bool:
        return request.user.has_perm("postmortems.view_exclusion") or request.user.has_perm(places.EXCLUDE)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(places.EXCLUDE)

    def has_change_permission(self, request: HttpRequest, obj: Exclusion | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Exclusion | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[Lines]:
        return Lines

    def get_queryset(self, request: HttpRequest) -> QuerySet[Exclusion]:
        """Of incidents that this person may know of (R-213)."""
        hidden = Incident.objects.filter(is_restricted=True)
        known = Q(incident__is_restricted=False) | Q(incident__in=hidden.visible_to(request.user))
        rows: QuerySet[Exclusion] = super().get_queryset(request)
        return rows.filter(known).select_related("incident", "customer", "made_by", "withdrawn_by")

    # --- pages ---

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        inherited: list[URLPattern] = super().get_urls()
        mine = path("<int:pk>/withdraw/", view(self.withdraw), name="postmortems_exclusion_withdraw")
        return [mine, *inherited]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Typed, then shown what it touches, then saved: the second POST of the same form acts."""
        places.refuse_strangers(request, places.EXCLUDE)
        at, by = timezone.now(), cast(User, request.user)
        if request.method != "POST":
            form = ExclusionForm(initial={"incident": request.GET.get("incident", "")[:20]}, by=by, at=at)
            return self._show(request, form)
        form = ExclusionForm(request.POST, by=by, at=at)
        if not form.is_valid():
            form.focus()
            return self._show(request, form)
        known = form.cleaned_data
        chosen = {name: known[name] for name in _SAME} | {"kind": ExclusionKind(known["kind"])}
        if request.POST.get("seen") != touching.name_of(chosen):
            touched = touching.touched(**{name: chosen[name] for name in touching.READ}, at=at)
            return self._show(request, form, touched=touched, seen=touching.name_of(chosen))
        return self._exclude(request, form, chosen, by, at)

    def _exclude(
        self, request: HttpRequest, form: ExclusionForm, chosen: dict[str, Any], by: User, at: datetime
    ) -> HttpResponse:
        try:
            made, is_new = touching.exclude_once(**chosen, by=by, at=at)
        except book.NotAllowed as refused:
            form.add_error(None, str(refused))
            return self._show(request, form)
        said = "The worker assesses what it touches; proposals follow." if is_new else "It is excluded already."
        messages.success(request, f"{made.incident.reference}: time excluded. {said}")
        return redirect(LIST)

    def _show(self, request: HttpRequest, form: ExclusionForm, **more: Any) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "title": "Exclude time from credits",
            "opts": self.opts,
            "form": form,
            "back": reverse(LIST),
        }
        return render(request, "admin/postmortems/exclusion/add.html", context | more)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Never edited; its page shows it and offers to withdraw it."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return self._one(request, self._known(request, object_id), ReasonForm())

    def withdraw(self, request: HttpRequest, pk: int) -> HttpResponse:
        """It counts no longer. POST only; the reason stays with it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        places.refuse_strangers(request, places.EXCLUDE)
        found, form = self._known(request, str(pk)), ReasonForm(request.POST)
        if not form.is_valid():
            form.focus()
            return self._one(request, found, form)
        try:
            excluding.withdraw(
                found, reason=form.cleaned_data["reason"], by=cast(User, request.user), at=timezone.now()
            )
        except book.NotAllowed as refused:
            messages.info(request, str(refused))
            return redirect(LIST)
        messages.success(request, f"{found.incident.reference}: the time counts again. Proposals follow.")
        return redirect(LIST)

    def _known(self, request: HttpRequest, object_id: str) -> Exclusion:
        if not self.has_view_permission(request):
            raise Http404
        pk = int(object_id) if object_id.isascii() and object_id.isdigit() and len(object_id) < 19 else 0
        return get_object_or_404(self.get_queryset(request), pk=pk)

    def _one(self, request: HttpRequest, found: Exclusion, form: ReasonForm) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "title": f"Excluded time · {found.incident.reference}",
            "opts": self.opts,
            "exclusion": found,
            "form": form,
            "may_withdraw": found.withdrawn_at is None and request.user.has_perm(places.EXCLUDE),
            "incident_url": reverse("admin:incidents_incident_change", args=[found.incident_id])
            if request.user.has_perm("incidents.view_incident")
            else "",
        }
        return render(request, "admin/postmortems/exclusion/page.html", context)

    # --- the list ---

    @admin.display(description="Incident")
    def named(self, row: Exclusion) -> SafeString:
        link = reverse("admin:postmortems_exclusion_change", args=[row.pk])
        return format_html(
            '<a class="hg-named" href="{}"><b>{}</b> <span>{}</span></a>', link, row.incident.reference, row.reason[:80]
        )

    @admin.display(description="Customer")
    def customer_shown(self, row: Exclusion) -> str:
        return row.customer.name if row.customer else "all"

    @admin.display(description="Time")
    def span(self, row: Exclusion) -> SafeString:
        return format_html('<span class="hg-long">{}</span>', span_words(row))

    @admin.display(description="By")
    def made(self, row: Exclusion) -> str:
        return who(row.made_by)

    @admin.display(description="State")
    def standing(self, row: Exclusion) -> SafeString:
        return badge("Withdrawn", "grey") if row.withdrawn_at else badge("Holds", "blue")


def span_words(row: Exclusion) -> str:
    """``2026-10-06 12:00:00 UTC to the end``."""
    if row.starts_at is None and row.ends_at is None:
        return "all of it"
    start = exact(row.starts_at) if row.starts_at else "the beginning"
    return f"{start} to {exact(row.ends_at) if row.ends_at else 'the end'}"
