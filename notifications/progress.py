"""How far an update has got: who has it, who waits, what went wrong, by channel (R-804).

Counted from the index ``delivery_by_fate`` alone, one short scan for each fate and channel: grouping
half a million rows takes five times as long as counting them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil

from django.db import connection
from django.db.models import Max, Min, QuerySet, Subquery

from notifications.dialects import rows
from notifications.enums import Channel, Fate
from notifications.fates import Group
from notifications.models import Announcement, Subscriber

#: Of updates that are not the newest no more are counted of one fate and channel: history must not slow the present.
ENOUGH = 100_000
_COUNT = """
WITH news (id) AS (VALUES {news}), fates (fate) AS (VALUES {fates}), channels (channel) AS (VALUES {channels})
SELECT news.id, channels.channel, fates.fate, (SELECT COUNT(*) FROM (
    SELECT 1 FROM notifications_delivery d
    WHERE d.announcement_id = news.id AND d.fate = fates.fate AND d.channel = channels.channel {limit}) counted)
FROM news, fates, channels
"""
#: No announcement is older than the first of the day: ids rise with time.
_RECENT = """
SELECT channel, fate, COUNT(*) FROM (
    SELECT channel, fate FROM notifications_delivery
    WHERE announcement_id >= (
        SELECT id FROM notifications_announcement WHERE published_at >= %s ORDER BY published_at, id LIMIT 1)
    ORDER BY announcement_id DESC LIMIT %s) counted
GROUP BY channel, fate
"""
#: As long as this much happens to it.
FRESH = timedelta(minutes=15)
SHARE_OF_TIME = 0.05
DAY = timedelta(days=1)
NEWEST = 1_000_000
#: By (channel, fate).
Counts = dict[tuple[str, str], int]


@dataclass(frozen=True)
class Share:
    """A part of a bar. ``more``: at least so many."""

    group: Group
    count: int
    more: bool = False

    @property
    def shown(self) -> str:
        """``1,204`` or ``100,000+``."""
        return f"{self.count:,}{'+' if self.more else ''}"


@dataclass(frozen=True)
class Line:
    """A bar: all channels of an update, or one of them. ``total`` is of those that are counted."""

    label: str
    shares: list[Share]

    @property
    def total(self) -> int:
        return sum(share.count for share in self.shares)

    @property
    def present(self) -> list[Share]:
        """The groups that have any."""
        return [share for share in self.shares if share.count]


@dataclass(frozen=True)
class Progress:
    """One update. ``counts`` is by (channel, fate); ``about`` how many readers it will have, while they are written."""

    news: int
    seq: int
    subject: str
    published_at: datetime
    expanded: bool
    about: int = 0
    counts: Counts = field(default_factory=dict)
    #: Counts of so many may be more.
    most: int | None = None
    #: How long counting took.
    seconds: float = field(default=0.0, compare=False)

    @property
    def moving(self) -> bool:
        """Whether it will look different in a moment."""
        return not self.expanded or any(
            count for (_, fate), count in self.counts.items() if fate in Group.WAITING.fates
        )

    @property
    def whole(self) -> Line:
        return self._line("All channels", set(Channel))

    @property
    def lines(self) -> list[Line]:
        """Per channel, in the order of the enum; only channels it went by."""
        found = (self._line(channel.label, {channel}) for channel in Channel)
        return [line for line in found if line.total]

    @property
    def written_shown(self) -> str:
        return f"{sum(self.counts.values()):,}"

    @property
    def about_shown(self) -> str:
        return f"{self.about:,}"

    @property
    def trouble(self) -> int:
        return sum(count for (_, fate), count in self.counts.items() if fate in Group.TROUBLE.fates)

    def pace(self, at: datetime) -> int:
        """After how many seconds to look again; 0: no need. A webhook may wait a day for its next try.

        Whoever looks on costs a twentieth of a processor at most, however much there is to count.
        """
        if not self.moving:
            return 0
        return max(2 if at - self.published_at < FRESH else 30, ceil(self.seconds / SHARE_OF_TIME))

    def _line(self, label: str, channels: Collection[str]) -> Line:
        shares = []
        for group in Group:
            mine = [
                count for (channel, fate), count in self.counts.items() if channel in channels and fate in group.fates
            ]
            shares.append(Share(group, sum(mine), more=self.most is not None and self.most in mine))
        return Line(label, shares)


def counted(news: Iterable[int], *, most: int | None = None) -> dict[int, Counts]:
    """By update, then (channel, fate): how many, zeros left out. One query; ``most`` ends each count early.

    500,000 rows of one update take PostgreSQL 40 ms, and up to 170 ms where all have just moved and no vacuum has
    followed yet.
    """
    ids = [int(pk) for pk in news]
    found: dict[int, Counts] = {pk: {} for pk in ids}
    if not ids:
        return found
    # All of it is our own: numbers and the words of enums.
    statement = _COUNT.format(
        news=", ".join(f"({pk})" for pk in ids),
        fates=", ".join(f"('{fate.value}')" for fate in Fate),
        channels=", ".join(f"('{channel.value}')" for channel in Channel),
        limit=f"LIMIT {most:d}" if most is not None else "",
    )
    for pk, channel, fate, count in rows(statement, []):
        if count:
            found[pk][channel, fate] = count
    return found


def of_lane(lane: str) -> list[Progress]:
    """Every update of a lane, newest first. Three queries, and one more while recipients are written down."""
    told = list(_told().filter(lane=lane).order_by("-seq"))
    newest, older = [row.pk for row in told[:1]], [row.pk for row in told[1:]]
    counts = counted(newest) | counted(older, most=ENOUGH)
    asked = _ids() if any(row.expanded_at is None for row in told) else (0, 0)
    return [_progress(row, counts[row.pk], asked, None if row.pk in newest else ENOUGH) for row in told]


def newest(lane: str) -> Progress | None:
    """The newest update of a lane, to be asked every few seconds: two queries, three while recipients are written."""
    row = _told().filter(lane=lane).order_by("-seq").first()
    return of_update(row) if row else None


def of_update(news: Announcement, *, most: int | None = None) -> Progress:
    """One update, counted to the end, or as far as tells the story."""
    began = time.monotonic()
    counts = counted([news.pk], most=most)[news.pk]
    seconds = time.monotonic() - began
    asked = _ids() if news.expanded_at is None else (0, 0)
    return replace(_progress(news, counts, asked, most), seconds=seconds)


def of_letters(lane: str) -> Progress | None:
    """The letters of a lane that were written last, as one: each is an announcement of its own. Two queries at most."""
    last = Announcement.objects.filter(lane=lane).order_by("-seq").values("published_at")[:1]
    told = list(_told().filter(lane=lane, published_at=Subquery(last)).order_by("-seq"))
    if not told:
        return None
    began = time.monotonic()
    together: Counter[tuple[str, str]] = Counter()
    for counts in counted([row.pk for row in told]).values():
        together.update(counts)
    return replace(_progress(told[0], dict(together), (0, 0), None), seconds=time.monotonic() - began)


def recent(at: datetime) -> Counts:
    """What became of the messages of the last day: by (channel, fate), zeros left out. One query.

    Of more than NEWEST the newest are counted, so that it costs the same on the worst of days.
    """
    since = connection.ops.adapt_datetimefield_value(at - DAY)
    found = rows(_RECENT, [since, NEWEST])
    return {(channel, fate): count for channel, fate, count in found}


def _told() -> QuerySet[Announcement]:
    return Announcement.objects.only("pk", "seq", "subject", "published_at", "expanded_at", "expanded_to")


def _progress(news: Announcement, counts: Counts, asked: tuple[int, int], most: int | None) -> Progress:
    first, last = asked
    # As many of those who come as of those who were asked.
    share = (news.expanded_to - first + 1) / (last - first + 1) if news.expanded_to >= first > 0 else 0.0
    about = round(sum(counts.values()) / share) if share else 0
    return Progress(
        news=news.pk,
        seq=news.seq,
        subject=news.subject,
        published_at=news.published_at,
        expanded=news.expanded_at is not None,
        about=about,
        counts=counts,
        most=most,
    )


def _ids() -> tuple[int, int]:
    """The first and the last subscriber there is."""
    found = Subscriber.objects.aggregate(first=Min("pk"), last=Max("pk"))
    return found["first"] or 0, found["last"] or 0
