"""F01: kill -9 while it is written down who is told, and while they are told."""

from __future__ import annotations

import random
import time

from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict


def kill_senders(*, readers: int, workers: int, kills: int, connections: int = 1, broken: str = "") -> Verdict:
    """Workers and the dispatcher are killed in turn; extra copies ≤ kills × connections, byte for byte the same."""
    luck = random.Random(1)
    names = [f"worker{number}" for number in range(workers)]
    with stage(broken=broken, connections=connections) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*names)
        theatre.tell("Investigating")
        theatre.wait_for_mail(1)
        for blow in range(kills):
            time.sleep(luck.uniform(0.1, 0.6))
            _kill(theatre, (*names, "dispatch")[blow % (workers + 1)])
        if theatre.kept() >= readers:
            theatre.faults.append("the kills came too late to hurt anybody")
        theatre.wait_for_rest()
        _compare(theatre, "accepted", readers)
        return theatre.judge("kill-9", told, ["Investigating"], bound=kills * connections)


def kill_the_materialiser(*, readers: int, kills: int, broken: str = "") -> Verdict:
    """The one program that writes recipients down is killed between and within chunks: every row once."""
    luck = random.Random(2)
    with stage(broken=broken) as theatre:
        told = theatre.readers(readers)
        theatre.newsroom()
        theatre.tell("Investigating")
        for _ in range(kills):
            before = _rows(theatre)
            theatre.dispatcher("--eager", rig="short-chunks")
            if not theatre.wait_for(lambda: _rows(theatre) > before, seconds=30, every=0.005):  # noqa: B023 -- called now
                break
            time.sleep(luck.uniform(0.0, 0.1))
            theatre.strike("dispatch")
        if _rows(theatre) >= readers:
            theatre.faults.append("the kills came too late to hurt anybody")
        theatre.dispatcher("--eager")
        theatre.wait_for_rest()
        _compare(theatre, "accepted", readers)
        return theatre.judge("kill-materialiser", told, ["Investigating"], bound=kills)


def _kill(theatre: Stage, name: str) -> None:
    theatre.strike(name)
    if name == "dispatch":
        theatre.dispatcher()
    else:
        theatre.worker(name)


def _rows(theatre: Stage) -> int:
    return int(theatre.ask("SELECT count(*) FROM notifications_delivery"))


def _compare(theatre: Stage, fate: str, readers: int) -> None:
    if theatre.fates() != {fate: readers}:
        theatre.faults.append(f"rows {theatre.fates()}, expected {readers} {fate}")


DRILLS = (
    Drill(
        "kill-9",
        kill_senders,
        short={"readers": 6_000, "workers": 2, "kills": 8},
        full={"readers": 50_000, "workers": 7, "kills": 20},
        broken="marks-by-the-batch",
    ),
    Drill(
        "kill-materialiser",
        kill_the_materialiser,
        short={"readers": 12_000, "kills": 3},
        full={"readers": 50_000, "kills": 10},
        broken="cursor-first",
        when_broken={"kills": 6},
    ),
)
