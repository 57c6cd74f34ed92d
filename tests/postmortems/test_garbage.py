"""Nobody’s address or form makes a screen of money fall over: it answers in words, or goes to the usual place."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.postmortems import console, ready, stage
from tests.postmortems.console import LIST

pytestmark = pytest.mark.django_db


def test_a_way_back_that_is_no_address_leads_to_the_list(client: Client) -> None:
    console.sit(client)
    for back in ("1", "x", "\x00", "//elsewhere.example/", "https://elsewhere.example/"):
        answer = console.press(client, "stop", reason="We look first.", back=back)
        assert (answer.status_code, answer.headers["Location"]) == (302, LIST)


@pytest.mark.parametrize("typed", ["0001-01", "0010-12"])
def test_a_report_of_months_before_there_were_any_says_how_a_month_is_written(client: Client, typed: str) -> None:
    caller = APIClient()
    caller.force_authenticate(console.sit(client))
    assert caller.get("/api/v1/reports/credits", {"to": typed}).status_code == 400
    for url in ("/admin/credits/reports/", "/admin/credits/reports.csv"):
        assert client.get(url, {"to": typed}).status_code < 500


@pytest.mark.parametrize("typed", ["9" * 40, "0001-01", "\x00"])
def test_a_new_contract_is_empty_whatever_its_address_says(client: Client, typed: str) -> None:
    console.sit(client)
    ready.credit(stage.contract())
    assert client.get("/admin/postmortems/contract/add/", {"customer": typed, "policy": typed}).status_code == 200
