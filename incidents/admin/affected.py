"""Is customer X affected? One screen from a name to a reply that can be pasted (R-1305)."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from incidents import answers
from incidents.affected import FEWEST, affected, by_reference, find
from notifications.models import Customer

#: Who may ask: what is shown is a customer's, and an incident's.
NEEDED = ("notifications.view_customer", "incidents.view_incident")


def url_of(customer: Customer) -> str:
    return reverse("desk:affected_customer", args=[customer.reference])


def search(request: HttpRequest) -> HttpResponse:
    """Customers by what was typed; the only one there is, is shown at once. One query."""
    _refuse_strangers(request)
    typed = request.GET.get("q", "").replace("\x00", "").strip()[:120]
    found, more = find(typed)
    if len(found) == 1:
        return redirect(url_of(found[0]))
    context = {
        "title": "Is customer X affected?",
        "typed": typed,
        "found": [(customer, url_of(customer)) for customer in found],
        "more": more,
        "too_short": 0 < len(typed) < FEWEST,
    }
    return _page(request, "admin/incidents/affected/search.html", context)


def customer(
    request: HttpRequest,
    reference: str,
    *,
    template: str = "admin/incidents/affected/customer.html",
    more: Callable[[HttpRequest, Customer], dict[str, object]] | None = None,
) -> HttpResponse:
    """The answer about one customer; the floor above shows ``more`` in a template of its own."""
    _refuse_strangers(request)
    asked = get_object_or_404(by_reference(reference))
    found = affected(asked, user=request.user, at=timezone.now())
    may_see = request.user.has_perm("notifications.view_delivery")
    log = f"{reverse('admin:notifications_delivery_changelist')}?customer={asked.reference}" if may_see else ""
    context = {
        "title": asked.name,
        "found": found,
        "replies": answers.replies(found),
        "customer_url": reverse("admin:notifications_customer_change", args=[asked.pk]),
        "log_url": log,
    }
    return _page(request, template, context | (more(request, asked) if more else {}))


def _page(request: HttpRequest, template: str, context: dict[str, object]) -> HttpResponse:
    frame = admin.site.each_context(request) | {"is_fullwidth": "1"}
    return render(request, template, frame | context)


def _refuse_strangers(request: HttpRequest) -> None:
    if not request.user.has_perms(NEEDED):
        raise PermissionDenied
