"""The arithmetic in words and numbers, so that finance and the customer can follow it (R-903)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from postmortems.enums import ExclusionKind, Mix, Proration, Stacking

from .assess import WHOLE, Length, Line, Result, Share
from .case import Case, Rules, TierRule
from .felt import MAINTENANCE
from .money import Money, exponent, half_up
from .months import SECOND

_UNITS = ((86_400 * SECOND, "d"), (3_600 * SECOND, "h"), (60 * SECOND, "min"))
LEFT_OUT = {
    MAINTENANCE: "of maintenance announced in time",
    ExclusionKind.CUSTOMER: "caused by the customer",
    ExclusionKind.FORCE_MAJEURE: "of force majeure",
    ExclusionKind.OTHER: "for other reasons that the contract names",
}


@lru_cache(maxsize=10_000)
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


@lru_cache(maxsize=10_000)
def percent(points: int) -> str:
    """``12.5 %`` from hundredths of a percent."""
    whole, rest = divmod(points, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + " %"


def uptime_percent(up: int, covered: int) -> str:
    """``99.97321 %``, cut (never rounded up to a target that was missed)."""
    cut = up * 10_000_000 // covered
    return f"{cut // 100_000}.{cut % 100_000:05d} %"


def exactly(numerator: int, denominator: int, currency: str) -> str:
    """An exact amount for people: ``1,234.505 EUR``; with ``…`` if cut to four more places than the currency has."""
    places = exponent(currency)
    scaled, cut = divmod(numerator * 10**4, denominator)
    whole, rest = divmod(scaled, 10 ** (places + 4))
    digits = f"{rest:0{places + 4}d}"
    if not cut:
        digits = digits[:places] + digits[places:].rstrip("0")
    return f"{whole:,}{'.' if digits else ''}{digits}{'…' if cut else ''} {currency}"


def listed(names: Sequence[str]) -> str:
    """``A``, ``A and B``, ``A, B and C``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


@lru_cache(maxsize=1_000)
def tier_words(tier: TierRule, *, uptime: bool = False) -> str:
    if uptime:
        whole, rest = divmod(tier.threshold, 1000)
        shown = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
        return f"below {shown} % counting {_level(tier.rank, tier.code)}: {percent(tier.points)}"
    return f"{_level(tier.rank, tier.code)} longer than {duration(tier.threshold)}: {percent(tier.points)}"


def _level(rank: int, code: str) -> str:
    """``P1 or worse``; nothing is worse than the first rank."""
    name = code or f"rank {rank}"
    return name if rank == 1 else f"{name} or worse"


def _code(rank: int, tiers: Sequence[TierRule]) -> str:
    return next((tier.code for tier in tiers if tier.rank == rank and tier.code), "")


def explain(case: Case, result: Result) -> dict[str, list[str] | list[list[str]]]:
    """``{"base": sentences, "lines": sentences of each line, "total": sentences}``."""
    rules = case.rules
    if rules is None:
        return {"base": _base(case, result), "lines": [], "total": ["No rules for service credits hold in this month."]}
    return {
        "base": _base(case, result),
        "lines": [_line(line, case, rules, result) for line in result.lines],
        "total": _total(case, rules, result),
    }


# --- what is paid for the month ---------------------------------------------------------


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


# --- outages ------------------------------------------------------------------------------


def _line(line: Line, case: Case, rules: Rules, result: Result) -> list[str]:
    if line.uptime:
        return _uptime_line(line, line.uptime, case, rules, result)
    if "words" not in line.known:
        line.known["words"] = _earned(line, rules)
    words = list(line.known["words"])
    if line.tier is None:
        return words
    left = line.earned - line.earlier
    if line.points:
        words.append(_product(line, case, result))
    elif left:
        words.append(f"Nothing is credited for it: {_outdone(rules, result)}.")
    return words


def _earned(line: Line, rules: Rules) -> list[str]:
    """What does not depend on the contract: it is said to thousands."""
    words = _had(line, rules)
    if line.tier is None:
        if line.lengths[-1].by_end:
            first = [tier_words(tier) for tier in _lowest(rules.durations)]
            words.append(f"That passes no tier ({'; '.join(first)}): nothing is credited.")
        else:
            words.append("No time is left that counts: nothing is credited.")
        return words
    words.append(f"The highest tier it passes is {tier_words(line.tier)}.")
    left = line.earned - line.earlier
    if line.earlier:
        rest = f"{percent(left)} are left for this one" if left else "nothing is left for this one"
        words.append(f"{percent(line.earlier)} of that belong to earlier months; {rest}.")
    return words


def _had(line: Line, rules: Rules) -> list[str]:
    """Which incidents, and how long: what counts and what does not."""
    several = len(line.references) > 1
    words = [f"{listed(line.references)} are one outage." if several else f"Outage {line.references[0]}."]
    said = Length(0, 0, 0)
    for length in line.lengths:
        # Milder ranks without time of their own say nothing new.
        if (length.earlier, length.by_end) != (said.earlier, said.by_end):
            words.append(_length(length, rules))
            said = length
    words += _left_out(line)
    later = line.lengths[-1].later
    if line.running:
        words.append("It is not over; this is how it stands.")
    elif later:
        words.append(f"It goes on for {duration(later)} after this month: what it passes then belongs there.")
    return words


def _length(length: Length, rules: Rules) -> str:
    level = _level(length.rank, _code(length.rank, rules.durations))
    earlier = f", {duration(length.earlier)} of it before this month" if length.earlier else ""
    return f"At {level} for {duration(length.by_end)}{earlier}."


def _left_out(line: Line) -> list[str]:
    parts = [f"{duration(time)} {LEFT_OUT[reason]}" for reason, time in line.left_out]
    return [f"Left out: {listed(parts)}."] if parts else []


def _lowest(tiers: Sequence[TierRule]) -> list[TierRule]:
    """The first tier of each rank, as the rules list the ranks."""
    found: dict[int, TierRule] = {}
    for tier in tiers:
        if tier.rank not in found or tier.threshold < found[tier.rank].threshold:
            found[tier.rank] = tier
    return list(found.values())


def _outdone(rules: Rules, result: Result) -> str:
    """Why an outage that earned something is credited nothing."""
    if rules.mix == Mix.HIGHER and any(line.uptime and line.points for line in result.lines):
        return "the uptime of the month earns more, and the higher of both counts"
    assert rules.stacking == Stacking.HIGHEST
    return "only the highest outage of a month counts"


def _product(line: Line, case: Case, result: Result) -> str:
    """A line's part of the credit: what it earns, and what became of it in the total where that is not the same."""
    numerator, denominator = result.base[0] * line.points, result.base[1] * WHOLE
    words = f"{percent(line.points)} of the month's fee: {exactly(numerator, denominator, case.currency)}"
    if numerator == line.amount * denominator:
        return f"{words}."
    return f"{words}; its part of the month's credit is {Money(line.amount, case.currency)}."


# --- uptime -------------------------------------------------------------------------------


def _uptime_line(line: Line, uptime: tuple[int, int], case: Case, rules: Rules, result: Result) -> list[str]:
    up, covered = uptime
    level = _level(line.lengths[0].rank, _code(line.lengths[0].rank, rules.uptimes))
    words = [
        f"Uptime of the month, counting {level}: {uptime_percent(up, covered)} "
        f"({duration(covered - up)} of {duration(covered)} down)."
    ]
    if line.references:
        words.append(f"Counted with {listed(line.references)}.")
    words += _left_out(line)
    if line.running:
        words.append("Not all of it is over; this is how it stands.")
    if line.tier is None:
        words.append("No uptime tier is missed: nothing is credited for it.")
        return words
    words.append(f"The highest tier it misses is {tier_words(line.tier, uptime=True)}.")
    if line.points:
        words.append(_product(line, case, result))
    elif line.earned:
        words.append("Nothing is credited for it: the outages earn at least as much, and the higher of both counts.")
    return words


# --- the credit ---------------------------------------------------------------------------


def _total(case: Case, rules: Rules, result: Result) -> list[str]:
    currency = case.currency
    words = []
    if result.wanted > result.points:
        words.append(f"Together {percent(result.wanted)}, capped at {percent(rules.cap)}.")
    numerator, denominator = result.base[0] * result.points, result.base[1] * WHOLE
    if result.points:
        fee, exact = exactly(*result.base, currency), exactly(numerator, denominator, currency)
        rounded = half_up(numerator, denominator)
        once = "" if rounded * denominator == numerator else f", rounded once to {Money(rounded, currency)}"
        words.append(f"{percent(result.points)} of {fee}: {exact}{once}.")
        if result.amount < rounded:
            words.append(_capped(case, rules, result))
    words.append(f"Credit of the month: {Money(result.amount, currency)}.")
    return words


def _capped(case: Case, rules: Rules, result: Result) -> str:
    """What goodwill left of the cap: only it makes the credit less than what was earned."""
    cap = half_up(result.base[0] * rules.cap, result.base[1] * WHOLE)
    left = f"{Money(result.limit, case.currency)} are left" if result.limit else "nothing is left"
    return (
        f"No more than {percent(rules.cap)} of the month's fee ({Money(cap, case.currency)}) is credited, and goodwill "
        f"of {Money(case.granted, case.currency)} was given: {left}."
    )
