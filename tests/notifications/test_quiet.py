"""Quiet hours and digests: nobody is woken for little, and nobody misses anything (R-1314)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta

import pytest
from django.utils import timezone

from notifications import audit, delivery, digests, fanout, quiet, subscriptions
from notifications.compiler import mould
from notifications.enums import Channel, Fate, Kind
from notifications.models import Announcement, Brand, Delivery, Subscriber
from tests.notifications.news import news, reader, readers
from tests.notifications.relay import Relay

NIGHT = (time(22), time(7))
BERLIN = "Europe/Berlin"


def utc(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "zone", "hours", "over"),
    [
        (utc(20, 21, 30), BERLIN, NIGHT, utc(21, 6)),
        (utc(21, 3), BERLIN, NIGHT, utc(21, 6)),
        (utc(21, 5, 59), BERLIN, NIGHT, utc(21, 6)),
        (utc(21, 6), BERLIN, NIGHT, None),
        (utc(21, 20, 59), BERLIN, NIGHT, None),
        (utc(21, 21), BERLIN, NIGHT, utc(22, 6)),
        (utc(21, 12, 30), "UTC", (time(12), time(14)), utc(21, 14)),
        (utc(21, 14), "UTC", (time(12), time(14)), None),
        (utc(21, 8), "UTC", (time(8), time(8)), None),
        # The night in which the clocks go back has an hour more; in spring one less.
        (utc(24, 21, 30, month=10), BERLIN, NIGHT, utc(25, 6, month=10)),
        (utc(28, 22, month=3), BERLIN, NIGHT, utc(29, 5, month=3)),
        # Half past two comes twice: whoever is asleep when it does is so until the second time.
        (utc(25, 0, 15, month=10), BERLIN, (time(22), time(2, 30)), utc(25, 0, 30, month=10)),
        (utc(25, 1, 15, month=10), BERLIN, (time(22), time(2, 30)), utc(25, 1, 30, month=10)),
        (utc(25, 1, 15, month=10), BERLIN, (time(2), time(2, 30)), utc(25, 1, 30, month=10)),
        (utc(21, 23), "Mars/Olympus", NIGHT, utc(22, 7)),
        (utc(21, 23), "Europe", NIGHT, utc(22, 7)),
        (utc(21, 23), "", NIGHT, utc(22, 7)),
        (utc(21, 23), "../etc/passwd", NIGHT, utc(22, 7)),
    ],
)
def test_when_quiet_hours_end(at: datetime, zone: str, hours: tuple[time, time], over: datetime | None) -> None:
    assert quiet.until(at, zone, *hours) == over


@pytest.mark.parametrize(
    ("at", "zone", "clock", "last"),
    [
        (utc(21, 9), BERLIN, time(8), utc(21, 7)),
        (utc(21, 7), BERLIN, time(8), utc(21, 7)),
        (utc(21, 6, 59), BERLIN, time(8), utc(20, 7)),
        (utc(25, 7, 30, month=10), BERLIN, time(8), utc(25, 7, month=10)),
        (utc(25, 6, 30, month=10), BERLIN, time(8), utc(24, 6, month=10)),
    ],
)
def test_when_a_clock_last_showed_a_time(at: datetime, zone: str, clock: time, last: datetime) -> None:
    assert quiet.last(at, zone, clock) == last


def around_now(**changes: object) -> dict[str, object]:
    """Quiet from an hour ago until an hour from now, in UTC."""
    now = timezone.now()
    hours = {"quiet_from": (now - timedelta(hours=1)).time(), "quiet_until": (now + timedelta(hours=1)).time()}
    return hours | {"time_zone": "UTC"} | changes


def told(*phases: str, **changes: object) -> Announcement:
    announcement = news(*phases, **changes)  # type: ignore[arg-type]
    fanout.expand(announcement.pk)
    return announcement


@pytest.mark.django_db
def test_who_sleeps_hears_it_when_they_wake(relay: Relay) -> None:
    reader("awake")
    reader("asleep", **around_now())
    reader("machine", channel=Channel.WEBHOOK, **around_now())
    told(rank=2)
    assert delivery.drain("news") == 1
    waiting = Delivery.objects.get(subscriber__address="asleep@example.org")
    assert (waiting.fate, waiting.reason[:18]) == ("pending", "Quiet hours until ")
    assert timedelta(minutes=58) < waiting.next_at - timezone.now() < timedelta(minutes=61)
    machine = Delivery.objects.get(subscriber__channel="webhook")
    assert (machine.reason, machine.next_at < timezone.now()) == ("", True)
    Subscriber.objects.update(quiet_until=None)
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert delivery.drain("news") == 1
    assert Delivery.objects.get(pk=waiting.pk).reason == ""


@pytest.mark.django_db
def test_a_zone_that_nobody_knows_keeps_nobody_elses_news(relay: Relay) -> None:
    """F18: zones come and go with the system's tables; before, one such row stopped the whole fan-out."""
    reader("ann")
    reader("odd", **around_now(time_zone="Mars/Olympus"))
    reader("daily", time_zone="Mars/Olympus", digest_at=time(8))
    assert fanout.expand(news(rank=2).pk)
    assert delivery.drain("news") == 1
    assert digests.send(timezone.now() + timedelta(days=1)) == 1


@pytest.mark.django_db
def test_what_was_delayed_into_their_night_waits_for_their_morning(relay: Relay) -> None:
    """R-1314: the relay was away when it was published; now they sleep."""
    asleep = reader("asleep", least_rank=3)
    reader("awake")
    worst = told(rank=1, lane="worst")
    told(rank=3)
    for name, value in around_now().items():
        setattr(asleep, name, value)
    asleep.save()
    assert delivery.drain("news") == 3
    waiting = Delivery.objects.get(subscriber=asleep, announcement__lane="lane")
    assert Delivery.objects.get(subscriber=asleep, announcement=worst).fate == "accepted"
    assert (waiting.fate, waiting.reason[:18], waiting.attempts) == ("pending", "Quiet hours until ", 0)
    assert timedelta(minutes=58) < waiting.next_at - timezone.now() < timedelta(minutes=61)
    Subscriber.objects.update(quiet_from=None)
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert delivery.drain("news") == 1


@pytest.mark.django_db
def test_the_worst_incidents_wake_everybody(relay: Relay) -> None:
    reader("asleep", **around_now())
    reader("daily", digest_at=time(8))
    told(rank=1)
    assert delivery.drain("news") == 2


@pytest.mark.django_db
def test_whoever_slept_through_two_updates_reads_the_newer_one_once(relay: Relay) -> None:
    reader("asleep", **around_now())
    told("Investigating", rank=2)
    told("Investigating", "Resolved", rank=2)
    Subscriber.objects.update(quiet_until=None)
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    delivery.sweep()
    assert delivery.drain("news") == 1
    [mail] = relay.kept
    assert b"Subject: [Northwind] Resolved" in mail.content


@pytest.mark.django_db
def test_a_digest_holds_the_newest_of_each_incident_and_leaves_once(relay: Relay) -> None:
    reader("daily", digest_at=time(8))
    reader("other", digest_at=time(8), time_zone="Asia/Tokyo")
    told("Investigating", lane="one", rank=2)
    told("Investigating", "Resolved", lane="one", rank=2)
    told("Identified", lane="two", rank=3, title="Search is slow")
    assert delivery.drain("news") == 0
    assert Counter(Delivery.objects.values_list("fate", flat=True)) == {"held": 4, "suppressed": 2}
    assert audit.audit(timezone.now()).wrong == []
    tomorrow = timezone.now() + timedelta(days=1)
    assert digests.send(tomorrow) == 2
    assert digests.send(tomorrow) == 0
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert delivery.drain("news") == 2
    mail = relay.kept[0].content
    assert b"Subject: [Northwind] 2 updates since your last digest" in mail
    for words in (b"RESOLVED: Card payments fail", b"IDENTIFIED: Search is slow", b"List-Unsubscribe-Post"):
        assert words in mail
    assert b"INVESTIGATING" not in mail
    reasons = set(Delivery.objects.filter(announcement__kind=Kind.INCIDENT).values_list("reason", flat=True))
    assert {reason[:17] for reason in reasons} == {"Overtaken by upda", "In the digest of "}
    assert audit.audit(tomorrow).wrong == []


@pytest.mark.django_db
def test_a_digest_that_cannot_be_written_keeps_nobody_elses(relay: Relay) -> None:
    """F18, R-111: since it was told, a brand came that bears the name of what broke."""
    reader("daily", digest_at=time(8))
    reader("picky", digest_at=time(8), least_rank=2)
    told(lane="one", rank=3, title="Zephyr is slow")
    told(lane="two", rank=2)
    tomorrow = timezone.now() + timedelta(days=1)
    known = set(Announcement.objects.values_list("pk", flat=True))
    for row in Announcement.objects.all():
        # Compiled when it was published, as for those who were told at once.
        mould(row.pk, "en")
    Brand.objects.create(slug="zephyr", name="Zephyr", sender_email="z@zephyr.example", support_email="z@z.example")
    assert audit.audit(timezone.now()).wrong == []
    assert [(wrong.rule.id, wrong.count) for wrong in audit.audit(tomorrow + timedelta(hours=3)).wrong] == [("A3", 3)]
    assert digests.send(tomorrow) == 2
    assert not Delivery.objects.filter(fate=Fate.HELD).exists()
    digest = Announcement.objects.exclude(pk__in=known).get()
    assert [row.subscriber.address for row in digest.deliveries.all()] == ["picky@example.org"]
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert delivery.drain("news") == 3
    assert relay.readers == ["daily@example.org", "daily@example.org", "picky@example.org"]


@pytest.mark.django_db
def test_who_holds_the_same_news_shares_one_compiled_mail() -> None:
    readers(6)
    Subscriber.objects.update(digest_at=time(8))
    Subscriber.objects.filter(address__lt="r00002").update(least_rank=2)
    told(lane="one", rank=2)
    told(lane="two", rank=3)
    assert digests.send(timezone.now() + timedelta(days=1)) == 6
    written = Announcement.objects.filter(kind=Kind.DIGEST).order_by("pk")
    # The only news in it gives it its subject.
    assert [(digest.subject, digest.deliveries.count()) for digest in written] == [
        ("[Northwind] Investigating: Card payments fail", 2),
        ("[Northwind] 2 updates since your last digest", 4),
    ]


@pytest.mark.django_db
def test_a_digest_waits_for_its_hour_and_takes_only_what_was_there_then() -> None:
    reader("daily", digest_at=time(8))
    told(rank=2)
    Delivery.objects.update(created_at=utc(20, 9))
    assert digests.send(utc(21, 7, 59)) == 0
    assert digests.send(utc(21, 8, 1)) == 1


@pytest.mark.django_db
def test_whoever_gives_up_the_digest_gets_what_was_held() -> None:
    daily = reader("daily", digest_at=time(8))
    told(rank=2)
    Subscriber.objects.filter(pk=daily.pk).update(digest_at=None)
    assert digests.send(timezone.now() + timedelta(seconds=1)) == 1


@pytest.mark.django_db
def test_whoever_leaves_gets_no_digest() -> None:
    daily = reader("daily", digest_at=time(8))
    told(rank=2)
    subscriptions.unsubscribe(daily, at=timezone.now())
    assert digests.send(timezone.now() + timedelta(days=1)) == 0
    assert Delivery.objects.get().fate == Fate.SUPPRESSED


@pytest.mark.django_db
def test_only_mail_is_put_into_a_digest() -> None:
    """What is held of another channel is nobody's digest, and no reason to look again and again."""
    reader("+15550001", channel=Channel.SMS, digest_at=time(8))
    told(rank=2)
    Delivery.objects.update(fate=Fate.HELD)
    assert digests.send(timezone.now() + timedelta(days=1)) == 0
