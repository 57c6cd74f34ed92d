"""Finance's first page: months by currency, what waits and why, whether the books are right (R-904, R-1308)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.test import Client

from config.counts import counts
from postmortems.credits import book
from postmortems.credits.checking import lights, reconcile
from postmortems.credits.finance import overview
from postmortems.enums import RunKind
from postmortems.models import Batch, Contract, ContractMonth, Posting, Run
from tests.postmortems import console, stage
from tests.postmortems.console import LATER, OVERVIEW, proposed
from tests.postmortems.stage import NOON, OCTOBER

pytestmark = pytest.mark.django_db
NOVEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(LATER, tick=False):
        yield


@pytest.fixture
def acme() -> Contract:
    return stage.contract("C-1", customer=stage.buyer("ACME"))


def sums(page: overview.Page) -> dict[tuple[date, str], dict[str, int]]:
    """Of each month and currency, what is not nothing."""
    return {
        (month.month, one.currency): {
            name: value
            for name in (*overview.Sums.__dataclass_fields__, "total")
            if name != "currency" and (value := getattr(one, name))
        }
        for month in page.months
        for one in month.currencies
    }


def test_each_state_has_its_sum_and_goodwill_is_apart(acme: Contract) -> None:
    fin, other, third = stage.finance("fin"), stage.finance("other"), stage.finance("third")
    strict = stage.rules(second_above="100")
    book.approve([proposed(acme, 5_000).pk], by=fin, at=NOON)
    proposed(acme, 3_000)
    second = proposed(stage.contract("C-2"), 20_000, rules=strict)
    book.approve([second.pk], by=fin, at=NOON)
    yen = stage.contract("C-3", currency="JPY")
    proposed(yen, 777)
    gift = book.grant(book.month_of(yen, OCTOBER), amount_minor=90, reason="Sorry.", by=fin, at=NOON)
    book.approve([gift.pk], by=other, at=NOON)
    back = book.reverse(gift, reason="Twice.", by=fin, at=NOON)
    book.approve([back.pk], by=other, at=NOON)
    book.approve([back.pk], by=third, at=NOON)
    book.give_back([proposed(stage.contract("C-4"), 99).pk], reason="No.", by=fin, at=NOON)
    assert sums(overview.months(at=LATER)) == {
        (OCTOBER, "EUR"): {"approved": 5_000, "decision": -2_000, "second": 20_000, "total": 25_000},
        (OCTOBER, "JPY"): {"proposed": 777, "total": 777},
    }


def test_an_estimate_is_what_running_incidents_would_add(acme: Contract) -> None:
    proposed(acme, 5_000)
    ContractMonth.objects.update(is_running=True, estimate_minor=8_000)
    [month] = overview.months(at=LATER).months
    assert (month.currencies[0].estimate, month.currencies[0].total, month.running) == (3_000, 5_000, 1)


def test_twelve_months_to_a_page_newest_first(acme: Contract) -> None:
    for year, month in ((2024, 12), (2025, 6), (2026, 10)):
        book.month_of(acme, date(year, month, 1))
    first, second = overview.months(at=LATER), overview.months(1, at=LATER)
    assert [first.months[0].month, first.months[-1].month] == [date(2026, 10, 1), date(2025, 11, 1)]
    assert [second.months[0].month, second.months[-1].month] == [date(2025, 10, 1), date(2024, 12, 1)]
    assert [(page.newer, page.older) for page in (first, second)] == [(None, 1), (0, None)]
    beyond = overview.months(9, at=LATER)
    assert (beyond.months, beyond.newer) == ([], 8)


def test_months_are_closed_when_they_are_over_and_in_order(acme: Contract) -> None:
    for month in (8, 9, 10, 11):
        book.month_of(acme, date(2026, month, 1))
    Batch.objects.create(number="CR-2026-0001", month=date(2026, 8, 1), closed_at=NOON, count=0, digest="x",
                         csv=b"", xlsx=b"", json=b"")  # fmt: skip
    page = overview.months(at=NOVEMBER)
    assert page.closable == {date(2026, 9, 1), date(2026, 10, 1)}
    assert [month.batch and month.batch.number for month in page.months] == [None, None, None, "CR-2026-0001"]


def test_what_waits_comes_oldest_first_with_the_buttons_of_this_person(client: Client, acme: Contract) -> None:
    me = console.sit(client)
    old = proposed(acme, 5_000, rules=stage.rules(hold_hours=48), at=LATER - timedelta(hours=45))
    own = proposed(stage.contract("C-2"), 700, asked_by=me, at=LATER - timedelta(hours=3))
    page = client.get(OVERVIEW)
    assert [(one.credit.pk, one.why.words, one.why.barred, [label for _, label in one.acts])
            for one in page.context["waiting"]] == [
        (old.pk, "Approves by itself in 3 h unless somebody stops it.", "",
         ["Approve", "Return", "Stop the holding time"]),
        (own.pk, "A person approves it.",
         "You asked for the assessment that it comes from: somebody else has to approve it.", ["Return"]),
    ]  # fmt: skip
    assert (page.context["number"], page.context["totals"]) == (2, ["57.00 EUR"])


def test_nothing_there_is_said_in_words(client: Client) -> None:
    console.sit(client)
    words = client.get(OVERVIEW).content.decode()
    assert "Nothing waits for anybody." in words
    assert "Before the first month" in words


def test_the_page_refreshes_itself_only_when_something_changed(client: Client, acme: Contract) -> None:
    console.sit(client)
    first = client.get(f"{OVERVIEW}live/")
    assert client.get(f"{OVERVIEW}live/", headers={"If-None-Match": first["ETag"]}).status_code == 304
    Run.objects.create(kind=RunKind.ASSESS, asked={"month": "2026-10"}, asked_at=NOON, started_at=NOON, total=9, done=4)
    running = client.get(f"{OVERVIEW}live/", headers={"If-None-Match": first["ETag"]})
    assert running.status_code == 200
    assert 'value="4" max="9"' in running.content.decode()


# --- the light -------------------------------------------------------------------------


def lit() -> dict[str, tuple[str, tuple[str, ...]]]:
    return {light.title: (light.level, light.found) for light in lights.standing(LATER)}


def test_books_that_agree_are_green(acme: Contract) -> None:
    book.approve([proposed(acme, 5_000).pk], by=stage.finance(), at=NOON)
    assert lit() == {
        "Books agree": ("green", ()),
        "Assessed as known now": ("green", ()),
        "Second opinion": ("grey", ()),
    }


def test_a_posting_by_hand_is_a_red_light_with_what_to_do(acme: Contract) -> None:
    credit = proposed(acme, 5_000)
    Posting.objects.create(key="by-hand", credit=credit, contract_month=credit.contract_month, debit="expense",
                           against="owed", amount_minor=1, currency="EUR", posted_at=NOON)  # fmt: skip
    level, found = lit()["Books do not agree"]
    assert level == "red"
    assert found[0].startswith("Control accounts do not come to what the credits say: C-1 2026-10: ")
    assert found[0].endswith("Close no month before this is understood; tell whoever runs Heliograph.")


def test_months_that_wait_long_for_the_worker_are_a_red_light(acme: Contract) -> None:
    book.month_of(acme, OCTOBER)
    for minutes, level in ((5, "blue"), (11, "red")):
        ContractMonth.objects.update(stale_since=LATER - timedelta(minutes=minutes))
        assert lit()["Assessed as known now"][0] == level
    assert lit()["Assessed as known now"][1] == ("The oldest waits for 11 minutes: is the worker running?",)


def test_the_second_opinion_and_stripe_have_their_lights(acme: Contract) -> None:
    run = Run.objects.create(kind=RunKind.RECHECK, asked_at=NOON, finished_at=NOON, total=3, done=3)
    assert lit()["Second opinion"] == ("green", ())
    Run.objects.filter(pk=run.pk).update(finished_at=NOON - timedelta(days=3))
    assert lit()["Second opinion"] == ("yellow", ())
    Run.objects.filter(pk=run.pk).update(failed="The database went away.")
    assert lit()["Second opinion"] == ("red", ("The database went away.",))


def test_the_first_page_reads_the_kept_answer_only(acme: Contract) -> None:
    assert lights.kept(LATER).level == "grey"
    reconcile.sweep(LATER)
    assert (lights.kept(LATER).title, lights.kept(LATER).level) == ("Books agree", "green")
    assert lights.kept(LATER + timedelta(hours=2)).level == "red"


def test_an_empty_house_says_what_comes_first(client: Client) -> None:
    """Rules, then contracts, each with the way there; once a month is there, nothing of it (R-1201)."""
    console.sit(client)

    def steps() -> list[tuple[bool, str]]:
        return [(step.done, step.url) for step in client.get(OVERVIEW).context["steps"]]

    rules, contracts = "/admin/postmortems/rulebook/", "/admin/postmortems/contract/"
    assert steps() == [(False, rules), (False, contracts), (False, "")]
    stage.rules()
    contract = stage.contract()
    assert steps() == [(True, rules), (True, contracts), (False, "")]
    console.sit(client, "reader", "view_credit")
    assert [url for _, url in steps()] == ["", "", ""]
    proposed(contract, 5_000)
    assert steps() == []


# --- as often asked for much as for little ---------------------------------------------


@pytest.mark.parametrize("size", [1, 30])
def test_the_page_takes_a_fixed_number_of_queries(client: Client, size: int, django_assert_num_queries: Any) -> None:
    console.sit(client)
    for number in range(size):
        contract = stage.contract(f"C-{number}", currency=("EUR", "USD", "JPY")[number % 3])
        proposed(contract, 100 + number, month=date(2026, 1 + number % 10, 1), lines=[([f"INC-{number}"], 100)])
    reconcile.sweep(LATER)
    client.get(OVERVIEW)
    with django_assert_num_queries(21):
        client.get(OVERVIEW)


def test_the_console_counts_what_waits_for_those_who_approve(acme: Contract, rf: Any) -> None:
    proposed(acme, 5_000)
    for rights, number in ((("approve_credit",), 1), (("view_credit",), 0)):
        request = rf.get("/admin/")
        request.user = stage.finance(f"role{number}", *rights)
        assert (counts(request).credits, counts(request).credits_shown) == (number, str(number))


def test_the_dashboard_shows_finance_what_waits(client: Client, acme: Contract) -> None:
    proposed(acme, 5_000)
    for rights, shown in ((("approve_credit", "view_credit"), (1, ["50.00 EUR"])), (("view_credit",), None)):
        user = console.sit(client, f"role{len(rights)}", *rights)
        user.user_permissions.add(Permission.objects.get(codename="view_incident"))
        money = client.get("/admin/").context["money"]
        assert (money and (money.number, money.totals)) == shown
