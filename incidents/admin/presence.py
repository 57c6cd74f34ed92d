"""Who has an incident open now, and what they are doing there: seen before two people say two things (F09)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import Max

from incidents.admin.deeds import DEEDS
from incidents.models import Incident, Presence
from incidents.templatetags.incidents import who

#: A page says every ten seconds that it is still open; after three times without a word nobody is there.
GONE = timedelta(seconds=30)
FORGOTTEN = timedelta(minutes=1)
_DOES = {
    "": "is looking",
    "update": "is writing an update",
    "note": "is writing a note",
    "quick": "is writing a note",
    "correct": "is correcting an update",
    "severity": "is changing the severity",
    "mitigate": "is marking it mitigated",
    "resolve": "is resolving it",
    "reopen": "is reopening it",
    "close": "is closing it",
    "false-alarm": "is marking it a false alarm",
}


def arrive(incident: Incident, user: User, act: str, *, at: datetime) -> None:
    """This person has the incident open, or the form of ``act``. Two statements; who left is forgotten."""
    row = Presence(incident=incident, user=user, act=act if act in DEEDS else "", seen_at=at)
    Presence.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["incident", "user"], update_fields=["act", "seen_at"]
    )
    Presence.objects.filter(seen_at__lt=at - FORGOTTEN).delete()


def others(incident: Incident, user: User, *, at: datetime) -> list[dict[str, str]]:
    """Who else is there, writers first: ``{"who": "Ines", "does": "is writing an update", "act": "update"}``.

    One query.
    """
    rows = (
        Presence.objects.filter(incident=incident, seen_at__gt=at - GONE)
        .exclude(user=user)
        .select_related("user")
        .order_by("user__first_name", "user__username")
    )
    found = [{"who": who(row.user), "does": does(row.act), "act": row.act} for row in rows]
    return sorted(found, key=lambda one: not one["act"])


def does(act: str) -> str:
    """What somebody with this form open is doing, in words."""
    if act in _DOES:
        return _DOES[act]
    return f"has “{DEEDS[act].label}” open" if act in DEEDS else _DOES[""]


def mark(incident: Incident) -> str:
    """Changes whenever something about the incident does: an act, or an entry that the house wrote. One query."""
    newest = incident.timeline.order_by().aggregate(newest=Max("id"))["newest"]
    return f"{incident.version}-{newest or 0}"
