"""Fan-out: writing down who is to be told, in chunks that can be interrupted anywhere (F01).

Each chunk is one transaction that inserts the rows and moves the cursor, so a crash between any
two instructions loses nothing and repeats nothing. One chunk at a time per lane: whoever holds
the lane's first announcement holds the lane. The newest announcement of a lane goes first; the
older ones then find that most of their readers have been told more already (F12).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.db import connection, models, transaction
from django.db.models import Case, Exists, F, OuterRef, Subquery, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Concat, Least, Now

from notifications import bell, closing
from notifications.enums import UNSENT, Fate
from notifications.models import Announcement, Delivery, Subscriber
from notifications.models.audience import SubscriberQuerySet
from notifications.models.outbox import DeliveryQuerySet

log = logging.getLogger(__name__)

#: The first chunk is small, so that the first mail leaves as soon for a million readers as for a hundred.
FIRST_CHUNK = 200
CHUNK = 1000
_TEXT, _MOMENT = models.CharField(), models.DateTimeField()


@dataclass(frozen=True)
class _Chunk:
    """One stretch of subscribers, by id: those after ``after`` up to and including ``upto``."""

    news: Announcement
    after: int
    upto: int
    last: bool

    def rows(self) -> DeliveryQuerySet:
        """Deliveries of any news to people of this stretch: keeps every look-up within the chunk."""
        return Delivery.objects.filter(subscriber__gt=self.after, subscriber__lte=self.upto)

    def readers(self) -> SubscriberQuerySet:
        return Subscriber.objects.reached_by(self.news).filter(pk__gt=self.after, pk__lte=self.upto)


def expand(announcement_id: int, *, seconds: float = 60.0) -> bool:
    """Write the deliveries of an announcement and of its whole lane; True when nothing is left to write.

    Stops between chunks after ``seconds`` or at closing time, and at once when somebody else is at
    the lane; the sweep comes back for what is left.
    """
    lane = Announcement.objects.values_list("lane", flat=True).get(pk=announcement_id)
    until = time.monotonic() + seconds
    while not closing.stopping() and time.monotonic() < until:
        chunk = _write_chunk(lane)
        if chunk is None:
            break
    return not Announcement.objects.unexpanded().filter(lane=lane).exists()


@transaction.atomic
def _write_chunk(lane: str) -> _Chunk | None:
    """The next chunk of the lane's newest unfinished announcement. None: done, or somebody else is at it."""
    # NO KEY: rows that refer to the announcement may be inserted meanwhile.
    if not Announcement.objects.select_for_update(skip_locked=True, no_key=True).filter(lane=lane, seq=1):
        return None
    news = Announcement.objects.unexpanded().filter(lane=lane).order_by("-seq").first()
    if news is None:
        return None
    chunk = _next_chunk(news)
    older = list(Announcement.objects.filter(lane=lane, seq__lt=news.seq).values_list("pk", flat=True))
    if older:
        _overtake(chunk, older)
    _insert(chunk, older)
    moved = Announcement.objects.filter(pk=news.pk, expanded_to=chunk.after, expanded_at__isnull=True).update(
        expanded_to=chunk.upto, expanded_at=Now() if chunk.last else None
    )
    if not moved:
        # Only where rows cannot be locked: somebody else wrote this chunk.
        transaction.set_rollback(True)
        return None
    transaction.on_commit(lambda: bell.ring_deliver(news.pool), robust=True)
    return chunk


def _next_chunk(news: Announcement) -> _Chunk:
    size = CHUNK if news.expanded_to else FIRST_CHUNK
    waiting = Subscriber.objects.reached_by(news).filter(pk__gt=news.expanded_to).order_by("pk")
    end = waiting.values_list("pk", flat=True)[size - 1 : size].first()
    if end is not None:
        return _Chunk(news, news.expanded_to, end, last=False)
    last = Subscriber.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return _Chunk(news, news.expanded_to, max(last, news.expanded_to), last=True)


def _overtake(chunk: _Chunk, older: list[int]) -> None:
    """What these people have not been told yet of the lane is not news any more.

    Rows that a worker is just moving are stepped over: the new row then starts blocked, and
    ``queue.promote`` decides when the old one has come to rest.
    """
    unsent = (
        chunk.rows()
        .filter(
            announcement__in=older,
            subscriber__in=chunk.readers().values("pk"),
            fate__in=UNSENT,
        )
        .order_by("pk")
    )
    held = unsent.select_for_update(skip_locked=True, of=("self",)).values("pk")
    overtaken = f"Overtaken by update {chunk.news.seq}."
    Delivery.objects.filter(pk__in=held).update(
        fate=Fate.SUPPRESSED,
        reason=Case(
            When(copies__gt=0, then=Value(f"{overtaken} It may have left.")),
            default=Value(overtaken),
        ),
        settled_at=Now(),
        lease_until=None,
    )


def _insert(chunk: _Chunk, older: list[int]) -> None:
    """INSERT … SELECT of the readers: who they are is said once, in ``SubscriberQuerySet.reached_by``."""
    rows = chunk.rows().filter(subscriber=OuterRef("pk"), channel=OuterRef("channel"))
    fates: list[When] = []
    reason: Combinable = Value("")
    settled: Combinable = Value(None, output_field=_MOMENT)
    newer = list(Announcement.objects.filter(lane=chunk.news.lane, seq__gt=chunk.news.seq).values_list("pk", flat=True))
    if newer:
        told_more = rows.filter(announcement__in=newer).order_by("-announcement__seq")
        overtaker = told_more.values("announcement__seq")[:1]
        fates.append(When(Exists(told_more), then=Value(Fate.SUPPRESSED)))
        words = Concat(Value("Overtaken by update "), Cast(Subquery(overtaker), _TEXT), Value("."))
        reason = Case(When(Exists(told_more), then=words), default=Value(""))
        settled = Case(When(Exists(told_more), then=Now()), default=None, output_field=_MOMENT)
    if older:
        in_the_air = rows.filter(announcement__in=older, fate__in=(*UNSENT, Fate.SENDING))
        fates.append(When(Exists(in_the_air), then=Value(Fate.BLOCKED)))
    columns: dict[str, Combinable] = {
        "announcement_id": Value(chunk.news.pk),
        "subscriber_id": F("pk"),
        "address": Value(""),
        "channel": F("channel"),
        "pool": Value(chunk.news.pool),
        "fate": Case(*fates, default=Value(Fate.PENDING)) if fates else Value(Fate.PENDING),
        "reason": reason,
        # By the database's clock it is never in the future, however far ours is ahead (F08).
        "next_at": Least(Value(chunk.news.published_at, output_field=_MOMENT), Now()),
        "fence": Value(0),
        "attempts": Value(0),
        "copies": Value(0),
        "created_at": Now(),
        "settled_at": settled,
    }
    select = chunk.readers().order_by("pk").values_list(*columns.values())
    sql, params = select.query.sql_with_params()
    table, names = connection.ops.quote_name(Delivery._meta.db_table), ", ".join(columns)
    with connection.cursor() as cursor:
        # Both pieces are our own: names of columns, and what the ORM wrote.
        cursor.execute(f"INSERT INTO {table} ({names}) {sql} ON CONFLICT DO NOTHING", params)
