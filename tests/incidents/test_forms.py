"""What the console's forms understand: moments, levels, severities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from incidents.enums import DutyKind, Publicity, Unit
from incidents.forms import DeclareForm, UpdateForm, severities
from incidents.forms.composer import span
from incidents.forms.levels import Levels, in_order, sections
from incidents.forms.moments import Moment, not_before
from incidents.models import Severity
from status.enums import Level
from tests import scene
from tests.scene import NIGHT, minutes


def read(typed: str, *, ahead: bool = False, now: datetime = NIGHT) -> datetime | None:
    return Moment(ahead=ahead, now=now, required=False).clean(typed)


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("2026-11-20 14:05", datetime(2026, 11, 20, 14, 5, tzinfo=UTC)),
        ("2026-11-20T14:05", datetime(2026, 11, 20, 14, 5, tzinfo=UTC)),
        ("2026-11-20t14:05z", datetime(2026, 11, 20, 14, 5, tzinfo=UTC)),
        ("2026-11-20 14:05:09 UTC", datetime(2026, 11, 20, 14, 5, 9, tzinfo=UTC)),
        ("2026-11-20 14:05:09.25Z", datetime(2026, 11, 20, 14, 5, 9, 250000, tzinfo=UTC)),
        ("2026-11-20T14:05+0530", datetime(2026, 11, 20, 8, 35, tzinfo=UTC)),
        ("2026-11-20T14:05-05:00", datetime(2026, 11, 20, 19, 5, tzinfo=UTC)),
        ("  2026-11-20 14:05  ", datetime(2026, 11, 20, 14, 5, tzinfo=UTC)),
        ("2028-02-29 00:00", datetime(2028, 2, 29, tzinfo=UTC)),
        ("2:59", datetime(2026, 11, 20, 2, 59, tzinfo=UTC)),
        ("03:00", datetime(2026, 11, 20, 3, 0, tzinfo=UTC)),
        ("03:01", datetime(2026, 11, 19, 3, 1, tzinfo=UTC)),
        ("", None),
    ],
)
def test_a_moment_is_read_as_utc(typed: str, moment: datetime | None) -> None:
    assert read(typed) == moment


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("03:00", NIGHT + timedelta(days=1)),
        ("03:01", NIGHT + minutes(1)),
        ("02:59", NIGHT + timedelta(hours=23.9833333)),
    ],
)
def test_a_clock_time_ahead_is_the_next_one(typed: str, moment: datetime) -> None:
    found = read(typed, ahead=True)
    assert found is not None
    assert abs(found - moment) < timedelta(seconds=1)


@pytest.mark.parametrize(
    "typed",
    [
        "now",
        "24:00",
        "12:60",
        "2026-11-20",
        "2026-11-20 24:00",
        "2026-13-01 00:00",
        "2025-02-29 00:00",
        "2026-11-20 14:05:60",
        "2026-11-20 14:05 CET",
        "2026-11-20 14:05 Europe/Berlin",
        "2026-11-20 14:05+25:00",
        "20.11.2026 14:05",
        "11/20/2026 2:05 PM",
        "1e309",
        "２０２６-11-20 14:05",
        "٠٣:٠٠",
        "0001-01-01 00:00+14:00",
        "9999-12-31 23:59-14:00",
        "2026-11-20 14:05\x00",
        "x" * 41,
    ],
)
def test_what_is_no_moment_is_refused_in_words(typed: str) -> None:
    """F17."""
    with pytest.raises(ValidationError):
        read(typed)


@given(st.text(max_size=60))
def test_no_text_breaks_a_moment(typed: str) -> None:
    try:
        found = read(typed)
    except ValidationError:
        return
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(("seconds", "found"), [(0, 0), (40, 40), (59, 59), (60, 0), (-1, 0)])
def test_a_minute_is_not_before_what_began_within_it(seconds: int, found: int) -> None:
    start = NIGHT + timedelta(seconds=seconds)
    assert not_before(NIGHT, start) == NIGHT + timedelta(seconds=found)


@pytest.mark.parametrize(("n", "words"), [(15, "15 min"), (60, "1 hour"), (120, "2 hours"), (90, "90 min")])
def test_chips_are_worded(n: int, words: str) -> None:
    assert span(n) == words


@pytest.mark.django_db
def test_components_stand_under_their_groups_in_the_pages_order() -> None:
    lonely = scene.component("Docs")
    late = scene.component("Refunds", "Payments", position=2)
    early = scene.component("Checkout", "Payments", position=1)
    api = scene.component("API", "Basics")
    found = sections(in_order([lonely, late, early, api]), "levels", {late.pk: "major_outage"})
    assert [(heading, [(r.component.name, r.chosen) for r in rows]) for heading, rows in found] == [
        ("Basics", [("API", "operational")]),
        ("Payments", [("Checkout", "operational"), ("Refunds", "major_outage")]),
        ("", [("Docs", "operational")]),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("level", ["under_maintenance", "fine", "", None])
def test_only_four_levels_can_be_chosen(level: Any) -> None:
    field = Levels([api := scene.component("API")])
    if not level:
        data = {f"x-{api.pk}": level} if level is not None else {}
        assert field.clean(field.widget.value_from_datadict(data, {}, "x")) == {api: Level.OPERATIONAL}
        return
    with pytest.raises(ValidationError):
        field.clean({api.pk: level})


@pytest.mark.django_db
def test_a_level_says_in_one_line_what_choosing_it_means() -> None:
    update = {"kind": DutyKind.PUBLIC_UPDATE, "amount": 1, "unit": Unit.HOURS}
    rows = [
        scene.severity("A", 1),
        scene.severity("B", 2, duties=[update]),
        scene.severity("C", 3, duties=[], publicity=Publicity.IF_VISIBLE),
        scene.severity("D", 4, duties=[update], publicity=Publicity.NEVER),
    ]
    assert [severities.in_short(level) for level in rows] == [
        "Public, first update within 15 minutes, updates every 30 minutes",
        "Public, updates every hour",
        "Public if customers can see it",
        "Never public",
    ]
    assert [severities.cadence(level) for level in rows] == [30, 60, None, 60]
    assert [severities.is_told(level) for level in rows] == [True, True, True, False]


@pytest.mark.django_db
def test_a_change_offers_the_incidents_own_version_first_and_no_retired_one() -> None:
    """R-102: judged by the version it began with, even when a newer one is in force."""
    incident = scene.incident()
    other = scene.severity("S2", 2)
    offered = severities.for_changing(incident)
    assert [level.code for level in offered] == ["P0", "S2"]
    type(other.version).objects.filter(pk__in=[other.version_id, incident.severity.version_id]).update(
        standing="retired"
    )
    assert [level.code for level in severities.for_changing(incident)] == ["P0"]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("ranks", "chosen"), [([1, 3], 3), ([1, 2, 3, 4], 2), ([2], 2), ([], None)], ids=["A", "four", "one", "none"]
)
def test_the_form_opens_at_the_second_level_of_the_policy_whatever_its_rank(
    ranks: list[int], chosen: int | None
) -> None:
    """The worst is never chosen by mistake: policy A has the ranks 1 and 3."""
    other = [Severity(version_id=2, rank=2, code="of another policy")] if ranks else []
    found = severities.default_level([*(Severity(version_id=1, rank=rank) for rank in ranks), *other])
    assert (found and (found.version_id, found.rank)) == (chosen and (1, chosen))


@pytest.mark.django_db
def test_r207_a_form_that_was_not_sent_yet_knows_the_components_it_starts_with() -> None:
    """Every language's words are filled as soon as the form is opened."""
    api, web = scene.component(), scene.component("Web")
    form = UpdateForm(at=NIGHT, incident=scene.incident(levels={api: Level.MAJOR, web: Level.OPERATIONAL}))
    assert form.levels == {api: Level.MAJOR}
    assert form.as_values("de")["impact"]
    assert DeclareForm(at=NIGHT).levels == {}
