"""Reading what mail systems send back: delivery reports (RFC 3464) and complaints (RFC 5965).

Pure: bytes in, ``Report`` out. Nothing in it is proven yet; whose message it is, and whether it is one
of ours at all, is found out elsewhere (``bounces``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.message import Message
from email.policy import compat32
from email.utils import parseaddr

#: A report quotes a mail at most; what is longer is not read to its end.
LARGEST = 300_000
#: RFC 3464 2.3.3, and ours for a complaint.
ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")
COMPLAINT = "complaint"
#: Of complaints only these are about mail somebody did not want; others report viruses or fraud of third parties.
_UNWANTED = ("abuse", "opt-out", "opt-out-list", "not-spam", "other", "")
STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_MOST_PARTS = 50


@dataclass(frozen=True)
class Report:
    """What one report says of one recipient of one message.

    ``action`` is one of ACTIONS or COMPLAINT; ``status`` an enhanced code or "". ``names`` are texts in
    which a signed name may stand, ``links`` the unsubscribe links it quotes, ``message_id`` and ``to``
    are the quoted mail's. ``event`` is the same for the same report, however often it is read.
    """

    action: str
    status: str
    words: str
    message_id: str
    to: str
    names: tuple[str, ...]
    links: str
    event: str


def read(raw: bytes) -> list[Report]:
    """The reports in a message: one for each recipient it speaks of, none for any other mail."""
    try:
        mail = message_from_bytes(raw[:LARGEST], policy=compat32)
        parts = [part for part, _ in zip(mail.walk(), range(_MOST_PARTS), strict=False)]
        if mail.get_content_type() != "multipart/report":
            return []
        return list(_delivery_reports(mail, parts)) or list(_complaints(mail, parts))
    except (MessageError, LookupError, RecursionError, TypeError, ValueError, AttributeError):
        # Whatever a forger thought of: it is no report.
        return []


def _delivery_reports(mail: Message, parts: list[Message]) -> Iterator[Report]:
    status = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    blocks = _blocks(status)
    if len(blocks) < 2:
        return
    about_all, quoted = blocks[0], _quoted(parts)
    for block in blocks[1:]:
        action = _field(block, "Action").lower()
        if action not in ACTIONS:
            continue
        diagnosis = _field(block, "Diagnostic-Code")
        code = STATUS.search(_field(block, "Status")) or STATUS.search(diagnosis)
        known = {
            "action": action,
            "status": code.group(1) if code else "",
            "words": _words(diagnosis or _field(block, "Status") or action),
        }
        yield _report(mail, quoted, block, known, [_field(about_all, "Original-Envelope-Id")])


def _complaints(mail: Message, parts: list[Message]) -> Iterator[Report]:
    report = next((part for part in parts if part.get_content_type() == "message/feedback-report"), None)
    for block in _blocks(report)[:1]:
        kind = _field(block, "Feedback-Type").lower()
        if kind in _UNWANTED and kind != "not-spam":
            known = {"action": COMPLAINT, "status": "", "words": _words(f"{kind} {_field(block, 'User-Agent')}")}
            yield _report(mail, _quoted(parts), block, known, [_field(block, "Original-Mail-From")])


def _report(mail: Message, quoted: Message | None, block: Message, known: dict[str, str], besides: list[str]) -> Report:
    names = [value for name in ("Delivered-To", "X-Original-To", "To") for value in _fields(mail, name)]
    names += [*besides, *_fields(quoted, "Return-Path")]
    to = parseaddr(_field(quoted, "To"))[1] or _address(block)
    same = (_field(mail, "Message-ID"), known["action"], known["status"], _address(block))
    return Report(
        **known,
        message_id=_field(quoted, "Message-ID"),
        to=to,
        names=tuple(names),
        links=_field(quoted, "List-Unsubscribe"),
        event=hashlib.sha256(repr(same).encode("utf-8", "replace")).hexdigest(),
    )


def _blocks(part: Message | None) -> list[Message]:
    """The groups of fields of a report."""
    payload = part.get_payload() if part is not None else []
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _quoted(parts: list[Message]) -> Message | None:
    """The headers of the mail it is about: quoted whole, or only they."""
    for part in reversed(parts):
        if part.get_content_type() == "message/rfc822":
            return next(iter(_blocks(part)), None)
        if part.get_content_type() in ("text/rfc822-headers", "message/rfc822-headers"):
            payload = part.get_payload(decode=True)
            return message_from_bytes(payload if isinstance(payload, bytes) else b"", policy=compat32)
    return None


def _address(block: Message) -> str:
    """Whom a block is about: ``rfc822; ann@example.org``."""
    for name in ("Original-Recipient", "Final-Recipient", "Original-Rcpt-To", "Removal-Recipient"):
        if value := _field(block, name):
            return parseaddr(value.rpartition(";")[2])[1]
    return ""


def _fields(message: Message | None, name: str) -> list[str]:
    return [str(value) for value in (message.get_all(name) or [])] if message is not None else []


def _field(message: Message | None, name: str) -> str:
    return " ".join(next(iter(_fields(message, name)), "").split())


def _words(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]
