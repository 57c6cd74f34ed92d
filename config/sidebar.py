"""The console's side: where to go, each entry only for those who may go there (R-1201)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from config.counts import counts
from incidents.admin import affected, reports
from incidents.admin.places import list_url

DECLARE = "incidents.declare"
MONEY = "Service credits"
SEE_CREDITS = "postmortems.view_credit"


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the side; a screen that is not there, or not for this person, is left out."""
    index, declare = reverse("admin:index"), reverse("admin:incidents_incident_add")
    front = [
        _item("Dashboard", "space_dashboard", index, request.path == index),
        *_screen(request, "Incidents", "e911_emergency", "incidents.incident", but=declare),
    ]
    if len(front) > 1:
        _number(front[0], counts(request).overdue, "danger", "overdue")
        _number(front[1], counts(request).open, "primary", "open")
    if request.user.has_perm(DECLARE):
        front.append(_item("Declare an incident", "add_alert", declare, request.path == declare))
    front += _screen(request, "Maintenance", "engineering", "incidents.maintenance")
    front += _page(request, "Is customer X affected?", "person_search", "desk:affected", affected.NEEDED)
    front += _page(request, "Promises & obligations", "handshake", "desk:obligations", (reports.NEEDED,))
    groups = [
        ("", front),
        (
            "The public page",
            [
                _item("Status page", "public", "/status", False),
                *_screen(request, "Components", "widgets", "status.component"),
                *_screen(request, "Groups", "folder", "status.group"),
                *_screen(request, "Notices", "history_edu", "status.notice"),
                *_screen(request, "Impact ledger", "monitoring", "status.impact"),
                *_screen(request, "Brands", "brand_awareness", "notifications.brand"),
            ],
        ),
        (
            "Who is told",
            [
                *_screen(request, "Subscribers", "mark_email_read", "notifications.subscriber"),
                *_screen(request, "Customers", "apartment", "notifications.customer"),
                *_screen(request, "Targets & webhooks", "hub", "notifications.endpoint"),
                *_screen(request, "Delivery log", "outgoing_mail", "notifications.delivery"),
                *_screen(request, "Replies to texts", "sms", "notifications.reply"),
                *_screen(request, "Channels", "cell_tower", "notifications.channelstate"),
            ],
        ),
        (
            "Money",
            [
                *_page(request, MONEY, "payments", "money:overview", (SEE_CREDITS,), exactly=True),
                *_screen(request, "Credits", "receipt_long", "postmortems.credit"),
                *_page(request, "Reports of credits", "bar_chart", "money:reports", (SEE_CREDITS,)),
                *_screen(request, "Batches", "inventory_2", "postmortems.batch"),
                *_screen(request, "Contracts", "contract", "postmortems.contract"),
                *_screen(request, "Credit rules", "percent", "postmortems.rulebook"),
                *_screen(request, "Excluded time", "event_busy", "postmortems.exclusion"),
            ],
        ),
        (
            "Rules",
            [
                *_screen(request, "Policies", "rule", "incidents.policy"),
                *_screen(request, "Templates", "edit_note", "incidents.updatetemplate"),
                *_screen(request, "Runbook", "checklist", "incidents.runbookstep"),
                *_screen(request, "Tools", "query_stats", "incidents.tool"),
                *_screen(request, "People", "group", "auth.user"),
                *_screen(request, "Roles", "badge", "auth.group"),
                *_screen(request, _reached(request), "contact_phone", "notifications.colleague"),
            ],
        ),
    ]
    for item in (item for _, items in groups for item in items if item["title"] == "Delivery log"):
        _number(item, counts(request).failed, "danger", "failed in 24 hours", counts(request).failed_shown)
    for item in (item for _, items in groups for item in items if item["title"] == MONEY):
        _number(item, counts(request).credits, "primary", "waiting", counts(request).credits_shown)
    return [{"title": title, "separator": bool(title), "items": items} for title, items in groups if items]


@dataclass(frozen=True)
class Number:
    """A number beside an entry, with what it counts for those who cannot see where it stands."""

    shown: str
    words: str

    def __html__(self) -> str:
        return format_html('<span title="{0} {1}">{0}<span class="sr-only"> {1}</span></span>', self.shown, self.words)

    def __str__(self) -> str:
        return self.__html__()


def _number(item: dict[str, Any], number: int, colour: str, words: str, shown: str = "") -> None:
    """Put it beside the entry; nothing where there is none."""
    if number:
        item |= {"badge": Number(shown or str(number), words), "badge_variant": colour}


def _page(
    request: HttpRequest, title: str, icon: str, name: str, needed: tuple[str, ...], *, exactly: bool = False
) -> list[dict[str, Any]]:
    """A page that is no model's list, for whoever holds all of ``needed``. ``exactly``: others lie below it."""
    if not request.user.has_perms(needed):
        return []
    link = reverse(name)
    return [_item(title, icon, link, request.path == link if exactly else request.path.startswith(link))]


def _screen(request: HttpRequest, title: str, icon: str, label: str, but: str = "") -> list[dict[str, Any]]:
    """The list of a model; ``but`` is a page below it that has an entry of its own."""
    link = list_url(request, label)
    if not link:
        return []
    return [_item(title, icon, link, request.path.startswith(link) and request.path != but)]


def _item(title: str, icon: str, link: str, active: bool) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link, "active": active, "has_permission": True}


def _reached(request: HttpRequest) -> str:
    """Everybody sees how they are reached themselves; who may see the others gets the list of all."""
    sees_all = request.user.has_perm("notifications.view_colleague")
    return "How we are reached" if sees_all else "How I am reached"
