"""How often a door may be used: one table, one statement, kept by the database (S16, S41).

What is counted stands under keyed hashes; of a visitor's IP address only the network is ever kept.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.db import connection
from django.http import HttpRequest

from notifications.models import Tally

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
#: Longer than any limit looks back.
KEPT = timedelta(days=2)
Visitor = IPv4Address | IPv6Address

TAKE = """
INSERT INTO notifications_tally AS tally (key, since, count) VALUES (%s, %s, %s)
ON CONFLICT (key) DO UPDATE SET
    count = excluded.count + CASE WHEN tally.since <= %s THEN 0 ELSE tally.count END,
    since = CASE WHEN tally.since <= %s THEN excluded.since ELSE tally.since END
WHERE tally.since <= %s OR tally.count + excluded.count <= %s
RETURNING count
"""


def take(door: str, who: str, *, most: int, per: timedelta, at: datetime, amount: int = 1) -> bool:
    """Use ``door`` once more (or ``amount`` times); False, and nothing is counted, where that would be over ``most``.

    The time begins with the first use and is ``per`` long. However many ask at once, no more than
    ``most`` are let in.
    """
    if amount > most:
        return False
    now, over = (connection.ops.adapt_datetimefield_value(moment) for moment in (at, at - per))
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [_key(door, who), now, amount, over, over, over, most])
        return cursor.fetchone() is not None


def may_sign_up(visitor: Visitor | None, address: str, *, at: datetime) -> bool:
    """Whether one more sign-up is taken (S16). The visitor must not be told: the answer is always the same.

    The narrow limits come first, so that one busy visitor cannot use up everybody's share.
    """
    if visitor is not None:
        host = str(visitor) if visitor.version == 4 else str(ip_network((visitor, 64), strict=False))
        if not take("sign-up ip", host, most=settings.SIGN_UPS_PER_IP, per=HOUR, at=at):
            return False
        if not take("sign-up network", network(visitor), most=settings.SIGN_UPS_PER_NETWORK, per=HOUR, at=at):
            return False
    domain = address.rpartition("@")[2]
    if not take("sign-up domain", domain, most=settings.SIGN_UPS_PER_DOMAIN, per=HOUR, at=at):
        return False
    if take("sign-up", "everybody", most=settings.SIGN_UPS_PER_HOUR, per=HOUR, at=at):
        return True
    log.warning("More than %d sign-ups within an hour: the form takes no more for now.", settings.SIGN_UPS_PER_HOUR)
    return False


def visitor_of(request: HttpRequest) -> Visitor | None:
    """Who asks: the connection's other end or, behind TRUSTED_PROXIES of ours, the last hop that is not ours.

    The first entries of X-Forwarded-For are whatever the visitor wrote there: never believed. None for
    this machine itself (a proxy that nobody named): the limits of one visitor would then hit all.
    """
    hops = [request.META.get("REMOTE_ADDR", "")]
    if settings.TRUSTED_PROXIES:
        hops = [*request.headers.get("X-Forwarded-For", "").split(","), *hops]
    hops = [hop.strip() for hop in hops if hop.strip()]
    if not hops:
        return None
    found = _parsed(hops[max(-len(hops), -1 - settings.TRUSTED_PROXIES)]) or _parsed(hops[-1])
    return None if found is None or found.is_loopback else found


def network(visitor: Visitor | None) -> str:
    """The /24 or /48 that a visitor comes from; empty when nobody knows."""
    if visitor is None:
        return ""
    return str(ip_network((visitor, 24 if visitor.version == 4 else 48), strict=False))


def forget(*, at: datetime) -> None:
    """Drop what no limit looks at any more."""
    Tally.objects.filter(since__lt=at - KEPT).delete()


def _parsed(hop: str) -> Visitor | None:
    """An address as proxies write it: bare, with a port, or in brackets."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        found = ip_address(hop.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _key(door: str, who: str) -> str:
    secret = hmac.digest(settings.SECRET_KEY.encode(), b"heliograph.limits", hashlib.sha256)
    return hmac.new(secret, f"{door}:{who.casefold()}".encode(), hashlib.sha256).hexdigest()
