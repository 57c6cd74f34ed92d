"""The pages of the acts on planned work: a GET shows a form and changes nothing, a POST acts and goes on (F09, F11)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from incidents import maintenance
from incidents.admin.deeds import DECLARE, PUBLISH
from incidents.admin.preview import preview
from incidents.admin.works import STATE_COLOURS, WORKS, Work
from incidents.enums import MaintenanceState
from incidents.forms.maintenance import PlanForm
from incidents.forms.works import WorkForm
from incidents.models import Maintenance
from incidents.moves import NotAllowed
from notifications.lint import Unsendable

#: Names of the buttons that show something instead of acting.
PREVIEW, FILL = "_preview", "_fill"
Sent = TypeVar("Sent", bound=WorkForm)


def plan(request: HttpRequest) -> HttpResponse:
    """Everything on one form; announced at once unless it is kept inside."""
    by, at = operator(request, DECLARE), timezone.now()
    may_announce = by.has_perm(PUBLISH)
    if request.method != "POST":
        return _show_plan(request, PlanForm(at=at, may_announce=may_announce))
    if done := _done_before(request):
        return redirect(url_of(done))
    form = _sent(request, partial(PlanForm, at=at, may_announce=may_announce))
    if not form.is_valid() or PREVIEW in request.POST or FILL in request.POST:
        return _show_plan(request, form)
    try:
        work = _plan(form, by, at)
    except maintenance.AlreadyDone as replay:
        return redirect(url_of(replay.maintenance))
    except (NotAllowed, Unsendable) as refused:
        form.add_error(None, refused.problems if isinstance(refused, Unsendable) else str(refused))
        return _show_plan(request, form)
    said = "Planned and announced." if form.speaks else "Planned. Nothing is public yet."
    messages.success(request, f"{work.reference}: {said}")
    return redirect(url_of(work))


def _plan(form: PlanForm, by: User, at: datetime) -> Maintenance:
    known = form.cleaned_data
    return maintenance.schedule(
        title=known["title"].strip(),
        severity=known["severity"],
        brand=known["brand"],
        components=known["components"],
        planned_start_at=known["planned_start_at"],
        planned_end_at=known["planned_end_at"],
        what_changes=known["what_changes"].strip(),
        rollback_plan=known["rollback_plan"].strip(),
        draft=form.draft() if form.speaks else None,
        channels=form.channels,
        token=known["token"],
        by=by,
        at=at,
    )


def act(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    """The page of one act."""
    deed, work, at = _deed(slug), _work(pk), timezone.now()
    by = operator(request, deed.permission(work))
    if request.method != "POST":
        return _start(request, deed, work, at)
    if done := _done_before(request):
        return redirect(url_of(done))
    form = _sent(request, partial(deed.form, at=at, work=work, level=work.severity))
    if not form.is_valid() or PREVIEW in request.POST or FILL in request.POST:
        return _show(request, deed, work, form)
    try:
        deed.act(form, work, by, at)
    except maintenance.AlreadyDone as replay:
        return redirect(url_of(replay.maintenance))
    except maintenance.Changed as changed:
        return _show_conflict(request, deed, changed, at)
    except (NotAllowed, Unsendable) as refused:
        form.add_error(None, refused.problems if isinstance(refused, Unsendable) else str(refused))
        return _show(request, deed, _work(pk), form)
    messages.success(request, f"{work.reference}: {deed.done}")
    return redirect(url_of(work))


def _start(request: HttpRequest, deed: Work, work: Maintenance, at: datetime) -> HttpResponse:
    if not deed.when(work):
        said = f"{work.reference} is {work.get_state_display().lower()}: “{deed.label}” is not possible now."
        messages.info(request, said)
        return redirect(url_of(work))
    return _show(request, deed, work, deed.form(at=at, work=work, level=work.severity))


def look(request: HttpRequest, pk: int | None = None, slug: str = "") -> HttpResponse:
    """The panel beside a form, as a fragment of HTML; POST, because it sends what is typed. Writes nothing."""
    if request.method != "POST":
        return HttpResponse(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
    at = timezone.now()
    if pk is None:
        by = operator(request, DECLARE)
        form: WorkForm = PlanForm(request.POST, at=at, may_announce=by.has_perm(PUBLISH))
    else:
        deed, work = _deed(slug), _work(pk)
        operator(request, deed.permission(work))
        form = deed.form(request.POST, at=at, work=work, level=work.severity)
    form.is_valid()
    context = {"preview": preview(form), "window": form.window, "planned_work": True}
    return render(request, "admin/incidents/incident/preview.html", context)


# --- showing -----------------------------------------------------------------------


def _show_plan(request: HttpRequest, form: PlanForm) -> HttpResponse:
    context = {
        "title": "Plan maintenance",
        "button": "Plan and announce",
        "preview_url": reverse("admin:incidents_maintenance_preview"),
        "cancel_url": reverse("admin:incidents_maintenance_changelist"),
        "is_plan": True,
        "public": True,
    }
    return _page(request, form, context)


def _show(request: HttpRequest, deed: Work, work: Maintenance, form: WorkForm, **more: Any) -> HttpResponse:
    context: dict[str, Any] = {
        "title": f"{deed.label} · {work.reference}",
        "deed": deed,
        "work": work,
        "button": deed.button,
        "state_colour": STATE_COLOURS[MaintenanceState(work.state)],
        "preview_url": reverse("admin:incidents_maintenance_act_preview", args=[work.pk, deed.slug]),
        "cancel_url": url_of(work),
        "public": form.speaks,
    }
    return _page(request, form, context | more)


def _show_conflict(request: HttpRequest, deed: Work, changed: maintenance.Changed, at: datetime) -> HttpResponse:
    """Everything typed, what happened meanwhile, and a way to say it all the same (F09)."""
    work, data = _work(changed.maintenance.pk), request.POST.copy()
    data["version"] = str(work.version)
    form = deed.form(data, at=at, work=work, level=work.severity)
    form.is_valid()
    button = f"{deed.button} anyway"
    return _show(request, deed, work, form, conflict=changed.entries, button=button, status=HTTPStatus.CONFLICT)


def _page(request: HttpRequest, form: WorkForm, context: dict[str, Any]) -> HttpResponse:
    status = context.pop("status", HTTPStatus.OK)
    shown = preview(form) if form.is_bound and form.speaks else None
    context |= {
        "form": form,
        "preview": shown,
        "window": form.window,
        "planned_work": True,
        "lines": (shown and shown.lines) or form.lines(),
        "templates_data": {str(key): {"phase": form.phase, **said} for key, said in form.starts.items()},
        "focus": form.focus() if form.is_bound else "",
        "is_fullwidth": "1",
        "at": form.at,
    }
    frame = admin.site.each_context(request)
    return render(request, "admin/incidents/maintenance/act.html", frame | context, status=status)


# --- reading the request -------------------------------------------------------------


def url_of(work: Maintenance) -> str:
    """Its screen."""
    return reverse("admin:incidents_maintenance_change", args=[work.pk])


def operator(request: HttpRequest, permission: str) -> User:
    """Who asks. Raises ``PermissionDenied``."""
    if not isinstance(request.user, User) or not request.user.has_perm(permission):
        raise PermissionDenied
    return request.user


def _deed(slug: str) -> Work:
    if slug not in WORKS:
        raise Http404("There is no such act.")
    return WORKS[slug]


def _work(pk: int) -> Maintenance:
    return get_object_or_404(Maintenance.objects.select_related("severity__version__policy", "notice", "brand"), pk=pk)


def _sent(request: HttpRequest, form: Callable[..., Sent]) -> Sent:
    """What was sent; with the words of the chosen template where they were asked for (without JavaScript)."""
    data, chosen = request.POST.copy(), request.POST.get("template", "")
    if FILL in data:
        said = next((words for key, words in form().starts.items() if key and str(key) == chosen), {})
        for name, text in said.items():
            data[name] = text
    return form(data)


def _done_before(request: HttpRequest) -> Maintenance | None:
    """What came of this very form when it was sent the first time (F11)."""
    if PREVIEW in request.POST or FILL in request.POST:
        return None
    try:
        return maintenance.done_before(UUID(request.POST.get("token", "")))
    except ValueError:
        return None
