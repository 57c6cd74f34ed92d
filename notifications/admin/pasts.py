"""What a row of configuration was before, to be looked at (R-1201)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from simple_history.admin import SimpleHistoryAdmin


class PastsAdmin(SimpleHistoryAdmin):
    """A screen whose rows show their earlier versions. They are read only.

    The library saves what is posted to an earlier version, whoever may look at it, and shows its form
    with fields filled from others that are read-only by then.
    """

    def history_form_view(
        self, request: HttpRequest, object_id: str, version_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        answer: HttpResponse = super().history_form_view(request, object_id, version_id, extra_context)
        return answer
