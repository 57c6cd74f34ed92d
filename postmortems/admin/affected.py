"""Is customer X affected, with what it will cost: the screen of the floor below, and a card more (R-1305)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from incidents.admin import affected
from notifications.models import Customer
from postmortems.credits.assessing.estimates import estimates


def customer(request: HttpRequest, reference: str) -> HttpResponse:
    """The answer about one customer. Amounts are for those who may see credits."""
    return affected.customer(request, reference, template="admin/postmortems/affected/customer.html", more=_credits)


def _credits(request: HttpRequest, asked: Customer) -> dict[str, object]:
    if not request.user.has_perm("postmortems.view_credit"):
        return {}
    return {"shows_credits": True, "credits": estimates(asked, at=timezone.now())}
