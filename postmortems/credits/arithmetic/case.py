"""The case: everything that an assessment reads, as plain values (reliability.md 5.1).

Times are microseconds since 1970 (UTC), amounts minor units, percentages hundredths of a percent ("points",
25 % = 2,500), uptime thresholds thousandths of a percent (99.95 % = 99,950). Spans are half open. Everything
goes to JSON and back unchanged, so that a case can be kept and computed again for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Span = tuple[int, int]

#: Before and after everything.
BEGINNING, END = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class Impact:
    """One component was down; ``gravity`` as in ``status.enums.Level``: degraded 2, partial 3, major 4."""

    component: int
    start: int
    end: int
    gravity: int


@dataclass(frozen=True, slots=True)
class Judged:
    """From when to when it was at a severity of this rank (1 worst). ``counts``: the policy's level earns credits."""

    start: int
    end: int
    rank: int
    counts: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """Maintenance of a component that took place; ``lead``: how long before its window it was announced."""

    component: int
    start: int
    end: int
    lead: int


@dataclass(frozen=True, slots=True)
class Excluded:
    """Time that a person took out, and why (``ExclusionKind``); ``customer`` 0: for everybody."""

    customer: int
    start: int
    end: int
    kind: str = "other"


@dataclass(frozen=True, slots=True)
class Outage:
    """One incident as known. ``family``: the reference of what it is part of, or its own (R-1311).

    ``start``/``end``: when it happened; ``said``/``unsaid``: when it was declared, and said to be over.
    ``running``: it is not over; both ends are then the moment of the look. ``severities`` may overlap: the worst
    of an instant counts. ``planned``: maintenance of any component during it.
    """

    reference: str
    family: str
    start: int
    end: int
    said: int
    unsaid: int
    running: bool
    severities: tuple[Judged, ...]
    impacts: tuple[Impact, ...]
    planned: tuple[Planned, ...] = ()
    excluded: tuple[Excluded, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "family": self.family,
            "times": [self.start, self.end, self.said, self.unsaid],
            "running": self.running,
            "severities": [[j.start, j.end, j.rank, j.counts] for j in self.severities],
            "impacts": [[i.component, i.start, i.end, i.gravity] for i in self.impacts],
            "planned": [[p.component, p.start, p.end, p.lead] for p in self.planned],
            "excluded": [[e.customer, e.start, e.end, e.kind] for e in self.excluded],
        }

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Outage:
        start, end, said, unsaid = content["times"]
        return cls(
            content["reference"],
            content["family"],
            start,
            end,
            said,
            unsaid,
            content["running"],
            tuple(Judged(*row) for row in content["severities"]),
            tuple(Impact(*row) for row in content["impacts"]),
            tuple(Planned(*row) for row in content["planned"]),
            tuple(Excluded(*row) for row in content["excluded"]),
        )


@dataclass(frozen=True, slots=True)
class TermSpan:
    """A term of the contract: its span, whole days from ``first_day`` to ``after_day`` (proleptic ordinals), fee.

    ``components`` None: every component counts as used.
    """

    start: int
    end: int
    first_day: int
    after_day: int
    fee: int
    plan: str
    components: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class TierRule:
    """``threshold``: microseconds for durations, thousandths of a percent for uptime. ``code``: ``P0``."""

    rank: int
    code: str
    threshold: int
    points: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rules in force for the month say (``postmortems.models.RuleVersion``); ``label`` for people."""

    label: str
    durations: tuple[TierRule, ...]
    uptimes: tuple[TierRule, ...]
    stacking: str
    overlap: str
    mix: str
    clock: str
    scope: str
    least_gravity: int
    proration: str
    cap: int
    #: Maintenance announced so long before is excluded (microseconds).
    notice: int


@dataclass(frozen=True, slots=True)
class Case:
    """A contract's billing month. ``granted``: goodwill that stands already; the cap counts it.

    ``days``: the month's first day and the one after its last, as ordinals in the contract's zone.
    """

    contract: str
    customer: int
    month: str
    currency: str
    zone: str
    start: int
    end: int
    days: tuple[int, int]
    terms: tuple[TermSpan, ...]
    rules: Rules | None
    outages: tuple[Outage, ...]
    granted: int = 0

    def as_json(self, *, outages: bool = True) -> dict[str, Any]:
        """With ``outages`` False they are left out: they are kept once, beside."""
        rules = self.rules
        return {
            "contract": self.contract,
            "customer": self.customer,
            "month": self.month,
            "currency": self.currency,
            "zone": self.zone,
            "span": [self.start, self.end],
            "days": list(self.days),
            "granted": self.granted,
            "terms": [
                [
                    term.start,
                    term.end,
                    term.first_day,
                    term.after_day,
                    term.fee,
                    term.plan,
                    None if term.components is None else sorted(term.components),
                ]
                for term in self.terms
            ],
            "rules": None
            if rules is None
            else {
                "label": rules.label,
                "durations": [[t.rank, t.code, t.threshold, t.points] for t in rules.durations],
                "uptimes": [[t.rank, t.code, t.threshold, t.points] for t in rules.uptimes],
                "stacking": rules.stacking,
                "overlap": rules.overlap,
                "mix": rules.mix,
                "clock": rules.clock,
                "scope": rules.scope,
                "least_gravity": rules.least_gravity,
                "proration": rules.proration,
                "cap": rules.cap,
                "notice": rules.notice,
            },
            **({"outages": [outage.as_json() for outage in self.outages]} if outages else {}),
        }

    @classmethod
    def of(cls, content: Mapping[str, Any], outages: tuple[Outage, ...] | None = None) -> Case:
        """Back from JSON; ``outages`` where they were kept beside."""
        if outages is None:
            outages = tuple(Outage.of(one) for one in content["outages"])
        said = content["rules"]
        rules = said and Rules(
            **{
                **said,
                "durations": tuple(TierRule(*row) for row in said["durations"]),
                "uptimes": tuple(TierRule(*row) for row in said["uptimes"]),
            }
        )
        return cls(
            contract=content["contract"],
            customer=content["customer"],
            month=content["month"],
            currency=content["currency"],
            zone=content["zone"],
            start=content["span"][0],
            end=content["span"][1],
            days=(content["days"][0], content["days"][1]),
            terms=tuple(
                TermSpan(start, end, first, after, fee, plan, None if used is None else frozenset(used))
                for start, end, first, after, fee, plan, used in content["terms"]
            ),
            rules=rules,
            outages=outages,
            granted=content["granted"],
        )


def digest(content: Any) -> str:
    """SHA-256 of the canonical JSON of a value: the same value has the same name for ever."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
