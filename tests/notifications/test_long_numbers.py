"""Some thousand digits in an address of the console are nobody's number, and no 500 (F17)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db
DIGITS = "9" * 5_000


@pytest.mark.parametrize(
    "address",
    [
        f"delivery/{DIGITS}/change/",
        f"delivery/?subscriber={DIGITS}",
        f"delivery/?update={DIGITS}",
        f"delivery/?announcement={DIGITS}",
        f"endpoint/{DIGITS}/change/",
        f"subscriber/{DIGITS}/change/",
        f"customer/{DIGITS}/change/",
    ],
)
def test_it_is_answered_in_words(client: Client, address: str) -> None:
    client.force_login(User.objects.create_superuser("root", password=None))
    response = client.get(f"/admin/notifications/{address}", follow=True)
    assert response.status_code in (200, 404)
