"""Indexes of our own kind do what they are for, on both databases (R-804)."""

from __future__ import annotations

import pytest
from django.db import connection, migrations, models
from django.db.migrations.writer import MigrationWriter
from django.db.models import Q

from notifications.models import Delivery, Subscriber
from notifications.models.indexes import BeginningIndex

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
