"""Figures of reports, in words."""

from __future__ import annotations

from datetime import date, timedelta

from django import template

from incidents.reports import Report, Tally
from incidents.templatetags.incidents import ago

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """``93 %``; a hundred only where all was kept. A dash where nothing is decided."""
    if share is None:
        return "–"
    return f"{min(round(share * 100), 99) if share < 1 else 100} %"


@register.filter
def month(value: date | str) -> str:
    """``2026-01``; what was typed stays as it was typed."""
    return value if isinstance(value, str) else f"{value:%Y-%m}"


@register.filter
def late(length: timedelta | None) -> str:
    """``12 min``; a dash where nothing was late."""
    return "–" if length is None else ago(length)


@register.filter
def promised_in(report: Report, month_: date) -> Tally:
    return report.promises.get(month_, Tally())
