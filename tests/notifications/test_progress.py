"""How far an update has got: exact, cheap, and honest while its recipients are still written down (R-804)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from notifications import fanout, progress
from notifications.enums import Channel, Fate
from notifications.fates import Group
from notifications.models import Announcement, Delivery
from tests.notifications.news import letter, news, reader, readers

pytestmark = pytest.mark.django_db


def told(**changes: Any) -> Announcement:
    written = news(**changes)
    fanout.expand(written.pk)
    return written


def give(update: Announcement, *fates: Fate) -> None:
    """The first rows of an update end like this, in order; the others stay queued."""
    for row, fate in zip(update.deliveries.order_by("pk"), fates, strict=False):
        Delivery.objects.filter(pk=row.pk).update(fate=fate)


def groups(line: progress.Line) -> dict[Group, int]:
    return {share.group: share.count for share in line.shares}


def test_rows_are_counted_by_channel_and_fate() -> None:
    readers(5)
    for number in range(2):
        reader(str(number), channel=Channel.SMS, address=f"+4917110000{number}")
    one, two = told(), told(lane="two")
    give(one, Fate.ACCEPTED, Fate.ACCEPTED, Fate.DELIVERED, Fate.BOUNCED, Fate.SUPPRESSED, Fate.UNCERTAIN)
    assert progress.counted([one.pk, two.pk]) == {
        one.pk: {
            ("email", "accepted"): 2,
            ("email", "delivered"): 1,
            ("email", "bounced"): 1,
            ("email", "suppressed"): 1,
            ("sms", "uncertain"): 1,
            ("sms", "pending"): 1,
        },
        two.pk: {("email", "pending"): 5, ("sms", "pending"): 2},
    }
    assert progress.counted([]) == {}


def test_a_bar_for_all_and_one_for_each_channel_it_went_by() -> None:
    readers(3)
    reader("sms", channel=Channel.SMS, address="+491711000000")
    give(update := told(), Fate.ACCEPTED, Fate.DEAD, Fate.SUPPRESSED)
    seen = progress.of_update(update if update.expanded_at else Announcement.objects.get(pk=update.pk))
    assert groups(seen.whole) == {Group.GONE: 1, Group.WAITING: 1, Group.TROUBLE: 1, Group.LEFT_OUT: 1}
    assert [(line.label, line.total) for line in seen.lines] == [("E-mail", 3), ("SMS", 1)]
    assert (seen.trouble, seen.moving) == (1, True)
    Delivery.objects.filter(fate=Fate.PENDING).update(fate=Fate.ACCEPTED)
    assert progress.of_update(Announcement.objects.get(pk=update.pk)).moving is False


def test_while_recipients_are_written_down_it_says_how_many_of_about_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred subscribers half are asked, half of those want it: about fifty will be told."""
    people = readers(100)
    for person in people[::2]:
        person.wants_incidents = False
        person.save(update_fields=["wants_incidents"])
    monkeypatch.setattr(fanout, "FIRST_CHUNK", 25)
    update = news()
    before = progress.of_update(Announcement.objects.get(pk=update.pk))
    assert (before.expanded, before.about, before.moving) == (False, 0, True)
    fanout._write_chunk(update.lane)
    half = progress.of_update(Announcement.objects.get(pk=update.pk))
    assert (half.expanded, half.written_shown, half.about_shown) == (False, "25", "50")
    fanout.expand(update.pk)
    done = progress.of_update(Announcement.objects.get(pk=update.pk))
    assert (done.expanded, done.written_shown, done.about) == (True, "50", 0)


def test_of_older_updates_no_more_is_counted_than_tells_the_story(monkeypatch: pytest.MonkeyPatch) -> None:
    readers(4)
    first = told()
    first.deliveries.update(fate=Fate.ACCEPTED)
    told(lane="lane")
    monkeypatch.setattr(progress, "ENOUGH", 3)
    newest, older = progress.of_lane("lane")
    assert [(share.group, share.shown) for share in newest.whole.present] == [(Group.WAITING, "4")]
    assert [(share.group, share.shown) for share in older.whole.present] == [(Group.GONE, "3+")]
    assert (newest.seq, older.seq, progress.newest("lane")) == (2, 1, newest)
    assert progress.newest("nothing") is None


def test_it_costs_the_same_however_long_it_is(django_assert_num_queries: Callable[..., Any]) -> None:
    readers(3)
    for _ in range(2):
        told()
    with django_assert_num_queries(3):
        progress.of_lane("lane")
    readers_more = [reader(f"more{number}") for number in range(20)]
    for _ in range(4):
        told()
    assert readers_more
    with django_assert_num_queries(3):
        progress.of_lane("lane")
    with django_assert_num_queries(2):
        progress.newest("lane")


def test_it_is_looked_at_often_while_it_is_new_and_never_when_it_rests() -> None:
    reader("ann")
    update = told()
    seen, at = progress.newest("lane"), timezone.now()
    assert seen is not None
    seen = replace(seen, seconds=0.0)
    assert (seen.pace(at), seen.pace(at + timedelta(hours=1))) == (2, 30)
    # What takes long to count is counted less often.
    assert (replace(seen, seconds=0.1).pace(at), replace(seen, seconds=0.17).pace(at)) == (2, 4)
    give(update, Fate.ACCEPTED)
    seen = progress.newest("lane")
    assert seen is not None
    assert seen.pace(at) == 0


def test_the_last_day_is_counted_letters_included(monkeypatch: pytest.MonkeyPatch) -> None:
    ann = reader("ann")
    ann.confirmed_at = timezone.now() - timedelta(days=9)
    ann.save(update_fields=["confirmed_at"])
    give(told(lane="old", at=timezone.now() - timedelta(hours=25)), Fate.DEAD)
    give(told(lane="new"), Fate.ACCEPTED)
    letter("new@example.org", "newer@example.org")
    counted = progress.recent(timezone.now())
    assert counted == {("email", "accepted"): 1, ("email", "pending"): 2}
    monkeypatch.setattr(progress, "NEWEST", 1)
    assert progress.recent(timezone.now()) == {("email", "pending"): 1}
    assert progress.recent(timezone.now() + timedelta(days=2)) == {}
