"""Every address of the house."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from config import dashboard
from config.metrics import metrics
from postmortems.admin import affected

SUBSCRIBE = RedirectView.as_view(pattern_name="subscriptions:subscribe", permanent=False)

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/mailbox/", include("notifications.mailbox.urls")),
    path("admin/live/", admin.site.admin_view(dashboard.live), name="board"),
    # Before the same address of the floor below, which knows of no credits.
    path("admin/affected/<path:reference>/", admin.site.admin_view(affected.customer)),
    path("admin/", include("incidents.urls")),
    path("admin/", include("postmortems.console_urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("config.api")),
    path("subscriptions/", include("notifications.urls")),
    path("credits/", include("postmortems.urls")),
    path("hooks/", include("notifications.hook_urls")),
    path("metrics", metrics),
    # What people type, and what older pages linked to.
    path("subscribe", SUBSCRIBE),
    path("subscribe/", SUBSCRIBE),
    path("subscriptions", SUBSCRIBE),
    path("subscriptions/", SUBSCRIBE),
    path("", include("status.urls")),
    path("", RedirectView.as_view(url="/status", permanent=False)),
]
