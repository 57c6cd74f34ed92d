"""The cast of the notification floor: a brand, things to subscribe to, a visitor and Ada, who is subscribed;
a relay that does what it is told, and a fresh crew for every test."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from notifications import bell, closing, delivery, subscriptions
from notifications.delivery import Crew
from notifications.enums import Pool
from notifications.models import Brand, Subscriber, Topic
from notifications.subscriptions import Choice
from tests.notifications.relay import Relay

ADA = "ada@analytical.example"


@pytest.fixture
def visitor() -> Client:
    """A browser that checks CSRF as the real server does."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def brand(db: None) -> Brand:
    return Brand.objects.create(
        slug="northwind",
        name="Northwind",
        sender_name="Northwind Status",
        sender_email="status@northwind.example",
        support_email="support@northwind.example",
        is_default=True,
    )


@pytest.fixture
def topics(db: None) -> list[Topic]:
    rows = [("API", "Core"), ("Database", "Core"), ("Payments", "Money")]
    return [
        Topic.objects.create(key=f"component:{at}", name=name, section=section, position=at)
        for at, (name, section) in enumerate(rows)
    ]


@pytest.fixture
def ada(brand: Brand) -> Subscriber:
    at = timezone.now() - timedelta(hours=1)
    return subscriptions.confirm(subscriptions.subscribe(ADA, Choice(), at=at), at=at)


@pytest.fixture(autouse=True)
def fresh_crew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No breaker, no mould and no silence is left over from another test."""
    monkeypatch.setattr(delivery, "_crews", {pool: Crew(pool) for pool in Pool})
    monkeypatch.setattr(bell._Bell, "silent_until", float("inf"))
    closing.reopen()
    yield
    closing.reopen()


@pytest.fixture
def relay(settings: Settings) -> Iterator[Relay]:
    """A real SMTP server that our mail goes to."""
    with Relay() as server:
        settings.SMTP = settings.SMTP | {
            "host": "127.0.0.1",
            "port": server.port,
            "user": "",
            "password": "",
            "starttls": False,
            "tls": False,
            "connect_timeout": 2.0,
            "command_timeout": 2.0,
        }
        yield server


@pytest.fixture
def free_tcp_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
