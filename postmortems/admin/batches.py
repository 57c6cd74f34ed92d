"""Batches in the console: what was handed to billing, its files, how far it is applied; and closing a month (R-905).

A GET shows and changes nothing. Every act is a POST that may come twice: a month is closed once, a credit is applied
once, and asking to be told again asks once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from incidents.admin.filters import Lines
from postmortems.admin import acts, places
from postmortems.api.asking import read_month
from postmortems.credits import book
from postmortems.credits.batches import closing, downloads, telling
from postmortems.credits.batches.closing import Total
from postmortems.enums import CreditState
from postmortems.forms.closing import AppliedForm, CloseForm
from postmortems.models import Batch, Credit
from postmortems.templatetags import money

SEE = "postmortems.view_batch"
FOLDER = "admin/postmortems/batch"
#: Lines of a batch on one page.
LINES = 50
APPLY = acts.ACTS["apply"]


@dataclass(frozen=True)
class File:
    """A download: its kind, its size in bytes, and the SHA-256 that finance compares."""

    kind: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Standing:
    """How far a batch is. ``open``: exported and not applied, by currency."""

    applied: int
    open: list[Total]
    failed: int

    @property
    def left(self) -> int:
        return sum(one.number for one in self.open)


@admin.register(Batch)
class BatchAdmin(ModelAdmin):
    list_display = ("shown_month", "shown_number", "lines", "comes_to", "how_applied", "how_told")
    list_display_links = None
    list_per_page = 50
    ordering = ("-month",)
    sortable_by: tuple[str, ...] = ()
    show_full_result_count = False
    list_before_template = f"{FOLDER}/close_next.html"

    # --- who may what ---

    def has_view_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        return request.user.has_perm(SEE)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        return False

    # --- one batch ---

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        mine = [
            path("<int:pk>/file.<str:kind>", view(file), name="postmortems_batch_file"),
            path("<int:pk>/applied/", view(applied), name="postmortems_batch_applied"),
            path("<int:pk>/tell/", view(tell), name="postmortems_batch_tell"),
        ]
        return [*mine, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a batch; acts have addresses of their own."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        pk = int(object_id) if object_id.isascii() and object_id.isdigit() and len(object_id) < 19 else 0
        return show(request, pk)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """It has no history: it never changes."""
        return redirect(reverse("admin:postmortems_batch_change", args=[object_id]))

    # --- the list ---

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        more = {"may_export": request.user.has_perm(places.EXPORT), "title": "Batches"}
        answer: HttpResponse = super().changelist_view(request, (extra_context or {}) | more)
        return answer

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[Lines]:
        return Lines

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        rows: Any = super().get_queryset(request)
        counted = Count("credits", filter=Q(credits__state=CreditState.APPLIED))
        return cast("QuerySet[Batch]", rows.light().annotate(applied=counted))

    @admin.display(description="Month")
    def shown_month(self, batch: Batch) -> SafeString:
        url = reverse("admin:postmortems_batch_change", args=[batch.pk])
        return format_html('<a class="hg-named" href="{}"><b>{}</b></a>', url, f"{batch.month:%B %Y}")

    @admin.display(description="Number")
    def shown_number(self, batch: Batch) -> str:
        return batch.number

    @admin.display(description="Credits")
    def lines(self, batch: Batch) -> str:
        return f"{batch.count:,}"

    @admin.display(description="Totals")
    def comes_to(self, batch: Batch) -> SafeString:
        sums = [(money.money(minor, currency),) for currency, minor in sorted(batch.totals.items())]
        return format_html_join(", ", "{}", sums) or SafeString("–")

    @admin.display(description="Applied")
    def how_applied(self, batch: Any) -> SafeString:
        if not batch.count:
            return SafeString("–")
        colour = "green" if batch.applied == batch.count else "blue"
        return format_html('<span class="hg-dot" data-level="{}">{} of {}</span>', colour, batch.applied, batch.count)

    @admin.display(description="Billing told")
    def how_told(self, batch: Batch) -> SafeString:
        colour, words = told(batch)
        return format_html('<span class="hg-dot" data-level="{}">{}</span>', colour, words)


def told(batch: Batch) -> tuple[str, str]:
    """Colour and words: whether the billing system outside knows of it."""
    if batch.told_at:
        return "green", f"{batch.told_at:%Y-%m-%d %H:%M} UTC"
    if batch.tell_next_at:
        return ("yellow", "tried again soon") if batch.tell_tries else ("blue", "on its way")
    return ("red", "given up") if batch.tell_error else ("grey", "nobody to tell")


# --- the page of a batch ---------------------------------------------------------------


def show(request: HttpRequest, pk: int, form: AppliedForm | None = None) -> HttpResponse:
    """Six queries beside the frame's, whatever the number of lines."""
    places.refuse_strangers(request, SEE)
    batch = get_object_or_404(Batch.objects.select_related("closed_by"), pk=pk)
    may_export = request.user.has_perm(places.EXPORT)
    context = admin.site.each_context(request) | {
        "title": f"{batch.number} · {batch.month:%B %Y}",
        "is_fullwidth": "1",
        "batch": batch,
        "totals": [Total(currency, 0, minor) for currency, minor in sorted(batch.totals.items())],
        "files": _files(batch),
        "standing": _standing(batch),
        "page": _lines(request, batch),
        "open_only": request.GET.get("open") == "1",
        "form": form or AppliedForm(offered=()),
        "ticked": request.POST.getlist("ids"),
        "may_export": may_export,
        "may_see_credits": request.user.has_perm(places.SEE),
        "told": told(batch),
        "telling_off": telling.off(),
        "far_end": urlsplit(settings.BILLING_WEBHOOK["url"]).hostname,
        "at": timezone.now(),
    }
    return render(request, f"{FOLDER}/page.html", context, status=422 if form else 200)


def _files(batch: Batch) -> list[File]:
    contents = [(kind, bytes(getattr(batch, kind))) for kind in ("xlsx", "csv", "json")]
    return [File(kind, len(content), hashlib.sha256(content).hexdigest()) for kind, content in contents]


def _standing(batch: Batch) -> Standing:
    """One query."""
    rows = Credit.objects.filter(batch=batch).order_by("currency").values_list("state", "currency")
    counted = rows.annotate(Count("pk"), Sum("amount_minor"), errors=Count("pk", filter=~Q(stripe_error="")))
    numbers: Counter[str] = Counter()
    left, failed = [], 0
    for state, currency, number, amount, errors in counted:
        numbers[state] += number
        if state == CreditState.EXPORTED:
            left.append(Total(currency, number, amount))
            failed += errors
    return Standing(numbers[CreditState.APPLIED], left, failed)


def _lines(request: HttpRequest, batch: Batch) -> Page[Credit]:
    """Two queries."""
    rows = Credit.objects.filter(batch=batch).select_related("contract_month__contract__customer")
    if request.GET.get("open") == "1":
        rows = rows.filter(state=CreditState.EXPORTED)
    rows = rows.order_by("contract_month__contract__reference", "contract_month__month", "number")
    return Paginator(rows, LINES).get_page(request.GET.get("page"))


def file(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """The stored bytes."""
    places.refuse_strangers(request, places.EXPORT)
    if kind not in downloads.TYPES:
        raise Http404("There is no such file.")
    batch = get_object_or_404(Batch.objects.only("number", kind), pk=pk)
    return downloads.answer(batch, kind, request.headers.get("If-None-Match", ""))


def applied(request: HttpRequest, pk: int) -> HttpResponse:
    """An invoice took the ticked credits, or all that are left."""
    places.refuse_strangers(request, places.EXPORT)
    page = reverse("admin:postmortems_batch_change", args=[pk])
    if request.method != "POST":
        return redirect(page)
    batch = get_object_or_404(Batch.objects.light(), pk=pk)
    left = Credit.objects.filter(batch=batch, state=CreditState.EXPORTED).order_by("pk")
    form = AppliedForm(request.POST, offered=list(left.values_list("pk", flat=True)))
    if not form.is_valid():
        return show(request, pk, form)
    outcome = book.apply(
        form.chosen, invoice=form.cleaned_data["invoice"], by=cast(User, request.user), at=timezone.now()
    )
    acts.tell(request, APPLY, outcome)
    return redirect(page)


def tell(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell the billing system from the beginning."""
    places.refuse_strangers(request, places.EXPORT)
    page = reverse("admin:postmortems_batch_change", args=[pk])
    if request.method == "POST":
        try:
            telling.again(get_object_or_404(Batch.objects.light(), pk=pk), at=timezone.now())
            messages.success(request, "It is told within half a minute.")
        except book.NotAllowed as refused:
            messages.error(request, str(refused))
    return redirect(page)


# --- closing a month -------------------------------------------------------------------


def close_next(request: HttpRequest) -> HttpResponse:
    """The page of the month that comes next, or of the one that was typed."""
    places.refuse_strangers(request, places.EXPORT)
    typed = request.GET.get("month", "").strip()
    month = read_month(typed) if typed else closing.proposed(timezone.now())
    if month is None:
        messages.error(request, f"“{typed[:20]}” is no month. Write it like 2026-10.")
        month = closing.proposed(timezone.now())
    return redirect("money:close", f"{month:%Y-%m}")


def close(request: HttpRequest, typed: str) -> HttpResponse:
    """What closing would take, and the button."""
    places.refuse_strangers(request, places.EXPORT)
    at, month = timezone.now(), read_month(typed)
    if month is None:
        raise Http404("There is no such month.")
    found = closing.preview(month, at=at)
    if found.batch:
        messages.info(request, f"{month:%B %Y} is closed: this is its batch.")
        return redirect("admin:postmortems_batch_change", found.batch.pk)
    sent = request.POST if request.method == "POST" else None
    form = CloseForm(sent, month=month, is_incomplete=found.is_incomplete)
    if request.method == "POST" and form.is_valid() and not found.refused:
        return _close(request, month, at, sure="typed" in form.cleaned_data)
    labels = [(number, CreditState(state).label) for state, number in found.waiting.items()]
    context = admin.site.each_context(request) | {
        "title": f"Close {month:%B %Y}",
        "found": found,
        "waiting": labels,
        "form": form,
        "far_end": urlsplit(settings.BILLING_WEBHOOK["url"]).hostname if telling.is_on() else "",
        "at": at,
    }
    return render(request, f"{FOLDER}/close.html", context, status=422 if request.method == "POST" else 200)


def _close(request: HttpRequest, month: date, at: datetime, *, sure: bool) -> HttpResponse:
    try:
        batch = closing.close(month, by=cast(User, request.user), at=at, sure=sure)
    except book.NotAllowed as refused:
        messages.error(request, str(refused))
        return redirect("money:close", f"{month:%Y-%m}")
    said = f"{month:%B %Y} is closed: {batch.number} holds {batch.count:,} credit{'' if batch.count == 1 else 's'}."
    if batch.closed_at != at:
        said = f"{month:%B %Y} was closed already: this is its batch."
    messages.success(request, said)
    return redirect("admin:postmortems_batch_change", batch.pk)
