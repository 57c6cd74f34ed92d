"""The stage of a drill: a database of its own, a relay that keeps a log, real workers to be hurt."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests import services
from tests.drills import databases
from tests.drills.databases import PATTERN, ROOT, dsn
from tests.drills.verdict import Mail, Verdict, read, weigh

#: Short, so that what a dead worker held is taken back within a drill.
LEASE_SECONDS = 4
WORKER = ("-m", "celery", "-A", "config", "worker", "-P", "threads", "-c", "3", "-Q", "celery,news,letters")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")
#: Who answers on standard output; everybody else only writes notes.
SPEAKERS = ("sink", "newsroom", "desk")
_ENTRY = re.compile(r"^\[?\d{4}-\d\d-\d\d .*?\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")


class Stage:
    """Started processes by name; ``log`` is what the relay kept, ``faults`` what went wrong besides."""

    def __init__(self, folder: Path, env: dict[str, str], *, sink: tuple[str, ...], broken: str) -> None:
        self.folder = folder
        self.env = env
        self.broken = broken
        self.lease = int(env["DELIVERY_LEASE_SECONDS"])
        self.database = env["DATABASE_URL"]
        self.log = folder / "mail.log"
        self.programs: dict[str, subprocess.Popen[str]] = {}
        self.faults: list[str] = []
        self.start("sink", "-m", "tests.drills.sink", "--log", str(self.log), *sink, rigged=False)
        # The login matters to nobody but a drill that refuses it.
        self.env["SMTP_URL"] = f"smtp://drill:secret@127.0.0.1:{self.hear('sink')}"

    # --- programs --------------------------------------------------------------------

    def start(self, name: str, *argv: str, rigged: bool = True, rig: str = "") -> None:
        """``rig``: what happens inside this program, besides what is broken in all of them."""
        rigs = ",".join(filter(None, (self.broken if rigged else "", rig)))
        wrapped = ("-m", "tests.drills.rigged", rigs, *argv) if rigs else argv
        with (self.folder / f"{name}.txt").open("a") as notes:
            self.programs[name] = subprocess.Popen(
                [sys.executable, *wrapped],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name in SPEAKERS else notes,
                stderr=notes,
                text=True,
            )

    def worker(self, name: str, *, rig: str = "") -> None:
        self.start(name, *WORKER, *QUIET, "-n", f"{name}@%h", rig=rig)

    def dispatcher(self, *options: str, name: str = "dispatch", rig: str = "") -> None:
        self.start(name, "manage.py", "dispatch", "--skip-checks", *options, rig=rig)

    def crew(self, *workers: str) -> None:
        """Workers by these names, the dispatcher, and the newsroom; returns when they can be told something."""
        for name in workers:
            self.worker(name)
        self.dispatcher()
        self.newsroom()
        assert self.wait_for(lambda: all(map(self.listens, workers)), seconds=60), self.report()

    def newsroom(self) -> None:
        self.start("newsroom", "-m", "tests.drills.newsroom")
        assert self.hear("newsroom") == "ready", self.report()

    def listens(self, name: str) -> bool:
        """Whether a worker has said that it is ready."""
        return f"{name}@" in (said := (self.folder / f"{name}.txt").read_text()) and "ready." in said

    def strike(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """Hit one program; its exit code."""
        program = self.programs.pop(name)
        program.send_signal(how)
        return program.wait(40)

    def hear(self, name: str) -> str:
        heard = self.programs[name].stdout
        assert heard is not None
        return heard.readline().strip()

    def say(self, name: str, word: str) -> None:
        listens = self.programs[name].stdin
        assert listens is not None
        listens.write(word + "\n")
        listens.flush()

    def close(self) -> None:
        for program in self.programs.values():
            if program.poll() is None:
                program.kill()
        for program in self.programs.values():
            program.wait()
            for pipe in (program.stdin, program.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()

    # --- the world outside -----------------------------------------------------------

    def readers(self, count: int) -> list[str]:
        """Confirmed subscribers of everything: copies of the pattern."""
        with psycopg.connect(dsn(self.database), autocommit=True) as connection:
            columns = connection.execute(
                """SELECT column_name FROM information_schema.columns WHERE table_name = 'notifications_subscriber'
                AND column_name NOT IN ('id', 'public_id', 'address', 'confirmed_at')"""
            ).fetchall()
            same = sql.SQL(", ").join(sql.Identifier(name) for (name,) in columns)
            connection.execute(
                sql.SQL(
                    """INSERT INTO notifications_subscriber (public_id, address, confirmed_at, {same})
                    SELECT gen_random_uuid(), 'reader' || n || '@example.org', now(), {same}
                    FROM notifications_subscriber, generate_series(1, %s) n WHERE address = %s"""
                ).format(same=same),
                [count, PATTERN],
            )
            # What autovacuum has long done where they came one by one.
            connection.execute("VACUUM ANALYZE notifications_subscriber")
        return [f"reader{n}@example.org" for n in range(1, count + 1)]

    def tell(self, word: str, lane: str = "drill", rank: int = 1) -> float:
        """Publish an update; the seconds it took."""
        self.say("newsroom", f"{word} {lane} {rank}")
        return float(self.hear("newsroom"))

    def suffer(self, fault: str = "none", amount: object = "") -> None:
        """Tell the relay what to suffer from (``sink.FAULTS``)."""
        self.say("sink", f"{fault} {amount}")
        assert self.hear("sink") == "ok"

    def events(self) -> Counter[str]:
        """How often the relay was connected to, logged in to, and failed, by the words of ``sink.FAULTS``."""
        text = Path(f"{self.log}.events").read_text()
        return Counter(line.split(" ")[1] for line in text.splitlines())

    def ask(self, question: str, *values: Any) -> Any:
        """The first column of the first row."""
        with psycopg.connect(dsn(self.database), autocommit=True) as connection:
            row = connection.execute(question, list(values)).fetchone()  # type: ignore[call-overload]
        return row[0] if row else None

    def fates(self) -> dict[str, int]:
        """How many deliveries are in which state."""
        by_fate = "SELECT fate, count(*) n FROM notifications_delivery GROUP BY fate"
        return dict(self.ask(f"SELECT json_object_agg(fate, n) FROM ({by_fate}) x") or {})

    # --- waiting ---------------------------------------------------------------------

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
        if not self.wait_for(lambda: self.kept() >= count, seconds=seconds, every=0.02):
            self.faults.append(f"{self.kept()} messages left within {seconds:.0f} s, not {count}")

    def wait_for_rest(self, *, seconds: float = 150.0) -> None:
        """Until every recipient is written down and every delivery has come to an end; a fault when they do not."""
        moving = """SELECT (SELECT count(*) FROM notifications_delivery
            WHERE fate IN ('blocked', 'pending', 'leased', 'sending'))
            + (SELECT count(*) FROM notifications_announcement WHERE expanded_at IS NULL)"""
        if not self.wait_for(lambda: self.ask(moving) == 0, seconds=seconds, every=0.2):
            self.faults.append(f"{self.ask(moving)} deliveries did not end within {seconds:.0f} s")

    # --- judging ---------------------------------------------------------------------

    def mails(self) -> list[Mail]:
        return read(self.log.read_text())

    def judge(
        self,
        name: str,
        told: Sequence[str],
        order: Sequence[str],
        *,
        bound: int,
        order_bound: int = 0,
        errors: Sequence[str] = (),
        mails: Sequence[Mail] | None = None,
    ) -> Verdict:
        """The verdict over all ``mails`` (those the relay kept); ``errors``: what may stand in the logs."""
        verdict = weigh(
            name,
            self.mails() if mails is None else mails,
            told,
            order,
            bound=bound,
            order_bound=order_bound,
            faults=[*self.faults, *self._ended(), *self._errors(errors), *self._audited(order_bound)],
        )
        if not verdict.good and not self.broken:
            print(self.report(), flush=True)
        return verdict

    def _ended(self) -> list[str]:
        codes = {name: program.poll() for name, program in self.programs.items()}
        return [f"{name} ended by itself with {code}" for name, code in codes.items() if code is not None]

    def _audited(self, order_bound: int) -> list[str]:
        """What the auditor found, but for the order (A6) of as many as may be told late."""
        self.say("newsroom", "audit")
        if not (heard := self.hear("newsroom")):
            return ["the newsroom does not answer"]
        explained = {"A6": order_bound}
        found = [(rule, words) for rule, count, words in json.loads(heard) if count > explained.get(rule, 0)]
        return [f"{rule}: {words}" for rule, words in found]

    def _errors(self, allowed: Sequence[str]) -> list[str]:
        """What programs logged at ERROR and above, or died of, that no pattern in ``allowed`` matches."""
        known = re.compile("|".join(allowed) or r"(?!)")
        lines = [line for path in sorted(self.folder.glob("*.txt")) for line in _bad_lines(path.read_text())]
        bad = Counter(line[:160] for line in lines if not known.search(line))
        return [f"{count} × logged: {line}" for line, count in bad.most_common(5)]

    def report(self) -> str:
        """What stood where when a drill got stuck."""
        notes = {path.name: path.read_text()[-1500:] for path in self.folder.glob("*.txt")}
        return f"{json.dumps(self.fates())}, {self.kept()} kept\n" + "\n".join(
            f"--- {name}\n{text}" for name, text in notes.items()
        )


def _bad_lines(text: str) -> Iterator[str]:
    """Entries at ERROR and above without their time, and tracebacks that no entry announced."""
    announced = False
    for line in text.splitlines():
        if entry := _ENTRY.match(line):
            announced = entry[1] in ("ERROR", "CRITICAL")
            if announced:
                yield line[entry.end() :].strip(" /:]")
        elif line.startswith("Traceback (most recent call last)") and not announced:
            yield f"{line} …"


@contextlib.contextmanager
def stage(
    *,
    server: str | None = None,
    redis: str | None = None,
    lease: int = LEASE_SECONDS,
    connections: int = 1,
    sink: tuple[str, ...] = (),
    broken: str = "",
    **more: str,
) -> Iterator[Stage]:
    """A stage with a fresh database; ``server`` and ``redis`` name other than the found ones, ``more`` is environment.

    ``broken`` names what no program on it has (``rigs.RIGS``).
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-drill-")))
        env = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPATH": str(ROOT),
            # A program that starts in a third of the time is killed more often.
            "PYTHONPYCACHEPREFIX": str(ROOT / "var" / "pycache"),
            "ENV_FILE": os.devnull,
            "HELIOGRAPH_ENV": "embedded",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "REDIS_URL": redis or stack.enter_context(services.broker()),
            "REDIS_PREFIX": f"drill-{uuid.uuid4().hex[:8]}:",
            "VAR_DIR": str(folder),
            "SECRET_KEY": "only-for-drills",
            "DELIVERY_CONNECTIONS": str(connections),
            "DELIVERY_LEASE_SECONDS": str(lease),
            **more,
        }
        server = server or stack.enter_context(services.database())
        env["DATABASE_URL"] = stack.enter_context(databases.fresh(server, env))
        made = Stage(folder, env, sink=sink, broken=broken)
        stack.callback(made.close)
        yield made
