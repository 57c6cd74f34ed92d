"""Mail that comes back: reports of mail systems and of people, believed when they prove whose message they mean.

Anybody can write to the mailbox they come to. A report counts only with the signed name of a delivery
(from its return address), or with a Message-ID of ours and the address it was made for: both are
known to nobody but the reader and the relays on the way. What proves nothing changes nothing.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime

from notifications import dsn, receipts, tokens, whose
from notifications.channels.email import refused_for_good
from notifications.dsn import Report
from notifications.models import Subscriber
from notifications.receipts import Heard

log = logging.getLogger(__name__)

_LINK = re.compile(rf"/subscriptions/{tokens.UNSUBSCRIBE}/([A-Za-z0-9_-]{{{tokens.LENGTH}}})", re.ASCII)


def receive(raw: bytes, *, to: str = "", at: datetime) -> list[str]:
    """Act on one message that came back; ``to`` is the address it was delivered to, where that is known.

    Returns a line for each report in it: what it said, and of which delivery. Read twice it changes nothing more.
    """
    return [_hear(report, to, at) for report in dsn.read(raw)]


def _hear(report: Report, to: str, at: datetime) -> str:
    delivery = _whose(report, to, at)
    if delivery is None:
        log.info("A report (%s) is about no message of ours.", report.action)
        return f"{report.action}: about no message of ours"
    source = "arf" if report.action == dsn.COMPLAINT else "dsn"
    heard = Heard(source, f"{delivery}:{report.event}", report.action, delivery, at, _detail(report))
    new = _act(report, heard)
    return f"{report.action} {report.status}: delivery {delivery}{'' if new else ', as heard before'}"


def _act(report: Report, heard: Heard) -> bool:
    match report.action:
        case "failed" if _for_good(report):
            return receipts.bounced(heard, for_good=True)
        case "failed":
            return receipts.returned(heard)
        case "delivered":
            return receipts.delivered(heard)
        case dsn.COMPLAINT:
            return receipts.complained(heard)
        case _:
            return receipts.note(heard)


def _for_good(report: Report) -> bool:
    """By the far end's own code, which says more than what its relay made of it (Exim: 5.0.0 for everything)."""
    said = refused_for_good(report.words)
    return bool(refused_for_good(report.status) if said is None else said)


def _detail(report: Report) -> str:
    """The far end's words, after a code where they have none."""
    return report.words if dsn.STATUS.search(report.words) else f"{report.status} {report.words}".strip()


def _whose(report: Report, to: str, at: datetime) -> int | None:
    if (found := whose.named([to, *report.names])) is not None:
        return found
    for address in (report.to, _reader(report.links)):
        if (found := whose.identified(report.message_id, address, at=at)) is not None:
            return found
    return None


def _reader(links: str) -> str:
    """The address of the person whose unsubscribe link is quoted: complaints mostly hide whom the mail went to."""
    match = _LINK.search(links)
    if match is None:
        return ""
    try:
        bearer = tokens.read(match[1], tokens.UNSUBSCRIBE)
    except tokens.BadToken:
        return ""
    return Subscriber.objects.filter(public_id=bearer.public_id).values_list("address", flat=True).first() or ""
