"""The cast of the notification floor: a brand, things to subscribe to, a visitor and Ada, who is subscribed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from notifications import subscriptions
from notifications.models import Brand, Subscriber, Topic
from notifications.subscriptions import Choice

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
