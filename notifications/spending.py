"""What text messages may cost: caps per incident, hour and month, counted in billed segments (F05, S19).

The counts are kept by the database and survive everything else. A text is charged once, when it is
first about to leave: a try that certainly did not leave costs nothing more, and a text that is
refused afterwards is not paid back, so that the count is never below the bill.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from notifications import limits

log = logging.getLogger(__name__)

HOUR, MONTH = timedelta(hours=1), timedelta(days=62)
#: An incident that lasts longer begins a new count.
INCIDENT = timedelta(days=365)


@dataclass(frozen=True)
class Cap:
    """One of ``settings.SMS_CAPS``: what is counted together, and for how long."""

    name: str
    setting: str
    who: str
    per: timedelta


def charge(segments: int, *, lane: str, is_code: bool, at: datetime) -> str:
    """Take so many segments from every budget they are on. Returns "" or, taking nothing, the cap that is reached.

    However many ask at once, no cap is passed.
    """
    with transaction.atomic():
        reached = _first_reached(segments, _caps(lane, is_code=is_code, at=at), at)
        if reached is not None:
            transaction.set_rollback(True)
    return _told(reached, at) if reached else ""


def _first_reached(segments: int, caps: list[Cap], at: datetime) -> Cap | None:
    for cap in caps:
        most = settings.SMS_CAPS[cap.name]
        if not limits.take(f"texts {cap.name}", cap.who, most=most, per=cap.per, at=at, amount=segments):
            return cap
    return None


def _caps(lane: str, *, is_code: bool, at: datetime) -> list[Cap]:
    """Always in this order, so that nobody waits for each other crosswise."""
    month = Cap("month", "SMS_PER_MONTH", f"{at:%Y-%m}", MONTH)
    hour = Cap("hour", "SMS_PER_HOUR", "all", HOUR)
    if is_code:
        return [month, hour, Cap("codes", "SMS_CODES_PER_HOUR", "all", HOUR)]
    return [month, hour, Cap("incident", "SMS_PER_INCIDENT", lane, INCIDENT)]


def _told(cap: Cap, at: datetime) -> str:
    most = settings.SMS_CAPS[cap.name]
    words = {
        "month": f"The cap of {most:,} text segments a month is reached",
        "hour": f"The cap of {most:,} text segments an hour is reached",
        "codes": f"The cap of {most:,} segments for codes an hour is reached",
        "incident": f"The cap of {most:,} text segments per incident is reached",
    }[cap.name]
    reason = f"{words} ({cap.setting})."
    if limits.take(f"texts over {cap.name}", cap.who, most=1, per=HOUR, at=at):
        log.error("%s Texts beyond it are not sent.", reason)
    return reason
