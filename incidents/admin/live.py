"""What open pages ask for by themselves: is somebody else here, has anything changed, keep what I type (F09)."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from incidents.admin import chronicle, presence, saved, screen
from incidents.admin.deeds import DECLARE, DEEDS, PUBLISH, offered
from incidents.admin.places import log_url
from incidents.admin.told import sayings
from incidents.enums import State
from incidents.models import Incident

#: Acts with a button in sight, and groups of acts that stand beside what they are about; the others are behind "More".
COURSE = ("acknowledge", "update", "mitigate", "verify", "resolve", "severity", "reopen", "close")
PLACES = ("people", "links", "findings")
#: What floors above put on the screen: of an incident, where this person goes on to, as (what it says, address).
#: No queries in here: the screen's number of them is pinned.
BEYOND: list[Callable[[User, Incident], list[tuple[str, str]]]] = []


def context_of(request: HttpRequest, incident: Incident) -> dict[str, Any]:
    """Everything the incident's screen shows this person now, without the frame around it."""
    by, at = person(request), timezone.now()
    deeds = offered(incident, by)
    return screen.screen(incident, by=by, at=at, asked=request.GET) | {
        "deeds": deeds,
        "acts": [deed for deed in deeds if deed.slug in COURSE],
        "more_acts": [deed for deed in deeds if deed.slug not in COURSE and deed.group not in PLACES],
        **{f"{group}_acts": [deed for deed in deeds if deed.group == group] for group in PLACES},
        "may_note": by.has_perm(PUBLISH),
        "may_correct": by.has_perm(PUBLISH) and incident.state != State.FALSE_ALARM,
        "log_url": log_url(request, incident),
        "beyond": [link for links in BEYOND for link in links(by, incident)],
        "others": presence.others(incident, by, at=at),
        "mark": presence.mark(incident),
    }


def body(request: HttpRequest, pk: int) -> HttpResponse:
    """The screen without its frame; a script puts what changed into its place."""
    incident = known(request, pk)
    return render(request, "admin/incidents/incident/body.html", context_of(request, incident))


def earlier(request: HttpRequest, pk: int) -> HttpResponse:
    """The next page of the timeline, as the list of its entries."""
    incident = known(request, pk)
    may_correct = person(request).has_perm(PUBLISH) and incident.state != State.FALSE_ALARM
    context = {
        "incident": incident,
        "may_note": person(request).has_perm(PUBLISH),
        "chronicle": chronicle.read(incident, request.GET, sayings(incident), by=person(request)),
        "at": timezone.now(),
        "may_correct": may_correct,
    }
    return render(request, "admin/incidents/incident/lines.html", context)


def pulse(request: HttpRequest, pk: int) -> HttpResponse:
    """I am here, with the form of ``act`` open or only looking; answers who else is, and whether anything changed."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    incident, by, at = known(request, pk), person(request), timezone.now()
    presence.arrive(incident, by, request.POST.get("act", ""), at=at)
    return JsonResponse({"mark": presence.mark(incident), "others": presence.others(incident, by, at=at)})


def keep(request: HttpRequest, pk: int | None = None, slug: str = saved.DECLARE, update: str = "") -> HttpResponse:
    """Keep what is typed in a form, or forget it where the person says so."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    by, incident = person(request), known(request, pk) if pk is not None else None
    if incident and slug not in DEEDS:
        raise Http404("There is no such act.")
    if not by.has_perm(DEEDS[slug].permission if incident else DECLARE):
        raise PermissionDenied
    act = saved.name(slug, update)
    if "_discard" in request.POST:
        saved.forget(by, incident, act)
        return redirect(saved.form_url(incident, slug, update))
    try:
        kept = saved.keep(by, incident, act, request.POST, at=timezone.now())
    except saved.TooLongError as refused:
        return JsonResponse({"why": str(refused)}, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return JsonResponse({"kept": kept, "at": f"{timezone.now():%H:%M}"})


def known(request: HttpRequest, pk: int) -> Incident:
    """The incident, if this person may look at it; 404 too where they may not know of it (R-213)."""
    by = person(request)
    if not any(by.has_perm(right) for right in screen.MAY_LOOK):
        raise PermissionDenied
    return get_object_or_404(screen.base().visible_to(by), pk=pk)


def person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
