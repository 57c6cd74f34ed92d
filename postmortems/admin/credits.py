"""Credits in the console: a list to narrow and to act on, and a page for each; no editable state (R-904, R-1201)."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from notifications.admin.log import ShortPaginator
from postmortems.admin import acts, places, story
from postmortems.admin.credit_filters import (
    CurrencyFilter,
    CustomerFilter,
    KindFilter,
    Lines,
    Mine,
    MonthFilter,
    StateFilter,
)
from postmortems.credits.finance import why
from postmortems.enums import WAITING
from postmortems.models import Credit, Touch
from postmortems.templatetags import money

#: What a search for an incident begins with.
INCIDENT = "INC-"
#: So many incidents of a credit are named in the list.
NAMED = 2


@admin.register(Credit)
class CreditAdmin(ModelAdmin):
    list_display = ("named", "month", "amount", "standing", "waits", "incidents")
    list_display_links = None
    list_filter = (StateFilter, Mine, MonthFilter, KindFilter, CurrencyFilter, CustomerFilter)
    list_filter_submit = True
    list_per_page = 50
    ordering = ("-proposed_at", "-id")
    sortable_by: tuple[str, ...] = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = ShortPaginator
    # What is searched is said in get_search_results; the box only shows when something stands here.
    search_fields = ("contract_month__contract__reference",)
    search_help_text = "Customer, contract or INC-…"
    actions = ("approve", "give_back", "stop", "keep", "mark_applied")

    # --- who may what ---

    def has_view_permission(self, request: HttpRequest, obj: Credit | None = None) -> bool:
        return request.user.has_perm(places.SEE)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Credit | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Credit | None = None) -> bool:
        return False

    def has_approve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(places.APPROVE)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(places.EXPORT)

    # --- one credit ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a credit. Nothing can be posted here: acts have pages of their own."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        places.refuse_strangers(request)
        pk = int(object_id) if object_id.isascii() and object_id.isdigit() and len(object_id) < 19 else 0
        credit = get_object_or_404(story.rows(), pk=pk)
        context = self.admin_site.each_context(request) | story.of(
            credit, by=cast(User, request.user), at=timezone.now()
        )
        context |= {"title": f"Credit {credit.key}", "opts": self.opts, "is_fullwidth": "1"}
        return render(request, "admin/postmortems/credit/page.html", context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What was done with it stands on its page."""
        return redirect(reverse("admin:postmortems_credit_change", args=[object_id]) + "#deeds")

    # --- the list ---

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[Lines]:
        return Lines

    def get_queryset(self, request: HttpRequest) -> QuerySet[Credit]:
        rows: QuerySet[Credit] = super().get_queryset(request)
        rows = rows.select_related("contract_month__contract__customer", "assessment__rules", "first_by")
        return rows.defer("assessment__inputs", "assessment__facts")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Credit], search_term: str
    ) -> tuple[QuerySet[Credit], bool]:
        """An incident by its reference, a contract by the beginning of its number, a customer by number or name."""
        typed = search_term.replace("\x00", "").strip()
        if not typed:
            return queryset, False
        if typed.upper().startswith(INCIDENT):
            hit = Touch.objects.filter(contract_month=OuterRef("contract_month"), incident__reference=typed.upper())
            return queryset.filter(Exists(hit)), False
        contract = "contract_month__contract__"
        found = (
            Q(**{f"{contract}reference__istartswith": typed})
            | Q(**{f"{contract}customer__reference__iexact": typed})
            | Q(**{f"{contract}customer__name__icontains": typed})
        )
        return queryset.filter(found), False

    def _chosen(self, request: HttpRequest, slug: str, rows: QuerySet[Credit]) -> HttpResponse:
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[: acts.MOST + 1])
        return acts.show(
            request, acts.ACTS[slug], ids[: acts.MOST], back=request.get_full_path(), more=len(ids) > acts.MOST
        )

    @admin.action(description="Approve", permissions=["approve"])
    def approve(self, request: HttpRequest, rows: QuerySet[Credit]) -> HttpResponse:
        return self._chosen(request, "approve", rows)

    @admin.action(description="Return", permissions=["approve"])
    def give_back(self, request: HttpRequest, rows: QuerySet[Credit]) -> HttpResponse:
        return self._chosen(request, "return", rows)

    @admin.action(description="Stop the holding time", permissions=["approve"])
    def stop(self, request: HttpRequest, rows: QuerySet[Credit]) -> HttpResponse:
        return self._chosen(request, "stop", rows)

    @admin.action(description="Customer keeps it", permissions=["approve"])
    def keep(self, request: HttpRequest, rows: QuerySet[Credit]) -> HttpResponse:
        return self._chosen(request, "keep", rows)

    @admin.action(description="Mark as applied", permissions=["export"])
    def mark_applied(self, request: HttpRequest, rows: QuerySet[Credit]) -> HttpResponse:
        return self._chosen(request, "apply", rows)

    @admin.display(description="Credit")
    def named(self, credit: Credit) -> SafeString:
        contract = credit.contract_month.contract
        return format_html(
            '<a class="hg-named" href="{}"><b>{}</b> <span>{}</span></a>',
            places.url_of(credit),
            contract.customer.name,
            contract.reference,
        )

    @admin.display(description="Month and kind")
    def month(self, credit: Credit) -> SafeString:
        shown, kind = f"{credit.contract_month.month:%b %Y}", credit.get_kind_display()
        return format_html('<span class="hg-when">{}<small class="hg-why">{}</small></span>', shown, kind)

    @admin.display(description="Amount")
    def amount(self, credit: Credit) -> SafeString:
        return money.money(credit.amount_minor, credit.currency)

    @admin.display(description="State")
    def standing(self, credit: Credit) -> SafeString:
        return money.state(credit.state)

    @admin.display(description="Why it waits")
    def waits(self, credit: Credit) -> SafeString | str:
        found: why.Why = credit.why  # type: ignore[attr-defined]  # put there by Lines
        if credit.state not in WAITING:
            return ""
        if not found.words:
            return format_html('<span class="hg-long">{}</span>', found.aside)
        aside = format_html('<small class="hg-why">{}</small>', found.aside) if found.aside else ""
        return format_html('<span class="hg-long">{}{}</span>', found.words, aside)

    @admin.display(description="Incidents")
    def incidents(self, credit: Credit) -> SafeString | str:
        references = why.incidents_of(credit)
        more = [f"and {len(references) - NAMED} more"] if len(references) > NAMED else []
        lines = ((one,) for one in [*references[:NAMED], *more])
        return format_html_join("", '<span class="hg-when hg-block">{}</span>', lines) or "–"
