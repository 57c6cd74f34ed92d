"""The console's side: where to go, each entry only for those who may go there (R-1201)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from incidents.admin.places import list_url

DECLARE = "incidents.declare"


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the side; a screen that is not there, or not for this person, is left out."""
    index, declare = reverse("admin:index"), reverse("admin:incidents_incident_add")
    front = [
        _item("Dashboard", "space_dashboard", index, request.path == index),
        *_screen(request, "Incidents", "e911_emergency", "incidents.incident", but=declare),
    ]
    if request.user.has_perm(DECLARE):
        front.append(_item("Declare an incident", "add_alert", declare, request.path == declare))
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
            "Rules",
            [
                *_screen(request, "Policies", "rule", "incidents.policy"),
                *_screen(request, "Templates", "edit_note", "incidents.updatetemplate"),
                *_screen(request, "Runbook", "checklist", "incidents.runbookstep"),
                *_screen(request, "Tools", "query_stats", "incidents.tool"),
                *_screen(request, "People", "group", "auth.user"),
                *_screen(request, "Roles", "badge", "auth.group"),
                *_screen(request, "How I am reached", "contact_phone", "notifications.colleague"),
            ],
        ),
    ]
    return [{"title": title, "separator": bool(title), "items": items} for title, items in groups if items]


def _screen(request: HttpRequest, title: str, icon: str, label: str, but: str = "") -> list[dict[str, Any]]:
    """The list of a model; ``but`` is a page below it that has an entry of its own."""
    link = list_url(request, label)
    if not link:
        return []
    return [_item(title, icon, link, request.path.startswith(link) and request.path != but)]


def _item(title: str, icon: str, link: str, active: bool) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link, "active": active, "has_permission": True}
