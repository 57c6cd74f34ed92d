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
    #: The words of the timeline in it.
    tells: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Verdict:
    """``lost``: people without the last word. ``strangers``: people nobody wanted to tell.

    ``order``: people told an older word after a newer one, or an end without its beginning.
    ``altered``: copies that are not byte-identical. ``bound``, ``order_bound``: how many of them the
    faults explain. ``faults``: whatever else must not happen, in words: log lines, rules of the
    auditor, times.
    """

    name: str
    lost: int = 0
    duplicates: int = 0
    order: int = 0
    altered: int = 0
    strangers: int = 0
    bound: int = 0
    order_bound: int = 0
    faults: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        wrong = self.lost or self.altered or self.strangers or self.faults
        return not wrong and self.duplicates <= self.bound and self.order <= self.order_bound

    @property
    def counts(self) -> str:
        rare = "".join(
            f" {name}={count}" for name in ("order_bound", "altered", "strangers") if (count := getattr(self, name))
        )
        faults = "".join(f" fault={fault!r}" for fault in self.faults)
        return f"lost={self.lost} duplicates={self.duplicates} order={self.order} bound={self.bound}{rare}{faults}"

    def __str__(self) -> str:
        return f"drill {self.name} {self.counts}"


def read(log: str) -> list[Mail]:
    """The relay's log; see ``sink``."""
    rows = (line.split(" ") for line in log.splitlines())
    return [
        Mail(float(at), to, word, message_id, sha256, frozenset(tells.split(",")))
        for at, to, word, message_id, sha256, tells in rows
    ]


def weigh(
    name: str,
    mails: Iterable[Mail],
    told: Sequence[str],
    order: Sequence[str],
    *,
    bound: int,
    order_bound: int = 0,
    faults: Sequence[str] = (),
) -> Verdict:
    """``told``: everybody who had to hear; ``order``: the words in the order they were published.

    Everybody must have the last word, each word at most once, and none after a later one. Who was
    overtaken, and is told first what was not published first, must find all of the timeline in it.
    """
    heard: dict[str, list[Mail]] = defaultdict(list)
    for mail in mails:
        heard[mail.to].append(mail)
    lost = sum(all(mail.word != order[-1] for mail in heard.get(reader, ())) for reader in told)
    strangers = len(set(heard) - set(told))
    duplicates = altered = wrong = 0
    for kept in heard.values():
        copies: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for mail in kept:
            copies[mail.word].add((mail.message_id, mail.sha256))
        duplicates += len(kept) - len(copies)
        altered += sum(len(versions) > 1 for versions in copies.values())
        places = [order.index(mail.word) for mail in kept]
        unaware = not kept[0].tells.issuperset(order[: places[0]])
        wrong += unaware or any(later < earlier for earlier, later in pairwise(places))
    return Verdict(name, lost, duplicates, wrong, altered, strangers, bound, order_bound, tuple(faults))


def total(verdicts: Sequence[Verdict]) -> Verdict:
    first, *others = verdicts
    if not others:
        return first
    names = ("lost", "duplicates", "order", "altered", "strangers", "bound")
    counts = {name: sum(getattr(verdict, name) for verdict in verdicts) for name in names}
    return Verdict(first.name, faults=tuple(dict.fromkeys(f for v in verdicts for f in v.faults)), **counts)
