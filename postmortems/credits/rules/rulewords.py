"""Rules in words: what each choice means, how tiers read, what changes between versions; and lengths as typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Field

from postmortems.credits.arithmetic.months import SECOND
from postmortems.credits.arithmetic.wording import duration
from postmortems.enums import Clock, Measure, Mix, Overlap, Proration, Scope, Stacking
from postmortems.models import RuleVersion, Tier
from postmortems.models.rules import RulesError
from status.enums import Level

BLANK = "—"
#: Of 90 days; no outage that is credited by length is longer.
LONGEST = 90 * 86_400
_SIZES = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_UNIT = {
    "d": "d", "day": "d", "days": "d", "h": "h", "hr": "h", "hour": "h", "hours": "h", "m": "min", "min": "min",
    "mins": "min", "minute": "min", "minutes": "min", "s": "s", "sec": "s", "second": "s", "seconds": "s", "": "",
}  # fmt: skip
_PART = re.compile(r"(\d{1,7})([a-z]*)")

#: What each choice of an explicit field means, in one sentence.
MEANINGS: dict[str, dict[str, str]] = {
    "stacking": {
        Stacking.SUM: "Every outage of the month earns its tier; together no more than the cap.",
        Stacking.HIGHEST: "Of all outages of the month only the one that earns most is credited.",
    },
    "overlap": {
        Overlap.UNION: "Incidents that overlap or touch are one outage, so that no minute is paid twice.",
        Overlap.EACH: "Each incident is an outage of its own: minutes in two incidents are paid twice.",
    },
    "mix": {
        Mix.HIGHER: "Where the month's uptime earns a credit, too, the higher of both is given.",
        Mix.SUM: "Credits for outages and for the month's uptime are added, to the cap.",
    },
    "clock": {
        Clock.IMPACT: "From when it broke for customers until it worked again, as the ledger of impacts has it.",
        Clock.SAID: "From when it was declared until it was said to be over, as the public page showed it.",
    },
    "scope": {
        Scope.USED: "Only downtime of components that the contract names counts.",
        Scope.ANY: "Every incident counts, whatever was down and whoever used it.",
    },
    "least_level": {
        Level.DEGRADED: "Degraded performance counts as down already.",
        Level.PARTIAL: "Only partial and major outages count as down.",
        Level.MAJOR: "Only major outages count as down.",
    },
    "proration": {
        Proration.SECONDS: "Where the fee changes within a month, each part counts by its seconds.",
        Proration.DAYS: "Where the fee changes within a month, each part counts by its whole days.",
    },
}
CHOICES = ("stacking", "overlap", "mix", "clock", "scope", "least_level", "proration")
NUMBERS = ("cap_percent", "notice_days", "hold_hours", "second_above")


@dataclass(frozen=True)
class Row:
    """A line of the table to read: of what, and what it says."""

    what: str
    says: str


def seconds(typed: str) -> int:
    """Whole seconds of ``1 h``, ``90 min``, ``4h30``, ``1 d 2 h``, ``1:30``. RulesError for anything else."""
    text = "".join(typed.casefold().split()).replace("and", "")
    if match := re.fullmatch(r"(\d{1,4}):([0-5]\d)", text):
        return _bounded(int(match[1]) * 3_600 + int(match[2]) * 60, typed)
    parts = _PART.findall(text)
    if not text.isascii() or "".join(number + unit for number, unit in parts) != text or not parts:
        raise RulesError(_unreadable(typed))
    total, before = 0, ""
    for number, spelled in parts:
        unit = _UNIT.get(spelled)
        # “4h30” says minutes; a bare number says nothing.
        unit = "min" if unit == "" and before == "h" else unit
        if not unit or (before and _SIZES[unit] >= _SIZES[before]):
            raise RulesError(_unreadable(typed))
        total, before = total + int(number) * _SIZES[unit], unit
    return _bounded(total, typed)


def _bounded(total: int, typed: str) -> int:
    if total > LONGEST:
        raise RulesError(f"“{typed.strip()}” is longer than 90 days.")
    return total


def _unreadable(typed: str) -> str:
    return f"“{typed.strip()[:40]}” is no length. Write it like 1 h, 90 min or 4h30."


def length(whole: int) -> str:
    """``4 h 30 min`` of seconds."""
    return duration(whole * SECOND)


def number(value: Decimal | int | None, *, grouped: bool = False) -> str:
    """``12.5`` of ``12.50``; ``grouped``: for people, ``1,000``."""
    if value is None:
        return ""
    text = f"{value:,f}" if grouped else f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def name_of(tier: Tier) -> str:
    return tier.code or f"rank {tier.rank}"


def passes(tier: Tier) -> str:
    """``P0 or worse longer than 1 h``, ``P0 alone`` where nothing is worse; ``Uptime of the month below 99.9 %``."""
    who = name_of(tier) if tier.rank == 1 else f"{name_of(tier)} or worse"
    if tier.measure == Measure.UPTIME:
        return f"Uptime of the month below {number(tier.below_percent)} %, {who} counted as down"
    return f"{who} longer than {length(tier.longer_than_seconds or 0)}"


def earns(tier: Tier) -> str:
    return f"{number(tier.percent)} % of the month's fee"


def ordered(tiers: Iterable[Tier]) -> list[Tier]:
    """As people read them: the worst first, then from the short to the long; uptime after it."""
    return sorted(
        tiers,
        key=lambda tier: (
            tier.measure != Measure.DURATION, tier.rank, tier.longer_than_seconds or 0, -(tier.below_percent or 0),
        ),
    )  # fmt: skip


def sentences(tiers: Iterable[Tier]) -> list[Row]:
    return [Row(passes(tier), earns(tier)) for tier in ordered(tiers)]


def settings(version: RuleVersion) -> list[Row]:
    """The explicit fields, each as one sentence."""
    rows = [Row(label(name), MEANINGS[name][getattr(version, name)]) for name in CHOICES]
    hold, second = version.hold_hours, version.second_above
    waits = "A person approves each credit." if hold is None else (
        "Credits approve by themselves at once." if hold == 0
        else f"Credits approve by themselves after {hold} h; finance can stop them until then."
    )  # fmt: skip
    return [
        *rows,
        Row("Cap", f"At most {number(version.cap_percent)} % of the month's fee."),
        Row("Maintenance", _notice(version.notice_days)),
        Row("Approval", waits),
        Row("Second approver", _second(second)),
    ]


def _notice(days: int) -> str:
    if not days:
        return "Maintenance that was announced before it began does not count."
    return f"Maintenance does not count when it was announced {days} day{'s' if days != 1 else ''} before, or earlier."


def _second(above: Decimal | None) -> str:
    if above is None:
        return "Only reversals and what lowers a credit need a second person."
    limit = number(above, grouped=True)
    return f"Above {limit} (in the contract's currency) a second person approves; every reversal, too."


def label(name: str) -> str:
    """What people call an explicit field."""
    field = RuleVersion._meta.get_field(name)
    assert isinstance(field, Field)
    words = str(field.verbose_name)
    return words[0].upper() + words[1:]


def options(name: str) -> list[tuple[str, str]]:
    """Value and label of each choice of an explicit field, those with a meaning."""
    field = RuleVersion._meta.get_field(name)
    assert isinstance(field, Field)
    return [(str(value), str(words)) for value, words in field.flatchoices]


def differences(
    old: RuleVersion, old_tiers: Sequence[Tier], new: RuleVersion, new_tiers: Sequence[Tier]
) -> list[tuple[str, str, str]]:
    """What changes from ``old`` to ``new``: (what, before, after), in words."""
    before, after = _said(old, old_tiers), _said(new, new_tiers)
    return [
        (what, before.get(what, BLANK), after.get(what, BLANK))
        for what in {**before, **after}
        if before.get(what, BLANK) != after.get(what, BLANK)
    ]


def _said(version: RuleVersion, tiers: Sequence[Tier]) -> dict[str, str]:
    return {row.what: row.says for row in (*sentences(tiers), *settings(version))}
