"""A night of random acts by random people at rising times, and beside it a plain memory of what was said.

Acts that make sense where an incident stands are chosen most often, others now and then: they are refused, and
nothing changes. What must hold after each is in ``test_lifecycle_properties``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from incidents import clock, lifecycle, maintenance, reminders
from incidents.enums import OPEN, Cause, DutyKind, State, StepKind, Tie, Verb
from incidents.lifecycle import NotAllowed
from incidents.models import Incident, Obligation, RunbookStep
from status.enums import OPEN_PHASES, Level, Phase
from status.models import NoticeUpdate
from tests import scene
from tests.incidents.playing import PARTS, REAL, Played
from tests.scene import minutes

#: The last two mean any incident, whether the act fits or not.
ONE = st.integers(0, 7)
STEP = st.integers(0, 3).flatmap(lambda size: st.integers(0, (1, 10, 45, 400)[size]))
LEVELS = st.dictionaries(
    st.sampled_from(PARTS), st.sampled_from([level for level in Level if level != Level.MAINTENANCE])
)
PHASES = st.sampled_from(OPEN_PHASES)
PROMISE = st.sampled_from([None, 5, 30, 120])
WHO = st.sampled_from(["ann", "ben", "cleo"])
WHY = st.sampled_from(["", "It is meant so.", "It is meant so."])
AGO = st.sampled_from([0, 0, 3, 20])
#: Level, what is hit, the words' phase, the promise, who says so, how long ago it began, whether in public.
TROUBLE = st.tuples(ONE, LEVELS, PHASES, PROMISE, WHO, AGO, st.sampled_from([True, True, False]))
#: Acts that need nothing but to be said, and where they fit.
STEPS: dict[Verb, tuple[list[State], Callable[..., object]]] = {
    Verb.ACKNOWLEDGED: ([State.DECLARED], lifecycle.acknowledge),
    Verb.MITIGATED: ([State.DECLARED, State.ACKNOWLEDGED], partial(lifecycle.mitigate, words="")),
    Verb.VERIFIED: ([State.MITIGATED], partial(lifecycle.verify, words="")),
}


def stands(*states: State) -> Any:
    """The rule is played only while an incident stands there."""
    return precondition(lambda night: any(one.state in states for one in night.all()))


class Night(Played):
    """The acts."""

    @initialize(first=TROUBLE, second=TROUBLE, third=TROUBLE, over=st.integers(0, 3))
    def begin(self, first: Any, second: Any, third: Any, over: int) -> None:
        """Every night has trouble on three sides from its first minute; often one is over already."""
        self.cast()
        for trouble in (first, second, third):
            self._declare(0, trouble, "It is meant so.")
        if over:
            self._resolve(over, 1, "ann", 0, "It is meant so.")

    # --- what people say -----------------------------------------------------------

    @rule(step=STEP, trouble=TROUBLE, why=WHY)
    @precondition(lambda self: sum(one.state in REAL for one in self.all()) < 3)
    def declare(self, step: int, trouble: Any, why: str) -> None:
        self._declare(step, trouble, why)

    @rule(one=ONE, step=STEP, who=WHO, which=st.sampled_from(list(STEPS)))
    @stands(*OPEN)
    def work_on_it(self, one: int, step: int, who: str, which: Verb) -> None:
        states, act = STEPS[which]
        self._say(one, states, step, who, act, [which])

    @rule(one=ONE, step=STEP, who=WHO, levels=LEVELS, phase=PHASES, promise=PROMISE, why=WHY)
    @stands(*OPEN)
    def update(self, one: int, step: int, who: str, levels: Any, phase: Phase, promise: Any, why: str) -> None:
        def act(incident: Incident, **now: Any) -> None:
            draft = self._draft(phase, promise)
            lifecycle.post_update(incident, draft, levels=self._levels(levels), override=why, **now)
            self._told(incident, draft, levels)

        self._say(one, OPEN, step, who, act, [Verb.PUBLISHED])

    @rule(one=ONE, step=STEP, who=WHO, level=ONE, why=WHY)
    @stands(*OPEN)
    def change_severity(self, one: int, step: int, who: str, level: int, why: str) -> None:
        def act(incident: Incident, **now: Any) -> None:
            lifecycle.change_severity(incident, self.severities[level % 3], reason="So.", override=why, **now)

        self._say(one, OPEN, step, who, act, [Verb.SEVERITY])

    @rule(one=ONE, step=STEP, who=WHO, ago=AGO, why=WHY)
    @stands(*OPEN)
    def resolve(self, one: int, step: int, who: str, ago: int, why: str) -> None:
        self._resolve(one, step, who, ago, why)

    def _resolve(self, one: int, step: int, who: str, ago: int, why: str) -> None:
        def act(incident: Incident, **now: Any) -> None:
            ended, body = max(self.at - minutes(ago), incident.round_began_at), self._words()
            lifecycle.resolve(incident, body=body, ended_at=ended, override=why, **now)
            self._over(incident, body)

        self._say(one, OPEN, step, who, act, [Verb.RESOLVED])

    @rule(one=ONE, step=STEP, who=WHO, levels=LEVELS, phase=PHASES, promise=PROMISE)
    @stands(State.RESOLVED, State.CLOSED)
    def reopen(self, one: int, step: int, who: str, levels: Any, phase: Phase, promise: Any) -> None:
        left: list[Verb] = [Verb.REOPENED]

        def act(incident: Incident, **now: Any) -> None:
            # Inside there is no phase to speak of.
            draft = self._draft(phase if incident.notice else Phase.INVESTIGATING, promise)
            lifecycle.reopen(incident, draft, levels=self._levels(levels), override="It is meant so.", **now)
            self.waived = {(pk, kind) for pk, kind in self.waived if pk != incident.pk}
            self.met = {(pk, kind) for pk, kind in self.met if pk != incident.pk or kind in clock.AFTERWARDS}
            if incident.notice:
                left.append(Verb.PUBLISHED)
                self._told(incident, draft, levels)

        self._say(one, [State.RESOLVED, State.CLOSED], step, who, act, left)

    @rule(one=ONE, step=STEP, who=WHO)
    @stands(State.RESOLVED)
    def close(self, one: int, step: int, who: str) -> None:
        def act(incident: Incident, **now: Any) -> None:
            lifecycle.close(incident, words="", **now)

        self._say(one, [State.RESOLVED], step, who, act, [Verb.CLOSED])

    @rule(one=ONE, step=STEP, who=WHO, sure=st.integers(0, 3))
    @stands(*OPEN, State.RESOLVED)
    def false_alarm(self, one: int, step: int, who: str, sure: int) -> None:
        if sure < 3:
            # Rarely: nothing can be said of it afterwards.
            return self._later(step)

        def act(incident: Incident, **now: Any) -> None:
            lifecycle.mark_false_alarm(incident, body="Nothing was wrong.", **now)
            self._over(incident, "Nothing was wrong.")

        return self._say(one, [*OPEN, State.RESOLVED], step, who, act, [Verb.FALSE_ALARM])

    @rule(one=ONE, step=STEP, who=WHO)
    @precondition(lambda self: self.said)
    def correct(self, one: int, step: int, who: str) -> None:
        def act(incident: Incident, **now: Any) -> None:
            posted = NoticeUpdate.objects.filter(notice=incident.notice, corrected_by=None)
            newest = next(iter(sorted(posted, key=lambda row: (row.phase != Phase.RESOLVED, -row.seq))), None)
            if newest is None:
                raise NotAllowed("Nothing was said.")
            body, was = self._words(), newest.body
            lifecycle.correct_update(incident, newest, body, **now)
            said = self.said[incident.pk]
            said[max(place for place, words in enumerate(said) if words == was)] = body

        self._say(one, REAL, step, who, act, [Verb.CORRECTED])

    @rule(one=ONE, step=STEP, who=WHO, part=st.integers(0, 5))
    def correct_the_beginning(self, one: int, step: int, who: str, part: int) -> None:
        """Within half an hour before it was noticed; one of six lies later."""

        def act(incident: Incident, **now: Any) -> None:
            moment = incident.detected_at - minutes(30) * (1 - part / 4)
            lifecycle.correct_times(incident, reason="Logs.", started_at=moment, **now)

        self._say(one, REAL, step, who, act, [Verb.TIMES])

    @rule(one=ONE, step=STEP, who=WHO, part=st.integers(0, 5))
    @stands(State.RESOLVED, State.CLOSED)
    def correct_the_end(self, one: int, step: int, who: str, part: int) -> None:
        """Between the beginning of the round and now; one of six lies ahead."""

        def act(incident: Incident, **now: Any) -> None:
            began = incident.round_began_at
            lifecycle.correct_times(incident, reason="Logs.", ended_at=began + (self.at - began) * part / 4, **now)

        self._say(one, [State.RESOLVED, State.CLOSED], step, who, act, [Verb.TIMES])

    @rule(one=ONE, other=ONE, step=STEP, who=WHO, sure=st.integers(0, 1))
    @precondition(lambda self: sum(one.state in OPEN for one in self.all()) > 1)
    def merge(self, one: int, other: int, step: int, who: str, sure: int) -> None:
        into = self._pick(other, OPEN)
        if into is None or not sure:
            return

        def act(incident: Incident, **now: Any) -> None:
            body = self._words()
            lifecycle.merge(incident, into, body=body, **now)
            theirs, ours = self.claims.get(incident.source, {}), self.claims.setdefault(into.source, {})
            for part, level in theirs.items():
                ours[part] = Level.gravest([level, ours.get(part, level)])
            self._over(incident, body)

        self._say(one, OPEN, step, who, act, [Verb.MERGED], but=into)

    @rule(one=ONE, other=ONE, step=STEP, who=WHO)
    @precondition(lambda self: len(self.ids) > 1)
    def tie(self, one: int, other: int, step: int, who: str) -> None:
        """It repeats another, or does not after all."""
        found = self._pick(other, REAL)
        if found is None:
            return
        verbs: list[Verb] = []

        def act(incident: Incident, **now: Any) -> None:
            tied = incident.links.filter(other=found, tie=Tie.REPEAT).exists()
            verbs.append(Verb.UNLINKED if tied else Verb.LINKED)
            if tied:
                lifecycle.unlink(incident, found, **now)
            else:
                lifecycle.link(incident, found, Tie.REPEAT, **now)

        self._say(one, REAL, step, who, act, verbs, but=found)

    @rule(
        one=ONE,
        step=STEP,
        who=WHO,
        which=st.sampled_from([Verb.NOTED, Verb.DECIDED, Verb.JUDGED, Verb.CHECKED, Verb.RESTRICTED]),
        ago=AGO,
        hit=st.sampled_from([None, True, False]),
        cause=st.sampled_from(Cause),
    )
    def beside(self, one: int, step: int, who: str, which: Verb, ago: int, hit: bool | None, cause: Cause) -> None:
        """What changes nothing in public but the title."""
        verbs = [which]

        def act(incident: Incident, **now: Any) -> None:
            if which in (Verb.NOTED, Verb.DECIDED):
                happened, decision = self.at - minutes(ago), which == Verb.DECIDED
                lifecycle.note(incident, "Look.", happened_at=happened, decision=decision, **now)
                self.waived.discard((incident.pk, DutyKind.INTERNAL_UPDATE))
            elif which == Verb.JUDGED:
                lifecycle.judge(incident, cause=cause, customers_hit=hit, **now)
            elif which == Verb.CHECKED:
                lifecycle.check(incident, RunbookStep.objects.filter(kind=StepKind.CHECK)[0], done=True, **now)
            elif incident.is_restricted:
                verbs[:] = [Verb.LIFTED]
                lifecycle.lift(incident, reason="Known by now.", **now)
            else:
                title = f"Trouble of {self.at:%H:%M}"
                lifecycle.restrict(incident, public_title=title, people=[], reason="Security.", **now)

        self._say(one, REAL, step, who, act, verbs)

    @rule(one=ONE, step=STEP, which=st.integers(0, 3), waive=st.booleans())
    @precondition(lambda self: Obligation.objects.open().filter(incident__in=self.ids).exists())
    def settle(self, one: int, step: int, which: int, waive: bool) -> None:
        """Somebody says that something need not be done, or is done."""
        verbs = [Verb.WAIVED if waive else Verb.DONE]

        def act(incident: Incident, **now: Any) -> None:
            rows = [row for row in incident.obligations.open() if waive or row.kind not in clock.MEETS]
            if not rows:
                raise NotAllowed("Nothing is owed.")
            row = rows[which % len(rows)]
            if waive:
                lifecycle.waive(incident, row, reason="Agreed.", **now)
            else:
                lifecycle.mark_met(incident, DutyKind(row.kind), words="I did.", **now)
            (self.waived if waive else self.met).add((incident.pk, row.kind))

        self._say(one, REAL, step, "ann", act, verbs)

    @rule(step=STEP)
    def remind(self, step: int) -> None:
        """The sweep comes, and comes again: nothing is told twice."""
        self._later(step)
        self.done["remind"] += reminders.sweep(self.at)
        assert reminders.sweep(self.at) == 0

    # --- planned work over the same components ----------------------------------------

    @rule(step=STEP, parts=st.sets(st.sampled_from(PARTS), min_size=1))
    @precondition(lambda self: self.work is None)
    def begin_work(self, step: int, parts: set[str]) -> None:
        self._later(step)
        now: dict[str, Any] = {"by": self.people["ann"], "at": self.at}
        work = maintenance.schedule(
            title="New disks",
            severity=None,
            brand=scene.brand(),
            components=[self.parts[name] for name in parts],
            planned_start_at=self.at + minutes(1),
            planned_end_at=self.at + minutes(60),
            what_changes="Disks.",
            rollback_plan="Old disks.",
            **now,
        )
        self.work = maintenance.begin(work, scene.draft(phase=Phase.IN_PROGRESS), **now)
        self.claims[self.work.source] = dict.fromkeys(parts, Level.MAINTENANCE)
        self.done["begin_work"] += 1

    @rule(step=STEP)
    @precondition(lambda self: self.work is not None)
    def finish_work(self, step: int) -> None:
        self._later(step)
        assert self.work is not None
        done = scene.draft(phase=Phase.COMPLETED)
        maintenance.finish(self.work, done, by=self.people["ann"], at=self.at)
        self.claims.pop(self.work.source)
        self.work = None
        self.done["finish_work"] += 1
