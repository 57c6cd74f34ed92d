"""F03: the database restarts, or cuts everybody off, while mail is on its way. Known outcomes wait in memory."""

from __future__ import annotations

import signal
import time

import psycopg

from tests import services
from tests.drills import databases
from tests.drills.databases import dsn
from tests.drills.programme import Drill
from tests.drills.stage import stage
from tests.drills.verdict import Verdict

CREW = ("east", "west")
#: What a program may say while its database is away.
AWAY = (r"connection", r"terminating", r"shutting down|starting up|recovery mode", r"SSL", r"server closed")


def restart(*, readers: int, restarts: int, connections: int = 2, broken: str = "") -> Verdict:
    """An immediate shutdown and recovery, again and again: 0 lost, 0 twice.

    The lease is longer than a restart lasts, as it is in life: an outcome is written while the row is still ours.
    """
    with services.Postgresql() as server:
        with stage(server=server.url, lease=15, connections=connections, broken=broken) as theatre:
            told = theatre.readers(readers)
            theatre.crew(*CREW)
            theatre.tell("Investigating")
            for blow in range(restarts):
                theatre.wait_for_mail((blow + 1) * readers // (restarts + 2))
                server.restart(signal.SIGQUIT)
            if theatre.kept() >= readers:
                theatre.faults.append("the restarts came too late to hurt anybody")
            theatre.wait_for_rest()
            verdict = theatre.judge("database-restart", told, ["Investigating"], bound=0, errors=AWAY)
        databases.forget(server.url)
    return verdict


def cut(*, readers: int, cuts: int, broken: str = "") -> Verdict:
    """Every session is ended by the server, again and again: 0 lost, 0 twice."""
    with stage(lease=15, connections=2, broken=broken) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*CREW)
        theatre.tell("Investigating")
        theatre.wait_for_mail(50)
        for _ in range(cuts):
            time.sleep(0.1)
            with psycopg.connect(dsn(theatre.database), autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        if theatre.kept() >= readers:
            theatre.faults.append("the cuts came too late to hurt anybody")
        theatre.wait_for_rest()
        return theatre.judge("database-cut", told, ["Investigating"], bound=0, errors=AWAY)


DRILLS = (
    Drill(
        "database-restart",
        restart,
        short={"readers": 4_000, "restarts": 2},
        full={"readers": 40_000, "restarts": 4},
        broken="outcome-forgotten",
        when_broken={"connections": 4},
    ),
    Drill(
        "database-cut",
        cut,
        short={"readers": 4_000, "cuts": 15},
        full={"readers": 40_000, "cuts": 100},
        broken="outcome-forgotten",
    ),
)
