"""R-905: kill -9 in the middle of approving, closing and applying thousands of credits; then somebody tries again.

Every credit ends on its invoice, in one batch, and each of its steps is posted once.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

from tests.drills.databases import ROOT
from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict

ACTS = ("approve", "close", "apply")
SET_UP = "import sys; from tests.drills.desk import propose; propose(int(sys.argv[1]))"
AUDIT = ("manage.py", "audit_credits", "--json", "--skip-checks")
STEPS = 3


def kill_finance(*, credits: int, kills: int, broken: str = "") -> Verdict:
    """Each act is killed ``kills`` times, at any moment of it, and then done in peace."""
    luck = random.Random(5)
    with stage(broken=broken) as theatre:
        subprocess.run([sys.executable, "-c", SET_UP, str(credits)], cwd=ROOT, env=theatre.env, check=True)
        theatre.start("desk", "-m", "tests.drills.desk")
        assert theatre.hear("desk") == "ready", theatre.report()
        hurt = 0
        for act in ACTS:
            for _ in range(kills):
                hurt += _killed(theatre, act, after=luck.uniform(0.02, 0.6))
            if code := _done(theatre, act):
                theatre.faults.append(f"{act} ended with {code}")
        if hurt < len(ACTS):
            theatre.faults.append("the kills came too late to hurt anybody")
        return _judged(theatre, credits)


def _killed(theatre: Stage, act: str, *, after: float) -> bool:
    """Whether it died of it; otherwise it was quicker."""
    child = _begun(theatre, act)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return theatre.hear("desk") == f"over -{signal.SIGKILL:d}"


def _done(theatre: Stage, act: str) -> int:
    _begun(theatre, act)
    return int(theatre.hear("desk").removeprefix("over "))


def _begun(theatre: Stage, act: str) -> int:
    theatre.say("desk", act)
    return int(theatre.hear("desk").removeprefix("begun "))


def _judged(theatre: Stage, credits: int) -> Verdict:
    """``lost``: credits without each step posted; ``duplicates``: what is there more than once."""
    steps = "SELECT credit_id, count(*) n FROM postmortems_posting GROUP BY credit_id"
    whole = theatre.ask(
        f"SELECT count(*) FROM postmortems_credit c JOIN ({steps}) p ON p.credit_id = c.id"
        " WHERE c.state = 'applied' AND p.n = %s",
        STEPS,
    )
    more = theatre.ask(f"SELECT coalesce(sum(n - %s), 0) FROM ({steps}) p WHERE n > %s", STEPS, STEPS)
    batches = theatre.ask("SELECT count(*) FROM postmortems_batch")
    deeds = theatre.ask("SELECT count(*) - count(DISTINCT (credit_id, deed)) FROM postmortems_creditdeed")
    extra = theatre.ask("SELECT count(*) FROM postmortems_credit") - credits
    audit = subprocess.run([sys.executable, *AUDIT], cwd=ROOT, env=theatre.env, capture_output=True, text=True)
    found = [] if not audit.returncode else [one["words"] for one in json.loads(audit.stdout)["findings"]]
    return Verdict(
        "credits",
        lost=credits - whole,
        duplicates=int(more) + batches - 1 + deeds + extra,
        faults=(*theatre.faults, *found),
    )


DRILLS = (
    Drill(
        "credits",
        kill_finance,
        short={"credits": 800, "kills": 4},
        full={"credits": 10_000, "kills": 15},
        broken="posts-later",
    ),
)
