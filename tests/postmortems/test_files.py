"""The files of a batch: totals that survive every reading, words that no spreadsheet calculates with (R-905, S23)."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import openpyxl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from time_machine import travel

from postmortems.credits.arithmetic.money import exponent, parse
from postmortems.credits.batches import downloads, files
from postmortems.credits.batches.files import COLUMNS, Entry, Head
from postmortems.models import Batch

HEAD = Head("CR-2026-0001", date(2026, 10, 1), datetime(2026, 11, 2, 8, 0, 0, 123456, tzinfo=UTC), "fin")
#: Of 0, 2 and 3 decimal places.
CURRENCIES = ("JPY", "EUR", "KWD")
#: Each opens as a formula somewhere, or would like to (S23).
PAYLOADS = [
    "=1+1", "=cmd|'/C calc'!A0", '=HYPERLINK("http://evil.example","x")', "=IMPORTXML(CONCAT(1))", "=", "==1", "= 1",
    "=1;2", '="x"', "=DDE(1)", "+1+1", "+1", "+", "+cmd|' /C calc'!A0", "-1+1", "-1", "-", "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1)", "@", "@SUM(1+1)*cmd|' /C calc'!A0", "\t=1+1", "\t", "\r=1+1", "\r", "\n=1+1", "\n", "＝1+1", "＝",
    "＋1", "＋", "－1", "－", "＠SUM(A1)", "＠", "x;=1+1", "x;+1", "x;-1;y", "x;@SUM(A1)", "x;＝1",
]  # fmt: skip


def entry(**changes: Any) -> Entry:
    values: dict[str, Any] = {
        "key": "C-1:2026-10:1",
        "contract": "C-1",
        "customer_reference": "ACME",
        "customer_name": "Acme, “the” best",
        "billing_account": "cus_1",
        "month": date(2026, 10, 1),
        "kind": "assessed",
        "currency": "EUR",
        "amount_minor": 123_450,
        "incidents": ("INC-2026-0001", "INC-2026-0002"),
        "reverses": "",
        "first_approved_by": "",
        "approved_by": "fay",
        "approved_at": datetime(2026, 11, 1, 9, 30, tzinfo=UTC),
        "reason": "",
    }
    return Entry(**(values | changes))


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(content.decode(), newline=""), strict=True))


def sheet(content: bytes, name: str = "Credits") -> list[list[Any]]:
    return [list(row) for row in openpyxl.load_workbook(BytesIO(content))[name].iter_rows()]


# --- what stands where ---------------------------------------------------------------------


def test_the_json_is_canonical_and_named_by_its_hash() -> None:
    made = files.write(HEAD, [entry(), entry(key="C-2:2026-10:1", currency="KWD", amount_minor=-1_500)])
    assert made.digest == hashlib.sha256(made.json).hexdigest()
    told = json.loads(made.json)
    assert made.json == json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert told["credits"][0] == {
        "key": "C-1:2026-10:1",
        "contract": "C-1",
        "customer_reference": "ACME",
        "customer_name": "Acme, “the” best",
        "billing_account": "cus_1",
        "month": "2026-10",
        "kind": "assessed",
        "currency": "EUR",
        "amount_minor": 123_450,
        "amount": "1234.50",
        "incidents": ["INC-2026-0001", "INC-2026-0002"],
        "reverses": None,
        "first_approved_by": None,
        "approved_by": "fay",
        "approved_at": "2026-11-01T09:30:00Z",
        "reason": "",
    }
    del told["credits"]
    assert told == {
        "schema": "heliograph.credits.batch/1",
        "number": "CR-2026-0001",
        "month": "2026-10",
        "closed_at": "2026-11-02T08:00:00Z",
        "closed_by": "fin",
        "count": 2,
        "totals": [
            {"currency": "EUR", "amount_minor": 123_450, "amount": "1234.50"},
            {"currency": "KWD", "amount_minor": -1_500, "amount": "-1.500"},
        ],
    }


def test_the_csv_is_plain_utf_8_with_lines_as_rfc_4180_wants_them() -> None:
    made = files.write(HEAD, [entry(reason="He said “no”,\nthen “yes”.", amount_minor=-5)])
    assert made.csv.startswith(b"batch,key,contract,customer_reference,")
    (line,) = table(made.csv)
    assert line == {
        "batch": "CR-2026-0001",
        "key": "C-1:2026-10:1",
        "contract": "C-1",
        "customer_reference": "ACME",
        "customer_name": "Acme, “the” best",
        "billing_account": "cus_1",
        "month": "2026-10",
        "kind": "assessed",
        "currency": "EUR",
        "amount": "-0.05",
        "amount_minor": "-5",
        "incidents": "INC-2026-0001 INC-2026-0002",
        "reverses": "",
        "first_approved_by": "",
        "approved_by": "fay",
        "approved_at": "2026-11-01T09:30:00Z",
        "reason": "He said “no”,\nthen “yes”.",
    }


def test_amounts_of_the_xlsx_are_numbers_as_their_currency_is_written() -> None:
    entries = [entry(currency=currency, amount_minor=-1_234_567) for currency in CURRENCIES]
    rows = sheet(files.write(HEAD, entries).xlsx)
    assert [cell.value for cell in rows[0]] == list(COLUMNS)
    amounts = [row[COLUMNS.index("amount")] for row in rows[1:]]
    assert [(cell.data_type, cell.number_format, str(cell.value)) for cell in amounts] == [
        ("n", "#,##0", "-1234567"),
        ("n", "#,##0.00", "-12345.67"),
        ("n", "#,##0.000", "-1234.567"),
    ]
    about = {row[0].value: row[1].value for row in sheet(files.write(HEAD, entries).xlsx, "Batch")}
    assert about["batch"] == "CR-2026-0001"
    assert (about["total_EUR"], about["total_JPY"], about["total_KWD"]) == (-12345.67, -1234567, -1234.567)
    assert about["sha256_of_json"] == files.write(HEAD, entries).digest


# --- S23 -----------------------------------------------------------------------------------


def test_s23_the_corpus_has_forty() -> None:
    assert len(set(PAYLOADS)) == 40


@pytest.mark.parametrize("payload", PAYLOADS)
def test_s23_no_cell_is_calculated_with(payload: str) -> None:
    """In every column of words, in both files; negative amounts beside them stay numbers."""
    words = dict.fromkeys(COLUMNS, payload)
    for name in ("batch", "month", "currency", "amount", "amount_minor", "incidents", "approved_at"):
        del words[name]
    made = files.write(
        Head(payload, HEAD.month, HEAD.closed_at, payload), [entry(**words, incidents=(payload,), amount_minor=-7)]
    )
    marked = payload.replace(";", ";'", 1) if payload.startswith("x;") else f"'{payload}"
    (line,) = table(made.csv)
    for name in [*words, "batch", "incidents"]:
        assert line[name] == marked, name
    assert (line["amount"], line["amount_minor"]) == ("-0.07", "-7")
    rows = [*sheet(made.xlsx), *sheet(made.xlsx, "Batch")]
    assert {cell.data_type for row in rows for cell in row if cell.value is not None} == {"s", "n"}
    assert not [cell for row in rows for cell in row if str(cell.value)[:1] in "=+@\t\r\n＝＋－＠"]
    with zipfile.ZipFile(BytesIO(made.xlsx)) as archive:
        for part in ("xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"):
            tree = ElementTree.fromstring(archive.read(part))
            assert not [node for node in tree.iter() if node.tag.endswith("}f")]


def test_words_that_look_like_something_else_are_words() -> None:
    made = files.write(HEAD, [entry(customer_name="#N/A", reason="TRUE", contract="007", billing_account="1E5")])
    row = sheet(made.xlsx)[1]
    shown = {name: (cell.value, cell.data_type) for name, cell in zip(COLUMNS, row, strict=True)}
    assert shown["customer_name"] == ("#N/A", "s")
    assert shown["reason"] == ("TRUE", "s")
    assert (shown["contract"], shown["billing_account"]) == (("007", "s"), ("1E5", "s"))


def test_what_xml_cannot_carry_breaks_no_file() -> None:
    made = files.write(HEAD, [entry(reason="a\x0bb\x1fc\ufffed")])
    assert sheet(made.xlsx)[1][COLUMNS.index("reason")].value == "a�b�c�d"
    assert json.loads(made.json)["credits"][0]["reason"] == "a\x0bb\x1fc\ufffed"


# --- the same for ever -----------------------------------------------------------------------


def test_the_same_entries_are_the_same_bytes_whenever_they_are_written() -> None:
    with travel(datetime(2026, 11, 2, tzinfo=UTC)):
        first = files.write(HEAD, [entry(), entry(reason="x")])
    with travel(datetime(2036, 11, 2, tzinfo=UTC)):
        assert files.write(HEAD, [entry(), entry(reason="x")]) == first
    with zipfile.ZipFile(BytesIO(first.xlsx)) as archive:
        assert {part.date_time for part in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    about = openpyxl.load_workbook(BytesIO(first.xlsx)).properties
    assert about.created == about.modified == HEAD.closed_at.replace(tzinfo=None, microsecond=0)


entries = st.lists(
    st.builds(
        entry,
        key=st.text(max_size=12),
        currency=st.sampled_from(CURRENCIES),
        amount_minor=st.integers(-(10**12), 10**12).filter(bool),
        customer_name=st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        reason=st.sampled_from(PAYLOADS),
    ),
    max_size=6,
)


@given(entries)
@hypothesis(max_examples=25, deadline=None)
def test_totals_are_the_ledgers_and_reading_them_back_gives_the_same_integers(found: list[Entry]) -> None:
    """reliability.md 5.3, "Export": of exponents 0, 2 and 3, in every file."""
    made = files.write(HEAD, found)
    ledger = [(one.currency, one.amount_minor) for one in found]
    lines = table(made.csv)
    assert [(line["currency"], int(line["amount_minor"])) for line in lines] == ledger
    assert [(line["currency"], parse(line["amount"], line["currency"])) for line in lines] == ledger
    rows = sheet(made.xlsx)[1:]
    read = [
        (
            row[COLUMNS.index("currency")].value,
            Decimal(repr(row[COLUMNS.index("amount")].value)),
            row[COLUMNS.index("amount_minor")].value,
        )
        for row in rows
    ]
    assert [(currency, amount.scaleb(exponent(currency)), minor) for currency, amount, minor in read] == [
        (currency, minor, minor) for currency, minor in ledger
    ]
    told = json.loads(made.json)
    assert [(one["currency"], one["amount_minor"]) for one in told["credits"]] == ledger
    sums = {currency: sum(minor for code, minor in ledger if code == currency) for currency in dict(sorted(ledger))}
    assert {one["currency"]: one["amount_minor"] for one in told["totals"]} == sums == files.totals(ledger)
    assert [line["customer_name"].removeprefix("'") for line in lines] == [
        one.customer_name.removeprefix("'") for one in found
    ] or any(";" in one.customer_name for one in found)


def test_there_is_no_float_in_what_writes_money() -> None:
    for module in (files, downloads):
        tree = ast.parse(Path(module.__file__).read_text())
        assert not [
            node
            for node in ast.walk(tree)
            if (isinstance(node, ast.Constant) and isinstance(node.value, float))
            or (isinstance(node, ast.Name) and node.id == "float")
        ]


def test_a_download_names_its_bytes() -> None:
    batch = Batch(number="CR-2026-0001", json=b"{}", csv=b"", xlsx=b"")
    answer = downloads.answer(batch, "json")
    assert answer.headers["ETag"] == f'"{hashlib.sha256(b"{}").hexdigest()}"'
    assert answer.headers["Repr-Digest"] == "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:"
    assert downloads.answer(batch, "json", f'W/"x", {answer.headers["ETag"]}').status_code == 304
    assert downloads.answer(batch, "json", '"x"').content == b"{}"
