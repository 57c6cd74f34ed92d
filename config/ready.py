"""Ready bytes: the public page handed out in front of Django (performance.md A).

A reader costs one look into a dictionary that is never changed, only exchanged whole. No
database, no Redis, no session, no file is touched for the status page, so it stands when they are
gone. A thread per process looks at the pressed files a few times a second. What is not pressed
falls through to Django, which presses it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import re
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from config.middleware import PUBLIC_POLICY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

LOOK_EVERY = 0.2
#: Incident pages kept per process; readers of older ones cost one small file each.
KEPT = 400
#: Files replaced within one tick of the file system's clock share a time: look again until it is past.
TICK = 1.0
FRESHNESS = "public, max-age=5, stale-while-revalidate=30, stale-if-error=86400"
_RENEWED = {"Cache-Control", "Vary", "ETag", "X-Pressed-At"}
INDEX = "index.html"
PAGES = ("/status", "/status/")
_NOTICE = re.compile(r"/status/(incidents/[a-z0-9]{12})\Z")

Headers = list[tuple[str, str]]
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Page:
    """One address, ready to go: headers and body for each of the three answers."""

    stamp: Stamp
    tag: str
    plain: Headers
    plain_body: Sequence[bytes]
    packed: Headers
    packed_body: Sequence[bytes]
    unchanged: Headers


class Ready:
    """WSGI application: pressed pages first, ``inner`` for everything else.

    ``folder`` holds the pressed files. Safe with threads; survives a fork.
    """

    def __init__(self, inner: WSGIApplication, folder: Path) -> None:
        self._inner = inner
        self._folder = folder
        self._pages: dict[str, Page] = {}
        self._lock = threading.Lock()
        self._marked: Stamp | None = None
        self._folder_stamp: Stamp | None = None
        self._common = _common()
        # TLS is enforced by Django's own middleware, which this stands in front of.
        self._tls_only = bool(settings.SECURE_SSL_REDIRECT)
        self._watch()
        own = weakref.WeakMethod(self._watch)
        os.register_at_fork(after_in_child=lambda: (watch := own()) and watch())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        page = self._pages.get(environ["PATH_INFO"])
        if page is None:
            page = self._fetch(environ["PATH_INFO"])
        if page is None or (self._tls_only and not _is_secure(environ)):
            return self._inner(environ, start_response)
        method = environ["REQUEST_METHOD"]
        if method != "GET" and method != "HEAD":
            return _refuse(start_response)
        known = environ.get("HTTP_IF_NONE_MATCH")
        if known is not None and (page.tag in known or known == "*"):
            start_response("304 Not Modified", page.unchanged)
            return ()
        accepted = environ.get("HTTP_ACCEPT_ENCODING", "")
        if "gzip" in accepted and ("q=" not in accepted or _takes_gzip(accepted)):
            start_response("200 OK", page.packed)
            return page.packed_body if method == "GET" else ()
        start_response("200 OK", page.plain)
        return page.plain_body if method == "GET" else ()

    # --- files -----------------------------------------------------------------------

    def _fetch(self, path: str) -> Page | None:
        """A page of an incident, read once; None when it is not pressed or not ours."""
        name = _file_of(path)
        if name is None:
            return None
        page = self._read(name)
        if page is not None:
            with self._lock:
                kept = dict(self._pages)
                while len(kept) >= KEPT:
                    kept.pop(next(address for address in kept if address not in PAGES))
                self._pages = {**kept, path: page}
        return page

    def _read(self, name: str) -> Page | None:
        try:
            with (self._folder / name).open("rb") as file:
                stamp = _stamp(os.fstat(file.fileno()))
                content = file.read()
        except OSError:
            return None
        # Only the status page is looked at again and again; on a page kept for hours the mark would lie.
        marks = self._marks() if name == INDEX else []
        return _made(stamp, content, [*self._common, *marks])

    def _marks(self) -> Headers:
        """When the presser last looked, for readers who want to know how fresh this is (R-1309)."""
        try:
            at = datetime.fromisoformat(json.loads((self._folder / "pressed.json").read_bytes())["at"])
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return [("X-Pressed-At", format_datetime(at.astimezone(UTC), usegmt=True))]

    # --- the watching thread -----------------------------------------------------------

    def _watch(self) -> None:
        # A fork copies the lock as it was, perhaps held.
        self._lock = threading.Lock()
        self.look()
        threading.Thread(target=_keep_looking, args=(weakref.ref(self),), name="ready", daemon=True).start()

    def look(self) -> None:
        """Notice files that were replaced; what has vanished stays as it last was."""
        marked = _stamp_of(self._folder / "pressed.json")
        incidents = _stamp_of(self._folder / "incidents")
        index = self._pages.get(PAGES[0])
        stamp = _stamp_of(self._folder / INDEX)
        fresh: dict[str, Page] = {}
        if stamp and (index is None or index.stamp != stamp or marked != self._marked):
            page = self._read(INDEX)
            if page is not None:
                fresh.update(dict.fromkeys(PAGES, page))
        if incidents and (incidents != self._folder_stamp or time.time() - incidents[0] / 1e9 < TICK):
            fresh.update(self._renewed())
        self._marked, self._folder_stamp = marked, incidents
        if fresh:
            with self._lock:
                self._pages = {**self._pages, **fresh}

    def _renewed(self) -> dict[str, Page]:
        renewed = {}
        for path, page in self._pages.items():
            name = _file_of(path)
            stamp = _stamp_of(self._folder / name) if name else None
            if name and stamp and stamp != page.stamp:
                found = self._read(name)
                if found is not None:
                    renewed[path] = found
        return renewed


def _keep_looking(of: weakref.ref[Ready]) -> None:
    while True:
        time.sleep(LOOK_EVERY)
        ready = of()
        if ready is None:
            return
        try:
            ready.look()
        except Exception:  # a thread that dies silently would freeze the page
            log.exception("The pressed pages could not be looked at; the last ones stay.")
        del ready


def _file_of(path: str) -> str | None:
    match = _NOTICE.match(path)
    return f"{match[1]}.html" if match else None


def _stamp_of(path: Path) -> Stamp | None:
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_mtime_ns, found.st_ino, found.st_size


def _made(stamp: Stamp, content: bytes, common: Headers) -> Page:
    # Weak, because the same tag stands for both encodings.
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    packed = gzip.compress(content, 9, mtime=0)
    shared = [*common, ("ETag", f"W/{tag}")]
    # A 304 renews what is stored; it need not repeat what cannot have changed (RFC 9110, 15.4.5).
    renewed = [(name, value) for name, value in shared if name in _RENEWED]
    typed = [("Content-Type", "text/html; charset=utf-8"), *shared]
    return Page(
        stamp=stamp,
        tag=tag,
        plain=[*typed, ("Content-Length", str(len(content)))],
        plain_body=(content,),
        packed=[*typed, ("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))],
        packed_body=(packed,),
        unchanged=renewed,
    )


def _common() -> Headers:
    """What Django's middleware would have added (S13), and how long others may keep the page."""
    headers = [
        ("Cache-Control", FRESHNESS),
        ("Vary", "Accept-Encoding"),
        ("Content-Security-Policy", PUBLIC_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", str(settings.X_FRAME_OPTIONS)),
        ("Referrer-Policy", str(settings.SECURE_REFERRER_POLICY)),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
    if settings.SECURE_HSTS_SECONDS:
        parts = [f"max-age={settings.SECURE_HSTS_SECONDS}"]
        parts += ["includeSubDomains"] if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else []
        parts += ["preload"] if settings.SECURE_HSTS_PRELOAD else []
        headers.append(("Strict-Transport-Security", "; ".join(parts)))
    return headers


def _is_secure(environ: WSGIEnvironment) -> bool:
    trusted = settings.SECURE_PROXY_SSL_HEADER
    if trusted:
        return str(environ.get(trusted[0], "")).split(",")[0].strip() == trusted[1]
    return environ["wsgi.url_scheme"] == "https"


def _takes_gzip(accepted: str) -> bool:
    """``gzip;q=0`` is a refusal (RFC 9110, 12.5.3)."""
    for part in accepted.split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _refuse(start_response: StartResponse) -> Iterable[bytes]:
    words = b"This page can only be read.\n"
    headers = [("Allow", "GET, HEAD"), ("Content-Type", "text/plain"), ("Content-Length", str(len(words)))]
    refused = HTTPStatus.METHOD_NOT_ALLOWED
    start_response(f"{refused.value} {refused.phrase}", headers)
    return (words,)
