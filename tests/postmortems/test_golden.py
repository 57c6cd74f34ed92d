"""Golden runs: what was computed once comes to the same for ever (R-904, reliability.md 5.3, "Policy change")."""

from __future__ import annotations

import gzip
import json

import pytest

from postmortems.credits.arithmetic.assess import ALGORITHM, Assessor, assess
from postmortems.credits.arithmetic.case import Case, digest
from tests.postmortems.golden import make

RUNS = json.loads(gzip.decompress(make.path(1).read_bytes()))


def test_there_are_enough_of_them_and_of_every_kind() -> None:
    assert len(RUNS) >= 500
    assert sum(run["result"]["amount"] > 0 for run in RUNS) >= 400
    lines = [line for run in RUNS for line in run["result"]["lines"]]
    assert min(
        sum(bool(line["left_out"]) for line in lines),
        sum(bool(line["uptime"] and line["points"]) for line in lines),
        sum(line["earlier"] > 0 for line in lines),
        sum(len(line["references"]) > 1 for line in lines),
        sum(line["running"] for line in lines),
    ) >= 20  # fmt: skip


def test_golden_runs_reproduce_to_the_byte() -> None:
    assert ALGORITHM == 1, "Another algorithm: write its golden runs, and keep computing these by the one before."
    assessor = Assessor()
    for run in RUNS:
        case = Case.of(run["case"])
        assert make.kept(case, run["with_running"]) == run
        result = assessor.assess(case, with_running=run["with_running"]).as_json()
        assert digest([case.as_json(), result]) == run["digest"]
        # A case that was kept goes through a database, whose JSON knows no order of keys.
        again = Case.of(json.loads(json.dumps(case.as_json(), sort_keys=True)))
        assert assess(again, with_running=run["with_running"]).as_json() == run["result"]


def test_golden_runs_are_written_once() -> None:
    before = make.path(1).read_bytes()
    with pytest.raises(FileExistsError, match=r"runs-1\.json\.gz is there: golden runs are written once\."):
        make.write(1)
    assert make.path(1).read_bytes() == before
