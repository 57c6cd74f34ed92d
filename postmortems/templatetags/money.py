"""Amounts and states of credits, as finance reads them."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from postmortems.credits.arithmetic.money import Money, plain
from postmortems.enums import CreditState

register = template.Library()

STATE_COLOURS = {
    CreditState.PROPOSED: "blue",
    CreditState.SECOND: "orange",
    CreditState.DECISION: "yellow",
    CreditState.APPROVED: "green",
    CreditState.EXPORTED: "green",
    CreditState.APPLIED: "green",
    CreditState.RETURNED: "grey",
    CreditState.SUPERSEDED: "grey",
    CreditState.KEPT: "grey",
}


@register.filter
def money(minor: int, currency: str) -> SafeString:
    """``1,234.50 EUR``, never broken over two lines, negative in the ledger's way: ``−120.00 EUR``."""
    return format_html('<span class="hg-money">{}</span>', words(minor, currency))


@register.filter
def amount(minor: int, currency: str) -> SafeString:
    """``1,234.50`` without its currency, for columns that say it; a dash for nothing."""
    shown = plain(minor, currency, grouped=True).replace("-", "−") if minor else "–"
    return format_html('<span class="hg-money">{}</span>', shown)


@register.simple_tag
def state(value: str, quiet: bool = False) -> SafeString:
    """The state of a credit as a coloured label."""
    kind, found = ("hg-dot" if quiet else "hg-badge"), CreditState(value)
    return format_html('<span class="{}" data-level="{}">{}</span>', kind, STATE_COLOURS[found], found.label)


def words(minor: int, currency: str) -> str:
    """``−120.00 EUR`` with the sign that is as wide as a digit."""
    return str(Money(minor, currency)).replace("-", "−")
