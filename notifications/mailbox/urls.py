"""Under ``/admin/mailbox/``, for members of staff who may see addresses."""

from collections.abc import Callable

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpResponse
from django.urls import path

from notifications.mailbox import views
from notifications.masking import PERMISSION

app_name = "mailbox"


def _readers(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A whole mail names its reader, and holds links that act for them (reliability.md 4.1)."""
    return admin.site.admin_view(permission_required(PERMISSION, raise_exception=True)(view))


urlpatterns = [
    path("", _readers(views.entries), name="entries"),
    path("<str:key>/", _readers(views.message), name="message"),
    path("<str:key>/html", _readers(views.html), name="html"),
    path("<str:key>/source", _readers(views.source), name="source"),
]
