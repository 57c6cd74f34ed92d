"""The one read model of the public page."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.models import Topic
from status import ledger, publishing
from status.enums import Level, NoticeKind, Phase
from status.models import AnswerTarget, Component
from status.page import snapshot
from status.page.postings import archive, posting
from status.uptime import Uptime
from tests.scene import NIGHT, brand, component, minutes
from tests.status.stage import notice, over, post, resolve, source

pytestmark = pytest.mark.django_db
LATER = NIGHT + minutes(60)


def queries(at=LATER):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        snapshot.take(at)
    return len(captured)


def only_row(at=LATER):
    (row,) = snapshot.take(at).rows
    return row


def test_the_number_of_queries_does_not_grow_with_anything():
    brand()
    for number in range(2):
        over(f"INC-2026-000{number}", at=NIGHT - timedelta(days=number), levels={component(f"C{number}"): Level.MAJOR})
    notice("INC-2026-0008", levels={component("C0"): Level.MAJOR})
    assert queries() == 8
    for number in range(12):
        told = over(
            f"INC-2025-{number:04}",
            at=NIGHT - timedelta(days=number),
            levels={component(f"D{number}", "G"): Level.PARTIAL},
        )
        post(told, Phase.MONITORING, "Back again.", at=LATER)
    assert queries() == 8


def test_a_component_is_held_down_until_the_last_incident_lets_go():
    """R-207."""
    api = component()
    first = notice("INC-2026-0001", levels={api: Level.MAJOR})
    notice("INC-2026-0002", levels={api: Level.DEGRADED})
    assert only_row().level == Level.MAJOR
    resolve(first, at=NIGHT + minutes(20))
    assert only_row().level == Level.DEGRADED


def test_the_past_counts_every_second_once_and_knows_how_long_the_component_exists():
    """R-602: two incidents overlap for ten minutes; the component was created with the first."""
    api = component()
    over("INC-2026-0001", at=NIGHT, lasting=minutes(30), levels={api: Level.MAJOR})
    over("INC-2026-0002", at=NIGHT + minutes(20), lasting=minutes(30), levels={api: Level.PARTIAL})
    row = only_row(NIGHT + minutes(100))
    assert row.uptime_30 == Uptime(measured=6_000, lost=30 * 60 * 10 + 20 * 60 * 3)
    assert row.uptime_30 == row.uptime_90


def test_false_alarms_count_nowhere_and_hold_nothing():
    """R-203."""
    told = notice(levels={component(): Level.MAJOR})
    ledger.void_impacts(source(told.reference), at=NIGHT + minutes(30))
    publishing.withdraw(told, at=NIGHT + minutes(30))
    taken = snapshot.take(LATER)
    assert taken.headline.words == "All systems operational"
    assert (taken.rows[0].uptime_30.lost, taken.rows[0].last) == (0, None)
    assert (taken.incidents, archive("", 25, LATER)) == ((), ([], ""))


def test_the_open_incident_says_when_the_next_update_comes_and_when_that_was_missed():
    """R-1301."""
    notice(levels={component(): Level.DEGRADED}, next_update_by=NIGHT + minutes(30))
    (told,) = snapshot.take(NIGHT + minutes(30)).incidents
    assert (told.next_update_by, told.late) == (NIGHT + minutes(30), False)
    assert snapshot.take(NIGHT + minutes(31)).incidents[0].late is True


def test_a_correction_is_read_in_the_place_of_what_it_corrects():
    """R-205."""
    told = notice(body="The database is down.")
    publishing.correct(told.updates.get(), "The cache is down.", at=NIGHT + minutes(5))
    (read,) = snapshot.take(LATER).incidents[0].updates
    assert (read.text, read.posted_at, read.corrected_at) == ("The cache is down.", NIGHT, NIGHT + minutes(5))


def test_components_of_a_notice_stand_at_their_level_now_and_at_their_worst_once_it_is_over():
    api = component()
    told = notice(levels={api: Level.MAJOR})
    publishing.set_levels(told, source(told.reference), {api: Level.DEGRADED}, at=NIGHT + minutes(10))
    post(told, Phase.MONITORING, "Better.", at=NIGHT + minutes(10))
    assert [one.level for one in snapshot.take(LATER).incidents[0].components] == [Level.DEGRADED]
    assert [one.level for one in posting(told.public_id, LATER)[0].components] == [Level.DEGRADED]
    resolve(told, at=NIGHT + minutes(20))
    past = posting(told.public_id, LATER)[0]
    assert [(one.name, one.level) for one in past.components] == [("API", Level.MAJOR)]
    assert (past.colour, past.standing, past.gravity, past.seconds) == ("red", "green", "Major outage", 1_200)


def test_the_last_incident_of_a_component_is_named_but_never_a_maintenance():
    """R-602."""
    api = component()
    over("INC-2026-0001", at=NIGHT - timedelta(days=200), levels={api: Level.MAJOR}, title="Long ago")
    over("MNT-1", at=NIGHT, levels={api: Level.MAINTENANCE}, kind=NoticeKind.MAINTENANCE)
    last = only_row().last
    assert (last.title, last.began_at) == ("Long ago", NIGHT - timedelta(days=200))


def test_past_days_fold_when_nothing_happened():
    over("INC-2026-0001", at=NIGHT - timedelta(days=2), title="Two days ago")
    days = snapshot.take(NIGHT).past
    assert [(one.first, one.last, [told.title for told in one.postings]) for one in days] == [
        (date(2026, 11, 19), date(2026, 11, 20), []),
        (date(2026, 11, 18), date(2026, 11, 18), ["Two days ago"]),
        (date(2026, 11, 6), date(2026, 11, 17), []),
    ]


def past(at):
    return [
        (f"{one.first.day}-{one.last.day}", [told.title for told in one.postings], [told.title for told in one.ongoing])
        for one in snapshot.take(at).past
    ]


def test_a_day_that_something_was_under_way_is_not_one_without_incidents():
    notice("INC-2026-0001", at=NIGHT - timedelta(days=1), title="Still open")
    notice("MNT-1", kind=NoticeKind.MAINTENANCE, phase=Phase.IN_PROGRESS, title="Upgrade")
    notice("MNT-2", at=LATER, kind=NoticeKind.MAINTENANCE, phase=Phase.SCHEDULED, title="Only announced")
    over("INC-2026-0002", at=NIGHT - timedelta(days=6), lasting=timedelta(days=2), title="Two nights")
    assert past(LATER) == [
        ("20-20", [], ["Upgrade", "Still open"]),
        ("19-19", [], ["Still open"]),
        ("17-18", [], []),
        ("16-16", ["Two nights"], []),
        ("14-15", [], ["Two nights"]),
        ("6-13", [], []),
    ]


def test_maintenance_stands_apart_from_incidents():
    api = component()
    notice("MNT-2", at=NIGHT + timedelta(days=2), kind=NoticeKind.MAINTENANCE, phase=Phase.SCHEDULED, title="Later")
    notice("MNT-1", kind=NoticeKind.MAINTENANCE, phase=Phase.IN_PROGRESS, levels={api: Level.MAINTENANCE}, title="Now")
    taken = snapshot.take(LATER)
    assert ([told.title for told in taken.maintenance], taken.incidents) == (["Now", "Later"], ())
    assert (taken.headline.words, taken.headline.colour) == ("Under maintenance: API", "blue")


def test_groups_come_in_their_order_and_archived_components_not_at_all():
    component("Alone", position=9)
    component("Second", "Web", position=2)
    component("First", "Web", position=1)
    component("Gone", "Web", archived_at=NIGHT)
    taken = snapshot.take(LATER)
    assert [(section.name, [row.name for row in section.rows]) for section in taken.sections] == [
        ("", ["Alone"]),
        ("Web", ["First", "Second"]),
    ]


def test_the_lead_says_who_is_affected_and_how():
    names = {name: component(name) for name in ("API", "Web", "CDN", "Mail", "Pay")}
    assert snapshot.take(LATER).lead == "All 5 components are working, and no incident is open."
    notice(
        levels={names["API"]: Level.MAJOR, **{names[name]: Level.DEGRADED for name in ("Web", "CDN", "Mail", "Pay")}}
    )
    taken = snapshot.take(LATER)
    assert (taken.headline.words, taken.lead) == ("Major outage: API", "Degraded performance: CDN, Mail and 2 more.")


def test_the_lead_tells_what_works_and_never_says_the_headline_again():
    api, web, _, _ = (component(name) for name in ("API", "Web", "CDN", "Mail"))
    told = notice(levels={api: Level.PARTIAL})
    taken = snapshot.take(LATER)
    assert (taken.headline.words, taken.lead) == ("Partial outage: API", "The other 3 components are working.")
    publishing.set_levels(told, source(told.reference), {web: Level.DEGRADED}, at=NIGHT)
    assert snapshot.take(LATER).lead == "Degraded performance: Web. The other 2 components are working."


def test_the_lead_of_a_full_outage():
    notice(levels={component(): Level.MAJOR})
    taken = snapshot.take(LATER)
    assert (taken.headline.words, taken.lead) == ("Full outage", "Every component is affected.")


def test_answer_targets_are_shown_in_their_order():
    """R-104."""
    AnswerTarget.objects.create(priority="Low", words="within 3 business days", position=2)
    AnswerTarget.objects.create(priority="Critical", words="within 1 hour", position=1)
    assert snapshot.take(LATER).answers == (("Critical", "within 1 hour"), ("Low", "within 3 business days"))


def test_an_empty_installation_has_a_page_too():
    taken = snapshot.take(NIGHT)
    assert (taken.brand, taken.sections, taken.headline.colour) == (None, (), "grey")


def test_fifty_components_and_ninety_days_of_trouble_are_read_by_rows():
    """Performance.md A: no query per component, every figure from the same seconds."""
    created = NIGHT - timedelta(days=120)
    topics = Topic.objects.bulk_create(Topic(key=f"component:{n}", name=f"C{n}") for n in range(50))
    Component.objects.bulk_create(
        Component(name=topic.name, topic=topic, created_at=created, updated_at=created) for topic in topics
    )
    levels = dict.fromkeys(Component.objects.all(), Level.MAJOR)
    for day in range(90):
        ledger.open_impacts(f"x:{day}", levels, began_at=NIGHT - timedelta(days=day), at=NIGHT)
        ledger.close_impacts(f"x:{day}", at=NIGHT - timedelta(days=day) + minutes(14.4))
    taken = snapshot.take(NIGHT + timedelta(hours=21) - timedelta(seconds=1))
    assert {row.uptime_90.percent for row in taken.rows} == {Decimal("98.99")}
    assert {len(row.past.troubled) for row in taken.rows} == {90}


def test_the_archive_goes_on_by_key_through_equal_moments_without_losing_or_repeating():
    told = [over(f"INC-2026-{number:04}", at=NIGHT, title=f"No. {number}").title for number in range(7)]
    seen, key = [], ""
    while True:
        page, key = archive(key, 3, LATER)
        seen += [one.title for one in page]
        if not key:
            break
    assert seen == told[::-1]


@pytest.mark.parametrize("key", ["x", "1", "1-", "-1", "1-2-3", "1e5-1", "9" * 30 + "-1", "٣-١", "1" * 60 + "-1"])
def test_what_is_not_a_key_of_the_archive_is_refused(key):
    with pytest.raises(ValueError, match="Not a place in the archive"):
        archive(key, 3, LATER)
