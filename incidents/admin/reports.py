"""How well obligations were kept, and where practice drifts from the policy (R-303, R-1312)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.utils import timezone

from incidents import drift, reports
from incidents.enums import DutyKind
from incidents.models import Severity
from incidents.reports import Period, PeriodError, Report
from notifications.exports import harmless

NEEDED = "incidents.view_obligation"
COLUMNS = (
    "month", "policy", "severity", "kind", "owed", "kept", "broken", "waived", "open", "share_kept_percent",
    "late_average_minutes", "late_median_minutes",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """The filters of a request: as typed, as read, and what was wrong with them by field."""

    typed: dict[str, str]
    levels: list[Severity]
    period: Period
    severity: Severity | None
    kind: DutyKind | None
    errors: dict[str, str]

    @property
    def query(self) -> str:
        return urlencode({name: value for name, value in self.typed.items() if value})


def obligations(request: HttpRequest) -> HttpResponse:
    """The report as a page; GET only, nothing changes."""
    _refuse_strangers(request)
    at = timezone.now()
    asked = _asked(request)
    context = admin.site.each_context(request) | {
        "title": "Promises & obligations",
        "is_fullwidth": "1",
        "asked": asked,
        "kinds": DutyKind,
        "report": _report(asked),
        "drifts": drift.drifts(),
        "at": at,
    }
    return render(request, "admin/incidents/reports/obligations.html", context)


def obligations_csv(request: HttpRequest) -> HttpResponse:
    """The lines of the report, as a file that no spreadsheet calculates with (S23)."""
    _refuse_strangers(request)
    asked = _asked(request)
    if asked.errors:
        return HttpResponseBadRequest("\n".join(asked.errors.values()), content_type="text/plain; charset=utf-8")
    name = f"obligations-{asked.period.first:%Y-%m}-{asked.period.last:%Y-%m}.csv"
    response = HttpResponse(
        content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
    writer = csv.writer(response, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([harmless(cell) for cell in row] for row in _cells(_report(asked)))
    return response


def _cells(report: Report) -> list[list[str]]:
    rows = [(line.month, line.policy, line.severity, line.kind.label, line.tally) for line in report.lines]
    rows += [(month, "", "", "Promise of the next update", tally) for month, tally in sorted(report.promises.items())]
    return [
        [
            f"{month:%Y-%m}",
            policy,
            severity,
            kind,
            *(str(number) for number in (tally.owed, tally.kept, tally.broken, tally.waived, tally.open)),
            "" if tally.share is None else f"{tally.share * 100:.1f}",
            *("" if late is None else f"{late.total_seconds() / 60:.1f}" for late in (tally.average, tally.median)),
        ]
        for month, policy, severity, kind, tally in rows
    ]


def _report(asked: Asked) -> Report:
    kinds = [asked.kind] if asked.kind else []
    return reports.obligations(asked.period, at=timezone.now(), severity=asked.severity, kinds=kinds)


def _asked(request: HttpRequest) -> Asked:
    """Read the filters; a wrong one is said at its field, and the usual takes its place."""
    at = timezone.now()
    typed = {name: request.GET.get(name, "").strip()[:40] for name in ("from", "to", "severity", "kind")}
    errors: dict[str, str] = {}
    try:
        period = reports.period(typed["from"], typed["to"], at=at)
    except PeriodError as error:
        errors[error.name] = str(error)
        period = reports.period("", "", at=at)
    levels = reports.choices()
    severity = next((level for level in levels if str(level.pk) == typed["severity"]), None)
    if typed["severity"] and severity is None:
        errors["severity"] = "There is no such severity."
    kind = DutyKind(typed["kind"]) if typed["kind"] in DutyKind.values else None
    if typed["kind"] and kind is None:
        errors["kind"] = "There is no such kind."
    return Asked(typed, levels, period, severity, kind, errors)


def _refuse_strangers(request: HttpRequest) -> Any:
    if not request.user.has_perm(NEEDED):
        raise PermissionDenied
