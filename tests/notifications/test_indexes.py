"""Indexes of our own kind do what they are for, on both databases (R-804)."""

from __future__ import annotations

import pytest
from django.db import connection, migrations, models
from django.db.migrations.writer import MigrationWriter
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import fanout, order, whose
from notifications.dialects import sql
from notifications.enums import Channel, Fate
from notifications.models import Delivery, Subscriber
from notifications.models.indexes import BeginningIndex
from tests.notifications.news import letter, news, readers

pytestmark = pytest.mark.django_db


def plan(statement: models.QuerySet[models.Model]) -> str:
    """How the database would answer, were reading everything forbidden."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    return str(statement.explain())


def test_the_beginning_of_an_address_is_found_by_its_index() -> None:
    """Whatever the collation of the database and the capitals of who types."""
    names = {
        "subscriber_by_beginning": Subscriber.objects.order_by().filter(address__istartswith="Ann@"),
        "delivery_by_beginning": Delivery.objects.order_by().filter(Q(address__istartswith="Ann@"), ~Q(address="")),
    }
    for name, statement in names.items():
        if connection.vendor == "postgresql":
            assert f"{name} " in plan(statement), name
        with connection.cursor() as cursor:
            assert name in connection.introspection.get_constraints(cursor, statement.model._meta.db_table)


def test_whose_message_came_back_is_asked_of_indexes_alone() -> None:
    """R-806: a relay reports by Message-ID alone; all of history was read for each (250 ms of 300,000 rows)."""
    readers(3000)
    fanout.expand(news().pk)
    letter(*(f"l{number:05}@example.org" for number in range(1000)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as asked:
            assert whose.identified("x@status.example", "r00042@example.org", at=timezone.now()) is None
        explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
        cursor.execute(explain + asked[-1]["sql"])
        how = "\n".join(str(line) for line in cursor.fetchall())
    assert "delivery_by_address" in how
    for whole in ("Seq Scan on notifications_delivery", "SCAN notifications_delivery"):
        assert whole not in how


def test_what_went_wrong_is_read_in_the_order_of_the_log() -> None:
    order = ("-announcement_id", "-subscriber_id", "-pk")
    failed = Delivery.objects.filter(fate__in=("bounced", "dead", "uncertain")).order_by(*order)
    if connection.vendor == "postgresql":
        assert "delivery_trouble" in plan(failed)
    else:
        assert "TEMP B-TREE FOR ORDER BY" not in plan(failed.order_by("announcement_id", "subscriber_id"))


def test_a_migration_writes_it_down_and_reads_it_back() -> None:
    index = BeginningIndex(field="address", condition=~Q(address=""), name="x_by_beginning")
    written, imports = MigrationWriter.serialize(index)
    assert imports == {"import notifications.models.indexes", "from django.db import models"}
    scope = {"models": models, "notifications": __import__("notifications.models.indexes")}
    assert eval(written, scope) == index == index.clone()
    assert index.condition is not None
    operation = migrations.AddIndex("subscriber", index)
    assert operation.deconstruct()[2]["index"] == index


def test_turns_are_told_by_one_pass_however_little_the_planner_knows() -> None:
    """F06: of 900 that wait. It asked each whether another is before it, of all 900: 700 ms with 1,300."""
    readers(300)
    fanout.expand(news().pk)
    with connection.cursor() as cursor:
        # What is known is of a time when nothing waited.
        cursor.execute("ANALYZE notifications_delivery")
    people = Subscriber.objects.order_by("pk")
    people.update(channel=Channel.WEBHOOK)
    for number in range(3):
        fanout.expand(news(lane=f"lane {number}").pk)
    waiting = Delivery.objects.filter(channel=Channel.WEBHOOK)
    assert waiting.filter(fate=Fate.BLOCKED).count() == 900
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql(order.TAKE_TURNS)}")
            told = cursor.fetchone()[0][0]["Plan"]
        assert told["Shared Hit Blocks"] + told["Shared Read Blocks"] < 100 * 900
    else:
        order.take_turns()
    first = waiting.filter(fate=Fate.PENDING)
    assert (first.count(), first.values("announcement").distinct().count()) == (300, 1)
    assert order.take_turns() == 0
