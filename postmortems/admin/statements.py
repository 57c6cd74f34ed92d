"""A customer's statement in the console: what they see, who was told, and their links (R-906)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from notifications.models import Contact, Customer
from postmortems.admin import places
from postmortems.credits import statements
from postmortems.credits.statements import Statement, correspondence, printing, statement_links
from postmortems.credits.stripe import balances
from postmortems.enums import WAITING, CreditState
from postmortems.forms.statements import LinkForm
from postmortems.models import Credit, StatementLink

#: So many waiting credits, and links, are shown.
SHOWN = 20


@require_safe
def statement(request: HttpRequest, pk: int) -> HttpResponse:
    places.refuse_strangers(request)
    return _page(request, _customer(pk), LinkForm(customer=_customer(pk)), at=timezone.now())


@require_safe
def pdf(request: HttpRequest, pk: int) -> HttpResponse:
    """The months that the page shows, as a file for the customer."""
    places.refuse_strangers(request)
    first, last, _ = _asked(request, timezone.now())
    found = statements.statement(_customer(pk), at=timezone.now(), first=first, last=last)
    try:
        content = printing.printed(found)
    except printing.Unprintable as reason:
        messages.error(request, str(reason))
        return redirect("money:statement", pk)
    name = printing.filename(found)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store, private"}
    return HttpResponse(content, content_type="application/pdf", headers=headers)


@require_POST
def give_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Mail contacts a link each, or show one: only here and now, because only its hash is kept."""
    places.refuse_strangers(request, places.EXPORT)
    customer, at, by = _customer(pk), timezone.now(), cast(User, request.user)
    form = LinkForm(request.POST, customer=customer)
    if not form.is_valid():
        return _page(request, customer, form, at=at)
    contacts = list(form.cleaned_data["contacts"])
    if contacts:
        to = correspondence.mail_links(customer, contacts, by=by, at=at)
        _say_mailed(request, to, len(contacts))
        return redirect("money:statement", pk)
    url = statement_links.make(customer, given_to=form.cleaned_data["given_to"], by=by, at=at)
    response = _page(request, customer, LinkForm(customer=customer), at=at, fresh=url)
    response.headers["Cache-Control"] = "no-store, private"
    return response


@require_POST
def revoke_link(request: HttpRequest, pk: int) -> HttpResponse:
    """One link, or (without one) all of the customer's."""
    places.refuse_strangers(request, places.EXPORT)
    customer, at, by = _customer(pk), timezone.now(), cast(User, request.user)
    if asked := request.POST.get("link", ""):
        links = StatementLink.objects.filter(customer=customer)
        statement_links.revoke(get_object_or_404(links, pk=asked if asked.isdecimal() else 0), by=by, at=at)
        messages.success(request, "The link opens nothing any more.")
    else:
        count = statement_links.revoke_all(customer, by=by, at=at)
        messages.success(request, f"Links revoked: {count}.")
    return redirect("money:statement", pk)


@require_POST
def ask_stripe_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Once more what Stripe refused for good, after somebody set it right there."""
    places.refuse_strangers(request, places.EXPORT)
    refused = _refused(_customer(pk)).values_list("pk", flat=True)
    count = balances.try_again(list(refused), by=cast(User, request.user), at=timezone.now())
    messages.success(request, f"Stripe is asked again within a minute for {count} credit{'' if count == 1 else 's'}.")
    return redirect("money:statement", pk)


def _page(request: HttpRequest, customer: Customer, form: LinkForm, *, at: datetime, fresh: str = "") -> HttpResponse:
    first, last, error = _asked(request, at)
    found = statements.statement(customer, at=at, first=first, last=last)
    context = admin.site.each_context(request) | {
        "title": f"Statement · {customer.name}",
        "is_fullwidth": "1",
        "statement": found,
        "customer": customer,
        "first": f"{first:%Y-%m}",
        "last": f"{last:%Y-%m}",
        "error": error,
        "no_pdf": printing.missing(),
        "waiting": _waiting(customer),
        "untold": _untold(found),
        "contacts": Contact.objects.filter(customer=customer).count(),
        "refused": list(_refused(customer)[:SHOWN]),
        "stripe": balances.state(),
        "links": statement_links.shown(customer, SHOWN),
        "at": at,
        "form": form,
        "fresh": fresh,
        "may_give": request.user.has_perm(places.EXPORT),
        "may_see_customer": request.user.has_perm("notifications.view_customer"),
    }
    return render(request, "admin/postmortems/statement/page.html", context)


def _customer(pk: int) -> Customer:
    return get_object_or_404(Customer, pk=pk)


def _waiting(customer: Customer) -> list[Credit]:
    """What the customer does not see yet. One query."""
    found = Credit.objects.filter(contract_month__contract__customer=customer, state__in=WAITING)
    return list(found.select_related("contract_month__contract")[:SHOWN])


def _refused(customer: Customer) -> Any:
    """What Stripe did not take."""
    found = Credit.objects.filter(contract_month__contract__customer=customer, state=CreditState.EXPORTED)
    return found.exclude(stripe_error="").select_related("contract_month__contract")


def _untold(found: Statement) -> int:
    """Credits of the statement that were applied, and of which nobody was told."""
    credits = [item.credit for month in found.months for item in month.items]
    return sum(credit.state == CreditState.APPLIED and credit.told_at is None for credit in credits)


def _asked(request: HttpRequest, at: datetime) -> tuple[date, date, str]:
    """The months that are shown; what cannot be read is said, and the usual twelve take its place."""
    usual = statements.usual(at)
    typed = [request.GET.get(name, "").strip()[:10] for name in ("from", "to")]
    try:
        first, last = (
            datetime.strptime(one, "%Y-%m").date() if one else other  # noqa: DTZ007 - a month has no zone
            for one, other in zip(typed, usual, strict=True)
        )
    except ValueError:
        return *usual, "Write months like 2026-10."
    if first > last:
        return *usual, "The first month comes before the last one."
    return first, last, ""


def _say_mailed(request: HttpRequest, to: list[str], wanted: int) -> None:
    if to:
        messages.success(request, f"A link of their own is on its way to {', '.join(to)}.")
    if len(to) < wanted:
        messages.warning(
            request, "Some of them must not be mailed: they complained, bounced, or asked to be forgotten."
        )
