"""Planned work: scheduled, announced, begun, extended, done; the page, the ledger, the clock and the mail agree."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from incidents import maintenance
from incidents.enums import DutyKind, MaintenanceState, Start, Unit
from incidents.models import Incident, Maintenance, Severity
from incidents.moves import Ask, NotAllowed
from notifications import fanout
from notifications.models import Announcement, Delivery
from status import ledger
from status.enums import Level, NoticeKind, Phase
from status.models import Impact
from status.page import press, snapshot
from status.publishing import Draft
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
#: The window of every story: two hours, ten days ahead.
START, END = NIGHT + 10 * DAY, NIGHT + 10 * DAY + minutes(120)
NOTICE: list[dict[str, Any]] = [
    {"kind": DutyKind.MAINTENANCE_NOTICE, "amount": 7, "unit": Unit.DAYS, "starts_from": Start.PLANNED_START},
    {"kind": DutyKind.START_UPDATE, "amount": 0, "starts_from": Start.PLANNED_START},
    {"kind": DutyKind.END_UPDATE, "amount": 0, "starts_from": Start.PLANNED_END},
]


def level() -> Severity:
    return scene.severity("maintenance", 4, is_maintenance=True, duties=NOTICE)


def words(body: str = "The database moves.", phase: Phase = Phase.SCHEDULED) -> Draft:
    return Draft(phase, body)


def planned(**changes: Any) -> Maintenance:
    values: dict[str, Any] = {
        "title": "Database upgrade",
        "severity": level(),
        "brand": scene.brand(),
        "components": [scene.component()],
        "planned_start_at": START,
        "planned_end_at": END,
        "what_changes": "PostgreSQL 17.",
        "rollback_plan": "The old primary stays.",
        "by": scene.operator(),
        "at": NIGHT,
    }
    return maintenance.schedule(**(values | changes))


def announced(**changes: Any) -> Maintenance:
    return planned(draft=words(), **changes)


def running(**changes: Any) -> Maintenance:
    return maintenance.begin(announced(**changes), words("It starts."), by=scene.operator(), at=START)


def over(**changes: Any) -> Maintenance:
    return maintenance.finish(running(**changes), words("It is done."), by=scene.operator(), at=END)


def cancelled(**changes: Any) -> Maintenance:
    return maintenance.cancel(announced(**changes), body="Not now.", by=scene.operator(), at=NIGHT + DAY)


def owed(work: Maintenance) -> dict[str, tuple[Any, bool | None]]:
    """What is or was owed and not dropped: due at, and whether it was kept."""
    return {row.kind: (row.due_at, row.kept) for row in work.obligations.filter(dropped_at__isnull=True)}


def newest_hook() -> dict[str, Any]:
    news = Announcement.objects.filter(kind="maintenance").order_by("pk").last()
    assert news is not None
    told: dict[str, Any] = json.loads(news.content["hook"])["incident"]
    return told


def test_r501_a_window_from_its_announcement_to_its_end() -> None:
    api, ann, reader = scene.component(), scene.operator(), scene.subscriber(least_rank=1)
    work = announced()
    assert (work.reference, work.state, work.announced_at) == ("MNT-2026-0001", MaintenanceState.PLANNED, NIGHT)
    assert owed(work) == {
        DutyKind.MAINTENANCE_NOTICE: (START - 7 * DAY, True),
        DutyKind.START_UPDATE: (START, None),
        DutyKind.END_UPDATE: (END, None),
    }
    # It is on the page with its window, and nothing is blue or open yet.
    page = snapshot.take(NIGHT)
    assert ([told.phase for told in page.maintenance], page.incidents) == ([Phase.SCHEDULED], ())
    assert (page.headline.colour, ledger.levels(), Impact.objects.count()) == ("green", {}, 0)
    html = press.render_page(NIGHT).decode()
    assert "Planned from <strong>" in html
    assert "30 Nov 2026, 03:00 UTC" in html
    assert "30 Nov 2026, 05:00 UTC" in html
    hook = newest_hook()
    assert (hook["impact"], hook["status"], hook["scheduled_for"], hook["scheduled_until"]) == (
        "maintenance", "scheduled", "2026-11-30T03:00:00.000Z", "2026-11-30T05:00:00.000Z",
    )  # fmt: skip

    work = maintenance.begin(work, words("It starts."), by=ann, at=START + minutes(2))
    assert ledger.levels() == {api.pk: Level.MAINTENANCE}
    impact = Impact.objects.get(source=work.source)
    assert (impact.began_at, impact.recorded_at, work.announced_at) == (START + minutes(2), START + minutes(2), NIGHT)
    page = snapshot.take(START + minutes(3))
    assert (page.headline.words, page.headline.colour) == ("Under maintenance: API", "blue")
    assert "Planned to be done by <strong>" in press.render_page(START + minutes(3)).decode()
    assert "It takes longer than planned" in press.render_page(END + minutes(1)).decode()

    work = maintenance.extend(work, END + minutes(30), words("Half an hour more."), by=ann, at=END - minutes(5))
    assert owed(work)[DutyKind.END_UPDATE] == (END + minutes(30), None)
    assert "It takes longer than planned" not in press.render_page(END + minutes(1)).decode()
    assert newest_hook()["scheduled_until"] == "2026-11-30T05:30:00.000Z"

    done = END + minutes(20)
    work = maintenance.finish(work, words("It is done."), by=ann, at=done, ended_at=done - minutes(5))
    assert (work.state, work.ended_at, ledger.levels()) == (MaintenanceState.COMPLETED, done - minutes(5), {})
    assert owed(work) == {
        DutyKind.MAINTENANCE_NOTICE: (START - 7 * DAY, True),
        # Two minutes late is late: the policy gives no grace.
        DutyKind.START_UPDATE: (START, False),
        DutyKind.END_UPDATE: (END + minutes(30), True),
    }
    page = snapshot.take(done)
    assert (page.maintenance, page.headline.colour) == ((), "green")
    assert newest_hook()["status"] == "completed"

    # Everybody who wants news of maintenance got each of the four, whatever severity they chose for incidents.
    news = list(Announcement.objects.filter(kind="maintenance").order_by("pk"))
    for one in news:
        fanout.expand(one.pk)
    assert [one.content["phase"] for one in news] == ["Scheduled", "In progress", "In progress", "Completed"]
    assert Delivery.objects.filter(subscriber=reader, announcement__in=news).count() == 4
    # History says who said what when, with the window as it was told then.
    assert [(row.history_change_reason, row.history_date, row.history_user, row.planned_end_at, row.words)
            for row in maintenance.log(work).reverse()] == [
        ("scheduled", NIGHT, ann, END, "PostgreSQL 17."),
        ("announced", NIGHT, ann, END, "The database moves."),
        ("begun", START + minutes(2), ann, END, "It starts."),
        ("extended", END - minutes(5), ann, END + minutes(30), "Half an hour more."),
        ("finished", done, ann, END + minutes(30), "It is done."),
    ]  # fmt: skip


def test_r501_what_is_kept_inside_says_nothing_until_it_is_announced() -> None:
    work = planned()
    assert (work.notice, Announcement.objects.count(), snapshot.take(NIGHT).maintenance) == (None, 0, ())
    assert owed(work)[DutyKind.MAINTENANCE_NOTICE] == (START - 7 * DAY, None)
    later = START - 3 * DAY
    work = maintenance.announce(work, words(), by=scene.operator(), at=later)
    assert (work.announced_at, owed(work)[DutyKind.MAINTENANCE_NOTICE]) == (later, (START - 7 * DAY, False))


def test_r502_work_that_nobody_announced_is_announced_when_it_begins() -> None:
    api, work = scene.component(), planned()
    work = maintenance.begin(work, words("At once, for your safety."), by=scene.operator(), at=START)
    assert work.notice is not None
    assert (work.notice.kind, work.notice.phase, work.announced_at) == (NoticeKind.MAINTENANCE, "in_progress", START)
    assert ledger.levels() == {api.pk: Level.MAINTENANCE}
    assert owed(work)[DutyKind.MAINTENANCE_NOTICE] == (START - 7 * DAY, False)


def test_r503_an_incident_stays_as_grave_and_the_end_lets_go_only_of_what_it_held() -> None:
    api, web, ann = scene.component(), scene.component("Web"), scene.operator()
    incident = scene.incident(levels={api: Level.MAJOR}, at=START - minutes(10))
    work = running(components=[api, web])
    assert ledger.levels() == {api.pk: Level.MAJOR, web.pk: Level.MAINTENANCE}
    assert snapshot.take(START).headline.words == "Major outage: API"
    maintenance.finish(work, words("It is done."), by=ann, at=END)
    assert ledger.levels() == {api.pk: Level.MAJOR}
    assert ledger.held_by(incident.source) == {api.pk: Level.MAJOR}


def test_r301_what_is_owed_moves_with_the_window_and_the_public_is_told() -> None:
    work, ann = announced(), scene.operator()
    with pytest.raises(NotAllowed, match="say in public that its time changes"):
        maintenance.reschedule(work, START + DAY, END + DAY, draft=None, by=ann, at=NIGHT + DAY)
    work = maintenance.reschedule(work, START + DAY, END + DAY, draft=words("A day later."), by=ann, at=NIGHT + DAY)
    assert owed(work) == {
        DutyKind.MAINTENANCE_NOTICE: (START - 7 * DAY, True),
        DutyKind.START_UPDATE: (START + DAY, None),
        DutyKind.END_UPDATE: (END + DAY, None),
    }
    assert work.notice is not None
    assert (work.notice.started_at, work.notice.window) == (START + DAY, (START + DAY, END + DAY))
    assert newest_hook()["scheduled_for"] == "2026-12-01T03:00:00.000Z"
    inside = maintenance.reschedule(planned(), START + DAY, END + DAY, draft=None, by=ann, at=NIGHT)
    assert owed(inside)[DutyKind.MAINTENANCE_NOTICE] == (START - 6 * DAY, None)


def test_r301_seven_days_of_notice_are_owed_whatever_the_policy_leaves_out() -> None:
    silent = scene.severity("upkeep", 4, is_maintenance=True, duties=NOTICE[1:])
    assert owed(planned(severity=silent))[DutyKind.MAINTENANCE_NOTICE] == (START - 7 * DAY, None)
    assert owed(planned(severity=None)) == {}


def test_r501_what_is_cancelled_is_said_and_owes_nothing() -> None:
    work = cancelled()
    assert (work.state, owed(work)) == (
        MaintenanceState.CANCELLED, {DutyKind.MAINTENANCE_NOTICE: (START - 7 * DAY, True)}
    )  # fmt: skip
    assert work.notice is not None
    # Tools know no cancelled maintenance: for them it is over.
    assert (work.notice.phase, newest_hook()["status"]) == (Phase.CANCELLED, "completed")
    page = snapshot.take(NIGHT + DAY)
    assert (page.maintenance, [told.phase for told in page.past[0].postings]) == ((), [Phase.CANCELLED])
    html = press.render_notice(work.notice.public_id, NIGHT + DAY)
    assert html is not None
    assert b"Lasted" not in html
    assert b"Not now." in html
    quiet = maintenance.cancel(planned(), body="Not needed.", by=scene.operator(), at=NIGHT)
    assert (quiet.notice, Announcement.objects.filter(content__title="Database upgrade").count()) == (None, 2)


def _extend(work: Maintenance) -> object:
    return maintenance.extend(work, END + DAY, words(), by=None, at=END)


ACTS: dict[str, Callable[[Maintenance], object]] = {
    "announce": lambda work: maintenance.announce(work, words(), by=None, at=NIGHT + DAY),
    "reschedule": lambda work: maintenance.reschedule(work, START + DAY, END + DAY, draft=words(), by=None, at=NIGHT),
    "begin": lambda work: maintenance.begin(work, words(), by=None, at=START),
    "update": lambda work: maintenance.post_update(work, words(), by=None, at=END),
    "extend": _extend,
    "finish": lambda work: maintenance.finish(work, words(), by=None, at=END),
    "cancel": lambda work: maintenance.cancel(work, body="No.", by=None, at=NIGHT + DAY),
}
POSSIBLE = {
    planned: {"announce", "reschedule", "begin", "cancel"},
    announced: {"reschedule", "begin", "cancel"},
    running: {"update", "extend", "finish"},
    over: set(),
    cancelled: set(),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("state", POSSIBLE, ids=lambda state: state.__name__)
def test_r501_every_act_in_every_state(state: Callable[[], Maintenance], act: str) -> None:
    work = state()
    if act in POSSIBLE[state]:
        ACTS[act](work)
        return
    before = (work.version, maintenance.log(work).count(), Announcement.objects.count())
    with pytest.raises(NotAllowed, match=r"MNT-2026-0001 (is|was) .+; you cannot .+|was announced already"):
        ACTS[act](work)
    work.refresh_from_db()
    assert (work.version, maintenance.log(work).count(), Announcement.objects.count()) == before


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (START, START, "cannot end before it starts"),
        (END, START, "cannot end before it starts"),
        (NIGHT - minutes(1), END, "cannot be planned to start in the past"),
    ],
)
def test_r501_a_window_lies_ahead_and_ends_after_it_starts(start: Any, end: Any, why: str) -> None:
    with pytest.raises(NotAllowed, match=why):
        planned(planned_start_at=start, planned_end_at=end)
    work = planned()
    with pytest.raises(NotAllowed, match=why):
        maintenance.reschedule(work, start, end, draft=None, by=None, at=NIGHT)
    assert work.reference == "MNT-2026-0001", "the refused one took no number"


def test_r501_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(NotAllowed, match="at least one component"):
        planned(components=[])
    with pytest.raises(NotAllowed, match="window of MNT-2026-0001 is over"):
        maintenance.begin(planned(), words(), by=None, at=END)
    work = running()
    with pytest.raises(NotAllowed, match="new end must lie ahead"):
        maintenance.extend(work, END, words(), by=None, at=START + minutes(5))
    with pytest.raises(NotAllowed, match="It ended between 03:00 UTC"):
        maintenance.finish(work, words(), by=None, at=END, ended_at=START - minutes(1))


def test_f09_a_form_older_than_the_maintenance_is_told_what_it_had_not_seen() -> None:
    work = running()
    before = work.version
    maintenance.post_update(work, words("Half way."), by=scene.operator("bob"), at=START + minutes(30))
    with pytest.raises(maintenance.Changed) as refused:
        maintenance.finish(work, words(), by=None, at=END, ask=Ask(version=before))
    assert [(row.words, row.history_user.username) for row in refused.value.entries] == [("Half way.", "bob")]


def test_f11_what_is_sent_twice_is_done_once() -> None:
    token = uuid.uuid4()
    work = planned(token=token)
    with pytest.raises(maintenance.AlreadyDone) as replay:
        planned(token=token)
    assert (replay.value.maintenance, Maintenance.objects.count()) == (work, 1)
    ask = Ask(version=work.version, token=uuid.uuid4())
    maintenance.announce(work, words(), by=None, at=NIGHT, ask=ask)
    with pytest.raises(maintenance.AlreadyDone):
        maintenance.announce(work, words(), by=None, at=NIGHT, ask=ask)
    assert Announcement.objects.filter(kind="maintenance").count() == 1


def test_r202_numbers_of_maintenance_have_no_gaps_and_are_not_those_of_incidents() -> None:
    references = [planned().reference, scene.incident().reference, planned().reference]
    assert references == ["MNT-2026-0001", "INC-2026-0001", "MNT-2026-0002"]
    assert Incident.objects.count() == 1
