"""What must be true of the settings before billing systems are told: ``manage.py check`` says what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register

from postmortems.credits import telling


@register
def billing_webhook_is_complete(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Nobody may believe that a billing system is told while something is missing (E020)."""
    reason = telling.wrong()
    hint = "Set both BILLING_WEBHOOK_URL and BILLING_WEBHOOK_SECRET, or neither. docs/billing.md says how."
    return [Error(reason, hint=hint, id="heliograph.E020")] if reason else []
