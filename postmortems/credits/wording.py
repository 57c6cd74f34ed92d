"""The arithmetic in words and numbers, so that finance and the customer can follow it (R-903)."""

from __future__ import annotations

from fractions import Fraction

from postmortems.enums import Mix, Proration, Stacking

from .assess import Length, Line, Result, Share
from .case import Case, Rules, TierRule
from .money import Money, exponent, half_up
from .months import SECOND

_UNITS = ((86_400 * SECOND, "d"), (3_600 * SECOND, "h"), (60 * SECOND, "min"))


def duration(micros: int) -> str:
    """``1 d 3 h 12 min 5.000001 s``: exact, without units that are nothing."""
    parts = []
    for size, unit in _UNITS:
        whole, micros = divmod(micros, size)
        if whole:
            parts.append(f"{whole} {unit}")
    seconds, rest = divmod(micros, SECOND)
    if rest:
        parts.append(f"{seconds}.{rest:06d}".rstrip("0") + " s")
    elif seconds or not parts:
        parts.append(f"{seconds} s")
    return " ".join(parts)


def percent(points: int) -> str:
    """``12.5 %`` from hundredths of a percent."""
    whole, rest = divmod(points, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + " %"


def uptime_percent(up: int, covered: int) -> str:
    """``99.97321 %``, cut (never rounded up to a target that was missed)."""
    cut = up * 10_000_000 // covered
    return f"{cut // 100_000}.{cut % 100_000:05d} %"


def exactly(numerator: int, denominator: int, currency: str) -> str:
    """An exact amount for people: ``1,234.5 EUR`` cut to four more places than the currency has, with ``…`` if cut."""
    places = exponent(currency) + 4
    amount = Fraction(numerator, denominator * 10 ** exponent(currency))
    scaled, cut = divmod(amount.numerator * 10**places, amount.denominator)
    whole, rest = divmod(scaled, 10**places)
    shown = f"{whole:,}.{rest:0{places}d}".rstrip("0").rstrip(".")
    return f"{shown}{'…' if cut else ''} {currency}"


def tier_words(tier: TierRule, *, uptime: bool = False) -> str:
    name = tier.code or f"rank {tier.rank}"
    if uptime:
        whole, rest = divmod(tier.threshold, 1000)
        shown = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
        return f"below {shown} % at {name} or worse: {percent(tier.points)}"
    return f"{name} longer than {duration(tier.threshold)}: {percent(tier.points)}"


def explain(case: Case, result: Result) -> dict[str, list[str] | list[list[str]]]:
    """``{"base": sentences, "lines": sentences of each line, "total": sentences}``."""
    rules = case.rules
    if rules is None:
        return {"base": _base(case, result), "lines": [], "total": ["No rules for service credits hold in this month."]}
    return {
        "base": _base(case, result),
        "lines": [_line(line, case, rules) for line in result.lines],
        "total": _total(case, rules, result),
    }


def _base(case: Case, result: Result) -> list[str]:
    by_day = case.rules is not None and case.rules.proration == Proration.DAYS
    words = [_share(share, case.currency, by_day=by_day) for share in result.shares]
    if not words:
        return ["The contract does not cover any of this month."]
    if len(words) > 1 or result.shares[0].part != result.shares[0].whole:
        words.append(f"The month's fee is {exactly(*result.base, case.currency)}.")
    return words


def _share(share: Share, currency: str, *, by_day: bool) -> str:
    name = f"Plan {share.plan}: " if share.plan else ""
    fee = Money(share.fee, currency)
    if share.part == share.whole:
        return f"{name}{fee} for the whole month."
    if by_day:
        return f"{name}{fee} × {share.part} of {share.whole} days."
    return f"{name}{fee} × {share.part // SECOND:,} of {share.whole // SECOND:,} seconds."


def _line(line: Line, case: Case, rules: Rules) -> list[str]:
    if line.uptime:
        return _uptime_line(line, case, rules)
    several = len(line.references) > 1
    words = [f"{', '.join(line.references)}{' are one outage' if several else ''}."]
    words += [_length(length, rules) for length in line.lengths if length.by_end]
    if line.running:
        words.append("It is not over; this is how it stands.")
    if line.tier is None:
        words.append("No tier is passed: nothing is credited.")
        return words
    words.append(f"The highest tier it passes is {tier_words(line.tier)}.")
    if line.earlier:
        rest = percent(line.earned - line.earlier)
        words.append(f"{percent(line.earlier)} were credited in earlier months; {rest} are left for this one.")
    if line.points != line.earned - line.earlier:
        higher = (
            "only the highest outage of a month counts" if rules.stacking == Stacking.HIGHEST else "uptime is higher"
        )
        words.append(f"Nothing is credited for it: {higher}.")
    elif line.points:
        words.append(_product(line, case))
    return words


def _length(length: Length, rules: Rules) -> str:
    code = next(
        (tier.code for tier in rules.durations if tier.rank == length.rank and tier.code), f"rank {length.rank}"
    )
    earlier = f", {duration(length.earlier)} of it before this month" if length.earlier else ""
    return f"At {code} or worse for {duration(length.by_end)}{earlier}."


def _uptime_line(line: Line, case: Case, rules: Rules) -> list[str]:
    assert line.uptime is not None
    up, covered = line.uptime
    words = [
        f"Uptime of the month: {uptime_percent(up, covered)} ({duration(covered - up)} of {duration(covered)} down)."
    ]
    if line.tier is None:
        words.append("No uptime tier is missed: nothing is credited.")
        return words
    words.append(f"The highest tier it misses is {tier_words(line.tier, uptime=True)}.")
    if line.points:
        words.append(_product(line, case))
    elif rules.mix == Mix.HIGHER:
        words.append("Nothing is credited for it: the outages earn at least as much.")
    return words


def _product(line: Line, case: Case) -> str:
    return f"{percent(line.points)} of the month's fee: {Money(line.amount, case.currency)}."


def _total(case: Case, rules: Rules, result: Result) -> list[str]:
    currency, amount = case.currency, Money(result.amount, case.currency)
    words = []
    if result.wanted > result.points:
        words.append(f"Together {percent(result.wanted)}, capped at {percent(rules.cap)}.")
    numerator, denominator = result.base[0] * result.points, result.base[1] * 10_000
    if result.points:
        exact = exactly(numerator, denominator, currency)
        rounded = Money(half_up(numerator, denominator), currency)
        words.append(
            f"{percent(result.points)} of {exactly(*result.base, currency)} = {exact}, rounded once to {rounded}."
        )
    if case.granted:
        words.append(f"Goodwill of {Money(case.granted, currency)} stands already; the cap counts it.")
    words.append(f"Credit of the month: {amount}.")
    return words
