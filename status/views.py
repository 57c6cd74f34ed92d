"""Public pages for readers who come before, or beside, the pressed bytes (config/ready.py)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import wraps
from itertools import groupby

from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from notifications import views as subscriptions
from notifications.enums import Channel
from notifications.views import public_page
from status.enums import NoticeKind
from status.models import Notice
from status.page import press
from status.page.postings import Posting, archive
from status.page.snapshot import default_brand

log = logging.getLogger(__name__)

PAGE_SIZE = 25
#: Checked before the database is asked: PostgreSQL refuses some characters altogether.
_PUBLIC_ID = re.compile(r"[a-z0-9]{12}\Z")

View = Callable[..., HttpResponse]


def public(view: View) -> View:
    """Read only, without cookies; words instead of a stack trace for what is unknown or away."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        try:
            try:
                response = view(request, *args, **kwargs)
            except Http404:
                response = HttpResponse(render_to_string("status/missing.html", {"brand": default_brand()}), status=404)
        except DatabaseError:
            log.exception("A public page could not be read.")
            response = HttpResponse(render_to_string("status/away.html"), status=503, headers={"Retry-After": "30"})
        response.headers.setdefault("Cache-Control", "no-cache")
        return response

    return answer


@public
def page(request: HttpRequest) -> HttpResponse:
    """The status page; pressed now if nobody has pressed it yet."""
    pressed = press.read(press.INDEX)
    if pressed is None:
        press.press()
        pressed = press.read(press.INDEX) or press.render_page(timezone.now())
    return HttpResponse(pressed)


@public
def incident(request: HttpRequest, public_id: str) -> HttpResponse:
    """The permanent page of a notice (R-701), pressed on demand."""
    rendered = press.render_notice(public_id, timezone.now()) if _PUBLIC_ID.match(public_id) else None
    if rendered is None:
        raise Http404
    press.press(public_id)
    return HttpResponse(rendered)


@public
def history(request: HttpRequest) -> HttpResponse:
    """Past incidents and maintenance, by key (R-702's archive)."""
    before = request.GET.get("before", "")
    try:
        postings, following = archive(before, PAGE_SIZE, timezone.now())
    except ValueError as error:
        raise Http404 from error
    months = [(month, list(told)) for month, told in groupby(postings, key=_month)]
    context = {"brand": default_brand(), "months": months, "next": following, "before": before}
    return HttpResponse(render_to_string("status/history.html", context))


@public_page
def follow(request: HttpRequest, public_id: str, channel: str = Channel.EMAIL) -> HttpResponse:
    """Ask to hear of one notice to its end (R-802); what is over is only shown."""
    notice = Notice.objects.filter(public_id=public_id).first() if _PUBLIC_ID.match(public_id) else None
    if notice is None:
        return HttpResponse(render_to_string("status/missing.html", {"brand": default_brand()}), status=404)
    if notice.resolved_at or notice.withdrawn_at:
        return HttpResponseRedirect(reverse("status:incident", args=[public_id]))
    here = reverse("status:follow", args=[public_id])
    what = "maintenance" if notice.kind == NoticeKind.MAINTENANCE else "incident"
    return subscriptions.follow(request, lane=notice.lane, name=notice.title, what=what, channel=channel, here=here)


def _month(posting: Posting) -> str:
    return f"{posting.resolved_at:%B %Y}"
