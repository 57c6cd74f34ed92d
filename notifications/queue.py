"""The queue is the delivery table: these are the statements that move a row from fate to fate.

Written as SQL because they are the hot path and the proof: each is one compare-and-swap, each
names the fence or the fate it expects, and each is right on PostgreSQL and on SQLite. The clock
of leases is the database's (F08). On PostgreSQL rows that somebody else holds are stepped over,
never waited for, so that nothing here can deadlock.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

#: Copies of one message that may leave without a person deciding (reliability.md 3.1).
MAX_COPIES = 2
#: A predecessor in the air holds its successor back for this long at most (F12).
PATIENCE_SECONDS = 600
#: How far back the sweep looks for expired news.
LATELY_SECONDS = 86_400


class Item(NamedTuple):
    """One claimed delivery. ``person`` is what ids and links are made from: the subscriber, or a letter's address."""

    id: int
    fence: int
    news: int
    channel: str
    address: str
    person: bytes
    generation: int
    language: str
    attempts: int
    copies: int
    #: Why the last try failed, and whether nobody wants to hear it any more.
    reason: str
    stale: bool


# Each statement that moves many rows picks and locks them first, once, and then says no more of their fates:
# the lock (on SQLite: being the only writer) is the compare-and-swap. Where the planner sees a rare fate in the
# outer statement it walks that fate's small index for every picked row (14 s for 10,000 blocked rows).

CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id FROM notifications_delivery
    WHERE pool = %s AND fate = 'pending' AND next_at <= {now_minus}
    ORDER BY next_at, id LIMIT %s {skip_locked}
)
UPDATE notifications_delivery
SET fate = 'leased', fence = fence + 1, lease_until = {now_plus}
WHERE id IN (SELECT id FROM picked)
RETURNING id, fence
"""

LOOK = """
SELECT d.id, d.announcement_id, d.channel, d.address, s.address, s.public_id, s.generation, s.language,
    d.attempts, d.copies, d.reason, a.expires_at <= {now}
FROM notifications_delivery d
JOIN notifications_announcement a ON a.id = d.announcement_id
LEFT JOIN notifications_subscriber s ON s.id = d.subscriber_id
WHERE d.id IN ({ids}) ORDER BY d.id
"""

#: The heart: what is known to have left becomes accepted, what leaves next becomes sending, in one commit.
TURN = """
UPDATE notifications_delivery SET
    fate = CASE fate WHEN 'sending' THEN 'accepted' ELSE 'sending' END,
    settled_at = CASE fate WHEN 'sending' THEN {now} END,
    lease_until = CASE fate WHEN 'leased' THEN {now_plus} END,
    attempts = CASE fate WHEN 'leased' THEN attempts + 1 ELSE attempts END,
    copies = CASE fate WHEN 'leased' THEN copies + 1 ELSE copies END,
    reason = ''
WHERE id IN ({ids}) AND CASE
    WHEN fate = 'sending' THEN {left}
    WHEN fate = 'leased' THEN ({leaving}) AND lease_until > {now} AND (address <> '' OR (
        SELECT s.confirmed_at IS NOT NULL AND s.unsubscribed_at IS NULL AND s.bounced_at IS NULL
        FROM notifications_subscriber s WHERE s.id = notifications_delivery.subscriber_id))
    ELSE {never} END
RETURNING id
"""
# The planner must not see the fates: it takes the reaper's index for a short cut and reads every leased
# row (12 ms instead of 0.05 ms). For the same reason the person is looked up by a scalar, not by EXISTS.

#: A known outcome is the truth for as long as nobody else claimed the row, whatever the reaper guessed meanwhile.
OWN = """
UPDATE notifications_delivery SET fate = 'accepted', reason = '', settled_at = {now}, lease_until = NULL
WHERE id = %s AND fence = %s AND fate IN ('sending', 'pending', 'uncertain', 'suppressed')
"""

SETTLE = """
UPDATE notifications_delivery SET
    fate = %s, reason = %s, next_at = CASE WHEN %s = 0 THEN next_at ELSE {now_plus} END, copies = copies - %s,
    attempts = attempts + %s, lease_until = NULL, settled_at = CASE WHEN %s = 1 THEN {now} END
WHERE id = %s AND fence = %s AND fate IN ('leased', 'sending')
"""

RELEASE = """
UPDATE notifications_delivery SET
    copies = CASE fate WHEN 'sending' THEN copies - 1 ELSE copies END, fate = 'pending', lease_until = NULL
WHERE fate IN ('leased', 'sending') AND ({terms})
"""

#: What nobody was able to take because its person left: said so on the row.
LEFT_US = """
UPDATE notifications_delivery SET fate = 'suppressed', reason = %s, settled_at = {now}, lease_until = NULL
WHERE id = %s AND fence = %s AND fate = 'leased' AND lease_until > {now}
"""

REAP_LEASED = """
WITH picked AS MATERIALIZED (
    SELECT id FROM notifications_delivery WHERE fate = 'leased' AND lease_until < {now} {skip_locked}
)
UPDATE notifications_delivery SET fate = 'pending', lease_until = NULL
WHERE id IN (SELECT id FROM picked)
"""

REAP_SENDING = """
WITH picked AS MATERIALIZED (
    SELECT id FROM notifications_delivery WHERE fate = 'sending' AND lease_until < {now} {skip_locked}
)
UPDATE notifications_delivery SET
    fate = CASE WHEN copies < {max_copies} AND {may_repeat} THEN 'pending' ELSE 'uncertain' END,
    settled_at = CASE WHEN copies < {max_copies} AND {may_repeat} THEN NULL ELSE {now} END,
    reason = 'The worker was lost while handing it over; it may have left.', lease_until = NULL
WHERE id IN (SELECT id FROM picked)
"""
MAY_REPEAT = (
    "EXISTS (SELECT 1 FROM notifications_announcement a "
    "WHERE a.id = notifications_delivery.announcement_id AND a.on_doubt = 'retry')"
)

#: Unsent older rows of people for whom a newer one of the same lane waits (F12).
OVERTAKE = """
WITH picked AS MATERIALIZED (
    SELECT older.id FROM notifications_delivery newer
    JOIN notifications_announcement n ON n.id = newer.announcement_id
    JOIN notifications_announcement o ON o.lane = n.lane AND o.seq < n.seq
    JOIN notifications_delivery older ON older.announcement_id = o.id
        AND older.subscriber_id = newer.subscriber_id AND older.channel = newer.channel
    WHERE newer.fate = 'blocked' AND older.fate IN ('blocked', 'pending', 'leased') {skip_locked_older}
)
UPDATE notifications_delivery SET fate = 'suppressed', settled_at = {now}, lease_until = NULL,
    reason = CASE copies WHEN 0 THEN 'Overtaken by a newer update.'
        ELSE 'Overtaken by a newer update; it may have left.' END
WHERE id IN (SELECT id FROM picked)
"""

#: A statement of its own, never part of an outcome's: that would miss rows inserted meanwhile (trap 2 of 2.0).
PROMOTE = """
WITH picked AS MATERIALIZED (
    SELECT newer.id FROM notifications_delivery newer
    JOIN notifications_announcement n ON n.id = newer.announcement_id
    WHERE newer.fate = 'blocked' AND (newer.created_at < {now_minus} OR NOT EXISTS (
        SELECT 1 FROM notifications_announcement o
        JOIN notifications_delivery older ON older.announcement_id = o.id
        WHERE o.lane = n.lane AND o.seq < n.seq AND older.subscriber_id = newer.subscriber_id
            AND older.channel = newer.channel AND older.fate IN ('blocked', 'pending', 'leased', 'sending')))
    {skip_locked_newer}
)
UPDATE notifications_delivery SET fate = 'pending' WHERE id IN (SELECT id FROM picked)
"""

#: Only of news that expired lately: the sweep must not read all of history. Older ones end when they are claimed.
EXPIRE = """
WITH picked AS MATERIALIZED (
    SELECT d.id FROM notifications_delivery d
    JOIN notifications_announcement a ON a.id = d.announcement_id
    WHERE d.fate IN ('pending', 'blocked') AND a.expires_at <= {now} AND a.expires_at > {now_minus} {skip_locked_d}
)
UPDATE notifications_delivery SET settled_at = {now}, lease_until = NULL,
    fate = CASE attempts WHEN 0 THEN 'suppressed' ELSE 'dead' END,
    reason = CASE attempts WHEN 0 THEN 'Expired' ELSE reason END
WHERE id IN (SELECT id FROM picked)
"""

_DIALECTS = {
    "postgresql": {
        "now": "statement_timestamp()",
        "now_plus": "(statement_timestamp() + make_interval(secs => %s))",
        "now_minus": "(statement_timestamp() - make_interval(secs => %s))",
        "skip_locked": "FOR UPDATE SKIP LOCKED",
        "skip_locked_older": "FOR UPDATE OF older SKIP LOCKED",
        "skip_locked_newer": "FOR UPDATE OF newer SKIP LOCKED",
        "skip_locked_d": "FOR UPDATE OF d SKIP LOCKED",
    },
    "sqlite": {
        "now": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
        "now_plus": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '+' || %s || ' seconds')",
        "now_minus": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-' || %s || ' seconds')",
        "skip_locked": "",
        "skip_locked_older": "",
        "skip_locked_newer": "",
        "skip_locked_d": "",
    },
}


def claim(pool: str, limit: int, *, lying_for: float = 0.0) -> list[Item]:
    """Take up to ``limit`` due rows for ``DELIVERY_LEASE_SECONDS``; only those due for ``lying_for`` seconds."""
    fences = dict(_rows(_sql(CLAIM), [pool, lying_for, limit, settings.DELIVERY_LEASE_SECONDS]))
    if not fences:
        return []
    rows = _rows(_sql(LOOK, ids=", ".join(["%s"] * len(fences))), list(fences))
    return [_item(fences[row[0]], row) for row in rows]


def turn(left: Sequence[Item], leaving: Sequence[Item]) -> set[int]:
    """Mark ``left`` accepted and ``leaving`` as being sent, in one commit. Returns the ids that moved.

    One missing from ``left`` was taken from us meanwhile; one missing from ``leaving`` must not be sent.
    """
    items = (*left, *leaving)
    marks = [mark for item in items for mark in (item.id, item.fence)]
    wanted = [settings.DELIVERY_LEASE_SECONDS, *(item.id for item in items), *marks]
    return {row[0] for row in _rows(_turn_sql(len(left), len(leaving)), wanted, hot=True)}


def own(item: Item) -> bool:
    """Write down that an item left, although its lease is over. False when somebody else has it now."""
    return _count(_sql(OWN), [item.id, item.fence]) == 1


def settle(
    item: Item, fate: str, reason: str = "", *, wait: float = 0.0, returned: bool = False, tried: bool = False
) -> bool:
    """Write an outcome down: ``wait`` seconds until the next try, ``returned`` when it is known not to have left.

    ``tried`` counts an attempt that never came to sending. False when the row is no longer ours.
    """
    final = int(fate != "pending")
    wanted = [fate, reason[:300], int(wait > 0), wait, int(returned), int(tried), final, item.id, item.fence]
    return _count(_sql(SETTLE), wanted) == 1


def release(items: Iterable[Item]) -> None:
    """Hand back what certainly did not leave."""
    marks = [mark for item in items for mark in (item.id, item.fence)]
    if marks:
        _count(_sql(RELEASE, terms=_pairs(len(marks) // 2)), marks)


def leave_out(item: Item, reason: str) -> None:
    """Nobody to send to any more; changes nothing when the lease is over or the row was overtaken."""
    _count(_sql(LEFT_US), [reason, item.id, item.fence])


def reap() -> int:
    """Take rows back whose worker is gone (F01): unsent ones freely, those in the air by the news' policy on doubt."""
    leased = _count(_sql(REAP_LEASED), [])
    return leased + _count(_sql(REAP_SENDING, max_copies=str(MAX_COPIES), may_repeat=MAY_REPEAT), [])


def promote() -> int:
    """Let rows go whose predecessor came to an end; predecessors that never left are overtaken first (F12)."""
    _count(_sql(OVERTAKE), [])
    return _count(_sql(PROMOTE), [PATIENCE_SECONDS])


def expire() -> int:
    """End rows that nobody wants to hear any more (F20)."""
    return _count(_sql(EXPIRE), [LATELY_SECONDS])


def _item(fence: int, row: Sequence[Any]) -> Item:
    pk, news, channel, letter_to, address, public_id, generation, language, attempts, copies, reason, stale = row
    tries = (attempts, copies, reason, bool(stale))
    if letter_to:
        return Item(pk, fence, news, channel, letter_to, letter_to.encode("utf-8", "replace"), 0, "en", *tries)
    person = (public_id if isinstance(public_id, uuid.UUID) else uuid.UUID(public_id)).bytes if public_id else b""
    return Item(pk, fence, news, channel, address or "", person, generation or 0, language or "en", *tries)


@lru_cache(maxsize=512)
def _formed(template: str, vendor: str, extra: tuple[tuple[str, str], ...]) -> str:
    dialect = _DIALECTS[vendor]
    return template.format(**dialect, **{name: value.format(**dialect) for name, value in extra})


def _sql(template: str, **extra: str) -> str:
    return _formed(template, connection.vendor, tuple(extra.items()))


def _turn_sql(left: int, leaving: int) -> str:
    ids = ", ".join(["%s"] * (left + leaving))
    return _sql(TURN, ids=ids, left=_pairs(left), leaving=_pairs(leaving), never="1 = 0")


def _pairs(count: int) -> str:
    return " OR ".join(["(id = %s AND fence = %s)"] * count) or "1 = 0"


def _rows(sql: str, params: list[Any], *, hot: bool = False) -> list[tuple[Any, ...]]:
    if hot and connection.vendor == "postgresql":
        return _prepared(sql, params)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _prepared(sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    """The hot path on PostgreSQL, past every layer: the server plans the statement once per connection.

    A quarter of the CPU of a cursor. Answers ids only.
    """
    connection.ensure_connection()
    server = connection.connection.pgconn
    if _ready.server is not server:
        _ready.server, _ready.names = server, {}
    with connection.wrap_database_errors:
        name = _ready.names.get(sql)
        if name is None:
            name = f"heliograph_{len(_ready.names)}".encode()
            _answer(server, server.prepare(name, _numbered(sql).encode()))
            _ready.names[sql] = name
        answer = _answer(server, server.exec_prepared(name, [b"%d" % value for value in params]))
    return [(int(answer.get_value(row, 0) or 0),) for row in range(answer.ntuples)]


class _Ready(threading.local):
    """Which statements this thread's connection has prepared."""

    server: Any = None
    names: dict[str, bytes]


_ready = _Ready()


def _answer(server: PGconn, result: PGresult) -> PGresult:
    if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        return result
    if server.status != ConnStatus.OK:
        # A connection that broke has no error code; without one it would not pass for a lost connection.
        raise psycopg.OperationalError(server.get_error_message())
    raise psycopg.errors.error_from_result(result)


def _numbered(sql: str) -> str:
    """The statement with $1, $2 … for each %s."""
    pieces = sql.split("%s")
    return "".join(f"{piece}${number}" for number, piece in enumerate(pieces[:-1], start=1)) + pieces[-1]


def _count(sql: str, params: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        if cursor.rowcount >= 0:
            return int(cursor.rowcount)
        # Python's SQLite does not count what begins with WITH.
        cursor.execute("SELECT changes()")
        return int(cursor.fetchone()[0])
