"""The one read model of the public page: what is known at one moment, in a fixed number of queries.

Reads the public book only (design.md "Two books"). Components and impacts come as plain rows,
never as model instances: a page of 50 components and 90 days is rebuilt on every change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db.models import F, OuterRef, Q, Subquery

from notifications.models import Brand
from status import uptime
from status.enums import Level, Phase
from status.models import AnswerTarget, Component, Impact, Notice
from status.page.overall import Headline, Overall, headline, roll_up
from status.page.postings import PAST_NOTICES, Posting, open_notices, past_notices, postings
from status.page.wording import listed
from status.uptime import DAY, History, Uptime

DAYS = 90
PAST_DAYS = 15


@dataclass(frozen=True, slots=True)
class Trouble:
    """When a component was last in trouble; ``public_id`` of its notice, blank when there is none to read."""

    began_at: datetime
    public_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """A component with its past. ``first_day``: the oldest of the 90 bars, in days since 1970 (UTC)."""

    public_id: str
    name: str
    description: str
    level: Level
    target: Decimal | None
    past: History
    first_day: int
    uptime_30: Uptime
    uptime_90: Uptime
    last: Trouble | None


@dataclass(frozen=True, slots=True)
class Section:
    """A group of components; blank name: those without a group."""

    name: str
    rows: tuple[Row, ...]

    @property
    def level(self) -> Level:
        return Level.gravest(row.level for row in self.rows)


@dataclass(frozen=True, slots=True)
class PastDays:
    """One day with the notices that were over on it, or a run of days without any (``first`` ≤ ``last``).

    ``ongoing``: what was under way on every day of such a run.
    """

    first: date
    last: date
    postings: tuple[Posting, ...]
    ongoing: tuple[Posting, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The public page at ``at``."""

    at: datetime
    brand: Brand | None
    overall: Overall
    headline: Headline
    sections: tuple[Section, ...]
    incidents: tuple[Posting, ...]
    maintenance: tuple[Posting, ...]
    past: tuple[PastDays, ...]
    answers: tuple[tuple[str, str], ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for section in self.sections for row in section.rows)

    @property
    def affected(self) -> tuple[Row, ...]:
        """Components that are not operational, gravest first."""
        down = [row for row in self.rows if row.level != Level.OPERATIONAL]
        return tuple(sorted(down, key=lambda row: -row.level.gravity))

    @property
    def lead(self) -> str:
        """What is under the headline: who is affected less gravely, and what works. Never the headline again."""
        if self.affected:
            return " ".join([*self._lesser, *self._rest])
        if self.incidents:
            return "No component is held down at the moment; what we know is below."
        if not self.rows:
            return "Components and their history will be shown here."
        count = "The one component is" if len(self.rows) == 1 else f"All {len(self.rows)} components are"
        return f"{count} working, and no incident is open."

    @property
    def _lesser(self) -> list[str]:
        """A sentence for each level below the gravest, which the headline names."""
        told = []
        for level in reversed(Level):
            names = [row.name for row in self.affected if row.level == level]
            if names and level != self.overall.level:
                told.append(f"{level.label}: {listed(names)}.")
        return told

    @property
    def _rest(self) -> list[str]:
        working = len(self.rows) - len(self.affected)
        if not working:
            return [] if self._lesser else ["Every component is affected."]
        return ["One other component is working." if working == 1 else f"The other {working} components are working."]


def take(at: datetime) -> Snapshot:
    """Read the public book. At most 8 queries, whatever the length of the history."""
    sections = _sections(at)
    rows = [row for section in sections for row in section.rows]
    levels = {row.public_id: row.level for row in rows}
    told = postings(open_notices() + past_notices(_midnight(at.date() - timedelta(days=PAST_DAYS - 1))), levels, at)
    pending = [posting for posting in told if not posting.is_over]
    incidents = tuple(posting for posting in pending if not posting.is_maintenance)
    return Snapshot(
        at=at,
        brand=default_brand(),
        overall=roll_up(list(levels.values())),
        headline=headline([(row.name, row.level) for row in rows], [posting.phase for posting in incidents]),
        sections=sections,
        incidents=incidents,
        maintenance=tuple(sorted((p for p in pending if p.is_maintenance), key=lambda posting: posting.started_at)),
        past=_past_days(told, at),
        answers=tuple(AnswerTarget.objects.values_list("priority", "words")),
    )


def default_brand() -> Brand | None:
    """The brand the page speaks for; None before set-up."""
    return Brand.objects.filter(is_default=True).first()


def _sections(at: datetime) -> tuple[Section, ...]:
    now = int(at.timestamp())
    first_day = now // DAY - DAYS + 1
    intervals, levels = _impacts(first_day, at)
    found = [_Found._make(values) for values in _components()]
    notices = _notices_by_reference(one.last_source for one in found if one.last_source)
    sections: dict[str, list[Row]] = {}
    for one in found:
        own = intervals.get(one.pk, [])
        known = min([int(one.created_at.timestamp()), *(start for _, start, _ in own)])
        past = uptime.history(own, min(max(known, first_day * DAY), now), now)
        trouble = notices.get(_reference(one.last_source or ""), ("", ""))
        row = Row(
            public_id=one.public_id,
            name=one.name,
            description=one.description,
            level=levels.get(one.pk, Level.OPERATIONAL),
            target=one.target,
            past=past,
            first_day=first_day,
            uptime_30=past.uptime(now // DAY - 29),
            uptime_90=past.uptime(first_day),
            last=Trouble(one.last_at, *trouble) if one.last_at else None,
        )
        sections.setdefault(one.group or "", []).append(row)
    return tuple(Section(name, tuple(rows)) for name, rows in sections.items())


class _Found(NamedTuple):
    """A component as the query below hands it over."""

    pk: int
    public_id: str
    name: str
    description: str
    group: str | None
    target: Decimal | None
    created_at: datetime
    last_at: datetime | None
    last_source: str | None


def _components() -> Iterable[Sequence[object]]:
    trouble = Impact.objects.real().exclude(level=Level.MAINTENANCE).filter(component=OuterRef("pk"))
    last = trouble.order_by("-began_at", "-pk")
    return (
        Component.objects.shown()
        .annotate(last_at=Subquery(last.values("began_at")[:1]), last_source=Subquery(last.values("source")[:1]))
        .order_by(F("group__position").asc(nulls_first=True), "group__name", "position", "name")
        .values_list(
            *("pk", "public_id", "name", "description", "group__name", "uptime_target", "created_at"),
            *("last_at", "last_source"),
        )
    )


def _impacts(first_day: int, at: datetime) -> tuple[dict[int, list[uptime.Interval]], dict[int, Level]]:
    """Intervals by component for the bars, and the level of each component that is held down now."""
    since, now = datetime.fromtimestamp(first_day * DAY, UTC), int(at.timestamp())
    intervals: dict[int, list[uptime.Interval]] = {}
    held: dict[int, list[str]] = {}
    found = Impact.objects.real().filter(Q(ended_at__isnull=True) | Q(ended_at__gt=since)).order_by()
    for component, level, began_at, ended_at in found.values_list("component_id", "level", "began_at", "ended_at"):
        if ended_at is None:
            held.setdefault(component, []).append(level)
        end = now if ended_at is None else int(ended_at.timestamp())
        intervals.setdefault(component, []).append((level, int(began_at.timestamp()), end))
    return intervals, {component: Level.gravest(levels) for component, levels in held.items()}


def _notices_by_reference(sources: Iterable[str]) -> dict[str, tuple[str, str]]:
    references = {_reference(source) for source in sources}
    found = Notice.objects.visible().filter(reference__in=references)
    return {
        reference: (public_id, title)
        for reference, public_id, title in found.values_list("reference", "public_id", "title")
    }


def _reference(source: str) -> str:
    """``incident:INC-2026-0001`` → ``INC-2026-0001``."""
    return source.rpartition(":")[2]


def _past_days(postings: Sequence[Posting], at: datetime) -> tuple[PastDays, ...]:
    by_day: dict[date, list[Posting]] = {}
    over = [one for one in postings if one.resolved_at]
    for one in over:
        by_day.setdefault(_day(one.resolved_at or at), []).append(one)
    # A list that was cut says nothing about the days it did not reach.
    oldest = min(by_day) if len(over) == PAST_NOTICES else at.date() - timedelta(days=PAST_DAYS - 1)
    days: list[PastDays] = []
    for back in range((at.date() - oldest).days + 1):
        day = at.date() - timedelta(days=back)
        found = tuple(by_day.get(day, ()))
        # A day on which something was under way is not one without incidents.
        ongoing = () if found else tuple(one for one in postings if _touches(one, day, at))
        if not found and days and not days[-1].postings and days[-1].ongoing == ongoing:
            days[-1] = replace(days[-1], first=day)
        else:
            days.append(PastDays(day, day, found, ongoing))
    return tuple(days)


def _touches(posting: Posting, day: date, at: datetime) -> bool:
    """Whether it was under way on that day; maintenance that is only announced is not."""
    if posting.withdrawn_at or posting.phase in (Phase.SCHEDULED, Phase.CANCELLED):
        return False
    return _day(posting.started_at) <= day <= _day(posting.resolved_at or at)


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)
