"""F07: the relay is away for a while, with many waiting. Nothing is lost, nothing is worn out by trying.

The full form takes ten minutes, not the hour of reliability.md: how often the relay is tried does
not change after the first half minute, and nothing else in it grows with time. ``seconds`` is an
argument for whoever wants the hour; the bound grows with it (at most 245 tries of the 300).
"""

from __future__ import annotations

import math
import time

from notifications.breaker import LONGEST_REST, ROW
from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict

CREW = ("east", "west")
#: So often a message may have been begun: once when the relay went away, once when it came back, and one spare.
FEW_ATTEMPTS = 3
RESTING = "SELECT count(*) FROM notifications_channelstate WHERE resting_since IS NOT NULL"


def outage(*, readers: int, seconds: float, drained: float, broken: str = "") -> Verdict:
    """Away in the middle of an update; tried at most once in 15 s, by all processes together.

    ``drained``: seconds after its return within which everybody has been told.
    """
    with stage(broken=broken) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*CREW)
        theatre.tell("Investigating")
        theatre.wait_for_mail(1)
        theatre.suffer("away")
        time.sleep(seconds)
        _while_away(theatre, readers, probes=theatre.events()["away"], bound=math.ceil(seconds / LONGEST_REST) + ROW)
        theatre.suffer()
        theatre.wait_for_rest(seconds=drained)
        _afterwards(theatre, readers)
        return theatre.judge("outage", told, ["Investigating"], bound=0)


def _while_away(theatre: Stage, readers: int, *, probes: int, bound: int) -> None:
    if theatre.kept() > readers // 2:
        theatre.faults.append("the relay went away too late to hurt anybody")
    if not 0 < probes <= bound:
        theatre.faults.append(f"the relay was tried {probes} times while it was away, not 1 to {bound} times")
    if theatre.ask(RESTING) != 1:
        theatre.faults.append("the console does not say that e-mail rests")


def _afterwards(theatre: Stage, readers: int) -> None:
    if theatre.fates() != {"accepted": readers}:
        theatre.faults.append(f"rows {theatre.fates()}, expected {readers} accepted")
    if (most := theatre.ask("SELECT max(attempts) FROM notifications_delivery")) > FEW_ATTEMPTS:
        theatre.faults.append(f"a message was begun {most} times")
    if theatre.ask(RESTING) != 0:
        theatre.faults.append("the console says that e-mail still rests")


DRILLS = (
    Drill(
        "outage",
        outage,
        short={"readers": 2_000, "seconds": 35.0, "drained": 60.0},
        full={"readers": 50_000, "seconds": 600.0, "drained": 600.0},
        broken="no-breaker",
        when_broken={"readers": 500, "seconds": 5.0},
    ),
)
