"""F12: "resolved" is published in the middle of a fan-out. Nobody hears it before, or without, the beginning."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence

from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict, total

CREW = ("east", "west")
WORDS = ["Investigating", "Resolved"]


def resolve(*, readers: int, shares: Sequence[float], kills: int, broken: str = "") -> Verdict:
    """In a lane of its own for each share: resolved when so many have heard of it, with kills around it."""
    luck = random.Random(4)
    with stage(broken=broken) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*CREW)
        verdicts = []
        for round_, share in enumerate(shares):
            before = len(theatre.mails())
            theatre.tell("Investigating", f"lane{round_}")
            theatre.wait_for_mail(before + int(share * readers))
            theatre.tell("Resolved", f"lane{round_}")
            for blow in range(kills):
                time.sleep(luck.uniform(0.1, 0.4))
                victim = CREW[blow % 2]
                theatre.strike(victim)
                theatre.worker(victim)
            theatre.wait_for_rest(seconds=15 if broken else 150)
            mails = theatre.mails()[before:]
            _overtook_some(theatre, len(mails), readers)
            verdicts.append(theatre.judge("resolve-mid-fan-out", told, WORDS, bound=kills, mails=mails))
        return total(verdicts)


def zombies(*, readers: int, zombies: int, both: bool = False, broken: str = "") -> Verdict:
    """Workers are stopped for longer than a lease and then go on: extra copies and late ones ≤ 1 for each.

    ``both``: at the same moment, and until others have told everybody: what is in their hands is certainly old.
    """
    with stage(broken=broken) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*CREW)
        theatre.tell("Investigating")
        theatre.wait_for_mail(readers // 4)
        # Before everybody is written down a worker may just have nothing in its hands.
        unwritten = "SELECT count(*) FROM notifications_announcement WHERE expanded_at IS NULL"
        theatre.wait_for(lambda: theatre.ask(unwritten) == 0, seconds=60, every=0.02)
        if theatre.kept() >= readers:
            theatre.faults.append("the first stop came too late to hurt anybody")
        for blow in range(zombies):
            victims = CREW if both else CREW[blow % 2 :][:1]
            for name in victims:
                os.kill(theatre.programs[name].pid, signal.SIGSTOP)
            if not blow:
                theatre.tell("Resolved")
            time.sleep(theatre.lease + 2.5)
            if both:
                theatre.wait_for_rest()
            for name in victims:
                os.kill(theatre.programs[name].pid, signal.SIGCONT)
            time.sleep(0.3)
        theatre.wait_for_rest()
        bound = zombies * len(victims)
        return theatre.judge("zombies", told, WORDS, bound=bound, order_bound=bound)


def _overtook_some(theatre: Stage, left: int, readers: int) -> None:
    if not readers < left < 2 * readers:
        theatre.faults.append(f"{left} messages for {readers} readers: nobody, or everybody, was overtaken")


DRILLS = (
    Drill(
        "resolve-mid-fan-out",
        resolve,
        short={"readers": 5_000, "shares": (0.5,), "kills": 4},
        full={"readers": 16_000, "shares": (0.1, 0.5, 0.9), "kills": 10},
        broken="no-order",
    ),
    Drill(
        "zombies",
        zombies,
        short={"readers": 4_000, "zombies": 1},
        full={"readers": 30_000, "zombies": 8},
        broken="no-fence",
        when_broken={"readers": 2_000, "both": True},
    ),
)
