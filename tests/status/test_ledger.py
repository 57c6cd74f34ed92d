"""The ledger: a component is as bad as the gravest impact that holds it down (R-207, R-601)."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from status import ledger
from status.enums import Level
from status.models import Component, Impact
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> Component:
    return scene.component("API")


def spans(component: Component) -> list[tuple[str, str, float, float | None]]:
    """(source, level, from, to) in minutes since NIGHT, oldest first."""
    rows = component.impacts.order_by("began_at", "id")
    return [
        (
            row.source,
            row.level,
            (row.began_at - NIGHT) / minutes(1),
            (row.ended_at - NIGHT) / minutes(1) if row.ended_at else None,
        )
        for row in rows
    ]


def test_the_gravest_of_several_impacts_is_the_level(api: Component) -> None:
    for source, level in (("a", Level.DEGRADED), ("b", Level.MAJOR), ("c", Level.MAINTENANCE)):
        ledger.open_impacts(source, {api: level}, began_at=NIGHT, at=NIGHT)
    assert ledger.levels() == {api.pk: Level.MAJOR}
    ledger.close_impacts("b", at=NIGHT + minutes(5))
    assert ledger.levels() == {api.pk: Level.DEGRADED}
    ledger.close_impacts("a", at=NIGHT + minutes(6))
    assert ledger.levels() == {api.pk: Level.MAINTENANCE}
    ledger.close_impacts("c", at=NIGHT + minutes(7))
    assert ledger.levels() == {}


def test_moving_to_another_level_cuts_the_interval_and_saying_the_same_does_not(api: Component) -> None:
    ledger.set_levels("a", {api: Level.PARTIAL}, at=NIGHT)
    ledger.set_levels("a", {api: Level.PARTIAL}, at=NIGHT + minutes(5))
    ledger.set_levels("a", {api: Level.MAJOR}, at=NIGHT + minutes(10))
    ledger.set_levels("a", {api: Level.OPERATIONAL}, at=NIGHT + minutes(20))
    ledger.set_levels("a", {api: Level.OPERATIONAL}, at=NIGHT + minutes(30))
    assert spans(api) == [("a", "partial_outage", 0, 10), ("a", "major_outage", 10, 20)]


def test_components_that_are_not_named_stay_as_they_are(api: Component) -> None:
    mail = scene.component("E-mail")
    ledger.set_levels("a", {api: Level.PARTIAL, mail: Level.PARTIAL}, at=NIGHT)
    ledger.set_levels("a", {mail: Level.OPERATIONAL}, at=NIGHT + minutes(5))
    assert ledger.levels() == {api.pk: Level.PARTIAL}


def test_an_impact_does_not_end_before_it_began(api: Component) -> None:
    ledger.open_impacts("a", {api: Level.MAJOR}, began_at=NIGHT, at=NIGHT)
    ledger.close_impacts("a", at=NIGHT - minutes(5))
    assert spans(api) == [("a", "major_outage", 0, 0)]


def test_a_false_alarm_never_was(api: Component) -> None:
    ledger.open_impacts("a", {api: Level.MAJOR}, began_at=NIGHT, at=NIGHT)
    ledger.void_impacts("a", at=NIGHT + minutes(5))
    assert ledger.levels() == {}
    assert not Impact.objects.real().exists()


def test_the_database_lets_one_source_hold_a_component_once(api: Component) -> None:
    ledger.open_impacts("a", {api: Level.MAJOR}, began_at=NIGHT, at=NIGHT)
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.open_impacts("a", {api: Level.PARTIAL}, began_at=NIGHT, at=NIGHT)


def test_levels_are_one_query_and_a_change_is_three_whatever_the_number(django_assert_num_queries) -> None:
    components = [scene.component(f"Component {n}") for n in range(20)]
    ledger.set_levels("a", dict.fromkeys(components, Level.PARTIAL), at=NIGHT)
    with django_assert_num_queries(1):
        assert len(ledger.levels()) == 20
    # Read what is held, end it, open the new.
    with django_assert_num_queries(3):
        ledger.set_levels("a", dict.fromkeys(components, Level.MAJOR), at=NIGHT + minutes(1))


@pytest.mark.parametrize(
    ("held", "gravest"),
    [
        ([], Level.OPERATIONAL),
        (["under_maintenance", "degraded_performance"], Level.DEGRADED),
        (["partial_outage", "under_maintenance"], Level.PARTIAL),
        (["partial_outage", "major_outage", "degraded_performance"], Level.MAJOR),
    ],
)
def test_gravity(held: list[str], gravest: Level) -> None:
    assert Level.gravest(held) == gravest
