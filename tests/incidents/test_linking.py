"""Ties between incidents, and merging duplicates: told once, counted once (R-212, R-1311)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from incidents import lifecycle
from incidents.enums import Condition, DutyKind, Start, State, Tie, Unit, Verb
from incidents.models import Incident, IncidentLink
from notifications.models import Announcement, Brand
from status import ledger
from status.enums import Level, Phase
from status.models import Component, Impact
from tests import scene
from tests.incidents.desk import fresh, last
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
LATER = NIGHT + minutes(30)


def test_r212_a_link_stands_in_both_timelines_and_can_be_taken_back() -> None:
    ann, first, second = scene.operator(), scene.incident(), scene.incident()
    lifecycle.link(second, first, Tie.REPEAT, note="The same worker.", by=ann, at=LATER)
    assert [str(tie) for tie in IncidentLink.objects.all()] == ["INC-2026-0002 repeats INC-2026-0001"]
    assert [(last(one).verb, last(one).words, last(one).facts) for one in (second, first)] == [
        (Verb.LINKED, "The same worker.", {"tie": "repeat", "other": "INC-2026-0001"}),
        (Verb.LINKED, "The same worker.", {"tie": "repeat", "by_other": "INC-2026-0002"}),
    ]
    lifecycle.unlink(second, first, by=ann, at=LATER)
    assert IncidentLink.objects.count() == 0
    assert [last(one).verb for one in (second, first)] == [Verb.UNLINKED, Verb.UNLINKED]


def test_r103_what_turns_out_to_be_no_repeat_owes_no_review_any_more() -> None:
    review = {
        "kind": DutyKind.REVIEW_PUBLISHED,
        "amount": 7,
        "unit": Unit.DAYS,
        "starts_from": Start.RESOLVED,
        "condition": Condition.REPEAT,
    }
    severity = scene.severity(duties=[review])
    first, second = scene.incident(severity=severity), scene.incident(severity=severity)
    lifecycle.link(second, first, Tie.REPEAT, by=None, at=LATER)
    lifecycle.resolve(second, body="Over.", by=None, at=LATER, override="The other one goes on.")
    assert [row.kind for row in second.obligations.open()] == [DutyKind.REVIEW_PUBLISHED]
    lifecycle.unlink(second, first, by=None, at=LATER)
    assert not second.obligations.open().exists()


def test_what_cannot_be_linked() -> None:
    first, second = scene.incident(), scene.incident()
    lifecycle.link(second, first, Tie.RELATED, by=None, at=LATER)
    refused = {}
    for name, ask in {
        "twice": lambda: lifecycle.link(second, first, Tie.REPEAT, by=None, at=LATER),
        "itself": lambda: lifecycle.link(first, first, Tie.RELATED, by=None, at=LATER),
        "duplicate": lambda: lifecycle.link(first, second, Tie.DUPLICATE, by=None, at=LATER),
        "not there": lambda: lifecycle.unlink(first, second, by=None, at=LATER),
    }.items():
        with pytest.raises(lifecycle.NotAllowed) as caught:
            ask()
        refused[name] = str(caught.value)
    assert refused == {
        "twice": "INC-2026-0002 is related to INC-2026-0001 already.",
        "itself": "It cannot be tied to itself.",
        "duplicate": "A duplicate is merged, so that it is told and counted once.",
        "not there": "INC-2026-0001 is not linked to INC-2026-0002.",
    }


def test_r1311_a_duplicate_goes_on_under_the_other() -> None:
    """Its page ends and says where to read on, its components are held without a gap, nothing is owed for it."""
    api, web, ann = scene.component("API"), scene.component("Web"), scene.operator()
    into = scene.incident(levels={api: Level.PARTIAL}, at=NIGHT)
    double = scene.incident(levels={web: Level.MAJOR}, at=NIGHT + minutes(5))
    lifecycle.merge(double, into, body="This goes on elsewhere.", by=ann, at=LATER, channels=[])
    double, into = fresh(double), fresh(into)
    assert double.notice is not None
    assert into.notice is not None
    assert (double.state, double.merged_into, double.closed_at) == (State.MERGED, into, LATER)
    assert (double.notice.phase, double.notice.resolved_at) == (Phase.RESOLVED, LATER)
    assert double.notice.updates.latest("seq").body == "This goes on elsewhere."
    assert sorted(part.name for part in into.notice.components.all()) == ["API", "Web"]
    assert (into.notice.impact, into.state) == ("critical", State.DECLARED)
    assert [(row.source, row.began_at, row.ended_at) for row in Impact.objects.real().filter(component=web)] == [
        (into.source, NIGHT + minutes(5), None)
    ]
    assert ledger.levels() == {api.pk: Level.PARTIAL, web.pk: Level.MAJOR}
    assert double.obligations.open().count() == 0
    assert {row.remark for row in double.obligations.filter(met_at__isnull=True)} == {
        "It was merged into another incident."
    }
    assert [(tie.incident, tie.tie, tie.other) for tie in IncidentLink.objects.all()] == [(double, Tie.DUPLICATE, into)]
    assert (last(double).verb, last(double).facts["into"]) == (Verb.MERGED, into.reference)
    assert (last(into).verb, last(into).facts) == (Verb.MERGED, {"took": double.reference})
    assert list(Incident.objects.counted()) == [into]


def test_r1302_what_hit_customers_first_is_when_both_began() -> None:
    """The page says since when it hurts as the ledger does; its own components stay hit since they were."""
    api, web, ann = scene.component("API"), scene.component("Web"), scene.operator()
    first = scene.incident(levels={web: Level.MAJOR}, at=NIGHT)
    into = scene.incident(levels={api: Level.PARTIAL}, at=NIGHT + minutes(30))
    lifecycle.merge(first, into, body="This goes on elsewhere.", by=ann, at=NIGHT + minutes(40), channels=[])
    into = fresh(into)
    assert into.notice is not None
    assert (into.started_at, into.detected_at, into.notice.started_at) == (NIGHT, NIGHT, NIGHT)
    assert sorted(Impact.objects.open().values_list("component__name", "began_at")) == [
        ("API", NIGHT + minutes(30)),
        ("Web", NIGHT),
    ]
    corrected = into.timeline.get(verb=Verb.TIMES)
    assert corrected.words == f"It began with {first.reference}."
    assert corrected.facts["started_at"] == [(NIGHT + minutes(30)).isoformat(), NIGHT.isoformat()]


def test_everybody_who_heard_of_the_duplicate_hears_where_it_goes_on() -> None:
    into, double = scene.incident(), scene.incident()
    before = Announcement.objects.count()
    lifecycle.merge(double, into, body="It goes on.", by=None, at=LATER)
    assert Announcement.objects.count() == before + 1


def test_an_internal_duplicate_says_nothing() -> None:
    into, double = scene.incident(), scene.incident(public=False)
    before = Announcement.objects.count()
    lifecycle.merge(double, into, body="Same thing.", by=None, at=LATER)
    assert (fresh(double).state, Announcement.objects.count()) == (State.MERGED, before)


def _refuse(case: str) -> tuple[Incident, Incident]:
    first, second = scene.incident(), scene.incident()
    third = scene.incident(public=False)
    match case:
        case "over":
            lifecycle.resolve(second, body="Over.", by=None, at=LATER, override="Sure.")
        case "merged":
            lifecycle.merge(second, first, body="x", by=None, at=LATER)
            return scene.incident(), second
        case "internal":
            return first, third
        case "restricted":
            lifecycle.restrict(first, public_title="Problem", people=[], reason="Secret.", by=None, at=LATER)
        case "brand":
            other = Brand.objects.create(
                slug="fab",
                name="Fabrikam",
                sender_name="F",
                sender_email="f@fab.example",
                support_email="f@fab.example",
            )
            return first, scene.incident(brand=other)
    return first, second


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("over", "INC-2026-0002 is resolved; only what is open goes on."),
        ("merged", "INC-2026-0002 was itself merged into another. Choose the one it went on under."),
        ("internal", "INC-2026-0003 is not public yet. Go public there first, or merge it into this one."),
        ("restricted", "INC-2026-0002 is not restricted: what is secret here would be read there."),
        ("brand", "INC-2026-0004 is told by another brand, Fabrikam. Say that this is meant."),
    ],
)
def test_what_cannot_be_merged(case: str, why: str) -> None:
    incident, into = _refuse(case)
    with pytest.raises(lifecycle.NotAllowed) as refused:
        lifecycle.merge(incident, into, body="x", by=None, at=LATER)
    assert str(refused.value) == why
    if case == "brand":
        lifecycle.merge(incident, into, body="x", by=None, at=LATER, across_brands=True)
        assert fresh(incident).state == State.MERGED


def test_r213_a_timeline_that_all_may_read_names_no_restricted_incident() -> None:
    known, secret = scene.incident(), scene.incident()
    lifecycle.restrict(secret, public_title="Problem", people=[], reason="Breach.", by=None, at=LATER)
    lifecycle.link(known, secret, Tie.RELATED, by=None, at=LATER)
    assert last(known).facts["other"] == "a restricted incident"
    assert last(secret).facts["by_other"] == known.reference
    lifecycle.link(secret, known, Tie.PART, note="By way of the build host.", by=None, at=LATER)
    assert (last(known).words, last(known).facts["by_other"]) == ("", "a restricted incident")
    assert last(secret).words == "By way of the build host."


# --- the ledger -------------------------------------------------------------------


def held(source: str, *spans: tuple[str, int, int | None]) -> None:
    for level, began, ended in spans:
        Impact.objects.create(
            component=scene.component(),
            level=level,
            source=source,
            began_at=NIGHT + minutes(began),
            ended_at=None if ended is None else NIGHT + minutes(ended),
            recorded_at=NIGHT,
        )


def at_each_minute(component: Component) -> list[tuple[str, int]]:
    """The gravest level of every minute, and how many sources hold it there."""
    rows = list(Impact.objects.real().filter(component=component))

    def then(moment: datetime) -> list[Any]:
        return [row for row in rows if row.began_at <= moment and (row.ended_at is None or row.ended_at > moment)]

    minute_by_minute = [then(NIGHT + minutes(n)) for n in range(60)]
    return [(Level.gravest(row.level for row in now).value, len(now)) for now in minute_by_minute]


MINOR, PART, MAJOR = Level.DEGRADED.value, Level.PARTIAL.value, Level.MAJOR.value


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ([(MAJOR, 0, None)], []),
        ([(MAJOR, 0, 10), (PART, 10, None)], []),
        ([(MINOR, 5, None)], [(MAJOR, 0, None)]),
        ([(MAJOR, 5, None)], [(PART, 10, None)]),
        ([(MAJOR, 5, 20)], [(PART, 10, None)]),
        ([(MAJOR, 10, 20)], [(PART, 5, 40)]),
        ([(PART, 10, 20), (MINOR, 30, None)], [(PART, 20, 30), (MAJOR, 30, 40)]),
        ([(PART, 0, None)], [(PART, 0, None)]),
        ([(MINOR, 0, 5)], [(MINOR, 20, 25)]),
    ],
)
def test_r207_handing_over_leaves_no_gap_and_counts_no_minute_twice(
    theirs: list[tuple[str, int, int | None]], ours: list[tuple[str, int, int | None]]
) -> None:
    held("incident:A", *theirs)
    held("incident:B", *ours)
    before = at_each_minute(scene.component())
    ledger.hand_over("incident:A", "incident:B", at=NIGHT + minutes(50))
    after = at_each_minute(scene.component())
    assert [level for level, _ in after] == [level for level, _ in before]
    assert {count for _, count in after} <= {0, 1}
    assert not Impact.objects.real().filter(source="incident:A").exists()


def test_the_span_without_neighbours() -> None:
    """Two spans that meet at one level become one, so that nobody reads a change where there was none."""
    held("incident:A", (PART, 0, 10))
    held("incident:B", (PART, 10, None))
    ledger.hand_over("incident:A", "incident:B", at=NIGHT + minutes(50))
    assert [(row.began_at, row.ended_at) for row in Impact.objects.real()] == [(NIGHT, None)]
