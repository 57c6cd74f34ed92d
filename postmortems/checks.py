"""What must be true of the settings before credits reach billing: ``manage.py check`` says what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from postmortems.credits.batches import telling

_TEST_KEYS = ("sk_test_", "rk_test_")
_KEYS = ("sk_live_", "rk_live_", *_TEST_KEYS)


@register
def billing_webhook_is_complete(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Nobody may believe that a billing system is told while something is missing (E020)."""
    reason = telling.wrong()
    hint = "Set both BILLING_WEBHOOK_URL and BILLING_WEBHOOK_SECRET, or neither. docs/billing.md says how."
    return [Error(reason, hint=hint, id="heliograph.E020")] if reason else []


@register
def stripes_key_can_book(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Nobody may believe that Stripe is on while it is not (E016), or that money moves while it is a test (W005)."""
    key = settings.STRIPE["api_key"]
    if key and not key.startswith(_KEYS):
        hint = "docs/stripe.md says which key is needed and what it has to be allowed to do."
        return [Error("STRIPE_API_KEY is no secret or restricted key of Stripe.", hint=hint, id="heliograph.E016")]
    if key.startswith(_TEST_KEYS) and settings.PRODUCTION:
        words = "STRIPE_API_KEY is a test key: credits will be called applied, and no money moves."
        return [Warning(words, hint="Use a live key, or empty STRIPE_API_KEY.", id="heliograph.W005")]
    return []


@register
def stripe_is_spoken_to_in_secret(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Our key goes with every call (E017)."""
    base = urlsplit(settings.STRIPE["api_base"])
    if not settings.STRIPE["api_key"] or base.scheme == "https" or not settings.PRODUCTION:
        return []
    return [
        Error(
            f"STRIPE_API_BASE leads to {base.hostname} without encryption: our key would go there in the clear.",
            hint="Remove STRIPE_API_BASE: it is for tests.",
            id="heliograph.E017",
        )
    ]
