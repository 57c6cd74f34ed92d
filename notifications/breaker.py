"""When the relay fails, stop trying for a while; when it refuses everybody, blame nobody (F04, F07)."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter, deque
from random import SystemRandom
from typing import NamedTuple

from notifications.enums import Channel
from notifications.queue import Item

log = logging.getLogger(__name__)
_random = SystemRandom()

#: Failures in a row, not about a recipient, after which the relay gets a rest.
ROW = 5
#: Seconds of rest: at most one probe in this time once it failed often (F07).
LONGEST_REST = 15.0
#: Of the last WINDOW messages more than SHARE refused for good with one code are not a coincidence …
WINDOW, SHARE = 500, 0.02
#: … once so many were tried. No row of refusals is longer than this before the relay gets a rest.
FEW = 50
#: Items whose second chance is remembered.
CHANCES = 10_000
_CODE = re.compile(r"\d{5}\b|\d{3}(?:[ -]\d\.\d{1,3}\.\d{1,3})?")


class Trouble(NamedTuple):
    """Why nothing leaves; ``ours``: because of us, waiting will not help (F28)."""

    reason: str
    ours: bool


class Breaker:
    """One per process, pool and channel.

    Refusals are believed or taken back by code. A code trips when more than SHARE of the last
    WINDOW recipients were refused with it, or when ROW were and nothing else was heard: then all
    of the window with that code are taken back, and so is every one that follows (doubted) until
    any mail is accepted. From then on the relay evidently works: those codes are believed, and only a
    long row of nothing else trips again, until a full window is calm. An item that was taken back and
    is refused again after other mail was accepted bounces: nobody waits for ever.
    """

    def __init__(self, channel: Channel | str) -> None:
        self._channel = Channel(channel)
        self._lock = threading.Lock()
        self._failures = 0
        self._rests = 0
        self._rest_until = 0.0
        #: How often it ever began a rest.
        self.rested = 0
        #: From the first rest until a message is accepted again.
        self.trouble: Trouble | None = None
        #: One entry per message lately: None when it was accepted, else who was refused, and how.
        self._recent: deque[tuple[Item | None, str]] = deque(maxlen=WINDOW)
        #: Refusals by code since a message was accepted or we rested for them.
        self._row: Counter[str] = Counter()
        self._doubted: set[str] = set()
        self._believed: set[str] = set()
        self._accepted = 0
        #: By delivery taken back: how many messages had been accepted by then.
        self._chances: dict[int, int] = {}

    def resting(self) -> bool:
        return time.monotonic() < self._rest_until

    def fine(self) -> None:
        """A message was accepted: the relay works."""
        with self._lock:
            self._failures = self._rests = 0
            self.trouble = None
            self._accepted += 1
            self._recent.append((None, ""))
            self._row.clear()
            self._believed |= self._doubted
            self._doubted.clear()

    def failed(self, reason: str, *, ours: bool) -> None:
        """A message failed through no fault of its recipient."""
        with self._lock:
            self._failures += 1
            if ours:
                log.error("%s refuses us, no recipient is to blame: %s", self._far_end, reason)
            if self._failures >= ROW:
                self._rest(reason, ours=ours)

    def down(self, reason: str, *, ours: bool) -> None:
        """There is no connection at all."""
        with self._lock:
            log.log(logging.ERROR if ours else logging.WARNING, "%s", reason)
            self._rest(reason, ours=ours)

    def refused(self, item: Item, reason: str) -> list[Item]:
        """A recipient was refused for good, in these words of the relay. Returns [] when that is plausible.

        Otherwise so many were refused lately that the relay must be at fault: returns those of the
        window with the same code, to be taken back (F04: 550 on everybody punishes nobody).
        """
        code = match.group() if (match := _CODE.match(reason)) else ""
        with self._lock:
            if self._chances.pop(item.id, self._accepted) < self._accepted:
                return []
            self._row[code] += 1
            if code in self._doubted:
                innocent = [item]
                if self._row[code] >= self._longest_row(code):
                    self._rest_for(code)
            else:
                self._recent.append((item, code))
                if not self._too_many(code):
                    return []
                innocent = self._trip(code)
            self._give_chance(innocent)
            return innocent

    def _too_many(self, code: str) -> bool:
        refused = sum(why == code for _, why in self._recent)
        plausible = refused <= SHARE * len(self._recent)
        if plausible and len(self._recent) == WINDOW:
            self._believed.discard(code)
        if code in self._believed or all(item for item, _ in self._recent):
            return self._row[code] >= self._longest_row(code)
        return len(self._recent) >= FEW and not plausible

    def _longest_row(self, code: str) -> int:
        """Longer after each rest, so that a heap of dead addresses does not keep the others waiting."""
        return min(FEW, ROW << min(4, max(self._rests, 2 if code in self._believed else 0)))

    def _trip(self, code: str) -> list[Item]:
        innocent = [item for item, why in self._recent if item and why == code]
        log.error("%d of the last %d recipients refused with %s: that is us.", len(innocent), len(self._recent), code)
        self._recent.clear()
        self._believed.discard(code)
        self._doubted.add(code)
        self._rest_for(code)
        return innocent

    def _rest_for(self, code: str) -> None:
        self._row.clear()
        self._rest(f"too many recipients refused with {code}", ours=True)

    def _give_chance(self, items: list[Item]) -> None:
        for item in items:
            self._chances[item.id] = self._accepted
        while len(self._chances) > CHANCES:
            del self._chances[next(iter(self._chances))]

    def _rest(self, reason: str, *, ours: bool) -> None:
        self._rests += 1
        self.rested += 1
        self.trouble = Trouble(reason, ours)
        rest = _random.uniform(0.5, 1.0) * min(LONGEST_REST, 2.0 ** (self._rests - 1))
        self._rest_until = time.monotonic() + rest
        log.warning("%s: nothing leaves for %.1f s: %s", self._channel.label, rest, reason)

    @property
    def _far_end(self) -> str:
        return "The relay" if self._channel == Channel.EMAIL else f"{self._channel.label}: the provider"
