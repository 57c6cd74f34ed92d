"""R-905, R-906: what is not right with Stripe is seen in one light, and no credit reaches a customer twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from postmortems.credits import book
from postmortems.credits.book.handing import AT_STRIPE
from postmortems.credits.checking import lights, reconcile
from postmortems.credits.stripe import balances
from postmortems.enums import CreditState
from postmortems.models import BalanceEntry, ContractMonth, Credit, StripeState
from tests.postmortems import console, paid, stage
from tests.postmortems.console import LATER

pytestmark = pytest.mark.django_db
NO_CUSTOMER = "Stripe knows no customer cus_1."


@pytest.fixture(autouse=True)
def _on(settings: Any) -> None:
    """With a key, and nobody at the other end: whoever calls Stripe in a request fails."""
    settings.STRIPE = settings.STRIPE | {"api_key": "sk_test_1", "api_base": "http://127.0.0.1:9", "retries": 0}


def exported(reference: str = "C-1", **changes: Any) -> Credit:
    return paid.credit(stage.contract(reference, billing_account="cus_1"), **changes)


def entry(credit: Credit, **changes: Any) -> BalanceEntry:
    """What was asked of Stripe for it."""
    values: dict[str, Any] = {"number": 1, "key": f"heliograph:{credit.key}", "account": "cus_1"}
    values |= {"amount": -credit.amount_minor, "currency": "eur", "made_at": LATER, "next_at": LATER}
    return BalanceEntry.objects.create(credit=credit, **(values | changes))


def refused(credit: Credit) -> Credit:
    entry(credit, refused_at=LATER, error=NO_CUSTOMER)
    Credit.objects.filter(pk=credit.pk).update(stripe_error=NO_CUSTOMER)
    return Credit.objects.get(pk=credit.pk)


def stripes() -> lights.Light | None:
    return next((light for light in lights.standing(LATER) if light.title == "Stripe"), None)


# --- the light -------------------------------------------------------------------------


def test_nothing_is_said_while_all_is_well() -> None:
    entry(exported())
    assert stripes() is None


def test_a_key_that_stripe_does_not_take_is_red() -> None:
    StripeState.objects.create(pk=1, stopped_at=LATER, stopped_why="Invalid API key.")
    light = stripes()
    assert light
    assert (light.level, light.words) == ("red", "Stripe does not take our key.")
    assert light.found == ("Nothing is posted to Stripe: Invalid API key.",)


def test_a_refused_credit_is_red_and_one_that_is_tried_again_is_yellow() -> None:
    late = exported("C-2")
    entry(late)
    Credit.objects.filter(pk=late.pk).update(stripe_error="Stripe did not answer.")
    light = stripes()
    assert light
    assert (light.level, light.words) == ("yellow", "1 could not be posted yet and is tried again by itself.")
    gone = refused(exported())
    light = stripes()
    assert light
    assert (light.level, light.found) == ("red", (f"{gone.key}: {NO_CUSTOMER}",))


def test_books_that_differ_are_red_on_the_first_page_too() -> None:
    reconcile.sweep(LATER)
    assert lights.kept(LATER).level == "green"
    StripeState.objects.create(pk=1, findings={"cus_1": ["A is not in the balance of cus_1 at Stripe."]})
    light = lights.kept(LATER)
    assert (light.title, light.level) == ("Stripe", "red")
    assert light.found == ("A is not in the balance of cus_1 at Stripe.",)


def test_the_first_page_shows_months_that_nobody_assesses() -> None:
    reconcile.sweep(LATER)
    book.month_of(stage.contract(), stage.OCTOBER)
    ContractMonth.objects.update(stale_since=LATER - reconcile.STALE)
    assert (lights.kept(LATER).title, lights.kept(LATER).level) == ("Assessed as known now", "red")


# --- by hand ---------------------------------------------------------------------------


def test_what_stripe_takes_is_not_marked_by_hand() -> None:
    by, untouched, asked = stage.finance(), exported(), exported("C-2")
    entry(asked)
    outcome = book.apply([untouched.pk, asked.pk], invoice="IN-1", by=by, at=LATER)
    assert outcome.done == []
    assert [words for _, words in outcome.refused] == [AT_STRIPE] * 2
    assert set(Credit.objects.values_list("state", flat=True)) == {CreditState.EXPORTED}


def test_nor_by_the_api() -> None:
    credit = exported()
    client = APIClient()
    client.force_authenticate(stage.finance())
    answer = client.post("/api/v1/credits/applied", {"keys": [credit.key], "invoice": "IN-1"}, format="json")
    assert (answer.status_code, answer.json()["refused"][0]["reason"]) == (409, AT_STRIPE)


def test_what_stripe_refused_for_good_is_until_somebody_asks_again() -> None:
    by, first, second = stage.finance(), refused(exported()), refused(exported("C-2"))
    assert balances.try_again([second.pk], by=by, at=LATER) == 1
    outcome = book.apply([first.pk, second.pk], invoice="IN-1", by=by, at=LATER)
    assert [credit.pk for credit in outcome.done] == [first.pk]
    assert [(credit.pk, words) for credit, words in outcome.refused] == [(second.pk, AT_STRIPE)]
    assert balances.try_again([first.pk], by=by, at=LATER) == 0


def test_where_stripe_is_off_everything_is_marked_by_hand(settings: Any) -> None:
    settings.STRIPE = settings.STRIPE | {"api_key": ""}
    credit = exported()
    assert len(book.apply([credit.pk], invoice="IN-1", by=stage.finance(), at=LATER).done) == 1


def test_the_page_tells_refused_from_not_yet(client: Client) -> None:
    console.sit(client)
    gone, late = refused(exported()), exported("C-2")
    entry(late)
    Credit.objects.filter(pk=late.pk).update(stripe_error="Stripe did not answer.")
    for credit, words in ((gone, "Stripe refused it:"), (late, "Not at Stripe yet:")):
        page = client.get(console.page_of(credit)).content.decode()
        assert [one for one in ("Stripe refused it:", "Not at Stripe yet:") if one in page] == [words]
