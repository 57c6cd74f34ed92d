"""The pages of the acts: a GET shows a form and changes nothing, a POST acts and goes on (F09, F11).

Nothing typed is ever lost: whatever is refused comes back in the form it was typed into.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from incidents import clock, forms, grid, lifecycle, phrases
from incidents.admin import chronicle, dialogs, kin, saved, screen, told, whatif
from incidents.admin.deeds import DECLARE, DEEDS, Deed
from incidents.admin.preview import preview
from incidents.enums import Setting, State, Wire
from incidents.forms import severities
from incidents.forms.translating import OTHERS
from incidents.models import Incident, SavedForm, Severity, TimelineEntry, UpdateTemplate
from incidents.templatetags.incidents import RANK_COLOURS
from notifications.lint import Unsendable
from status.models import NoticeUpdate

LETTER_HINT = (
    "{{impact}} becomes what each customer uses of it; {{update}} are the words for the public, "
    "{{support}} is where they reach you."
)
#: Names of the buttons that show something instead of acting.
PREVIEW, FILL = "_preview", "_fill"


def declare(request: HttpRequest) -> HttpResponse:
    """Everything on one form; published at once unless it is kept inside (R-201…R-207)."""
    by, at = _operator(request, DECLARE), timezone.now()
    if request.method != "POST":
        form, begun = _begun(partial(forms.DeclareForm, at=at, by=by), by, None, saved.DECLARE)
        return _show_declare(request, form, begun=begun)
    if done := _done_before(request):
        return redirect(url_of(done))
    form = forms.DeclareForm(_filled(request), at=at, by=by)
    if not form.is_valid() or PREVIEW in request.POST or FILL in request.POST:
        return _show_declare(request, form)
    try:
        incident = _declare(form, by, at)
    except lifecycle.AlreadyDone as replay:
        return redirect(url_of(replay.incident))
    except lifecycle.Contradicted as contradicted:
        form.object_to(contradicted.concerns)
        return _show_declare(request, form)
    except Unsendable as refused:
        form.add_error(None, refused.problems)
        return _show_declare(request, form)
    saved.forget(by, None, saved.DECLARE)
    _say_declared(request, form, incident)
    return redirect(url_of(incident))


def _declare(form: forms.DeclareForm, by: User, at: datetime) -> Incident:
    known = form.cleaned_data
    return lifecycle.declare(
        severity=known["severity"],
        title=known["title"],
        started_at=known["started_at"],
        detected_at=known["detected_at"],
        origin=known["origin"],
        brand=known["brand"],
        levels=form.levels,
        draft=form.draft() if form.speaks else None,
        channels=form.channels,
        letter=form.letter,
        override=form.excuse,
        advice=form.advice,
        restricted=known["restricted"],
        public_title=known["public_title"],
        token=known["token"],
        by=by,
        at=at,
    )


def _say_declared(request: HttpRequest, form: forms.DeclareForm, incident: Incident) -> None:
    said = "Declared and published." if form.speaks else "Declared. Nothing is public yet."
    messages.success(request, f"{incident.reference}: {said}")
    if form.speaks and not form.levels:
        messages.warning(request, "No component is marked, so the status page stays green. Post an update to mark one.")


def act(request: HttpRequest, pk: int, slug: str, update: str = "") -> HttpResponse:
    """The page of one act on one incident; ``update`` names the public update to correct."""
    deed = _deed(slug)
    by, at = _operator(request, deed.permission), timezone.now()
    incident = _incident(pk, by)
    extra = _extra(incident, slug, update) | {"by": by}
    kept_as = saved.name(slug, update)
    if request.method != "POST":
        return _start(request, deed, incident, extra, at, kept_as)
    if done := _done_before(request):
        return dialogs.done(request, url_of(done))
    form = deed.form(_filled(request), at=at, incident=incident, **extra)
    if not form.is_valid() or PREVIEW in request.POST or FILL in request.POST:
        return _show(request, deed, incident, form)
    if isinstance(form, forms.SeverityForm) and not form.confirmed:
        return _show_consequences(request, deed, incident, form)
    return _act(request, deed, incident, form, at, kept_as)


def _start(
    request: HttpRequest, deed: Deed, incident: Incident, extra: dict[str, Any], at: datetime, kept_as: str
) -> HttpResponse:
    if not deed.when(incident):
        state = incident.get_state_display().lower()
        said = f"{incident.reference} is {state}: “{deed.label}” is not possible now."
        return dialogs.done(request, url_of(incident), said, level=messages.INFO)
    make = partial(deed.form, at=at, incident=incident, **extra)
    if given := {name: request.GET[name] for name in deed.starts if name in request.GET}:
        return _show(request, deed, incident, make(initial=given))
    form, begun = _begun(make, extra["by"], incident, kept_as)
    return _show(request, deed, incident, form, begun=begun)


def _begun(make: Callable[..., Any], by: User, incident: Incident | None, act: str) -> tuple[Any, SavedForm | None]:
    """A form with what this person began to type in it, and did not send. One query."""
    begun = saved.find(by, incident, act)
    if begun is None:
        return make(), None
    form = make(saved.given_back(begun, uuid4()))
    # Read, so that it can be shown and previewed; what is not right yet is said when it is sent.
    form.is_valid()
    form.errors.clear()
    return form, begun


def _act(
    request: HttpRequest, deed: Deed, incident: Incident, form: forms.ActForm, at: datetime, kept_as: str
) -> HttpResponse:
    by = form.by
    assert by is not None
    try:
        deed.act(form, incident, by, at)
    except lifecycle.AlreadyDone as replay:
        return dialogs.done(request, url_of(replay.incident))
    except lifecycle.Changed as changed:
        return _show_conflict(request, deed, form, changed)
    except (lifecycle.NotAllowed, Unsendable) as refused:
        if isinstance(form, forms.Weighed) and isinstance(refused, lifecycle.Contradicted):
            # The books changed between the form and the act.
            form.object_to(refused.concerns)
        else:
            form.add_error(None, refused.problems if isinstance(refused, Unsendable) else str(refused))
        return _show(request, deed, _incident(incident.pk, by), form)
    saved.forget(by, incident, kept_as)
    return dialogs.done(request, url_of(incident), f"{incident.reference}: {deed.done}")


def look(request: HttpRequest, pk: int | None = None, slug: str = "", update: str = "") -> HttpResponse:
    """The panel beside a form, as a fragment of HTML; POST, because it sends what is typed. Writes nothing."""
    if request.method != "POST":
        return HttpResponse(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
    at = timezone.now()
    if pk is None:
        by = _operator(request, DECLARE)
        form: forms.ActForm = forms.DeclareForm(request.POST, at=at, by=by)
    else:
        deed = _deed(slug)
        by = _operator(request, deed.permission)
        incident = _incident(pk, by)
        form = deed.form(request.POST, at=at, incident=incident, by=by, **_extra(incident, slug, update))
    if not isinstance(form, forms.TellingForm):
        raise Http404("This act says nothing in public.")
    form.is_valid()
    return render(request, "admin/incidents/incident/preview.html", {"preview": preview(form)})


# --- showing -----------------------------------------------------------------------


def _show_declare(request: HttpRequest, form: forms.DeclareForm, **more: Any) -> HttpResponse:
    context = {
        "title": "Declare an incident",
        "deed": None,
        "public": True,
        "button": "Declare and publish",
        "preview_url": reverse("admin:incidents_incident_preview"),
        "levels_data": _levels_data(form.offered),
        "no_levels": not form.offered,
        "keep_url": reverse("admin:incidents_incident_keep"),
    }
    if form.is_bound and form.by:
        context |= kin.proposed(form, form.by)
    return _page(request, form, context | more)


def _show(request: HttpRequest, deed: Deed, incident: Incident, form: forms.ActForm, **more: Any) -> HttpResponse:
    context: dict[str, Any] = {
        "title": f"{deed.label_for(incident)} · {incident.reference}",
        "deed": deed,
        "incident": incident,
        "button": deed.button,
        "severity_colour": RANK_COLOURS[incident.severity.rank],
        "state_colour": screen.STATE_COLOURS[State(incident.state)],
        "keep_url": _keep_url(deed, incident, form),
    }
    if isinstance(form, forms.TellingForm):
        context["preview_url"] = _preview_url(deed, incident, form)
        context["public"] = form.speaks
    return _page(request, form, context | more)


def _keep_url(deed: Deed, incident: Incident, form: forms.ActForm) -> str:
    if isinstance(form, forms.CorrectForm):
        return reverse("admin:incidents_incident_correct_keep", args=[incident.pk, _told_as(incident, form)])
    return reverse("admin:incidents_incident_act_keep", args=[incident.pk, deed.slug])


def _told_as(incident: Incident, form: forms.CorrectForm) -> str:
    """The id by which the public knows the update that is corrected."""
    return next(one for one in told.sayings(incident) if one.newest == form.update).told.public_id


def _preview_url(deed: Deed, incident: Incident, form: forms.ActForm) -> str:
    if isinstance(form, forms.CorrectForm):
        return reverse("admin:incidents_incident_correct_preview", args=[incident.pk, _told_as(incident, form)])
    return reverse("admin:incidents_incident_act_preview", args=[incident.pk, deed.slug])


def _show_consequences(request: HttpRequest, deed: Deed, incident: Incident, form: forms.SeverityForm) -> HttpResponse:
    """The what-if of R-109; the next POST of the same choice acts."""
    level: Severity = form.cleaned_data["severity"]
    data = request.POST.copy()
    data["seen"] = str(level.pk)
    again = forms.SeverityForm(data, at=form.at, incident=incident, by=form.by)
    # A reason that is still missing is asked for when it is confirmed.
    again.is_valid()
    again.errors.clear()
    consequences = {
        "new": level,
        "new_colour": RANK_COLOURS[level.rank],
        "clocks": clock.compare(incident, level, at=form.at),
        "differences": whatif.differences(incident.severity, level),
    }
    button = f"Change {incident.severity.short} to {level.short}"
    return _show(request, deed, incident, again, consequences=consequences, button=button)


def _show_conflict(request: HttpRequest, deed: Deed, form: forms.ActForm, changed: lifecycle.Changed) -> HttpResponse:
    """Everything typed, what happened meanwhile, and a way to say it all the same (F09)."""
    assert form.by is not None
    incident = _incident(changed.incident.pk, form.by)
    data = request.POST.copy()
    data["version"] = str(incident.version)
    extra = {"update": form.update} if isinstance(form, forms.CorrectForm) else {}
    again = deed.form(data, at=form.at, incident=incident, by=form.by, **extra)
    again.is_valid()
    button = f"{deed.button} anyway" if not isinstance(form, forms.SeverityForm) else "Change it anyway"
    return _show(
        request,
        deed,
        incident,
        again,
        conflict=chronicle.unseen(changed.entries, form.by),
        button=button,
        status=HTTPStatus.CONFLICT,
    )


def _page(request: HttpRequest, form: forms.ActForm, context: dict[str, Any]) -> HttpResponse:
    status = context.pop("status", HTTPStatus.OK)
    if isinstance(form, forms.ComposerForm):
        context["templates"] = form.templates
        context["earlier_url"] = earlier_url(form.incident)
        context["templates_data"] = {
            str(template.pk): {"phase": template.phase, **form.starts[template.pk]} for template in form.templates
        }
    if isinstance(form, forms.TellingForm):
        context["preview"] = preview(form) if form.is_bound else None
        context["letter_hint"] = LETTER_HINT
        context["lines"] = (context["preview"] and context["preview"].lines) or form.lines()
    frame = dialogs.frame(request) | {
        "form": form,
        "is_declare": isinstance(form, forms.DeclareForm),
        "focus": form.focus() if form.is_bound else "",
        "other_policy": _judged_by_another(form),
        "is_fullwidth": "1",
        "at": form.at,
    }
    return render(request, _template(form), frame | context, status=status)


def _template(form: forms.ActForm) -> str:
    if isinstance(form, forms.ComposerForm):
        return "admin/incidents/incident/composer.html"
    return "admin/incidents/incident/act.html"


def _judged_by_another(form: forms.ActForm) -> bool:
    """Whether a level is chosen that lies behind the fold."""
    if not isinstance(form, forms.DeclareForm | forms.SeverityForm):
        return False
    return any(group.opened for group in form.groups[1:])


def _levels_data(levels: list[Severity]) -> dict[str, Any]:
    return {
        str(level.pk): {
            "policy": level.version.policy_id,
            "cadence": severities.cadence(level),
            "told": severities.is_told(level),
            "ways": grid.settings(said := grid.cells(level)) | {Wire.BANNER: said.get(Wire.BANNER, Setting.OFF)},
        }
        for level in levels
    }


def earlier_url(incident: Incident | None) -> str:
    """Where the composer asks for earlier words."""
    if incident is None:
        return reverse("admin:incidents_incident_earlier")
    return reverse("admin:incidents_incident_earlier_for", args=[incident.pk])


# --- reading the request -------------------------------------------------------------


def url_of(incident: Incident) -> str:
    """The incident's screen."""
    return reverse("admin:incidents_incident_change", args=[incident.pk])


def _operator(request: HttpRequest, permission: str) -> User:
    if not isinstance(request.user, User) or not request.user.has_perm(permission):
        raise PermissionDenied
    return request.user


def _deed(slug: str) -> Deed:
    if slug not in DEEDS:
        raise Http404("There is no such act.")
    return DEEDS[slug]


def _incident(pk: int, by: User) -> Incident:
    """404 as well for a restricted one that this person may not know of (R-213)."""
    return get_object_or_404(screen.base().visible_to(by), pk=pk)


def _extra(incident: Incident, slug: str, update: str) -> dict[str, Any]:
    return {"update": _update(incident, update)} if slug == "correct" else {}


def _update(incident: Incident, public_id: str) -> NoticeUpdate:
    """The newest words of the update that the public knows by this id."""
    for saying in told.sayings(incident):
        if saying.told.public_id == public_id:
            return saying.newest
    raise Http404("There is no such update.")


def _done_before(request: HttpRequest) -> Incident | None:
    """What came of this very form when it was sent the first time (F11)."""
    if PREVIEW in request.POST or FILL in request.POST:
        return None
    try:
        token = UUID(request.POST.get("token", ""))
    except ValueError:
        return None
    done = TimelineEntry.objects.filter(token=token).select_related("incident").first()
    return done.incident if done else None


def _filled(request: HttpRequest) -> QueryDict:
    """What was sent; with the words of the chosen template where they were asked for (without JavaScript)."""
    data = request.POST.copy()
    chosen = data.get("template", "")
    if FILL in data and chosen.isascii() and chosen.isdigit() and len(chosen) < 19:
        template = UpdateTemplate.objects.filter(pk=int(chosen), translates=None).first()
        if template:
            data["phase"] = template.phase
            for field, said in phrases.start(template, OTHERS).items():
                data[field] = said
    return data
