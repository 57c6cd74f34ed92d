"""Where a policy says one thing and its incidents did another (R-1312)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from incidents.enums import Standing, State, Unit
from incidents.models import Duty, Incident, Obligation, Policy
from incidents.policies.table import span

#: As many incidents are looked at, and so few say nothing.
LAST, FEWEST = 10, 3
#: The last ones with a duty are looked for among so many of their level.
AMONG = 50
_LENGTHS = {Unit.MINUTES: timedelta(minutes=1), Unit.HOURS: timedelta(hours=1), Unit.DAYS: timedelta(days=1)}
_SHORT = {Unit.MINUTES: "min", Unit.HOURS: "h", Unit.DAYS: "days"}
_NUMBERS = ("three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Drift:
    """One duty of a level in force against what the last ``cases`` incidents took."""

    duty: Duty
    cases: int
    average: timedelta

    @property
    def target(self) -> timedelta:
        """The duty's time; its hard limit, where it has one."""
        amount = self.duty.amount if self.duty.limit is None else self.duty.limit
        return (amount or 0) * _LENGTHS[Unit(self.duty.unit)]

    @property
    def is_over(self) -> bool:
        return self.average > self.target + timedelta(seconds=30)

    @property
    def factor(self) -> float:
        """How many times the target it took; what is owed at once is measured by the minute."""
        return self.average / max(self.target, timedelta(minutes=1))

    @property
    def sentence(self) -> str:
        """``Your policy says 15 min, your last ten averaged 31.``"""
        unit = Unit(self.duty.unit)
        says = span(self.duty.amount or 0, unit, self.duty.limit) if self.duty.amount or self.duty.limit else "at once"
        number, told_in = _measured(self.average, unit)
        took = number if told_in == unit and says != "at once" else f"{number} {_SHORT[told_in]}"
        return f"Your policy says {says}, your last {_NUMBERS[self.cases - FEWEST]} averaged {took}."


def drifts(policy: Policy | None = None) -> list[Drift]:
    """Of every level in force, or of one policy's: the worst first. Three queries, whatever the sizes.

    Counted are duties that were done, of real incidents of that code under any version; from the moment their
    clock started until they were met. Left out are those an operator promised otherwise, those that were overdue
    when they arose, and working days, which are no length of time.
    """
    duties = Duty.objects.filter(severity__version__standing=Standing.IN_FORCE, amount__isnull=False, unit__in=_LENGTHS)
    if policy is not None:
        duties = duties.filter(severity__version__policy=policy)
    wanted = list(duties.filter(severity__is_maintenance=False).select_related("severity__version__policy"))
    if not wanted:
        return []
    took = _took({(duty.severity.version.policy_id, duty.severity.code) for duty in wanted})
    found = []
    for duty in wanted:
        key = (duty.severity.version.policy_id, duty.severity.code, duty.kind)
        cases = list(took.get(key, {}).values())[:LAST]
        if len(cases) >= FEWEST:
            each = [one for case in cases for one in case]
            found.append(Drift(duty, len(cases), sum(each, timedelta()) / len(each)))
    return sorted(found, key=lambda drift: (-drift.factor, drift.duty.severity.rank, drift.duty.pk))


def _took(levels: Iterable[tuple[int, str]]) -> dict[tuple[int, str, str], dict[int, list[timedelta]]]:
    """By (policy, code, kind) what each of the last incidents took, newest incident first. Two queries."""
    policies, codes = {policy for policy, _ in levels}, {code for _, code in levels}
    recent = (
        Incident.objects.filter(severity__version__policy__in=policies, severity__code__in=codes)
        .exclude(state__in=(State.FALSE_ALARM, State.MERGED))
        # By the level's row: cheaper to sort than its code, and a level of several versions only has more.
        .annotate(place=Window(RowNumber(), partition_by=[F("severity_id")], order_by=[F("declared_at").desc()]))
        .filter(place__lte=AMONG)
        .order_by("-declared_at", "-pk")
        .values_list("pk", "severity__version__policy", "severity__code")
    )
    level_of = {pk: (policy, code) for pk, policy, code in recent}
    rows = Obligation.objects.filter(
        incident__in=level_of, met_at__isnull=False, promised=False, due_at__isnull=False, duty__unit__in=_LENGTHS
    ).exclude(opened_at__gt=F("due_at"))
    met: dict[int, list[tuple[str, timedelta]]] = defaultdict(list)
    told = rows.order_by("opened_at", "pk").values_list(
        "incident_id", "kind", "due_at", "met_at", "duty__amount", "duty__unit"
    )
    for incident, kind, due_at, met_at, amount, unit in told:
        assert due_at is not None
        assert met_at is not None
        started = due_at - (amount or 0) * _LENGTHS[Unit(unit)]
        met[incident].append((kind, met_at - started))
    found: dict[tuple[int, str, str], dict[int, list[timedelta]]] = defaultdict(dict)
    for incident, (policy, code) in level_of.items():
        for kind, length in met.get(incident, ()):
            found[(policy, code, kind)].setdefault(incident, []).append(max(length, timedelta()))
    return found


def _measured(length: timedelta, unit: Unit) -> tuple[str, Unit]:
    """A length in ``unit``, or in smaller ones where it is not half of one: ``("31", minutes)``, ``("5.5", hours)``."""
    while length < _LENGTHS[unit] / 2 and unit != Unit.MINUTES:
        unit = Unit.HOURS if unit == Unit.DAYS else Unit.MINUTES
    number = length / _LENGTHS[unit]
    digits = 0 if unit == Unit.MINUTES else 1
    return f"{number:.{digits}f}".removesuffix(".0"), unit
