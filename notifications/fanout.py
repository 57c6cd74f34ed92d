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
from datetime import datetime, timedelta

from django.db import connection, models, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Concat, Least, Now
from django.utils import timezone

from notifications import bell, closing, order, quiet
from notifications.enums import ENDPOINTS, NEWS_POOLS, PEOPLE, PHONES, UNSENT, Channel, Fate, Pool
from notifications.models import Announcement, Delivery, Endpoint, Subscriber
from notifications.models.audience import SubscriberQuerySet
from notifications.models.outbox import WITHHELD, DeliveryQuerySet

log = logging.getLogger(__name__)

#: The first chunk is small, so that the first mail leaves as soon for a million readers as for a hundred.
FIRST_CHUNK = 200
#: What a chunk costs beside its rows is shared by this many; a lane, and on SQLite everybody, waits for one chunk.
CHUNK = 4000
#: The severity that neither quiet hours nor digests hold back (R-1314).
WORST = 1
#: Why nothing goes to an endpoint that failed for a day; its owner can have it sent again.
QUARANTINED = "The endpoint is in quarantine."
#: Why nothing goes where a person said so.
PAUSED = "The target is paused."
PENDING, BLOCKED = Value(Fate.PENDING), Value(Fate.BLOCKED)
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
    if news.rank != WORST:
        _hush(chunk, timezone.now())
    moved = Announcement.objects.filter(pk=news.pk, expanded_to=chunk.after, expanded_at__isnull=True).update(
        expanded_to=chunk.upto, expanded_at=Now() if chunk.last else None
    )
    if not moved:
        # Only where rows cannot be locked: somebody else wrote this chunk.
        transaction.set_rollback(True)
        return None
    transaction.on_commit(lambda: _ring(chunk), robust=True)
    return chunk


def _ring(chunk: _Chunk) -> None:
    pools = chunk.rows().filter(announcement=chunk.news, fate__in=UNSENT).order_by().values_list("pool", flat=True)
    for pool in pools.distinct():
        bell.ring_deliver(pool)


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
    ``order.promote`` decides when the old one has come to rest.
    """
    unsent = (
        chunk.rows()
        .filter(
            announcement__in=older,
            subscriber__in=chunk.readers().values("pk"),
            fate__in=UNSENT,
        )
        .exclude(channel=Channel.WEBHOOK)
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


def _hush(chunk: _Chunk, at: datetime) -> None:
    """Who sleeps hears it when they wake (R-1314): one statement for all whose clocks agree."""
    asleep = chunk.readers().filter(channel__in=PEOPLE, quiet_from__isnull=False, quiet_until__isnull=False)
    clocks = asleep.order_by().values_list("time_zone", "quiet_from", "quiet_until").distinct()
    for zone, start, end in list(clocks):
        until = quiet.until(at, zone, start, end) if start and end else None
        if until is None or end is None:
            continue
        theirs = asleep.filter(time_zone=zone, quiet_from=start, quiet_until=end).values("pk")
        chunk.rows().filter(announcement=chunk.news, subscriber__in=theirs, fate__in=UNSENT).update(
            next_at=until, reason=quiet.reason(zone, end)
        )


def _held(news: Announcement) -> list[When]:
    """Whose mail waits for the digest of their day (R-1314)."""
    if news.rank == WORST:
        return []
    return [When(channel=Channel.EMAIL, digest_at__isnull=False, then=Value(Fate.HELD))]


def _pool() -> Case:
    """Where a row waits: by its channel, and apart when its endpoint has been failing (F06)."""
    late = When(_endpoint(failing_since__isnull=False), then=Value(Pool.RETRIES))
    return Case(late, *(When(channel=channel, then=Value(pool)) for channel, pool in NEWS_POOLS.items()))


def _endpoint(**state: object) -> Q:
    """Whether the far end of a subscriber is so; asked of no one who has none."""
    far_end = Endpoint.objects.filter(subscriber=OuterRef("pk"), **state)
    return Q(channel__in=ENDPOINTS) & Q(Exists(far_end))


def _left_out(chunk: _Chunk) -> list[tuple[Q, Combinable]]:
    """Who has a row that ends at once, and why it says."""
    out: list[tuple[Q, Combinable]] = [
        (_endpoint(quarantined_at__isnull=False, failing_since__isnull=True), Value(PAUSED)),
        (_endpoint(quarantined_at__isnull=False), Value(QUARANTINED)),
    ]
    if chunk.news.is_withheld:
        out.append((Q(pk__gt=0), Value(WITHHELD)))
    newer = list(Announcement.objects.filter(lane=chunk.news.lane, seq__gt=chunk.news.seq).values_list("pk", flat=True))
    if newer:
        told_more = (
            chunk.rows()
            .filter(announcement__in=newer, subscriber=OuterRef("pk"), channel=OuterRef("channel"))
            .order_by("-announcement__seq")
        )
        overtaker = Subquery(told_more.values("announcement__seq")[:1])
        words = Concat(Value("Overtaken by update "), Cast(overtaker, _TEXT), Value("."))
        out.append((~Q(channel=Channel.WEBHOOK) & Q(Exists(told_more)), words))
    return out


def _waiting(chunk: _Chunk, older: list[int]) -> Q:
    """Whose row must not leave before another has come to rest."""
    # An endpoint hears one thing after the other, in the order of publishing: all its rows wait for their turn (F06).
    waiting = Q(channel=Channel.WEBHOOK)
    if older:
        in_the_air = (
            chunk.rows()
            .filter(
                announcement__in=older,
                subscriber=OuterRef("pk"),
                channel=OuterRef("channel"),
            )
            .filter(Q(fate__in=(*UNSENT, Fate.SENDING)) | _in_doubt())
        )
        waiting |= Q(Exists(in_the_air))
        if chunk.news.is_over:
            # Whether they ever heard that it began is looked at once the older rows have come to rest.
            waiting |= ~Q(channel=Channel.EMAIL)
    return waiting


def _in_doubt() -> Q:
    """A text that may have left: Twilio is being asked, and until it has answered nobody hears what comes after."""
    lately = Now() - timedelta(seconds=order.DOUBT_SECONDS)
    return Q(fate=Fate.UNCERTAIN, channel__in=PHONES, settled_at__gt=lately)


def _insert(chunk: _Chunk, older: list[int]) -> None:
    """INSERT … SELECT of the readers: who they are is said once, in ``SubscriberQuerySet.reached_by``."""
    left_out = _left_out(chunk)
    ended = [When(so, then=Value(Fate.SUPPRESSED)) for so, _ in left_out]
    columns: dict[str, Combinable] = {
        "announcement_id": Value(chunk.news.pk),
        "subscriber_id": F("pk"),
        "address": Value(""),
        "channel": F("channel"),
        "pool": _pool(),
        "fate": Case(*ended, *_held(chunk.news), When(_waiting(chunk, older), then=BLOCKED), default=PENDING),
        "reason": Case(*(When(so, then=words) for so, words in left_out), default=Value("")),
        # By the database's clock it is never in the future, however far ours is ahead (F08).
        "next_at": Least(Value(chunk.news.published_at, output_field=_MOMENT), Now()),
        "fence": Value(0),
        "attempts": Value(0),
        "copies": Value(0),
        "crashes": Value(0),
        "receipt": Value(""),
        "created_at": Now(),
        "settled_at": Case(*(When(so, then=Now()) for so, _ in left_out), default=None, output_field=_MOMENT),
    }
    select = chunk.readers().order_by("pk").values_list(*columns.values())
    sql, params = select.query.sql_with_params()
    table, names = connection.ops.quote_name(Delivery._meta.db_table), ", ".join(columns)
    with connection.cursor() as cursor:
        # Both pieces are our own: names of columns, and what the ORM wrote.
        cursor.execute(f"INSERT INTO {table} ({names}) {sql} ON CONFLICT DO NOTHING", params)
