"""What must be true before Heliograph may run for real, and what an embedded copy should know.

``manage.py check`` runs these, and so do ``up``, ``migrate`` and the worker; errors stop them.
Everything is read from the settings, nothing from the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from notifications.channels import provider

#: Shorter keys, and those that Django's own generator marks, are for nobody's production.
SHORTEST_KEY = 40
#: The port of relays that speak TLS from the first byte.
TLS_AT_ONCE = 465
#: The part before the @ may have 64 letters, our names have up to 37 and a plus sign.
LONGEST_MAILBOX = 26
LOCAL = ("127.0.0.1", "localhost", "::1", "0.0.0.0")  # noqa: S104 -- compared, not listened on


def _engine() -> str:
    return str(settings.DATABASES["default"]["ENGINE"]).rpartition(".")[2]


def _secret_key() -> str:
    try:
        return settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's answer to an empty one
        return ""


def _mail_stays_here() -> bool:
    """Whether mail would go to nobody's relay, or into the mailbox of a demo on this machine."""
    if settings.MAIL_PROVIDER:
        return False
    return not settings.RELAY_NAMED or (
        settings.SMTP["host"] in LOCAL and settings.SMTP["port"] == settings.MAILBOX_PORT
    )


@register
def production_parts(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Production runs on PostgreSQL, Redis and a relay or a mail provider, and says which (E001…E003)."""
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if _engine() != "postgresql":
        found.append(
            Error(
                f"The database is {_engine()}: production needs PostgreSQL (SQLite is for demo and development).",
                hint="Set DATABASE_URL=postgres://user:password@host:5432/name.",
                id="heliograph.E001",
            )
        )
    if not settings.BROKER_NAMED:
        found.append(
            Error(
                "REDIS_URL is not set: workers and web processes would not find each other.",
                hint="Set REDIS_URL=redis://:password@host:6379/0.",
                id="heliograph.E002",
            )
        )
    if _mail_stays_here():
        found.append(
            Error(
                "SMTP_URL names no relay: mail would go to a local mailbox that nobody reads.",
                hint="Set SMTP_URL=smtp+tls://user:password@relay:587 to your mail relay, "
                "or MAIL_PROVIDER to your provider (docs/mail.md).",
                id="heliograph.E003",
            )
        )
    return found


@register
def production_secrets(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Keys, debugging and hosts (E004…E006)."""
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if len(_secret_key()) < SHORTEST_KEY:
        found.append(
            Error(
                "SECRET_KEY is missing or short: sessions and the links in mail could be forged.",
                hint=f"Set SECRET_KEY to at least {SHORTEST_KEY} random characters, the same on every machine.",
                id="heliograph.E004",
            )
        )
    if settings.DEBUG:
        found.append(
            Error(
                "DEBUG is on: error pages would show settings and data to everybody.",
                hint="Remove DEBUG from the environment.",
                id="heliograph.E005",
            )
        )
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        found.append(
            Error(
                "ALLOWED_HOSTS is empty or allows every name.",
                hint="Set ALLOWED_HOSTS=status.example.com to the names people use.",
                id="heliograph.E006",
            )
        )
    return found


@register
def production_address(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Links in mail lead to SITE_URL: it must be public, encrypted and answered (E007, E008)."""
    if not settings.PRODUCTION:
        return []
    site = urlsplit(settings.SITE_URL)
    host = site.hostname or ""
    if site.scheme != "https" or host in LOCAL or not host:
        return [
            Error(
                f"SITE_URL is {settings.SITE_URL}: links in mail need the public https address.",
                hint="Set SITE_URL=https://status.example.com.",
                id="heliograph.E007",
            )
        ]
    if settings.ALLOWED_HOSTS and not any(_covers(name, host) for name in settings.ALLOWED_HOSTS):
        return [
            Error(
                f"SITE_URL leads to {host}, which ALLOWED_HOSTS does not name: every link in mail would fail.",
                hint=f"Add {host} to ALLOWED_HOSTS.",
                id="heliograph.E008",
            )
        ]
    return []


@register
def relay_is_spoken_to_in_its_language(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Port 465 begins with TLS; a password in the clear leaves the machine for nobody (E009, W001)."""
    smtp = settings.SMTP
    if smtp["port"] == TLS_AT_ONCE and not smtp["tls"]:
        return [
            Error(
                "SMTP_URL names port 465 without TLS from the start: the relay would never answer.",
                hint="Write smtp+ssl://user:password@relay:465, or smtp+tls:// with port 587.",
                id="heliograph.E009",
            )
        ]
    if smtp["password"] and not (smtp["tls"] or smtp["starttls"]) and smtp["host"] not in LOCAL:
        return [
            Warning(
                f"The password of the relay {smtp['host']} goes over the network unencrypted.",
                hint="Write smtp+tls:// (STARTTLS) or smtp+ssl:// in SMTP_URL.",
                id="heliograph.W001",
            )
        ]
    return []


@register
def mail_has_one_way_out(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A relay or a provider, set up, and a way back for bounces (E010…E012, W003)."""
    found: list[CheckMessage] = []
    if settings.MAIL_PROVIDER and settings.RELAY_NAMED:
        found.append(
            Error(
                f"SMTP_URL and MAIL_PROVIDER={settings.MAIL_PROVIDER} are both set: mail has two ways out.",
                hint="Keep the one you mean. A provider's own relay goes into SMTP_URL alone.",
                id="heliograph.E010",
            )
        )
    if settings.MAIL_PROVIDER and (words := provider.off()):
        found.append(
            Error(
                words,
                hint="Set the provider's keys as ANYMAIL_ variables (docs/mail.md).",
                id="heliograph.E011",
            )
        )
    if settings.BOUNCE_ADDRESS and not _is_mailbox(settings.BOUNCE_ADDRESS):
        found.append(
            Error(
                f"BOUNCE_ADDRESS is {settings.BOUNCE_ADDRESS}, which is no mailbox.",
                hint="Set BOUNCE_ADDRESS=bounces@status.example.com, or remove it (docs/mail.md).",
                id="heliograph.E012",
            )
        )
    if settings.MAIL_PROVIDER and not found and not _provider_can_call():
        found.append(
            Warning(
                f"Nothing proves calls of {settings.MAIL_PROVIDER} its own: bounces and complaints are not heard.",
                hint="Set ANYMAIL_WEBHOOK_SECRET=user:password and give the provider "
                f"https://user:password@…/hooks/mail/{settings.MAIL_PROVIDER}/ (docs/mail.md).",
                id="heliograph.W003",
            )
        )
    return found


def _is_mailbox(address: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        return False
    # What makes it one per message is added with a plus sign, and its name has to stay a name with that.
    return len(address.partition("@")[0]) <= LONGEST_MAILBOX and "+" not in address


def _provider_can_call() -> bool:
    return any(
        name == "WEBHOOK_SECRET"
        or name.endswith(("_SIGNING_KEY", "_SIGNING_SECRET", "_WEBHOOK_KEY", "_VERIFICATION_KEY"))
        for name in settings.ANYMAIL
    )


@register
def visitors_are_told_apart(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Behind a proxy that is not counted, all visitors look like one, and share one limit (W002)."""
    if not settings.PRODUCTION or not settings.SECURE_PROXY_SSL_HEADER or settings.TRUSTED_PROXIES:
        return []
    return [
        Warning(
            "BEHIND_TLS_PROXY is on, but TRUSTED_PROXIES counts none: sign-ups are limited for all visitors together.",
            hint="Set TRUSTED_PROXIES=1 if your proxy appends the visitor to X-Forwarded-For (docs/running.md).",
            id="heliograph.W002",
        )
    ]


@register
def embedded_parts(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Says in words what an embedded copy is not for (I001)."""
    if settings.PRODUCTION or _engine() != "sqlite3":
        return []
    return [
        Info(
            "This copy runs on SQLite, for demo and development. It holds one writer at a time.",
            hint="docs/running.md: HELIOGRAPH_ENV=production with PostgreSQL, Redis and a mail relay.",
            id="heliograph.I001",
        )
    ]


def _covers(name: str, host: str) -> bool:
    return name == host or name == "*" or (name.startswith(".") and (host == name[1:] or host.endswith(name)))
