"""The queue is the delivery table: these are the statements that move a row from fate to fate.

Written as SQL because they are the hot path and the proof: each is one compare-and-swap, each
names the fence or the fate it expects, and each is right on PostgreSQL and on SQLite. The clock
of leases is the database's (F08). On PostgreSQL rows that somebody else holds are stepped over,
never waited for, so that nothing here can deadlock.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import time
from typing import Any, NamedTuple

from django.conf import settings

from notifications.dialects import count, rows, sql
from notifications.enums import ONE_BY_ONE, Fate

log = logging.getLogger(__name__)

#: Copies of one message that may leave without a person deciding (reliability.md 3.1).
MAX_COPIES = 2
#: Workers that may die over one message before nobody tries it again by itself (F29).
MAX_CRASHES = 3
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
    #: The provider's id of a copy it had accepted before a person sent it again.
    receipt: str = ""
    #: A newer letter about the same incident is on its way to the same address.
    overtaken: bool = False
    #: When its person sleeps, where that counts: time zone, from, until (R-1314).
    hours: tuple[str, time, time] | None = None


# Each statement that moves many rows picks and locks them first, once, and then says no more of their fates:
# the lock (on SQLite: being the only writer) is the compare-and-swap. Where the planner sees a rare fate in the
# outer statement it walks that fate's small index for every picked row (14 s for 10,000 blocked rows).

CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id FROM notifications_delivery
    WHERE pool = %s AND fate = 'pending' AND {suspects} AND next_at <= {now_minus}
    ORDER BY next_at, id LIMIT %s {skip_locked}
)
UPDATE notifications_delivery
SET fate = 'leased', fence = fence + 1, lease_until = {now_plus}
WHERE id IN (SELECT id FROM picked)
RETURNING id, fence
"""

#: How often the worst of those that are due has had a worker die over it; NULL: there are no suspects (F29).
WORST = """
SELECT MAX(crashes) FROM notifications_delivery
WHERE pool = %s AND fate = 'pending' AND crashes > 0 AND next_at <= {now_minus}
"""

WAITS = """
SELECT 1 FROM notifications_delivery WHERE pool = %s AND fate = 'pending' AND next_at <= {now_minus} LIMIT 1
"""

LOOK = """
SELECT d.id, d.announcement_id, d.channel, d.address, s.address, s.public_id, s.generation, s.language,
    d.attempts, d.copies, d.reason, a.expires_at <= {now} AND d.channel <> 'webhook', d.receipt,
    CASE WHEN a.kind = 'direct' THEN EXISTS (
        SELECT 1 FROM notifications_announcement n JOIN notifications_delivery newer ON newer.announcement_id = n.id
        WHERE n.lane = a.lane AND n.seq > a.seq AND newer.address = d.address AND newer.address <> '')
    ELSE 1 = 0 END,
    CASE WHEN d.channel IN ('email', 'sms', 'whatsapp') AND a.kind <> 'digest' AND COALESCE(a.rank, 0) <> 1
        THEN s.time_zone END, s.quiet_from, s.quiet_until
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
    sent_at = CASE fate WHEN 'leased' THEN {now} ELSE sent_at END,
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

#: A known outcome is the truth for as long as nobody else claimed the row, whatever the sweep made of it meanwhile.
OWN = """
UPDATE notifications_delivery SET fate = 'accepted', reason = '', settled_at = {now}, lease_until = NULL,
    receipt = COALESCE(NULLIF(%s, ''), receipt)
WHERE id = %s AND fence = %s AND fate IN ('sending', 'pending', 'uncertain', 'suppressed', 'dead')
"""

SETTLE = """
UPDATE notifications_delivery SET
    fate = %s, reason = %s, next_at = CASE WHEN %s = 0 THEN next_at ELSE {now_plus} END, copies = copies - %s,
    attempts = attempts + %s, lease_until = NULL, settled_at = CASE WHEN %s = 1 THEN {now} END,
    crashes = crashes * %s,
    receipt = COALESCE(NULLIF(%s, ''), receipt)
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

#: A row that a dead worker had its hands on is a suspect; MAX_CRASHES of them, and nobody tries again (F29).
#: Mail goes one by one in order of id, so of a claim (they share the moment their lease ends) only the first
#: that is left can have been in hand. A courier compiles its whole claim: any of them may have been.
REAP_LEASED = """
WITH picked AS MATERIALIZED (
    SELECT id, pool, lease_until FROM notifications_delivery
    WHERE fate = 'leased' AND lease_until < {now} {skip_locked}
), held AS (
    SELECT id, CASE WHEN pool IN ({one_by_one}) AND id > MIN(id) OVER (PARTITION BY pool, lease_until)
        THEN 0 ELSE 1 END AS suspect
    FROM picked
)
UPDATE notifications_delivery SET
    crashes = crashes + held.suspect, lease_until = NULL,
    next_at = CASE held.suspect WHEN 1 THEN {apart} ELSE next_at END,
    fate = CASE WHEN crashes + held.suspect >= {max_crashes} THEN 'dead' ELSE 'pending' END,
    reason = CASE WHEN crashes + held.suspect >= {max_crashes} THEN 'Three workers died over it.' ELSE reason END,
    settled_at = CASE WHEN crashes + held.suspect >= {max_crashes} THEN {now} END
FROM held WHERE notifications_delivery.id = held.id
RETURNING notifications_delivery.id, fate
"""

REAP_SENDING = """
WITH picked AS MATERIALIZED (
    SELECT id FROM notifications_delivery WHERE fate = 'sending' AND lease_until < {now} {skip_locked}
)
UPDATE notifications_delivery SET
    fate = CASE WHEN {may_repeat} THEN 'pending' ELSE 'uncertain' END,
    settled_at = CASE WHEN {may_repeat} THEN NULL ELSE {now} END,
    reason = CASE WHEN crashes + 1 >= {max_crashes} THEN 'Three workers died over it; it may have left.'
        ELSE 'The worker was lost while handing it over; it may have left.' END,
    crashes = crashes + 1, next_at = {apart}, lease_until = NULL
WHERE id IN (SELECT id FROM picked)
"""
#: A webhook's receiver knows its id and drops a second copy; a text is never repeated on a guess (reliability.md 3.3).
MAY_REPEAT = """CASE WHEN crashes + 1 >= {max_crashes} THEN FALSE
    WHEN channel = 'webhook' THEN TRUE WHEN channel = 'sms' THEN FALSE WHEN channel = 'whatsapp' THEN FALSE
    ELSE copies < {max_copies} AND EXISTS (SELECT 1 FROM notifications_announcement a
        WHERE a.id = notifications_delivery.announcement_id AND a.on_doubt = 'retry') END"""

#: Only of news that expired lately: the sweep must not read all of history. Older ones end when they are claimed.
EXPIRE = """
WITH picked AS MATERIALIZED (
    SELECT d.id FROM notifications_delivery d
    JOIN notifications_announcement a ON a.id = d.announcement_id
    WHERE d.fate IN ('pending', 'blocked') AND d.channel <> 'webhook'
        AND a.expires_at <= {now} AND a.expires_at > {now_minus} {skip_locked_d}
)
UPDATE notifications_delivery SET settled_at = {now}, lease_until = NULL,
    fate = CASE attempts WHEN 0 THEN 'suppressed' ELSE 'dead' END,
    reason = CASE attempts WHEN 0 THEN 'Expired' ELSE reason END
WHERE id IN (SELECT id FROM picked)
"""


def waits(pool: str, *, lying_for: float = 0.0) -> bool:
    """Whether anything has been due for ``lying_for`` seconds."""
    return bool(rows(sql(WAITS), [pool, lying_for]))


def claim(pool: str, limit: int, *, lying_for: float = 0.0) -> list[Item]:
    """Take up to ``limit`` due rows for ``DELIVERY_LEASE_SECONDS``; only those due for ``lying_for`` seconds."""
    return _claim(sql(CLAIM, suspects="crashes = 0"), [pool, lying_for, limit])


def claim_suspects(pool: str, together: int, *, lying_for: float = 0.0) -> list[Item]:
    """Take due rows over which a worker died (F29): one alone that has cost two, else up to ``together``.

    Whoever takes them takes nothing else until they are through: what dies with them would be blamed, too.
    """
    [(worst,)] = rows(sql(WORST), [pool, lying_for])
    if worst is None:
        return []
    limit = together if worst == 1 else 1
    return _claim(sql(CLAIM, suspects="crashes > 0 AND crashes = %s"), [pool, worst, lying_for, limit])


def turn(left: Sequence[Item], leaving: Sequence[Item]) -> set[int]:
    """Mark ``left`` accepted and ``leaving`` as being sent, in one commit. Returns the ids that moved.

    One missing from ``left`` was taken from us meanwhile; one missing from ``leaving`` must not be sent.
    """
    items = (*left, *leaving)
    marks = [mark for item in items for mark in (item.id, item.fence)]
    wanted = [settings.DELIVERY_LEASE_SECONDS, *(item.id for item in items), *marks]
    return {row[0] for row in rows(_turn_sql(len(left), len(leaving)), wanted, hot=True)}


def own(item: Item, receipt: str = "") -> bool:
    """Write down that an item left, although its lease is over. False when somebody else has it now."""
    return count(sql(OWN), [receipt[:120], item.id, item.fence]) == 1


def settle(
    item: Item,
    fate: str,
    reason: str = "",
    *,
    wait: float = 0.0,
    returned: bool = False,
    tried: bool = False,
    receipt: str = "",
) -> bool:
    """Write an outcome down: ``wait`` seconds until the next try, ``returned`` when it is known not to have left.

    ``tried`` counts an attempt that never came to sending. False when the row is no longer ours.
    """
    over = int(fate != "pending")
    # Whoever writes this outlived it: no suspect any more when it is tried again.
    counts = [int(wait > 0), wait, int(returned), int(tried), over, over]
    wanted = [fate, reason[:300], *counts, receipt[:120], item.id, item.fence]
    return count(sql(SETTLE), wanted) == 1


def release(items: Iterable[Item]) -> None:
    """Hand back what certainly did not leave."""
    marks = [mark for item in items for mark in (item.id, item.fence)]
    if marks:
        count(sql(RELEASE, terms=_pairs(len(marks) // 2)), marks)


def leave_out(item: Item, reason: str) -> None:
    """Nobody to send to any more; changes nothing when the lease is over or the row was overtaken."""
    count(sql(LEFT_US), [reason, item.id, item.fence])


def reap() -> int:
    """Take rows back whose worker is gone (F01): unsent ones freely, those in the air by the news' policy on doubt.

    None of them for ever: see MAX_CRASHES (F29).
    """
    pools = ", ".join(f"'{pool}'" for pool in ONE_BY_ONE)
    may_repeat = MAY_REPEAT.format(max_copies=MAX_COPIES, max_crashes=MAX_CRASHES)
    crashes = str(MAX_CRASHES)
    back = rows(sql(REAP_LEASED, one_by_one=pools, max_crashes=crashes), [])
    for pk in (pk for pk, fate in back if fate == Fate.DEAD):
        log.error("Delivery %d: three workers died over it; nobody tries again by itself.", pk)
    return len(back) + count(sql(REAP_SENDING, may_repeat=may_repeat, max_crashes=crashes), [])


def expire() -> int:
    """End rows that nobody wants to hear any more (F20)."""
    return count(sql(EXPIRE), [LATELY_SECONDS])


def _claim(statement: str, wanted: list[Any]) -> list[Item]:
    fences = dict(rows(statement, [*wanted, settings.DELIVERY_LEASE_SECONDS]))
    if not fences:
        return []
    found = rows(sql(LOOK, ids=", ".join(["%s"] * len(fences))), list(fences))
    return [_item(fences[row[0]], row) for row in found]


def _item(fence: int, row: Sequence[Any]) -> Item:
    pk, news, channel, letter_to, address, public_id, generation, language, *rest = row
    attempts, copies, reason, stale, receipt, overtaken, zone, *clocks = rest
    hours = (zone, *(time.fromisoformat(str(clock)) for clock in clocks)) if zone and all(clocks) else None
    tries = (attempts, copies, reason, bool(stale), receipt, bool(overtaken), hours)
    if letter_to:
        return Item(pk, fence, news, channel, letter_to, letter_to.encode("utf-8", "replace"), 0, "en", *tries)
    person = (public_id if isinstance(public_id, uuid.UUID) else uuid.UUID(public_id)).bytes if public_id else b""
    return Item(pk, fence, news, channel, address or "", person, generation or 0, language or "en", *tries)


def _turn_sql(left: int, leaving: int) -> str:
    ids = ", ".join(["%s"] * (left + leaving))
    return sql(TURN, ids=ids, left=_pairs(left), leaving=_pairs(leaving), never="1 = 0")


def _pairs(number: int) -> str:
    return " OR ".join(["(id = %s AND fence = %s)"] * number) or "1 = 0"
