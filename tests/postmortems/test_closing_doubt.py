"""R-1308: a month whose second opinion differs is closed by nobody who did not read that it does."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import pytest
import time_machine
from django.test import Client
from rest_framework.test import APIClient

from postmortems.credits.batches import closing
from postmortems.credits.checking import recheck, twin
from postmortems.credits.checking.recheck import Difference
from postmortems.models import Batch
from tests.postmortems import console, ready, stage
from tests.postmortems.ready import AFTER
from tests.postmortems.stage import OCTOBER

pytestmark = pytest.mark.django_db
FOUND = [Difference(f"C-{number}", OCTOBER, "EUR", 10_000, 9_000) for number in range(7)]
FIRST = "C-0 2026-10: assessed 100.00 EUR, the second opinion says 90.00 EUR."
CLOSE, API = "/admin/credits/close/2026-10/", "/api/v1/months/2026-10/close"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[date]:
    """Another implementation that comes to something else; the months it was asked for."""
    asked = []

    def differences(month: date, *, at: datetime) -> list[Difference]:
        asked.append(month)
        return FOUND

    monkeypatch.setattr(recheck, "differences", differences)
    ready.credit(stage.contract())
    return asked


def test_closing_is_refused_until_somebody_is_sure(asked: list[date]) -> None:
    by = stage.finance()
    with pytest.raises(closing.Doubtful, match=re.escape(f"look before it is closed. {FIRST}")):
        closing.close(OCTOBER, by=by, at=AFTER)
    assert Batch.objects.count() == 0
    made = closing.close(OCTOBER, by=by, at=AFTER, sure=True)
    # Closed is closed: nothing is asked any more.
    assert (closing.close(OCTOBER, by=by, at=AFTER), asked) == (made, [OCTOBER])


def test_the_page_names_them_and_wants_the_month_typed(client: Client) -> None:
    console.sit(client)
    with time_machine.travel(AFTER, tick=False):
        page = client.get(CLOSE).content.decode()
        assert FIRST in page
        assert "And 2 more." in page
        assert client.post(CLOSE).status_code == 422
        assert Batch.objects.count() == 0
        client.post(CLOSE, {"typed": "2026-10"})
    assert Batch.objects.get().month == OCTOBER


def test_a_program_says_so_too() -> None:
    client = APIClient()
    client.force_authenticate(stage.finance())
    with time_machine.travel(AFTER, tick=False):
        assert client.get(API).json()["differing"][0] == FIRST
        for body in ({}, {"sure": True}, {"sure": "2026-09"}, ["2026-10"]):
            assert client.post(API, body, format="json").status_code == 409
        assert client.post(API, {"sure": "2026-10"}, format="json").status_code == 201


def test_where_there_is_no_second_opinion_nothing_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any, **__: Any) -> None:
        raise twin.Unavailable("There is none.")

    monkeypatch.setattr(recheck, "differences", unavailable)
    assert closing.preview(OCTOBER, at=AFTER).differing == ()
    assert closing.close(OCTOBER, by=None, at=AFTER).count == 1
