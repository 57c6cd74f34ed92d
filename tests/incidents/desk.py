"""Sitting at the console: a login with chosen rights, and forms filled in as a browser would send them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from incidents.forms import ActForm
from incidents.models import Incident, TimelineEntry
from tests import scene

ALL = ("declare", "publish", "command")
ADD = "/admin/incidents/incident/add/"


def sit(client: Client, *rights: str, name: str = "ann") -> User:
    """Sign in as somebody of the staff with these rights of ``incidents``."""
    user = scene.operator(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights, content_type__app_label="incidents"))
    client.force_login(user)
    return user


def screen_of(incident: Incident) -> str:
    return reverse("admin:incidents_incident_change", args=[incident.pk])


def act_on(incident: Incident, slug: str) -> str:
    return reverse("admin:incidents_incident_act", args=[incident.pk, slug])


def correct(incident: Incident, public_id: str) -> str:
    return reverse("admin:incidents_incident_correct", args=[incident.pk, public_id])


def opened(client: Client, url: str, **typed: Any) -> dict[str, Any]:
    """What a browser sends back after opening ``url`` and typing ``typed`` over what the form holds."""
    response = client.get(url)
    assert response.status_code == 200, response
    return sent(response) | typed


def sent(response: HttpResponse) -> dict[str, Any]:
    """What the form in an answer holds, as a browser would send it."""
    form: ActForm = response.context["form"]  # type: ignore[attr-defined]
    data: dict[str, Any] = {}
    for name in form.fields:
        value = form.fields[name].prepare_value(form[name].value())
        if name == "levels":
            data |= {f"levels-{pk}": level for pk, level in (value or {}).items()}
        elif isinstance(value, list):
            data[name] = [str(one) for one in value]
        elif value not in (None, False):
            data[name] = "on" if value is True else str(value)
    return data


def mistakes(response: HttpResponse) -> dict[str, list[str]]:
    """Messages by field of the form in an answer."""
    form: ActForm = response.context["form"]  # type: ignore[attr-defined]
    return {name: [str(message) for message in messages] for name, messages in form.errors.items()}


def say(client: Client, incident: Incident, slug: str, **typed: Any) -> Any:
    """Open the form of an act, type, send."""
    url = act_on(incident, slug)
    return client.post(url, opened(client, url, **typed))


def fresh(incident: Incident) -> Incident:
    """As the database has it now."""
    return Incident.objects.select_related("notice", "severity").get(pk=incident.pk)


def last(incident: Incident) -> TimelineEntry:
    """What was written down last."""
    return incident.timeline.order_by("id").last()  # type: ignore[return-value]  # there is one
