"""Whatever operators say in whatever order: public page, ledger, obligations and timeline agree (R-201…R-207, R-301).

``make properties`` plays more and longer nights, and prints how often each act was done.
"""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis.stateful import invariant, run_state_machine_as_test

from incidents import moves, runbook
from incidents.enums import OPEN, UNCOUNTED, DutyKind, State, Tie, Verb
from incidents.models import Incident, IncidentLink, Obligation, TimelineEntry
from status.enums import Level, Phase
from status.models import Impact
from status.page import snapshot
from status.page.postings import Posting
from status.page.snapshot import Snapshot
from tests.incidents.night import Night
from tests.incidents.playing import PARTS, severities
from tests.scene import minutes

#: What an open incident owes by its level, where nothing else is said.
PUBLIC_LEVELS = ("P0", "P1")
CADENCE = minutes(30)
_MOVES = {
    Verb.ACKNOWLEDGED: State.ACKNOWLEDGED,
    Verb.MITIGATED: State.MITIGATED,
    Verb.RESOLVED: State.RESOLVED,
    Verb.CLOSED: State.CLOSED,
    Verb.FALSE_ALARM: State.FALSE_ALARM,
    Verb.MERGED: State.MERGED,
}


class Agreeing(Night):
    """What must hold after every act."""

    @invariant()
    def the_page_says_what_was_said(self) -> None:
        if not self.ids:
            return
        page = snapshot.take(self.at)
        self._the_page_shows_each_component_at_the_gravest_level_that_is_claimed(page)
        over = [one for day in page.past for one in day.postings if not one.is_maintenance]
        shown = {one.reference: one for one in (*page.incidents, *over)}
        expected = {one.reference for one in self.all() if one.notice and one.state != State.FALSE_ALARM}
        assert shown.keys() <= expected
        for incident in self.all():
            assert (incident.pk in self.said) == (incident.notice is not None)
            assert (incident.reference in {one.reference for one in page.incidents}) == (
                incident.notice is not None and incident.state in OPEN
            )
            if incident.reference in shown:
                self._agrees(incident, shown[incident.reference])

    def _the_page_shows_each_component_at_the_gravest_level_that_is_claimed(self, page: Snapshot) -> None:
        claimed = {part: Level.gravest(held[part] for held in self.claims.values() if part in held) for part in PARTS}
        assert {row.name: row.level for row in page.rows} == claimed
        assert page.overall.level == Level.gravest(claimed.values())
        assert len(page.maintenance) == (self.work is not None)

    def _agrees(self, incident: Incident, shown: Posting) -> None:
        """The public page of one incident says what the internal book says, in the words that were said."""
        assert (shown.title, shown.started_at) == (incident.told_title, incident.started_at)
        assert [update.body for update in reversed(shown.updates)] == self.said[incident.pk]
        assert shown.next_update_by == self.promised[incident.pk]
        told = {entry.facts.get("update") for entry in incident.timeline.all()}
        assert {update.public_id for update in shown.updates} <= told
        if incident.state in OPEN:
            assert (shown.resolved_at, shown.ended_at) == (None, None)
            assert shown.phase != Phase.MONITORING or incident.state == State.MITIGATED
        else:
            assert shown.phase == Phase.RESOLVED
        if incident.state in (State.RESOLVED, State.CLOSED):
            assert (shown.resolved_at, shown.ended_at) == (incident.resolved_at, incident.ended_at)

    @invariant()
    def the_ledger_lies_between_the_marks(self) -> None:
        """No figure counts seconds of what was nothing, or outside of what happened (R-203, R-1302)."""
        impacts: dict[str, list[Impact]] = {}
        for impact in Impact.objects.real():
            impacts.setdefault(impact.source, []).append(impact)
        for incident in self.all():
            held = impacts.get(incident.source, [])
            if incident.state in UNCOUNTED or incident.notice is None:
                assert not held
                continue
            took = incident.duplicates.exists()
            if incident.pk in self.marked:
                assert min(impact.began_at for impact in held) <= incident.started_at
            if incident.pk in self.until_over and incident.ended_at:
                assert max(impact.ended_at or self.at for impact in held) >= incident.ended_at
            for impact in held:
                if impact.began_at != impact.ended_at and not took:
                    assert impact.began_at >= incident.started_at
                if incident.state not in OPEN:
                    assert impact.ended_at is not None
                    assert incident.ended_at is not None
                    assert impact.ended_at <= max(incident.ended_at, impact.began_at)

    @invariant()
    def what_is_owed_fits_where_it_stands(self) -> None:
        owed: dict[int, dict[str, Obligation]] = {pk: {} for pk in self.ids}
        for row in Obligation.objects.filter(incident__in=self.ids):
            assert row.opened_at <= self.at
            assert row.broken_at is None or row.limit_at is None or row.limit_at < row.broken_at
            if row.met_at is None and row.dropped_at is None:
                owed[row.incident_id or 0][row.kind] = row
        for incident in self.all():
            waiting = owed[incident.pk]
            wanted = self._wanted(incident)
            settled = {kind for pk, kind in self.waived | self.met if pk == incident.pk}
            assert waiting.keys() <= wanted, (incident.state, waiting.keys() - wanted)
            assert wanted - waiting.keys() <= settled, (incident.state, wanted - waiting.keys())
            if DutyKind.PUBLIC_UPDATE in waiting:
                cadence = self.spoke[incident.pk] + CADENCE if incident.severity.code in PUBLIC_LEVELS else None
                moments = [moment for moment in (cadence, self.promised[incident.pk]) if moment]
                assert waiting[DutyKind.PUBLIC_UPDATE].due_at == min(moments)

    def _wanted(self, incident: Incident) -> set[str]:
        """The kinds that are owed by the levels of ``night.severities``, had nobody waived any."""
        code, wanted = incident.severity.code, set[str]()
        if incident.state in UNCOUNTED:
            return wanted
        if incident.state not in OPEN:
            repeats = IncidentLink.objects.filter(incident=incident, tie=Tie.REPEAT).exists()
            if code in PUBLIC_LEVELS or repeats:
                wanted.add(DutyKind.REVIEW_PUBLISHED)
            if code in PUBLIC_LEVELS and incident.customers_hit:
                wanted.add(DutyKind.REVIEW_SCHEDULED)
            return wanted
        if incident.state == State.DECLARED and code != "P1":
            wanted.add(DutyKind.RESPOND)
        if code in PUBLIC_LEVELS:
            said = DutyKind.PUBLIC_UPDATE if incident.notice else DutyKind.FIRST_UPDATE
            wanted |= {said, DutyKind.INTERNAL_UPDATE, DutyKind.RESOLVE}
        elif self.promised.get(incident.pk):
            wanted.add(DutyKind.PUBLIC_UPDATE)
        return wanted

    @invariant()
    def every_timestamp_is_there_and_in_order(self) -> None:
        for incident in self.all():
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
        for incident in self.all():
            entries = told[incident.pk]
            assert _follows(entries) == incident.state, [entry.verb for entry in entries]
            assert [entry.recorded_at for entry in entries] == sorted(entry.recorded_at for entry in entries)
            assert max(entry.version for entry in entries) <= incident.version


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


@pytest.mark.django_db
def test_whatever_is_said_in_whatever_order_the_books_agree() -> None:
    """Some nights; with ``--hypothesis-profile=properties`` a thousand longer ones."""
    runbook.load()
    severities()
    long = settings.default.max_examples > 100
    # Two acts at once are tried elsewhere: there the databases differ.
    few = 24 if connection.vendor == "sqlite" else 10
    run_state_machine_as_test(
        Agreeing,
        settings=settings(
            max_examples=settings.default.max_examples if long else few,
            stateful_step_count=60 if long else 25,
            deadline=None,
            # A short failing night is looked for by the long game only: it takes minutes.
            phases=[stage for stage in Stage if long or stage != Stage.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(Night.done.most_common()))
