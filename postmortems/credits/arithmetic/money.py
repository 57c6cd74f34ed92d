"""Money in integer minor units of one ISO 4217 currency. No float, no exchange rates (reliability.md 5.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from moneyed import CURRENCIES

#: Of ISO 4217, what nobody is billed in: metals, test codes, units of account.
_UNBILLED = ("X",)
#: Digits, in groups of three or not; the decimal sign is a point.
_TYPED = re.compile("(?P<sign>[+-]?)(?P<whole>[0-9]+|[0-9]{1,3}(?:[, \u00a0\u202f][0-9]{3})+)(?:[.](?P<rest>[0-9]*))?")
_GAPS = re.compile("[, \u00a0\u202f]")
#: Of what people type, in minor units.
LARGEST = 10**15
LARGEST_DIGITS = 16


class MoneyError(ValueError):
    """An amount or a currency that cannot be. The message is written for people."""


@cache
def exponent(currency: str) -> int:
    """Decimal places of the currency: JPY 0, EUR 2, KWD 3. Raises MoneyError for codes that nobody is billed in."""
    known = CURRENCIES.get(currency)
    if known is None or (currency.startswith(_UNBILLED) and currency not in ("XAF", "XOF", "XPF", "XCD", "XCG")):
        raise MoneyError(f"“{currency}” is no ISO 4217 currency that anybody is billed in.")
    return len(str(known.sub_unit)) - 1


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """``minor`` units of ``currency``. Amounts of different currencies never add."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError("Money counts whole minor units.")

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def __str__(self) -> str:
        return f"{plain(self.minor, self.currency, grouped=True)} {self.currency}"

    def _same(self, other: Money) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"{type(other).__name__} is no money.")
        if other.currency != self.currency:
            raise MoneyError(f"{self.currency} and {other.currency} do not add: there is no exchange rate here.")
        return other.minor


def plain(minor: int, currency: str, *, grouped: bool = False) -> str:
    """``-1234.50``: a number that spreadsheets and programs read; ``grouped``: for people, ``-1,234.50``."""
    places = exponent(currency)
    whole, rest = divmod(abs(minor), 10**places)
    sign = "-" if minor < 0 else ""
    number = f"{whole:,}" if grouped else str(whole)
    return f"{sign}{number}.{rest:0{places}d}" if places else f"{sign}{number}"


def parse(text: str, currency: str) -> int:
    """Minor units of ``1234.50``, ``1,234.50`` or ``1 234.50``. Raises MoneyError: no number, too many places.

    ``1,23`` is refused: it may be meant as 1.23, and would be read as a hundred times that.
    """
    places = exponent(currency)
    shown = text.strip()
    typed = _TYPED.fullmatch(shown)
    if typed is None:
        raise MoneyError(f"“{shown}” is no amount. Write it like {plain(123450, currency)}.")
    whole, rest = _GAPS.sub("", typed["whole"]).lstrip("0"), (typed["rest"] or "").rstrip("0")
    if len(rest) > places:
        raise MoneyError(f"{currency} has {places} decimal places; “{shown}” has more.")
    if len(whole) > LARGEST_DIGITS or (minor := int((whole or "0") + rest.ljust(places, "0"))) > LARGEST:
        raise MoneyError(f"“{shown}” is more than anybody is billed.")
    return -minor if typed["sign"] == "-" else minor


def half_up(numerator: int, denominator: int) -> int:
    """The whole number nearest to ``numerator / denominator``, both not negative; a half goes up."""
    return (2 * numerator + denominator) // (2 * denominator)


def share_out(total: int, weights: list[int]) -> list[int]:
    """``total`` split by ``weights`` to whole numbers that add up to it: largest remainder, ties to the first."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: (-(total * weights[place] % whole), place))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts
