"""What an answer means for a delivery: done, tried again, left to a person; and who is left in peace (F04)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from notifications import queue, quiet, states, suppression
from notifications.book import AWAY, WITHHELD, persist
from notifications.breaker import Breaker
from notifications.channels.port import Answer, Mould, Port, Verdict
from notifications.enums import Fate, Silence
from notifications.models import Announcement, Delivery, Subscriber
from notifications.queue import MAX_COPIES, Item

log = logging.getLogger(__name__)

#: A message that cannot be written is tried this often (F18).
RENDERS = 3
#: The database's clock and ours are never as far apart.
_CLOCKS = timedelta(minutes=10)


class Outcomes:
    """Writes down what became of the messages of one channel; shared by the senders of one process."""

    def __init__(self, port: Port, breaker: Breaker) -> None:
        self.port = port
        self.breaker = breaker
        #: The rests that the console knows of.
        self._told = 0

    def record(self, item: Item, answer: Answer, mould: Mould) -> None:
        """Write an answer down, whatever the database does meanwhile, and draw the consequences."""
        match answer.verdict:
            case Verdict.ACCEPTED | Verdict.DELIVERED:
                if not self.port.many_ends:
                    self.breaker.fine()
                fate = Fate.ACCEPTED if answer.verdict is Verdict.ACCEPTED else Fate.DELIVERED
                if not settle(item, fate, answer.reason, receipt=answer.receipt):
                    # The database was away for longer than the lease: what is known is true all the same (F03).
                    persist(lambda: queue.own(item, answer.receipt))
            case Verdict.BOUNCED:
                self._bounced(item, answer)
            case Verdict.NEVER:
                settle(item, Fate.DEAD, answer.reason, returned=True)
            case Verdict.DOUBT if mould.repeats and (self.port.knows_copies or item.copies + 1 < MAX_COPIES):
                self._again(item, answer, returned=self.port.knows_copies)
            case Verdict.DOUBT:
                # A far end that takes and never answers would leave everybody in doubt.
                self._failed(answer)
                settle(item, Fate.UNCERTAIN, answer.reason, receipt=answer.receipt)
            case _:
                self._failed(answer)
                self._again(item, answer, returned=True)
        if self.port.settled is not None:
            self.port.settled(item, answer)

    def left_out(self, item: Item) -> bool:
        """Whether a row is not to be sent, or not now; then that is written down."""
        now = timezone.now()
        if item.stale:
            settle(item, Fate.DEAD if item.attempts else Fate.SUPPRESSED, item.reason or "Expired")
        elif item.overtaken:
            words = "Overtaken by a newer letter."
            settle(item, Fate.SUPPRESSED, f"{words} It may have left." if item.copies else words)
        elif item.hours and (until := quiet.until(now, *item.hours)):
            # Whatever delayed it until they slept (R-1314).
            zone, _, end = item.hours
            settle(item, Fate.PENDING, quiet.reason(zone, end), wait=(until - now).total_seconds())
        elif not item.address:
            settle(item, Fate.SUPPRESSED, "The subscriber was erased.")
        else:
            return False
        return True

    def withheld(self, item: Item, mould: Mould) -> bool:
        """Whether the channel itself ends a row before it is sent; then that is written down."""
        ended = self.port.withheld(item, mould) if self.port.withheld is not None else None
        if ended is not None:
            settle(item, *ended)
        return ended is not None

    def poison(self, item: Item, error: Exception) -> None:
        """The message cannot be written: this row alone suffers, and not for ever (F18)."""
        reason = f"The message cannot be written: {type(error).__name__}: {error}"
        log.error("Delivery %d: %s", item.id, reason)
        if item.attempts + 1 >= RENDERS:
            settle(item, Fate.DEAD, reason, tried=True)
        else:
            settle(item, Fate.PENDING, reason, wait=1.0 + item.attempts, tried=True)

    def tell(self, *, sent: int) -> None:
        """Let the console and all processes know that the channel rests, or that it works (F07, F28).

        A rest is told once: it may be over for others while this process has nothing to send. What another left
        there, perhaps one that died, is cleared by whoever gets a message through.
        """
        try:
            if (trouble := self.breaker.trouble) and self._told != (rested := self.breaker.rested):
                self._told = rested
                states.rest(self.port.channel, trouble.reason, ours=trouble.ours, at=timezone.now())
            elif sent:
                states.well(self.port.channel)
        except AWAY as error:
            log.warning("The state of %s is not written down: %s", self.port.channel, error)

    def _failed(self, answer: Answer) -> None:
        if not self.port.many_ends:
            self.breaker.failed(answer.reason, ours=answer.verdict is Verdict.OURS)

    def _again(self, item: Item, answer: Answer, *, returned: bool) -> None:
        """At once when a mail may have left (its copy is the same mail), else after a while; never for ever."""
        wait = self.port.backoff(item.attempts) if returned else 0.0
        if wait is None:
            settle(item, Fate.DEAD, answer.reason, returned=returned)
        else:
            settle(item, Fate.PENDING, answer.reason, wait=max(wait, answer.wait or 0.0), returned=returned)

    def _bounced(self, item: Item, answer: Answer) -> None:
        settle(item, Fate.BOUNCED, answer.reason, returned=True)
        if self.port.many_ends:
            return
        persist(lambda: _stop_sending_to(item, self.port.channel))
        if innocent := self.breaker.refused(item, answer.reason):
            persist(lambda: _take_back(innocent, self.port))


def settle(
    item: Item,
    fate: Fate,
    reason: str,
    *,
    wait: float = 0.0,
    returned: bool = False,
    tried: bool = False,
    receipt: str = "",
) -> bool:
    """``queue.settle``, as often as it takes until the database has it. False when the row is no longer ours."""
    return persist(
        lambda: queue.settle(item, fate, reason, wait=wait, returned=returned, tried=tried, receipt=receipt),
    )


def told_more() -> Exists:
    """Whether the lane of a delivery has newer news for its person: it would come out of order (F12)."""
    newer = Announcement.objects.filter(lane=OuterRef("announcement__lane"), seq__gt=OuterRef("announcement__seq"))
    return Exists(newer.filter(deliveries__subscriber=OuterRef("subscriber"), deliveries__channel=OuterRef("channel")))


def _stop_sending_to(item: Item, channel: str) -> None:
    """Whoever it is of: a subscriber, a contact of a customer, or both (R-804)."""
    Subscriber.objects.filter(deliveries=item.id, bounced_at__isnull=True).update(bounced_at=Now())
    suppression.add(channel, item.address, Silence.BOUNCED, at=timezone.now())


@transaction.atomic
def _take_back(items: Sequence[Item], port: Port) -> None:
    """They were refused because of us: nobody is punished, everybody is tried again (F04).

    Not whom we would revive with expired news. Where the lane has told more since, the newer one is
    tried; what was withheld from these people meanwhile is due again.
    """
    fences = {item.id: item.fence for item in items}
    fresh = Delivery.objects.filter(announcement__expires_at__gt=Now())
    held = fresh.filter(pk__in=fences, fate=Fate.BOUNCED).select_for_update(of=("self",)).order_by("pk")
    mine = [row for row in held if row.fence == fences[row.pk]]
    old = set(fresh.filter(told_more(), pk__in=fences).values_list("pk", flat=True))
    people = [row.subscriber_id for row in mine if row.subscriber_id]
    give_back(people)
    if mine:
        since = min(row.settled_at or row.created_at for row in mine) - _CLOCKS
        suppression.take_back(port.channel, [item.address for item in items], Silence.BOUNCED, since=since)
    for row in mine:
        if row.pk in old:
            row.fate, row.reason = Fate.SUPPRESSED, "Overtaken by a newer update."
        else:
            row.fate, row.settled_at = Fate.PENDING, None
            row.next_at = Now() + timedelta(seconds=port.backoff(row.attempts) or 0.0)
    Delivery.objects.bulk_update(mine, ["fate", "reason", "settled_at", "next_at"])


def give_back(people: Iterable[int]) -> None:
    """Subscribers whose address did not bounce after all: what was withheld from them meanwhile is due again (F04)."""
    mistaken = Subscriber.objects.filter(pk__in=list(people), bounced_at__isnull=False)
    withheld = Delivery.objects.filter(
        announcement__expires_at__gt=Now(),
        subscriber__in=mistaken.filter(unsubscribed_at__isnull=True),
        fate=Fate.SUPPRESSED,
        reason=WITHHELD,
        settled_at__gte=F("subscriber__bounced_at"),
    )
    ids = list(withheld.values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=ids, fate=Fate.SUPPRESSED).update(
        fate=Fate.PENDING, reason="", settled_at=None, next_at=Now()
    )
    mistaken.update(bounced_at=None)
