"""Rules tried on incidents that nobody had: “P0 2h, P1 5h overlapping” of a month that costs 1,000 (R-901). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from postmortems.credits.rules.rulewords import seconds
from postmortems.models import RulesError

from .assess import Result, assess
from .case import BEGINNING, END, Case, Impact, Judged, Outage, Rules, TermSpan
from .months import SECOND, bounds, following
from .wording import explain

MONTH, FEE, CURRENCY = date(2026, 1, 1), 100_000, "EUR"
#: At most so many incidents.
MOST = 20
_DAY, _COMPONENT, _GRAVEST = 86_400 * SECOND, 1, 4
_BESIDE = "overlapping"


def tried(typed: str, rules: Rules, ranks: Mapping[str, int]) -> tuple[Result, list[str]]:
    """What the month comes to and its arithmetic in words. ``ranks``: by the code of a severity.

    Incidents are a day apart; one that is ``overlapping`` begins in the middle of the one before. Raises RulesError.
    """
    start, end = bounds(MONTH, "UTC", 1)
    outages: list[Outage] = []
    begin = start + _DAY
    for part in _parts(typed):
        beside = part.casefold().endswith(_BESIDE)
        if beside and not outages:
            raise RulesError("The first one has nothing to overlap with.")
        rank, length = _read(part[: -len(_BESIDE)] if beside else part, ranks)
        if beside:
            begin = (outages[-1].start + outages[-1].end) // 2
        elif outages:
            begin = max(one.end for one in outages) + _DAY
        if begin + length > end:
            raise RulesError("Together they do not fit into a month.")
        outages.append(_outage(len(outages) + 1, begin, begin + length, rank))
    term = TermSpan(BEGINNING, END, 1, following(MONTH).toordinal() + 1, FEE, "", None)
    case = Case(
        contract="", customer=0, month=f"{MONTH:%Y-%m}", currency=CURRENCY, zone="UTC", start=start, end=end,
        days=(MONTH.toordinal(), following(MONTH).toordinal()), terms=(term,), rules=rules, outages=tuple(outages),
    )  # fmt: skip
    result = assess(case)
    said = explain(case, result)
    sentences = [" ".join(str(words) for words in line) for line in said["lines"]]
    return result, [*sentences, " ".join(str(words) for words in said["total"])]


def _parts(typed: str) -> list[str]:
    parts = [part.strip() for part in typed.split(",") if part.strip()]
    if not parts:
        raise RulesError("Write incidents like “P0 2h, P1 5h overlapping”.")
    if len(parts) > MOST:
        raise RulesError(f"At most {MOST} incidents.")
    return parts


def _read(part: str, ranks: Mapping[str, int]) -> tuple[int, int]:
    """Rank and length in microseconds of ``P0 2h``."""
    text = " ".join(part.split())
    for code in sorted(ranks, key=len, reverse=True):
        if text.casefold().startswith(f"{code.casefold()} "):
            return ranks[code], seconds(text[len(code) :]) * SECOND
    raise RulesError(f"“{part.strip()[:40]}” begins with no severity. Known are: {', '.join(ranks)}.")


def _outage(number: int, start: int, end: int, rank: int) -> Outage:
    name = f"Incident {number}"
    return Outage(
        reference=name, family=name, start=start, end=end, said=start, unsaid=end, running=False,
        severities=(Judged(BEGINNING, END, rank, True),), impacts=(Impact(_COMPONENT, start, end, _GRAVEST),),
    )  # fmt: skip
