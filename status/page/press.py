"""Pressing: turning the public book into bytes, after the commit that changed it."""

from __future__ import annotations

from django.db import transaction

from status.models import Notice


def soon(notice: Notice | None = None) -> None:
    """Press the page, and the notice's own page, once the running transaction is committed."""
    transaction.on_commit(lambda: press(notice.public_id if notice else None), robust=True)


def press(public_id: str | None = None) -> None:
    """Press the status page now."""
