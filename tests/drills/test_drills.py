"""Breaking things on purpose, with real processes on real PostgreSQL and Redis (reliability.md 2.2).

Every bound is derived: extra copies ≤ connections that had a message open, summed over the faults.
The short forms run here; ``make drills`` runs the full ones.
"""

from __future__ import annotations

import pytest

from tests.drills.programme import Drill, programme

pytestmark = pytest.mark.drill
PROGRAMME = programme()
#: Asked at every push, in some four minutes; the others of the programme are for ``make drills``.
AT_EVERY_PUSH = (
    "kill-9",
    "broker-forgets",
    "database-restart",
    "resolve-mid-fan-out",
    "sigterm",
    "smtp",
    "sms-accept-then-timeout",
    "webhooks",
    "webhooks-inner",
    "double-click",
    "three-beats",
    "no-beat",
    "credits",
)
DRILLS = [drill for drill in PROGRAMME if drill.name in AT_EVERY_PUSH]
assert len(DRILLS) == len(AT_EVERY_PUSH), "a drill was renamed"
#: Those of all broken machines that are quickly seen through; RECORD.md has the others.
CAUGHT = [drill for drill in PROGRAMME if drill.name in ("webhooks-inner", "double-click", "three-beats", "credits")]


@pytest.mark.parametrize("drill", DRILLS, ids=[drill.name for drill in DRILLS])
def test_nobody_is_missed_and_nobody_told_twice(drill: Drill) -> None:
    verdict = drill.run()
    print(f"\n{verdict}", flush=True)
    assert verdict.good


@pytest.mark.parametrize("drill", CAUGHT, ids=[f"{drill.name}-{drill.broken}" for drill in CAUGHT])
def test_a_drill_can_fail(drill: Drill) -> None:
    """On a machine that lacks what the drill is about, it says so."""
    verdict = drill.run_broken()
    print(f"\ndrill {drill.name} broken={drill.broken} caught={'no' if verdict.good else 'yes'} {verdict.counts}")
    assert not verdict.good
