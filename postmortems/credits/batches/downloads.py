"""A file of a batch over HTTP: the stored bytes with their hash, so that two downloads can be compared (R-905)."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from http import HTTPStatus

from django.http import HttpResponse
from django.utils.http import parse_etags

from postmortems.models import Batch

TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def answer(batch: Batch, kind: str, known: str = "") -> HttpResponse:
    """The file as an attachment; ``known`` is what ``If-None-Match`` said: 304 without a body where it is the same."""
    content = bytes(getattr(batch, kind))
    digest = hashlib.sha256(content)
    tag = f'"{digest.hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    if tag in parse_etags(known):
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers |= {
        # RFC 9530, and the same as finance's sha256sum says it.
        "Repr-Digest": f"sha-256=:{b64encode(digest.digest()).decode()}:",
        "X-SHA256": digest.hexdigest(),
        "Content-Disposition": f'attachment; filename="{batch.number}.{kind}"',
        "Content-Type": TYPES[kind],
    }
    return HttpResponse(content, headers=headers)
