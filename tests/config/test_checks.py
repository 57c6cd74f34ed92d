"""System checks: production refuses embedded parts by name, an embedded copy only says what it is."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import ERROR, INFO, WARNING, CheckMessage
from pytest_django import Settings

from config import checks

POSTGRESQL = {"default": {"ENGINE": "django.db.backends.postgresql"}}
RELAY = {"host": "relay.example.com", "port": 587, "starttls": True, "tls": False, "password": "secret"}
SQLITE = {"default": {"ENGINE": "django.db.backends.sqlite3"}}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The settings of a copy that may run for real; each test spoils one of them."""
    proper = SimpleNamespace(
        PRODUCTION=True,
        DATABASES=POSTGRESQL,
        BROKER_NAMED=True,
        RELAY_NAMED=True,
        MAIL_PROVIDER="",
        ANYMAIL={},
        BOUNCE_ADDRESS="",
        SMTP=RELAY,
        MAILBOX_PORT=django_settings.MAILBOX_PORT,
        SECRET_KEY="k" * 50,
        DEBUG=False,
        ALLOWED_HOSTS=["status.example.com"],
        SITE_URL="https://status.example.com",
        SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
        TRUSTED_PROXIES=1,
    )
    monkeypatch.setattr(checks, "settings", proper)
    return proper


def found() -> list[CheckMessage]:
    parts = (
        checks.production_parts,
        checks.production_secrets,
        checks.production_address,
        checks.relay_is_spoken_to_in_its_language,
        checks.mail_has_one_way_out,
        checks.visitors_are_told_apart,
        checks.embedded_parts,
    )
    return [message for part in parts for message in part(None)]


def test_a_proper_production_has_nothing_to_say(production) -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("setting", "value", "id"),
    [
        ("DATABASES", SQLITE, "heliograph.E001"),
        ("DATABASES", {"default": {"ENGINE": "django.db.backends.mysql"}}, "heliograph.E001"),
        ("BROKER_NAMED", False, "heliograph.E002"),
        ("RELAY_NAMED", False, "heliograph.E003"),
        ("SMTP", RELAY | {"host": "127.0.0.1", "port": django_settings.MAILBOX_PORT}, "heliograph.E003"),
        ("SECRET_KEY", "short", "heliograph.E004"),
        ("SECRET_KEY", "", "heliograph.E004"),
        ("DEBUG", True, "heliograph.E005"),
        ("ALLOWED_HOSTS", [], "heliograph.E006"),
        ("ALLOWED_HOSTS", ["status.example.com", "*"], "heliograph.E006"),
        ("SITE_URL", "http://status.example.com", "heliograph.E007"),
        ("SITE_URL", "https://localhost", "heliograph.E007"),
        ("SITE_URL", "https://", "heliograph.E007"),
        ("SITE_URL", "https://elsewhere.example.com", "heliograph.E008"),
        ("SMTP", RELAY | {"port": 465}, "heliograph.E009"),
    ],
)
def test_production_refuses_what_is_not_for_production(production, setting: str, value: Any, id: str) -> None:
    setattr(production, setting, value)
    (error,) = found()
    assert (error.id, error.level) == (id, ERROR)
    assert error.hint


@pytest.fixture
def provider(production: SimpleNamespace, settings: Settings) -> SimpleNamespace:
    """Mail goes to a provider that is set up and can call us."""
    keys = {"POSTMARK_SERVER_TOKEN": "a token", "WEBHOOK_SECRET": "user:password"}
    settings.MAIL_PROVIDER = production.MAIL_PROVIDER = "postmark"
    settings.ANYMAIL = production.ANYMAIL = keys
    production.RELAY_NAMED = False
    return production


def test_a_provider_takes_the_place_of_a_relay(provider) -> None:
    assert found() == []


def test_mail_has_one_way_out(provider) -> None:
    provider.RELAY_NAMED = True
    (error,) = found()
    assert (error.id, error.msg) == (
        "heliograph.E010",
        "SMTP_URL and MAIL_PROVIDER=postmark are both set: mail has two ways out.",
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pigeon", "MAIL_PROVIDER names “pigeon”, which is none of amazon_ses, "),
        ("resend", "The mail provider is not set up: You must set ANYMAIL = {'RESEND_API_KEY'"),
    ],
)
def test_a_provider_that_is_not_set_up_is_refused_in_words(provider, settings: Settings, name: str, words: str) -> None:
    settings.MAIL_PROVIDER = provider.MAIL_PROVIDER = name
    (error,) = found()
    assert (error.id, error.level, error.msg[: len(words)]) == ("heliograph.E011", ERROR, words)


@pytest.mark.parametrize(
    "address", ["bounces", "bounces+x@status.example", "a-much-too-long-name-for-a-mailbox@status.example"]
)
def test_a_bounce_address_is_a_mailbox(production, address: str) -> None:
    production.BOUNCE_ADDRESS = address
    assert [message.id for message in found()] == ["heliograph.E012"]
    production.BOUNCE_ADDRESS = "bounces@status.example.com"
    assert found() == []


def test_a_provider_that_cannot_tell_us_of_bounces_is_warned_about(provider) -> None:
    provider.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "a token"}
    (warning,) = found()
    assert (warning.id, warning.level) == ("heliograph.W003", WARNING)
    provider.ANYMAIL |= {"MAILGUN_WEBHOOK_SIGNING_KEY": "key"}
    assert found() == []


def test_a_relay_on_the_same_machine_is_fine(production) -> None:
    production.SMTP = RELAY | {"host": "127.0.0.1", "port": 25, "starttls": False}
    assert found() == []


def test_tls_from_the_start_on_its_port_is_fine(production) -> None:
    production.SMTP = RELAY | {"port": 465, "starttls": False, "tls": True}
    assert found() == []


def test_a_password_in_the_clear_is_warned_about(production) -> None:
    production.SMTP = RELAY | {"starttls": False}
    (warning,) = found()
    assert (warning.id, warning.level) == ("heliograph.W001", WARNING)


def test_a_proxy_that_is_not_counted_is_warned_about(production) -> None:
    """S16: all visitors would share the limit of one."""
    production.TRUSTED_PROXIES = 0
    assert [message.id for message in found()] == ["heliograph.W002"]
    production.SECURE_PROXY_SSL_HEADER = None
    assert found() == []


def test_a_wildcard_host_covers_the_address(production) -> None:
    production.ALLOWED_HOSTS = [".example.com"]
    assert found() == []


def test_an_embedded_copy_says_that_sqlite_is_for_demo_and_development(production) -> None:
    production.PRODUCTION, production.DATABASES = False, SQLITE
    (info,) = found()
    assert (info.id, info.level) == ("heliograph.I001", INFO)
    assert "for demo and development" in info.msg


def test_an_embedded_copy_on_postgresql_has_nothing_to_say(production) -> None:
    production.PRODUCTION = False
    assert found() == []


def test_a_production_start_with_embedded_parts_is_refused(tmp_path: Path) -> None:
    """The whole command, as a machine would run it with nothing else configured."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    outcome = subprocess.run(
        [sys.executable, str(django_settings.BASE_DIR / "manage.py"), "up"],
        env=keep | {"HELIOGRAPH_ENV": "production", "VAR_DIR": str(tmp_path), "ENV_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.returncode == 1
    ids = [word.strip("()") for word in outcome.stderr.split() if word.startswith("(heliograph.")]
    # Checks are kept in a set: their order is nobody's.
    assert sorted(ids) == [f"heliograph.E00{number}" for number in (1, 2, 3, 4, 6, 7)]
