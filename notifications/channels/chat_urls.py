"""Addresses of chat rooms and accounts: read strictly, told apart, and never shown again (S20, S27).

People paste what the service shows them (an https:// address) or write Apprise's own form. What
could turn a message into something else is refused, in words: templates from files, TLS off,
redirects, headers, retries, a second receiver.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from apprise import AppriseAsset
from django.conf import settings
from django.core.exceptions import ValidationError

from notifications import destinations, vault
from notifications.channels.plugins import asset
from notifications.channels.services import BY_KEY, BY_SCHEME, SERVICES, Service
from notifications.validators import one_line

LONGEST = 1000
#: Kinds whose pasted address itself proves the right to post (R-802): customers may add these themselves.
SELF_SERVICE = ("slack", "teams", "discord", "mattermost", "googlechat")
#: A workflow of Teams runs on a host of one of these.
_TEAMS = re.compile(r"(?:^|\.)(?:logic\.azure\.(?:com|us|cn)|api\.powerplatform\.(?:com|us|cn))$")
_HOOK = re.compile(r"^(?P<path>(?:/[\w.-]+)*)/hooks/(?P<first>[A-Za-z0-9_-]+)(?:/(?P<second>[A-Za-z0-9_-]+))?/?$")
_LONG_HOST = re.compile(r"^(?:www|ptb|canary)\.(?=discord)", re.I)
#: Said to every plugin, whatever the address says.
_FORCED = {"verify": True, "redirect": False, "store": False, "retry": 0, "wait": 0, "overflow": "upstream"}
#: Never said to a plugin.
_NEVER = ("format", "tz", "template", "tokens", "tag", "rto", "cto", "icon_url", "avatar_url", "click", "attach")


@dataclass(frozen=True)
class Target:
    """One place to post to. ``url`` is what was typed, and a secret."""

    service: Service
    url: str
    plugin: Any

    def __repr__(self) -> str:
        return f"<Target {self.label}>"

    @property
    def place(self) -> str:
        return self.service.place(self.plugin)

    @property
    def fingerprint(self) -> str:
        """The same for every spelling of one place."""
        canonical = self.plugin.url(privacy=False).partition("?")[0]
        return vault.fingerprint(f"{self.service.key} {canonical} {self.place}")

    @property
    def label(self) -> str:
        """``Mattermost chat.example.org 3fa9c1d2e4b5a697``: readable, unique, and nothing secret in it."""
        return " ".join(filter(None, (self.service.name, self.place[:120], self.fingerprint)))


def parse(text: str, *, sender: str = "") -> Target:
    """The target that an address names; ``sender`` is who speaks there. Raises ``ValidationError`` in people's words.

    A server that the address names must be one we may call; where its name leads the connection looks (S20).
    """
    text = text.strip()
    one_line(text)
    if not text:
        raise ValidationError("Paste the address of a chat room.", code="required")
    if len(text) > LONGEST or not text.isascii():
        raise ValidationError("This is not an address: too long, or with letters that none has.", code="invalid")
    # A "#" belongs to a room's name; nothing after it may pass unread.
    service, facts = _read(text.replace("#", "%23"))
    if not service.is_allowed:
        raise ValidationError(f"{service.name} is switched off here.", code="switched_off")
    for option in (facts or {}).get("qsd", {}):
        if option not in service.options:
            raise ValidationError(f"“{option[:30]}” cannot be set in an address of {service.name}.", code="option")
    plugin = _plugin(service, facts, asset(sender) if sender else asset())
    if server := service.server(plugin):
        _check_server(service, plugin, server)
    return Target(service, text, plugin)


def parse_pasted(text: str) -> Target:
    """The target of an address that customers may add themselves. Raises ``ValidationError``."""
    known = ", ".join(BY_KEY[key].name for key in SELF_SERVICE)
    if not text.strip().lower().startswith("https://"):
        raise ValidationError(f"Paste the https:// address of an incoming webhook: {known}.", code="invalid")
    target = parse(text)
    if target.service.key not in SELF_SERVICE:
        raise ValidationError(f"Here you can add: {known}.", code="unknown_service")
    return target


def _read(text: str) -> tuple[Service, dict[str, Any] | None]:
    """Whose address it is, and what its plugin reads in it (None: not enough)."""
    scheme, mark, _ = text.partition("://")
    scheme = scheme.lower()
    if not mark:
        raise ValidationError("An address begins with https:// or with the service, like slack://.", code="invalid")
    if scheme == "http":
        raise ValidationError("This address is not encrypted: it must begin with https://.", code="not_encrypted")
    if scheme == "https":
        return _pasted(text)
    service = BY_SCHEME.get(scheme)
    if service is None:
        names = ", ".join(service.name for service in SERVICES if service.is_allowed)
        raise ValidationError(f"“{scheme[:20]}” is no service known here. These are: {names}.", code="unknown_service")
    return service, service.plugin.parse_url(text)


def _pasted(text: str) -> tuple[Service, dict[str, Any] | None]:
    """As the service itself shows it."""
    try:
        split = urlsplit(text)
        host, port = _LONG_HOST.sub("", (split.hostname or "").lower()), split.port
    except ValueError:
        raise ValidationError("This is not an address that can be read.", code="invalid") from None
    if "@" in split.netloc:
        raise ValidationError("An address with a name or password before the @ cannot be used.", code="invalid")
    if host.endswith(".webhook.office.com"):
        raise ValidationError(
            "Microsoft has switched these connectors off. Create a workflow in Teams "
            "(“Post to a channel when a webhook request is received”) and paste its address.",
            code="retired",
        )
    place = host if port in (None, 443) else f"{host}:{port}"
    if match := _HOOK.match(split.path):
        return _hook(place, match, split.query)
    text = split._replace(netloc=place).geturl()
    for service in SERVICES:
        facts = service.plugin.parse_native_url(text)
        if facts and (service.key != "teams" or _TEAMS.search(host)):
            return service, facts
    raise ValidationError(
        "This address belongs to no service known here. Paste the address of an incoming webhook.",
        code="unknown_service",
    )


def _hook(place: str, match: re.Match[str], query: str) -> tuple[Service, dict[str, Any] | None]:
    """An incoming webhook of a server of one's own: Mattermost has one word after /hooks/, Rocket.Chat two."""
    place, query = place + match["path"], f"?{query}" if query else ""
    if match["second"]:
        rocket = BY_KEY["rocketchat"]
        return rocket, rocket.plugin.parse_url(f"rockets://{match['first']}/{match['second']}@{place}/{query}")
    mattermost = BY_KEY["mattermost"]
    return mattermost, mattermost.plugin.parse_url(f"mmosts://{place}/{match['first']}{query}")


def _check_server(service: Service, plugin: Any, server: str) -> None:
    # The plugin of Teams is encrypted always, whatever it says of itself.
    plain = not plugin.secure and service.key != "teams"
    if plain and not settings.WEBHOOKS["allow_http"]:
        encrypted = service.schemes[-1]
        raise ValidationError(f"This connection is not encrypted: write {encrypted}:// instead.", code="not_encrypted")
    destinations.normal(f"{'http' if plain else 'https'}://{server}/")


def _plugin(service: Service, facts: dict[str, Any] | None, world: AppriseAsset) -> Any:
    incomplete = f"This is not a complete address of {service.name}. It is written like {service.shape}."
    if not facts:
        raise ValidationError(incomplete, code="incomplete")
    facts = {name: value for name, value in facts.items() if name not in _NEVER}
    try:
        plugin = service.plugin(**{**facts, **_FORCED, **dict(service.forced), "asset": world})
    except Exception:
        # Whatever it dislikes it says with the secret in its words.
        raise ValidationError(incomplete, code="incomplete") from None
    if lack := service.lacks(plugin):
        raise ValidationError(lack, code="incomplete")
    return plugin
