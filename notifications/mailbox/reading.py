"""Reads mail that anybody may have written: broken headers and parts give readable words, never an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser

#: A part is shown up to here; the source is always whole.
SHOWN = 300_000
#: Names of what can be wrong with a header or a part; all end in showing it raw.
_BROKEN = (LookupError, ValueError, HeaderParseError, AttributeError, TypeError)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]+")


@dataclass(frozen=True)
class Summary:
    """What a list shows of a message."""

    sender: str
    recipient: str
    subject: str

    @property
    def haystack(self) -> str:
        return f"{self.sender}\n{self.recipient}\n{self.subject}".casefold()


@dataclass
class Opened:
    """A message taken apart for reading. ``html`` and ``text`` are None when it has no such part."""

    head: Summary
    headers: list[tuple[str, str]]
    html: str | None = None
    text: str | None = None
    attachments: list[str] = field(default_factory=list)
    #: Said to the reader when not everything can be shown.
    remark: str = ""


def summary(content: bytes) -> Summary:
    """The three lines of a message's top; it may be cut off after its headers."""
    return _summary(BytesHeaderParser().parsebytes(content))


def opened(content: bytes) -> Opened:
    """Take a message apart. Broken or hostile structure leaves its headers and a remark."""
    try:
        message: Message = message_from_bytes(content)
        found = Opened(_summary(message), [(name, _words(value)) for name, value in message.items()])
        for part in message.walk():
            _sort_in(found, part)
    except RecursionError:
        top = BytesHeaderParser().parsebytes(content)
        found = Opened(_summary(top), [(name, _words(value)) for name, value in top.items()])
        found.remark = "Its parts are nested too deeply to be shown. The source has everything."
    if found.html is None and found.text is None and not found.remark:
        found.remark = "It has no part that can be shown as words. The source has everything."
    return found


def _summary(message: Message) -> Summary:
    return Summary(
        sender=_words(message.get("From", "")),
        recipient=", ".join(_words(value) for value in message.get_all("Delivered-To", [message.get("To", "")])),
        subject=_words(message.get("Subject", "")),
    )


def _sort_in(found: Opened, part: Message) -> None:
    if part.is_multipart():
        return
    kind = part.get_content_type()
    attached = part.get_content_disposition() == "attachment"
    if not attached and kind == "text/html" and found.html is None:
        found.html = _part(found, part)
    elif not attached and kind == "text/plain" and found.text is None:
        found.text = _part(found, part)
    else:
        found.attachments.append(f"{_filename(part)} ({kind})")


def _part(found: Opened, part: Message) -> str:
    try:
        payload = part.get_payload(decode=True)
        raw = payload if isinstance(payload, bytes) else b""
        words = raw.decode(part.get_content_charset() or "utf-8", errors="replace")
    except _BROKEN:
        words = str(part.get_payload())
    if len(words) > SHOWN:
        found.remark = f"Only the first {SHOWN:,} characters are shown. The source has everything."
    return words[:SHOWN]


def _filename(part: Message) -> str:
    try:
        return _words(part.get_filename() or "unnamed")
    except _BROKEN:
        return "unnamed"


def _words(value: object) -> str:
    """A header in words: decoded, on one line, without control characters."""
    try:
        decoded = str(make_header(decode_header(str(value))))
    except _BROKEN:
        decoded = str(value)
    return _CONTROLS.sub(" ", " ".join(decoded.split()))[:1000].encode(errors="replace").decode()
