"""The operator's console: Django's admin with Unfold's look (R-1201)."""

from typing import Any

from django.conf import settings
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.urls import reverse
from unfold.sites import UnfoldAdminSite


class Console(UnfoldAdminSite):
    site_header = "Heliograph"
    site_title = "Heliograph"
    index_title = "Console"

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The groups of ``UNFOLD["SIDEBAR"]``, and the mailbox, for who may read it, while mail stays here."""
        groups: list[dict[str, Any]] = super().get_sidebar_list(request)
        # Named by its string: this is read before any model is there.
        may_read = request.user.has_perm("notifications.view_address")
        if groups and settings.MAILBOX_IN_USE and may_read:
            link = reverse("mailbox:entries")
            item = {"title": "Mailbox", "icon": "inbox", "link": link, "has_permission": True}
            item["active"] = request.path.startswith(link)
            groups.append({"title": "This machine", "separator": True, "items": [item]})
        return groups


class ConsoleConfig(AdminConfig):
    default_site = "config.console.Console"
