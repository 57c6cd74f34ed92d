"""Countdowns of what is owed; the script keeps them going (R-302)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from incidents.templatetags.incidents import ago, exact, overdue

if TYPE_CHECKING:
    # Libraries are loaded before the console is there.
    from incidents.admin.owed import Owed

register = template.Library()
_HOUR = 3600


@register.simple_tag
def token() -> str:
    """A token for one form: sent twice, it acts once (F11)."""
    return str(uuid4())


@register.simple_tag
def countdown(owed: Owed) -> SafeString:
    """``12:34`` to the moment it is due, how long it is overdue, or how long it has been owed; ticks by itself.

    The script words and colours it as time goes on; the exact moment is in the tooltip.
    """
    row = owed.row
    moments = {"datetime": row.due_at, "data-limit": row.limit_at, "data-opened": row.opened_at}
    known = format_html_join("", ' {}="{}"', ((name, at.isoformat()) for name, at in moments.items() if at))
    tip = exact(row.due_at) if row.due_at else "The policy names no time."
    return format_html('<time class="hg-count" data-owed{} title="{}">{}</time>', known, tip, left(owed))


def left(owed: Owed) -> str:
    """What is left of an obligation, in words; as ``clocks.js`` says it."""
    row, at = owed.row, owed.at
    if row.due_at is None or row.limit_at is None:
        return f"open for {ago(at - row.opened_at)}"
    if owed.overdue:
        return overdue(at - row.limit_at)
    if owed.grace:
        return f"due, {short_of(row.limit_at - at)} to go"
    return short_of(row.due_at - at)


def short_of(span: timedelta) -> str:
    """``12:34`` below an hour, ``2 h 05 min`` above."""
    seconds = max(0, int(span.total_seconds()))
    return f"{seconds // 60}:{seconds % 60:02}" if seconds < _HOUR else ago(span)
