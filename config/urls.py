"""Every address of the house."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/mailbox/", include("notifications.mailbox.urls")),
    path("admin/", admin.site.urls),
    path("subscriptions/", include("notifications.urls")),
    path("", include("status.urls")),
    path("", RedirectView.as_view(url="/status", permanent=False)),
]
