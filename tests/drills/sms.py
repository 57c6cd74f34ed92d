"""F05: a carrier that takes texts and does not say so, says no and took them, or has too many at once.

2,000 texts, 10 % taken and never answered, 5 % refused with 500 and not taken, 5 % refused with 500
and taken all the same, 20 % told to come back later. Some of those in doubt are called in, late and
twice; the others Twilio is asked about. Nobody may get a text twice, and nobody none.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import requests
from twilio.request_validator import RequestValidator

from tests.drills.databases import ROOT, dsn
from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict
from tests.notifications.carrier import ACCOUNT, TAKE, TOKEN, Act, Carrier, Text, refuse

SILENT, LOST, TAKEN = Act(seconds=3.0), refuse(500), Act(status=500)
BUSY = refuse(429, 20429, headers=(("Retry-After", "1"),))
#: Of a hundred texts, how many are treated how the first time; the others are simply taken.
FATES = ((10, SILENT), (5, LOST), (5, TAKEN), (20, BUSY))
#: Twilio is asked again when it certainly knows: ten minutes later, and one more to be sure.
LATER_MINUTES = 11
#: What the beat does, in so many minutes, until nothing is left to ask about.
RECONCILE = """
import sys
import django; django.setup()
from datetime import timedelta
from django.utils import timezone
from notifications import reconcile
later = timedelta(minutes=float(sys.argv[1]))
for _ in range(5):
    if not reconcile.run(at=timezone.now() + later):
        break
"""
#: Waits of the queue are cut short, but never below what the carrier asked for.
SOONER = """
UPDATE notifications_delivery SET next_at = now() + interval '1 second'
WHERE fate = 'pending' AND next_at > now() + interval '1 second' RETURNING 1
"""


class Unsteady:
    """What the carrier does with each number, decided by dice that always fall alike."""

    def __init__(self, numbers: list[str]) -> None:
        luck = random.Random(5)
        shuffled = luck.sample(numbers, len(numbers))
        self.first: dict[str, Act] = {}
        for share, act in FATES:
            for _ in range(len(numbers) * share // 100):
                self.first[shuffled.pop()] = act
        #: Of every two that are in doubt although they were taken, one is never called in.
        in_doubt = sorted(number for number, act in self.first.items() if act in (SILENT, TAKEN))
        self.unheard = frozenset(luck.sample(in_doubt, len(in_doubt) // 2))
        self.seen: set[str] = set()

    def __call__(self, form: dict[str, str]) -> Act:
        number = form["To"]
        first = number not in self.seen
        self.seen.add(number)
        return self.first.get(number, TAKE) if first else TAKE


def accept_then_timeout(*, readers: int, broken: str = "") -> Verdict:
    """No text twice, none missing; in doubt is only what nobody called in, and asking ends all of it."""
    with Carrier() as carrier, _site() as (port, site):
        settings = {
            "SMS_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_SMS_FROM": "+15005550006",
            "TWILIO_API_BASE": carrier.url,
            "TWILIO_READ_TIMEOUT": "1",
            "SMS_HANDS": "16",
            "SITE_URL": site,
        }
        with stage(broken=broken, **settings) as theatre:
            numbers = _phones(theatre, readers)
            carrier.say = unsteady = Unsteady(numbers)
            # Until everything has come to rest Twilio only calls; then it is asked.
            carrier.list_status = 503
            theatre.start("web", "manage.py", "runserver", "--noreload", "--skip-checks", f"127.0.0.1:{port}")
            theatre.dispatcher("--eager")
            theatre.newsroom()
            theatre.tell("Investigating")
            with _calls(carrier, unsteady):
                _rest(theatre, seconds=240)
            # Those refused with 500, and whatever else did not get through on a busy machine.
            lost = set(numbers) - set(carrier.texts())
            _compare(theatre, "in doubt although called in", _uncertain(theatre), lost | unsteady.unheard)
            carrier.list_status = 200
            _reconcile(theatre, minutes=2)
            _compare(theatre, "in doubt although Twilio has it", _uncertain(theatre), lost)
            _reconcile(theatre, minutes=LATER_MINUTES + 2)
            _rest(theatre, seconds=150)
            _compare(theatre, "in doubt in the end", _uncertain(theatre), set())
            return _judge(theatre, carrier, numbers)


def _phones(theatre: Stage, count: int) -> list[str]:
    """Readers who are told by SMS."""
    theatre.readers(count)
    with psycopg.connect(dsn(theatre.database), autocommit=True) as connection:
        rows = connection.execute(
            """UPDATE notifications_subscriber SET channel = 'sms', address = '+1212' || (5500000 + id)
            WHERE address LIKE 'reader%%@example.org' AND confirmed_at IS NOT NULL RETURNING address"""
        ).fetchall()
    return sorted(address for (address,) in rows)


def _uncertain(theatre: Stage) -> set[str]:
    with psycopg.connect(dsn(theatre.database), autocommit=True) as connection:
        rows = connection.execute(
            """SELECT s.address FROM notifications_delivery d JOIN notifications_subscriber s ON s.id = d.subscriber_id
            WHERE d.fate = 'uncertain'"""
        ).fetchall()
    return {address for (address,) in rows}


def _compare(theatre: Stage, what: str, found: set[str], expected: set[str]) -> None:
    if found != expected:
        theatre.faults.append(f"{len(found - expected)} {what}, {len(expected - found)} not in doubt any more")


def _rest(theatre: Stage, *, seconds: float) -> None:
    """Until every text has left, or is in doubt."""

    def rests() -> bool:
        theatre.ask(SOONER)
        return not set(theatre.fates()) & {"blocked", "pending", "leased", "sending"}

    # Nobody has a row before the fan-out.
    theatre.wait_for(lambda: bool(theatre.fates()), seconds=60)
    theatre.wait_for(rests, seconds=seconds, every=0.5)
    theatre.wait_for_rest(seconds=2)


def _reconcile(theatre: Stage, *, minutes: int) -> None:
    """As the beat does, so many minutes from now."""
    subprocess.run([sys.executable, "-c", RECONCILE, str(minutes)], cwd=ROOT, env=theatre.env, check=True)


@contextmanager
def _site() -> Iterator[tuple[int, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    yield port, f"http://127.0.0.1:{port}"


@contextmanager
def _calls(carrier: Carrier, unsteady: Unsteady) -> Iterator[None]:
    """Twilio's callbacks: one for every text it took but those nobody hears of; late, and every third twice."""
    over = threading.Event()

    def call() -> None:
        done, luck = 0, random.Random(6)
        with requests.Session() as session:
            while not over.is_set() or done < len(carrier.kept):
                for text in carrier.kept[done:]:
                    done += 1
                    # Some before the answer is read, some after.
                    time.sleep(luck.choice((0.0, 0.0, 0.02)))
                    if text.to not in unsteady.unheard:
                        for _ in range(luck.choice((1, 1, 2))):
                            _post(session, text)
                time.sleep(0.05)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield
    finally:
        over.set()
        caller.join()


def _post(session: requests.Session, text: Text) -> None:
    form = {"MessageSid": text.sid, "MessageStatus": "delivered", "AccountSid": ACCOUNT, "To": text.to}
    signature = RequestValidator(TOKEN).compute_signature(text.callback, form)
    for _ in range(20):
        try:
            answer = session.post(text.callback, data=form, headers={"X-Twilio-Signature": signature}, timeout=10)
        except requests.ConnectionError:
            # The web process is still starting: Twilio calls again.
            time.sleep(0.5)
            continue
        assert answer.status_code == 204, answer.status_code
        return


def _judge(theatre: Stage, carrier: Carrier, numbers: list[str]) -> Verdict:
    got = carrier.texts()
    duplicates = sum(count - 1 for count in got.values())
    whole = theatre.judge("sms", [], ["Investigating"], bound=0, mails=[], errors=("SMS_PER_",))
    ended = theatre.fates()
    if set(ended) - {"accepted", "delivered"}:
        theatre.faults.append(f"rows {ended}")
    return Verdict(
        "sms-accept-then-timeout",
        lost=sum(number not in got for number in numbers),
        duplicates=duplicates,
        strangers=len(set(got) - set(numbers)),
        faults=(*whole.faults, *(fault for fault in theatre.faults if fault not in whole.faults)),
    )


DRILLS = (
    Drill(
        "sms-accept-then-timeout",
        accept_then_timeout,
        short={"readers": 100},
        full={"readers": 2_000},
        broken="texts-again",
    ),
)
