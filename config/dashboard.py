"""The console's first page: what is open, what is owed, what is broken (R-1201). A fixed number of queries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone

from config.counts import APPROVE, counts
from incidents import guard
from incidents.admin import facts, pages, saved, screen, works
from incidents.admin.deeds import DEEDS, Deed, meeting
from incidents.admin.owed import Owed
from incidents.admin.places import list_url
from incidents.discretion import RESTRICTED, hidden_sources
from incidents.enums import OPEN, Publicity, Role, Standing, State
from incidents.models import Assignment, Incident, Maintenance, Obligation, PolicyVersion
from incidents.templatetags.incidents import RANK_COLOURS
from notifications import progress
from notifications.fates import Group
from notifications.models import Announcement, AuditRun, Brand, ChannelState, Subscriber
from postmortems.credits.checking import lights
from postmortems.credits.finance import overview
from postmortems.templatetags.money import words
from status.enums import Level
from status.models import Component, Impact

#: The buttons of an open incident, most wanted first.
QUICK = ("acknowledge", "update", "resolve")
#: So many of each are shown; the others are counted. So many open incidents are looked at.
SHOWN, MOST_OPEN = 20, 200
#: Obligations that are shown, with a time and without.
OWED, UNTIMED = 16, 4
#: There is an audit every minute; after so many without one, somebody must look (F22).
UNAUDITED = timedelta(minutes=5)


@dataclass(frozen=True)
class Trouble:
    """An open incident as a card. ``deeds`` are (act, label); the first is the one to press."""

    incident: Incident
    impact: timedelta
    deeds: list[tuple[Deed, str]]

    @property
    def colour(self) -> str:
        return RANK_COLOURS[self.incident.severity.rank]

    @property
    def state_colour(self) -> str:
        return screen.STATE_COLOURS[State(self.incident.state)]

    @property
    def people(self) -> list[tuple[Role, User]]:
        """Who has which role."""
        held: list[Assignment] = self.incident.held  # type: ignore[attr-defined]  # to_attr of troubles
        return [(Role(row.role), row.user) for row in sorted(held, key=lambda row: list(Role).index(Role(row.role)))]

    @property
    def unsaid(self) -> bool:
        """Whether the policy says that the public is told, and nothing was said."""
        return self.incident.notice_id is None and self.incident.severity.publicity == Publicity.ALWAYS


@dataclass(frozen=True)
class Money:
    """Credits that wait: how many, their sums by currency in words, and the light of the books."""

    number: int
    totals: list[str]
    light: lights.Light


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the page shows, for this person."""
    return context | board(request) | {"is_fullwidth": "1"}


def live(request: HttpRequest) -> HttpResponse:
    """The dashboard without its frame; a script asks every few seconds and puts what changed into its place."""
    content = render_to_string("admin/board.html", board(request), request)
    tag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    return HttpResponse(content, headers={"ETag": tag})


def board(request: HttpRequest) -> dict[str, Any]:
    """What is open, what is owed, what is broken, for this person."""
    at, by = timezone.now(), request.user
    assert isinstance(by, User)
    context: dict[str, Any] = {"at": at, "may_declare": by.has_perm("incidents.declare")}
    if not admin.site.get_model_admin(Incident).has_view_permission(request):
        return context | {"blind": True}
    open_now = troubles(by, at)
    context |= {
        "counts": counts(request),
        "troubles": open_now[:SHOWN],
        "works": list(Maintenance.objects.open().order_by("planned_start_at").select_related("notice")[:SHOWN]),
        "debts": debts(by, at),
        "drafts": saved.waiting(by),
        "unsaid": [trouble for trouble in open_now if trouble.unsaid],
        "concerns": guard.standing(at, by)[:SHOWN],
        "down": down(by),
        "health": health(at),
        "audited": audited(at),
        "unwell": unwell(),
        "channels_url": list_url(request, "notifications.channelstate"),
        "log_url": list_url(request, "notifications.delivery"),
        "list_url": list_url(request, "incidents.incident"),
        "resolved": resolved(by),
        "money": money(by, at),
    }
    context["alarms"] = alarms(open_now, context["debts"])
    return context | {"steps": [] if open_now else steps(request)}


def troubles(by: User, at: datetime) -> list[Trouble]:
    """Open incidents, worst first, with who has which role. Two queries."""
    held = Prefetch("assignments", Assignment.objects.current().select_related("user"), to_attr="held")
    found = screen.base().visible_to(by).filter(state__in=OPEN).order_by("severity__rank", "declared_at")
    return [_trouble(incident, by, at) for incident in found.prefetch_related(held)[:MOST_OPEN]]


def resolved(by: User) -> QuerySet[Incident]:
    """The last that were resolved. One query."""
    over = screen.base().visible_to(by).filter(resolved_at__isnull=False).exclude(state__in=OPEN)
    return over.order_by("-resolved_at")[:5]


def debts(by: User, at: datetime) -> list[Owed]:
    """Across everything, most urgent first; those that no policy gives a time come last. Two queries."""
    rows = Obligation.objects.open().visible_to(by)
    rows = rows.select_related("incident__severity", "incident__notice", "maintenance")
    timed = rows.filter(due_at__isnull=False).order_by("due_at")[:OWED]
    untimed = rows.filter(due_at__isnull=True).order_by("opened_at")[:UNTIMED]
    return [
        Owed(row, at, works.meeting(row, by) if row.maintenance else meeting(row, by)) for row in [*timed, *untimed]
    ]


def alarms(open_now: list[Trouble], owed: list[Owed]) -> dict[str, Any]:
    """What may ring in a browser whose operator wants it to: new incidents, what is about to break, what broke."""
    return {
        "open": [
            {"id": one.incident.pk, "words": str(one.incident), "url": pages.url_of(one.incident)} for one in open_now
        ],
        "owed": [
            {
                "id": one.row.pk,
                "words": f"{one.row.get_kind_display()}: {one.row.incident}",
                "due": one.row.due_at.isoformat(),
                "limit": one.row.limit_at.isoformat(),
                "url": pages.url_of(one.row.incident),
            }
            for one in owed
            if one.row.due_at and one.row.limit_at and one.row.incident
        ],
    }


def down(by: User) -> list[tuple[Component, Level, list[str]]]:
    """Components that are not green, worst first, and who holds them, by a name this person may know. Two queries."""
    hidden = hidden_sources(by)
    found: dict[Component, list[Impact]] = {}
    for impact in Impact.objects.open().real().select_related("component__group"):
        found.setdefault(impact.component, []).append(impact)
    rows = [
        (
            component,
            Level.gravest(impact.level for impact in impacts),
            sorted({RESTRICTED if i.source in hidden else facts.holder(i) for i in impacts}),
        )
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


def money(by: User, at: datetime) -> Money | None:
    """What waits for finance, and whether the books agree; None for those who do not approve. Two queries."""
    if not by.has_perm(APPROVE):
        return None
    totals = overview.waiting_totals()
    number = sum(count for _, _, count in totals)
    return Money(number, [words(amount, currency) for currency, amount, _ in totals], lights.kept(at))


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
