"""How well obligations and promises were kept: per month, severity and kind (R-303, R-1301).

A month is UTC's, by the moment an obligation would break (``limit_at``) or a promise ran out. False alarms
and duplicates are left out; restricted incidents are counted like others, and never named.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import (
    Avg,
    Count,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    Window,
)
from django.db.models.functions import Coalesce, RowNumber, TruncMonth

from incidents.enums import DutyKind, State
from incidents.models import Obligation, Severity
from status.models import NoticeUpdate

#: No further than this back from the last month.
LONGEST = 60
_UNREAL = (State.FALSE_ALARM, State.MERGED)
#: What is a figure of both tables.
COUNTS = ("kept", "broken", "waived", "open")
_GROUP = ("month", "policy", "code", "kind")


class PeriodError(ValueError):
    """(field, words) of a month that cannot be read, or of a span that makes no sense."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name = name


@dataclass(frozen=True)
class Period:
    """Months from ``first`` to ``last``, both whole; each is named by its first day."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        return datetime(self.first.year, self.first.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        after = following(self.last)
        return datetime(after.year, after.month, 1, tzinfo=UTC)

    @property
    def months(self) -> list[date]:
        found = [self.first]
        while found[-1] < self.last:
            found.append(following(found[-1]))
        return found


@dataclass(frozen=True)
class Tally:
    """What became of some obligations, or promises. ``late`` are (average, median) of those broken."""

    kept: int = 0
    broken: int = 0
    waived: int = 0
    open: int = 0
    average: timedelta | None = None
    median: timedelta | None = None

    @property
    def owed(self) -> int:
        return self.kept + self.broken + self.waived + self.open

    @property
    def share(self) -> float | None:
        """Kept of those that are decided, 0 to 1; None: none is."""
        decided = self.kept + self.broken
        return self.kept / decided if decided else None


@dataclass(frozen=True)
class Line:
    """One month, level and kind. ``policy`` and ``severity`` are blank where no policy knows it."""

    month: date
    policy: str
    severity: str
    kind: DutyKind
    tally: Tally
    rank: int = 5


@dataclass(frozen=True)
class Report:
    period: Period
    lines: list[Line]
    #: Promises of the public book, by month.
    promises: dict[date, Tally]
    #: (month, all obligations of it), every month of the period.
    months: list[tuple[date, Tally]] = field(default_factory=list)

    @property
    def total(self) -> Tally:
        return _sum(line.tally for line in self.lines)

    @property
    def promised(self) -> Tally:
        return _sum(self.promises.values())


def following(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def period(first: str, last: str, *, at: datetime) -> Period:
    """From ``2026-01`` to ``2026-11``; blank: the twelve months that end with now. Raises ``PeriodError``."""
    end = _month("to", last) if last else at.date().replace(day=1)
    start = _month("from", first) if first else _back(end, 11)
    if start > end:
        raise PeriodError("from", "It begins after it ends.")
    if _back(end, LONGEST - 1) > start:
        raise PeriodError("from", f"At most {LONGEST} months at once.")
    return Period(start, end)


def obligations(
    span: Period, *, at: datetime, severity: Severity | None = None, kinds: Iterable[DutyKind] = ()
) -> Report:
    """The report as of ``at`` (UTC). ``severity`` stands for its code in every version of its policy. Four queries."""
    rows = _rows(span, at, severity, list(kinds))
    counted = rows.values(*_GROUP).annotate(
        kept=Count("pk", filter=_KEPT),
        broken=Count("pk", filter=_broken(at)),
        waived=Count("pk", filter=_WAIVED),
        open=Count("pk", filter=_open(at)),
        average=Avg("late", filter=_broken(at)),
    )
    middles = _medians(rows.filter(_broken(at)))
    names = _names()
    lines = []
    for row in counted:
        key = (row["month"].date(), row["policy"], row["code"], row["kind"])
        counts = {name: row[name] for name in COUNTS}
        tally = Tally(**counts, average=row["average"], median=middles.get(key))
        if tally.owed:
            policy, rank = names.get((row["policy"], row["code"]), ("", 5))
            lines.append(Line(key[0], policy, row["code"] or "", DutyKind(row["kind"]), tally, rank))
    order = list(DutyKind)
    lines.sort(key=lambda line: (-line.month.toordinal(), line.policy, line.rank, order.index(line.kind)))
    by_month: dict[date, list[Tally]] = defaultdict(list)
    for line in lines:
        by_month[line.month].append(line.tally)
    months = [(month, _sum(by_month[month])) for month in span.months]
    return Report(span, lines, promises(span, at=at), months)


def promises(span: Period, *, at: datetime) -> dict[date, Tally]:
    """Promises of a next update that ran out in these months, from the public book (R-1301). One query.

    Kept: the next update, whatever it said, was posted by then. A correction keeps its update's promise.
    """
    following_ = NoticeUpdate.objects.filter(notice=OuterRef("notice"), corrects__isnull=True, seq__gt=OuterRef("seq"))
    made = NoticeUpdate.objects.filter(
        corrects__isnull=True,
        next_update_by__gte=span.start,
        next_update_by__lt=span.end,
        notice__withdrawn_at__isnull=True,
    ).annotate(
        answered=Subquery(following_.order_by("seq").values("posted_at")[:1]),
        month=TruncMonth("next_update_by", tzinfo=UTC),
    )
    late = Q(answered__gt=F("next_update_by")) | Q(answered__isnull=True, next_update_by__lt=at)
    rows = (
        made.order_by()
        .values("month")
        .annotate(
            kept=Count("pk", filter=Q(answered__lte=F("next_update_by"))),
            broken=Count("pk", filter=late),
            open=Count("pk", filter=Q(answered__isnull=True, next_update_by__gte=at)),
        )
    )
    return {row["month"].date(): Tally(kept=row["kept"], broken=row["broken"], open=row["open"]) for row in rows}


def choices() -> list[Severity]:
    """Every level that can be asked for: one for each code of each policy, of its newest version. One query."""
    found: dict[tuple[int, str], Severity] = {}
    for level in Severity.objects.select_related("version__policy").order_by("version__number"):
        found[(level.version.policy_id, level.code)] = level
    return sorted(found.values(), key=lambda level: (level.version.policy.name, level.rank, level.code))


_KEPT = Q(met_at__lte=F("limit_at"))
#: Waived before it broke; afterwards it stays broken.
_WAIVED = Q(met_at__isnull=True, waived_by__isnull=False, dropped_at__lte=F("limit_at"))


def _broken(at: datetime) -> Q:
    never = Q(met_at__isnull=True, dropped_at__isnull=True, limit_at__lt=at)
    return Q(met_at__gt=F("limit_at")) | Q(met_at__isnull=True, dropped_at__gt=F("limit_at")) | never


def _open(at: datetime) -> Q:
    return Q(met_at__isnull=True, dropped_at__isnull=True, limit_at__gte=at)


def _rows(span: Period, at: datetime, severity: Severity | None, kinds: list[DutyKind]) -> QuerySet[Obligation]:
    """Obligations with what they are grouped by, and how late each is: until met, let go, or now."""
    found = Obligation.objects.filter(limit_at__gte=span.start, limit_at__lt=span.end)
    found = found.exclude(incident__state__in=_UNREAL).order_by()
    if kinds:
        found = found.filter(kind__in=kinds)
    if severity:
        same = Severity.objects.filter(code=severity.code, version__policy=severity.version.policy_id).values("pk")
        found = found.filter(Q(incident__severity__in=same) | Q(maintenance__severity__in=same))
    done = Coalesce("met_at", "dropped_at", Value(at), output_field=DateTimeField())
    return found.annotate(
        month=TruncMonth("limit_at", tzinfo=UTC),
        policy=Coalesce("incident__severity__version__policy", "maintenance__severity__version__policy"),
        code=Coalesce("incident__severity__code", "maintenance__severity__code"),
        late=ExpressionWrapper(done - F("limit_at"), output_field=DurationField()),
    )


def _medians(broken: QuerySet[Obligation]) -> dict[tuple[Any, ...], timedelta]:
    """The median lateness of each group. One query, of at most three rows for each: not every database has a median."""
    groups = [F(name) for name in _GROUP]
    ranked = broken.annotate(
        place=Window(RowNumber(), partition_by=groups, order_by=[F("late").asc(), F("pk").asc()]),
        size=Window(Count("pk"), partition_by=groups),
    )
    near = ranked.filter(place__gte=F("size") / 2, place__lte=F("size") / 2 + 1)
    found: dict[tuple[Any, ...], list[timedelta]] = defaultdict(list)
    for month, policy, code, kind, late, place, size in near.values_list(*_GROUP, "late", "place", "size"):
        if place in ((size + 1) // 2, (size + 2) // 2):
            found[(month.date(), policy, code, kind)].append(late)
    return {key: sum(lates, timedelta()) / len(lates) for key, lates in found.items()}


def _names() -> dict[tuple[int, str], tuple[str, int]]:
    """(policy, rank) by policy's id and code. One query."""
    rows = Severity.objects.values_list("version__policy", "code", "version__policy__name", "rank")
    return {(policy, code): (name, rank) for policy, code, name, rank in rows.order_by("version__number")}


def _sum(tallies: Iterable[Tally]) -> Tally:
    counted = [[getattr(tally, name) for name in COUNTS] for tally in tallies]
    return Tally(*(sum(column) for column in zip(*counted, strict=True))) if counted else Tally()


def _month(name: str, typed: str) -> date:
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", typed, re.ASCII):
        raise PeriodError(name, "Write a month like 2026-01.")
    return date(int(typed[:4]), int(typed[5:]), 1)


def _back(month: date, months: int) -> date:
    number = month.year * 12 + month.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)
