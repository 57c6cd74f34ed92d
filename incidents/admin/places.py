"""Where other screens of the console are, for those who may see them."""

from __future__ import annotations

from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from incidents.models import Incident


def list_url(request: HttpRequest, label: str) -> str:
    """The list of a model (``app.model``); empty when it has no screen or this person may not see it."""
    model = apps.get_model(label)
    if not admin.site.is_registered(model) or not admin.site.get_model_admin(model).has_view_permission(request):
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def log_url(request: HttpRequest, incident: Incident) -> str:
    """The delivery log, narrowed to the messages about this incident."""
    log = list_url(request, "notifications.delivery")
    return f"{log}?{urlencode({'incident': incident.reference})}" if log else ""
