"""Addresses of screens about money, for those who may see them."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from incidents.models import Incident
from postmortems.models import Credit

SEE, APPROVE, GRANT = "postmortems.view_credit", "postmortems.approve_credit", "postmortems.grant_credit"
EXPORT, EXCLUDE = "postmortems.export_credit", "postmortems.exclude_time"
LIST = "admin:postmortems_credit_changelist"


def url_of(credit: Credit) -> str:
    return reverse("admin:postmortems_credit_change", args=[credit.pk])


def month_url(pk: int) -> str:
    return reverse("money:month", args=[pk])


def exclude_url(incident: Incident) -> str:
    """The form that takes time out of this incident."""
    return f"{reverse('admin:postmortems_exclusion_add')}?incident={incident.reference}"


def back(request: HttpRequest, usual: str) -> str:
    """Where a form goes on to: an address of ours that it was opened with, or the usual one."""
    asked = request.POST.get("back") or request.GET.get("back", "")
    # Not a word alone: it would be taken for the name of a screen.
    return asked if asked.startswith("/") and url_has_allowed_host_and_scheme(asked, {request.get_host()}) else usual


def there(name: str, *args: object) -> str:
    """An address by its name; "" while that screen does not exist."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


def refuse_strangers(request: HttpRequest, needed: str = SEE) -> None:
    if not request.user.has_perm(needed):
        raise PermissionDenied
