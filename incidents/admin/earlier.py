"""Earlier words beside the composer: a fragment, asked for when somebody wants it. Changes nothing (R-206)."""

from __future__ import annotations

from http import HTTPStatus

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from incidents import wording
from incidents.admin.deeds import COMMAND, DECLARE, PUBLISH
from incidents.models import Incident, Severity
from status.enums import Phase


def earlier(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Words of the past for the phase, components, severity and brand that the form shows now.

    ``pk`` is the incident that is spoken of; None while one is declared.
    """
    if not any(request.user.has_perm(permission) for permission in (DECLARE, PUBLISH, COMMAND)):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
    asked = request.GET
    phase = asked.get("phase", Phase.INVESTIGATING)
    if phase not in Phase.values:
        raise Http404("There is no such phase.")
    components = wording.marked(asked.getlist("component"))
    brand, policy = _number(asked.get("brand")), None
    if pk is not None:
        incidents = Incident.objects.visible_to(request.user).select_related("severity__version")
        incident = get_object_or_404(incidents, pk=pk)
        policy, brand = incident.severity.version.policy_id, incident.brand_id
        if incident.notice and not components:
            components = list(incident.notice.components.values_list("pk", flat=True))
    elif severity := _number(asked.get("severity")):
        policy = Severity.objects.filter(pk=severity).values_list("version__policy", flat=True).first()
    found = wording.earlier(
        request.user, phase=Phase(phase), components=components, policy=policy, brand=brand, apart_from=pk
    )
    context = {"earlier": found, "phase": Phase(phase).label}
    return render(request, "admin/incidents/incident/earlier.html", context)


def _number(value: str | None) -> int | None:
    """An id out of what was sent; None for anything else."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 19 else None
