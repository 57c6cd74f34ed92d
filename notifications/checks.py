"""What must be true of text messages before they are sent: ``manage.py check`` says what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import phonenumbers
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from notifications.channels import sms, whatsapp

SECTION = "docs/running.md, “Text messages”, says what each provider needs."


@register
def text_providers_are_complete(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Nobody may believe that texts are on while something is missing (E013, E014)."""
    found: list[CheckMessage] = []
    if settings.SMS_PROVIDER and (reason := sms.off()):
        found.append(Error(reason, hint=f"Complete it, or empty SMS_PROVIDER. {SECTION}", id="heliograph.E013"))
    if settings.TWILIO["whatsapp_from"] and (reason := whatsapp.off()):
        found.append(Error(reason, hint=f"Complete it, or empty TWILIO_WHATSAPP_FROM. {SECTION}", id="heliograph.E014"))
    return found


@register
def texted_countries_exist(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A country that is misspelt would be texted by nobody (E015)."""
    named = dict.fromkeys([settings.PHONE_REGION, *settings.SMS_COUNTRIES])
    unknown = [country for country in named if country not in phonenumbers.SUPPORTED_REGIONS]
    if not unknown:
        return []
    return [
        Error(
            f"PHONE_REGION and SMS_COUNTRIES name countries that do not exist: {', '.join(unknown)}.",
            hint="Write ISO 3166 codes: SMS_COUNTRIES=US,CA,GB.",
            id="heliograph.E015",
        )
    ]


@register
def twilio_is_spoken_to_in_secret(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Our login goes with every text (W004)."""
    base = urlsplit(settings.TWILIO["api_base"])
    if not settings.TWILIO["auth_token"] or base.scheme == "https" or not settings.PRODUCTION:
        return []
    return [
        Warning(
            f"TWILIO_API_BASE leads to {base.hostname} without encryption: our login goes there in the clear.",
            hint="Remove TWILIO_API_BASE, or name an https address.",
            id="heliograph.W004",
        )
    ]
