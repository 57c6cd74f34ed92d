"""What an assessment comes to, line by line. The JSON of a Result is kept for good and never changes its shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .case import TierRule, digest

#: Rises when the same case would come to something else. Golden runs hold every number for good.
ALGORITHM = 1


@dataclass(frozen=True, slots=True)
class Length:
    """How long an outage was at ``rank`` or worse: before the month, by its end, and after it (microseconds)."""

    rank: int
    earlier: int
    by_end: int
    later: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One outage, or the month's uptime. ``tier`` None: nothing was earned.

    ``earned``: points of its tier; ``earlier``: what of them belongs to months before; ``points``: what this month
    credits. ``left_out``: time by the month's end that does not count, at the mildest rank of the rules, by reason.
    ``uptime``: of the month, as a fraction of microseconds (up, covered), for the line of uptime.
    """

    references: tuple[str, ...]
    lengths: tuple[Length, ...]
    running: bool
    tier: TierRule | None
    earned: int
    earlier: int
    points: int
    amount: int = 0
    uptime: tuple[int, int] | None = None
    left_out: tuple[tuple[str, int], ...] = ()
    #: What was worked out of everything but amount and points, for the copies that ``worth`` makes: once for all
    #: contracts that had the outage.
    known: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def worth(self, amount: int, points: int | None = None) -> Line:
        """The same line with another amount, or credited points. (``dataclasses.replace`` takes thrice as long.)"""
        points = self.points if points is None else points
        if amount == self.amount and points == self.points:
            return self
        other = Line(
            self.references,
            self.lengths,
            self.running,
            self.tier,
            self.earned,
            self.earlier,
            points,
            amount,
            self.uptime,
            self.left_out,
        )
        object.__setattr__(other, "known", self.known)
        return other

    def as_json(self) -> dict[str, Any]:
        return {**self._shared_json(), "points": self.points, "amount": self.amount}

    def _shared_json(self) -> dict[str, Any]:
        found: dict[str, Any] | None = self.known.get("json")
        if found is None:
            tier = self.tier
            found = self.known["json"] = {
                "references": list(self.references),
                "lengths": [[one.rank, one.earlier, one.by_end, one.later] for one in self.lengths],
                "running": self.running,
                "tier": None if tier is None else [tier.rank, tier.code, tier.threshold, tier.points],
                "earned": self.earned,
                "earlier": self.earlier,
                "uptime": None if self.uptime is None else list(self.uptime),
                "left_out": [list(one) for one in self.left_out],
            }
        return found


@dataclass(frozen=True, slots=True)
class Share:
    """A term's part of the month: ``part`` of ``whole`` (microseconds or days)."""

    plan: str
    fee: int
    part: int
    whole: int


@dataclass(frozen=True, slots=True)
class Result:
    """``base`` is an exact fraction of minor units; ``points`` after stacking and cap; ``limit`` what the cap left."""

    base: tuple[int, int]
    shares: tuple[Share, ...]
    wanted: int
    points: int
    limit: int
    amount: int
    lines: tuple[Line, ...]

    @property
    def is_running(self) -> bool:
        return any(line.running for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "algorithm": ALGORITHM,
            "base": list(self.base),
            "shares": [[share.plan, share.fee, share.part, share.whole] for share in self.shares],
            "wanted": self.wanted,
            "points": self.points,
            "limit": self.limit,
            "amount": self.amount,
            "lines": [line.as_json() for line in self.lines],
        }

    def digest(self) -> str:
        return digest(self.as_json())
