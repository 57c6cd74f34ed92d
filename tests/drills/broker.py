"""F02: the broker forgets everything, restarts, hangs, is gone. It is only a doorbell."""

from __future__ import annotations

import os
import signal
from statistics import quantiles

import redis

from tests import services
from tests.drills.programme import Drill
from tests.drills.stage import stage
from tests.drills.verdict import Verdict

CREW = ("east", "west")
#: Celery says at ERROR that it looks for its broker.
AWAY = (
    r"consumer: (Cannot connect|Connection to broker lost)",
    r"redis",
    r"Connection refused",
    r"Connection closed",
    r"connection was torn down",
    r"Couldn't ack",
)
PATIENCE = 1.0


def forgotten(*, readers: int, flushes: int, restarts: int, broken: str = "") -> Verdict:
    """FLUSHALL, then restarts, spread over a fan-out of several updates: 0 lost, 0 twice."""
    words = ["Investigating", "Identified", "Resolved"]
    with services.Broker() as server, stage(redis=server.url, broken=broken) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*CREW)
        blows = flushes + restarts
        for blow in range(blows):
            now, before = (n * len(words) // blows for n in (blow, blow - 1))
            if now != before:
                theatre.tell(words[now])
            theatre.wait_for_mail((blow + 1) * readers // (blows + 1), seconds=15 if broken else 60)
            if blow < flushes:
                with redis.Redis.from_url(server.url) as client:
                    client.flushall()
            else:
                server.restart(signal.SIGKILL)
        theatre.wait_for_rest(seconds=15 if broken else 150)
        published = theatre.ask("SELECT count(*) FROM notifications_announcement")
        return theatre.judge("broker-forgets", told, words[:published], bound=0, errors=AWAY)


def gone(*, readers: int, updates: int, broken: str = "") -> Verdict:
    """Redis hangs, then is gone, while many updates are published: each click < 1 s, all mail goes out."""
    words = [f"Update{number}" for number in range(2 * updates + 1)]
    with services.Broker() as server, stage(redis=server.url, broken=broken) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*CREW)
        theatre.tell(words[0])
        theatre.wait_for_mail(200)
        # Stopped, not ended: sockets stay open and nobody answers, the worst way to be gone.
        os.kill(server.pid, signal.SIGSTOP)
        try:
            clicks = [theatre.tell(word) for word in words[1 : updates + 1]]
        finally:
            os.kill(server.pid, signal.SIGCONT)
        server.stop(signal.SIGKILL)
        clicks += [theatre.tell(word) for word in words[updates + 1 :]]
        theatre.wait_for_rest()
        slow = quantiles(clicks, n=20)[-1]
        if slow > PATIENCE:
            theatre.faults.append(f"publishing took {slow:.2f} s (p95)")
        verdict = theatre.judge("broker-gone", told, words, bound=0, errors=AWAY)
        server.start()
        return verdict


DRILLS = (
    Drill(
        "broker-forgets",
        forgotten,
        short={"readers": 3_000, "flushes": 3, "restarts": 2},
        full={"readers": 50_000, "flushes": 5, "restarts": 3},
        broken="no-poller",
    ),
    Drill(
        "broker-gone",
        gone,
        short={"readers": 2_000, "updates": 5},
        full={"readers": 20_000, "updates": 20},
        broken="rung-in-the-click",
    ),
)
