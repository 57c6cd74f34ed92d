"""Delivery: claim, send, record, back off (R-804). Nobody missed, nobody told twice.

A crew of senders empties one pool. Each sender has one connection to the relay and one message
in flight; it marks every message before it leaves and after its fate is known (``book``), stops
at 60 % of its lease, and hands back what it did not begin. What a dead sender held is taken back
by ``sweep``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connections, transaction
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from notifications import closing, order, quarantine, queue, rooms, states
from notifications.book import AWAY, Book, once, persist
from notifications.breaker import Breaker
from notifications.channels.email import PORT
from notifications.channels.port import Answer, Mould, Outage, Verdict, Wire
from notifications.compiler import LANGUAGES
from notifications.courier import SUSPECTS_SECONDS, Carrier, Courier
from notifications.enums import ENDPOINTS, FAILURES, ONE_BY_ONE, Channel, Fate, Pool
from notifications.models import Delivery, Endpoint, Subscriber
from notifications.outcomes import Outcomes, told_more
from notifications.queue import Item
from notifications.states import Leave

log = logging.getLogger(__name__)

BATCH = 100
#: Part of its lease after which a batch is handed back (F01), and within which one message must be through.
BATCH_SHARE, MESSAGE_SHARE = 0.6, 0.9
#: One bell empties the pool for this long; then it is rung again, so that other work gets its turn.
DRAIN_SECONDS = 20.0


class Crew(Carrier):
    """The senders of one process for one pool of mail: one message after the other, each over its own connection."""

    def __init__(self, pool: str) -> None:
        super().__init__(pool)
        self.book = Book()
        self.breaker = Breaker(Channel.EMAIL)
        self.outcomes = Outcomes(PORT, self.breaker)
        self._strandings = threading.Lock()
        self._moulds: dict[tuple[int, str], Mould] = {}
        #: The wires of its senders that are at work.
        self._wires: set[Wire] = set()

    def _drain(self, until: float, lying_for: float) -> int:
        self.sent = 0
        self._moulds.clear()
        if self.breaker.resting() or not self._works(until, lying_for):
            return self.sent
        # By one sender, before there are others (F29).
        end = min(until, time.monotonic() + SUSPECTS_SECONDS)
        self._work(lambda: self._suspects(end, lying_for))
        helpers: list[threading.Thread] = []
        batch = self._fresh(until, lying_for)
        if len(batch) == BATCH:
            # Worth more than one connection.
            helpers = [
                threading.Thread(target=self._help, args=(until, lying_for), daemon=True, name=f"{self.pool}-{number}")
                for number in range(2, settings.DELIVERY_CONNECTIONS + 1)
            ]
            for helper in helpers:
                helper.start()
        try:
            self._work(lambda: self._fresh(until, lying_for), batch)
        finally:
            for helper in helpers:
                helper.join()
        self.outcomes.tell(sent=self.sent)
        return self.sent

    def _works(self, until: float, lying_for: float) -> bool:
        """Whether the relay takes mail. While it rests one sender of one process finds out; the others wait (F07)."""
        leave = persist(lambda: states.leave(PORT.channel, lambda: queue.waits(self.pool, lying_for=lying_for)))
        if leave is not Leave.PROBE:
            return leave is Leave.FREE

        def more() -> list[Item]:
            # What ended without the relay, being expired, says nothing about it.
            return [] if self.sent else self._fresh(until, lying_for) or self._suspects(until, lying_for)

        self._work(more)
        self.outcomes.tell(sent=self.sent)
        return self.sent > 0 and self.breaker.trouble is None

    def _help(self, until: float, lying_for: float) -> None:
        try:
            self._work(lambda: self._fresh(until, lying_for))
        except AWAY as error:
            log.warning("A sender gave up: %s", error)
        finally:
            connections.close_all()

    def _fresh(self, until: float, lying_for: float) -> list[Item]:
        return self._claim(until, lambda: queue.claim(self.pool, BATCH, lying_for=lying_for))

    def _suspects(self, until: float, lying_for: float) -> list[Item]:
        return self._claim(until, lambda: queue.claim_suspects(self.pool, 1, lying_for=lying_for))

    def _claim(self, until: float, take: Callable[[], list[Item]]) -> list[Item]:
        if closing.stopping() or time.monotonic() > until or self.breaker.resting():
            return []
        # Done twice it takes two batches; the lost one comes back when its lease ends.
        return persist(take)

    def _work(self, take: Callable[[], list[Item]], batch: list[Item] | None = None) -> None:
        """Send batch after batch, beginning with ``batch`` when it was taken already."""
        wire = PORT.wire()
        self._wires.add(wire)
        try:
            batch = take() if batch is None else batch
            while batch and _Sender(self, wire).send(batch):
                once(order.promote)
                batch = take()
        finally:
            self._wires.discard(wire)
            wire.close()

    def gave_out(self, wire: Wire, outage: Outage) -> None:
        """No connection is to be had for ``wire``: the relay gets a rest once that is so for the last of the crew.

        Many relays take only so many connections at a time: then one less is what helps (F04).
        """
        with self._strandings:
            self._wires.discard(wire)
            if self._wires:
                log.warning("One connection less: %s", outage.reason)
            else:
                self.breaker.down(outage.reason, ours=outage.ours)

    def mould(self, item: Item) -> Mould:
        key = (item.news, item.language if item.language in LANGUAGES else LANGUAGES[0])
        if key not in self._moulds:
            self._moulds[key] = persist(lambda: PORT.mould(*key))
        return self._moulds[key]


class _Sender:
    """One batch over one wire."""

    def __init__(self, crew: Crew, wire: Wire) -> None:
        self._crew = crew
        self._wire = wire
        #: Accepted by the relay, not yet written down.
        self._left: Item | None = None
        #: Whether there was no connection to be had.
        self._stranded = False

    def send(self, batch: Iterable[Item]) -> bool:
        """Send what there is time for and hand the rest back; False when this wire is of no more use."""
        until = time.monotonic() + BATCH_SHARE * settings.DELIVERY_LEASE_SECONDS
        waiting = deque(batch)
        try:
            while waiting and self._goes_on and time.monotonic() < until:
                self._send(waiting.popleft())
        finally:
            self._turn(None)
            persist(lambda: queue.release(waiting))
        return not self._stranded

    @property
    def _goes_on(self) -> bool:
        return not (self._stranded or closing.stopping() or self._crew.breaker.resting())

    def _turn(self, leaving: Item | None) -> bool:
        left, self._left = self._left, None
        return self._crew.book.turn(left, leaving) if left or leaving else False

    def _send(self, item: Item) -> None:
        outcomes = self._crew.outcomes
        if outcomes.left_out(item):
            return
        try:
            mould = self._crew.mould(item)
            message = mould.fill(item)
        except AWAY:
            raise
        except Exception as error:
            outcomes.poison(item, error)
            return
        deadline = time.monotonic() + MESSAGE_SHARE * settings.DELIVERY_LEASE_SECONDS
        try:
            self._open()
            if not self._turn(item):
                return
            answer = self._hand_over(item, message, mould, deadline)
        except Outage as outage:
            self._stranded = True
            self._crew.gave_out(self._wire, outage)
            persist(lambda: queue.release([item]))
            return
        self._crew.sent += answer.verdict is Verdict.ACCEPTED
        if answer.verdict is Verdict.ACCEPTED and not answer.receipt:
            # Written down together with what leaves next.
            self._left = item
            self._crew.breaker.fine()
        else:
            outcomes.record(item, answer, mould)

    def _open(self) -> None:
        try:
            self._wire.open()
        except Outage:
            raise
        except Exception as error:  # what a setting can do to a library, that has no words of ours
            log.exception("The wire cannot be opened")
            raise Outage(f"The relay cannot be spoken to: {type(error).__name__}", ours=True) from error

    def _hand_over(self, item: Item, message: bytes, mould: Mould, deadline: float) -> Answer:
        try:
            return self._wire.send(item, message, mould, deadline=deadline)
        except Outage:
            raise
        except Exception as error:  # in a way of its own: what it did with the message nobody can know (F18)
            log.exception("Delivery %d: the wire broke", item.id)
            self._wire.close()
            return Answer(Verdict.DOUBT, f"The wire broke: {type(error).__name__}")


_crews: dict[str, Crew] = {pool: Crew(pool) for pool in ONE_BY_ONE}
_couriers: dict[str, Courier] = {pool: Courier(pool) for pool in Pool if pool not in ONE_BY_ONE}


def drain(pool: str, *, seconds: float = DRAIN_SECONDS, lying_for: float = 0.0) -> int:
    """Send what is due in a pool with ``DELIVERY_CONNECTIONS`` connections; returns how many were accepted.

    Ends when nothing is due any more, after ``seconds``, at closing time, or when the relay needs
    a rest. ``lying_for``: only what has been due for so many seconds.
    """
    carrier = _crews.get(pool) or _couriers[pool]
    return carrier.drain(seconds=seconds, lying_for=lying_for)


def due(pool: str, at: datetime) -> bool:
    """Whether anything waits to be sent."""
    return Delivery.objects.filter(pool=pool, fate=Fate.PENDING, next_at__lte=at).exists()


def sweep() -> None:
    """What time does to deliveries: lost leases come back, followers are let go, old news ends, the deaf are paused."""
    queue.reap()
    order.promote()
    order.promote_sayings()
    order.take_turns()
    queue.expire()
    quarantine.sweep(timezone.now())
    rooms.sweep(timezone.now())


@transaction.atomic
def send_again(deliveries: QuerySet[Delivery], *, by: AbstractBaseUser, at: datetime) -> int:
    """Queue failed deliveries once more (R-804), however many, in one statement; returns how many.

    Only bounced, failed and unknown ones, and of these nobody whom ``kept_back`` names. An address
    that bounced gets another chance. A webhook waits for its turn again.
    """
    chosen = _sorted(deliveries, at=at).filter(kept_back=GOING).order_by("pk")
    people = Subscriber.objects.filter(pk__in=chosen.order_by().values("subscriber"), bounced_at__isnull=False)
    people.update(bounced_at=None, changed_at=at)
    # Held in this order by everybody, so that two operators cannot block each other.
    held = Delivery.objects.filter(pk__in=chosen.select_for_update(of=("self",)).values("pk"))
    again = held.filter(fate__in=FAILURES).update(
        fate=Case(When(channel=Channel.WEBHOOK, then=Value(Fate.BLOCKED)), default=Value(Fate.PENDING)),
        reason=f"Sent again by {by.get_username()}.",
        next_at=at,
        settled_at=None,
        attempts=0,
        copies=0,
        crashes=0,
        fence=F("fence") + 1,
    )
    log.info("%d deliveries queued again by %s", again, by.get_username())
    return again


#: What becomes of those who are asked to be sent again; the first that fits.
GOING, LEFT, PAUSED, EXPIRED, OVERTAKEN = "going", "left", "paused", "expired", "overtaken"


def kept_back(deliveries: QuerySet[Delivery], *, at: datetime) -> dict[tuple[str, str], int]:
    """How many failures of each fate ``send_again`` would send, and how many not, and why: (fate, why) to count.

    Not to who left (F23), to an endpoint in quarantine, what has expired (F20), or what the lane has
    told more of since: it would come out of order (F12). One query.
    """
    counted = _sorted(deliveries, at=at).order_by().values_list("fate", "kept_back").annotate(Count("pk"))
    return {(fate, why): count for fate, why, count in counted}


def _sorted(deliveries: QuerySet[Delivery], *, at: datetime) -> QuerySet[Any, Any]:
    gone = Q(subscriber__unsubscribed_at__isnull=False) | Q(subscriber__confirmed_at__isnull=True)
    paused = Endpoint.objects.filter(subscriber=OuterRef("subscriber"), quarantined_at__isnull=False)
    why = Case(
        When(gone, address="", then=Value(LEFT)),
        When(Exists(paused), channel__in=ENDPOINTS, then=Value(PAUSED)),
        When(announcement__expires_at__lte=at, then=Value(EXPIRED)),
        When(told_more(), then=Value(OVERTAKEN)),
        default=Value(GOING),
    )
    return deliveries.filter(fate__in=FAILURES).annotate(kept_back=why)
