"""Pressing: turning the public book into bytes, after the commit that changed it.

The files under ``PAGE_DIR`` are what readers get, from our own web process, from nginx or from a
CDN; nobody renders on the way to a reader. One presser works at a time and takes its snapshot
after it has got the lock: whoever writes last has seen the newest data. A failure keeps the last
good files. Unchanged bytes are not written again; ``pressed.json`` says when we last looked.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import timezone

from notifications import ways
from notifications.enums import Channel
from status import uptime
from status.models import Notice
from status.page import bars, snapshot
from status.page.postings import posting

log = logging.getLogger(__name__)

INDEX = "index.html"
MARKER = "pressed.json"
#: With more components than this, groups in which all is well are folded.
UNFOLDED = 12
#: An operator's click does not wait longer for another presser; the timetable presses soon.
PATIENCE_SECONDS = 5.0
#: Clocks of several machines differ, and an act carries the time it began.
MARGIN = timedelta(minutes=5)


def notice_file(public_id: str) -> str:
    """Where the permanent page of a notice lies, below ``PAGE_DIR``."""
    return f"incidents/{public_id}.html"


def soon(notice: Notice | None = None) -> None:
    """Press the page, and the notice's own page, once the running transaction is committed."""
    transaction.on_commit(lambda: press(notice.public_id if notice else None), robust=True)


def press(public_id: str | None = None) -> bool:
    """Press the status page now, and the page of one notice. False: it failed, was logged, the old files stay."""
    return _press(lambda _: [public_id] if public_id else [])


def press_due() -> bool:
    """Press what may have changed by itself or unnoticed: a new day, a passed promise, a crash before the press."""
    return _press(_due)


def press_all() -> bool:
    """Press everything, as after a change of the design."""
    return _press(lambda _: Notice.objects.order_by("pk").values_list("public_id", flat=True).iterator())


def read(name: str) -> bytes | None:
    """A pressed file; None when it was never pressed."""
    try:
        return (settings.PAGE_DIR / name).read_bytes()
    except FileNotFoundError:
        return None


def pressed_at() -> datetime | None:
    """When the page was last looked at, whether or not it changed (UTC)."""
    marker = read(MARKER)
    try:
        return datetime.fromisoformat(json.loads(marker)["at"]) if marker else None
    except (ValueError, KeyError, TypeError):
        return None


def render_page(at: datetime) -> bytes:
    """The status page at ``at`` as HTML."""
    taken = snapshot.take(at)
    context = {
        "snapshot": taken,
        "brand": taken.brand,
        "lead": taken.lead,
        "levels": bars.key(),
        "last_day": int(at.timestamp()) // uptime.DAY,
        "folded": len(taken.rows) > UNFOLDED,
        "icon": f"public/mark-{taken.headline.colour}.svg",
    }
    return _squeezed(render_to_string("status/page.html", context))


def render_notice(public_id: str, at: datetime) -> bytes | None:
    """The permanent page of a notice, also of a withdrawn one; None when there is no such notice."""
    found = posting(public_id, at)
    if found is None:
        return None
    told, brand = found
    context = {
        "posting": told,
        "brand": brand,
        "icon": f"public/mark-{told.standing}.svg",
        "by_text": ways.is_on(Channel.SMS),
    }
    return _squeezed(render_to_string("status/incident.html", context))


def _press(choose: Callable[[datetime], Iterable[str]]) -> bool:
    try:
        with _alone():
            # The edge's clock, read inside the lock: whoever presses last has looked last.
            at = timezone.now()
            _put(INDEX, render_page(at))
            for public_id in choose(at):
                rendered = render_notice(public_id, at)
                if rendered is not None:
                    _put(notice_file(public_id), rendered)
            _replace(MARKER, json.dumps({"at": at.isoformat()}).encode())
    except Exception:  # readers keep the last good page, whatever ails the database, the disk or a template
        log.exception("The status page was not pressed; the last good one stays.")
        return False
    return True


def _due(at: datetime) -> Iterable[str]:
    since = (pressed_at() or datetime.min.replace(tzinfo=UTC) + MARGIN) - MARGIN
    changed = Notice.objects.filter(Q(updated_at__gte=since) | Q(resolved_at__isnull=True, withdrawn_at__isnull=True))
    return changed.order_by("pk").values_list("public_id", flat=True).iterator()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the press. Raises ``TimeoutError`` when another presser keeps it for longer than our patience."""
    settings.PAGE_DIR.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + PATIENCE_SECONDS
    with (settings.PAGE_DIR / ".lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError("Another presser does not finish.") from None
                time.sleep(0.01)
        yield


def _put(name: str, content: bytes) -> None:
    packed = f"{name}.gz"
    if read(name) == content and (settings.PAGE_DIR / packed).exists():
        return
    # A fixed time inside keeps equal pages equal byte by byte.
    _replace(packed, gzip.compress(content, 9, mtime=0))
    _replace(name, content)


def _replace(name: str, content: bytes) -> None:
    path: Path = settings.PAGE_DIR / name
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


def _squeezed(page: str) -> bytes:
    """Without the template's blank lines and indents; ``pre`` in operators' words is left alone."""
    if "<pre" in page:
        return page.encode()
    return "\n".join(line for line in (line.strip() for line in page.splitlines()) if line).encode() + b"\n"
