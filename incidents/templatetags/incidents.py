"""How the console words moments, spans and levels; the script keeps countdowns going."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django import template
from django.contrib.auth.models import User
from django.utils.html import format_html
from django.utils.safestring import SafeString

from incidents.forms.severities import Group, in_short
from incidents.models import Severity

register = template.Library()

#: 1 is the worst.
RANK_COLOURS = {1: "red", 2: "orange", 3: "yellow", 4: "blue"}


@register.simple_tag
def badge(words: str, colour: str, quiet: bool = False) -> SafeString:
    """A coloured label; colour means status and nothing else. ``quiet``: a dot before plain words."""
    kind = "hg-dot" if quiet else "hg-badge"
    return format_html('<span class="{}" data-level="{}">{}</span>', kind, colour, words)


@register.filter
def ago(span: timedelta) -> str:
    """``3 min``, ``2 h 05 min``, ``4 d 3 h``: short, for tables and headers."""
    minutes = max(0, int(span.total_seconds() // 60))
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60:02} min" if hours else f"{minutes} min"


@register.simple_tag
def moment(at: datetime, now: datetime) -> SafeString:
    """``in 12 min`` or ``8 min ago``, the exact moment in the tooltip; counts on by itself."""
    return format_html(
        '<time class="hg-count" datetime="{}" data-count title="{}">{}</time>',
        at.isoformat(),
        exact(at),
        distance(at, now),
    )


@register.simple_tag
def due(at: datetime, now: datetime) -> SafeString:
    """``in 12 min``, and once it has passed ``overdue by 8 min``; counts on by itself."""
    late = now >= at
    words = overdue(now - at) if late else distance(at, now)
    return format_html(
        '<time class="hg-count{}" datetime="{}" data-due title="{}">{}</time>',
        " hg-late" if late else "",
        at.isoformat(),
        exact(at),
        words,
    )


def overdue(late: timedelta) -> str:
    """``overdue by 8 min``; within the first minute ``overdue now``."""
    return f"overdue by {ago(late)}" if late >= timedelta(minutes=1) else "overdue now"


@register.simple_tag
def clock(at: datetime, now: datetime) -> SafeString:
    """``14:05`` today, ``19 Nov 14:05`` otherwise; UTC, the exact moment in the tooltip."""
    at = at.astimezone(UTC)
    words = f"{at:%H:%M}" if at.date() == now.astimezone(UTC).date() else f"{at.day} {at:%b %H:%M}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact(at), words)


@register.filter
def exact(at: datetime) -> str:
    """``2026-11-20 14:05:09 UTC``."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def distance(at: datetime, now: datetime) -> str:
    """Between two moments, in words."""
    ahead = at - now
    if abs(ahead) < timedelta(minutes=1):
        return "now"
    return f"in {ago(ahead + timedelta(seconds=59))}" if ahead > timedelta() else f"{ago(-ahead)} ago"


@register.filter
def count(number: int) -> str:
    """``1,204``."""
    return f"{number:,}"


@register.filter
def some(names: Sequence[str], shown: int = 8) -> str:
    """``ACME, Bits and 4 more``."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


@register.filter
def who(person: User | None) -> str:
    """A name to show; what no person did, the system did."""
    return (person.get_full_name() or person.get_username()) if person else "the system"


@register.filter
def short(level: Severity) -> str:
    """What choosing a level means, in one line."""
    return in_short(level)


@register.filter
def is_chosen(level: Severity, group: Group) -> bool:
    return level.pk == group.chosen


@register.filter
def colour(rank: int) -> str:
    """The colour of a severity's rank."""
    return RANK_COLOURS.get(rank, "grey")
