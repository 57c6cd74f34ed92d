"""The operator's console under load: a long incident, a bad night, many years (performance.md D).

Each page is asked through Django's whole stack by one client; the reference is the console's smallest page of
a model, in the same run. Figures are wall-clock medians: the database's time counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone

from incidents import lifecycle
from incidents.enums import DutyKind, State, Verb
from incidents.models import Incident, Obligation, TimelineEntry
from notifications.enums import Channel, Fate, Pool
from notifications.models import Announcement, Delivery, Subscriber
from tests import scene
from tests.bench.figures import Figure, database

ENTRIES, MESSAGES, OWED, PAST = 2_000, 500, 10_000, 100_000
ROUNDS = 9
#: Kinds of which one incident owes one each.
_KINDS = (DutyKind.RESPOND, DutyKind.PUBLIC_UPDATE, DutyKind.INTERNAL_UPDATE, DutyKind.RESOLVE)
_OLD = datetime(2020, 1, 1, tzinfo=UTC)


def figures() -> list[Figure]:
    """Everything about the console, in a database of its own."""
    with database():
        at = timezone.now()
        client = _operator()
        incident = _long(at)
        bare = _ms(client, f"/admin/auth/user/{User.objects.get().pk}/change/")
        screen = _ms(client, f"/admin/incidents/incident/{incident.pk}/change/")
        pulse = _timed(lambda: client.post(f"/admin/incidents/incident/{incident.pk}/pulse/", {"act": ""}))
        _busy(at)
        dashboard, live = _ms(client, "/admin/"), _ms(client, "/admin/live/")
        _history(PAST)
        listed = {
            "console-list": _ms(client, "/admin/incidents/incident/"),
            "console-list-open": _ms(client, "/admin/incidents/incident/?over=no"),
            "console-list-mine": _ms(client, "/admin/incidents/incident/?mine=yes"),
            "console-list-found": _ms(client, "/admin/incidents/incident/?q=INC-2020-50000"),
        }
        screen_later = _ms(client, f"/admin/incidents/incident/{incident.pk}/change/")
    found = {
        "console-screen": screen,
        "console-screen-100000-past": screen_later,
        "console-pulse": pulse,
        "console-dashboard": dashboard,
        "console-dashboard-live": live,
        **listed,
    }
    return [
        Figure("console-bare", bare, "ms"),
        *(Figure(name, spent, "ms", spent / bare, "console-bare") for name, spent in found.items()),
    ]


def _operator() -> Client:
    user = User.objects.create_user("ann", is_staff=True, first_name="Ann")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=["incidents", "auth"]))
    client = Client()
    client.force_login(user)
    return client


def _ms(client: Client, url: str) -> float:
    def ask() -> None:
        answer = client.get(url)
        if answer.status_code != 200:
            raise RuntimeError(f"{url} answered {answer.status_code}")

    return _timed(ask)


def _timed(work: Callable[[], Any]) -> float:
    work()
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1_000)
    return median(spent)


def _long(at: datetime) -> Incident:
    """An incident of 2,000 entries, 20 updates and 500 messages of the last one."""
    ann = User.objects.get()
    incident = scene.incident(at=at - timedelta(hours=6), by=ann)
    for n in range(20):
        lifecycle.post_update(
            incident, scene.draft(f"Update {n}"), levels={}, by=ann, at=at - timedelta(hours=5, minutes=-n), channels=()
        )
    TimelineEntry.objects.bulk_create(
        TimelineEntry(
            incident=incident,
            verb=Verb.NOTED,
            at=at,
            recorded_at=at,
            by=ann,
            words=f"Looked at node {n}: nothing unusual in the logs of the last ten minutes.",
            version=30,
        )
        for n in range(ENTRIES - 21)
    )
    incident.refresh_from_db()
    assert incident.notice is not None
    news = Announcement.objects.filter(lane=incident.notice.lane).latest("seq")
    Announcement.objects.update(expanded_at=at)
    readers = Subscriber.objects.bulk_create(
        Subscriber(address=f"reader{n}@example.org", created_at=at, confirmed_at=at) for n in range(MESSAGES)
    )
    Delivery.objects.bulk_create(
        Delivery(
            announcement=news,
            subscriber=reader,
            channel=Channel.EMAIL,
            pool=Pool.NEWS,
            fate=Fate.ACCEPTED if n % 7 else Fate.PENDING,
            next_at=at,
            created_at=at,
        )
        for n, reader in enumerate(readers)
    )
    return incident


def _busy(at: datetime) -> None:
    """2,500 open incidents owe 10,000 things."""
    many = _incidents(OWED // len(_KINDS), State.ACKNOWLEDGED, "9", at - timedelta(hours=1))
    Obligation.objects.bulk_create(
        (
            Obligation(
                incident=incident,
                kind=kind,
                opened_at=at,
                due_at=at + timedelta(minutes=n % 600 - 30),
                limit_at=at + timedelta(minutes=n % 600),
            )
            for n, incident in enumerate(many)
            for kind in _KINDS
        ),
        batch_size=1_000,
    )
    _analyse()


def _history(past: int) -> None:
    """So many incidents of years ago, over; the busy night is over as well but for 50."""
    kept = Incident.objects.open().order_by("-pk").values("pk")[:50]
    Obligation.objects.exclude(incident__in=list(kept.values_list("pk", flat=True))).delete()
    Incident.objects.open().exclude(pk__in=list(kept.values_list("pk", flat=True))).update(
        state=State.CLOSED, closed_at=timezone.now(), resolved_at=F("started_at")
    )
    _incidents(past, State.CLOSED, "0", _OLD)
    _analyse()


def _incidents(count: int, state: State, mark: str, at: datetime) -> list[Incident]:
    brand, severity, ann = scene.brand(), scene.severity(), User.objects.get()
    return Incident.objects.bulk_create(
        (
            Incident(
                reference=f"INC-202{mark}-{n:05d}",
                title=f"Elevated error rates in cluster {n}",
                severity=severity,
                state=state,
                brand=brand,
                declared_by=ann,
                started_at=at + timedelta(seconds=n),
                detected_at=at + timedelta(seconds=n),
                declared_at=at + timedelta(seconds=n),
                resolved_at=at + timedelta(seconds=n + 30) if state == State.CLOSED else None,
                closed_at=at + timedelta(seconds=n + 60) if state == State.CLOSED else None,
            )
            for n in range(count)
        ),
        batch_size=1_000,
    )


def _analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
