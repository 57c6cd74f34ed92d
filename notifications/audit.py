"""The auditor: is what must never happen, not happening? (reliability.md 2.1, F22)

Seven rules, one set-based question each; all must answer zero. It looks at the news of the last
day, so that it stays quick however long the history is, and it changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Value

from notifications import order
from notifications.enums import FINAL, LETTERS, PHONES, WRITTEN_OUT, Channel, Fate
from notifications.models import Announcement, AuditRun, Delivery, Subscriber
from notifications.queue import MAX_COPIES

log = logging.getLogger(__name__)

EXAMPLES = 5
#: What is quick takes less than this; what takes longer is looked at after it.
MINUTE = timedelta(seconds=60)
#: After its deadline a message has this long to come to an end.
GRACE = timedelta(minutes=5)
#: Of older announcements only what has not ended is looked at.
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
#: A click takes its moment before it commits: mail that began meanwhile began in good faith.
CLICK = timedelta(seconds=5)
#: An audit this old still counts; moments of different clocks are never as far apart.
RECENT = timedelta(minutes=10)
#: Two days of runs stay.
KEPT = timedelta(days=2)
PING_SECONDS = 3.0
#: Scopes asked about in one statement; SQLite takes 500.
TOGETHER = 100
TOLD = (Fate.ACCEPTED, Fate.DELIVERED)


class Found(NamedTuple):
    """How many, and the ids of a few: of updates or of deliveries, as the rule says."""

    total: int
    examples: list[int]


@dataclass(frozen=True)
class Rule:
    """``words`` name what would be wrong, ``remedy`` what a person does about it, ``of`` what the ids are of."""

    id: str
    of: str
    words: str
    remedy: str
    look: Callable[[datetime, datetime], Found]


@dataclass(frozen=True)
class Finding:
    rule: Rule
    count: int
    examples: list[int]

    @property
    def shown(self) -> str:
        """``Deliveries 3, 4 and 7 more``."""
        named, more = ", ".join(map(str, self.examples)), self.count - len(self.examples)
        # Of updates the count is of people or of updates; only of deliveries can the rest be named.
        rest = f" and {more:,} more" if more > 0 and self.rule.of == "delivery" else ""
        return f"{'Updates' if self.rule.of == 'update' else 'Deliveries'} {named}{rest}"

    def as_json(self) -> dict[str, Any]:
        told = {"id": self.rule.id, "words": self.rule.words, "remedy": self.rule.remedy, "of": self.rule.of}
        return told | {"count": self.count, "examples": self.examples, "shown": self.shown}


@dataclass(frozen=True)
class Report:
    """One finding per rule, zeros included, in the order of the rules. ``seconds``: how long it took."""

    at: datetime
    seconds: float
    findings: list[Finding]

    @property
    def wrong(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.count]

    def as_json(self) -> dict[str, Any]:
        rules = [finding.as_json() for finding in self.findings]
        return {"at": self.at.isoformat(), "seconds": round(self.seconds, 3), "clean": not self.wrong, "rules": rules}


def audit(at: datetime, *, since: datetime | None = None) -> Report:
    """Ask every rule. Each answer is true of one moment, so a busy queue raises no alarm.

    ``since``: the readers of updates that were written down before it have been counted already (A2).
    """
    began = time.monotonic()
    with _brisk():
        findings = [Finding(rule, *rule.look(at, since or at - DAY)) for rule in RULES]
    return Report(at, time.monotonic() - began, findings)


def run_if_due(at: datetime) -> Report | None:
    """The audit of this minute, unless somebody has taken it (F13). Keeps the result; None: it was taken.

    The minute is taken in a commit of its own, so that a long audit holds nobody up; when its
    worker dies, the next minute is audited as usual.
    """
    run, mine = AuditRun.objects.get_or_create(slot=at.replace(second=0, microsecond=0))
    if not mine:
        return None
    report = audit(at, since=_counted_until(at))
    run.finish([finding.as_json() for finding in report.wrong], seconds=report.seconds, at=at)
    AuditRun.objects.filter(slot__lt=at - KEPT).delete()
    if report.wrong:
        log.error("The audit found %s.", ", ".join(f"{wrong.rule.id}: {wrong.count}" for wrong in report.wrong))
    else:
        ping()
    return report


def _counted_until(at: datetime) -> datetime:
    """Counting all readers again takes longest and changes least: the last audit's word is good for what was
    written down before it, unless it missed somebody. Once an hour everything is counted.
    """
    last = AuditRun.objects.latest_finished()
    if last is None or not at.minute or last.slot < at - RECENT or any(wrong["id"] == "A2" for wrong in last.findings):
        return at - DAY
    return last.slot - RECENT


def ping() -> None:
    """Tell the dead man's switch that all is well. It alarms when it hears nothing; we never fail because of it."""
    url = settings.DEAD_MAN_URL
    if not url:
        return
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("DEAD_MAN_URL must begin with https://")
        with urlopen(url, timeout=PING_SECONDS):  # noqa: S310 -- the operator's own address, its scheme is checked
            pass
    except Exception as error:  # whatever ails the other end; its address is a secret and stays out of the log
        log.warning("The dead man's switch was not reached (%s).", type(error).__name__)


@contextmanager
def _brisk() -> Iterator[None]:
    """PostgreSQL would compile some questions for longer than it takes to answer them.

    No transaction on SQLite: there it would keep everybody else from writing.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        cursor.execute("SET LOCAL work_mem = '32MB'")
        yield


def _unexpanded(at: datetime, _: datetime) -> Found:
    return _found(Announcement.objects.unexpanded().filter(published_at__lte=at - MINUTE))


def _untold(at: datetime, since: datetime) -> Found:
    """Counted by update, because each has its own readers. The examples are the updates.

    Who left or bounced since is no reader any more, who came later never was; who chose anew
    may not have been one then.
    """
    recent = _recent(at).filter(expanded_at__gt=since).exclude(kind__in=WRITTEN_OUT)
    missed: dict[int, int] = {}
    for some in _slices(list(recent.order_by("pk").prefetch_related("topics"))):
        first, *more = map(_missed, some)
        missed |= dict(first.union(*more, all=True) if more else first)
    return Found(sum(missed.values()), sorted(news for news, count in missed.items() if count)[:EXAMPLES])


def _missed(news: Announcement) -> QuerySet[Any, Any]:
    """``(id of the news, how many of its readers have no row)``."""
    rows = Delivery.objects.filter(announcement=news, subscriber=OuterRef("pk"))
    unchanged = Q(changed_at__isnull=True) | Q(changed_at__lte=news.published_at)
    missed = Subscriber.objects.reached_by(news).filter(unchanged, ~Exists(rows), created_at__lte=news.published_at)
    return missed.order_by().annotate(news=Value(news.pk)).values_list("news").annotate(missed=Count("*"))


def _overdue(at: datetime, _: datetime) -> Found:
    """However old. Each group of fates has a small index of its own; asked in one they would be read from the table."""
    held = Q(fate=Fate.HELD)
    unfinished = Q(fate=Fate.PENDING) | Q(fate__in=(Fate.LEASED, Fate.SENDING)) | Q(fate=Fate.BLOCKED) | held
    # A webhook is tried for a day, and what waits behind it a day more (F06); some days between digests have 25 hours.
    hooks = Q(channel=Channel.WEBHOOK)
    late = (
        Q(~hooks, ~held, announcement__expires_at__lte=at - GRACE)
        | Q(hooks, announcement__expires_at__lte=at - 2 * DAY)
        | Q(held, announcement__expires_at__lte=at - 2 * HOUR)
    )
    return _found(Delivery.objects.filter(unfinished, late))


def _stuck(at: datetime, _: datetime) -> Found:
    before = Delivery.objects.filter(
        announcement__lane=OuterRef("announcement__lane"),
        announcement__seq__lt=OuterRef("announcement__seq"),
        subscriber=OuterRef("subscriber"),
        channel=OuterRef("channel"),
    )
    # An endpoint waits for its turn among all news, also those that are still being written down (F06).
    turn = Delivery.objects.filter(
        subscriber=OuterRef("subscriber"), channel=Channel.WEBHOOK, announcement__lt=OuterRef("announcement")
    )
    blocked = Delivery.objects.filter(fate=Fate.BLOCKED, created_at__lte=at - MINUTE)
    unended = ~Q(fate__in=FINAL) | Q(settled_at__gt=at - MINUTE)
    # A text in doubt holds the next one back while Twilio is asked about it (F05).
    asked = timedelta(seconds=order.DOUBT_SECONDS) + MINUTE
    in_doubt = Q(fate=Fate.UNCERTAIN, channel__in=PHONES, settled_at__gt=at - asked)
    writing = Exists(Announcement.objects.unexpanded())
    hooks = blocked.filter(~Exists(turn.filter(unended)), ~writing, channel=Channel.WEBHOOK)
    others = blocked.filter(~Exists(before.filter(unended | in_doubt))).exclude(channel=Channel.WEBHOOK)
    one, two = _found(others), _found(hooks)
    return Found(one.total + two.total, sorted(one.examples + two.examples)[:EXAMPLES])


def _repeated(at: datetime, _: datetime) -> Found:
    """Of subscribers the database itself allows one row per update; letters have nothing but their address."""
    often = Delivery.objects.filter(announcement__in=_recent(at), copies__gt=MAX_COPIES)
    twin = Delivery.objects.filter(
        announcement=OuterRef("announcement"),
        channel=OuterRef("channel"),
        address__iexact=OuterRef("address"),
        fate__in=TOLD,
        pk__lt=OuterRef("pk"),
    ).exclude(address="")  # said here too: the small index of the letters
    letters = Delivery.objects.filter(announcement__in=_recent(at).filter(kind__in=LETTERS))
    twice = letters.filter(Exists(twin), fate__in=TOLD, copies__lte=MAX_COPIES).exclude(address="")
    one, two = _found(often), _found(twice)
    return Found(one.total + two.total, sorted(one.examples + two.examples)[:EXAMPLES])


#: What was accepted before the next update was even published cannot be out of order: that is nearly all.
#: What somebody wanted once more is late on purpose.
OUT_OF_ORDER = """
WITH suspect AS MATERIALIZED (
    SELECT o.lane, o.seq, d.subscriber_id, d.channel, d.settled_at FROM notifications_announcement o
    JOIN notifications_announcement next ON next.lane = o.lane AND next.seq = o.seq + 1
    JOIN notifications_delivery d ON d.announcement_id = o.id AND d.settled_at > next.published_at
        AND d.replayed_at IS NULL
    WHERE o.published_at > %(since)s AND o.kind <> 'letter' AND d.fate IN ('accepted', 'delivered')
)
SELECT DISTINCT later.id FROM suspect
JOIN notifications_announcement n ON n.lane = suspect.lane AND n.seq > suspect.seq
JOIN notifications_delivery later ON later.announcement_id = n.id
    AND later.subscriber_id = suspect.subscriber_id AND later.channel = suspect.channel
WHERE later.settled_at < suspect.settled_at AND later.fate IN ('accepted', 'delivered')
ORDER BY later.id
"""


def _disordered(at: datetime, _: datetime) -> Found:
    since = connection.ops.adapt_datetimefield_value(at - DAY)
    with connection.cursor() as cursor:
        cursor.execute(OUT_OF_ORDER, {"since": since})
        wrong = [pk for (pk,) in cursor.fetchall()]
    return Found(len(wrong), wrong[:EXAMPLES])


def _after_leaving(at: datetime, _: datetime) -> Found:
    """By when its sending began, not when it ended: what was in the air when they left is nobody's fault."""
    late = Q(sent_at__gt=F("subscriber__unsubscribed_at") + CLICK)
    told = Delivery.objects.filter(late, subscriber__unsubscribed_at__isnull=False, fate__in=TOLD)
    return _found(told.filter(announcement__in=_recent(at)))


def _recent(at: datetime) -> QuerySet[Announcement]:
    return Announcement.objects.filter(published_at__gt=at - DAY)


def _found(rows: QuerySet[Any]) -> Found:
    # Counted without an order: PostgreSQL would walk all of history for the first five.
    total = rows.count()
    return Found(total, list(rows.order_by("pk").values_list("pk", flat=True)[:EXAMPLES]) if total else [])


def _slices(news: list[Announcement]) -> Iterator[list[Announcement]]:
    return (news[start : start + TOGETHER] for start in range(0, len(news), TOGETHER))


RULES = (
    Rule(
        "A1",
        "update",
        "Updates whose readers are not all written down after a minute",
        "Start a worker or manage.py dispatch: it goes on where the last one stopped.",
        _unexpanded,
    ),
    Rule(
        "A2",
        "update",
        "People who should have been told and have no delivery",
        "Post another update: it reaches them, with the whole timeline.",
        _untold,
    ),
    Rule(
        "A3",
        "delivery",
        "Messages without an end although nobody wants them any more",
        "Run manage.py dispatch --once: it ends them.",
        _overdue,
    ),
    Rule(
        "A4",
        "delivery",
        "Messages held back although the one before has ended",
        "Run manage.py dispatch --once: it lets them go.",
        _stuck,
    ),
    Rule(
        "A5",
        "delivery",
        "Messages that left too often",
        "Nothing can be called back. Compare these deliveries with the relay's log before more is sent.",
        _repeated,
    ),
    Rule(
        "A6",
        "delivery",
        "People told a later update before an earlier one",
        "Nothing more to send: the later mail has the whole timeline. Look for workers that were paused or cut off.",
        _disordered,
    ),
    Rule(
        "A7",
        "delivery",
        "Messages sent to people who had unsubscribed",
        "Stop the workers if the number grows. Apologise, and say that it has ended.",
        _after_leaving,
    ),
)
