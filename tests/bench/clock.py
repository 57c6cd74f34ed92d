"""One sweep of the clock over thousands of duties that are all broken at once, beside a bare UPDATE of the same rows.

The bare one is what the database needs at the least to note on each row that it was told; the sweep also finds
who owes it, writes their letters, and an entry into the timeline of every incident (R-302).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.urls import reverse

from incidents import reminders
from incidents.enums import DutyKind, Role
from incidents.models import Assignment, Incident, Obligation
from notifications import bell
from tests import scene
from tests.bench.figures import Figure, database

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
#: So many duties are owed in one incident, by so many people in all.
KINDS = (DutyKind.RESPOND, DutyKind.FIRST_UPDATE, DutyKind.ESCALATE, DutyKind.RESOLVE)
PEOPLE = 20


def figures() -> list[Figure]:
    """Sweep BENCH_DUTIES (10,000) open obligations in a database of our own: all broken, then none."""
    count = int(os.environ.get("BENCH_DUTIES", "10000"))
    bell.mute()
    with database():
        _owed(count)
        # Letters are told addresses of the console, which are read once by a process.
        reverse("admin:index")
        quiet = _timed(lambda: reminders.sweep(AT - timedelta(days=1)))
        bare = _timed(lambda: _undone(lambda: Obligation.objects.open().update(broken_at=AT)))
        swept = _timed(lambda: reminders.sweep(AT))
        assert Obligation.objects.filter(broken_at=AT).count() == count
        again = _timed(lambda: reminders.sweep(AT))
    return [
        Figure("clock-sweep", swept * 1e3, "ms", swept / bare, "bare-update"),
        Figure("clock-bare-update", bare * 1e3, "ms"),
        Figure("clock-sweep-told", again * 1e3, "ms"),
        Figure("clock-sweep-quiet", quiet * 1e3, "ms"),
    ]


def _owed(count: int) -> None:
    people = User.objects.bulk_create(
        User(username=f"p{n}", first_name=f"P{n}", email=f"p{n}@northwind.example") for n in range(PEOPLE)
    )
    level, brand = scene.severity(duties=[]), scene.brand()
    incidents = Incident.objects.bulk_create(
        Incident(
            reference=f"INC-2026-{n:05d}",
            title=f"Trouble {n}",
            severity=level,
            brand=brand,
            declared_by=people[n % PEOPLE],
            started_at=AT - timedelta(hours=2),
            detected_at=AT - timedelta(hours=2),
            declared_at=AT - timedelta(hours=2),
        )
        for n in range(count // len(KINDS))
    )
    Assignment.objects.bulk_create(
        Assignment(incident=incident, role=Role.COMMANDER, user=people[incident.pk % PEOPLE], since=AT)
        for incident in incidents
    )
    Obligation.objects.bulk_create(
        Obligation(
            incident=incident,
            kind=kind,
            owner_role="Incident commander",
            opened_at=AT - timedelta(hours=2),
            due_at=AT - timedelta(hours=1),
            limit_at=AT - timedelta(minutes=30),
        )
        for incident in incidents
        for kind in KINDS
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _undone(work: Callable[[], object]) -> None:
    with transaction.atomic():
        work()
        transaction.set_rollback(True)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
