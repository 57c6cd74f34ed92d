"""The stage of a drill: a database of its own, a relay that keeps a log, real workers to be hurt."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests import services
from tests.drills.verdict import Mail, Verdict, read, weigh

ROOT = Path(__file__).resolve().parents[2]
#: Short, so that what a dead worker held is taken back within a drill.
LEASE_SECONDS = 4
WORKER = ("-m", "celery", "-A", "config", "worker", "-P", "threads", "-c", "3", "-Q", "celery,news,letters")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")


class Stage:
    """Started processes by name; ``log`` is what the relay kept."""

    def __init__(
        self, folder: Path, database: str, redis: str, *, lease: int, connections: int, sink: tuple[str, ...]
    ) -> None:
        self.folder = folder
        self.database = database
        self.log = folder / "mail.log"
        self.programs: dict[str, subprocess.Popen[str]] = {}
        self.env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HELIOGRAPH_ENV": "embedded",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": database,
            "REDIS_URL": redis,
            "REDIS_PREFIX": f"drill-{uuid.uuid4().hex[:8]}:",
            "VAR_DIR": str(folder),
            "SECRET_KEY": "only-for-drills",
            "DELIVERY_CONNECTIONS": str(connections),
            "DELIVERY_LEASE_SECONDS": str(lease),
        }
        self.start("sink", "-m", "tests.drills.sink", "--log", str(self.log), *sink)
        self.env["SMTP_URL"] = f"smtp://127.0.0.1:{self.hear('sink')}"
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=self.env, check=True)

    def start(self, name: str, *argv: str) -> None:
        with (self.folder / f"{name}.txt").open("a") as notes:
            self.programs[name] = subprocess.Popen(
                [sys.executable, *argv],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name in ("sink", "newsroom") else notes,
                stderr=notes,
                text=True,
            )

    def hear(self, name: str) -> str:
        heard = self.programs[name].stdout
        assert heard is not None
        return heard.readline().strip()

    def worker(self, name: str) -> None:
        self.start(name, *WORKER, *QUIET, "-n", f"{name}@%h")

    def listens(self, name: str) -> bool:
        """Whether a worker has said that it is ready."""
        return f"{name}@" in (said := (self.folder / f"{name}.txt").read_text()) and "ready." in said

    def dispatcher(self, *options: str) -> None:
        self.start("dispatch", "manage.py", "dispatch", *options)

    def newsroom(self) -> None:
        self.start("newsroom", "-m", "tests.drills.newsroom")
        assert self.hear("newsroom") == "ready"

    def tell(self, word: str) -> float:
        """Publish an update; the seconds it took."""
        self.say("newsroom", word)
        return float(self.hear("newsroom"))

    def say(self, name: str, word: str) -> None:
        listens = self.programs[name].stdin
        assert listens is not None
        listens.write(word + "\n")
        listens.flush()

    def strike(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """Hit one process; its exit code."""
        program = self.programs.pop(name)
        program.send_signal(how)
        return program.wait(40)

    def readers(self, count: int) -> list[str]:
        """Confirmed subscribers of everything."""
        with psycopg.connect(dsn(self.database)) as connection:
            connection.execute(
                """INSERT INTO notifications_subscriber (public_id, channel, address, language, all_topics,
                wants_incidents, wants_maintenance, least_rank, created_at, confirm_sent_count, confirmed_at,
                generation, consent_source, signed_up_from)
                SELECT gen_random_uuid(), 'email', 'reader' || n || '@example.org', 'en', true, true, true, 4, now(), 1,
                now(), 0, '', '' FROM generate_series(1, %s) n""",
                [count],
            )
        return [f"reader{n}@example.org" for n in range(1, count + 1)]

    def ask(self, sql: str, *values: Any) -> Any:
        with psycopg.connect(dsn(self.database), autocommit=True) as connection:
            row = connection.execute(sql, list(values)).fetchone()  # type: ignore[call-overload]
        return row[0] if row else None

    def kept(self) -> int:
        """Messages in the relay's log."""
        with contextlib.suppress(FileNotFoundError):
            return self.log.read_bytes().count(b"\n")
        return 0

    def wait_for(self, ready: Callable[[], bool], *, seconds: float, every: float = 0.1) -> bool:
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                return False
            time.sleep(every)
        return True

    def wait_for_mail(self, count: int, *, seconds: float = 60.0) -> None:
        assert self.wait_for(lambda: self.kept() >= count, seconds=seconds, every=0.02), self.report()

    def wait_for_rest(self, *, seconds: float = 150.0) -> None:
        """Until every recipient is written down and every delivery has come to an end."""
        moving = """SELECT (SELECT count(*) FROM notifications_delivery
            WHERE fate IN ('blocked', 'pending', 'leased', 'sending'))
            + (SELECT count(*) FROM notifications_announcement WHERE expanded_at IS NULL)"""
        assert self.wait_for(lambda: self.ask(moving) == 0, seconds=seconds, every=0.3), self.report()

    def mails(self) -> list[Mail]:
        return read(self.log.read_text())

    def judge(self, name: str, told: list[str], order: list[str], *, bound: int) -> Verdict:
        verdict = weigh(name, self.mails(), told, order, bound=bound)
        print(f"\n{verdict}", flush=True)
        return verdict

    def report(self) -> str:
        """What stood where when a drill got stuck."""
        fates = self.ask(
            "SELECT json_object_agg(fate, n) FROM (SELECT fate, count(*) n FROM notifications_delivery GROUP BY 1) x"
        )
        notes = {path.name: path.read_text()[-1500:] for path in self.folder.glob("*.txt")}
        return f"{json.dumps(fates)}, {self.kept()} kept\n" + "\n".join(
            f"--- {name}\n{text}" for name, text in notes.items()
        )

    def close(self) -> None:
        for program in self.programs.values():
            if program.poll() is None:
                program.kill()
            program.wait()
            for pipe in (program.stdin, program.stdout):
                if pipe is not None:
                    pipe.close()


@contextlib.contextmanager
def stage(
    *, redis: str | None = None, lease: int = LEASE_SECONDS, connections: int = 1, sink: tuple[str, ...] = ()
) -> Iterator[Stage]:
    """A stage with a fresh database on the PostgreSQL that is named or found; gone afterwards."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(services.database())
        broker = redis or stack.enter_context(services.broker())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-drill-")))
        database = stack.enter_context(_fresh_database(server))
        made = Stage(folder, database, broker, lease=lease, connections=connections, sink=sink)
        stack.callback(made.close)
        yield made


@contextlib.contextmanager
def _fresh_database(server: str) -> Iterator[str]:
    name = f"heliograph_drill_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(dsn(server), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(dsn(server), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[call-overload]


def dsn(url: str) -> str:
    return url.replace("postgres://", "postgresql://", 1)
