"""F13: the timetable is kept by three beats at once, and by none. Each thing that is due happens once.

Due in every round: news, a digest for those who want one, what quiet hours held back, letters to
those who asked to subscribe, followers of what is over, sign-ups that nobody confirmed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg

from tests.drills.databases import ROOT, dsn
from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Mail, Verdict
from tests.notifications.receiver import Receiver

CREW = ("east", "west")
WORDS = ("North", "South")
#: How the subject of a digest ends, and that of a letter that asks to confirm.
DIGEST, LETTER = "digest", "updates"
#: Not the worst severity: that one waits for nobody's morning.
RANK = 2
#: Everybody is told within this time, and a turn of the timetable, of the moment it was due at.
PATIENCE_SECONDS = 30.0
#: Who was late to find the same work due has done it again by then.
AFTERWARDS_SECONDS = 3.0
#: Of each kind, in a round: sign-ups to answer, followers to let go, sign-ups to forget.
FEW = 20
DUE = """
import sys
import django; django.setup()
from datetime import timedelta
from django.utils import timezone
from notifications.choices import Choice
from notifications.models import Follow, SignUp, Subscriber
few, round_ = int(sys.argv[1]), sys.argv[2]
now = timezone.now()
before = now - timedelta(days=30)
# Written down as the form does it, but nobody rings.
SignUp.objects.bulk_create(
    SignUp(address=f"asks{round_}-{n}@example.org", choice=Choice().as_json(), asked_at=now) for n in range(few)
)
people = Subscriber.objects.bulk_create(
    Subscriber(address=f"follows{round_}-{n}@example.org", follows_only=True, created_at=before, confirmed_at=before)
    for n in range(few)
)
Follow.objects.bulk_create(
    Follow(subscriber=person, lane=f"notice:over{n % 3}", asked_at=before, since=before)
    for n, person in enumerate(people)
)
Subscriber.objects.bulk_create(
    Subscriber(address=f"never{round_}-{n}@example.org", created_at=before) for n in range(few)
)
"""
WAITING = """
SELECT (SELECT count(*) FROM notifications_delivery WHERE fate IN ('held', 'blocked', 'pending', 'leased', 'sending'))
    + (SELECT count(*) FROM notifications_announcement WHERE expanded_at IS NULL)
    + (SELECT count(*) FROM notifications_signup)
"""
#: What only the timetable does: nobody is told of it.
HOUSEWORK = """
SELECT (SELECT count(*) FROM notifications_follow)
    + (SELECT count(*) FROM notifications_subscriber WHERE starts_with(address, 'never'))
    + (SELECT count(*) FROM notifications_subscriber WHERE starts_with(address, 'follows') AND unsubscribed_at IS NULL)
"""


class People(NamedTuple):
    """Addresses, by how their owners want to hear."""

    at_once: list[str]
    quiet: list[str]
    digest: list[str]


def timetable(*, readers: int, rounds: int, beats: int, pace: float = 1.0, name: str, broken: str = "") -> Verdict:
    """With ``beats`` > 0 each does everything every ``pace`` seconds, beside two workers and two dispatchers.

    Without any there is no worker either: one dispatcher does it all, and looks for digests at that pace.
    """
    patience = pace + (PATIENCE_SECONDS / 3 if broken else PATIENCE_SECONDS)
    with Receiver() as dead_man, stage(broken=broken, DEAD_MAN_URL=dead_man.url) as theatre:
        addresses = theatre.readers(readers)
        people = People(addresses[::3], addresses[1::3], addresses[2::3])
        _crew(theatre, beats, f"hasty:{pace}")
        heard = [_round(theatre, people, round_, bool(beats), patience) for round_ in range(rounds)]
        pings = len(dead_man.heard)
        audits = theatre.ask("SELECT count(*) FROM notifications_auditrun WHERE findings = '[]'::jsonb")
        if not 1 <= pings <= audits:
            theatre.faults.append(f"{pings} pings for {audits} audits")
        whole = theatre.judge(name, [], list(WORDS), bound=0, mails=[])
        return Verdict(
            name,
            lost=sum(round_.lost for round_ in heard),
            duplicates=sum(round_.duplicates for round_ in heard),
            strangers=sum(round_.strangers for round_ in heard),
            faults=whole.faults,
        )


def _crew(theatre: Stage, beats: int, pace: str) -> None:
    theatre.newsroom()
    theatre.dispatcher(rig=pace)
    if not beats:
        return
    theatre.dispatcher(name="second", rig=pace)
    for name in CREW:
        theatre.worker(name)
    for number in range(beats):
        # Each has a book of its own, as on machines of their own.
        book = str(theatre.folder / f"beat{number}.schedule")
        theatre.start(f"beat{number}", "-m", "celery", "-A", "config", "beat", "-s", book, "--pidfile=", rig=pace)
    assert theatre.wait_for(lambda: all(map(theatre.listens, CREW)), seconds=60), theatre.report()


def _round(theatre: Stage, people: People, round_: int, housework: bool, patience: float) -> Verdict:
    before, now = len(theatre.mails()), datetime.now(UTC)
    # Written down and held, before their time comes.
    _wish(theatre, people.digest, digest_at=now + timedelta(hours=1))
    awake = now + timedelta(seconds=4)
    _wish(theatre, people.quiet, quiet_from=now - timedelta(hours=1), quiet_until=awake)
    for word in WORDS:
        theatre.tell(word, f"{word}{round_}", rank=RANK)
    unwritten = "SELECT count(*) FROM notifications_announcement WHERE expanded_at IS NULL"
    theatre.wait_for(lambda: theatre.ask(unwritten) == 0, seconds=patience)
    subprocess.run([sys.executable, "-c", DUE, str(FEW), str(round_)], cwd=ROOT, env=theatre.env, check=True)
    due = max(awake, datetime.now(UTC) + timedelta(seconds=1))
    _wish(theatre, people.digest, digest_at=due)
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
    if not theatre.wait_for(lambda: theatre.ask(WAITING) == 0, seconds=patience, every=0.2):
        theatre.faults.append(f"round {round_}: {theatre.ask(WAITING)} wait {patience:.0f} s after they were due")
    if housework and not theatre.wait_for(lambda: theatre.ask(HOUSEWORK) == 0, seconds=patience, every=0.2):
        theatre.faults.append(f"round {round_}: {theatre.ask(HOUSEWORK)} are neither let go nor forgotten")
    time.sleep(AFTERWARDS_SECONDS)
    theatre.wait_for(lambda: theatre.ask(WAITING) == 0, seconds=patience, every=0.2)
    mails = theatre.mails()[before:]
    _nobody_woken(theatre, mails, people, awake=awake.timestamp(), due=due.timestamp())
    return _weigh(mails, _expected(people, round_))


def _wish(theatre: Stage, addresses: Sequence[str], **moments: datetime) -> None:
    """When these people want to hear, on the clock of their wall, which shows UTC."""
    columns = ", ".join(f"{column} = %s" for column in moments)
    values = [moment.time() for moment in moments.values()]
    with psycopg.connect(dsn(theatre.database), autocommit=True) as connection:
        words = f"UPDATE notifications_subscriber SET {columns} WHERE address = ANY(%s)"
        connection.execute(words.encode(), [*values, list(addresses)])


def _expected(people: People, round_: int) -> Counter[tuple[str, str]]:
    told = [(address, word) for address in (*people.at_once, *people.quiet) for word in WORDS]
    told += [(address, DIGEST) for address in people.digest]
    return Counter(told + [(f"asks{round_}-{number}@example.org", LETTER) for number in range(FEW)])


def _weigh(mails: Sequence[Mail], expected: Counter[tuple[str, str]]) -> Verdict:
    got = Counter((mail.to, mail.word) for mail in mails)
    return Verdict(
        "round",
        lost=len(expected.keys() - got.keys()),
        duplicates=sum(count - 1 for what, count in got.items() if what in expected),
        strangers=len(got.keys() - expected.keys()),
    )


def _nobody_woken(theatre: Stage, mails: Sequence[Mail], people: People, *, awake: float, due: float) -> None:
    """Nothing before its time, and all the news of the day in its digest."""
    sleepers, subscribers = set(people.quiet), set(people.digest)
    early = sum(
        (mail.to in sleepers and mail.at < awake) or (mail.to in subscribers and mail.at < due) for mail in mails
    )
    meagre = sum(mail.to in subscribers and not mail.tells.issuperset(WORDS) for mail in mails)
    if early or meagre:
        theatre.faults.append(f"{early} mails came early, {meagre} digests lack news")


DRILLS = (
    Drill(
        "three-beats",
        timetable,
        short={"readers": 300, "rounds": 1, "beats": 3, "name": "three-beats"},
        full={"readers": 3_000, "rounds": 40, "beats": 3, "name": "three-beats"},
        broken="digests-unlocked",
    ),
    Drill(
        "no-beat",
        timetable,
        short={"readers": 300, "rounds": 1, "beats": 0, "name": "no-beat"},
        full={"readers": 3_000, "rounds": 10, "beats": 0, "pace": 30.0, "name": "no-beat"},
        broken="no-poller",
    ),
)
