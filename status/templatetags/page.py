"""What the public templates say with: marks, moments, spans."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from django import template
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language_info

from status.page import bars, wording
from status.page.snapshot import PastDays, Section

register = template.Library()
_OWN_NAMES = {"de": "Auf Deutsch"}


@register.filter
def moment(at: datetime) -> SafeString:
    """A moment in UTC that the script turns into the reader's own time."""
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return mark_safe(f'<time datetime="{stamp}">{wording.moment(at)}</time>')  # noqa: S308 -- digits and month names


@register.filter
def day(on: date) -> str:
    return wording.day(on)


@register.filter
def run(days: PastDays) -> str:
    return wording.days(days.first, days.last)


@register.filter
def lasting(seconds: int) -> str:
    """In the words that ``{{duration}}`` has in an update: both stand on one page."""
    return wording.elapsed(timedelta(seconds=seconds))


@register.filter
def items(section: Section) -> SafeString:
    """The components of a section."""
    return bars.listed(section.rows)


@register.filter
def own_name(language: str) -> str:
    """What a reader of the language looks for: ``Auf Deutsch``."""
    return _OWN_NAMES.get(language) or str(get_language_info(language)["name_local"])


@register.filter
def mark(colour: str) -> SafeString:
    """The shape of a colour: never colour alone."""
    return mark_safe(f'<svg class="glyph" aria-hidden="true"><use href="#i-{colour}"/></svg>')  # noqa: S308 -- our words


@register.simple_tag
def pattern() -> SafeString:
    return bars.PATTERN
