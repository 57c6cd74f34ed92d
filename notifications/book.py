"""The book every sender writes to before and after each message, and that forgets nothing (F03).

Each connection has one message open: it is marked before it leaves and again when its fate is
known. Marks that wait at the same moment share one commit, so the promise costs a fraction of a
commit per message and is none the weaker. An outcome that cannot be written because the database
is away stays in memory until it can: a message is not sent again for want of a note.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from random import SystemRandom
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from notifications import closing, queue
from notifications.queue import Item

log = logging.getLogger(__name__)
_random = SystemRandom()
_Result = TypeVar("_Result")

#: What a database says that is restarting, failing over, or cutting us off.
AWAY = (OperationalError, InterfaceError)
#: After SIGTERM an outcome waits for the database at most this long (F30).
LAST_WORDS_SECONDS = 25.0
#: Why a message did not leave: its person left us, or their address was refused, after it was taken.
WITHHELD = "Unsubscribed"
#: Marks written by one statement, at most.
_TOGETHER = 16


class _Mark:
    """What one sender wants to have written: this left, that leaves next."""

    __slots__ = ("answer", "leaving", "left")

    def __init__(self, left: Item | None, leaving: Item | None) -> None:
        self.left = left
        self.leaving = leaving
        self.answer: bool | None = None


class Book:
    """Shared by the senders of one process."""

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._waiting: deque[_Mark] = deque()

    def turn(self, left: Item | None, leaving: Item | None) -> bool:
        """``left`` was accepted; may ``leaving`` leave now? Returns with both written down.

        Whoever gets hold of the pen writes for everybody who waits.
        """
        mark = _Mark(left, leaving)
        self._waiting.append(mark)
        while mark.answer is None:
            with self._writing:
                if mark.answer is None:
                    self._write([self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))])
        return mark.answer

    def _write(self, marks: list[_Mark]) -> None:
        try:
            moved = self._moved(marks)
            for mark in marks:
                self._follow_up(mark, moved)
                mark.answer = mark.leaving is not None and mark.leaving.id in moved
        finally:
            for mark in marks:
                # Whatever went wrong is raised here; nobody else waits for an answer that never comes.
                mark.answer = bool(mark.answer)

    def _moved(self, marks: list[_Mark]) -> set[int]:
        left = [mark.left for mark in marks if mark.left]
        leaving = [mark.leaving for mark in marks if mark.leaving]
        try:
            return queue.turn(left, leaving)
        except AWAY as error:
            log.warning("The database is away (%s); %d known outcomes wait in memory.", _short(error), len(left))
            # Whether the marks were written is unknown; that nothing of ``leaving`` left is certain.
            persist(lambda: _recover(left, leaving))
            return {item.id for item in left}

    def _follow_up(self, mark: _Mark, moved: set[int]) -> None:
        if mark.left and mark.left.id not in moved:
            self._late(mark.left)
        if (kept := mark.leaving) and kept.id not in moved:
            persist(lambda: queue.leave_out(kept, WITHHELD))

    def _late(self, item: Item) -> None:
        if not persist(lambda: queue.own(item)):
            log.warning("Delivery %d was taken over while it was being handed to the relay.", item.id)


def persist(write: Callable[[], _Result]) -> _Result:
    """Do a write that may be done twice, as often as it takes until the database has it.

    Raises the database's error after LAST_WORDS_SECONDS of closing time.
    """
    wait, give_up = 0.05, None
    while True:
        try:
            return write()
        except AWAY:
            if connection.in_atomic_block:
                raise
            connection.close()
            if closing.stopping():
                give_up = give_up or time.monotonic() + LAST_WORDS_SECONDS
                if time.monotonic() > give_up:
                    raise
            time.sleep(_random.uniform(wait / 2, wait))
            wait = min(wait * 2, 1.0)


def once(write: Callable[[], int]) -> int:
    """Do a write that can wait, because the sweep does it too; 0 where the database would not.

    One that always takes longer than the database allows must not keep a sender from its mail.
    """
    try:
        return write()
    except AWAY as error:
        if connection.in_atomic_block:
            raise
        log.warning("The database would not (%s); the sweep will.", _short(error))
        connection.close()
        return 0


def _recover(left: list[Item], leaving: list[Item]) -> None:
    for item in left:
        queue.own(item)
    queue.release(leaving)


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
