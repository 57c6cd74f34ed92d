"""What the benchmarks share: a figure, its line, and measuring without fooling ourselves."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.db import connection


@dataclass(frozen=True)
class Figure:
    """One measured figure; ``of`` names what ``ratio`` compares it with, in the same run."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    of: str = ""

    @property
    def line(self) -> str:
        compared = "" if self.ratio is None else f" ratio={self.ratio:.2f} of={self.of}"
        return f"bench {self.name} {self.value:.6g} {self.unit}{compared}"


class MissingError(Exception):
    """A program that a benchmark compares with is not installed; the words say which package has it."""


@contextlib.contextmanager
def database() -> Iterator[None]:
    """A database of our own, of the kind the environment names, gone afterwards."""
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


def cpu_ms(work: Callable[[], object], rounds: int = 9) -> float:
    """CPU milliseconds of this process for one call, median of ``rounds`` after one to warm up."""
    work()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append((time.process_time() - start) * 1_000)
    return median(spent)


def tree_cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and all its descendants so far."""
    total = _ticks(pid)
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            total += tree_cpu_seconds(int(child)) * os.sysconf("SC_CLK_TCK")
    return total / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> float:
    # The name in parentheses may hold spaces; utime and stime follow it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return float(fields[11]) + float(fields[12])
