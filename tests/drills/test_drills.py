"""Breaking things on purpose, with real processes on real PostgreSQL and Redis (reliability.md 2.2).

Every bound is derived: extra copies ≤ connections that had a message open, summed over the faults.
"""

from __future__ import annotations

import os
import random
import signal
import time

import psycopg
import pytest
import redis

from tests import services
from tests.drills.stage import Stage, dsn, stage

pytestmark = pytest.mark.drill
CREW = ("east", "west")


def _with_crew(theatre: Stage) -> None:
    for name in CREW:
        theatre.worker(name)
    theatre.dispatcher()
    theatre.newsroom()


def test_ten_kills_during_fan_out_and_sending_lose_nobody() -> None:
    """F01: kill -9 ten times while 10,000 are told; each worker has one message open."""
    luck = random.Random(1)
    with stage() as theatre:
        told = theatre.readers(10_000)
        _with_crew(theatre)
        theatre.tell("Investigating")
        theatre.wait_for_mail(1)
        for blow in range(10):
            time.sleep(luck.uniform(0.2, 0.9))
            victim = (*CREW, "dispatch")[blow % 3]
            theatre.strike(victim)
            theatre.dispatcher() if victim == "dispatch" else theatre.worker(victim)
        before = theatre.kept()
        theatre.wait_for_rest()
        verdict = theatre.judge("kill-9", told, ["Investigating"], bound=10)
        assert verdict.good
        assert before < 10_000, "The kills came too late to hurt anybody."
        assert theatre.ask("SELECT count(*) FROM notifications_delivery WHERE fate = 'accepted'") == 10_000


def test_publishing_and_delivery_do_not_need_the_broker() -> None:
    """F02: Redis is stopped before the click; publishing answers in under 1 s and all mail goes out."""
    with services.own_redis() as url, stage(redis=url) as theatre:
        told = theatre.readers(2_000)
        _with_crew(theatre)
        pid = int(_redis_pid(url))
        theatre.tell("Investigating")
        theatre.wait_for_mail(200)
        # Stopped, not ended: sockets stay open and nobody answers, the worst way to be gone.
        _signal(pid, signal.SIGSTOP)
        try:
            hanging = theatre.tell("Identified")
        finally:
            _signal(pid, signal.SIGCONT)
        _signal(pid, signal.SIGKILL)
        gone = theatre.tell("Resolved")
        theatre.wait_for_rest()
        verdict = theatre.judge("redis-gone", told, ["Investigating", "Identified", "Resolved"], bound=0)
        assert verdict.good
        assert hanging < 1.0
        assert gone < 1.0


def test_losing_every_database_session_costs_nothing() -> None:
    """F03: sessions are cut 20 times while sending; known outcomes wait in memory, so nobody is told twice.

    The lease is longer than the cuts last, as it is in life: an outcome is written while the row is still ours.
    """
    with stage(lease=15) as theatre:
        told = theatre.readers(6_000)
        _with_crew(theatre)
        theatre.tell("Investigating")
        theatre.wait_for_mail(50)
        for _ in range(20):
            time.sleep(0.15)
            _cut_sessions(theatre)
        before = theatre.kept()
        theatre.wait_for_rest()
        verdict = theatre.judge("database-cut", told, ["Investigating"], bound=0)
        assert verdict.good
        assert before < 6_000, "The cuts came too late to hurt anybody."


def test_resolved_never_overtakes_on_the_wire() -> None:
    """F12: "resolved" is published in the middle of the fan-out, with kills around it."""
    luck = random.Random(4)
    with stage() as theatre:
        told = theatre.readers(6_000)
        _with_crew(theatre)
        theatre.tell("Investigating")
        theatre.wait_for_mail(1_000)
        theatre.tell("Resolved")
        for blow in range(6):
            time.sleep(luck.uniform(0.2, 0.6))
            victim = CREW[blow % 2]
            theatre.strike(victim)
            theatre.worker(victim)
        theatre.wait_for_rest()
        verdict = theatre.judge("resolve-mid-fan-out", told, ["Investigating", "Resolved"], bound=6)
        assert verdict.good
        stuck = "SELECT count(*) FROM notifications_delivery WHERE fate = 'blocked'"
        assert theatre.ask(stuck) == 0


def test_five_restarts_cost_nothing() -> None:
    """F30: SIGTERM five times; what is in flight is finished, the rest handed back."""
    with stage() as theatre:
        told = theatre.readers(5_000)
        _with_crew(theatre)
        theatre.tell("Investigating")
        theatre.wait_for_mail(100)
        for blow in range(5):
            time.sleep(0.4)
            victim = (*CREW, "dispatch")[blow % 3]
            theatre.strike(victim, signal.SIGTERM)
            theatre.dispatcher() if victim == "dispatch" else theatre.worker(victim)
        before = theatre.kept()
        theatre.wait_for_rest()
        verdict = theatre.judge("sigterm", told, ["Investigating"], bound=0)
        assert verdict.good
        assert before < 5_000, "The restarts came too late to hurt anybody."


def _cut_sessions(theatre: Stage) -> None:
    with psycopg.connect(dsn(theatre.database), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _redis_pid(url: str) -> int:

    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def _signal(pid: int, how: signal.Signals) -> None:

    os.kill(pid, how)
