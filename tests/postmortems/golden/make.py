"""Writes the golden runs of the algorithm in force: ``python -m tests.postmortems.golden.make``.

Once written a file is never written again: assessments that were kept must reproduce for ever. Another ALGORITHM
gets another file beside it.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from random import Random
from typing import Any

from postmortems.credits.arithmetic.assess import ALGORITHM, assess
from postmortems.credits.arithmetic.case import Case, digest
from postmortems.credits.arithmetic.wording import explain
from tests.postmortems.worlds import ALL, world

FOLDER = Path(__file__).parent
RUNS = 600


def path(algorithm: int) -> Path:
    return FOLDER / f"runs-{algorithm}.json.gz"


def runs() -> list[dict[str, Any]]:
    """Cases in which something happened: what they read, what they came to, its name, and the amounts in words."""
    random, found = Random(20261001), []
    while len(found) < RUNS:
        bits = random.choice((0, 12, 60, ALL, ALL, random.randrange(ALL)))
        made = world(random.randrange(1, 6), random.randrange(4), random.randrange(1, 9), bits, random.randrange(2**32))
        case = random.choice(made.months)
        with_running = random.randrange(2) == 1
        result = assess(case, with_running=with_running)
        # A few of nothing are enough.
        if result.lines and (result.amount or len(found) % 5 == 0):
            found.append(kept(case, with_running))
    return found


def kept(case: Case, with_running: bool) -> dict[str, Any]:
    result = assess(case, with_running=with_running)
    words = explain(case, result)
    return {
        "case": case.as_json(),
        "with_running": with_running,
        "result": result.as_json(),
        "digest": digest([case.as_json(), result.as_json()]),
        "amounts": [words["base"][-1], *(line[-1] for line in words["lines"]), words["total"][-1]],
    }


def write(algorithm: int = ALGORITHM) -> Path:
    """Refuses to write what is there."""
    target = path(algorithm)
    if target.exists():
        raise FileExistsError(f"{target.name} is there: golden runs are written once.")
    content = json.dumps(runs(), separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()
    target.write_bytes(gzip.compress(content, 9, mtime=0))
    return target


if __name__ == "__main__":
    try:
        print(write())
    except FileExistsError as there:
        sys.exit(str(there))
