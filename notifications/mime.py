"""Mail as bytes: headers and bodies that can be compiled once and filled per person.

Everything is 7-bit with CRLF line ends, no line begins with a dot, and no line is longer than
the 998 octets of RFC 5322, whoever the words come from (S25).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.utils import format_datetime

#: RFC 2045 6.7: an encoded line holds at most 76 characters, its soft break included.
_WIDTH = 75
_ESCAPED = [f"={byte:02X}" for byte in range(256)]
_LITERAL = {byte: chr(byte) for byte in range(32, 127) if chr(byte) != "="} | {9: "\t"}
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class BadHeader(ValueError):
    """A header value with a line break or another control character in it (S25)."""


def header(name: str, words: str) -> str:
    """One header for words of people, encoded where needed. Raises BadHeader.

    By the old ``email.header``: the new folder loses spaces between encoded words.
    """
    words = clean(name, words)
    if _is_plain(words):
        return f"{name}: {words}\r\n"
    encoded = Header(words, "utf-8", header_name=name, maxlinelen=76).encode(linesep="\r\n")
    return f"{name}: {encoded}\r\n"


def plain_header(name: str, value: str) -> str:
    """One header of our own making, never folded or encoded: ids and links must stay whole. Raises BadHeader."""
    return f"{name}: {clean(name, value)}\r\n"


def mailbox_header(name: str, display_name: str, address: str) -> str:
    """``name: display name <address>``, quoted or encoded as needed. Raises BadHeader."""
    clean(name, display_name)
    clean(name, address)
    if _is_plain(display_name):
        return f"{name}: {Address(display_name=display_name, addr_spec=address)}\r\n"
    encoded = Header(display_name, "utf-8", header_name=name, maxlinelen=76).encode(linesep="\r\n")
    return f"{name}: {encoded}\r\n <{address}>\r\n"


def date(moment: datetime) -> str:
    """An aware moment as a Date header says it."""
    return format_datetime(moment)


def alternatives(headers: Sequence[str], text: str, html: str, *, boundary: str, atoms: Iterable[str]) -> str:
    """A whole multipart/alternative message; ``atoms`` are words in it that must not be cut."""
    atoms = tuple(atoms)
    top = [
        *headers,
        "MIME-Version: 1.0\r\n",
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n',
        "\r\n",
    ]
    parts = [
        f'--{boundary}\r\nContent-Type: text/{kind}; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{quoted_printable(words, atoms)}\r\n"
        for kind, words in (("plain", text), ("html", html))
    ]
    return "".join([*top, *parts, f"--{boundary}--\r\n"])


def quoted_printable(text: str, atoms: Sequence[str] = ()) -> str:
    """RFC 2045 quoted-printable with CRLF lines; an atom stays in one piece, unencoded.

    Atoms are at most 74 characters of letters, digits, ``-`` and ``_``.
    """
    split = re.compile(f"({'|'.join(map(re.escape, atoms))})") if atoms else None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\r\n".join(_wrapped(_units(line, split, atoms)) for line in lines)


def _units(line: str, split: re.Pattern[str] | None, atoms: Sequence[str]) -> list[str]:
    units: list[str] = []
    for piece in split.split(line) if split else (line,):
        if piece in atoms:
            units.append(piece)
        else:
            units.extend(_LITERAL.get(byte, _ESCAPED[byte]) for byte in piece.encode())
    if units and units[-1] in (" ", "\t"):
        units[-1] = _ESCAPED[ord(units[-1])]
    return units


def _wrapped(units: Iterable[str]) -> str:
    rows, row, width = [], list[str](), 0
    for unit in units:
        if width + len(unit) > _WIDTH:
            rows.append("".join(row))
            row, width = [], 0
        if not row and unit == ".":
            unit = "=2E"  # no line begins with a dot: relays have disagreed about such lines (SMTP smuggling)
        row.append(unit)
        width += len(unit)
    rows.append("".join(row))
    return "=\r\n".join(rows)


def _is_plain(words: str) -> bool:
    """Needs no encoding: ASCII, short enough for one line, and not read as encoded by anybody."""
    return words.isascii() and len(words) < 900 and "=?" not in words


def clean(name: str, value: str) -> str:
    """The value itself, when a header may hold it. Raises BadHeader."""
    if match := _UNSAFE.search(value):
        raise BadHeader(f"{name} holds the character U+{ord(match.group()):04X}, which no header may hold.")
    return value
