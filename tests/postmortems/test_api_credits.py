"""Another billing system takes part: it reads, closes, fetches the files and says what was applied (R-905, R-1203)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from time_machine import travel

from postmortems.credits.batches import closing
from postmortems.enums import CreditState
from postmortems.models import Batch, Credit, Posting, Touch
from tests import scene
from tests.postmortems import booking, ready, stage
from tests.postmortems.ready import AFTER

pytestmark = pytest.mark.django_db
API = "/api/v1"
CLOSE = f"{API}/months/2026-10/close"


@pytest.fixture(autouse=True)
def november() -> Iterator[None]:
    with travel(AFTER, tick=False):
        yield


@pytest.fixture
def finance() -> Client:
    client = Client()
    client.force_login(stage.finance())
    return client


def signed_in(name: str, *rights: str) -> Client:
    user = scene.operator(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"{API}/{path}", body, content_type="application/json")


def get(client: Client, path: str) -> Any:
    answer = client.get(f"{API}/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def keys(client: Client, query: str) -> list[str]:
    return sorted(one["key"] for one in get(client, f"credits?{query}")["results"])


# --- reading -------------------------------------------------------------------------------


def test_a_credit_with_its_amount_twice_its_words_its_history_and_its_postings(finance: Client) -> None:
    credit = ready.credit(stage.contract(currency="KWD"), 1_500, references=["INC-2026-0001", "INC-2026-0002"])
    (listed,) = get(finance, "credits")["results"]
    assert listed == {
        "id": credit.pk,
        "key": "C-1:2026-10:1",
        "contract": "C-1",
        "customer_reference": "C-1 Ltd",
        "customer_name": "C-1 Ltd",
        "billing_account": "",
        "month": "2026-10",
        "kind": "assessed",
        "state": "approved",
        "currency": "KWD",
        "amount_minor": 1_500,
        "amount": "1.500",
        "incidents": ["INC-2026-0001", "INC-2026-0002"],
        "reverses": None,
        "reason": "",
        "proposed_at": "2026-11-01T09:30:00Z",
        "proposed_by": None,
        "needs_second": False,
        "holds_until": None,
        "first_approved_by": None,
        "approved_by": "fay",
        "approved_at": "2026-11-01T09:30:00Z",
        "batch": None,
        "applied_at": None,
        "invoice": "",
    }
    whole = get(finance, f"credits/{credit.pk}")
    assert {name: whole[name] for name in listed} == listed
    assert (whole["assessment"]["amount"], whole["assessment"]["lines"][0]["points"]) == ("1.500", 1_000)
    assert whole["deeds"] == []
    assert whole["postings"] == [
        {
            "key": "C-1:2026-10:1:approve",
            "debit": "expense",
            "against": "owed",
            "currency": "KWD",
            "amount_minor": 1_500,
            "amount": "1.500",
            "posted_at": "2026-11-01T09:30:00Z",
        }
    ]
    assert finance.get(f"{API}/credits/999999").status_code == 404


def test_filters(finance: Client) -> None:
    one, two = stage.contract("C-1"), stage.contract("C-2", currency="JPY")
    first = ready.credit(one)
    ready.credit(one, kind="goodwill", month=stage.date(2026, 9, 1), state=CreditState.PROPOSED)
    ready.credit(two)
    Touch.objects.create(contract_month=first.contract_month, incident=stage.resolved())
    reference = Touch.objects.get().incident.reference
    everything = ["C-1:2026-09:1", "C-1:2026-10:1", "C-2:2026-10:1"]
    for query, found in (
        ("", everything),
        ("month=2026-10", everything[1:]),
        ("contract=C-1", everything[:2]),
        ("customer=C-2%20Ltd", everything[2:]),
        (f"incident={reference}", [everything[1]]),
        ("currency=JPY", everything[2:]),
        ("state=proposed", everything[:1]),
        ("state=proposed&state=approved", everything),
        ("kind=goodwill", everything[:1]),
        ("batch=CR-2026-0001", []),
    ):
        assert keys(finance, query) == found, query
    for query, name in (
        ("month=2026-13", "month"),
        ("month=october", "month"),
        ("state=x", "state"),
        ("kind=x", "kind"),
    ):
        refused = finance.get(f"{API}/credits?{query}")
        assert (refused.status_code, list(refused.json())) == (400, [name])


def test_pages_miss_nothing_while_more_comes(finance: Client) -> None:
    ready.many(5)
    first = get(finance, "credits?page_size=2")
    ready.many(2)
    found, page = [one["key"] for one in first["results"]], first
    while page["next"]:
        page = finance.get(page["next"]).json()
        found += [one["key"] for one in page["results"]]
    assert found == [f"M-{at:05d}:2026-10:1" for at in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    "path", ["credits", "credits?incident=INC-2026-0001", "batches", CLOSE.removeprefix(f"{API}/")]
)
def test_no_list_asks_more_where_there_is_more(finance: Client, path: str) -> None:
    asked = []
    for count in (2, 30):
        ready.many(count)
        with CaptureQueriesContext(connection) as queries:
            get(finance, path)
        asked.append(len(queries))
    assert asked[0] == asked[1]
    # Seven of them are the second opinion's, where there is one.
    assert asked[0] <= (19 if connection.vendor == "postgresql" else 12)


# --- acting --------------------------------------------------------------------------------


def test_r904_many_are_approved_and_of_each_other_one_is_said_why_not(finance: Client) -> None:
    good, done = booking.proposed(), booking.approved()
    answer = post(finance, "credits/approve", keys=[good.key, done.key, good.key])
    assert (answer.status_code, answer.json()["done"]) == (200, [{"key": good.key, "state": "approved"}])
    (refused,) = answer.json()["refused"]
    assert (refused["key"], refused["state"], bool(refused["reason"])) == (done.key, "approved", True)
    assert post(finance, "credits/approve", keys=[good.key]).status_code == 409


def test_r904_a_return_says_why(finance: Client) -> None:
    credit = booking.proposed()
    silent = post(finance, "credits/return", keys=[credit.key])
    assert (silent.status_code, silent.json()) == (
        400,
        {"reason": ["Say why: it stays in the history of the credit."]},
    )
    answer = post(finance, "credits/return", keys=[credit.key], reason="Agreed by phone.")
    assert answer.json() == {"done": [{"key": credit.key, "state": "returned"}], "refused": []}
    deed = get(finance, f"credits/{credit.pk}")["deeds"][-1]
    assert (deed["deed"], deed["by"], deed["reason"]) == ("returned", "fin", "Agreed by phone.")


@pytest.mark.parametrize(
    "sent",
    [None, "C-1:2026-10:1", [], [1], ["C-9:2026-10:1"], ["C-1:2026-13:1"], ["x"], [":::"], ["C-1:2026-10:\x001"]],
)
def test_keys_that_nobody_knows_refuse_the_whole_call(finance: Client, sent: object) -> None:
    credit = ready.credit(stage.contract(), state=CreditState.PROPOSED)
    refused = post(finance, "credits/approve", keys=sent)
    assert (refused.status_code, list(refused.json())) == (400, ["keys"])
    credit.refresh_from_db()
    assert credit.state == CreditState.PROPOSED


def test_r1308_a_reversal_waits_for_two(finance: Client) -> None:
    credit = booking.approved()
    assert post(finance, f"credits/{credit.pk}/reverse").status_code == 400
    made = post(finance, f"credits/{credit.pk}/reverse", reason="Booked twice.")
    assert made.status_code == 201, made.content
    told = made.json()
    assert (told["kind"], told["amount_minor"], told["reverses"], told["needs_second"], told["reason"]) == (
        "reversal",
        -25_000,
        credit.key,
        True,
        "Booked twice.",
    )
    again = post(finance, f"credits/{credit.pk}/reverse", reason="Booked twice.")
    assert (again.status_code, list(again.json())) == (409, ["detail"])


def test_r905_from_the_close_to_the_invoice(finance: Client) -> None:
    """The whole way of a billing system, as docs/billing.md tells it."""
    ready.credit(stage.contract("C-1"), 12_345)
    ready.credit(stage.contract("C-2"), 500)
    looked = finance.get(CLOSE).json()
    assert looked == {
        "month": "2026-10",
        "count": 2,
        "late": 0,
        "totals": [{"currency": "EUR", "amount_minor": 12_845, "amount": "128.45"}],
        "waiting": {},
        "stale": 0,
        "running": 0,
        "refused": None,
        "differing": [],
        "batch": None,
    }
    made = finance.post(CLOSE)
    assert made.status_code == 201, made.content
    batch = made.json()
    assert (batch["number"], batch["count"], batch["applied"], batch["closed_by"]) == ("CR-2026-0001", 2, 0, "fin")
    with travel(AFTER.replace(hour=9)):
        again = finance.post(CLOSE)
    assert (again.status_code, again.json()) == (200, batch)
    assert get(finance, "batches")["results"] == [batch]
    assert get(finance, "batches/CR-2026-0001") == batch
    path = batch["links"]["json"].removeprefix("http://127.0.0.1:8000")
    file = finance.get(path, headers={"accept": "text/csv"})
    assert hashlib.sha256(file.content).hexdigest() == batch["digest"] == file.headers["X-SHA256"]
    assert finance.get(path, headers={"if-none-match": file.headers["ETag"]}).status_code == 304
    named = [one["key"] for one in json.loads(file.content)["credits"]]
    assert keys(finance, "batch=CR-2026-0001") == named
    for _ in range(2):
        done = post(finance, "credits/applied", invoice="R-77", keys=named)
        assert (done.status_code, done.json()["refused"]) == (200, [])
        assert sorted(one["key"] for one in done.json()["done"]) == named
    other = post(finance, "credits/applied", invoice="R-78", keys=named[:1])
    assert (other.status_code, other.json()["refused"][0]["reason"]) == (409, "It was applied to R-77 already.")
    assert get(finance, "batches/CR-2026-0001")["applied"] == 2
    assert Posting.objects.filter(key__endswith=":apply").count() == 2


def test_a_month_that_cannot_be_closed_says_why(finance: Client) -> None:
    stage.contract(zone="Europe/Berlin", billing_day=15)
    early = finance.post(CLOSE)
    assert (early.status_code, early.json()["until"]) == (409, "2026-11-14T23:00:00+00:00")
    assert "it can be closed from 14 November 2026, 23:00 UTC on." in early.json()["detail"]
    assert finance.post(f"{API}/months/2026-13/close").status_code == 404
    assert Batch.objects.count() == 0


# --- who -----------------------------------------------------------------------------------

READS = ("credits", "credits/1", "batches", "batches/CR-2026-0001", "months/2026-10/close")
ACTS = (
    "credits/approve", "credits/return", "credits/keep", "credits/stop", "credits/applied", "credits/1/reverse",
    "months/2026-10/close",
)  # fmt: skip
FILES = ("batches/CR-2026-0001/file.csv", "batches/CR-2026-0001/file.json", "batches/CR-2026-0001/file.xlsx")


@pytest.fixture
def batch() -> Batch:
    stage.finance()
    credit = ready.credit(stage.contract())
    assert Credit.objects.filter(pk=credit.pk).update(reason="") == 1
    return closing.close(stage.OCTOBER, by=User.objects.get(username="fin"), at=AFTER)


@pytest.mark.usefixtures("batch")
def test_support_sees_nothing() -> None:
    support = signed_in("sup", "view_incident", "view_customer", "declare")
    for client in (support, Client()):
        assert {client.get(f"{API}/{path}").status_code for path in (*READS, *FILES)} == {403}
        assert {post(client, path, keys=["C-1:2026-10:1"]).status_code for path in ACTS} == {403}


@pytest.mark.usefixtures("batch")
def test_an_auditor_reads_and_acts_nowhere() -> None:
    auditor = signed_in("aud", "view_credit", "view_batch", "view_contract")
    seen = {path: auditor.get(f"{API}/{path}").status_code for path in READS}
    assert set(seen.values()) <= {200, 404}
    assert seen["batches/CR-2026-0001"] == seen["credits"] == 200
    assert {auditor.get(f"{API}/{path}").status_code for path in FILES} == {403}
    assert {post(auditor, path, keys=["C-1:2026-10:1"], reason="x", invoice="x").status_code for path in ACTS} == {403}
    assert Credit.objects.get().state == CreditState.EXPORTED


def test_each_act_has_its_own_permission(batch: Batch) -> None:
    body = {"keys": [Credit.objects.get().key], "reason": "x", "invoice": "R-1"}
    for right, may in (
        ("approve_credit", {"credits/approve", "credits/return", "credits/keep", "credits/stop"}),
        ("grant_credit", {"credits/1/reverse"}),
        ("export_credit", {"months/2026-10/close", "credits/applied"}),
    ):
        client = signed_in(right, right)
        assert {path for path in ACTS if post(client, path, **body).status_code != 403} == may
