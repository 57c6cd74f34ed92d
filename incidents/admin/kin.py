"""What looks like the incident that is being declared, while its form is filled in (R-1311)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from incidents import forms, repeats
from incidents.admin.deeds import DECLARE, PUBLISH


def alike(request: HttpRequest) -> HttpResponse:
    """The fragment for what is typed so far; POST, because it sends what is typed. Writes nothing."""
    if not isinstance(request.user, User) or not request.user.has_perm(DECLARE):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponse(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
    form = forms.DeclareForm(request.POST, at=timezone.now(), by=request.user)
    form.is_valid()
    return render(request, "admin/incidents/incident/alike.html", proposed(form, request.user))


def proposed(form: forms.DeclareForm, by: User) -> dict[str, Any]:
    """The context of ``alike.html`` for a form as far as it is filled in. Call ``is_valid`` first."""
    components, title = list(form.levels), form.own_title
    found = repeats.alike(components=components, title=title, at=form.at, user=by) if components or title else []
    return {"alike": found, "may_publish": by.has_perm(PUBLISH)}
