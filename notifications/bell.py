"""The doorbell: tells workers that there is work, and never minds when nobody hears (F02).

Ringing is a thread's business: a broker that hangs answers after many seconds or never, and an
operator's click must not wait for it.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from queue import SimpleQueue
from typing import NamedTuple

from celery import current_app

log = logging.getLogger(__name__)

#: After a failed ring nobody tries for this long: a dead broker must not slow down what does not need it.
SILENCE_SECONDS = 5.0


#: A process that ends waits this long for its last ring.
LAST_RING_SECONDS = 0.5


class _Ring(NamedTuple):
    task: str
    arguments: tuple[int | str, ...]
    queue: str


class _Bell:
    """One thread per process; a forked child starts its own."""

    silent_until = 0.0

    def __init__(self) -> None:
        self._rings: SimpleQueue[_Ring | threading.Event] = SimpleQueue()
        self._pid = 0
        self._starting = threading.Lock()

    def put(self, ring: _Ring | threading.Event) -> None:
        with self._starting:
            if self._pid != os.getpid():
                self._pid, self._rings = os.getpid(), SimpleQueue()
                threading.Thread(target=self._listen, args=(self._rings,), daemon=True, name="bell").start()
        self._rings.put(ring)

    def rest(self, seconds: float) -> bool:
        """Wait until everything put so far was rung, at most ``seconds``."""
        if self._pid != os.getpid():
            return True
        done = threading.Event()
        self.put(done)
        return done.wait(seconds)

    def _listen(self, rings: SimpleQueue[_Ring | threading.Event]) -> None:
        while True:
            ring = rings.get()
            if isinstance(ring, threading.Event):
                ring.set()
            else:
                _send(ring)


_bell = _Bell()
atexit.register(lambda: _bell.rest(LAST_RING_SECONDS))


def ring_fan_out(announcement_id: int) -> None:
    """Ask a worker to write down the recipients of an announcement."""
    _ring("notifications.tasks.fan_out", announcement_id, queue="celery")


def ring_deliver(pool: str) -> None:
    """Ask a worker to empty a pool of deliveries. Each pool has a queue of its own name (F19)."""
    _ring("notifications.tasks.deliver", str(pool), queue=str(pool))


def ring_sign_ups() -> None:
    """Ask a worker to answer those who asked to be subscribed; in the letters' queue, behind no news (F19)."""
    _ring("notifications.tasks.answer_sign_ups", queue="letters")


def ring(task: str, *arguments: int) -> None:
    """Ask a worker for a task of the floors above, by its full name; their sweep finds the work, too."""
    _ring(task, *arguments, queue="celery")


def mute() -> None:
    """For a process that looks for work by itself."""
    _Bell.silent_until = float("inf")


def _ring(task: str, *arguments: int | str, queue: str) -> None:
    if time.monotonic() >= _Bell.silent_until:
        _bell.put(_Ring(task, arguments, queue))


def _send(ring: _Ring) -> None:
    if time.monotonic() < _Bell.silent_until:
        return
    try:
        current_app.send_task(ring.task, args=ring.arguments, queue=ring.queue, ignore_result=True)
    except Exception as error:  # whatever ails the broker, the sweep finds the work
        _Bell.silent_until = time.monotonic() + SILENCE_SECONDS
        log.warning("The bell for %s did not ring (%s); the sweep will find the work.", ring.task, error)
