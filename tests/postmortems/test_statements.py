"""R-906: a customer's statement adds up to the cent, says what corrects what, and prints."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from notifications.models import Customer
from postmortems.credits.arithmetic.assess import assess
from postmortems.credits.arithmetic.case import TierRule
from postmortems.credits.statements import Statement, customer_words, printing, statement
from postmortems.enums import CreditKind, CreditState
from postmortems.models import Contract
from tests import scene
from tests.postmortems import far_stripe, paid, stage
from tests.postmortems.cases import DAY, HOUR, B, case, outage

AT = paid.CLOSED
NOVEMBER = date(2026, 11, 1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Customer:
    scene.brand()
    return stage.buyer("ACME", name="Acme & Sons <Ltd>")


def contract(acme: Customer, reference: str = "C-1", **changes: Any) -> Contract:
    return stage.contract(reference, customer=acme, **changes)


def story(acme: Customer) -> Statement:
    """October was credited, found to be more, and taken back in part; November is new; a contract in yen."""
    eur, jpy = contract(acme), contract(acme, "C-2", currency="JPY")
    done = {"state": CreditState.APPLIED, "invoice": "INV-77"}
    first = paid.credit(eur, 10_000, **done)
    paid.credit(
        eur, 15_000, kind=CreditKind.CORRECTION, lines=[paid.line("INC-2026-0001", amount=25_000, points=2_500)]
    )
    paid.credit(eur, -10_000, kind=CreditKind.REVERSAL, reverses=first, state=CreditState.APPROVED, reason="Internal.")
    paid.credit(eur, 5_000, month=NOVEMBER, kind=CreditKind.GOODWILL, state=CreditState.APPROVED, reason="Was rude.")
    paid.credit(jpy, 500, **done)
    # What only waits is in no statement.
    paid.credit(jpy, 900, month=NOVEMBER, state=CreditState.PROPOSED)
    return statement(acme, at=AT)


def test_totals_add_up_by_currency_and_by_state(acme: Customer) -> None:
    euros, yen = story(acme).totals
    assert (euros.currency, euros.given, euros.lowered, euros.total) == ("EUR", 30_000, -10_000, 20_000)
    assert (euros.applied, euros.exported, euros.approved) == (10_000, 15_000, -5_000)
    assert euros.parts() == [("Credits", "300.00 EUR"), ("Corrections and reversals", "−100.00 EUR")]
    assert euros.states() == [
        ("of which credited", "100.00 EUR"),
        ("with billing", "150.00 EUR"),
        ("approved", "−50.00 EUR"),
    ]
    assert (yen.total, yen.words, yen.parts(), yen.states()) == (500, "500 JPY", [], [])


def test_months_add_up_and_say_what_corrects_what(acme: Customer) -> None:
    found = story(acme)
    assert [(month.name, month.contract, month.total) for month in found.months] == [
        ("November 2026", "C-1", "50.00 EUR"),
        ("October 2026", "C-1", "150.00 EUR"),
        ("October 2026", "C-2", "500 JPY"),
    ]
    first, more, back = found.months[1].items
    assert (first.heading, first.standing) == ("Service credit", "Credited on 3 November 2026: INV-77")
    assert first.base == ("Fee of the month (Enterprise): 1,000.00 EUR",)
    [line] = first.lines
    assert (str(line.incidents[0]), line.words, line.amount) == (
        "INC-2026-0001",
        "P0 for 2 h. Longer than 1 h at P0: 10 % of the month’s fee",
        "100.00 EUR",
    )
    assert (more.heading, more.corrects) == ("Correction: more was due", ("C-1:2026-10:1",))
    assert more.why == ("The month was reckoned again and comes to 250.00 EUR; 100.00 EUR had been credited",)
    assert (back.heading, back.amount, back.corrects) == ("Reversal", "−100.00 EUR", ("C-1:2026-10:1",))
    assert found.period == "October 2026 to November 2026"


def test_a_period_is_cut_by_its_months(acme: Customer) -> None:
    story(acme)
    found = statement(acme, at=AT, first=NOVEMBER, last=NOVEMBER)
    assert ([month.name for month in found.months], found.period) == (["November 2026"], "November 2026")
    assert [total.words for total in found.totals] == ["50.00 EUR"]


def test_an_incident_is_called_as_the_public_page_calls_it(acme: Customer) -> None:
    told = stage.resolved(title="Payments are slow")
    row = paid.credit(contract(acme), lines=[paid.line(told.reference, "INC-2026-0999", amount=10_000)])
    [line] = statement(acme, at=AT).months[0].items[0].lines
    assert row.assessment is not None
    assert [str(one) for one in line.incidents] == [f"{told.reference} – Payments are slow", "INC-2026-0999"]
    assert line.incidents[1].url == ""


def test_several_terms_uptime_earlier_months_and_the_cap_are_said(acme: Customer) -> None:
    week = 7 * 24 * paid.HOUR
    lines = [
        paid.line("INC-1", amount=60_000, points=6_000, tier=[1, "P0", paid.HOUR, 6_500], earned=6_500, earlier=500),
        paid.line(
            amount=40_000, points=6_000, tier=[1, "", 99_900, 6_000], uptime=[week - paid.HOUR, week], lengths=[]
        ),
    ]
    row = paid.month_of(contract(acme))
    shares = [["Pro", 80_000, 10, 31], ["", 120_000, 21, 31]]
    assessment = paid.assessed(row, *lines, shares=shares, base=[3_320_000, 31], wanted=12_000, points=10_000)
    paid.credit(row.contract, 100_000, assessment=assessment)
    [item] = statement(acme, at=AT).months[0].items
    assert item.base == (
        "Pro: 800.00 EUR a month, for 10 of 31 days",
        "1,200.00 EUR a month, for 21 of 31 days",
        "Fee of the month: 1,070.967741… EUR",
    )
    assert [line.words for line in item.lines] == [
        "P0 for 2 h. Longer than 1 h at P0: 65 %, "
        "of which 5 % were credited in earlier months: 60 % of the month’s fee",
        "Uptime of the month 99.40476 %, below 99.9 %: 60 % of the month’s fee",
    ]
    assert item.closing == ("Together 120 %, limited to 100 % of the month’s fee",)


def test_what_the_arithmetic_really_stores_is_what_is_read(acme: Customer) -> None:
    """R-903: an outage of two hours and the month's uptime, as ``assess`` writes them down."""
    month = case()
    down = outage(1, month.start + DAY, 2 * HOUR)
    uptime = (TierRule(1, "P0", 99_900, 500),)
    result = assess(replace(month, outages=(down,), rules=replace(B, uptimes=uptime, mix="sum")))
    row = paid.month_of(contract(acme))
    assessment = paid.assessed(row, **result.as_json())
    paid.credit(row.contract, result.amount, assessment=assessment)
    [item] = statement(acme, at=AT).months[0].items
    assert item.base == ("Fee of the month (Pro): 1,000.00 EUR",)
    assert [(line.words, line.amount) for line in item.lines] == [
        ("P0 for 2 h. Longer than 1 h at P0: 10 % of the month’s fee", "100.00 EUR"),
        ("Uptime of the month 99.73118 %, below 99.9 %: 5 % of the month’s fee", "50.00 EUR"),
    ]
    assert item.amount == "150.00 EUR"


def test_it_costs_the_same_queries_whatever_its_size(acme: Customer, django_assert_num_queries: Any) -> None:
    for number in range(12):
        paid.credit(contract(acme, f"C-{number}"), 100 + number)
    with django_assert_num_queries(4):
        assert len(statement(acme, at=AT).months) == 12


# --- as PDF ------------------------------------------------------------------------------------


def read(found: Statement) -> tuple[int, str]:
    reader = PdfReader(BytesIO(printing.printed(found)))
    return len(reader.pages), " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def test_the_pdf_says_the_same_to_the_cent(acme: Customer) -> None:
    pages, text = read(story(acme))
    assert pages == 2
    for words in (
        "Acme & Sons <Ltd>",
        "October 2026 to November 2026",
        "300.00 EUR",
        "−100.00 EUR",
        "Total EUR 200.00 EUR",
        "500 JPY",
        "C-1:2026-10:3 · takes back C-1:2026-10:1",
        "Page 2 of 2",
    ):
        assert words in text, words
    assert "Was rude" not in text
    assert "Internal" not in text


def test_the_same_statement_gives_the_same_bytes(acme: Customer) -> None:
    found = story(acme)
    assert printing.printed(found) == printing.printed(found)


def test_a_long_statement_breaks_between_credits(acme: Customer) -> None:
    for number in range(15):
        paid.credit(contract(acme, f"C-{number:02d}"), 1_000 + number)
    pages, text = read(statement(acme, at=AT))
    assert pages > 2
    assert f"Page {pages} of {pages}" in text
    assert text.count("Service credit ") >= 15


def test_nothing_is_fetched_for_it(acme: Customer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """S25: whatever a page asked for, neither the network nor a file of this machine is read."""
    (tmp_path / "secret.css").write_text('p::after { content: " and a secret" }')
    with far_stripe.serve() as far:
        page = (
            f'<img src="{far.address}/v1/customers/x/balance_transactions"><link rel=stylesheet href="{far.address}/x">'
            f'<link rel=stylesheet href="file://{tmp_path}/secret.css"><p>Here</p>'
        )
        monkeypatch.setattr(printing, "render_to_string", lambda *_: page)
        _, text = read(statement(acme, at=AT))
        assert (text.strip(), far.calls) == ("Here", [])


def test_without_pango_it_says_what_is_missing(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "missing", lambda: "PDF needs Pango.")
    with pytest.raises(printing.Unprintable, match=r"PDF needs Pango\."):
        printing.printed(story(acme))


def test_its_file_has_a_plain_name(acme: Customer) -> None:
    acme.reference = "Ä/../1"
    assert printing.filename(statement(acme, at=AT)) == "service-credits-1-2026-11-03.pdf"


def test_a_level_without_a_name_is_downtime_and_what_does_not_count_is_said_by_its_kind() -> None:
    hour = paid.HOUR
    out = [["maintenance", hour], ["other", hour // 2]]
    plain = paid.line("INC-2026-0001", amount=10_000, tier=[2, "", hour, 1_000], left_out=out)
    assert [one.words for one in customer_words.lines({"lines": [plain]}, "EUR")] == [
        "Down for 2 h (not counted: 1 h of maintenance announced in time and 30 min for other reasons that the "
        "contract names). Longer than 1 h: 10 % of the month’s fee"
    ]
    named = paid.line("INC-2026-0001", amount=10_000, left_out=[["customer", hour]])
    assert [one.words for one in customer_words.lines({"lines": [named]}, "EUR")] == [
        "P0 for 2 h (not counted: 1 h caused by the customer). Longer than 1 h at P0: 10 % of the month’s fee"
    ]
