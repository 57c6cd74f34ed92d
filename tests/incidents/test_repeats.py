"""What looks like an incident that was there before, or is there already (R-212, R-1311)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from incidents import lifecycle, repeats
from incidents.enums import Cause, State, Tie
from incidents.models import Incident
from status.enums import Level
from tests import scene
from tests.incidents.desk import fresh
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return scene.operator()


def on(*names: str, at: Any = NIGHT, title: str = "API is not answering", **changes: Any) -> Incident:
    levels = {scene.component(name): Level.MAJOR for name in names}
    return scene.incident(at=at, levels=levels, title=title, public=bool(names), **changes)


def over(incident: Incident, cause: str = "", after: float = 20) -> Incident:
    """It is resolved, and its cause is known."""
    at = incident.declared_at + minutes(after)
    lifecycle.resolve(incident, body="Over.", by=None, at=at, override="Others hold it.")
    Incident.objects.filter(pk=incident.pk).update(cause=cause)
    return fresh(incident)


def told(found: list[repeats.Alike]) -> list[tuple[str, str, str]]:
    return [(one.incident.reference, one.tie.value, one.reason) for one in found]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Checkout fails for some customers", "Checkout is failing for customers", True),
        ("Checkout fails", "checkout down", True),
        ("Checkout fails", "Login fails", False),
        ("Checkout fails in Asia", "Checkout fails for some customers", True),
        ("Login page of the shop is slow", "Search page of the intranet loads forever", False),
        ("Down", "Down", False),
        ("Zahlungen gestört", "ZAHLUNGEN GESTÖRT", True),
        ("", "", False),
    ],
)
def test_titles_are_compared_by_the_words_that_tell(one: str, other: str, same: bool) -> None:
    assert repeats.similar(one, other) is same
    assert repeats.similar(other, one) is same


def test_r1311_while_declaring_open_and_past_ones_are_proposed_with_the_reason(ann: User) -> None:
    over(on("API", at=NIGHT - timedelta(days=12)))
    over(on("API", at=NIGHT - timedelta(days=91)))
    over(on("Web", at=NIGHT - timedelta(days=2)))
    over(on("API", at=NIGHT - timedelta(days=3), title="Certificates ran out"))
    on("API", at=NIGHT - minutes(8), title="Payments time out")
    on(at=NIGHT - minutes(2))
    on("Web", at=NIGHT - minutes(1), title="Certificates ran out")
    found = repeats.alike(components=[scene.component("API")], title="API not answering", at=NIGHT, user=ann)
    assert told(found) == [
        ("INC-2026-0006", "duplicate", "open, similar title, 2 min ago"),
        ("INC-2026-0005", "duplicate", "open, hits API too, 8 min ago"),
        ("INC-2026-0001", "repeat", "same component, similar title, 12 days ago"),
    ]


def test_r1311_once_the_cause_is_known_the_same_cause_is_a_repeat(ann: User) -> None:
    over(on("API", "Web", at=NIGHT - timedelta(days=12), title="Something else"), Cause.CAPACITY)
    over(on("API", at=NIGHT - timedelta(days=9)), Cause.NETWORK)
    now = on("API", "Web")
    Incident.objects.filter(pk=now.pk).update(cause=Cause.CAPACITY)
    kin = repeats.for_screen(fresh(now), ann, NIGHT)
    assert told(kin.alike) == [("INC-2026-0001", "repeat", "same components (API and Web), same cause, 12 days ago")]


def test_at_most_five_are_proposed_newest_first(ann: User) -> None:
    for n in range(7):
        over(on("API", at=NIGHT - timedelta(days=n + 1)))
    found = repeats.alike(components=[scene.component("API")], title="API not answering", at=NIGHT, user=ann)
    assert [one.incident.reference for one in found] == [f"INC-2026-000{n}" for n in range(1, 6)]


def test_what_is_linked_is_not_proposed_again_and_reads_from_both_ends(ann: User) -> None:
    before, now = over(on("API", at=NIGHT - timedelta(days=2))), on("API")
    lifecycle.link(now, before, Tie.REPEAT, note="Same worker.", by=ann, at=NIGHT)
    kin, other = repeats.for_screen(fresh(now), ann, NIGHT), repeats.for_screen(before, ann, NIGHT)
    assert (kin.alike, kin.storm) == ([], None)
    assert [(tie.words, tie.other, tie.note, tie.own) for tie in kin.links] == [
        ("repeats", before, "Same worker.", True)
    ]
    assert [(tie.words, tie.other, tie.own) for tie in other.links] == [("is repeated by", now, False)]


def test_r1311_three_incidents_of_half_an_hour_on_one_component_are_a_storm(ann: User) -> None:
    small = scene.severity("P2", 3, duties=[])
    first = on("API", at=NIGHT, severity=small)
    worst = on("API", "Web", at=NIGHT + minutes(10))
    assert repeats.storm(NIGHT + minutes(20), user=ann) is None
    last = on("API", "Web", at=NIGHT + minutes(30), severity=small)
    on("API", at=NIGHT + minutes(61), severity=small)
    found = repeats.storm(NIGHT + minutes(62), user=ann)
    assert found is not None
    assert (found.parent, found.parts, found.components) == (worst, [first, last], ["API"])
    assert found.reason == "3 incidents within 30 min hit API"


def test_parts_of_a_storm_are_counted_once_and_are_no_storm_any_more(ann: User) -> None:
    storm = [on("API", at=NIGHT + minutes(n)) for n in range(3)]
    for part in storm[1:]:
        lifecycle.link(part, storm[0], Tie.PART, by=ann, at=NIGHT + minutes(9))
    lifecycle.mark_false_alarm(on(at=NIGHT), body="Nothing.", by=None, at=NIGHT)
    assert list(Incident.objects.counted()) == [storm[0]]
    assert repeats.storm(NIGHT + minutes(10), user=ann) is None


def test_r213_nothing_restricted_is_proposed_to_who_is_not_named(ann: User) -> None:
    kim = scene.operator("kim")
    storm = [on("API", at=NIGHT + minutes(n)) for n in range(3)]
    for one in storm[:2]:
        lifecycle.restrict(one, public_title="Problem", people=[], reason="x", by=kim, at=NIGHT + minutes(5))
    lifecycle.link(storm[2], storm[0], Tie.RELATED, by=kim, at=NIGHT + minutes(6))

    def seen(user: User) -> tuple[int, bool, int]:
        kin = repeats.for_screen(fresh(storm[2]), user, NIGHT + minutes(6))
        found = repeats.alike(components=[scene.component("API")], title="x", at=NIGHT + minutes(6), user=user)
        return len(found), kin.storm is not None, len(kin.links)

    assert (seen(ann), seen(kim)) == ((1, False, 0), (3, True, 1))


def test_the_number_of_questions_does_not_grow(ann: User) -> None:
    def cost() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as asked:
            repeats.alike(components=[scene.component("API")], title="API not answering", at=NIGHT, user=ann)
        one = Incident.objects.select_related("notice").order_by("pk").first()
        assert one is not None
        with CaptureQueriesContext(connection) as screen:
            repeats.for_screen(one, ann, NIGHT)
        return len(asked), len(screen)

    def more(days: range) -> None:
        for n in days:
            on("API", at=NIGHT - minutes(n))
            over(on("API", at=NIGHT - timedelta(days=n + 2)))

    more(range(2))
    few = cost()
    more(range(2, 9))
    # Two questions of the first are those of scene.component.
    assert (cost(), few) == ((6, 8), (6, 8))


def test_merged_ones_are_proposed_to_nobody(ann: User) -> None:
    into, double = on("API"), on("API")
    lifecycle.merge(double, into, body="Same.", by=None, at=NIGHT)
    assert fresh(double).state == State.MERGED
    found = repeats.alike(components=[scene.component("API")], title="x", at=NIGHT, user=ann)
    assert [one.incident for one in found] == [into]
