"""Who goes after whom: nobody hears the end before, or without, the beginning (F12, F06).

Statements like those of the queue: right on PostgreSQL and on SQLite, and stepping over rows that
somebody else holds.
"""

from __future__ import annotations

from notifications.dialects import count, rows, sql

#: A predecessor in the air holds its successor back for this long at most (F12).
PATIENCE_SECONDS = 600
#: A text in doubt does so until Twilio was asked about it for ten minutes (``reconcile``), and for two rounds more.
DOUBT_SECONDS = 720

#: Unsent older rows of people for whom a newer one of the same lane waits (F12).
OVERTAKE = """
WITH picked AS MATERIALIZED (
    SELECT older.id FROM notifications_delivery newer
    JOIN notifications_announcement n ON n.id = newer.announcement_id
    JOIN notifications_announcement o ON o.lane = n.lane AND o.seq < n.seq
    JOIN notifications_delivery older ON older.announcement_id = o.id
        AND older.subscriber_id = newer.subscriber_id AND older.channel = newer.channel
    WHERE newer.fate = 'blocked' AND {channels} AND older.fate IN ('blocked', 'held', 'pending', 'leased')
    {skip_locked_older}
)
UPDATE notifications_delivery SET fate = 'suppressed', settled_at = {now}, lease_until = NULL,
    reason = CASE copies WHEN 0 THEN 'Overtaken by a newer update.'
        ELSE 'Overtaken by a newer update; it may have left.' END
WHERE id IN (SELECT id FROM picked)
"""

#: News that it is over, for people who never heard that it began: a text or a post says only the newest (F12).
STALE = """
WITH picked AS MATERIALIZED (
    SELECT newer.id FROM notifications_delivery newer
    JOIN notifications_announcement n ON n.id = newer.announcement_id
    WHERE newer.fate = 'blocked' AND {channels} AND n.is_over AND n.seq > 1 AND NOT EXISTS (
        SELECT 1 FROM notifications_announcement o
        JOIN notifications_delivery older ON older.announcement_id = o.id
        WHERE o.lane = n.lane AND o.seq < n.seq AND older.subscriber_id = newer.subscriber_id
            AND older.channel = newer.channel AND (older.fate NOT IN ('suppressed', 'dead') OR older.copies > 0))
    {skip_locked_newer}
)
UPDATE notifications_delivery SET fate = 'suppressed', settled_at = {now},
    reason = 'It was over before the first one left.'
WHERE id IN (SELECT id FROM picked)
"""

#: A statement of its own, never part of an outcome's: that would miss rows inserted meanwhile (trap 2 of 2.0).
PROMOTE = """
WITH picked AS MATERIALIZED (
    SELECT newer.id FROM notifications_delivery newer
    JOIN notifications_announcement n ON n.id = newer.announcement_id
    WHERE newer.fate = 'blocked' AND {channels} AND (newer.created_at < {now_minus} OR NOT EXISTS (
        SELECT 1 FROM notifications_announcement o
        JOIN notifications_delivery older ON older.announcement_id = o.id
        WHERE o.lane = n.lane AND o.seq < n.seq AND older.subscriber_id = newer.subscriber_id
            AND older.channel = newer.channel AND (older.fate IN ('blocked', 'pending', 'leased', 'sending')
                OR older.fate = 'uncertain' AND older.channel IN ('sms', 'whatsapp')
                    AND older.settled_at > {now_minus})))
    {skip_locked_newer}
)
UPDATE notifications_delivery SET fate = 'pending' WHERE id IN (SELECT id FROM picked)
"""
# Which rows a statement of order is about. Whoever carries one channel orders that one, so that nobody lets
# a row go that another rule would end.
MAIL, SAYINGS = "newer.channel = 'email'", "newer.channel NOT IN ('email', 'webhook')"

#: An endpoint hears one thing at a time, in the order of publishing, also of news whose rows are still being written.
#: What is sent once more waits for what is in the air, too, although that is newer.
TAKE_TURNS = """
WITH waiting AS MATERIALIZED (
    SELECT id, subscriber_id, announcement_id, fate, MIN(announcement_id) OVER endpoint AS first,
        MAX(CASE WHEN fate IN ('leased', 'sending') THEN 1 ELSE 0 END) OVER endpoint AS busy
    FROM notifications_delivery
    WHERE channel = 'webhook' AND fate IN ('blocked', 'pending', 'leased', 'sending')
    WINDOW endpoint AS (PARTITION BY subscriber_id)
), picked AS MATERIALIZED (
    SELECT newer.id FROM notifications_delivery newer
    WHERE CASE newer.fate WHEN 'blocked' THEN 1 = 1 ELSE 1 = 0 END AND newer.id IN (
        SELECT w.id FROM waiting w
        WHERE w.fate = 'blocked' AND (w.subscriber_id IS NULL OR (w.announcement_id = w.first AND w.busy = 0))
        AND NOT EXISTS (
            SELECT 1 FROM notifications_announcement o
            WHERE o.expanded_at IS NULL AND o.id < w.announcement_id AND o.expanded_to < w.subscriber_id))
    {skip_locked_newer}
)
UPDATE notifications_delivery SET fate = 'pending' WHERE id IN (SELECT id FROM picked)
"""
# Who is first is told by one pass over all that wait. Asked of each whether another is before it, a planner that
# knows only of the hour before, when nobody waited, read all of them for each: 700 ms for 1,300 rows, five times a
# second. For the same reason it must not see the fate where the rows are locked.


def promote() -> int:
    """Let mail go whose predecessor came to an end; predecessors that never left are overtaken first (F12)."""
    return _promote(MAIL, PATIENCE_SECONDS)


def promote_sayings() -> int:
    """The same for texts and posts, which carry no timeline: what is stale by now is dropped (F12)."""
    waits = sql(
        "SELECT 1 FROM notifications_delivery newer WHERE newer.fate = 'blocked' AND {channels} LIMIT 1",
        channels=SAYINGS,
    )
    if not rows(waits, []):
        return 0
    count(sql(OVERTAKE, channels=SAYINGS), [])
    count(sql(STALE, channels=SAYINGS), [])
    return _promote(SAYINGS, DOUBT_SECONDS)


def take_turns() -> int:
    """Let the next row of each endpoint go whose one before has come to an end (F06)."""
    return count(sql(TAKE_TURNS), [])


def _promote(channels: str, patience: int) -> int:
    count(sql(OVERTAKE, channels=channels), [])
    return count(sql(PROMOTE, channels=channels), [patience, patience])
