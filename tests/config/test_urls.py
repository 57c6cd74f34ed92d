"""Addresses that people type."""

import pytest
from django.test import Client


@pytest.mark.parametrize("typed", ["/subscribe", "/subscribe/", "/subscriptions", "/subscriptions/"])
def test_what_people_type_leads_to_the_form(client: Client, typed: str) -> None:
    answer = client.get(typed)
    assert (answer.status_code, answer["Location"]) == (302, "/subscriptions/subscribe")
