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
from django.db.models import Q
from django.http import HttpRequest

from notifications import addresses
from notifications.enums import PHONES
from notifications.models import Tally

log = logging.getLogger(__name__)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVER = timedelta(days=3650)
#: A count is kept at least this long.
KEPT = timedelta(days=2)
Visitor = IPv4Address | IPv6Address

# Letters that ask a mailbox to confirm (S16): one a day, and so many in all until its owner acts.
LETTERS_A_DAY = 1
LETTERS_UNANSWERED = 3
# Text messages (S19): they cost money, and somebody may earn it.
TEXT_SIGN_UPS_PER_IP, TEXT_HOURS = 10, timedelta(hours=4)
TEXTS_PER_NUMBER = 3
#: Numbers that begin with the same seven digits belong to one block of one carrier.
TEXTS_PER_BLOCK, BLOCK_DIGITS, BLOCK_TIME = 20, 7, timedelta(minutes=10)
# Codes that open the settings (S18).
CODES_PER_IP, CODES_PER_NETWORK = 10, 60
CODES_PER_MAILBOX, CODES_PER_MAILBOX_A_DAY = 3, 10
TRIES_PER_IP, TRIES_PER_NETWORK = 30, 120

TAKE = """
INSERT INTO notifications_tally AS tally (key, since, until, count) VALUES (%s, %s, %s, %s)
ON CONFLICT (key) DO UPDATE SET
    count = excluded.count + CASE WHEN tally.since <= %s THEN 0 ELSE tally.count END,
    until = CASE WHEN tally.since <= %s THEN excluded.until ELSE tally.until END,
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
    moments = (at, at + max(per, KEPT), at - per)
    now, until, over = (connection.ops.adapt_datetimefield_value(moment) for moment in moments)
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [_key(door, who), now, until, amount, over, over, over, over, most])
        return cursor.fetchone() is not None


def may_sign_up(visitor: Visitor | None, channel: str, address: str, *, at: datetime) -> bool:
    """Whether one more sign-up is taken (S16, S19). The visitor must not be told: the answer is always the same.

    ``address`` is a phone number, or the e-mail address that will be asked to confirm. The narrow limits
    come first, so that one busy visitor cannot use up everybody's share.
    """
    by_phone = channel in PHONES
    if visitor is not None:
        most, per = (TEXT_SIGN_UPS_PER_IP, TEXT_HOURS) if by_phone else (settings.SIGN_UPS_PER_IP, HOUR)
        door = "sign-up ip by phone" if by_phone else "sign-up ip"
        if not take(door, _host(visitor), most=most, per=per, at=at):
            return False
        if not take("sign-up network", network(visitor), most=settings.SIGN_UPS_PER_NETWORK, per=HOUR, at=at):
            return False
    domain = address.rpartition("@")[2]
    if not by_phone and not take("sign-up domain", domain, most=settings.SIGN_UPS_PER_DOMAIN, per=HOUR, at=at):
        return False
    if take("sign-up", "everybody", most=settings.SIGN_UPS_PER_HOUR, per=HOUR, at=at):
        return True
    log.warning("More than %d sign-ups within an hour: the form takes no more for now.", settings.SIGN_UPS_PER_HOUR)
    return False


def may_ask_for_code(visitor: Visitor | None, *, at: datetime) -> bool:
    """Whether one more wish for a code is taken (S18); the visitor must not be told."""
    return _both("code", visitor, CODES_PER_IP, CODES_PER_NETWORK, at) and take(
        "code", "everybody", most=settings.SIGN_UPS_PER_HOUR, per=HOUR, at=at
    )


def may_try_code(visitor: Visitor | None, *, at: datetime) -> bool:
    """Whether a visitor may enter one more code; says nothing about any address, so it may be told."""
    return _both("code try", visitor, TRIES_PER_IP, TRIES_PER_NETWORK, at)


def may_write(address: str, *, at: datetime) -> bool:
    """Whether a mailbox may be asked once more to confirm (S16); ``answered`` begins the count anew."""
    mailbox = addresses.mailbox(address)
    return take("letter", mailbox, most=LETTERS_A_DAY, per=DAY, at=at) and take(
        "letters unanswered", mailbox, most=LETTERS_UNANSWERED, per=EVER, at=at
    )


def answered(address: str) -> None:
    """The owner of a mailbox acted, so what was written there was no bombing."""
    mailbox = addresses.mailbox(address)
    Tally.objects.filter(key__in=[_key("letter", mailbox), _key("letters unanswered", mailbox)]).delete()


def may_mail_code(address: str, *, at: datetime) -> bool:
    """Whether a mailbox may get one more code for its settings."""
    mailbox = addresses.mailbox(address)
    return take("code mailbox", mailbox, most=CODES_PER_MAILBOX, per=HOUR, at=at) and take(
        "code mailbox a day", mailbox, most=CODES_PER_MAILBOX_A_DAY, per=DAY, at=at
    )


def may_text(number: str, *, at: datetime) -> bool:
    """Whether a code may be texted to ``number`` (E.164): for the phone's sake and against pumping (S19)."""
    if not take("text number", number, most=TEXTS_PER_NUMBER, per=DAY, at=at):
        return False
    block = number.removeprefix("+")[:BLOCK_DIGITS]
    if take("text block", block, most=TEXTS_PER_BLOCK, per=BLOCK_TIME, at=at):
        return True
    log.warning("More than %d codes for numbers that begin with the same digits: no more for now.", TEXTS_PER_BLOCK)
    return False


def visitor_of(request: HttpRequest) -> Visitor | None:
    """Who asks: the connection's other end or, behind TRUSTED_PROXIES of ours, the last hop that is not ours.

    The first entries of X-Forwarded-For are whatever the visitor wrote there: never believed. None for
    this machine itself (a proxy that nobody named): the limits of one visitor would then hit all.
    """
    forwarded = request.headers.get("X-Forwarded-For", "").split(",") if settings.TRUSTED_PROXIES else []
    # The other end is a hop also where it has no address, over a Unix socket: counted from there.
    hops = [*filter(None, map(str.strip, forwarded)), request.META.get("REMOTE_ADDR", "")]
    found = _parsed(hops[max(-len(hops), -1 - settings.TRUSTED_PROXIES)]) or _parsed(hops[-1])
    return None if found is None or found.is_loopback else found


def network(visitor: Visitor | None) -> str:
    """The /24 or /48 that a visitor comes from; empty when nobody knows."""
    if visitor is None:
        return ""
    return str(ip_network((visitor, 24 if visitor.version == 4 else 48), strict=False))


def forget(*, at: datetime) -> None:
    """Drop what no limit looks at any more."""
    # Counts of before there was an end had none.
    Tally.objects.filter(Q(until__lt=at) | Q(until__isnull=True, since__lt=at - KEPT)).delete()


def _both(door: str, visitor: Visitor | None, most: int, most_of_network: int, at: datetime) -> bool:
    if visitor is None:
        return True
    return take(f"{door} ip", _host(visitor), most=most, per=HOUR, at=at) and take(
        f"{door} network", network(visitor), most=most_of_network, per=HOUR, at=at
    )


def _host(visitor: Visitor) -> str:
    """One house: an address, of IPv6 a /64."""
    return str(visitor) if visitor.version == 4 else str(ip_network((visitor, 64), strict=False))


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
