"""Reading tables that people made: CSV in UTF-8 whose first line names the columns (R-807, S23).

What is wrong with the file as a whole is ``BadFile``; what is wrong with one line is that line's alone.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from django.core.exceptions import ValidationError
from django.db.models import TextChoices

#: What our own exports put a ' before (S23); reading takes it off again.
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_MARKED = re.compile(rf"(\A|;)'(?=[{re.escape(''.join(FORMULA))}])")
LARGEST = 30_000_000
#: A report keeps so many lines; the counts are of all.
MOST_SHOWN = 500


class BadFile(Exception):
    """The file cannot be read at all; ``str()`` says why, in words for the person who chose it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; ``number`` counts from 1, the header is the first. ``wrong``: why it cannot be read.

    ``first`` is its first cell as it stood there, to be shown.
    """

    number: int
    cells: dict[str, str]
    first: str
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of one line; ``verdict`` is a word of the list it is on, ``named`` what the line is about."""

    number: int
    verdict: TextChoices
    named: str
    words: str = ""


@dataclass
class Report:
    """How an import ended, or would end. ``shown`` are the first lines of another verdict than ``usual``."""

    usual: TextChoices
    counts: Counter[TextChoices] = field(default_factory=Counter)
    shown: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.counts[finding.verdict] += 1
        if finding.verdict != self.usual and len(self.shown) < MOST_SHOWN:
            self.shown.append(finding)

    @property
    def total(self) -> int:
        return self.counts.total()


def lines(file: BinaryIO, *, required: Sequence[str], optional: Sequence[str]) -> Iterator[Line]:
    """The lines of the file, in constant memory. Raises BadFile before the first."""
    if file.seek(0, 2) > LARGEST:
        raise BadFile(f"The file is larger than {LARGEST // 1_000_000} MB. Please split it.")
    file.seek(0)
    # What is not UTF-8 becomes lone surrogates, so that only its own line is refused.
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for line in file), strict=True)
    return _rest(reader, _header(file, reader, required, optional))


def printable(words: str) -> str:
    """The beginning of what somebody typed, to be shown in a message."""
    return "".join(character if character.isprintable() else "\ufffd" for character in words[:80])


def _rest(reader: Iterator[list[str]], header: list[str]) -> Iterator[Line]:
    while True:
        cells: list[str] | None = None
        number = reader.line_num + 1  # type: ignore[attr-defined]  # of csv.reader
        try:
            cells = next(reader, None)
            if cells is None:
                return
            if cells:
                yield Line(number, _row(header, cells), printable(cells[0]))
        except csv.Error as error:
            yield Line(number, {}, "", f"The line cannot be read: {error}.")
        except ValidationError as error:
            yield Line(number, {}, printable(cells[0]) if cells else "", " ".join(error.messages))


def _header(file: BinaryIO, reader: Iterator[list[str]], required: Sequence[str], optional: Sequence[str]) -> list[str]:
    if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
        raise BadFile("The file is in UTF-16. Please save it as “CSV UTF-8”.")
    file.seek(0)
    try:
        first = next(reader, None)
    except csv.Error as error:
        raise BadFile(f"The first line cannot be read: {error}.") from None
    if not first:
        raise BadFile("The file is empty, or its first line is. It begins with the names of the columns.")
    header = [cell.removeprefix("\ufeff").strip().lower() for cell in first]
    missing = [name for name in required if name not in header]
    if missing:
        raise BadFile(
            f"The first line lacks: {', '.join(missing)}. It names the columns, separated by commas: "
            f"{', '.join(required)} and, if you like, {', '.join(optional)}."
        )
    strange = [name for name in header if name not in (*required, *optional)]
    if strange:
        names = ", ".join(f"“{printable(name)}”" for name in strange[:5])
        raise BadFile(f"Unknown columns: {names}. Please remove them, so that nothing is lost unseen.")
    if len(set(header)) < len(header):
        raise BadFile("A column is named twice in the first line.")
    return header


def _row(header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise ValidationError(f"{len(cells)} cells, but the first line names {len(header)} columns.")
    if any("\ud800" <= character <= "\udfff" for cell in cells for character in cell if not cell.isascii()):
        raise ValidationError("This line is not in UTF-8.")
    return {name: _bare(cell) for name, cell in zip(header, cells, strict=True)}


def _bare(cell: str) -> str:
    """A cell without the marks that our export puts before what a spreadsheet would calculate."""
    return (_MARKED.sub(r"\1", cell) if "'" in cell else cell).strip(" ")
