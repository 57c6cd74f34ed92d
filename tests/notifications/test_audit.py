"""The auditor finds what must never be, says it in words, and keeps still about a healthy queue (F22)."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from config.celery import app
from notifications import audit, delivery, fanout, subscriptions, tasks
from notifications.audit import RULES
from notifications.enums import Fate
from notifications.models import Announcement, AuditRun, Brand, Delivery, Subscriber, Topic
from notifications.subscriptions import Choice
from tests import scene
from tests.notifications.news import letter, news, reader, readers
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db


def ago(seconds: float = 0, **more: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds, **more)


def told(*phases: str, seconds: float = 120, lane: str = "lane") -> Announcement:
    """News published so long ago, with a row for everybody who was there."""
    written = news(*phases, lane=lane, at=ago(seconds))
    fanout.expand(written.pk)
    return written


def fate(rows: Announcement | Delivery, fate: Fate, seconds: float = 60, **columns: object) -> None:
    """What came of deliveries, and how long ago."""
    mine = rows.deliveries.all() if isinstance(rows, Announcement) else Delivery.objects.filter(pk=rows.pk)
    mine.update(fate=fate, settled_at=ago(seconds), **columns)


def found(at: datetime | None = None) -> dict[str, tuple[int, list[int]]]:
    """Rules that are broken: how often, and the examples."""
    report = audit.audit(at or timezone.now())
    assert [finding.rule for finding in report.findings] == list(RULES)
    return {finding.rule.id: (finding.count, finding.examples) for finding in report.wrong}


# --- a healthy queue ---------------------------------------------------------------


def test_nothing_at_all_is_fine() -> None:
    assert found() == {}


def test_a_busy_healthy_queue_raises_no_alarm(relay: Relay, brand: Brand) -> None:
    """Everything that may be, at once: each line is one thing an auditor could take for a fault."""
    hal = reader("hal", created_at=ago(days=3), confirmed_at=ago(days=3))
    old = told(lane="old", seconds=25 * 3600)
    fate(old, Fate.SUPPRESSED)
    ann, bob, cat, dan, eve, fay, gus = (reader(name) for name in ("ann", "bob", "cat", "dan", "eve", "fay", "gus"))
    first, second = told(seconds=200), told("Investigating", "Resolved", seconds=100)
    assert delivery.drain("news") == 8
    # Overtaken rows ended; of a third update one is in the air, one taken, one waits for the one in the air.
    third = told("Investigating", "Resolved", "Resolved", seconds=90)
    in_the_air = second.deliveries.get(subscriber=ann)
    Delivery.objects.filter(pk=in_the_air.pk).update(fate=Fate.SENDING, settled_at=None, lease_until=ago(-20))
    third.deliveries.filter(subscriber=ann).update(fate=Fate.BLOCKED, created_at=ago(80))
    third.deliveries.filter(subscriber=bob).update(fate=Fate.LEASED, lease_until=ago(-20))
    # Who left is owed nothing more; mail that was in the air when they pressed was sent in good faith.
    Delivery.objects.filter(subscriber=cat).update(created_at=ago(60), next_at=ago(60), sent_at=ago(60))
    third.deliveries.filter(subscriber=cat).update(fate=Fate.ACCEPTED, settled_at=ago())
    subscriptions.unsubscribe(cat, at=ago(10))
    # Not told of later news, and rightly: refused for good, came later, came back later, chose anew since.
    Subscriber.objects.filter(pk=dan.pk).update(bounced_at=ago(50))
    subscriptions.unsubscribe(eve, at=ago(50))
    subscriptions.choose(fay, Choice(wants_incidents=False), at=ago(50))
    other = told(lane="other", seconds=40)
    reader("new", confirmed_at=ago(30))
    reader("brought", created_at=ago(30))
    subscriptions.rejoin(eve, at=ago(20))
    subscriptions.choose(fay, Choice(), at=ago(20))
    assert {row.subscriber for row in other.deliveries.all()} == {ann, bob, gus, hal}
    # A letter is for its own reader, an update of this minute is being written down, old news has ended.
    letter("guest@example.org", "second@example.org")
    assert delivery.drain("letters") == 2
    news(lane="fresh", at=ago(50))
    assert (old.deliveries.count(), first.deliveries.count()) == (1, 8)
    assert found() == {}


def test_the_number_of_questions_does_not_grow(brand: Brand) -> None:
    """F22: set-based, however many people and updates."""
    readers(3)
    told()
    with CaptureQueriesContext(connection) as few:
        found()
    for n in range(20):
        reader(f"more{n}")
        told(lane=f"lane {n}")
    with CaptureQueriesContext(connection) as many:
        found()
    # PostgreSQL opens a transaction with two settings of its own around them.
    around = 4 if connection.vendor == "postgresql" else 0
    assert (len(few) - around, len(many) - around) == (11, 11)


# --- a fault of each kind, and nothing else is found ---------------------------------


def test_a1_an_update_nobody_writes_down() -> None:
    reader("ann")
    forgotten = news(at=ago(61))
    assert found() == {"A1": (1, [forgotten.pk])}
    assert found(forgotten.published_at + timedelta(seconds=59)) == {}


def test_a2_people_without_a_row(topics: list[Topic]) -> None:
    """Counted over all updates, each with readers of its own."""
    readers(3)
    picky = reader("picky", all_topics=False)
    picky.topics.set(topics[:1])
    one, two = told(lane="one"), news(lane="two", topics=topics[:1], at=ago(100))
    fanout.expand(two.pk)
    three = news(lane="three", topics=topics[1:], at=ago(90))
    fanout.expand(three.pk)
    assert [update.deliveries.count() for update in (one, two, three)] == [4, 4, 3]
    assert found() == {}
    one.deliveries.exclude(subscriber=picky).delete()
    two.deliveries.filter(subscriber=picky).delete()
    assert found() == {"A2": (4, [one.pk, two.pk])}


def test_a2_counts_across_more_updates_than_fit_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "TOGETHER", 2)
    reader("ann")
    updates = [told(lane=f"lane {n}") for n in range(7)]
    Delivery.objects.all().delete()
    assert found() == {"A2": (7, [update.pk for update in updates[:5]])}


@pytest.mark.parametrize("column", ["unsubscribed_at", "bounced_at", "changed_at", "confirmed_at", "created_at"])
def test_a2_forgives_what_changed_since(column: str) -> None:
    ann = reader("ann")
    update = told()
    update.deliveries.all().delete()
    assert found() == {"A2": (1, [update.pk])}
    Subscriber.objects.filter(pk=ann.pk).update(**{column: ago(10)})
    assert found() == {}


def test_another_chance_is_no_claim_to_what_was_missed() -> None:
    """Who was refused for good was rightly left out until an operator sent again."""
    ann = reader("ann")
    first = told()
    fate(first, Fate.BOUNCED)
    Subscriber.objects.filter(pk=ann.pk).update(bounced_at=ago(110))
    assert told(lane="other", seconds=100).deliveries.count() == 0
    assert delivery.send_again(first.deliveries.all(), by=scene.operator(), at=ago(5)) == 1
    assert Subscriber.objects.get().bounced_at is None
    assert found() == {}


@pytest.mark.parametrize("state", [Fate.PENDING, Fate.BLOCKED, Fate.LEASED, Fate.SENDING])
def test_a3_a_row_without_an_end_after_its_deadline(state: Fate) -> None:
    reader("ann", created_at=ago(days=3), confirmed_at=ago(days=3))
    old = told(seconds=24 * 3600 + 301)
    old.deliveries.update(fate=state, created_at=ago(30))
    assert found() == {"A3": (1, [old.deliveries.get().pk])}
    assert found(old.expires_at + timedelta(seconds=299)) == {}


def test_a4_a_row_that_waits_for_one_that_has_ended() -> None:
    reader("ann")
    first, second = told(seconds=200), told("Investigating", "Resolved", seconds=100)
    second.deliveries.update(fate=Fate.BLOCKED, created_at=ago(100))
    fate(first, Fate.ACCEPTED, 61)
    assert found() == {"A4": (1, [second.deliveries.get().pk])}
    fate(first, Fate.ACCEPTED, 59)
    assert found() == {}
    first.deliveries.update(fate=Fate.SENDING, settled_at=None)
    assert found() == {}
    first.deliveries.update(fate=Fate.BOUNCED, settled_at=ago(90))
    assert list(found()) == ["A4"]
    second.deliveries.update(created_at=ago(30))
    assert found() == {}


def test_a5_a_message_that_left_three_times() -> None:
    reader("ann")
    update = told()
    fate(update, Fate.ACCEPTED, copies=2)
    assert found() == {}
    fate(update, Fate.UNCERTAIN, copies=3)
    assert found() == {"A5": (1, [update.deliveries.get().pk])}


def test_a5_two_rows_for_one_address() -> None:
    """Rows without a subscriber are held apart by no constraint."""
    pair = letter("ann@example.org", "Ann@Example.org", "bob@example.org")
    first, second, _ = pair.deliveries.order_by("pk")
    fate(first, Fate.ACCEPTED)
    assert found() == {}
    fate(second, Fate.DELIVERED)
    assert found() == {"A5": (1, [second.pk])}


def test_a6_a_later_update_that_came_first() -> None:
    """Only this person's: others in the same two updates were told in order."""
    readers(3)
    first, second = told(seconds=200), told("Investigating", "Resolved", seconds=150)
    fate(first, Fate.ACCEPTED, 60)
    fate(second, Fate.ACCEPTED, 50)
    assert found() == {}
    crossed, told_late = second.deliveries.order_by("pk")[1], second.deliveries.order_by("pk")[2]
    fate(crossed, Fate.ACCEPTED, 70)
    assert found() == {"A6": (1, [crossed.pk])}
    fate(told_late, Fate.SUPPRESSED, 70)
    assert found() == {"A6": (1, [crossed.pk])}
    Announcement.objects.filter(pk=first.pk).update(lane="another")
    assert found() == {}


def test_a7_mail_to_somebody_who_had_left() -> None:
    """100 s ago they left; a click takes 5 s from its moment to its commit, and what is in the air stays there."""
    ann = reader("ann")
    update = told()
    update.deliveries.update(fate=Fate.ACCEPTED, sent_at=ago(96), settled_at=ago(70))
    Subscriber.objects.filter(pk=ann.pk).update(unsubscribed_at=ago(100))
    assert found() == {}
    update.deliveries.update(sent_at=ago(94))
    assert found() == {"A7": (1, [update.deliveries.get().pk])}


def test_examples_are_five_ids_and_the_count_is_all() -> None:
    readers(9)
    update = told()
    fate(update, Fate.ACCEPTED, copies=7)
    ids = list(update.deliveries.order_by("pk").values_list("pk", flat=True))
    assert found() == {"A5": (9, ids[:5])}
    [wrong] = audit.audit(timezone.now()).wrong
    assert wrong.shown == f"Deliveries {', '.join(map(str, ids[:5]))} and 4 more"


# --- every minute, once ---------------------------------------------------------------


class Switch:
    """A dead man's switch: counts who asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []


@pytest.fixture
def switch(settings: Settings) -> Iterator[Switch]:
    heard = Switch("")

    class Ear(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings.DEAD_MAN_URL = heard.url = f"http://127.0.0.1:{server.server_port}/secret-key"
        yield heard
        server.shutdown()
        thread.join()


MINUTE = datetime.fromisoformat("2026-11-20T14:05:00+00:00")


def test_a_minute_is_audited_once(switch: Switch) -> None:
    """F13: beat and dispatch may both come, late or twice."""
    tries = [audit.run_if_due(MINUTE + timedelta(seconds=s)) is not None for s in (0, 5, 59.9, 60, 61, 250)]
    assert tries == [True, False, False, True, False, True]
    assert list(AuditRun.objects.order_by("slot").values_list("slot", "finished_at", "findings")) == [
        (MINUTE, MINUTE, []),
        (MINUTE + timedelta(seconds=60), MINUTE + timedelta(seconds=60), []),
        (MINUTE + timedelta(seconds=240), MINUTE + timedelta(seconds=250), []),
    ]
    assert switch.asked == ["/secret-key"] * 3


@pytest.mark.django_db(transaction=True)
def test_three_beats_at_once_are_one_audit(switch: Switch) -> None:
    """F13: the unique slot decides."""
    together = threading.Barrier(3)

    def beat() -> None:
        try:
            together.wait(5)
            audit.run_if_due(MINUTE)
        finally:
            connection.close()

    beats = [threading.Thread(target=beat) for _ in range(3)]
    for thread in beats:
        thread.start()
    for thread in beats:
        thread.join()
    assert AuditRun.objects.count() == 1
    assert switch.asked == ["/secret-key"]


def test_a_worker_that_died_costs_one_minute() -> None:
    AuditRun.objects.create(slot=MINUTE)
    assert AuditRun.objects.latest_finished() is None
    assert audit.run_if_due(MINUTE) is None
    assert audit.run_if_due(MINUTE + timedelta(minutes=1)) is not None
    assert AuditRun.objects.latest_finished() == AuditRun.objects.get(slot=MINUTE + timedelta(minutes=1))


def test_readers_are_counted_anew_only_where_news_was_written_down_since() -> None:
    """F22: the longest question is asked once an update, all of them again after a fault and once an hour."""
    reader("ann")
    update = told()
    half_past = timezone.now().replace(minute=30, second=0, microsecond=0)
    Announcement.objects.update(published_at=half_past - timedelta(hours=2), expanded_at=half_past - timedelta(hours=1))
    Subscriber.objects.update(created_at=half_past - timedelta(hours=3), confirmed_at=half_past - timedelta(hours=3))
    update.deliveries.all().delete()

    def missed(minutes: int) -> list[str]:
        report = audit.run_if_due(half_past + timedelta(minutes=minutes))
        assert report is not None
        return [wrong.rule.id for wrong in report.wrong]

    assert missed(0) == ["A2"]
    assert missed(1) == ["A2"]
    AuditRun.objects.update(findings=[])
    assert missed(2) == []
    Announcement.objects.update(expanded_at=half_past)
    assert missed(3) == ["A2"]
    AuditRun.objects.update(findings=[])
    Announcement.objects.update(expanded_at=half_past - timedelta(hours=1))
    assert missed(29) == ["A2"]
    AuditRun.objects.update(findings=[])
    assert missed(30) == ["A2"]


def test_runs_older_than_two_days_go() -> None:
    for hours in (49, 47):
        AuditRun.objects.create(slot=MINUTE - timedelta(hours=hours))
    audit.run_if_due(MINUTE)
    assert list(AuditRun.objects.order_by("slot").values_list("slot", flat=True)) == [
        MINUTE - timedelta(hours=47),
        MINUTE,
    ]


def test_the_dead_man_hears_nothing_of_a_fault(switch: Switch, caplog: pytest.LogCaptureFixture) -> None:
    """F22: a fault and a dead auditor alarm alike."""
    forgotten = news(at=ago(61))
    report = audit.run_if_due(timezone.now())
    assert report is not None
    assert switch.asked == []
    assert [(line.levelno, line.message) for line in caplog.records if line.name == "notifications.audit"] == [
        (logging.ERROR, "The audit found A1: 1.")
    ]
    [kept] = AuditRun.objects.get().findings
    assert kept == {
        "id": "A1",
        "words": "Updates whose readers are not all written down after a minute",
        "remedy": "Start a worker or manage.py dispatch: it goes on where the last one stopped.",
        "of": "update",
        "count": 1,
        "examples": [forgotten.pk],
        "shown": f"Updates {forgotten.pk}",
    }


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/secret-key", "file:///etc/secret-key", "secret-key"])
def test_a_switch_that_cannot_be_reached_is_one_line_in_the_log(
    url: str, settings: Settings, free_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The address is a secret: who knows it can keep the alarm silent."""
    settings.DEAD_MAN_URL = url.format(port=free_tcp_port)
    assert audit.run_if_due(timezone.now()) is not None
    lines = [line for line in caplog.records if line.name == "notifications.audit"]
    assert [line.levelno for line in lines] == [logging.WARNING]
    assert "secret-key" not in caplog.text


# --- the edges -------------------------------------------------------------------------


def test_the_timetable_and_the_dispatcher_both_audit() -> None:
    """Beat is a doorbell only: without it the dispatcher does the same."""
    entry = app.conf.beat_schedule["audit the deliveries"]
    assert entry == {"task": tasks.audit_deliveries.name, "schedule": 60.0}
    call_command("dispatch", "--once")
    assert AuditRun.objects.count() == 1
    AuditRun.objects.all().delete()
    tasks.audit_deliveries()
    assert AuditRun.objects.filter(finished_at__isnull=False).count() == 1


def test_the_command_prints_a_calm_table_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("audit_delivery")
    *lines, empty, verdict = capsys.readouterr().out.splitlines()
    assert lines == [f"        0  {rule.id}  {rule.words}" for rule in RULES]
    assert empty == ""
    assert verdict.startswith("Audited in ")
    assert verdict.endswith(" s: nothing missing.")


def test_the_command_ends_with_1_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    readers(2)
    update = told()
    update.deliveries.all().delete()
    with pytest.raises(SystemExit) as ended:
        call_command("audit_delivery")
    assert ended.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == [
        "        2  A2  People who should have been told and have no delivery",
        f"               Updates {update.pk}",
        "               Post another update: it reaches them, with the whole timeline.",
    ]
    assert lines[-1].endswith(" s: 1 of 7 rules are broken.")


def test_the_command_speaks_json_and_names_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    reader("ann")
    update = told()
    fate(update, Fate.ACCEPTED, copies=3)
    with pytest.raises(SystemExit) as ended:
        call_command("audit_delivery", "--json")
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "@" not in said
    report = json.loads(said)
    assert report["clean"] is False
    assert {rule["id"]: rule["count"] for rule in report["rules"]} == {rule.id: int(rule.id == "A5") for rule in RULES}
    assert report["rules"][4]["examples"] == [update.deliveries.get().pk]


@pytest.mark.parametrize(
    ("slot", "findings", "words", "level"),
    [
        (None, [], "Not audited yet", "grey"),
        (30, [], "Audited: nothing missing", "green"),
        (301, [], "Not audited any more", "red"),
        (30, ["A4"], "The audit found faults", "red"),
    ],
)
def test_the_dashboard_says_it(
    admin_client: Client, slot: float | None, findings: list[str], words: str, level: str
) -> None:
    """F22: also that nobody audits any more."""
    kept = [audit.Finding(rule, 3, [7, 8]).as_json() for rule in RULES if rule.id in findings]
    if slot is not None:
        AuditRun.objects.create(slot=ago(slot), finished_at=ago(slot), findings=kept)
    page = admin_client.get("/admin/").content.decode()
    assert f'<span class="hg-dot" data-level="{level}">{words}</span>' in page
    hint = "Run manage.py dispatch --once: it lets them go. Deliveries 7, 8 and 1 more."
    assert (hint in page) is bool(findings)
