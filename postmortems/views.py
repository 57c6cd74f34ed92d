"""What customers see of their credits, by a link that is the only key (R-906). Nothing changes here."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from notifications.models import Brand
from postmortems.credits import statements
from postmortems.credits.statements import printing, statement_links

#: The link opens the page for whoever has it: nobody keeps, finds or passes on its address.
HEADERS = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}


@require_safe
def statement(request: HttpRequest, token: str) -> HttpResponse:
    """Everything that stands, newest month first."""
    at = timezone.now()
    customer = statement_links.holder(token, at=at)
    if customer is None:
        return _nothing(request)
    found = statements.statement(customer, at=at)
    context = {"statement": found, "brand": found.brand, "token": token, "no_pdf": printing.missing()}
    return _secret(render(request, "postmortems/statement.html", context))


@require_safe
def pdf(request: HttpRequest, token: str) -> HttpResponse:
    """The same as a file."""
    at = timezone.now()
    customer = statement_links.holder(token, at=at)
    if customer is None or printing.missing():
        return _nothing(request)
    found = statements.statement(customer, at=at)
    named = {"Content-Disposition": f'attachment; filename="{printing.filename(found)}"'}
    return _secret(HttpResponse(printing.printed(found), content_type="application/pdf", headers=named))


def _nothing(request: HttpRequest) -> HttpResponse:
    """Unknown, expired and revoked look the same."""
    context = {"brand": Brand.objects.filter(is_default=True).first()}
    return _secret(render(request, "postmortems/statement_gone.html", context, status=404))


def _secret(response: HttpResponse) -> HttpResponse:
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response
