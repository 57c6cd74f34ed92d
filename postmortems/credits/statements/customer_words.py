"""The arithmetic of a credit in the customer's words: no internal names, nothing of who decided (R-903, R-906).

Read from the assessment as it was stored, so that a statement says for ever what was credited then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from postmortems.credits.arithmetic.money import Money
from postmortems.credits.arithmetic.wording import LEFT_OUT, duration, exactly, percent, uptime_percent
from postmortems.enums import CreditKind, CreditState
from postmortems.models import Credit

#: A share of a month is counted in days where the whole is no more than these; else in microseconds.
_DAYS = 31
KINDS = {
    CreditKind.ASSESSED: "Service credit",
    CreditKind.CORRECTION: "Correction",
    CreditKind.GOODWILL: "Goodwill credit",
    CreditKind.REVERSAL: "Reversal",
}


@dataclass(frozen=True)
class Reckoned:
    """What was credited for one outage, or for the month's uptime: incidents by reference, why, and how much."""

    references: tuple[str, ...]
    words: str
    amount: str


def amount(minor: int, currency: str) -> str:
    """``−1,234.50 EUR`` with the sign that is as wide as a digit."""
    return str(Money(minor, currency)).replace("-", "−")


def day(found: date) -> str:
    return f"{found.day} {found:%B %Y}"


def heading(credit: Credit) -> str:
    kind = CreditKind(credit.kind)
    if kind == CreditKind.CORRECTION:
        return "Correction: more was due" if credit.amount_minor > 0 else "Correction: less was due"
    return KINDS[kind]


def standing(credit: Credit) -> str:
    """Where it is, from the customer's side."""
    lowers = credit.amount_minor < 0
    if credit.state == CreditState.APPLIED and credit.applied_at:
        done = "Charged back" if lowers else "Credited"
        return f"{done} on {day(credit.applied_at.date())}: {credit.invoice}"
    if credit.state == CreditState.EXPORTED:
        return "Handed to billing: it will be on one of your next invoices"
    return "Approved: it goes to billing when the month is closed"


def base(content: Mapping[str, Any], currency: str) -> tuple[str, ...]:
    """The month's fee, and what it is made of where a contract changed."""
    shares = content.get("shares") or []
    whole = len(shares) == 1 and shares[0][2] == shares[0][3]
    words = [] if whole else [_share(*share, currency=currency) for share in shares]
    if not shares:
        return ()
    plan = f" ({shares[0][0]})" if whole and shares[0][0] else ""
    numerator, denominator = content["base"]
    return (*words, f"Fee of the month{plan}: {exactly(numerator, denominator, currency)}")


def lines(content: Mapping[str, Any], currency: str) -> list[Reckoned]:
    """What earned something, in the order of the assessment."""
    return [
        Reckoned(
            references=tuple(one["references"]),
            words=_uptime(one) if one["uptime"] else _outage(one),
            amount=amount(one["amount"], currency),
        )
        for one in content.get("lines", [])
        if one["points"] and one["tier"]
    ]


def closing(content: Mapping[str, Any], currency: str) -> tuple[str, ...]:
    """The cap, where it was reached."""
    if content.get("wanted", 0) > content.get("points", 0):
        return (f"Together {percent(content['wanted'])}, limited to {percent(content['points'])} of the month’s fee",)
    return ()


def correction(credit: Credit) -> str:
    """Why there is a second credit for a month: what it comes to now, and what was credited before."""
    assert credit.assessment is not None
    now = credit.assessment.amount_minor
    before = now - credit.amount_minor
    return (
        f"The month was reckoned again and comes to {amount(now, credit.currency)}; "
        f"{amount(before, credit.currency)} had been credited"
    )


def _share(plan: str, fee: int, part: int, whole: int, *, currency: str) -> str:
    name = f"{plan}: " if plan else ""
    time = f"{part} of {whole} days" if whole <= _DAYS else f"{duration(part)} of {duration(whole)}"
    return f"{name}{amount(fee, currency)} a month, for {time}"


def _outage(line: Mapping[str, Any]) -> str:
    rank, code, threshold, points = line["tier"]
    # Rank, before the month, by its end; what follows is not the customer's.
    long = next((one[2] for one in line["lengths"] if one[0] == rank), 0)
    # A level's place in our list says nothing to a customer where it has no name.
    had, at = (f"{code} for", f" at {code}") if code else ("Down for", "")
    words = f"{had} {duration(long)}{_left_out(line)}. Longer than {duration(threshold)}{at}: {percent(points)}"
    if line["earlier"]:
        left = percent(line["earned"] - line["earlier"])
        return (
            f"{words}, of which {percent(line['earlier'])} were credited in earlier months: {left} of the month’s fee"
        )
    return f"{words} of the month’s fee"


def _uptime(line: Mapping[str, Any]) -> str:
    up, covered = line["uptime"]
    _, _, threshold, points = line["tier"]
    whole, rest = divmod(threshold, 1000)
    below = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    uptime = f"Uptime of the month {uptime_percent(up, covered)}{_left_out(line)}"
    return f"{uptime}, below {below} %: {percent(points)} of the month’s fee"


def _left_out(line: Mapping[str, Any]) -> str:
    """What does not count, by its kind: the words that somebody typed about it are ours alone."""
    parts = [f"{duration(time)} {LEFT_OUT[reason]}" for reason, time in line.get("left_out", [])]
    return f" (not counted: {joined(parts)})" if parts else ""


def joined(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
