"""A Maildir: one file per message, named so that names sort by arrival, never half written."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from notifications.mailbox.reading import Summary, summary

#: The newest are kept; older ones go.
MESSAGES_KEPT = 5_000
BYTES_KEPT = 500_000_000
#: How many messages, or bytes, may arrive between two clear-outs.
_SLACK = 100
_SLACK_BYTES = 50_000_000
#: Enough for the headers of any mail; a list must not read attachments.
_HEAD = 16_384
_KEY = re.compile(r"\d{20}\.\d+\.\d+")


@dataclass(frozen=True)
class Entry:
    """A line of the list."""

    key: str
    arrived_at: datetime
    head: Summary


class Box:
    """The messages under ``folder``, which is made when the first one arrives. One writer, many readers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._serial = itertools.count()
        self._arrived = self._bytes = 0

    def add(self, content: bytes, *, recipients: list[str], sender: str) -> str:
        """Keep a message as a relay would, with its envelope on top. Returns its key.

        Complete or absent, never in between; not flushed to the disk, because a demo's mail may
        be lost with the power.
        """
        for name in ("tmp", "new", "cur"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = f"{time.time_ns():020d}.{os.getpid()}.{next(self._serial)}"
        envelope = [f"Return-Path: <{sender}>", *(f"Delivered-To: {recipient}" for recipient in recipients)]
        tmp = self.folder / "tmp" / key
        tmp.write_bytes("".join(f"{line}\r\n" for line in envelope).encode() + content)
        tmp.rename(self.folder / "new" / key)
        self._arrived += 1
        self._bytes += len(content)
        if self._arrived >= _SLACK or self._bytes >= _SLACK_BYTES:
            self.clear_out()
        return key

    def clear_out(self) -> None:
        """Forget the oldest, down to the bounds."""
        self._arrived = self._bytes = size = 0
        for position, key in enumerate(self.keys()):
            path = self.folder / "new" / key
            size += path.stat().st_size
            if position >= MESSAGES_KEPT or size > BYTES_KEPT:
                path.unlink()

    def keys(self) -> list[str]:
        """Every message, newest first."""
        try:
            names = os.listdir(self.folder / "new")
        except FileNotFoundError:
            return []
        return sorted(filter(_KEY.fullmatch, names), reverse=True)

    def read(self, key: str) -> bytes:
        """The message as it was kept. Raises KeyError for whatever is not the key of a message."""
        if not _KEY.fullmatch(key):
            raise KeyError(key)
        try:
            return (self.folder / "new" / key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None

    def entries(self, words: str = "", *, before: str = "") -> Iterator[Entry]:
        """Newest first; with ``words``, those whose recipient, sender or subject holds them all.

        ``before``: only those older than the message with this key.
        """
        wanted = words.casefold().split()
        for key in self.keys():
            if before and key >= before:
                continue
            head = _head(self.folder / "new" / key)
            if head is not None and all(word in head.haystack for word in wanted):
                yield Entry(key, arrived_at(key), head)


def arrived_at(key: str) -> datetime:
    """When a message came in, UTC."""
    return datetime.fromtimestamp(int(key[:20]) / 1e9, UTC)


@lru_cache(maxsize=MESSAGES_KEPT + _SLACK)
def _head(path: Path) -> Summary | None:
    """A kept message never changes, so its headers are read once; None when it was cleared out meanwhile."""
    try:
        with path.open("rb") as file:
            return summary(file.read(_HEAD))
    except FileNotFoundError:
        return None
