"""What is wrong or odd with rules, by the field it belongs to (R-901). Pure: reads what it is given.

Time at a severity is time at every milder one, too ("or worse"): a tier is dead when whatever passes it passes
another one that credits at least as much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from postmortems.enums import Measure
from postmortems.models import RuleVersion, Tier

from .rulewords import name_of, number, passes


@dataclass(frozen=True)
class Finding:
    """``tier``: its place in the list, None: of the version. Errors keep a version from being put in force."""

    words: str
    field: str = ""
    tier: int | None = None
    is_error: bool = True


@dataclass(frozen=True)
class Rung:
    """A level of the policy in force by which months are judged. ``counts``: for credits."""

    rank: int
    code: str
    counts: bool


def findings(version: RuleVersion, tiers: Sequence[Tier], ladder: Sequence[Rung]) -> list[Finding]:
    """Of a version with these tiers, in their order. ``ladder`` empty: no policy says which levels count."""
    found = [] if tiers else [Finding("There is no tier at all: nothing would ever be credited.", "tiers")]
    found += _same(tiers)
    for place, tier in enumerate(tiers):
        found += _alone(place, tier, version.cap_percent)
        found += _paid(place, tier, ladder)
        found += _dead(place, tiers)
    found += _unpaid(tiers, ladder)
    if version.hold_hours is not None and version.second_above is None:
        words = "Every amount approves by itself, however large: no second approver is asked for."
        found.append(Finding(words, "second_above", is_error=False))
    return found


def _threshold(tier: Tier) -> Decimal | int | None:
    return tier.longer_than_seconds if tier.measure == Measure.DURATION else tier.below_percent


def _same(tiers: Sequence[Tier]) -> Iterator[Finding]:
    keys = [(tier.measure, tier.rank, _threshold(tier)) for tier in tiers]
    often = Counter(keys)
    for place, tier in enumerate(tiers):
        if often[keys[place]] > 1 and keys.index(keys[place]) != place:
            field = "longer_than" if tier.measure == Measure.DURATION else "below_percent"
            yield Finding(f"“{passes(tier)}” stands here twice.", field, place)


def _alone(place: int, tier: Tier, cap: Decimal) -> Iterator[Finding]:
    below = tier.below_percent
    if below is not None and not 0 < below <= 100:
        yield Finding("An uptime tier begins above 0 % and at 100 % at most.", "below_percent", place)
    if not 0 < tier.percent <= 100:
        yield Finding("A tier credits more than 0 % and at most 100 %.", "percent", place)
    elif tier.percent > cap:
        yield Finding(f"It credits {number(tier.percent)} %, and the cap is {number(cap)} %.", "percent", place)


def _paid(place: int, tier: Tier, ladder: Sequence[Rung]) -> Iterator[Finding]:
    """Whether time that passes it can exist: only levels that count for credits are looked at."""
    if not ladder:
        return
    counting = [rung for rung in ladder if rung.counts and rung.rank <= tier.rank]
    own = [rung for rung in ladder if rung.rank == tier.rank]
    if not counting:
        name = name_of(tier)
        who = f"{name} does not count" if tier.rank == 1 else f"neither {name} nor anything worse counts"
        yield Finding(f"It can never be paid: by the policy in force {who} for credits.", "rank", place)
    elif not any(rung.counts for rung in own):
        worse = " and ".join(sorted({rung.code for rung in counting}))
        words = f"By the policy in force {name_of(tier)} does not count for credits: only time at {worse} is looked at."
        yield Finding(words, "rank", place, is_error=False)


def _dead(place: int, tiers: Sequence[Tier]) -> Iterator[Finding]:
    """At most one finding for each tier: the first other one that makes it needless."""
    tier = tiers[place]
    for other in tiers:
        if other is tier or other.measure != tier.measure or other.rank < tier.rank or other.percent < tier.percent:
            continue
        if not _reached_by_then(tier, other):
            continue
        if other.rank == tier.rank and _threshold(other) == _threshold(tier):
            continue  # Said already: it stands there twice.
        says = f"it credits {number(other.percent)} %"
        if other.rank == tier.rank:
            yield Finding(f"It never decides: “{passes(other)}” is passed by then, and {says}.", "percent", place)
        elif other.percent > tier.percent:
            words = f"A milder severity credits more: “{passes(other)}” is passed as well, and {says}."
            yield Finding(words, "percent", place)
        else:
            words = f"It says nothing new: “{passes(other)}” is passed as well, and {says}, too."
            yield Finding(words, "percent", place, is_error=False)
        return


def _reached_by_then(tier: Tier, other: Tier) -> bool:
    """Whether whatever passes the threshold of ``tier`` passes the one of ``other``."""
    if tier.measure == Measure.UPTIME:
        return (other.below_percent or 0) >= (tier.below_percent or 0)
    return (other.longer_than_seconds or 0) <= (tier.longer_than_seconds or 0)


def _unpaid(tiers: Sequence[Tier], ladder: Sequence[Rung]) -> Iterator[Finding]:
    """Levels that count for credits and that no tier looks at."""
    most = max((tier.rank for tier in tiers), default=0)
    for code, rank in dict.fromkeys((rung.code, rung.rank) for rung in ladder if rung.counts):
        if tiers and rank > most:
            words = f"By the policy in force {code} counts for credits, and no tier is for it."
            yield Finding(words, "tiers", is_error=False)
        elif tiers and not any(tier.rank == rank for tier in tiers):
            words = f"{code} counts for credits without a tier of its own: it is credited as milder severities are."
            yield Finding(words, "tiers", is_error=False)
