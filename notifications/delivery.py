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
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import SystemRandom

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connections, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from notifications import closing, queue
from notifications.book import AWAY, WITHHELD, Book, persist
from notifications.breaker import Breaker
from notifications.channels.email import Answer, Outage, Verdict, Wire
from notifications.compiler import LANGUAGES, Mould, mould
from notifications.enums import Fate, Pool
from notifications.models import Announcement, Delivery, Subscriber
from notifications.queue import MAX_COPIES, Item

log = logging.getLogger(__name__)
_random = SystemRandom()

BATCH = 100
#: Part of its lease after which a batch is handed back (F01), and within which one message must be through.
BATCH_SHARE, MESSAGE_SHARE = 0.6, 0.9
#: One bell empties the pool for this long; then it is rung again, so that other work gets its turn.
DRAIN_SECONDS = 20.0
#: A message that cannot be written is tried this often (F18).
RENDERS = 3
BACKOFF, BACKOFF_CAP = 30.0, 900.0


class Crew:
    """The senders of one process for one pool."""

    def __init__(self, pool: str) -> None:
        self.pool = pool
        self.book = Book()
        self.breaker = Breaker()
        self.sent = 0
        self._busy = threading.Lock()
        self._called = False
        self._moulds: dict[tuple[int, str], Mould] = {}

    def drain(self, *, seconds: float, lying_for: float) -> int:
        """Empty the pool, for at most ``seconds``. At most one drain at a time; a second caller makes it look again."""
        total = 0
        self._called = True
        while self._called and self._busy.acquire(blocking=False):
            try:
                self._called = False
                total += self._drain(time.monotonic() + seconds, lying_for)
            finally:
                self._busy.release()
        return total

    def _drain(self, until: float, lying_for: float) -> int:
        self.sent = 0
        self._moulds.clear()
        helpers: list[threading.Thread] = []
        batch = self._claim(until, lying_for)
        if len(batch) == BATCH:
            # Worth more than one connection.
            helpers = [
                threading.Thread(target=self._help, args=(until, lying_for), daemon=True, name=f"{self.pool}-{number}")
                for number in range(2, settings.DELIVERY_CONNECTIONS + 1)
            ]
            for helper in helpers:
                helper.start()
        try:
            self._work(batch, until, lying_for)
        finally:
            for helper in helpers:
                helper.join()
        return self.sent

    def _help(self, until: float, lying_for: float) -> None:
        try:
            self._work(self._claim(until, lying_for), until, lying_for)
        except AWAY as error:
            log.warning("A sender gave up: %s", error)
        finally:
            connections.close_all()

    def _claim(self, until: float, lying_for: float) -> list[Item]:
        if closing.stopping() or time.monotonic() > until or self.breaker.resting():
            return []
        # Done twice it takes two batches; the lost one comes back when its lease ends.
        return persist(lambda: queue.claim(self.pool, BATCH, lying_for=lying_for))

    def _work(self, batch: list[Item], until: float, lying_for: float) -> None:
        wire = Wire()
        try:
            while batch:
                _Sender(self, wire).send(batch)
                persist(queue.promote)
                batch = self._claim(until, lying_for)
        finally:
            wire.close()

    def mould(self, item: Item) -> Mould:
        key = (item.news, item.language if item.language in LANGUAGES else LANGUAGES[0])
        if key not in self._moulds:
            self._moulds[key] = persist(lambda: mould(*key))
        return self._moulds[key]


class _Sender:
    """One batch over one wire."""

    def __init__(self, crew: Crew, wire: Wire) -> None:
        self._crew = crew
        self._wire = wire
        #: Accepted by the relay, not yet written down.
        self._left: Item | None = None

    def send(self, batch: Iterable[Item]) -> None:
        until = time.monotonic() + BATCH_SHARE * settings.DELIVERY_LEASE_SECONDS
        waiting = deque(batch)
        try:
            while waiting and not closing.stopping() and not self._crew.breaker.resting() and time.monotonic() < until:
                self._send(waiting.popleft())
        finally:
            self._turn(None)
            persist(lambda: queue.release(waiting))

    def _turn(self, leaving: Item | None) -> bool:
        left, self._left = self._left, None
        return self._crew.book.turn(left, leaving) if left or leaving else False

    def _send(self, item: Item) -> None:
        if item.stale:
            self._settle(item, Fate.DEAD if item.attempts else Fate.SUPPRESSED, item.reason or "Expired")
            return
        if not item.address:
            self._settle(item, Fate.SUPPRESSED, "The subscriber was erased.")
            return
        try:
            cast = self._crew.mould(item)
            message = cast.cast(item.address, item.person, item.generation)
        except AWAY:
            raise
        except Exception as error:
            self._poison(item, error)
            return
        breaker = self._crew.breaker
        deadline = time.monotonic() + MESSAGE_SHARE * settings.DELIVERY_LEASE_SECONDS
        try:
            self._wire.open()
            if not self._turn(item):
                return
            answer = self._wire.send(cast.sender, item.address, message, deadline=deadline)
        except Outage as outage:
            breaker.down(outage.reason, ours=outage.ours)
            persist(lambda: queue.release([item]))
            return
        if answer.verdict is Verdict.ACCEPTED:
            self._left = item
            self._crew.sent += 1
            breaker.fine()
        else:
            self._record(item, answer, repeats=cast.repeats)

    def _record(self, item: Item, answer: Answer, *, repeats: bool) -> None:
        """Write down why it was not accepted, and whether it is tried again."""
        match answer.verdict:
            case Verdict.BOUNCED:
                self._bounced(item, answer.reason)
            case Verdict.NEVER:
                self._settle(item, Fate.DEAD, answer.reason, returned=True)
            case Verdict.DOUBT if repeats and item.copies + 1 < MAX_COPIES:
                self._settle(item, Fate.PENDING, answer.reason)
            case Verdict.DOUBT:
                self._settle(item, Fate.UNCERTAIN, answer.reason)
            case _:
                self._crew.breaker.failed(answer.reason, ours=answer.verdict is Verdict.OURS)
                self._settle(item, Fate.PENDING, answer.reason, wait=backoff(item.attempts), returned=True)

    def _bounced(self, item: Item, reason: str) -> None:
        self._settle(item, Fate.BOUNCED, reason, returned=True)
        persist(lambda: _stop_mail_to(item))
        if innocent := self._crew.breaker.refused(item, reason):
            persist(lambda: _take_back(innocent))

    def _poison(self, item: Item, error: Exception) -> None:
        reason = f"The message cannot be written: {type(error).__name__}: {error}"
        log.error("Delivery %d: %s", item.id, reason)
        if item.attempts + 1 >= RENDERS:
            self._settle(item, Fate.DEAD, reason, tried=True)
        else:
            self._settle(item, Fate.PENDING, reason, wait=1.0 + item.attempts, tried=True)

    def _settle(
        self, item: Item, fate: Fate, reason: str, *, wait: float = 0.0, returned: bool = False, tried: bool = False
    ) -> None:
        persist(lambda: queue.settle(item, fate, reason, wait=wait, returned=returned, tried=tried))


_crews: dict[str, Crew] = {pool: Crew(pool) for pool in Pool}


def drain(pool: str, *, seconds: float = DRAIN_SECONDS, lying_for: float = 0.0) -> int:
    """Send what is due in a pool with ``DELIVERY_CONNECTIONS`` connections; returns how many were accepted.

    Ends when nothing is due any more, after ``seconds``, at closing time, or when the relay needs
    a rest. ``lying_for``: only what has been due for so many seconds.
    """
    return _crews[pool].drain(seconds=seconds, lying_for=lying_for)


def due(pool: str, at: datetime) -> bool:
    """Whether anything waits to be sent."""
    return Delivery.objects.filter(pool=pool, fate=Fate.PENDING, next_at__lte=at).exists()


def sweep() -> None:
    """What time does to deliveries: lost leases come back, followers are let go, old news ends."""
    queue.reap()
    queue.promote()
    queue.expire()


def backoff(attempts: int) -> float:
    """Seconds until the next try: full jitter over 30 s · 2ⁿ, at most 15 minutes (F04)."""
    return _random.uniform(1.0, min(BACKOFF_CAP, BACKOFF * 2 ** min(attempts, 10)))


@transaction.atomic
def send_again(deliveries: Iterable[Delivery], *, by: AbstractBaseUser, at: datetime) -> int:
    """Queue failed deliveries once more (R-804); returns how many.

    Only bounced, failed and unknown ones; not those whose lane has told more since (it would come
    out of order), whose news expired, or whose person left. An address that bounced gets another chance.
    """
    wanted = Delivery.objects.failed().filter(pk__in=[delivery.pk for delivery in deliveries])
    welcome = Q(subscriber__confirmed_at__isnull=False, subscriber__unsubscribed_at__isnull=True) | ~Q(address="")
    chosen = wanted.filter(welcome, ~_told_more(), announcement__expires_at__gt=at)
    # Held in this order by everybody, so that two operators cannot block each other.
    ids = list(chosen.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    Subscriber.objects.filter(deliveries__in=ids, bounced_at__isnull=False).update(bounced_at=None, changed_at=at)
    words = f"Sent again by {by.get_username()}."
    again = Delivery.objects.filter(pk__in=ids, fate__in=(Fate.BOUNCED, Fate.DEAD, Fate.UNCERTAIN)).update(
        fate=Fate.PENDING, reason=words, next_at=at, settled_at=None, attempts=0, copies=0, fence=F("fence") + 1
    )
    log.info("%d of %d deliveries queued again by %s", again, len(ids), by.get_username())
    return again


def _stop_mail_to(item: Item) -> None:
    Subscriber.objects.filter(deliveries=item.id, bounced_at__isnull=True).update(bounced_at=Now())


def _told_more() -> Exists:
    """Whether the lane of a delivery has newer news for its person: it would come out of order (F12)."""
    newer = Announcement.objects.filter(lane=OuterRef("announcement__lane"), seq__gt=OuterRef("announcement__seq"))
    return Exists(newer.filter(deliveries__subscriber=OuterRef("subscriber"), deliveries__channel=OuterRef("channel")))


@transaction.atomic
def _take_back(items: Sequence[Item]) -> None:
    """They were refused because of us: nobody is punished, everybody is tried again (F04).

    Not whom we would revive with expired news. Where the lane has told more since, the newer one is
    tried; what was withheld from these people meanwhile is due again.
    """
    fences = {item.id: item.fence for item in items}
    fresh = Delivery.objects.filter(announcement__expires_at__gt=Now())
    held = fresh.filter(pk__in=fences, fate=Fate.BOUNCED).select_for_update(of=("self",)).order_by("pk")
    mine = [row for row in held if row.fence == fences[row.pk]]
    old = set(fresh.filter(_told_more(), pk__in=fences).values_list("pk", flat=True))
    people = [row.subscriber_id for row in mine if row.subscriber_id]
    withheld = fresh.filter(
        subscriber__in=people,
        subscriber__unsubscribed_at__isnull=True,
        fate=Fate.SUPPRESSED,
        reason=WITHHELD,
        settled_at__gte=F("subscriber__bounced_at"),
    )
    ids = list(withheld.values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=ids, fate=Fate.SUPPRESSED).update(
        fate=Fate.PENDING, reason="", settled_at=None, next_at=Now()
    )
    for row in mine:
        if row.pk in old:
            row.fate, row.reason = Fate.SUPPRESSED, "Overtaken by a newer update."
        else:
            row.fate, row.settled_at = Fate.PENDING, None
            row.next_at = Now() + timedelta(seconds=backoff(row.attempts))
    Delivery.objects.bulk_update(mine, ["fate", "reason", "settled_at", "next_at"])
    Subscriber.objects.filter(pk__in=people).update(bounced_at=None)
