"""Whatever operators say in whatever order: public page, ledger, obligations and timeline agree (R-201…R-207, R-301).

A night of random acts by random people at rising times. ``make properties`` plays longer nights.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from incidents import clock, lifecycle, moves, runbook
from incidents.enums import OPEN, Cause, DutyKind, Publicity, Start, State, StepKind, Unit, Verb
from incidents.lifecycle import NotAllowed
from incidents.models import Incident, Obligation, RunbookStep, TimelineEntry
from status import ledger
from status.enums import OPEN_PHASES, OVER, Level, Phase
from status.models import Impact, NoticeUpdate
from tests import scene
from tests.scene import NIGHT, minutes

INDEX = st.integers(0, 2)
STEP = st.integers(0, 3).flatmap(lambda size: st.integers(0, (1, 10, 45, 400)[size]))
PARTS = ("API", "E-mail", "Web app")
LEVELS = st.dictionaries(
    st.sampled_from(PARTS), st.sampled_from([level for level in Level if level != Level.MAINTENANCE])
)
PHASES = st.sampled_from(OPEN_PHASES)
PROMISE = st.sampled_from([None, 5, 30, 120])
WHO = st.sampled_from(["ann", "ben", "cleo"])
WHY = st.sampled_from(["", "It is meant so."])
AGO = st.sampled_from([0, 0, 3, 20])
#: Entries that acts leave beside their own.
BESIDE = {Verb.OVERRODE, Verb.WROTE, Verb.ASSIGNED}
DUTIES: list[dict[str, Any]] = [
    *scene.P0_DUTIES,
    {"kind": DutyKind.INTERNAL_UPDATE, "amount": 20, "repeats": True, "starts_from": Start.LAST_UPDATE},
    {
        "kind": DutyKind.REVIEW_SCHEDULED,
        "amount": 1,
        "unit": Unit.BUSINESS_DAYS,
        "starts_from": Start.RESOLVED,
        "condition": "customers_hit",
    },
]


class Night(RuleBasedStateMachine):
    """Up to three incidents on three components, of three levels: watched, mild and internal."""

    def __init__(self) -> None:
        super().__init__()
        # Undone as a whole: what a test database holds at the end of a night is what it held before.
        self.night = transaction.atomic()
        self.night.__enter__()
        self.at = NIGHT
        self.ids: list[int] = []
        self.read: list[Incident] = []

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.night.__exit__(None, None, None)

    @initialize(level=INDEX, levels=LEVELS, phase=PHASES, promise=PROMISE, ago=AGO, public=st.booleans())
    def begin(self, level: int, levels: Any, phase: Phase, promise: Any, ago: int, public: bool) -> None:
        """Every night has trouble from its first minute."""
        self.people = {name: scene.operator(name) for name in ("ann", "ben", "cleo")}
        self.parts = {name: scene.component(name) for name in PARTS}
        self.severities = severities()
        self._declare(0, level, levels, phase, promise, "ann", "It is meant so.", ago, public)

    # --- what people say -----------------------------------------------------------

    @rule(
        step=STEP,
        level=INDEX,
        levels=LEVELS,
        phase=PHASES,
        promise=PROMISE,
        who=WHO,
        why=WHY,
        ago=AGO,
        public=st.booleans(),
    )
    @precondition(lambda self: len(self.ids) < 3)
    def declare(
        self,
        step: int,
        level: int,
        levels: Any,
        phase: Phase,
        promise: Any,
        who: str,
        why: str,
        ago: int,
        public: bool,
    ) -> None:
        self._declare(step, level, levels, phase, promise, who, why, ago, public)

    @rule(one=INDEX, step=STEP, who=WHO)
    def acknowledge(self, one: int, step: int, who: str) -> None:
        self._say(one, step, who, lifecycle.acknowledge, [Verb.ACKNOWLEDGED])

    @rule(one=INDEX, step=STEP, who=WHO, levels=LEVELS, phase=PHASES, promise=PROMISE, why=WHY)
    def update(self, one: int, step: int, who: str, levels: Any, phase: Phase, promise: Any, why: str) -> None:
        def act(incident: Incident, **now: Any) -> object:
            draft = self._draft(phase, promise)
            return lifecycle.post_update(incident, draft, levels=self._levels(levels), override=why, **now)

        self._say(one, step, who, act, [Verb.PUBLISHED])

    @rule(one=INDEX, step=STEP, who=WHO, ago=AGO, decision=st.booleans())
    def note(self, one: int, step: int, who: str, ago: int, decision: bool) -> None:
        def act(incident: Incident, **now: Any) -> object:
            return lifecycle.note(incident, "Look.", happened_at=self.at - minutes(ago), decision=decision, **now)

        self._say(one, step, who, act, [Verb.DECIDED if decision else Verb.NOTED])

    @rule(one=INDEX, step=STEP, who=WHO, level=INDEX, why=WHY)
    def change_severity(self, one: int, step: int, who: str, level: int, why: str) -> None:
        def act(incident: Incident, **now: Any) -> object:
            return lifecycle.change_severity(incident, self.severities[level], reason="So.", override=why, **now)

        self._say(one, step, who, act, [Verb.SEVERITY])

    @rule(one=INDEX, step=STEP, who=WHO)
    def mitigate(self, one: int, step: int, who: str) -> None:
        self._say(
            one, step, who, lambda incident, **now: lifecycle.mitigate(incident, words="", **now), [Verb.MITIGATED]
        )

    @rule(one=INDEX, step=STEP, who=WHO)
    def verify(self, one: int, step: int, who: str) -> None:
        self._say(one, step, who, lambda incident, **now: lifecycle.verify(incident, words="", **now), [Verb.VERIFIED])

    @rule(one=INDEX, step=STEP, who=WHO, ago=AGO, why=WHY)
    def resolve(self, one: int, step: int, who: str, ago: int, why: str) -> None:
        def act(incident: Incident, **now: Any) -> object:
            ended = self.at - minutes(ago)
            return lifecycle.resolve(incident, body="Over.", ended_at=ended, override=why, **now)

        self._say(one, step, who, act, [Verb.RESOLVED])

    @rule(one=INDEX, step=STEP, who=WHO, levels=LEVELS, phase=PHASES, promise=PROMISE, why=WHY)
    def reopen(self, one: int, step: int, who: str, levels: Any, phase: Phase, promise: Any, why: str) -> None:
        def act(incident: Incident, **now: Any) -> object:
            # Inside there is no phase to speak of.
            draft = self._draft(phase if incident.notice else Phase.INVESTIGATING, promise)
            return lifecycle.reopen(incident, draft, levels=self._levels(levels), override=why, **now)

        public = bool(self._known(one) and self._known(one).notice_id)
        self._say(one, step, who, act, [Verb.REOPENED, *([Verb.PUBLISHED] if public else [])])

    @rule(one=INDEX, step=STEP, who=WHO)
    def close(self, one: int, step: int, who: str) -> None:
        self._say(one, step, who, lambda incident, **now: lifecycle.close(incident, words="", **now), [Verb.CLOSED])

    @rule(one=INDEX, step=STEP, who=WHO, sure=st.integers(0, 3))
    def false_alarm(self, one: int, step: int, who: str, sure: int) -> None:
        if sure < 3:
            # Rarely: nothing can be said of it afterwards.
            return self._later(step)

        def act(incident: Incident, **now: Any) -> object:
            return lifecycle.mark_false_alarm(incident, body="Nothing was wrong.", **now)

        return self._say(one, step, who, act, [Verb.FALSE_ALARM])

    @rule(one=INDEX, step=STEP, who=WHO)
    def correct(self, one: int, step: int, who: str) -> None:
        def act(incident: Incident, **now: Any) -> object:
            said = NoticeUpdate.objects.filter(notice=incident.notice, corrected_by=None).order_by("-seq").first()
            if said is None:
                raise NotAllowed("Nothing was said.")
            return lifecycle.correct_update(incident, said, f"Better at {self.at}.", **now)

        self._say(one, step, who, act, [Verb.CORRECTED])

    @rule(one=INDEX, step=STEP, who=WHO, hit=st.sampled_from([None, True, False]), cause=st.sampled_from(Cause))
    def judge(self, one: int, step: int, who: str, hit: bool | None, cause: Cause) -> None:
        def act(incident: Incident, **now: Any) -> object:
            return lifecycle.judge(incident, cause=cause, customers_hit=hit, **now)

        self._say(one, step, who, act, [Verb.JUDGED])

    @rule(
        one=INDEX,
        step=STEP,
        who=WHO,
        mark=st.sampled_from(["started_at", "detected_at", "mitigated_at", "ended_at"]),
        by=st.integers(-40, 40),
    )
    def correct_times(self, one: int, step: int, who: str, mark: str, by: int) -> None:
        def act(incident: Incident, **now: Any) -> object:
            moment = getattr(incident, mark) or incident.started_at
            return lifecycle.correct_times(incident, **{mark: moment + minutes(by)}, reason="Logs.", **now)

        self._say(one, step, who, act, [Verb.TIMES])

    @rule(one=INDEX, step=STEP, who=WHO, done=st.booleans())
    def tick(self, one: int, step: int, who: str, done: bool) -> None:
        line = RunbookStep.objects.filter(kind=StepKind.CHECK)[0]
        self._say(
            one, step, who, lambda incident, **now: lifecycle.check(incident, line, done=done, **now), [Verb.CHECKED]
        )

    @rule(one=INDEX, other=INDEX, step=STEP, who=WHO)
    def merge(self, one: int, other: int, step: int, who: str) -> None:
        into = self._known(other)
        if into is None:
            return
        self._say(
            one,
            step,
            who,
            lambda incident, **now: lifecycle.merge(incident, into, body="It goes on there.", **now),
            [Verb.MERGED],
        )

    @rule(one=INDEX, step=STEP, which=st.integers(0, 4))
    def waive(self, one: int, step: int, which: int) -> None:
        incident = self._known(one)
        owed = list(Obligation.objects.open().filter(incident=incident))[which : which + 1] if incident else []
        self._later(step)
        for obligation in owed:
            assert clock.waive(obligation, reason="Agreed.", by=self.people["ann"], at=self.at)

    # --- what must hold ------------------------------------------------------------

    @invariant()
    def the_page_shows_the_gravest_open_impact_of_each_component(self) -> None:
        held: dict[int, list[str]] = {}
        for component, level in Impact.objects.filter(ended_at=None, voided_at=None).values_list(
            "component_id", "level"
        ):
            held.setdefault(component, []).append(level)
        assert ledger.levels() == {component: Level.gravest(levels) for component, levels in held.items()}

    @invariant()
    def what_is_over_holds_nothing_down_and_the_page_says_where_it_stands(self) -> None:
        sources = set(Impact.objects.open().values_list("source", flat=True))
        for incident in self._all():
            if incident.state not in OPEN:
                assert incident.source not in sources
            if incident.notice:
                _agrees(incident)
            else:
                assert incident.source not in sources

    @invariant()
    def what_is_owed_fits_where_it_stands(self) -> None:
        rows = Obligation.objects.filter(incident__in=self.ids)
        owed: dict[int, list[Obligation]] = {}
        for row in rows:
            assert row.due_at is None or row.limit_at is None or row.due_at <= row.limit_at
            assert row.opened_at <= self.at
            if row.met_at is None and row.dropped_at is None:
                owed.setdefault(row.incident_id or 0, []).append(row)
        for incident in self._all():
            waiting = {row.kind: row for row in owed.get(incident.pk, [])}
            assert len(waiting) == len(owed.get(incident.pk, []))
            never = clock.AFTERWARDS if incident.state in OPEN else clock.WHILE_OPEN
            assert not waiting.keys() & set(never), (incident.state, waiting.keys())
            if incident.state in (State.FALSE_ALARM, State.MERGED):
                assert not waiting

    @invariant()
    def every_timestamp_is_there_and_in_order(self) -> None:
        for incident in self._all():
            assert incident.started_at <= incident.detected_at <= incident.declared_at <= self.at
            for stamp in moves.STAMPS.get(State(incident.state), ()):
                assert getattr(incident, stamp) is not None, (incident.state, stamp)
            if incident.state in (State.DECLARED, State.ACKNOWLEDGED):
                assert (incident.mitigated_at, incident.verified_at) == (None, None)
            if incident.state in OPEN:
                assert (incident.ended_at, incident.resolved_at, incident.closed_at) == (None, None, None)
            else:
                assert incident.ended_at is None or incident.round_began_at <= incident.ended_at <= self.at

    @invariant()
    def the_timeline_tells_where_it_stands(self) -> None:
        told: dict[int, list[TimelineEntry]] = {}
        for entry in TimelineEntry.objects.filter(incident__in=self.ids).order_by("id"):
            assert entry.at <= entry.recorded_at <= self.at
            told.setdefault(entry.incident_id, []).append(entry)
        for incident in self._all():
            entries = told[incident.pk]
            assert _follows(entries) == incident.state, [entry.verb for entry in entries]
            assert [entry.recorded_at for entry in entries] == sorted(entry.recorded_at for entry in entries)
            assert max(entry.version for entry in entries) <= incident.version

    # --- how it is played ----------------------------------------------------------

    def _declare(
        self,
        step: int,
        level: int,
        levels: Any,
        phase: Phase,
        promise: Any,
        who: str,
        why: str,
        ago: int,
        public: bool,
    ) -> None:
        self._later(step)
        try:
            made = lifecycle.declare(
                severity=self.severities[level],
                title=f"Trouble {len(self.ids)}",
                started_at=self.at - minutes(ago),
                by=self.people[who],
                at=self.at,
                brand=scene.brand(),
                levels=self._levels(levels),
                draft=self._draft(phase, promise) if public else None,
                override=why,
            )
        except NotAllowed:
            return
        self.ids.append(made.pk)
        assert made.reference == f"INC-2026-{len(self.ids):04d}"

    def _say(self, one: int, step: int, who: str, act: Callable[..., object], verbs: list[Verb]) -> None:
        """Say something about one of the incidents: it leaves just its entries, or changes nothing."""
        self._later(step)
        incident = self._known(one)
        if incident is None:
            return
        known = TimelineEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
        try:
            act(incident, by=self.people[who], at=self.at)
        except NotAllowed:
            now = Incident.objects.get(pk=incident.pk)
            assert (now.version, now.state) == (incident.version, incident.state)
            assert not incident.timeline.filter(id__gt=known).exists()
            return
        assert Incident.objects.get(pk=incident.pk).version == incident.version + 1
        left = list(incident.timeline.filter(id__gt=known).order_by("id").values_list("verb", "recorded_at"))
        assert [verb for verb, _ in left if verb not in BESIDE] == verbs
        assert {recorded for _, recorded in left} == {self.at}

    def _later(self, step: int) -> None:
        self.at += timedelta(minutes=step, seconds=7)
        self.read = []

    def _known(self, one: int) -> Incident | None:
        return self._base().get(pk=self.ids[one % len(self.ids)]) if self.ids else None

    def _all(self) -> list[Incident]:
        """All incidents as they are after this step. One query."""
        self.read = self.read or list(self._base().filter(pk__in=self.ids))
        return self.read

    def _base(self) -> Any:
        return Incident.objects.select_related("severity__version__policy", "notice", "brand")

    def _levels(self, levels: dict[str, Level]) -> dict[Any, Level]:
        return {self.parts[name]: level for name, level in levels.items()}

    def _draft(self, phase: Phase, promise: int | None) -> Any:
        return scene.draft(phase=phase, next_update_by=self.at + minutes(promise) if promise else None)


def _agrees(incident: Incident) -> None:
    """The public page of one incident says what the internal book says."""
    notice = incident.notice
    assert notice is not None
    assert notice.started_at == incident.started_at
    if incident.state in OPEN:
        assert notice.phase in OPEN_PHASES
        assert (notice.resolved_at, notice.ended_at, notice.withdrawn_at) == (None, None, None)
        if notice.phase == Phase.MONITORING:
            assert incident.state == State.MITIGATED
        if notice.next_update_by:
            owed = incident.obligations.open().filter(kind=DutyKind.PUBLIC_UPDATE).first()
            # A promise may be waived; it is not forgotten otherwise.
            waived = incident.obligations.filter(kind=DutyKind.PUBLIC_UPDATE, waived_by__isnull=False).exists()
            assert waived or (owed is not None and owed.due_at is not None and owed.due_at <= notice.next_update_by)
    else:
        assert notice.phase in OVER
        assert notice.next_update_by is None
        assert (notice.withdrawn_at is not None) == (incident.state == State.FALSE_ALARM)
    if incident.state in (State.RESOLVED, State.CLOSED):
        assert (notice.resolved_at, notice.ended_at) == (incident.resolved_at, incident.ended_at)


def _follows(entries: list[TimelineEntry]) -> State:
    """Where an incident stands by what its timeline tells alone."""
    state = State.DECLARED
    for entry in entries:
        if entry.verb == Verb.PUBLISHED:
            if entry.facts["phase"] == Phase.MONITORING:
                state = State.MITIGATED
            elif entry.version > 1:
                state = State.ACKNOWLEDGED
        elif entry.verb == Verb.REOPENED:
            state = State.ACKNOWLEDGED
        elif entry.verb == Verb.MERGED and "into" not in entry.facts:
            continue
        elif entry.verb in _MOVES:
            state = _MOVES[Verb(entry.verb)]
    return state


_MOVES = {
    Verb.ACKNOWLEDGED: State.ACKNOWLEDGED,
    Verb.MITIGATED: State.MITIGATED,
    Verb.RESOLVED: State.RESOLVED,
    Verb.CLOSED: State.CLOSED,
    Verb.FALSE_ALARM: State.FALSE_ALARM,
    Verb.MERGED: State.MERGED,
}


def severities() -> list[Any]:
    """Watched and grave, mild, and internal."""
    return [
        scene.severity("P0", 1, duties=DUTIES, watch=15),
        scene.severity("P1", 2, duties=DUTIES[1:]),
        scene.severity("P3", 4, duties=DUTIES[:1], publicity=Publicity.INTERNAL),
    ]


@pytest.mark.django_db
def test_whatever_is_said_in_whatever_order_the_books_agree() -> None:
    """Forty nights; with ``--hypothesis-profile=properties`` a thousand longer ones."""
    runbook.load()
    severities()
    long = settings.default.max_examples > 100
    run_state_machine_as_test(
        Night,
        settings=settings(
            max_examples=settings.default.max_examples if long else 40,
            stateful_step_count=60 if long else 25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
