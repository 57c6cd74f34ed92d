"""The door of a restricted incident: an administrator who is not named lets themselves in, and that is told (R-213).

Everybody else is told that there is no such incident.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from incidents import lifecycle
from incidents.forms.restricting import EnterForm
from incidents.models import Incident


def locked(request: HttpRequest, pk: int) -> Incident | None:
    """The incident behind the door, for an administrator who is not named in it; None: there is no door for them."""
    if not request.user.is_superuser:
        return None
    found = Incident.objects.filter(pk=pk, is_restricted=True).first()
    return found if found and not Incident.objects.visible_to(request.user).filter(pk=pk).exists() else None


def door(request: HttpRequest, incident: Incident, form: EnterForm | None = None) -> HttpResponse:
    """The page that offers to be let in, and says nothing about what is behind it."""
    form = form or EnterForm(at=timezone.now())
    context: dict[str, Any] = admin.site.each_context(request) | {
        "title": incident.reference,
        "incident_pk": incident.pk,
        "form": form,
        "focus": form.focus() if form.is_bound else "",
        "is_fullwidth": "1",
    }
    return render(request, "admin/incidents/incident/enter.html", context)


def enter(request: HttpRequest, pk: int) -> HttpResponse:
    """Let in who says why. POST only: looking at an address lets nobody in."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    screen = reverse("admin:incidents_incident_change", args=[pk])
    incident = locked(request, pk)
    if incident is None:
        if Incident.objects.visible_to(request.user).filter(pk=pk).exists():
            return redirect(screen)
        raise Http404("There is no such incident.")
    at, by = timezone.now(), request.user
    assert isinstance(by, User)
    form = EnterForm(request.POST, at=at)
    if not form.is_valid():
        return door(request, incident, form)
    try:
        lifecycle.admit(incident, by, reason=form.cleaned_data["reason"], by=by, at=at, ask=form.ask)
    except lifecycle.AlreadyDone:
        return redirect(screen)
    except lifecycle.NotAllowed as refused:
        form.add_error(None, str(refused))
        return door(request, incident, form)
    messages.success(request, f"{incident.reference}: you are let in. Those in charge are told.")
    return redirect(screen)
