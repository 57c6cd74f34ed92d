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

from notifications import bell, closing, delivery, subscriptions, targets
from notifications.channels import chat
from notifications.courier import Courier
from notifications.delivery import Crew
from notifications.models import Brand, Subscriber, Topic
from notifications.subscriptions import Choice
from tests.notifications.carrier import ACCOUNT, TOKEN, Carrier
from tests.notifications.receiver import Receiver
from tests.notifications.relay import Relay
from tests.notifications.rooms import Rooms

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
    monkeypatch.setattr(delivery, "_crews", {pool: Crew(pool) for pool in delivery._crews})
    monkeypatch.setattr(delivery, "_couriers", {pool: Courier(pool) for pool in delivery._couriers})
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
def carrier(settings: Settings) -> Iterator[Carrier]:
    """Twilio as we have set it up, next door; SMS is on, WhatsApp is not."""
    with Carrier() as far:
        settings.SMS_PROVIDER = "twilio"
        settings.TWILIO = settings.TWILIO | {
            "account_sid": ACCOUNT,
            "auth_token": TOKEN,
            "sms_from": "+15005550006",
            "api_base": far.url,
            "connect_timeout": 1.0,
            "read_timeout": 1.0,
        }
        yield far


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """A real server that webhooks may go to."""
    with Receiver() as server:
        settings.WEBHOOKS = settings.WEBHOOKS | {
            "allow_http": True,
            "allow_networks": ["127.0.0.0/8"],
            "ports": [server.port],
        }
        yield server


@pytest.fixture
def free_tcp_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def rooms(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rooms]:
    """Every chat service there is, next door."""
    settings.WEBHOOKS = settings.WEBHOOKS | {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}
    with Rooms() as far:
        for module in (chat, targets):
            monkeypatch.setattr(module, "Client", far.client())
        yield far
