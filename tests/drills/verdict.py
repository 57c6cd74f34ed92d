"""Judging a drill by what the relay kept: who was missed, who was told twice, who in the wrong order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


class Mail(NamedTuple):
    """One message the relay kept, in the order it kept them."""

    at: float
    to: str
    word: str
    message_id: str
    sha256: str


@dataclass(frozen=True)
class Verdict:
    """``lost``: people without the last word. ``altered``: copies that are not byte-identical."""

    name: str
    lost: int
    duplicates: int
    order: int
    altered: int
    bound: int

    @property
    def good(self) -> bool:
        return self.lost == 0 and self.duplicates <= self.bound and self.order == 0 and self.altered == 0

    def __str__(self) -> str:
        line = f"drill {self.name} lost={self.lost} duplicates={self.duplicates} order={self.order} bound={self.bound}"
        return line + (f" altered={self.altered}" if self.altered else "")


def read(log: str) -> list[Mail]:
    rows = (line.split(" ") for line in log.splitlines())
    return [Mail(float(at), to, word, message_id, sha256) for at, to, word, message_id, sha256 in rows]


def weigh(name: str, mails: Iterable[Mail], told: Sequence[str], order: Sequence[str], *, bound: int) -> Verdict:
    """``told``: everybody who had to hear; ``order``: the words in the order they were published.

    Everybody must have the last word (it carries the whole timeline), each word at most once, and
    none after a later one.
    """
    heard: dict[str, list[Mail]] = defaultdict(list)
    for mail in mails:
        heard[mail.to].append(mail)
    lost = sum(all(mail.word != order[-1] for mail in heard[reader]) for reader in told)
    strangers = len(set(heard) - set(told))
    duplicates = altered = wrong = 0
    for kept in heard.values():
        copies: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for mail in kept:
            copies[mail.word].add((mail.message_id, mail.sha256))
        duplicates += len(kept) - len(copies)
        altered += sum(len(versions) > 1 for versions in copies.values())
        places = [order.index(mail.word) for mail in kept]
        wrong += any(later < earlier for earlier, later in pairwise(places))
    return Verdict(name, lost + strangers, duplicates, wrong, altered, bound)
