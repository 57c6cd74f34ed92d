"""The console's first page: what is open, what is owed, what is broken (R-1201). A fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from incidents.admin import screen
from incidents.admin.deeds import DEEDS, Deed, meeting
from incidents.admin.owed import Owed
from incidents.admin.places import list_url
from incidents.enums import OPEN, Standing, State
from incidents.models import Incident, Obligation, PolicyVersion
from incidents.templatetags.incidents import RANK_COLOURS
from notifications import progress
from notifications.fates import Group
from notifications.models import Announcement, AuditRun, Brand, ChannelState, Subscriber
from status.enums import Level
from status.models import Component, Impact

#: The buttons of an open incident, most wanted first.
QUICK = ("acknowledge", "update", "resolve")
#: There is an audit every minute; after so many without one, somebody must look (F22).
UNAUDITED = timedelta(minutes=5)


@dataclass(frozen=True)
class Trouble:
    """An open incident as a card."""

    incident: Incident
    impact: timedelta
    deeds: list[tuple[Deed, str]]

    @property
    def colour(self) -> str:
        return RANK_COLOURS[self.incident.severity.rank]

    @property
    def state_colour(self) -> str:
        return screen.STATE_COLOURS[State(self.incident.state)]


@dataclass(frozen=True)
class Debt:
    """Something owed, with the button that meets it; ``deed`` None where a person without the right looks."""

    owed: Owed
    deed: Deed | None


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the page shows, for this person."""
    at, by = timezone.now(), request.user
    assert isinstance(by, User)
    context |= {"at": at, "is_fullwidth": "1", "may_declare": by.has_perm("incidents.declare")}
    if not admin.site.get_model_admin(Incident).has_view_permission(request):
        return context | {"blind": True}
    troubles = [
        _trouble(incident, by, at)
        for incident in screen.base().filter(state__in=OPEN).order_by("severity__rank", "declared_at")
    ]
    context |= {
        "troubles": troubles,
        "debts": debts(by, at),
        "down": down(),
        "health": health(at),
        "audited": audited(at),
        "unwell": unwell(),
        "channels_url": list_url(request, "notifications.channelstate"),
        "log_url": list_url(request, "notifications.delivery"),
        "resolved": screen.base()
        .filter(resolved_at__isnull=False)
        .exclude(state__in=OPEN)
        .order_by("-resolved_at")[:5],
    }
    return context | {"steps": [] if troubles else steps(request)}


def debts(by: User, at: datetime) -> list[Debt]:
    """Across all incidents, most urgent first. One query."""
    rows = Obligation.objects.open().select_related("incident__severity", "incident__notice").order_by("due_at")[:12]
    return [Debt(Owed(row, at), meeting(row, by)) for row in rows]


def down() -> list[tuple[Component, Level, list[str]]]:
    """Components that are not green, worst first, and who holds them. One query."""
    found: dict[Component, list[Impact]] = {}
    for impact in Impact.objects.open().real().select_related("component__group"):
        found.setdefault(impact.component, []).append(impact)
    rows = [
        (component, Level.gravest(impact.level for impact in impacts), sorted(_holder(i) for i in impacts))
        for component, impacts in found.items()
    ]
    return sorted(rows, key=lambda row: (-row[1].gravity, row[0].name))


def health(at: datetime) -> dict[str, int]:
    """What became of the messages of the last 24 hours, and news that no worker has taken up. Two queries.

    Of a day with more than a million the newest million are counted.
    """
    counted = progress.recent(at)

    def having(group: Group) -> int:
        return sum(count for (_, fate), count in counted.items() if fate in group.fates)

    return {
        "untaken": Announcement.objects.unexpanded().count(),
        "waiting": having(Group.WAITING),
        "sent": having(Group.GONE),
        "failed": having(Group.TROUBLE),
    }


def unwell() -> list[ChannelState]:
    """Channels by which nothing leaves, or whose bounces are not believed (F04, F07). One query."""
    return list(ChannelState.objects.filter(Q(resting_since__isnull=False) | ~Q(doubt="")))


def audited(at: datetime) -> dict[str, Any]:
    """The last audit of the deliveries, and whether it is too old to rely on. One query."""
    run = AuditRun.objects.latest_finished()
    return {"run": run, "late": run is not None and run.slot <= at - UNAUDITED}


def steps(request: HttpRequest) -> list[dict[str, Any]]:
    """What a newcomer does first; none once everything is there. Four queries."""
    found = [
        (
            "Say who speaks",
            "A brand: the name and sender that customers know.",
            "notifications.brand",
            Brand.objects.exists(),
        ),
        (
            "List what customers depend on",
            "Components, in groups, as the page shows them.",
            "status.component",
            Component.objects.exists(),
        ),
        (
            "Put a policy in force",
            "Severities, clocks and words. Five come ready to use.",
            "incidents.policy",
            PolicyVersion.objects.filter(standing=Standing.IN_FORCE).exists(),
        ),
        (
            "Let people subscribe",
            "They do it on the status page; you can look here.",
            "notifications.subscriber",
            Subscriber.objects.exists(),
        ),
    ]
    rows = [
        {"title": title, "words": words, "done": done, "url": list_url(request, label)}
        for title, words, label, done in found
    ]
    return [] if all(row["done"] for row in rows) else rows


def _trouble(incident: Incident, by: User, at: datetime) -> Trouble:
    deeds = [DEEDS[slug] for slug in QUICK if DEEDS[slug].offered(incident, by)]
    return Trouble(incident, screen.span_of_impact(incident, at), [(deed, deed.label_for(incident)) for deed in deeds])


def _holder(impact: Impact) -> str:
    return impact.source.partition(":")[2] or impact.source
