"""What credits come to while it still runs, on the screen and in the API of "Is customer X affected?" (R-1305)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from time_machine import travel

from postmortems.credits import assessing
from postmortems.credits.assessing.estimates import Estimate, estimates
from postmortems.models import ContractMonth, Credit
from tests import scene
from tests.postmortems import stage
from tests.postmortems.stage import DAY, HOUR, NOON

pytestmark = pytest.mark.django_db
PAGE, CALL = "/admin/affected/ACME/", "/api/v1/customers/ACME/affected"
ASKS = ("view_customer", "view_incident")


def sit(client: Client, *rights: str) -> User:
    user = scene.operator("eve")
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)
    return user


def figures(found: list[Estimate]) -> list[tuple[Any, ...]]:
    return [(one.contract, f"{one.month:%Y-%m}", one.amount, one.of_which_running, one.state) for one in found]


def test_r1305_an_estimate_is_computed_at_the_moment_of_the_look() -> None:
    stage.rules()
    acme = stage.buyer("ACME")
    stage.contract(customer=acme)
    stage.contract("C-2", customer=acme, fee=5_000, currency="JPY", components=[scene.component("Mail")])
    stage.declared()
    # No worker has looked at it yet.
    assert figures(estimates(acme, at=NOON + HOUR)) == [
        ("C-1", "2026-10", "0.00 EUR", "0.00 EUR", None),
        ("C-2", "2026-10", "0 JPY", "0 JPY", None),
    ]
    found = estimates(acme, at=NOON + 61 * HOUR / 60)
    assert figures(found)[0] == ("C-1", "2026-10", "100.00 EUR", "100.00 EUR", None)
    assert "It is not over; this is how it stands." in found[0].words
    assert (ContractMonth.objects.count(), Credit.objects.count()) == (0, 0)


def test_r1305_what_is_over_stands_beside_what_still_runs() -> None:
    stage.rules()
    acme = stage.buyer("ACME")
    stage.contract(customer=acme)
    stage.resolved()
    stage.declared(started=NOON + DAY)
    assessing.sweep(NOON + DAY)
    assert figures(estimates(acme, at=NOON + DAY + 5 * HOUR)) == [
        ("C-1", "2026-10", "350.00 EUR", "250.00 EUR", "proposed")
    ]
    # A month later it still runs: the month in which it began is shown, too.
    assessing.refresh(NOON + 27 * DAY)
    assert [f"{one.month:%Y-%m}" for one in estimates(acme, at=NOON + 27 * DAY)] == ["2026-11", "2026-10"]


def test_r1305_a_customer_without_contracts_has_no_estimates() -> None:
    assert estimates(stage.buyer("ACME"), at=NOON) == []


def test_r1305_a_look_takes_the_same_queries_for_many_contracts(django_assert_num_queries: Any) -> None:
    stage.rules()
    few, many = stage.buyer("Few"), stage.buyer("Many")
    stage.contract("A", customer=few)
    for number in range(6):
        stage.contract(f"B-{number}", customer=many)
    for number in range(3):
        stage.resolved(started=NOON + number * DAY)
    stage.declared(started=NOON + 4 * DAY)
    at = NOON + 5 * DAY
    for customer in (few, many):
        with django_assert_num_queries(19):
            estimates(customer, at=at)


def test_r1305_screen_and_call_show_amounts_to_those_who_may_see_them(client: Client) -> None:
    stage.rules()
    stage.contract(customer=stage.buyer("ACME"))
    stage.declared()
    with travel(NOON + 2 * HOUR, tick=False):
        sit(client, *ASKS, "view_credit")
        told = client.get(CALL).json()["credits"]
        assert [(one["contract"], one["estimate"], one["of_which_running_minor"], one["running"]) for one in told] == [
            ("C-1", "100.00", 10_000, True)
        ]
        page = client.get(PAGE).content.decode()
        assert "Service credits" in page
        assert "100.00 EUR" in page
        sit(client, *ASKS)
        assert client.get(CALL).json()["credits"] is None
        page = client.get(PAGE).content.decode()
        assert "Service credits" not in page
        assert "100.00" not in page
        sit(client, "view_credit")
        assert client.get(PAGE).status_code == 403
        assert client.get(CALL).status_code == 403
