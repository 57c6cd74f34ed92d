"""What changes about a notice besides what is posted to it: its title, and what it concerns (R-212, R-213)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from status.enums import Level, PublicImpact
from status.models import Component, Impact, Notice
from status.page import press


@transaction.atomic
def retitle(notice: Notice, title: str, *, at: datetime) -> None:
    """Another title from now on, wherever the notice is read. What was sent before keeps the title it had."""
    notice.title, notice.updated_at = title, at
    notice.save(update_fields=["title", "updated_at"])
    press.soon(notice)


@transaction.atomic
def widen(notice: Notice, source: str, *, at: datetime) -> None:
    """The notice concerns everything that ``source`` held or holds, and is as grave as the gravest of it."""
    impacts = Impact.objects.real().filter(source=source)
    notice.components.add(*Component.objects.filter(impacts__in=impacts).distinct())
    gravest = PublicImpact.of(Level.gravest(impacts.values_list("level", flat=True)))
    order = list(PublicImpact)
    notice.impact = max(PublicImpact(notice.impact), gravest, key=order.index)
    notice.updated_at = at
    notice.save(update_fields=["impact", "updated_at"])
    press.soon(notice)
