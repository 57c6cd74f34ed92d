"""F30: SIGTERM again and again, as a deploy sends it. What is in flight is finished, the rest handed back."""

from __future__ import annotations

import random
import signal
import time

from tests.drills.programme import Drill
from tests.drills.stage import stage
from tests.drills.verdict import Verdict

CREW = ("east", "west")


def rolling(*, readers: int, restarts: int, broken: str = "") -> Verdict:
    """Workers and the dispatcher in turn: 0 lost, 0 twice, and nobody takes longer than 25 s to leave."""
    luck = random.Random(5)
    with stage(broken=broken, connections=4) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*CREW)
        theatre.tell("Investigating")
        theatre.wait_for_mail(100)
        slowest = 0.0
        for blow in range(restarts):
            time.sleep(luck.uniform(0.1, 0.4))
            victim = (*CREW, "dispatch")[blow % 3]
            began = time.monotonic()
            theatre.strike(victim, signal.SIGTERM)
            slowest = max(slowest, time.monotonic() - began)
            theatre.dispatcher() if victim == "dispatch" else theatre.worker(victim)
        if theatre.kept() >= readers:
            theatre.faults.append("the restarts came too late to hurt anybody")
        if slowest > 25.0:
            theatre.faults.append(f"a program took {slowest:.0f} s to leave")
        theatre.wait_for_rest()
        return theatre.judge("sigterm", told, ["Investigating"], bound=0)


DRILLS = (
    Drill(
        "sigterm",
        rolling,
        short={"readers": 8_000, "restarts": 6},
        full={"readers": 50_000, "restarts": 20},
        broken="no-last-words",
    ),
)
