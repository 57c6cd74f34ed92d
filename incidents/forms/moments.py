"""Moments as operators type them: UTC, always, in one plain line of text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_CLOCK = re.compile(r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)\Z", re.ASCII)
_FULL = re.compile(
    r"(?P<moment>\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?\Z",
    re.ASCII | re.IGNORECASE,
)


class Moment(forms.CharField):
    """``2026-11-20 14:05``, or ``14:05`` for the nearest one, in UTC; cleans to an aware UTC datetime or None.

    An offset (``+02:00``) is understood and turned to UTC; a zone's name is refused, because
    ``IST`` and ``CST`` mean several. ``ahead`` says where a bare clock time lies: the next one or
    the last one. Years 2000 to 2099 (F17).
    """

    default_error_messages = {
        "invalid": "Write the moment in UTC, as 2026-11-20 14:05 or 14:05.",
        "range": "The year must lie between 2000 and 2099.",
    }

    def __init__(self, *, ahead: bool = False, now: datetime | None = None, **options: Any) -> None:
        self.ahead, self.now = ahead, now
        options.setdefault("max_length", 40)
        super().__init__(**options)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        plain = {"class": "time", "autocomplete": "off", "spellcheck": "false", "placeholder": "2026-11-20 14:05"}
        return super().widget_attrs(widget) | plain

    def prepare_value(self, value: Any) -> Any:
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}" if isinstance(value, datetime) else value

    def clean(self, value: Any) -> datetime | None:
        typed = super().clean(value)
        return self._read(typed) if typed else None

    def _read(self, typed: str) -> datetime:
        if clock := _CLOCK.match(typed):
            return self._nearest(int(clock["hour"]), int(clock["minute"]))
        if not (full := _FULL.match(typed)):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        try:
            moment = datetime.fromisoformat(full["moment"].replace("t", "T") + _offset(full["zone"])).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None
        if not EARLIEST <= moment < LATEST:
            raise ValidationError(self.error_messages["range"], code="range")
        return moment

    def _nearest(self, hour: int, minute: int) -> datetime:
        now = self.now or timezone.now()
        today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if self.ahead:
            return today if today > now else today + timedelta(days=1)
        return today if today <= now else today - timedelta(days=1)


def _offset(zone: str | None) -> str:
    if not zone or zone.upper() in ("Z", "UTC"):
        return "+00:00"
    return zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"


def not_before(moment: datetime, start: datetime) -> datetime:
    """``moment``, typed to the minute, where ``start`` of the same minute has seconds."""
    return start if moment < start < moment + timedelta(minutes=1) else moment
