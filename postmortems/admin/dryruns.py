"""Dry runs: what would past months have cost under other rules (R-1308). Asked here, computed by a worker."""

from __future__ import annotations

import csv
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from notifications.exports import harmless
from postmortems.credits.arithmetic.money import plain
from postmortems.credits.arithmetic.wording import tier_words
from postmortems.credits.rules import dryrun
from postmortems.credits.rules.dryrun import Whose
from postmortems.enums import RunKind
from postmortems.forms.rules import DryRunForm
from postmortems.models import RulesError, Run
from postmortems.tasks import ring_dry_run

ASK, SEE = "postmortems.change_ruleversion", "postmortems.view_ruleversion"
FOLDER = "admin/postmortems/rules"
#: What htmx takes for the end of asking.
STOP_ASKING = 286
#: Runs that the page lists.
SHOWN = 20
COLUMNS = ("line", "month", "currency", "contract", "customer", "present", "tried", "difference", "contracts", "words")


def ask(request: HttpRequest) -> HttpResponse:
    """Which rules and months; and the runs there were. A POST asks."""
    require(request, SEE)
    at = timezone.now()
    first_month, last_month = dryrun.last_quarter(at)
    usual = {
        "rules": request.GET.get("rules", ""),
        "first_month": request.GET.get("from") or f"{first_month:%Y-%m}",
        "last_month": request.GET.get("to") or f"{last_month:%Y-%m}",
    }
    form = DryRunForm(request.POST if request.method == "POST" else None, initial=usual)
    if form.is_bound:
        require(request, ASK)
        if asked := _ask(request, form):
            return redirect(url("dryrun", asked.pk))
    context = admin.site.each_context(request) | {
        "title": "What would it have cost?",
        "form": form,
        "may_ask": request.user.has_perm(ASK),
        "runs": Run.objects.filter(kind=RunKind.DRY_RUN).select_related("asked_by")[:SHOWN],
    }
    return render(request, f"{FOLDER}/dryruns.html", context)


def _ask(request: HttpRequest, form: DryRunForm) -> Run | None:
    if not form.is_valid():
        return None
    known = form.cleaned_data
    try:
        with transaction.atomic():
            asked = dryrun.ask(
                known["rules"],
                known["first_month"],
                known["last_month"],
                whose=known["whose"],
                by=request.user if request.user.is_authenticated else None,
                at=timezone.now(),
            )
            transaction.on_commit(partial(ring_dry_run, asked.pk), robust=True)
    except RulesError as refused:
        form.refuse("last_month", str(refused))
        return None
    return asked


def run(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is, and then what it found."""
    require(request, SEE)
    found = get_object_or_404(Run.objects.select_related("asked_by"), pk=pk, kind=RunKind.DRY_RUN)
    context = admin.site.each_context(request) | {"title": f"Dry run of {found.asked['label']}"} | _context(found)
    return render(request, f"{FOLDER}/dryrun.html", context)


def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that changes; it asks until the run is over."""
    require(request, SEE)
    found = get_object_or_404(Run.objects.select_related("asked_by"), pk=pk, kind=RunKind.DRY_RUN)
    status = STOP_ASKING if found.finished_at else 200
    return render(request, f"{FOLDER}/dryrun_live.html", _context(found), status=status)


def _context(found: Run) -> dict[str, Any]:
    first_month, last_month = dryrun.months_of(found)
    rules = dryrun.rules_tried(found)
    share = min(100, found.done * 100 // found.total) if found.total else 0
    return {
        "run": found,
        "first_month": first_month,
        "last_month": last_month,
        "whose": Whose(found.asked["whose"]).label,
        "tiers": [*map(tier_words, rules.durations), *(tier_words(tier, uptime=True) for tier in rules.uptimes)],
        "share": share,
        "rest": 100 - share,
        "months": list(dryrun.tallies(found)),
        "totals": dryrun.totals(found),
        "largest": dryrun.largest(found),
        "kept": dryrun.LARGEST,
    }


def csv_file(request: HttpRequest, pk: int) -> HttpResponse:
    """Totals and the largest differences, as a file that no spreadsheet calculates with (S23)."""
    require(request, SEE)
    found = get_object_or_404(Run, pk=pk, kind=RunKind.DRY_RUN)
    name = f"dry-run-{found.pk}-{found.asked['from']}-{found.asked['to']}.csv"
    response = HttpResponse(
        content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
    writer = csv.writer(response, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for month, currency, tally in dryrun.tallies(found):
        amounts = _amounts(tally.present, tally.tried, currency)
        writer.writerow(["total", f"{month:%Y-%m}", currency, "", "", *amounts, str(tally.contracts), ""])
    for one in dryrun.largest(found):
        amounts = _amounts(one.present, one.tried, one.currency)
        texts = (harmless(text) for text in (one.reference, one.customer))
        writer.writerow(["contract", f"{one.month:%Y-%m}", one.currency, *texts, *amounts, "", harmless(one.words)])
    return response


def _amounts(present: int, tried: int, currency: str) -> list[str]:
    return [plain(minor, currency) for minor in (present, tried, tried - present)]


def url(name: str, *args: object) -> str:
    return reverse(f"admin:postmortems_rulebook_{name}", args=args)


def require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied
