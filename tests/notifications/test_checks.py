"""System checks of text messages: half a set-up is refused in words, none is none (E013…E015, W004)."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from tests.notifications.carrier import Carrier


def found() -> dict[str, str]:
    ours = ("heliograph.E013", "heliograph.E014", "heliograph.E015", "heliograph.W004")
    return {str(message.id): message.msg for message in run_checks() if message.id in ours}


def test_without_texts_there_is_nothing_to_say() -> None:
    assert found() == {}


def test_a_complete_set_up_has_nothing_to_say(carrier: Carrier, settings: Settings) -> None:
    settings.TWILIO = settings.TWILIO | {"whatsapp_from": "+15005550007"}
    settings.SMS_COUNTRIES = ["US", "DE"]
    assert found() == {}


@pytest.mark.parametrize(
    ("changes", "twilio", "id", "words"),
    [
        (
            {"SMS_PROVIDER": "twilio"},
            {"sms_from": ""},
            "heliograph.E013",
            "SMS through Twilio is not complete: set TWILIO_SMS_FROM.",
        ),
        ({"SMS_PROVIDER": "fax"}, {}, "heliograph.E013", "SMS_PROVIDER is “fax”: it can be twilio or sns."),
        (
            {"SMS_PROVIDER": "sns"},
            {},
            "heliograph.E013",
            "SMS through Amazon SNS is not complete: set SNS_REGION.",
        ),
        (
            {},
            {"whatsapp_from": "+1", "account_sid": ""},
            "heliograph.E014",
            "WhatsApp is not complete: set TWILIO_ACCOUNT_SID.",
        ),
        (
            {"SMS_COUNTRIES": ["US", "UK", "QQ"]},
            {},
            "heliograph.E015",
            "PHONE_REGION and SMS_COUNTRIES name countries that do not exist: UK, QQ.",
        ),
        (
            {"PRODUCTION": True},
            {"api_base": "http://proxy.example"},
            "heliograph.W004",
            "TWILIO_API_BASE leads to proxy.example without encryption: our login goes there in the clear.",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    carrier: Carrier, settings: Settings, changes: dict[str, Any], twilio: dict[str, str], id: str, words: str
) -> None:
    settings.SMS_PROVIDER = "" if id == "heliograph.E014" else settings.SMS_PROVIDER
    for name, value in changes.items():
        setattr(settings, name, value)
    settings.TWILIO = settings.TWILIO | twilio
    assert found() == {id: words}
