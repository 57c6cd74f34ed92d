"""The life of an incident, as an operator tells it (R-201…R-207, F09, F11)."""

from __future__ import annotations

import itertools
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from incidents import lifecycle, moves
from incidents.enums import DutyKind, State, Verb
from incidents.lifecycle import AlreadyDone, Ask, Changed, NotAllowed
from incidents.models import Incident, TimelineEntry
from notifications.models import Announcement
from status import ledger
from status.enums import Level, Phase
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db


def verbs(incident: Incident) -> list[str]:
    return list(incident.timeline.values_list("verb", flat=True))


def test_declaring_in_public_publishes_moves_components_and_announces_once() -> None:
    api = scene.component("API")
    incident = scene.incident(levels={api: Level.PARTIAL})

    assert incident.reference == "INC-2026-0001"
    assert incident.state == State.DECLARED
    assert incident.notice is not None
    assert incident.notice.phase == Phase.INVESTIGATING
    assert ledger.levels() == {api.pk: Level.PARTIAL}
    assert verbs(incident) == [Verb.DECLARED, Verb.PUBLISHED]
    assert [a.subject for a in Announcement.objects.all()] == ["[Northwind] Investigating: API is not answering"]


def test_an_internal_incident_says_nothing_in_public() -> None:
    incident = scene.incident(public=False)
    assert incident.notice is None
    assert ledger.levels() == {}
    assert not Announcement.objects.exists()


def test_the_first_public_words_of_an_internal_incident_open_its_notice() -> None:
    api = scene.component("API")
    incident = scene.incident(public=False)
    incident = lifecycle.post_update(
        incident, scene.draft(), levels={api: Level.DEGRADED}, by=scene.operator(), at=NIGHT + minutes(5)
    )
    assert incident.notice is not None
    assert ledger.levels() == {api.pk: Level.DEGRADED}


def test_r201_no_timestamp_is_skipped_when_an_incident_is_resolved_at_once() -> None:
    over = NIGHT + minutes(10)
    incident = lifecycle.resolve(scene.incident(), body="Fixed.", by=scene.operator(), at=over)
    assert (incident.acknowledged_at, incident.mitigated_at, incident.resolved_at) == (over, over, over)


def test_r201_going_back_from_monitoring_means_that_the_fix_failed() -> None:
    ann, incident = scene.operator(), scene.incident()
    incident = lifecycle.post_update(
        incident, scene.draft("A fix is in.", Phase.MONITORING), levels={}, by=ann, at=NIGHT + minutes(5)
    )
    assert (incident.state, incident.mitigated_at) == (State.MITIGATED, NIGHT + minutes(5))
    incident = lifecycle.post_update(incident, scene.draft("It is back."), levels={}, by=ann, at=NIGHT + minutes(9))
    assert (incident.state, incident.mitigated_at) == (State.ACKNOWLEDGED, None)


@pytest.mark.parametrize(("here", "there"), list(itertools.product(State, State)))
def test_every_pair_of_states_moves_or_is_refused_as_the_table_says(here: State, there: State) -> None:
    incident, other = scene.incident(public=False), scene.incident(public=False)
    into = other if here == State.MERGED else None
    Incident.objects.filter(pk=incident.pk).update(state=here, merged_into=into)
    incident.refresh_from_db()
    if there == State.MERGED:
        incident.merged_into = other
    if there in lifecycle.MOVES[here]:
        moves.move(incident, there, at=NIGHT)
        assert Incident.objects.get(pk=incident.pk).state == there
    else:
        with pytest.raises(NotAllowed):
            moves.move(incident, there, at=NIGHT)
        assert Incident.objects.get(pk=incident.pk).state == here


def test_r207_resolving_restores_a_component_only_when_nobody_else_holds_it_down() -> None:
    api, ann = scene.component("API"), scene.operator()
    first = scene.incident(levels={api: Level.MAJOR})
    second = scene.incident(levels={api: Level.DEGRADED}, title="Slow answers")

    why = "The other incident goes on by itself."
    lifecycle.resolve(first, body="Fixed.", by=ann, at=NIGHT + minutes(30), override=why)
    assert ledger.levels() == {api.pk: Level.DEGRADED}
    lifecycle.resolve(second, body="Fixed.", by=ann, at=NIGHT + minutes(40))
    assert ledger.levels() == {}


def test_r207_an_update_sets_the_components_it_names() -> None:
    api, mail = scene.component("API"), scene.component("E-mail")
    incident = scene.incident(levels={api: Level.MAJOR})
    levels = {api: Level.OPERATIONAL, mail: Level.PARTIAL}
    incident = lifecycle.post_update(incident, scene.draft(), levels=levels, by=scene.operator(), at=NIGHT + minutes(5))
    assert incident.notice is not None
    assert ledger.levels() == {mail.pk: Level.PARTIAL}
    affected = incident.notice.updates.latest("seq").affected
    assert [(row["name"], row["old_status"], row["new_status"]) for row in affected] == [
        ("API", "major_outage", "operational"),
        ("E-mail", "operational", "partial_outage"),
    ]


def test_r1302_two_clocks_impact_ends_before_we_say_so() -> None:
    api = scene.component("API")
    incident = scene.incident(started_at=NIGHT - minutes(40), levels={api: Level.MAJOR})
    incident = lifecycle.resolve(
        incident, body="Fixed.", ended_at=NIGHT + minutes(5), by=scene.operator(), at=NIGHT + minutes(60)
    )
    impact = api.impacts.get()
    assert (impact.began_at, impact.ended_at) == (NIGHT - minutes(40), NIGHT + minutes(5))
    assert (impact.recorded_at, incident.resolved_at) == (NIGHT, NIGHT + minutes(60))
    said = incident.timeline.get(verb=Verb.RESOLVED)
    assert (said.at, said.recorded_at) == (NIGHT + minutes(5), NIGHT + minutes(60))


def test_reopening_continues_the_same_page_and_its_lane() -> None:
    api, ann = scene.component("API"), scene.operator()
    incident = lifecycle.resolve(scene.incident(), body="Fixed.", by=ann, at=NIGHT + minutes(10))
    incident = lifecycle.reopen(
        incident, scene.draft("It is back."), levels={api: Level.MAJOR}, by=ann, at=NIGHT + minutes(20)
    )
    assert incident.state == State.ACKNOWLEDGED
    assert incident.resolved_at is None
    assert incident.notice is not None
    assert (incident.notice.resolved_at, incident.notice.generation) == (None, 2)
    assert ledger.levels() == {api.pk: Level.MAJOR}
    places = list(Announcement.objects.order_by("id").values_list("lane", "seq"))
    assert places == [(f"notice:{incident.notice.public_id}", seq) for seq in (1, 2, 3)]


def test_r203_a_false_alarm_tells_who_was_told_and_leaves_the_lists() -> None:
    api = scene.component("API")
    incident = scene.incident(levels={api: Level.MAJOR})
    incident = lifecycle.mark_false_alarm(
        incident, body="Our probe was wrong; nothing was down.", by=scene.operator(), at=NIGHT + minutes(5)
    )
    assert incident.notice is not None
    assert incident.notice.withdrawn_at == NIGHT + minutes(5)
    assert ledger.levels() == {}
    assert not api.impacts.real().exists()
    assert Announcement.objects.count() == 2
    assert not incident.obligations.open().exists()


def test_r205_a_correction_is_a_new_entry_that_points_at_the_old_one() -> None:
    ann, incident = scene.operator(), scene.incident(draft=scene.draft("The API is down in Ausralia."))
    assert incident.notice is not None
    update = incident.notice.updates.get()
    lifecycle.correct_update(incident, update, "The API is down in Australia.", by=ann, at=NIGHT + minutes(2))

    entry = incident.timeline.get(verb=Verb.CORRECTED)
    assert entry.corrects == incident.timeline.get(verb=Verb.PUBLISHED)
    assert entry.facts["was"] == "The API is down in Ausralia."
    assert [row.body for row in incident.notice.updates.all()] == [
        "The API is down in Ausralia.",
        "The API is down in Australia.",
    ]
    assert Announcement.objects.count() == 1
    with pytest.raises(NotAllowed):
        lifecycle.correct_update(incident, update, "Again.", by=ann, at=NIGHT + minutes(3))


def test_r205_the_database_refuses_to_rewrite_the_timeline() -> None:
    incident = scene.incident()
    with pytest.raises(IntegrityError), transaction.atomic():
        TimelineEntry.objects.filter(incident=incident).update(words="It never happened.")
    with pytest.raises(TypeError):
        incident.timeline.first().delete()  # type: ignore[union-attr]  # there are entries
    if connection.vendor == "postgresql":
        with pytest.raises(IntegrityError), transaction.atomic():
            TimelineEntry.objects.filter(incident=incident)._raw_delete(TimelineEntry.objects.db)  # type: ignore[attr-defined]  # past the model


def test_f09_the_second_of_two_operators_is_refused_with_what_changed() -> None:
    ann, ben, incident = scene.operator("ann"), scene.operator("ben"), scene.incident()
    read = Ask(version=incident.version)
    lifecycle.note(incident, "The database is out of connections.", by=ann, at=NIGHT + minutes(1), ask=read)
    with pytest.raises(Changed) as refused:
        lifecycle.resolve(incident, body="Fixed.", by=ben, at=NIGHT + minutes(2), ask=read)
    assert [(e.verb, e.words) for e in refused.value.entries] == [(Verb.NOTED, "The database is out of connections.")]
    assert Incident.objects.get(pk=incident.pk).state == State.DECLARED


def test_f11_the_same_form_sent_twice_publishes_once() -> None:
    incident, token = scene.incident(), uuid.uuid4()
    ask = Ask(version=incident.version, token=token)
    lifecycle.post_update(incident, scene.draft("Found it."), levels={}, by=scene.operator(), at=NIGHT, ask=ask)
    with pytest.raises(AlreadyDone) as again:
        lifecycle.post_update(incident, scene.draft("Found it."), levels={}, by=scene.operator(), at=NIGHT, ask=ask)
    assert again.value.incident == incident
    assert Announcement.objects.count() == 2


def test_f11_the_same_declaration_sent_twice_is_one_incident() -> None:
    token = uuid.uuid4()
    first = scene.incident(token=token)
    with pytest.raises(AlreadyDone) as again:
        scene.incident(token=token)
    assert again.value.incident == first
    assert scene.incident().reference == "INC-2026-0002"


def test_r202_a_number_starts_over_each_year() -> None:
    scene.incident()
    assert scene.incident(at=datetime(2027, 1, 1, tzinfo=UTC)).reference == "INC-2027-0001"


@pytest.mark.django_db(transaction=True)
def test_r202_ids_are_gapless_under_50_concurrent_declarations() -> None:
    """All fifty set off together; every fifth fails after it took its number, which is given again."""
    together = threading.Barrier(50, timeout=30)
    severity, brand, ann, api = scene.severity(), scene.brand(), scene.operator(), scene.component()

    def declare(n: int) -> None:
        together.wait()
        try:
            with transaction.atomic():
                lifecycle.declare(
                    severity=severity,
                    title=f"Incident {n}",
                    started_at=NIGHT,
                    by=ann,
                    at=NIGHT,
                    brand=brand,
                    levels={api: Level.DEGRADED},
                    draft=scene.draft(),
                )
                if n % 5 == 0:
                    raise RuntimeError
        except RuntimeError:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=50) as pool:
        list(pool.map(declare, range(50)))
    given = sorted(Incident.objects.values_list("reference", flat=True))
    assert given == [f"INC-2026-{n:04d}" for n in range(1, 41)]


def test_r202_a_channel_name_is_suggested() -> None:
    incident = scene.incident(title="API: high error rate (Ümläut) & more, much more than fits")
    assert incident.suggested_channel == "#incident-20261120-api-high-error-rate-ml-ut-more-much-more"


def test_what_is_over_cannot_be_updated_or_judged_anew() -> None:
    ann = scene.operator()
    incident = lifecycle.resolve(scene.incident(), body="Fixed.", by=ann, at=NIGHT + minutes(5))
    with pytest.raises(NotAllowed, match="INC-2026-0001 is resolved; you cannot post an update"):
        lifecycle.post_update(incident, scene.draft(), levels={}, by=ann, at=NIGHT + minutes(6))
    with pytest.raises(NotAllowed):
        lifecycle.change_severity(incident, scene.severity("P1", 2), reason="", by=ann, at=NIGHT + minutes(6))


def test_an_act_that_fails_leaves_nothing_half_done() -> None:
    incident = scene.incident()
    before = (incident.version, incident.timeline.count(), Announcement.objects.count())
    bad = scene.draft(phase=Phase.MONITORING, next_update_by="not a moment")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the database says to it
        lifecycle.post_update(incident, bad, levels={}, by=scene.operator(), at=NIGHT)
    incident.refresh_from_db()
    assert (incident.version, incident.timeline.count(), Announcement.objects.count()) == before
    assert incident.state == State.DECLARED


def test_the_number_of_queries_of_a_declaration_does_not_grow_with_the_audience(django_assert_max_num_queries) -> None:
    for n in range(30):
        scene.subscriber(f"reader{n}@example.com")
    scene.severity(), scene.brand(), scene.component(), scene.operator()
    with django_assert_max_num_queries(60):
        scene.incident()


def test_duties_are_met_by_the_acts() -> None:
    incident, ann = scene.incident(), scene.operator()
    kept = {o.kind: o.kept for o in incident.obligations.all()}
    assert kept == {
        DutyKind.RESPOND: None,
        DutyKind.FIRST_UPDATE: True,
        DutyKind.RESOLVE: None,
        DutyKind.PUBLIC_UPDATE: None,
    }
    lifecycle.acknowledge(incident, by=ann, at=NIGHT + minutes(16))
    assert incident.obligations.get(kind=DutyKind.RESPOND).kept is False


def test_reopening_starts_a_new_round_whose_impact_is_not_cut_short() -> None:
    """The second outage ends when it ended, not when the first one was mitigated."""
    api, ann = scene.component("API"), scene.operator()
    incident = scene.incident(levels={api: Level.MAJOR})
    incident = lifecycle.mitigate(incident, words="Rolled back.", by=ann, at=NIGHT + minutes(5))
    incident = lifecycle.resolve(incident, body="Fixed.", by=ann, at=NIGHT + minutes(10))
    incident = lifecycle.reopen(
        incident, scene.draft("It is back."), levels={api: Level.MAJOR}, by=ann, at=NIGHT + minutes(600)
    )
    assert (incident.mitigated_at, incident.round_began_at) == (None, NIGHT + minutes(600))
    with pytest.raises(NotAllowed, match="before 13:00 UTC"):
        lifecycle.resolve(incident, body="Fixed.", ended_at=NIGHT + minutes(5), by=ann, at=NIGHT + minutes(700))
    lifecycle.resolve(incident, body="Fixed.", by=ann, at=NIGHT + minutes(700))
    assert [i.ended_at for i in api.impacts.order_by("began_at")] == [NIGHT + minutes(10), NIGHT + minutes(700)]


def test_monitoring_means_mitigated_however_it_is_said() -> None:
    ann, watching = scene.operator(), scene.draft("Watching.", Phase.MONITORING)
    declared = scene.incident(draft=watching)
    assert (declared.state, declared.acknowledged_at, declared.mitigated_at) == (State.MITIGATED, NIGHT, NIGHT)
    over = lifecycle.resolve(declared, body="Fixed.", by=ann, at=NIGHT + minutes(5))
    again = lifecycle.reopen(over, watching, levels={}, by=ann, at=NIGHT + minutes(9))
    assert (again.state, again.mitigated_at) == (State.MITIGATED, NIGHT + minutes(9))


@pytest.mark.parametrize("over", [State.RESOLVED, State.CLOSED, State.MITIGATED, State.ACKNOWLEDGED])
def test_acknowledging_is_no_back_door_to_reopening(over: State) -> None:
    incident = scene.incident(public=False)
    Incident.objects.filter(pk=incident.pk).update(state=over)
    with pytest.raises(NotAllowed, match="nothing is to acknowledge"):
        lifecycle.acknowledge(incident, by=scene.operator(), at=NIGHT)
    assert Incident.objects.get(pk=incident.pk).state == over


def test_r205_the_words_of_a_false_alarm_are_not_corrected() -> None:
    ann, incident = scene.operator(), scene.incident()
    lifecycle.mark_false_alarm(incident, body="Nothing was down.", by=ann, at=NIGHT + minutes(5))
    assert incident.notice is not None
    update = incident.notice.updates.earliest("seq")
    with pytest.raises(NotAllowed, match="off the page"):
        lifecycle.correct_update(incident, update, "Better.", by=ann, at=NIGHT + minutes(6), channels=["email"])
    assert Announcement.objects.count() == 2


def test_impacts_after_the_end_are_cut_back_to_it() -> None:
    """Degraded from 60 on, but it stopped to hurt at 30: nobody counts the minutes between."""
    api, ann = scene.component("API"), scene.operator()
    incident = scene.incident(levels={api: Level.MAJOR})
    better = scene.draft("Better.", Phase.IDENTIFIED)
    lifecycle.post_update(incident, better, levels={api: Level.DEGRADED}, by=ann, at=NIGHT + minutes(60))
    lifecycle.resolve(incident, body="Fixed.", ended_at=NIGHT + minutes(30), by=ann, at=NIGHT + minutes(90))
    spans = [(i.began_at, i.ended_at) for i in api.impacts.order_by("began_at")]
    assert spans == [(NIGHT, NIGHT + minutes(30)), (NIGHT + minutes(60), NIGHT + minutes(60))]
