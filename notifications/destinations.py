"""Addresses of webhooks as people type them, and the one form in which we keep them (S20).

What is refused here is refused with words, while its owner is there to read them. It saves nobody
from anything: where a name leads is looked at again before every request (``egress``).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import SplitResult, quote, urlsplit

import idna
from django.conf import settings
from django.core.exceptions import ValidationError

from notifications.egress import Address, may_call

LONGEST = 2_000
_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
#: Browsers and C libraries read a name that ends so as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_ODD = re.compile(r"[\x00-\x20\x7f\\]|\s")
#: May stand in a path or a query as they are; everything else is written as %XX.
_SAFE = "!#$%&'()*+,/:;=?@[]~"

#: They read messages of their own kind, and the channel for chats writes those.
_CHATS = (
    ("Slack", re.compile(r"hooks\.slack(-gov)?\.com")),
    ("Microsoft Teams", re.compile(r"outlook\.office(365)?\.com|.*\.webhook\.office\.com|.*\.logic\.azure\.com")),
    ("Microsoft Teams", re.compile(r".*\.api\.powerplatform\.com")),
    ("Discord", re.compile(r"(.*\.)?discord(app)?\.com")),
    ("Google Chat", re.compile(r"chat\.googleapis\.com")),
    ("Telegram", re.compile(r"api\.telegram\.org")),
)


def normal(typed: str) -> str:
    """The one spelling of a webhook's address: ASCII, lower-case host, no user, no fragment, no default port.

    Raises ``ValidationError`` with words for the person who typed it.
    """
    text = typed.strip()
    if len(text) > LONGEST:
        raise ValidationError(f"This is too long: an address has at most {LONGEST:,} characters.", code="too_long")
    if _ODD.search(text) or not text.isprintable():
        raise ValidationError("There are spaces, backslashes or invisible characters in this address.", code="odd")
    parts = _split(text)
    host, port = _host(parts), _port(parts)
    where = f"[{host}]" if ":" in host else host
    if port != _PORTS[parts.scheme]:
        where += f":{port}"
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    return f"{parts.scheme}://{where}{quote(parts.path or '/', safe=_SAFE)}{query}"


def host_of(url: str) -> str:
    """The host of an address in its normal form: what may be shown of it."""
    return urlsplit(url).hostname or ""


def chat_of(url: str) -> str | None:
    """Whose chat an address in its normal form belongs to; None: nobody's we know."""
    host = host_of(url)
    return next((name for name, pattern in _CHATS if pattern.fullmatch(host)), None)


def _split(text: str) -> SplitResult:
    schemes = ("https", "http") if settings.WEBHOOKS["allow_http"] else ("https",)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in schemes or not text[len(parts.scheme) :].startswith("://"):
        raise ValidationError("Please write the whole address, beginning with https://.", code="scheme")
    if "@" in parts.netloc:
        raise ValidationError("Names and passwords cannot stand in the address; each message is signed.", code="user")
    return parts


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = -1
    port = _PORTS[parts.scheme] if port is None else port
    if port not in settings.WEBHOOKS["ports"]:
        ports = " or ".join(map(str, settings.WEBHOOKS["ports"]))
        raise ValidationError(f"This port cannot be used; please use {ports}.", code="port")
    return port


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if parts.netloc.startswith("["):
        return str(_public(_v6(host)))
    host = _ascii(host).removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return str(_public(_v4(host)))
    next_door = len(labels) == 1 and not settings.WEBHOOKS["allow_networks"]
    if next_door or len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValidationError("This is not the name of a server on the internet.", code="host")
    return host


def _ascii(host: str) -> str:
    """As resolvers are asked: full-width digits are digits, and an address in disguise is seen as one."""
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        raise ValidationError("This is not the name of a server on the internet.", code="host") from None


def _v4(host: str) -> IPv4Address:
    try:
        return IPv4Address(host)
    except AddressValueError:
        raise ValidationError("Please write this number as a name, or as four numbers.", code="host") from None


def _v6(host: str) -> IPv6Address:
    try:
        return IPv6Address(host)
    except AddressValueError:
        raise ValidationError("This is not the address of a server on the internet.", code="host") from None


def _public(address: Address) -> Address:
    if not may_call(address):
        raise ValidationError("This address is not on the public internet.", code="inner")
    return address
