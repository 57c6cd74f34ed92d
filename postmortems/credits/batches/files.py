"""A batch as files: JSON for programs, CSV and XLSX for people and older billing systems (R-905, S23).

One writer for all three. The same entries give the same bytes, today and in ten years: no clock, no random order.
Amounts are numbers, negative ones too; words are words, whatever they begin with. docs/billing.md has the columns.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.packaging.core import DocumentProperties
from openpyxl.styles import Alignment, Font, NamedStyle
from openpyxl.styles.cell_style import StyleArray
from openpyxl.xml.functions import tostring

from notifications.exports import harmless
from postmortems.credits.arithmetic.money import exponent, plain

#: Rises when a program that reads the JSON would have to be changed.
SCHEMA = "heliograph.credits.batch/1"
COLUMNS = (
    "batch", "key", "contract", "customer_reference", "customer_name", "billing_account", "month", "kind",
    "currency", "amount", "amount_minor", "incidents", "reverses", "first_approved_by", "approved_by", "approved_at",
    "reason",
)  # fmt: skip
#: Widths of the columns of the XLSX, in characters.
WIDTHS = (14, 24, 16, 20, 28, 22, 9, 12, 9, 16, 16, 26, 24, 18, 18, 22, 50)
#: Columns of COLUMNS that are numbers; every other one is words.
NUMBERS = frozenset({"amount", "amount_minor"})
Styles = dict[str, StyleArray]
#: The oldest moment that a ZIP can name; the moment it was written would change with every writing.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_CORE = "docProps/core.xml"
#: What XML cannot carry.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One credit of a batch. ``reverses``: the key of the credit that it takes back; people by their login.

    ``first_approved_by`` "": one person was enough; ``approved_by`` "": by itself, after the holding time.
    """

    key: str
    contract: str
    customer_reference: str
    customer_name: str
    billing_account: str
    month: date
    kind: str
    currency: str
    amount_minor: int
    incidents: tuple[str, ...]
    reverses: str
    first_approved_by: str
    approved_by: str
    approved_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Head:
    """What the batch is called; ``closed_by`` is a login, "" where nobody did."""

    number: str
    month: date
    closed_at: datetime
    closed_by: str


@dataclass(frozen=True, slots=True)
class Files:
    """The three files; ``digest`` is the SHA-256 of the JSON."""

    json: bytes
    csv: bytes
    xlsx: bytes
    digest: str


def write(head: Head, entries: Sequence[Entry]) -> Files:
    """The files of a batch, entries in the order given."""
    told = _json(head, entries)
    digest = hashlib.sha256(told).hexdigest()
    return Files(told, _csv(head, entries), _xlsx(head, entries, digest), digest)


def totals(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Signed sums by currency, in minor units, currencies in order."""
    sums: dict[str, int] = {}
    for currency, minor in amounts:
        sums[currency] = sums.get(currency, 0) + minor
    return dict(sorted(sums.items()))


def moment(at: datetime) -> str:
    """``2026-11-02T08:00:00Z``: ISO 8601 in UTC, whole seconds."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def amounts_of(sums: dict[str, int]) -> list[dict[str, Any]]:
    """Totals as programs read them: ``[{"currency": "EUR", "amount_minor": 123450, "amount": "1234.50"}]``."""
    return [
        {"currency": currency, "amount_minor": minor, "amount": plain(minor, currency)}
        for currency, minor in sorted(sums.items())
    ]


# --- JSON ------------------------------------------------------------------------------


def _json(head: Head, entries: Sequence[Entry]) -> bytes:
    """Canonical: names in order, no blanks, UTF-8 as it is. Amounts twice: minor units, and as decimal words."""
    content = {
        "schema": SCHEMA,
        "number": head.number,
        "month": f"{head.month:%Y-%m}",
        "closed_at": moment(head.closed_at),
        "closed_by": head.closed_by or None,
        "count": len(entries),
        "totals": amounts_of(totals((entry.currency, entry.amount_minor) for entry in entries)),
        "credits": [_spelled(entry) for entry in entries],
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _spelled(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "contract": entry.contract,
        "customer_reference": entry.customer_reference,
        "customer_name": entry.customer_name,
        "billing_account": entry.billing_account,
        "month": f"{entry.month:%Y-%m}",
        "kind": entry.kind,
        "currency": entry.currency,
        "amount_minor": entry.amount_minor,
        "amount": plain(entry.amount_minor, entry.currency),
        "incidents": list(entry.incidents),
        "reverses": entry.reverses or None,
        "first_approved_by": entry.first_approved_by or None,
        "approved_by": entry.approved_by or None,
        "approved_at": moment(entry.approved_at),
        "reason": entry.reason,
    }


# --- tables ------------------------------------------------------------------------------


def _cells(head: Head, entry: Entry) -> list[str]:
    """One line as words, in the order of COLUMNS: what begins like a formula is marked as words (S23)."""
    words = [
        head.number,
        entry.key,
        entry.contract,
        entry.customer_reference,
        entry.customer_name,
        entry.billing_account,
        f"{entry.month:%Y-%m}",
        entry.kind,
        entry.currency,
        plain(entry.amount_minor, entry.currency),
        str(entry.amount_minor),
        " ".join(entry.incidents),
        entry.reverses,
        entry.first_approved_by,
        entry.approved_by,
        moment(entry.approved_at),
        entry.reason,
    ]
    return [word if name in NUMBERS else harmless(word) for name, word in zip(COLUMNS, words, strict=True)]


def _csv(head: Head, entries: Sequence[Entry]) -> bytes:
    """RFC 4180 in UTF-8. No byte order mark: programs read this one, people open the XLSX."""
    file = StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(head, entry) for entry in entries)
    return file.getvalue().encode()


def _xlsx(head: Head, entries: Sequence[Entry], digest: str) -> bytes:
    """Two sheets: the credits, and what the batch comes to."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Credits")
    styles = _styles(book, sheet)
    sheet.freeze_panes = "A2"
    for place, width in enumerate(WIDTHS):
        sheet.column_dimensions[_letter(place)].width = width
    sheet.append([_word(sheet, name, styles["head"]) for name in COLUMNS])
    for entry in entries:
        sheet.append(_row(sheet, head, entry, styles))
    last = book.create_sheet("Batch")
    last.column_dimensions["A"].width, last.column_dimensions["B"].width = 18, 70
    for name, value in _about(head, entries, digest):
        last.append([_word(last, name, styles["head"]), _word(last, harmless(value), styles["words"])])
    for currency, minor in totals((entry.currency, entry.amount_minor) for entry in entries).items():
        last.append([_word(last, f"total_{currency}", styles["head"]), _amount(last, minor, currency, styles)])
    return _still(book, head)


def _about(head: Head, entries: Sequence[Entry], digest: str) -> list[tuple[str, str]]:
    return [
        ("batch", head.number),
        ("month", f"{head.month:%Y-%m}"),
        ("closed_at", moment(head.closed_at)),
        ("closed_by", head.closed_by),
        ("credits", str(len(entries))),
        ("sha256_of_json", digest),
    ]


def _styles(book: Workbook, sheet: Any) -> Styles:
    """A number format for each number of decimal places there is, looked up once: a file has 100,000 cells."""
    made = {
        "head": NamedStyle("heliograph_head", font=Font(bold=True)),
        "words": NamedStyle("heliograph_words", number_format="@", alignment=Alignment(vertical="top")),
        "whole": NamedStyle("heliograph_whole", number_format="0", alignment=Alignment(vertical="top")),
    }
    for places in range(5):
        shown = "#,##0." + "0" * places if places else "#,##0"
        made[str(places)] = NamedStyle(
            f"heliograph_{places}_places", number_format=shown, alignment=Alignment(vertical="top")
        )
    found = {}
    for name, style in made.items():
        book.add_named_style(style)
        sample: Any = WriteOnlyCell(sheet)
        sample.style = style.name
        found[name] = sample._style
    return found


def _row(sheet: Any, head: Head, entry: Entry, styles: Styles) -> Iterator[Any]:
    for name, cell in zip(COLUMNS, _cells(head, entry), strict=True):
        if name == "amount":
            yield _amount(sheet, entry.amount_minor, entry.currency, styles)
        elif name in NUMBERS:
            yield _number(sheet, Decimal(cell), styles["whole"])
        else:
            yield _word(sheet, cell, styles["words"])


def _amount(sheet: Any, minor: int, currency: str, styles: Styles) -> Any:
    return _number(sheet, Decimal(plain(minor, currency)), styles[str(exponent(currency))])


def _number(sheet: Any, value: Decimal, style: StyleArray) -> Any:
    cell: Any = WriteOnlyCell(sheet)
    # Exact: it is written as its digits, never as a fraction of two.
    cell.value = value
    cell._style = style
    return cell


def _word(sheet: Any, words: str, style: StyleArray) -> Any:
    """Text and nothing else: the library would take ``=1`` for a formula and ``#N/A`` for an error."""
    if not words:
        return None
    cell: Any = WriteOnlyCell(sheet, _UNWRITABLE.sub("\ufffd", words))
    cell.data_type = "s"
    cell._style = style
    return cell


def _letter(place: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place]


def _still(book: Workbook, head: Head) -> bytes:
    """The file without the moment at which it was written, in the archive and in its properties."""
    drawn, still = BytesIO(), BytesIO()
    book.save(drawn)
    closed = head.closed_at.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    about = DocumentProperties(creator="Heliograph", title=head.number, created=closed, modified=closed)
    with ZipFile(drawn) as old, ZipFile(still, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = tostring(about.to_tree()) if name == _CORE else old.read(name)
            part = ZipInfo(name, _NO_TIME)
            part.compress_type = ZIP_DEFLATED
            new.writestr(part, content)
    return still.getvalue()
