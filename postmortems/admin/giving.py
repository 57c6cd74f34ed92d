"""Goodwill and reversals: another credit each, proposed by one person and approved by others (R-904, R-1308)."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from postmortems.admin import places, story
from postmortems.credits import book
from postmortems.credits.book.once import grant_once
from postmortems.forms.credits import AmountForm, Form, ReasonForm
from postmortems.models import ContractMonth
from postmortems.templatetags.money import words


def goodwill(request: HttpRequest, pk: int) -> HttpResponse:
    """An amount that a person types, beside what is assessed. A GET changes nothing."""
    places.refuse_strangers(request, places.GRANT)
    month = get_object_or_404(ContractMonth.objects.select_related("contract__customer"), pk=pk)
    currency = month.contract.currency
    form = AmountForm(request.POST or None, currency=currency)
    if request.method == "POST" and form.is_valid():
        amount, reason = form.cleaned_data["amount"], form.cleaned_data["reason"]
        try:
            credit, is_new = grant_once(
                month, amount_minor=amount, reason=reason, by=cast(User, request.user), at=timezone.now()
            )
        except book.NotAllowed as refused:
            form.add_error("amount", str(refused))
        else:
            said = "Proposed: somebody else approves it." if is_new else "It is proposed already."
            messages.success(request, f"Goodwill of {words(amount, currency)}. {said}")
            return redirect(places.url_of(credit))
    context = {
        "title": f"Goodwill · {month.contract.reference} {month.month:%b %Y}",
        "lead": f"{month.contract.customer.name}, {month.month:%B %Y}. The cap of the month counts it; the "
        "assessed credit makes room. Somebody else approves it.",
        "button": "Propose goodwill",
        "back": places.month_url(month.pk),
        "currency": currency,
        "amount_hint": f"In {currency}.",
        "reason_hint": "It stays in the history. The customer does not read it.",
    }
    return _page(request, form, context)


def reverse_credit(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a standing credit back, by another credit. A GET changes nothing."""
    places.refuse_strangers(request, places.GRANT)
    credit = get_object_or_404(story.rows(), pk=pk)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = book.reverse(
                credit, reason=form.cleaned_data["reason"], by=cast(User, request.user), at=timezone.now()
            )
        except book.NotAllowed as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, f"Reversal of {credit.key} proposed: two others approve it.")
            return redirect(places.url_of(made))
    context = {
        "title": f"Reverse {credit.key}?",
        "lead": f"{words(credit.amount_minor, credit.currency)} for {credit.contract_month.contract.customer.name} "
        "are taken back as a whole, by another credit. Nothing is edited. Two other people approve it first.",
        "button": "Propose the reversal",
        "back": places.url_of(credit),
        "reason_hint": "It stays in the history.",
    }
    return _page(request, form, context)


def _page(request: HttpRequest, form: Form, context: dict[str, Any]) -> HttpResponse:
    if form.is_bound:
        form.focus()
    frame = admin.site.each_context(request) | {"form": form}
    return render(request, "admin/postmortems/credit/give.html", frame | context)
