"""A contract's billing month: its credits, what it is assessed at, what stands, and its ledger (R-903)."""

from __future__ import annotations

from typing import cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from postmortems.admin import places, story
from postmortems.credits import book
from postmortems.credits.book.approving import mark_stale
from postmortems.models import Batch, ContractMonth


def month(request: HttpRequest, pk: int) -> HttpResponse:
    """Its page; GET only, nothing changes."""
    places.refuse_strangers(request)
    by = cast(User, request.user)
    found = get_object_or_404(ContractMonth.objects.select_related("contract__customer", "assessment__rules"), pk=pk)
    postings = list(found.postings.select_related("credit"))
    context = admin.site.each_context(request) | {
        "title": f"{found.contract.reference} · {found.month:%B %Y}",
        "is_fullwidth": "1",
        "month": found,
        "currency": found.contract.currency,
        "balance": book.balances([found.pk])[found.pk],
        "credits": story.others(found),
        "words": story.arithmetic(found.assessment),
        "facts": story.facts(found.assessment, by=by) if found.assessment else [],
        "postings": story.ledger(postings),
        "accounts": story.balances(postings),
        "batch": Batch.objects.filter(month=found.month).defer("csv", "xlsx", "json").first(),
        "may_give": by.has_perm(places.GRANT),
        "may_assess": by.has_perm(places.APPROVE),
        "statement_url": story.statement_url(found),
        "at": timezone.now(),
        **story.history(found, by=by),
    }
    return render(request, "admin/postmortems/credit/month.html", context)


def assess(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the worker to assess it again. POST only."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not request.user.has_perm(places.APPROVE):
        raise PermissionDenied
    found = get_object_or_404(ContractMonth, pk=pk)
    mark_stale([found.pk], at=timezone.now())
    messages.success(request, "It is assessed again by the worker: look again in a minute.")
    return redirect(places.month_url(pk))
