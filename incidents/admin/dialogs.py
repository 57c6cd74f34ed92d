"""The same page in a dialog: a script asks with ``X-Dialog``, and gets the form alone, or where to go.

Without a script everything works as a page of its own.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

HEADER = "X-Dialog"


def asked(request: HttpRequest) -> bool:
    return HEADER in request.headers


def frame(request: HttpRequest) -> dict[str, Any]:
    """What a page needs around it; in a dialog nothing is around it."""
    if asked(request):
        return {"frame": "admin/incidents/incident/bare.html", "in_dialog": True}
    return admin.site.each_context(request)


def done(request: HttpRequest, url: str, said: str = "", level: int = messages.SUCCESS) -> HttpResponse:
    """It is done: go on to ``url``; a dialog is told where, and what to say there."""
    if asked(request):
        return JsonResponse({"go": url, "said": said})
    if said:
        messages.add_message(request, level, said)
    return redirect(url)
