"""Under ``/admin/mailbox/``, for staff only."""

from django.contrib import admin
from django.urls import path

from notifications.mailbox import views

app_name = "mailbox"
urlpatterns = [
    path("", admin.site.admin_view(views.entries), name="entries"),
    path("<str:key>/", admin.site.admin_view(views.message), name="message"),
    path("<str:key>/html", admin.site.admin_view(views.html), name="html"),
    path("<str:key>/source", admin.site.admin_view(views.source), name="source"),
]
