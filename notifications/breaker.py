"""When the relay fails, stop trying for a while; when it refuses everybody, blame nobody (F04, F07)."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from random import SystemRandom

from notifications.queue import Item

log = logging.getLogger(__name__)
_random = SystemRandom()

#: Failures in a row, not about a recipient, after which the relay gets a rest.
ROW = 5
#: Seconds of rest: at most one probe in this time once it failed often (F07).
LONGEST_REST = 15.0
#: Of the last WINDOW messages more than SHARE refused for good are not a coincidence.
WINDOW, SHARE = 500, 0.02


class Breaker:
    """One per process and pool."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._rests = 0
        self._rest_until = 0.0
        #: One entry per message lately: was its recipient refused for good?
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._refused: deque[Item] = deque(maxlen=WINDOW)

    def resting(self) -> bool:
        return time.monotonic() < self._rest_until

    def fine(self) -> None:
        """A message was accepted."""
        self._failures = self._rests = 0
        self._recent.append(False)

    def failed(self, reason: str, *, ours: bool) -> None:
        """A message failed through no fault of its recipient."""
        with self._lock:
            self._failures += 1
            if ours:
                log.error("The relay refuses us, no recipient is to blame: %s", reason)
            if self._failures >= ROW:
                self._rest(reason)

    def down(self, reason: str, *, ours: bool) -> None:
        """There is no connection at all."""
        with self._lock:
            log.log(logging.ERROR if ours else logging.WARNING, "%s", reason)
            self._rest(reason)

    def refused(self, item: Item) -> list[Item]:
        """A recipient was refused for good. Returns [] when that is plausible.

        Otherwise so many were refused lately that the relay must be at fault: returns all of
        them (with ``item``), to be taken back, and rests (F04: 550 on everybody punishes nobody).
        """
        with self._lock:
            self._recent.append(True)
            self._refused.append(item)
            if sum(self._recent) <= WINDOW * SHARE:
                return []
            log.error("%d of the last %d recipients were refused for good: that is us.", sum(self._recent), WINDOW)
            innocent, self._refused = list(self._refused), deque(maxlen=WINDOW)
            self._rest("too many recipients refused")
            return innocent

    def _rest(self, reason: str) -> None:
        self._rests += 1
        rest = _random.uniform(0.5, 1.0) * min(LONGEST_REST, 2.0 ** (self._rests - 1))
        self._rest_until = time.monotonic() + rest
        log.warning("No mail leaves for %.1f s: %s", rest, reason)
