"""Files that wait between their dry run and the button: one of each kind for each person (R-807, R-902)."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from notifications.models import ImportFile


def forget(owner: int, kind: str) -> None:
    """What this person tried out before waits no longer."""
    ImportFile.objects.filter(owner=owner, kind=kind).delete()


def keep(file: UploadedFile[Any], *, owner: int, kind: str, at: datetime) -> ImportFile:
    """Keep an uploaded file for the button; an earlier one of the kind goes."""
    forget(owner, kind)
    file.seek(0)
    packed = zlib.compress(file.read())
    return ImportFile.objects.create(
        owner_id=owner, kind=kind, name=(file.name or "")[:120], packed=packed, uploaded_at=at
    )


def take(key: str, *, owner: int, kind: str) -> bytes | None:
    """The file, once: whoever takes it away runs it. None: it is not here any more, or somebody else's."""
    if not (key.isascii() and key.isdigit() and len(key) < 18):
        return None
    found = ImportFile.objects.filter(pk=int(key), owner=owner, kind=kind).first()
    if found is None or not ImportFile.objects.filter(pk=found.pk).delete()[0]:
        return None
    return zlib.decompress(found.packed)
