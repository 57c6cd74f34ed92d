"""F04: everything a relay can do to us. Nobody is missed, no recipient is punished for what is our fault."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict, total

CREW = ("east", "west")
#: The relay refuses us as a whole: that is worth an alarm.
OURS = (r"The relay refuses", r"recipients refused with", r"does not want to talk", r"No connection to the relay")
#: What the relay does, to how many, and until it has done it so often.
MATRIX = (
    ("busy", "", 2),
    ("late", "6", 1),
    ("login", "", 2),
    ("later", "0.2", 5),
    ("hang", "0.01", 1),
    ("reset", "0.01", 1),
    ("drop", "0.02", 1),
    ("nobody", "1.0", 60),
)
#: Nobody gets as far as a recipient.
AT_THE_DOOR = ("busy", "late")
#: For every push: what asks most of us.
SHORT = tuple(row for row in MATRIX if row[0] in ("login", "later", "drop", "nobody"))


def matrix(*, readers: int, faults: Sequence[tuple[str, str, int]], broken: str = "") -> Verdict:
    """One fault after the other, each during an update of its own, then repaired: extra copies only of what was
    accepted and not said, and nobody suppressed.
    """
    patience = {"SMTP_COMMAND_TIMEOUT": "2", "SMTP_CONNECT_TIMEOUT": "2"}
    with stage(connections=2, broken=broken, **patience) as theatre:
        told = theatre.readers(readers)
        theatre.crew(*CREW)
        verdicts = []
        for fault, amount, often in faults:
            event = "connect" if fault in AT_THE_DOOR else fault
            before, struck = len(theatre.mails()), theatre.events()[event]
            theatre.suffer(fault, amount)
            theatre.tell("Investigating", fault)
            if not theatre.wait_for(lambda: theatre.events()[event] >= struck + often, seconds=40):  # noqa: B023 -- called now
                theatre.faults.append(f"{fault} hurt nobody")
            if fault in ("hang", "reset", "drop", "later"):
                # These strike some: the others are to come through meanwhile.
                theatre.wait_for_mail(before + readers // 2, seconds=40)
            theatre.suffer()
            _rest(theatre, seconds=20 if broken else 120)
            hits = theatre.events()[fault] - struck if fault == "drop" else 0
            _nobody_punished(theatre)
            mails = theatre.mails()[before:]
            verdicts.append(theatre.judge("smtp", told, ["Investigating"], bound=hits, errors=OURS, mails=mails))
        return total(verdicts)


def _rest(theatre: Stage, *, seconds: float) -> None:
    """Until everything has come to rest; waits of the queue are cut short."""
    sooner = "UPDATE notifications_delivery SET next_at = now() WHERE fate = 'pending' AND next_at > now() RETURNING 1"
    end = time.monotonic() + seconds
    while time.monotonic() < end and set(theatre.fates()) & {"blocked", "pending", "leased", "sending"}:
        theatre.ask(sooner)
        time.sleep(0.5)
    theatre.wait_for_rest(seconds=2)


def _nobody_punished(theatre: Stage) -> None:
    punished = theatre.ask("SELECT count(*) FROM notifications_subscriber WHERE bounced_at IS NOT NULL")
    if punished:
        theatre.faults.append(f"{punished} people are not written to any more")


DRILLS = (
    Drill(
        "smtp",
        matrix,
        short={"readers": 200, "faults": SHORT},
        full={"readers": 5_000, "faults": MATRIX},
        broken="no-guard",
        when_broken={"faults": MATRIX[-1:]},
    ),
)
