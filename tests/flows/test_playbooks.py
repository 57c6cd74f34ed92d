"""Each playbook as a night: from declaration to closing under its preset, every clock of its row (R-107, R-301).

The clocks are requirements.md's table, section 1, written here as moments of this one night: minutes
after 03:00 UTC on Friday 20 November 2026. Nothing is read from the presets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from incidents import lifecycle, policies
from incidents.enums import Cause, State
from incidents.models import Incident
from status import ledger
from status.enums import Level, Phase
from status.page import snapshot
from tests import scene
from tests.incidents.playbooks import level
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db

A, B, C, D, E = "public-status", "enterprise-sla", "consumer-app", "startup-sev", "platform-sev"
HOUR, DAY = 60, 24 * 60
#: What the table of requirements.md speaks of; what comes from elsewhere (ladders, letters) has tests of its own.
TABLE = (
    "respond",
    "first_update",
    "public_update",
    "internal_update",
    "resolve",
    "review_scheduled",
    "review_published",
)
#: The night's own moments, in minutes after the declaration.
ACKNOWLEDGED, SPOKEN, NOTED, LATE, RESOLVED = 2, 4, 6, 200, 210
#: What each public update promises, in minutes after it is said.
PROMISE = 20


@dataclass(frozen=True)
class Night:
    """A row of the table. Minutes are counted from the act that starts the clock; None: nothing is owed.

    ``first`` is counted from the declaration, or from the acknowledgement (``with_ack``); ``limit`` is the
    hard limit of the cadence. ``scheduled`` and ``published`` are the post-mortem's, after the resolution;
    a moment is one that days of work decide.
    """

    policy: str
    code: str
    respond: int | datetime | None = None
    first: int | None = None
    with_ack: bool = False
    cadence: int | None = None
    limit: int | None = None
    internal: int | None = None
    resolve: int | None = None
    scheduled: int | None = None
    published: int | datetime | None = None
    #: Owed, and the playbook names no day.
    undated: bool = False
    #: Owed only because of what is found out at the end: customers were hit, impact is significant.
    found: str = ""
    public: bool = True

    def __str__(self) -> str:
        return f"{self.policy}-{self.code}"


#: Five working days after a resolution on Friday morning, at the end of working hours.
NEXT_FRIDAY = datetime(2026, 11, 27, 17, 0, tzinfo=UTC)
MONDAY = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
WEEK = {"scheduled": 48 * HOUR, "published": 7 * DAY}

NIGHTS = (
    Night(A, "major", 15, 15, cadence=15, resolve=4 * HOUR, published=7 * DAY),
    Night(A, "minor", 30, 30, cadence=30, limit=60, published=14 * DAY, found="is_significant"),
    Night(B, "P0", 15, 0, with_ack=True, cadence=30, resolve=4 * HOUR, published=NEXT_FRIDAY),
    Night(B, "P1", HOUR, cadence=HOUR, resolve=8 * HOUR, published=NEXT_FRIDAY),
    Night(B, "P2", 4 * HOUR, resolve=24 * HOUR),
    Night(B, "P3", 24 * HOUR, resolve=7 * DAY),
    Night(C, "P0", 15, 60, cadence=HOUR, internal=30, resolve=4 * HOUR, **WEEK),
    Night(C, "P1", HOUR, 60, cadence=HOUR, internal=2 * HOUR, resolve=24 * HOUR, **WEEK, found="customers_hit"),
    Night(C, "P2", 4 * HOUR, internal=2 * HOUR),
    Night(C, "P3", 24 * HOUR, internal=2 * HOUR),
    Night(D, "SEV1", 5, 15, scheduled=48 * HOUR),
    Night(D, "SEV2", 15, 30, scheduled=48 * HOUR),
    Night(D, "SEV3", HOUR, public=False),
    Night(D, "SEV4", MONDAY, public=False),
    Night(E, "SEV-1", 5, 0, cadence=30, resolve=HOUR, undated=True),
    Night(E, "SEV-2", 15, 15, cadence=30, resolve=HOUR, undated=True),
    Night(E, "SEV-3", HOUR, cadence=30),
    Night(E, "SEV-4", 4 * HOUR, public=False),
)


def at(minute: float) -> datetime:
    return NIGHT + minutes(minute)


def moment(value: int | datetime, start: float) -> datetime:
    return value if isinstance(value, datetime) else at(start + value)


def both(when: datetime) -> tuple[datetime, datetime]:
    return when, when


class Story:
    """One night: what is expected to be owed and to have been kept grows with each act."""

    def __init__(self, night: Night) -> None:
        self.night, self.ann, self.api = night, scene.operator(), scene.component()
        self.levels = {self.api: Level.MAJOR} if night.public else {}
        self.expected: dict[str, tuple[datetime | None, datetime | None]] = {}
        self.history: list[tuple[str, bool]] = []
        self.incident: Incident

    def check(self) -> None:
        """What is owed, and what was met in time or late, of all that the table speaks of."""
        rows = self.incident.obligations.filter(kind__in=TABLE)
        owed = {row.kind: (row.due_at, row.limit_at) for row in rows.open()}
        assert owed == self.expected
        assert sorted((row.kind, row.kept) for row in rows if row.met_at) == sorted(self.history)

    def owe(self, kind: str, when: datetime | None, limit: datetime | None = None) -> None:
        self.expected[kind] = (when, limit or when)

    def met(self, kind: str, *, kept: bool) -> None:
        if self.expected.pop(kind, None):
            self.history.append((kind, kept))

    def promise(self, said: float) -> None:
        """When the next public words are due: the earlier of the cadence and the promise (R-301)."""
        every, last = self.night.cadence or PROMISE, self.night.limit or self.night.cadence or PROMISE
        self.owe("public_update", at(said + min(every, PROMISE)), at(said + min(last, PROMISE)))

    # --- the acts of the night ---

    def declare(self) -> None:
        """Inside: nothing is said yet, and what is owed first is running."""
        night = self.night
        self.incident = scene.incident(severity=level(night.policy, night.code), levels=self.levels, public=False)
        clocks = {"respond": night.respond, "internal_update": night.internal, "resolve": night.resolve}
        for kind, due in clocks.items():
            if due is not None:
                self.owe(kind, moment(due, 0))
        if night.first is not None and not night.with_ack:
            self.owe("first_update", at(night.first))

    def acknowledge(self) -> None:
        """That clock stops; where the first words belong to it, theirs begins."""
        self.incident = lifecycle.acknowledge(self.incident, by=self.ann, at=at(ACKNOWLEDGED))
        self.met("respond", kept=True)
        if self.night.with_ack:
            self.owe("first_update", at(ACKNOWLEDGED + (self.night.first or 0)))

    def speak(self) -> None:
        """The first public words, with a promise."""
        draft = scene.draft(next_update_by=at(SPOKEN + PROMISE))
        self.incident = lifecycle.post_update(self.incident, draft, levels=self.levels, by=self.ann, at=at(SPOKEN))
        began = ACKNOWLEDGED if self.night.with_ack else 0
        self.met("first_update", kept=began + (self.night.first or 0) >= SPOKEN)
        self.promise(SPOKEN)

    def note(self) -> None:
        self.incident = lifecycle.note(self.incident, "The database does not answer.", by=self.ann, at=at(NOTED))
        self.met("internal_update", kept=True)
        if self.night.internal is not None:
            self.owe("internal_update", at(NOTED + self.night.internal))

    def mitigate(self) -> None:
        """A fix is in place, and it took too long to say so: what was promised is broken."""
        if not self.night.public:
            self.incident = lifecycle.mitigate(self.incident, words="Rolled back.", by=self.ann, at=at(LATE))
            return
        draft = scene.draft("A fix is in place.", Phase.MONITORING, next_update_by=at(LATE + PROMISE))
        self.incident = lifecycle.post_update(self.incident, draft, levels={}, by=self.ann, at=at(LATE))
        self.met("public_update", kept=False)
        self.promise(LATE)

    def resolve(self) -> None:
        """It is over, and what was found out: what was owed meanwhile is owed no more, what follows begins."""
        night = self.night
        self.incident = lifecycle.resolve(
            self.incident, body="It works again.", by=self.ann, at=at(RESOLVED), override="Three customers see it work."
        )
        self.incident = lifecycle.judge(
            self.incident,
            cause=Cause.DATABASE,
            customers_hit=night.found == "customers_hit",
            is_significant=night.found == "is_significant",
            by=self.ann,
            at=at(RESOLVED),
        )
        self.met("resolve", kept=(night.resolve or 0) >= RESOLVED)
        self.met("public_update", kept=True)
        self.expected.clear()
        if night.scheduled is not None:
            self.owe("review_scheduled", at(RESOLVED + night.scheduled))
        if night.published is not None:
            self.owe("review_published", moment(night.published, RESOLVED))
        if night.undated:
            self.owe("review_published", None)


@pytest.mark.parametrize("night", NIGHTS, ids=str)
def test_r301_a_night_under_every_row_of_the_playbooks(night: Night) -> None:
    policies.load_presets(at=NIGHT - timedelta(days=1))
    story = Story(night)
    acts = [story.declare, story.acknowledge, story.speak, story.note, story.mitigate, story.resolve]
    for act in acts if night.public else [act for act in acts if act != story.speak]:
        act()
        story.check()
    assert ledger.levels() == {}
    assert snapshot.take(at(RESOLVED)).overall.words == "All systems operational"
    closed = lifecycle.close(story.incident, words="Nothing is left.", by=story.ann, at=at(RESOLVED + 30))
    assert closed.state == State.CLOSED
    story.check()
