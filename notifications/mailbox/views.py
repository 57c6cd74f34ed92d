"""Pages that show the local mailbox to staff. What mail says is never trusted here."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from notifications.mailbox.box import Box, arrived_at
from notifications.mailbox.reading import Opened, opened

PAGE = 50
#: A mail's HTML runs nothing, loads nothing and is nobody; its links open in a tab of their own.
MAIL_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
#: Only what stands before it may be put in front of a page without changing how it is drawn.
_DOCTYPE = re.compile(r"\A(\s*(?:<!doctype[^>]*>)?)", re.IGNORECASE)
PARTS = {"html": "As sent", "text": "Plain text", "headers": "Headers"}


@require_safe
def entries(request: HttpRequest) -> HttpResponse:
    """Newest first, 50 to a page; ``?q=`` searches recipient, sender and subject, ``?before=`` goes back in time."""
    words, before = request.GET.get("q", "").strip()[:200], request.GET.get("before", "")
    shown = list(islice(_box().entries(words, before=before), PAGE + 1))
    query = {"q": words} if words else {}
    older = "?" + urlencode(query | {"before": shown[PAGE - 1].key}) if len(shown) > PAGE else ""
    context = {"title": "Mailbox", "entries": shown[:PAGE], "words": words, "before": before, "older": older}
    context["query"] = urlencode(query)
    return render(request, "mailbox/entries.html", _console(request) | context)


@require_safe
def message(request: HttpRequest, key: str) -> HttpResponse:
    """One message, one part of it at a time (``?part=``)."""
    mail = _open(key)
    available = [part for part in PARTS if part == "headers" or getattr(mail, part) is not None]
    part = request.GET.get("part", "")
    context = {
        "title": mail.head.subject or "(no subject)",
        "key": key,
        "mail": mail,
        "list_url": reverse("mailbox:entries"),
        "facts": [
            ("To", mail.head.recipient),
            ("From", mail.head.sender),
            ("Received", f"{arrived_at(key):%Y-%m-%d %H:%M:%S} UTC"),
        ],
        "part": part if part in available else available[0],
        "tabs": [(name, PARTS[name]) for name in available],
    }
    return render(request, "mailbox/message.html", _console(request) | context)


@require_safe
@xframe_options_sameorigin
def html(_request: HttpRequest, key: str) -> HttpResponse:
    """The HTML part by itself, for the frame: a sandbox even when opened directly."""
    mail = _open(key)
    if mail.html is None:
        raise Http404("This message has no HTML part.")
    response = HttpResponse(_DOCTYPE.sub(r'\1<base target="_blank">', mail.html, count=1))
    response["Content-Security-Policy"] = MAIL_POLICY
    response["Referrer-Policy"] = "no-referrer"
    return response


@require_safe
def source(_request: HttpRequest, key: str) -> HttpResponse:
    """Every byte as it came, as text that no browser takes for anything else."""
    response = HttpResponse(_read(key), content_type="text/plain; charset=utf-8")
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _box() -> Box:
    if not settings.MAILBOX_IN_USE:
        raise Http404("The local mailbox is not in use.")
    return Box(settings.MAILBOX_DIR)


def _read(key: str) -> bytes:
    try:
        return _box().read(key)
    except KeyError:
        raise Http404("No such message; it may have been cleared out.") from None


def _open(key: str) -> Opened:
    return opened(_read(key))


def _console(request: HttpRequest) -> dict[str, Any]:
    return admin.site.each_context(request)
