"""Reports of credits: page and file (R-906)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from notifications.exports import harmless
from postmortems.admin import places
from postmortems.credits.arithmetic.money import plain
from postmortems.credits.finance import reports
from postmortems.credits.finance.reports import AskedError, Line, Report
from postmortems.enums import CreditKind

FILTERS = ("from", "to", "by", "currency", "kind", "customer")
COLUMNS = ("by", "key", "label", "currency", "number", "approved", "exported", "applied", "amount")


@dataclass(frozen=True)
class Asked:
    """What was typed, what was understood, and what was wrong with it by field."""

    typed: dict[str, str]
    read: reports.Asked
    errors: dict[str, str]

    @property
    def query(self) -> str:
        return urlencode({name: value for name, value in self.typed.items() if value})


def credits(request: HttpRequest) -> HttpResponse:
    """The report as a page; GET only, nothing changes."""
    places.refuse_strangers(request)
    asked = _asked(request)
    found = reports.report(asked.read)
    context = admin.site.each_context(request) | {
        "title": "Reports of credits",
        "is_fullwidth": "1",
        "asked": asked,
        "groups": reports.GROUPS.items(),
        "kinds": CreditKind,
        "currencies": reports.currencies(),
        "report": found,
        "lines": found.lines[: reports.SHOWN],
        "more": max(0, len(found.lines) - reports.SHOWN),
        "heading": reports.GROUPS[asked.read.by],
        "ledger": sorted(found.ledger.items()),
    }
    return render(request, "admin/postmortems/reports/credits.html", context)


def credits_csv(request: HttpRequest) -> HttpResponse:
    """Every line of the report, as a file that no spreadsheet calculates with (S23); amounts are numbers."""
    places.refuse_strangers(request)
    asked = _asked(request)
    if asked.errors:
        said = "\n".join(asked.errors.values())
        return HttpResponse(said, status=HTTPStatus.BAD_REQUEST, content_type="text/plain; charset=utf-8")
    read = asked.read
    name = f"credits-by-{read.by}-{read.oldest:%Y-%m}-{read.newest:%Y-%m}.csv"
    response = HttpResponse(
        content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
    writer = csv.writer(response, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(reports.report(read)))
    return response


def _cells(report: Report) -> list[list[str]]:
    by = report.asked.by
    return [_row(by, line) for line in report.lines] + [_row("total", line) for line in report.totals]


def _row(by: str, line: Line) -> list[str]:
    steps = ("", "", "") if by == "incident" else (line.approved, line.exported, line.applied)
    return [
        by,
        harmless(line.key),
        harmless(line.label),
        line.currency,
        str(line.number),
        *("" if isinstance(step, str) else plain(step, line.currency) for step in steps),
        plain(line.amount, line.currency),
    ]


def _asked(request: HttpRequest) -> Asked:
    """Read the filters; a wrong one is said at its field, and the usual takes its place."""
    typed = {name: request.GET.get(name, "").replace("\x00", "").strip()[:80] for name in FILTERS}
    errors: dict[str, str] = {}
    known, at = dict(typed), timezone.now()
    while True:
        try:
            return Asked(typed, reports.ask(*known.values(), at=at), errors)
        except AskedError as error:
            errors[error.name] = str(error)
            known[error.name] = ""
            # A month that makes no sense with the other is no better with it.
            known["to"] = "" if error.name == "from" and not typed["from"] else known["to"]
