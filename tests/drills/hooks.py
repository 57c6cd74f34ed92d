"""F06, S20: five hundred receivers of webhooks, every third of them bad in its own way.

50 tarpits (a byte a second), 50 that redirect to inner addresses, 20 whose answer has no end, 20
gzip bombs, 20 that reset; 340 are good. The good ones hear everything, each in order and soon; the
memory of the sender stays as it is; nobody connects to an address that is not a receiver's.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.drills.databases import ROOT
from tests.drills.programme import Drill
from tests.drills.stage import Stage, stage
from tests.drills.verdict import Verdict

#: How many of a hundred receivers are what; the others are good.
BAD = {"tarpit": 10, "redirect": 10, "endless": 4, "bomb": 4, "reset": 4}
LANES = ("north", "south")
WORDS = ("Investigating", "Identified", "Monitoring", "Resolved")
P99_SECONDS = 5.0
GROWTH_MB = 50.0
PATIENCE_SECONDS = 60.0
ENTER = """
import sys
import django; django.setup()
from django.utils import timezone
from notifications import vault
from notifications.channels.webhook import place
from notifications.models import Endpoint, Subscriber
then, secret = timezone.now(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
rows = Subscriber.objects.bulk_create(
    Subscriber(channel="webhook", address=url, created_at=then, confirmed_at=then) for url in sys.stdin.read().split()
)
Endpoint.objects.bulk_create(
    Endpoint(
        subscriber=row,
        url=vault.seal(row.address, place("url", row.public_id)),
        secret=vault.seal(secret, place("secret", row.public_id)),
        created_at=then,
    )
    for row in rows
)
"""


class Heard(NamedTuple):
    """One request that a receiver kept."""

    at: float
    path: str
    id: str
    sequence: int
    lane: str


def hostile(
    *, receivers: int, updates: int, pause: float, lease: int = 30, name: str = "webhooks", broken: str = ""
) -> Verdict:
    """Updates in two lanes, one after the other with a pause between; then until every good one has all of them."""
    outer, inner = _free(), _free()
    with stage(
        lease=lease,
        broken=broken,
        WEBHOOK_ALLOW_HTTP="1",
        # One address of this machine is the internet; the port beside it is not asked to open.
        WEBHOOK_ALLOW_NETWORKS="127.0.0.1/32",
        WEBHOOK_PORTS=str(outer),
    ) as theatre:
        log, connections = theatre.folder / "hooks.log", theatre.folder / "connections.log"
        theatre.start(
            "receivers", "-m", "tests.drills.receivers", "--port", str(outer), "--inner", str(inner),
            "--log", str(log), rigged=False,
        )  # fmt: skip
        _enter(theatre, outer, ["/good/warm"])
        theatre.dispatcher("--eager", rig=f"watched:{connections}")
        theatre.newsroom()
        # A program that is still starting says nothing about receivers, nor about what it takes later.
        theatre.tell("Monitoring", "warm")
        theatre.wait_for(lambda: _kept_by(log, ["/good/warm"]) == 1, seconds=60)
        memory = Memory(theatre.programs["dispatch"].pid)
        paths = _mixed(receivers)
        good = [path for path in paths if path.startswith("/good/")]
        _enter(theatre, outer, paths)
        told: dict[tuple[str, int], float] = {}
        for number in range(updates):
            lane, place = LANES[number % 2], number // 2
            told[lane, place + 1] = time.time()
            theatre.tell(WORDS[place % len(WORDS)], lane)
            theatre.wait_for(memory.look, seconds=pause)
        complete = len(good) * updates
        theatre.wait_for(lambda: memory.look() or _kept_by(log, good) >= complete, seconds=PATIENCE_SECONDS, every=0.2)
        return _judge(name, theatre, read(log), good, told, memory, _strays(connections))


class Memory:
    """What a program takes, in megabytes, from the first time it had something to do."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self.first = self.most = self._now()

    @property
    def growth(self) -> float:
        return self.most - self.first

    def look(self) -> bool:
        self.most = max(self.most, self._now())
        return False

    def _now(self) -> float:
        line = next(line for line in self._status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def read(log: Path) -> list[Heard]:
    rows = (line.split(" ") for line in (log.read_text() if log.exists() else "").splitlines())
    return [Heard(float(at), path, id, int(sequence), lane) for at, path, id, sequence, lane in rows]


def _mixed(count: int) -> list[str]:
    """The paths of receivers: in every hundred the bad ones spread among the good."""
    bad = [manner for manner, share in BAD.items() for _ in range(share)]
    hundred = [bad.pop() if number % 3 == 2 and bad else "good" for number in range(100)]
    return [f"/{hundred[number % 100]}/{number}" for number in range(count)]


def _enter(theatre: Stage, port: int, paths: list[str]) -> None:
    urls = "\n".join(f"http://127.0.0.1:{port}{path}" for path in paths)
    subprocess.run([sys.executable, "-c", ENTER], cwd=ROOT, env=theatre.env, input=urls, text=True, check=True)


def _kept_by(log: Path, good: list[str]) -> int:
    known = set(good)
    return len({(heard.path, heard.id) for heard in read(log) if heard.path in known})


def _strays(connections: Path) -> dict[str, int]:
    """Addresses of other machines that the sender wanted to connect to, and how often."""
    counted: dict[str, int] = defaultdict(int)
    for line in connections.read_text().splitlines() if connections.exists() else ():
        counted[line] += 1
    return counted


def _judge(
    name: str,
    theatre: Stage,
    kept: list[Heard],
    good: list[str],
    told: Mapping[tuple[str, int], float],
    memory: Memory,
    strays: Mapping[str, int],
) -> Verdict:
    heard: dict[str, list[Heard]] = defaultdict(list)
    for each in kept:
        if each.lane != "warm":
            heard[each.path].append(each)
    delays = sorted(
        min((each.at for each in heard[path] if (each.lane, each.sequence) == update), default=float("inf")) - at
        for path in good
        for update, at in told.items()
    )
    p99 = delays[int(len(delays) * 0.99)]
    trespassers = len(heard.get("inner", ()))
    lost = sum({(each.lane, each.sequence) for each in heard[path]} != set(told) for path in good)
    print(
        f"# {name}: good p50 {delays[len(delays) // 2]:.2f} s, p99 {p99:.2f} s, most {delays[-1]:.2f} s; memory "
        f"{memory.first:.0f} MB + {memory.growth:.0f} MB; inner {trespassers}, elsewhere {sum(strays.values())}; "
        f"{sum(len(each) for path, each in heard.items() if path not in set(good))} tries at bad ones",
        flush=True,
    )
    if p99 >= P99_SECONDS:
        theatre.faults.append(f"good ones heard after {p99:.1f} s (p99)")
    if memory.growth >= GROWTH_MB:
        theatre.faults.append(f"memory grew by {memory.growth:.0f} MB")
    if trespassers or strays:
        theatre.faults.append(f"connected to inner addresses: {trespassers} next door, {dict(strays)}")
    whole = theatre.judge(name, [], list(WORDS), bound=0, mails=[])
    return Verdict(
        name,
        lost=lost,
        duplicates=sum(len(heard[path]) - len({each.id for each in heard[path]}) for path in good),
        order=sum(_disordered(heard[path], told) for path in good),
        faults=whole.faults,
    )


def _disordered(heard: list[Heard], told: Mapping[tuple[str, int], float]) -> bool:
    """Whether something published later was heard earlier."""
    moments = [told.get((each.lane, each.sequence), 0.0) for each in heard]
    return any(later < earlier for earlier, later in pairwise(moments))


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


DRILLS = (
    Drill(
        "webhooks",
        hostile,
        short={"receivers": 150, "updates": 3, "pause": 1.5, "lease": 10},
        full={"receivers": 500, "updates": 8, "pause": 4.0},
        broken="no-turns",
        # So few, and told so much at once, that there is a hand for several messages to each.
        when_broken={"receivers": 30, "updates": 6, "pause": 0.0},
    ),
    Drill(
        "webhooks-inner",
        hostile,
        short={"receivers": 50, "updates": 1, "pause": 0.5, "lease": 10, "name": "webhooks-inner"},
        full={"receivers": 500, "updates": 1, "pause": 4.0, "name": "webhooks-inner"},
        broken="trusting",
    ),
)
