"""What must be true of the settings before credits reach billing: ``manage.py check`` says what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from postmortems.credits import telling

_TEST_KEYS = ("sk_test_", "rk_test_")
_KEYS = ("sk_live_", "rk_live_", *_TEST_KEYS)


@register
def billing_webhook_is_complete(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Nobody may believe that a billing system is told while something is missing (E020)."""
    reason = telling.wrong()
    hint = "Set both BILLING_WEBHOOK_URL and BILLING_WEBHOOK_SECRET, or neither. docs/billing.md says how."
    return [Error(reason, hint=hint, id="heliograph.E020")] if reason else []
