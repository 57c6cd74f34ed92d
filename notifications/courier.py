"""Sending by slow wires: many far ends at once, each of them able to take its time (F05, F06).

One thread claims, marks and settles; it alone talks to the database. Many hands each carry one
message and know nothing but their wire, so a receiver that hangs costs a hand, not a connection
to the database, and delays nobody else. What is in a hand is marked before it leaves.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial

from django.conf import settings

from notifications import closing, order, queue, states
from notifications.book import AWAY, WITHHELD, once, persist
from notifications.breaker import Breaker
from notifications.channels.port import Answer, Mould, Outage, Port, Verdict, Wire
from notifications.channels.registry import PORTS, off
from notifications.compiler import LANGUAGES
from notifications.enums import Channel, Fate, Pool
from notifications.outcomes import Outcomes, settle
from notifications.queue import Item
from notifications.states import Leave

log = logging.getLogger(__name__)

#: Part of its lease within which a message must be through.
MESSAGE_SHARE = 0.9
#: Between two looks for rows whose turn has come, at least.
TURN_SECONDS = 0.2
#: While nothing comes back, new work is looked for so often.
LOOK_SECONDS = 0.5
#: A receiver that takes longer has a hand of its own: however many are slow, the others find hands (F06) …
SLOW_SECONDS = 2.0
#: … as long as there are not more than so many times the hands.
MOST_HANDS = 4

#: A drain begins with what workers died over (F29), for so long at most: the others must not wait for it …
SUSPECTS_SECONDS = 5.0
#: … and takes one for so many hands at a time.
SUSPECTS_SHARE = 10

_Carried = dict[Future[Answer], tuple[Item, Mould]]

_ENDPOINTS = (Pool.HOOKS, Pool.RETRIES)
#: All of such a pool goes to one provider, which works or does not. The others' far ends fail each for itself.
_ONE_FAR_END: dict[str, Channel] = {Pool.TEXTS: Channel.SMS, Pool.CODES: Channel.SMS, Pool.WHATSAPP: Channel.WHATSAPP}


class Carrier(ABC):
    """Whoever empties one pool in one process."""

    def __init__(self, pool: str) -> None:
        self.pool = pool
        #: Accepted in this drain.
        self.sent = 0
        self._busy = threading.Lock()
        self._called = False

    def drain(self, *, seconds: float, lying_for: float) -> int:
        """Empty the pool, for at most ``seconds``; returns how many were accepted.

        One drain at a time; a second caller makes it look again. ``lying_for``: only what has been
        due for so many seconds.
        """
        total = 0
        self._called = True
        while self._called and self._busy.acquire(blocking=False):
            try:
                self._called = False
                total += self._drain(time.monotonic() + seconds, lying_for)
            finally:
                self._busy.release()
        return total

    @abstractmethod
    def _drain(self, until: float, lying_for: float) -> int:
        """One look through the pool until that ``time.monotonic``; returns how many were accepted."""


class Courier(Carrier):
    """Empties one pool with one thread at the database and many at the far ends."""

    def __init__(self, pool: str) -> None:
        super().__init__(pool)
        self._outcomes: dict[str, Outcomes] = {}
        self._idle: dict[str, list[Wire]] = {}
        self._moulds: dict[tuple[str, int, str], Mould] = {}
        self._turned = 0.0
        #: When an item was put into a hand.
        self._began: dict[int, float] = {}

    def _drain(self, until: float, lying_for: float) -> int:
        self.sent = 0
        self._moulds.clear()
        leave = Leave.NONE if self._resting() else self._leave(lying_for)
        if leave is Leave.NONE:
            return 0
        carried: _Carried = {}
        with ThreadPoolExecutor(self._most, thread_name_prefix=self.pool) as hands:
            try:
                if leave is Leave.PROBE:
                    self._probe(hands, carried, until, lying_for)
                else:
                    self._clear_suspects(hands, carried, until, lying_for)
                    self._empty(hands, carried, until, lying_for)
            finally:
                # Nothing that may have left is forgotten, whatever ended the round.
                while carried:
                    self._record(carried)
        self._put_away()
        for outcomes in self._outcomes.values():
            outcomes.tell(sent=self.sent)
        # What a probe found working is now told to work: another round.
        self._called |= leave is Leave.PROBE and self.sent > 0
        return self.sent

    def _leave(self, lying_for: float) -> Leave:
        channel = _ONE_FAR_END.get(self.pool)
        waits = partial(queue.waits, self.pool, lying_for=lying_for)
        return persist(lambda: states.leave(channel, waits)) if channel else Leave.FREE

    @property
    def _most(self) -> int:
        """So many hands, slow ones included."""
        width: int = settings.COURIER_HANDS[self.pool]
        return width * MOST_HANDS if self.pool in _ENDPOINTS else width

    def _probe(self, hands: ThreadPoolExecutor, carried: _Carried, until: float, lying_for: float) -> None:
        """One message, that it may tell how the provider is (F07); what ends without it tells nothing."""
        fresh = partial(queue.claim, self.pool, 1, lying_for=lying_for)
        suspect = partial(queue.claim_suspects, self.pool, 1, lying_for=lying_for)
        while not carried and (claimed := self._claim(fresh, until) or self._claim(suspect, until)):
            self._hand_out(claimed, hands, carried)

    def _empty(self, hands: ThreadPoolExecutor, carried: _Carried, until: float, lying_for: float) -> None:
        width = settings.COURIER_HANDS[self.pool]
        while True:
            free = min(width - self._quick(carried), self._most - len(carried))
            fresh = partial(queue.claim, self.pool, free, lying_for=lying_for)
            claimed = self._claim(fresh, until) if free else []
            self._hand_out(claimed, hands, carried)
            if not carried:
                # What came to rest may have let others go.
                if claimed or self._take_turns(TURN_SECONDS):
                    continue
                break
            self._record(carried)

    def _clear_suspects(self, hands: ThreadPoolExecutor, carried: _Carried, until: float, lying_for: float) -> None:
        """What workers died over goes in small groups before the rest, so that few are blamed again (F29)."""
        together = max(1, settings.COURIER_HANDS[self.pool] // SUSPECTS_SHARE)
        until = min(until, time.monotonic() + SUSPECTS_SECONDS)
        while claimed := self._claim(partial(queue.claim_suspects, self.pool, together, lying_for=lying_for), until):
            self._hand_out(claimed, hands, carried)
            while carried:
                self._record(carried)

    def _hand_out(self, claimed: list[Item], hands: ThreadPoolExecutor, carried: _Carried) -> None:
        for item, mould, message in self._ready(claimed):
            carried[hands.submit(self._carry, item, message, mould)] = (item, mould)
            self._began[item.id] = time.monotonic()

    def _quick(self, carried: _Carried) -> int:
        """How many are in hands that may soon be free again."""
        if self.pool not in _ENDPOINTS:
            return len(carried)
        young = time.monotonic() - SLOW_SECONDS
        return sum(self._began[item.id] > young for item, _ in carried.values())

    def _claim(self, take: Callable[[], list[Item]], until: float) -> list[Item]:
        if closing.stopping() or time.monotonic() > until or self._resting():
            return []
        return persist(take)

    def _resting(self) -> bool:
        return any(outcomes.breaker.resting() for outcomes in self._outcomes.values())

    def _ready(self, items: list[Item]) -> list[tuple[Item, Mould, bytes]]:
        """Those that may leave now, marked as leaving in one commit; the others are settled."""
        written = []
        for item in items:
            outcomes = self._outcomes_of(item)
            if outcomes is None or outcomes.left_out(item):
                continue
            try:
                mould = self._mould(outcomes.port, item)
                message = mould.fill(item)
                if not outcomes.withheld(item, mould):
                    written.append((item, mould, message))
            except AWAY:
                persist(lambda item=item: queue.release([item]))  # type: ignore[misc]  # bound now
            except Exception as error:
                outcomes.poison(item, error)
        leaving = [item for item, _, _ in written]
        moved = self._mark(leaving)
        for kept in (item for item in leaving if item.id not in moved):
            persist(lambda kept=kept: queue.leave_out(kept, WITHHELD))  # type: ignore[misc]  # bound now
        return [row for row in written if row[0].id in moved]

    def _mark(self, leaving: list[Item]) -> set[int]:
        if not leaving:
            return set()
        try:
            return queue.turn([], leaving)
        except AWAY as error:
            log.warning("The database is away (%s); %d messages stay.", error, len(leaving))
            # Whether they were marked is unknown; that none of them left is certain.
            persist(lambda: queue.release(leaving))
            return set()

    def _outcomes_of(self, item: Item) -> Outcomes | None:
        """Who keeps the book of an item's channel; None: it cannot be sent at all, which is written down."""
        port = PORTS.get(item.channel)
        if reason := off(item.channel):
            settle(item, Fate.DEAD, reason)
            return None
        assert port is not None
        return self._outcomes.setdefault(item.channel, Outcomes(port, Breaker(item.channel)))

    def _mould(self, port: Port, item: Item) -> Mould:
        language = item.language if item.language in LANGUAGES else LANGUAGES[0]
        key = (item.channel, item.news, language)
        if key not in self._moulds:
            self._moulds[key] = persist(lambda: port.mould(item.news, language))
        return self._moulds[key]

    def _carry(self, item: Item, message: bytes, mould: Mould) -> Answer:
        """In a hand: no database here."""
        deadline = time.monotonic() + MESSAGE_SHARE * settings.DELIVERY_LEASE_SECONDS
        with self._wire(item.channel) as wire:
            wire.open()
            return wire.send(item, message, mould, deadline=deadline)

    @contextmanager
    def _wire(self, channel: str) -> Iterator[Wire]:
        idle = self._idle.setdefault(channel, [])
        try:
            wire = idle.pop()
        except IndexError:
            wire = PORTS[channel].wire()
        try:
            yield wire
        except BaseException:
            wire.close()
            raise
        idle.append(wire)

    def _put_away(self) -> None:
        for wires in self._idle.values():
            while wires:
                wires.pop().close()

    def _record(self, carried: _Carried) -> None:
        done, _ = wait(carried, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            item, mould = carried.pop(future)
            self._began.pop(item.id, None)
            outcomes = self._outcomes[item.channel]
            try:
                answer = future.result()
            except Outage as outage:
                self._down(outcomes, item, outage)
            except Exception as error:
                # A wire that breaks in a way of its own: what it did with the message nobody can know.
                log.exception("Delivery %d: the wire broke", item.id)
                outcomes.record(item, Answer(Verdict.DOUBT, f"The wire broke: {type(error).__name__}"), mould)
            else:
                outcomes.record(item, answer, mould)
                self.sent += answer.verdict in (Verdict.ACCEPTED, Verdict.DELIVERED)
        if done:
            self._take_turns()

    def _down(self, outcomes: Outcomes, item: Item, outage: Outage) -> None:
        if outcomes.port.many_ends:
            answer = Answer(Verdict.OURS if outage.ours else Verdict.LATER, outage.reason)
            outcomes.record(item, answer, self._mould(outcomes.port, item))
            return
        outcomes.breaker.down(outage.reason, ours=outage.ours)
        persist(lambda: queue.release([item]))

    def _take_turns(self, sooner: float = 0.0) -> int:
        now = time.monotonic()
        if now < self._turned + TURN_SECONDS - sooner:
            return 0
        self._turned = now
        turns = order.take_turns if self.pool in _ENDPOINTS else order.promote_sayings
        return once(turns)
