"""The operator's console: Django's admin with Unfold's look (R-1201)."""

from django.contrib.admin.apps import AdminConfig
from unfold.sites import UnfoldAdminSite


class Console(UnfoldAdminSite):
    site_header = "Heliograph"
    site_title = "Heliograph"
    index_title = "Console"


class ConsoleConfig(AdminConfig):
    default_site = "config.console.Console"
