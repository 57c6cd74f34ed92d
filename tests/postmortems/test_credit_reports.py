"""Reports of credits reconcile with the ledger to the cent, however they are grouped (R-906)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import time_machine
from django.test import Client

from postmortems.credits import book
from postmortems.credits.finance import reports
from postmortems.enums import Account
from postmortems.models import Contract, Posting
from tests.postmortems import console, stage
from tests.postmortems.console import LATER, proposed
from tests.postmortems.stage import NOON, OCTOBER

pytestmark = pytest.mark.django_db
SEPTEMBER = OCTOBER.replace(month=9)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(LATER, tick=False):
        yield


@pytest.fixture
def acme() -> Contract:
    return stage.contract("C-1", customer=stage.buyer("ACME"))


@pytest.fixture
def story(acme: Contract) -> None:
    """Two months, three currencies, a correction, a reversal, goodwill; one only proposed, one returned."""
    fin, controller = stage.finance("fin"), stage.finance("controller")
    yen = stage.contract("C-2", customer=stage.buyer("BYTE"), currency="JPY", fee=1_000_000)
    dinar = stage.contract("C-3", customer=stage.buyer("ACME"), currency="KWD", fee=1_000_000)
    first = proposed(acme, 10_000, lines=[(["INC-1"], 10_000)])
    approve(fin, first, proposed(yen, 999, lines=[(["INC-1", "INC-2"], 333), (["INC-3"], 666)]))
    # More comes out about INC-2, later.
    approve(fin, proposed(acme, 15_000, lines=[(["INC-1"], 10_000), (["INC-2"], 5_000)]))
    approve(fin, proposed(dinar, 12_345, month=SEPTEMBER, lines=[(["INC-3"], 12_345)]))
    approve(fin, kind := proposed(acme, 7_001, month=SEPTEMBER, lines=[(["INC-4"], 7_000), (["INC-5"], 1)]))
    back = book.reverse(kind, reason="Paid by hand.", by=stage.finance("third"), at=NOON)
    approve(fin, back)
    approve(controller, back)
    book.give_back([proposed(yen, 50, month=SEPTEMBER).pk], reason="No.", by=fin, at=NOON)
    proposed(dinar, 77)


def approve(by: Any, *credits: Any) -> None:
    outcome = book.approve([credit.pk for credit in credits], by=by, at=NOON)
    assert outcome.refused == []


def ask(**typed: str) -> reports.Asked:
    wanted = {"from": "", "to": "", "by": "", "currency": "", "kind": "", "customer": ""} | typed
    return reports.ask(*wanted.values(), at=LATER)


def lines(**typed: str) -> list[tuple[str, str, int, int]]:
    return [(one.key, one.currency, one.number, one.amount) for one in reports.report(ask(**typed)).lines]


def expense() -> dict[str, int]:
    """What the expense account says, counted posting by posting."""
    sums: Counter[str] = Counter()
    for posting in Posting.objects.all():
        sums[posting.currency] += posting.amount_minor * (posting.debit == Account.EXPENSE)
        sums[posting.currency] -= posting.amount_minor * (posting.against == Account.EXPENSE)
    return dict(sums)


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize("by", reports.GROUPS)
def test_r906_each_grouping_adds_up_to_the_ledger(by: str) -> None:
    report = reports.report(ask(by=by))
    sums: Counter[str] = Counter()
    for line in report.lines:
        sums[line.currency] += line.amount
    assert {name: amount for name, amount in sums.items() if amount} == {"EUR": 15_000, "JPY": 999, "KWD": 12_345}
    assert {name: amount for name, amount in expense().items() if amount} == {"EUR": 15_000, "JPY": 999, "KWD": 12_345}
    assert {one.currency: one.amount for one in report.totals} == expense()
    assert report.reconciles


@pytest.mark.usefixtures("story")
def test_r906_lines_of_each_grouping() -> None:
    assert lines() == [
        ("2026-10", "EUR", 2, 15_000),
        ("2026-10", "JPY", 1, 999),
        ("2026-09", "EUR", 2, 0),
        ("2026-09", "KWD", 1, 12_345),
    ]
    assert lines(by="customer") == [("ACME", "EUR", 4, 15_000), ("ACME", "KWD", 1, 12_345), ("BYTE", "JPY", 1, 999)]
    assert lines(by="kind", currency="EUR") == [
        ("assessed", "EUR", 2, 17_001),
        ("correction", "EUR", 1, 5_000),
        ("reversal", "EUR", 1, -7_001),
    ]
    assert lines(by="currency", to="2026-09") == [("EUR", "EUR", 2, 0), ("KWD", "KWD", 1, 12_345)]
    assert lines(by="customer", customer="byte") == [("BYTE", "JPY", 1, 999)]


@pytest.mark.usefixtures("story")
def test_r906_a_correction_counts_for_the_incident_that_brought_it() -> None:
    """Not for all of the month: INC-1 earned what it did before, and INC-2 the rest."""
    assert lines(by="incident") == [
        ("INC-1", "EUR", 1, 10_000),
        ("INC-1, INC-2", "JPY", 1, 333),
        ("INC-2", "EUR", 1, 5_000),
        ("INC-3", "JPY", 1, 666),
        ("INC-3", "KWD", 1, 12_345),
    ]


def test_r906_what_stands_in_part_is_shared_out_to_the_cent(acme: Contract) -> None:
    """A take-back that leaves 100 of 300 leaves each outage its part, and goodwill no incident."""
    fin, controller = stage.finance("fin"), stage.finance("controller")
    approve(fin, proposed(acme, 300, lines=[(["INC-1"], 100), (["INC-2"], 100), (["INC-3"], 100)]))
    approve(fin, more := proposed(acme, 400, lines=[(["INC-1"], 200), (["INC-2"], 100), (["INC-3"], 100)]))
    back = book.reverse(more, reason="Booked twice.", by=stage.finance("third"), at=NOON)
    approve(fin, back)
    approve(controller, back)
    assert lines(by="incident") == [("INC-1", "EUR", 1, 150), ("INC-2", "EUR", 1, 75), ("INC-3", "EUR", 1, 75)]
    assert expense() == {"EUR": 300}


def test_r906_a_posting_that_no_credit_explains_is_seen(acme: Contract) -> None:
    """The totals come from credits, the ledger's from postings: neither repeats the other."""
    credit = proposed(acme, 100)
    approve(stage.finance(), credit)
    assert reports.report(ask()).reconciles
    Posting.objects.create(
        key="by-hand", credit=credit, contract_month=credit.contract_month, debit=Account.EXPENSE,
        against=Account.OWED, amount_minor=1, currency="EUR", posted_at=NOON,
    )  # fmt: skip
    report = reports.report(ask())
    assert (report.reconciles, report.ledger) == (False, {"EUR": 101})


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"from": "2026-13"}, "from", "Write the month as 2026-01."),
        ({"to": "October"}, "to", "Write the month as 2026-01."),
        ({"from": "2026-10", "to": "2026-09"}, "from", "The first month is after the last."),
        ({"from": "1990-01"}, "from", "No more than 120 months at once."),
        ({"by": "weather"}, "by", "Credits can be grouped by month, customer, incident, currency, kind."),
        ({"currency": "€"}, "currency", "A currency is three letters, such as EUR."),
        ({"kind": "gift"}, "kind", "Kinds of credits are assessed, correction, goodwill, reversal."),
        ({"kind": "goodwill", "by": "incident"}, "kind", "By incident all kinds are taken together."),
        ({"customer": "X\x00"}, "customer", "There is no customer with the number “X\x00”."),
    ],
)
def test_what_cannot_be_asked_is_said_at_its_field(typed: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(reports.AskedError) as refused:
        ask(**typed)
    assert (refused.value.name, str(refused.value)) == (field, words)


# --- page, file, API -------------------------------------------------------------------


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(("by", "most"), [("month", 2), ("incident", 5)])
def test_r906_a_report_takes_a_fixed_number_of_queries(by: str, most: int, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(most):
        reports.report(ask(by=by))


@pytest.mark.usefixtures("story")
def test_r906_the_page_shows_totals_lines_and_that_the_ledger_agrees(client: Client) -> None:
    console.sit(client)
    page = client.get(console.REPORTS, {"by": "customer"})
    assert [(one.key, one.amount) for one in page.context["lines"]] == [
        ("ACME", 15_000), ("ACME", 12_345), ("BYTE", 999),
    ]  # fmt: skip
    words = page.content.decode()
    assert "The ledger says the same" in words
    assert "12.345 KWD" in words
    assert "150.00 EUR" in words


def test_a_wrong_filter_is_said_at_its_field_and_nothing_typed_is_lost(client: Client) -> None:
    console.sit(client)
    page = client.get(console.REPORTS, {"from": "soon", "to": "2026-09", "customer": "nobody"})
    assert page.context["asked"].errors == {
        "from": "Write the month as 2026-01.",
        "customer": "There is no customer with the number “nobody”.",
    }
    assert 'value="soon"' in page.content.decode()
    assert 'value="nobody"' in page.content.decode()
    assert client.get("/admin/credits/reports.csv", {"from": "soon"}).status_code == 400


def test_r906_the_file_is_harmless_to_spreadsheets(client: Client) -> None:
    """S23: a customer's name begins like a formula; amounts are numbers, negative ones too."""
    console.sit(client)
    evil = stage.contract("C-9", customer=stage.buyer("=1+1", name="=HYPERLINK(1)"))
    approve(stage.finance("a"), credit := proposed(evil, 12_345))
    back = book.reverse(credit, reason="No.", by=stage.finance("c"), at=NOON)
    approve(stage.finance("a"), back)
    approve(stage.finance("b"), back)
    answer = client.get("/admin/credits/reports.csv", {"by": "kind"})
    assert answer["Content-Disposition"] == 'attachment; filename="credits-by-kind-2025-11-2026-10.csv"'
    assert answer.content.decode().splitlines() == [
        "by,key,label,currency,number,approved,exported,applied,amount",
        "kind,assessed,Assessed,EUR,1,123.45,0.00,0.00,123.45",
        "kind,reversal,Reversal,EUR,1,-123.45,0.00,0.00,-123.45",
        "total,,Total,EUR,2,0.00,0.00,0.00,0.00",
    ]
    customers = client.get("/admin/credits/reports.csv", {"by": "customer"}).content.decode().splitlines()
    assert customers[1] == "customer,'=1+1,'=HYPERLINK(1),EUR,2,0.00,0.00,0.00,0.00"


@pytest.mark.usefixtures("story")
def test_r906_the_api_answers_the_same(client: Client) -> None:
    console.sit(client)
    answer = client.get("/api/v1/reports/credits", {"by": "customer", "currency": "JPY"}).json()
    amounts = {"amount": "999", "approved": "999", "exported": "0", "applied": "0"}
    assert answer == {
        "from": "2025-11",
        "to": "2026-10",
        "by": "customer",
        "reconciles": True,
        "totals": [{"currency": "JPY", "number": 1, **amounts, "ledger": "999"}],
        "lines": [{"key": "BYTE", "label": "Byte", "currency": "JPY", "number": 1, **amounts}],
    }
    refused = client.get("/api/v1/reports/credits", {"from": "soon"})
    assert (refused.status_code, refused.json()) == (400, {"from": ["Write the month as 2026-01."]})


def test_only_who_sees_credits_reads_reports(client: Client) -> None:
    console.sit(client, "stranger", "view_contract")
    for url in (console.REPORTS, "/admin/credits/reports.csv", "/api/v1/reports/credits"):
        assert client.get(url).status_code == 403
