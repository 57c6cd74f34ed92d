"""What colleagues write down while they work: quick lines, decisions, better words (R-205, R-1302)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents import lifecycle, working
from incidents.enums import DutyKind, Start, Verb
from incidents.lifecycle import NotAllowed
from incidents.working import Quick, Unreadable
from tests import scene
from tests.incidents import desk
from tests.scene import NIGHT, minutes


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("errors fell", Quick("errors fell", None, False)),
        ("02:50 decided to fail over", Quick("decided to fail over", NIGHT - minutes(10), False)),
        ("2:50 fell", Quick("fell", NIGHT - minutes(10), False)),
        ("03:00 now", Quick("now", NIGHT, False)),
        # Later than now: yesterday's.
        ("03:01 began", Quick("began", NIGHT + minutes(1 - 1440), False)),
        ("23:50 began", Quick("began", NIGHT - minutes(190), False)),
        ("-5m errors fell", Quick("errors fell", NIGHT - minutes(5), False)),
        ("-5 min errors fell", Quick("errors fell", NIGHT - minutes(5), False)),
        ("-1h30m began", Quick("began", NIGHT - minutes(90), False)),
        ("-2h began", Quick("began", NIGHT - minutes(120), False)),
        ("! roll back", Quick("roll back", None, True)),
        ("!roll back", Quick("roll back", None, True)),
        ("! 02:50 roll back", Quick("roll back", NIGHT - minutes(10), True)),
        ("02:50 ! roll back", Quick("roll back", NIGHT - minutes(10), True)),
        # No times, only words.
        ("500 errors a second", Quick("500 errors a second", None, False)),
        ("-500 requests", Quick("-500 requests", None, False)),
        ("10:1 ratio of reads", Quick("10:1 ratio of reads", None, False)),
        ("- checked the logs", Quick("- checked the logs", None, False)),
        ("02:50:17 exact", Quick("02:50:17 exact", None, False)),
    ],
)
def test_r205_a_line_says_when_it_happened_and_whether_it_was_decided(line: str, read: Quick) -> None:
    assert working.quick(line, NIGHT) == read


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("25:99 nonsense", "25:99 is no time of day. Write 00:00 to 23:59, in UTC."),
        ("24:00 midnight", "24:00 is no time of day"),
        ("03:60 x", "03:60 is no time of day"),
        ("", "Write what happened"),
        ("  !  ", "Write what happened"),
        ("14:05", "Write what happened"),
        ("-5m", "Write what happened"),
        ("-999h long ago", "“-999h” is more than a week ago"),
        ("-9999h long ago", "“-9999h” is more than a week ago"),
        ("-99999 min long ago", "“-99999 min” is more than a week ago"),
    ],
)
def test_r205_a_line_that_cannot_be_read_says_why(line: str, words: str) -> None:
    with pytest.raises(Unreadable) as refused:
        working.quick(line, NIGHT)
    assert words in str(refused.value)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_read_or_refused_and_never_lies_ahead(line: str) -> None:
    try:
        read = working.quick(line, NIGHT)
    except Unreadable:
        return
    assert read.words
    assert read.happened_at is None or NIGHT - working.FARTHEST <= read.happened_at <= NIGHT


@pytest.mark.django_db
def test_r205_a_decision_is_an_entry_of_its_own_with_both_clocks() -> None:
    incident = scene.incident()
    lifecycle.note(
        incident, "Fail over.", decision=True, by=None, at=NIGHT + minutes(9), happened_at=NIGHT + minutes(4)
    )
    entry = desk.last(incident)
    assert (entry.verb, entry.at, entry.recorded_at) == (Verb.DECIDED, NIGHT + minutes(4), NIGHT + minutes(9))


@pytest.mark.django_db
def test_r301_a_decision_is_as_good_as_a_note_for_the_internal_cadence() -> None:
    internal = {"kind": DutyKind.INTERNAL_UPDATE, "amount": 30, "repeats": True, "starts_from": Start.LAST_UPDATE}
    incident = scene.incident(severity=scene.severity(duties=[internal]), public=False)
    lifecycle.note(incident, "Fail over.", decision=True, by=None, at=NIGHT + minutes(20))
    assert [row.due_at for row in incident.obligations.open()] == [NIGHT + minutes(50)]


@pytest.mark.django_db
def test_r205_better_words_for_a_note_point_at_the_old_ones_and_stand_at_their_time() -> None:
    ann, incident = scene.operator(), scene.incident()
    lifecycle.note(incident, "Databse is full.", by=ann, at=NIGHT + minutes(5), happened_at=NIGHT + minutes(2))
    old = desk.last(incident)
    lifecycle.correct_note(incident, old, "Database is full.", by=ann, at=NIGHT + minutes(8))
    new = desk.last(incident)
    assert (new.verb, new.corrects, new.words) == (Verb.CORRECTED, old, "Database is full.")
    assert (new.at, new.recorded_at) == (NIGHT + minutes(2), NIGHT + minutes(8))
    old.refresh_from_db()
    assert old.words == "Databse is full."


@pytest.mark.django_db
def test_r205_only_the_newest_words_of_a_note_of_this_incident_are_corrected() -> None:
    incident, other = scene.incident(), scene.incident(title="Another", public=False)
    lifecycle.note(incident, "One.", by=None, at=NIGHT)
    old = desk.last(incident)
    lifecycle.correct_note(incident, old, "Two.", by=None, at=NIGHT)
    with pytest.raises(NotAllowed, match="corrected meanwhile"):
        lifecycle.correct_note(incident, old, "Three.", by=None, at=NIGHT)
    lifecycle.correct_note(incident, desk.last(incident), "Three.", by=None, at=NIGHT)
    assert desk.last(incident).words == "Three."
    for entry in (incident.timeline.earliest("id"), desk.last(other)):
        with pytest.raises(NotAllowed, match="Only notes and decisions"):
            lifecycle.correct_note(incident, entry, "Four.", by=None, at=NIGHT)
