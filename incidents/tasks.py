"""What the timetable starts on this floor. Every task may come late, twice or never (F13)."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from incidents import reminders


@shared_task
def remind() -> None:
    """Tell who owes what is due soon, or broken (R-302)."""
    reminders.sweep(timezone.now())
