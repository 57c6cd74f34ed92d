"""Fan-out: one announcement to many, beside plain smtplib and django-post_office (performance.md B).

Same relay, same words, same number of connections, one after the other in one run. Ours is the
real thing: publish, Celery workers woken by the bell, rows in PostgreSQL, one mark before and one
after each message.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Figure
from tests.drills.stage import ROOT, Stage, stage

CONNECTIONS = 4
WORKERS = ("north", "south")


@dataclass(frozen=True)
class Run:
    rate: float
    cpu: float
    first: float


def figures(count: int | None = None) -> list[Figure]:
    """Send BENCH_MAILS (20,000) or ``count`` mails each way; the figures."""
    count = count or int(os.environ.get("BENCH_MAILS", "20000"))
    runs = {"smtplib": _rival("smtplib", count), "post_office": _rival("post_office", count), "ours": _ours(count)}
    return list(_compared(runs))


def _compared(runs: dict[str, Run]) -> Iterable[Figure]:
    ours = runs["ours"]
    for name in ("smtplib", "post_office"):
        run = runs[name]
        yield Figure(f"fanout-{name}", run.rate, "mails/s")
        yield Figure(f"fanout-{name}-cpu", run.cpu * 1e6, "us/mail")
        yield Figure(f"fanout-{name}-first", run.first, "s")
    for name in ("smtplib", "post_office"):
        yield Figure("fanout", ours.rate, "mails/s", ours.rate / runs[name].rate, name)
        yield Figure("fanout-cpu", ours.cpu * 1e6, "us/mail", ours.cpu / runs[name].cpu, name)
    yield Figure("fanout-first", ours.first, "s", ours.first / runs["post_office"].first, "post_office")


def _rival(way: str, count: int) -> Run:
    with _warm_stage(count=0) as theatre:
        sample = theatre.folder / "sample.eml"
        sample.write_bytes(_sample(theatre))
        theatre.env["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=theatre.env, check=True)
        before = theatre.kept()
        theatre.start("newsroom", "-m", "tests.bench.rivals", way, str(count), str(sample))
        assert theatre.hear("newsroom") == "ready"
        began = time.time()
        theatre.say("newsroom", "go")
        cpu = float(theatre.hear("newsroom"))
        assert theatre.kept() - before == count, theatre.report()
        return _run(theatre, began, count, cpu, skip=before)


def _ours(count: int) -> Run:
    with _warm_stage(count=count) as theatre:
        pids = [theatre.programs[name].pid for name in WORKERS]
        cpu = sum(map(_cpu_seconds, pids))
        began = time.time()
        theatre.tell("Monitoring")
        assert theatre.wait_for(lambda: theatre.kept() >= count, seconds=900), theatre.report()
        theatre.wait_for_rest()
        return _run(theatre, began, count, sum(map(_cpu_seconds, pids)) - cpu, skip=0)


@contextlib.contextmanager
def _warm_stage(count: int) -> Iterator[Stage]:
    """A stage whose relay notes times only; with readers: workers that have started."""
    with stage(lease=30, connections=CONNECTIONS, sink=("--light",)) as theatre:
        theatre.newsroom()
        if count:
            theatre.readers(count)
            for name in WORKERS:
                theatre.worker(name)
            assert theatre.wait_for(lambda: all(map(theatre.listens, WORKERS)), seconds=60), theatre.report()
        yield theatre


def _sample(theatre: Stage) -> bytes:
    """The mail that everybody sends: ours, as one reader gets it."""
    code = "import django; django.setup(); from tests.drills.newsroom import sample; print(sample(), end='')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=theatre.env, check=True, capture_output=True)
    return done.stdout.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _run(theatre: Stage, began: float, count: int, cpu: float, *, skip: int) -> Run:
    moments = [float(line.split()[0]) for line in theatre.log.read_text().splitlines()[skip:]]
    return Run(rate=count / (moments[-1] - began), cpu=cpu / count, first=moments[0] - began)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
