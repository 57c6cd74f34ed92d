"""How a night of random acts is played, and the plain memory of what was said in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import transaction
from hypothesis.stateful import RuleBasedStateMachine

from incidents import lifecycle
from incidents.enums import UNCOUNTED, Condition, DutyKind, Publicity, Start, State, Unit, Verb
from incidents.lifecycle import NotAllowed
from incidents.models import Incident, Maintenance, TimelineEntry
from status.enums import Level, Phase
from tests import scene
from tests.scene import NIGHT, minutes

#: Numbers from here on choose any incident, whether the act fits or not.
WILD = 6
PARTS = ("API", "E-mail", "Web app")
#: Entries that acts leave beside their own.
BESIDE = {Verb.OVERRODE, Verb.WROTE, Verb.ASSIGNED, Verb.INFORMED}
REAL = [state for state in State if state not in UNCOUNTED]
DUTIES: list[dict[str, Any]] = [
    *scene.P0_DUTIES,
    {"kind": DutyKind.INTERNAL_UPDATE, "amount": 20, "repeats": True, "starts_from": Start.LAST_UPDATE},
    {
        "kind": DutyKind.REVIEW_SCHEDULED,
        "amount": 1,
        "unit": Unit.BUSINESS_DAYS,
        "starts_from": Start.RESOLVED,
        "condition": Condition.CUSTOMERS_HIT,
    },
]
REPEATED = {
    "kind": DutyKind.REVIEW_PUBLISHED,
    "amount": 7,
    "unit": Unit.DAYS,
    "starts_from": Start.RESOLVED,
    "condition": Condition.REPEAT,
}


def severities() -> list[Any]:
    """Watched and grave, mild, and internal."""
    return [
        scene.severity("P0", 1, duties=DUTIES, watch=15),
        scene.severity("P1", 2, duties=DUTIES[1:]),
        scene.severity("P3", 4, duties=[DUTIES[0], REPEATED], publicity=Publicity.INTERNAL),
    ]


class Played(RuleBasedStateMachine):
    """Up to three incidents on three components, of three levels, and planned work over the same components."""

    #: How often each act was done, of all nights.
    done: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        # Undone as a whole: what a test database holds at the end of a night is what it held before.
        self.night = transaction.atomic()
        self.night.__enter__()
        self.at = NIGHT
        self.ids: list[int] = []
        self.read: list[Incident] = []
        self.work: Maintenance | None = None
        # The memory: what each source claims of which part, and by incident what the public was told and promised.
        self.claims: dict[str, dict[str, Level]] = {}
        self.said: dict[int, list[str]] = {}
        self.spoke: dict[int, datetime] = {}
        self.promised: dict[int, datetime | None] = {}
        #: Whose first public words marked something, and what was marked until it was over.
        self.marked: set[int] = set()
        self.until_over: set[int] = set()
        #: (incident, kind) that somebody waived, or said to be done.
        self.waived: set[tuple[int, str]] = set()
        self.met: set[tuple[int, str]] = set()

    def cast(self) -> None:
        """Who acts, on what, by which levels."""
        self.people = {name: scene.operator(name) for name in ("ann", "ben", "cleo")}
        self.parts = {name: scene.component(name) for name in PARTS}
        self.severities = severities()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.night.__exit__(None, None, None)

    # --- how it is played --------------------------------------------------------------

    def all(self) -> list[Incident]:
        """All incidents as they are after this step. One query."""
        self.read = self.read or list(self._base().filter(pk__in=self.ids).order_by("pk"))
        return self.read

    def _declare(self, step: int, trouble: Any, why: str) -> None:
        level, levels, phase, promise, who, ago, public = trouble
        self._later(step)
        draft = self._draft(phase, promise)
        try:
            made = lifecycle.declare(
                severity=self.severities[level % 3],
                title=f"Trouble {len(self.ids)}",
                started_at=self.at - minutes(ago),
                by=self.people[who],
                at=self.at,
                brand=scene.brand(),
                levels=self._levels(levels),
                draft=draft if public else None,
                override=why,
            )
        except NotAllowed:
            return
        self.ids.append(made.pk)
        self.done["declared"] += 1
        assert made.reference == f"INC-2026-{len(self.ids):04d}"
        if public:
            self._told(made, draft, levels)

    def _say(
        self,
        one: int,
        states: Collection[str],
        step: int,
        who: str,
        act: Callable[..., object],
        verbs: list[Verb],
        but: Incident | None = None,
    ) -> None:
        """Say something about one of the incidents: it leaves just its entries, or changes nothing."""
        incident = self._pick(one, states, but)
        self._later(step)
        if incident is None:
            return
        known = TimelineEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
        try:
            act(incident, by=self.people[who], at=self.at)
        except NotAllowed:
            now = Incident.objects.get(pk=incident.pk)
            assert (now.version, now.state) == (incident.version, incident.state)
            assert not incident.timeline.filter(id__gt=known).exists()
            self.done["refused"] += 1
            return
        assert Incident.objects.get(pk=incident.pk).version == incident.version + 1
        left = list(incident.timeline.filter(id__gt=known).order_by("id").values_list("verb", "recorded_at"))
        assert [verb for verb, _ in left if verb not in BESIDE] == verbs
        assert {recorded for _, recorded in left} == {self.at}
        self.done.update(str(verb) for verb in verbs)

    def _pick(self, one: int, states: Collection[str], but: Incident | None = None) -> Incident | None:
        """One that stands where the act fits; seldom any. The other of ``but``, if there is one."""
        known = [incident for incident in self.all() if one >= WILD or incident.state in states]
        known = [incident for incident in known if incident != but] or known
        return known[one % len(known)] if known else None

    def _later(self, step: int) -> None:
        self.at += timedelta(minutes=step, seconds=7)
        self.done["steps"] += 1
        self.read = []

    def _base(self) -> Any:
        return Incident.objects.select_related("severity__version__policy", "notice", "brand")

    def _levels(self, levels: dict[str, Level]) -> dict[Any, Level]:
        return {self.parts[name]: level for name, level in levels.items()}

    def _words(self) -> str:
        return f"Said at {self.at:%d %H:%M:%S}."

    def _draft(self, phase: Phase, promise: int | None) -> Any:
        return scene.draft(self._words(), phase=phase, next_update_by=self.at + minutes(promise) if promise else None)

    # --- what is remembered --------------------------------------------------------------

    def _told(self, incident: Incident, draft: Any, levels: dict[str, Level]) -> None:
        if incident.pk not in self.said and any(level != Level.OPERATIONAL for level in levels.values()):
            self.marked.add(incident.pk)
        self.until_over.discard(incident.pk)
        self.said.setdefault(incident.pk, []).append(draft.body)
        self.spoke[incident.pk], self.promised[incident.pk] = self.at, draft.next_update_by
        self.waived.discard((incident.pk, DutyKind.PUBLIC_UPDATE))
        held = self.claims.setdefault(incident.source, {}) | levels
        self.claims[incident.source] = {part: level for part, level in held.items() if level != Level.OPERATIONAL}

    def _over(self, incident: Incident, body: str) -> None:
        if self.claims.pop(incident.source, None):
            self.until_over.add(incident.pk)
        if incident.pk in self.said:
            self.said[incident.pk].append(body)
            self.promised[incident.pk] = None
