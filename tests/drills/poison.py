"""F29: a message that kills every worker that compiles it, as one that takes 4 GB of memory does.

A supervisor starts the dead again each time. It may kill three; then it is a dead letter, and
everybody else has been told.
"""

from __future__ import annotations

from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict

CREW = ("east", "west")
#: Workers it may kill, and the code a supervisor sees when the kernel takes one for its memory.
CAP, KILLED = 3, 137
DEAD = "Three workers died over it."
#: It is worth an alarm.
ALARM = (r"three workers died over it",)
MOVING = {"blocked", "pending", "leased", "sending"}


def poison(*, readers: int, broken: str = "") -> Verdict:
    """One among many: everybody else is told, extra copies ≤ workers it killed."""
    with stage(broken=broken) as theatre:
        told = theatre.readers(readers)
        victim = told.pop(readers // 2)
        rig = f"poison:{victim}"
        for name in CREW:
            theatre.worker(name, rig=rig)
        theatre.dispatcher(rig=rig)
        theatre.newsroom()
        assert theatre.wait_for(lambda: all(map(theatre.listens, CREW)), seconds=60), theatre.report()
        theatre.tell("Investigating")
        theatre.wait_for_mail(1)
        killed = _supervise(theatre, rig, seconds=240)
        if not 0 < killed <= CAP:
            theatre.faults.append(f"{killed} programs died of it")
        if theatre.fates() != {"accepted": readers - 1, "dead": 1}:
            theatre.faults.append(f"rows {theatre.fates()}, expected {readers - 1} accepted and 1 dead")
        why = "SELECT s.address || ': ' || d.reason FROM notifications_delivery d JOIN notifications_subscriber s"
        if (said := theatre.ask(f"{why} ON s.id = d.subscriber_id WHERE d.fate = 'dead'")) != f"{victim}: {DEAD}":
            theatre.faults.append(f"dead is {said!r}")
        return theatre.judge("poison", told, ["Investigating"], bound=min(killed, CAP), errors=ALARM)


def _supervise(theatre: Stage, rig: str, *, seconds: float) -> int:
    """Start the dead again until everything has come to rest, or too many died; returns how many did."""
    killed = 0

    def rests() -> bool:
        nonlocal killed
        for name in (*CREW, "dispatch"):
            if theatre.programs[name].poll() != KILLED:
                continue
            killed += 1
            if name == "dispatch":
                theatre.dispatcher(rig=rig)
            else:
                theatre.worker(name, rig=rig)
        return killed > CAP or not MOVING & set(theatre.fates())

    theatre.wait_for(rests, seconds=seconds, every=0.2)
    return killed


DRILLS = (
    Drill(
        "poison",
        poison,
        short={"readers": 1_000},
        full={"readers": 10_000},
        broken="no-cap",
        when_broken={"readers": 200},
    ),
)
