"""How the public reads notices: open ones, past ones, one for good, and the archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from notifications.models import Brand
from status import reading
from status.enums import OVER, Level, NoticeKind, Phase, PublicImpact
from status.models import Impact, Notice, NoticeUpdate

#: A page stays readable, and its rebuild quick, whatever happened in two weeks.
PAST_NOTICES = 30
OPEN_NOTICES = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Touched:
    """A component of a notice: its level now while the notice is open, the gravest it had once it is over."""

    code: str
    name: str
    level: Level


@dataclass(frozen=True, slots=True)
class Posting:
    """A notice as the public reads it; ``updates`` newest first, corrections folded in (R-205)."""

    public_id: str
    reference: str
    kind: NoticeKind
    title: str
    phase: Phase
    impact: PublicImpact
    started_at: datetime
    published_at: datetime
    resolved_at: datetime | None
    ended_at: datetime | None
    withdrawn_at: datetime | None
    next_update_by: datetime | None
    late: bool
    planned_from: datetime | None
    planned_until: datetime | None
    updates: tuple[reading.Told, ...]
    components: tuple[Touched, ...]

    @property
    def is_over(self) -> bool:
        return self.resolved_at is not None

    @property
    def is_maintenance(self) -> bool:
        return self.kind == NoticeKind.MAINTENANCE

    @property
    def was_cancelled(self) -> bool:
        """A maintenance that never began."""
        return self.phase == Phase.CANCELLED

    @property
    def seconds(self) -> int | None:
        """From when it began to hurt to when it was over; None while it is open, and of what never began."""
        if self.ended_at is None or self.was_cancelled:
            return None
        return int((self.ended_at - self.started_at).total_seconds())

    @property
    def standing(self) -> str:
        """The colour of its own page: once it is over the reader needs no alarm."""
        return "green" if self.is_over and not self.withdrawn_at and not self.was_cancelled else self.colour

    @property
    def gravity(self) -> str:
        """What it was, in words, for a list: the shape beside it says the same."""
        worst = Level.gravest(touched.level for touched in self.components)
        if self.is_maintenance:
            return "Maintenance"
        return "No component affected" if worst == Level.OPERATIONAL else worst.label

    @property
    def colour(self) -> str:
        """The gravest of its components; an open incident without any is still no green matter."""
        if self.withdrawn_at or self.was_cancelled:
            return "grey"
        if self.is_maintenance:
            return "blue"
        worst = Level.gravest(touched.level for touched in self.components)
        if worst == Level.OPERATIONAL:
            return "green" if self.is_over else "yellow"
        return worst.colour


def open_notices() -> list[Notice]:
    """Incidents and maintenance that are not over, newest first."""
    return list(Notice.objects.open().order_by("-published_at", "-pk")[:OPEN_NOTICES])


def past_notices(since: datetime) -> list[Notice]:
    """The newest that were over after ``since``."""
    return list(Notice.objects.past().filter(resolved_at__gte=since).order_by("-resolved_at", "-pk")[:PAST_NOTICES])


def postings(notices: Sequence[Notice], levels: Mapping[str, Level], at: datetime) -> list[Posting]:
    """``levels``: what components are at now, by public id; those not named are operational. One query."""
    updates: dict[int, list[NoticeUpdate]] = {}
    for update in NoticeUpdate.objects.filter(notice__in=[notice.pk for notice in notices]).order_by("notice", "seq"):
        updates.setdefault(update.notice_id, []).append(update)
    return [_posting(notice, updates.get(notice.pk, []), levels, at) for notice in notices]


def _posting(notice: Notice, updates: Sequence[NoticeUpdate], levels: Mapping[str, Level], at: datetime) -> Posting:
    touched = _touched(updates)
    if not notice.resolved_at:
        touched = [replace(one, level=levels.get(one.code, Level.OPERATIONAL)) for one in touched]
    return Posting(
        public_id=notice.public_id,
        reference=notice.reference,
        kind=NoticeKind(notice.kind),
        title=notice.title,
        phase=Phase(notice.phase),
        impact=PublicImpact(notice.impact),
        started_at=notice.started_at,
        published_at=notice.published_at,
        resolved_at=notice.resolved_at,
        ended_at=notice.ended_at,
        withdrawn_at=notice.withdrawn_at,
        next_update_by=notice.next_update_by,
        late=_is_late(notice, at),
        planned_from=notice.planned_from,
        planned_until=notice.planned_until,
        updates=tuple(reading.told(updates)),
        components=tuple(touched),
    )


def _is_late(notice: Notice, at: datetime) -> bool:
    """Whether a promise has passed: of the next update, or of the end of a maintenance (R-501, R-1301)."""
    promise = notice.next_update_by or (notice.planned_until if notice.phase != Phase.SCHEDULED else None)
    return promise is not None and promise < at and notice.phase not in OVER


def _touched(updates: Sequence[NoticeUpdate]) -> list[Touched]:
    """Every component the updates name, at the gravest level it had; the newest name wins."""
    names: dict[str, str] = {}
    reached: dict[str, list[str]] = {}
    for update in updates:
        for row in update.affected:
            names[row["code"]] = row["name"]
            reached.setdefault(row["code"], []).append(row["new_status"])
    return [Touched(code, name, Level.gravest(reached[code])) for code, name in names.items()]


def _levels_now(notice: Notice) -> dict[str, Level]:
    held: dict[str, list[str]] = {}
    impacts = Impact.objects.open().real().filter(component__notices=notice)
    for code, level in impacts.values_list("component__public_id", "level"):
        held.setdefault(code, []).append(level)
    return {code: Level.gravest(levels) for code, levels in held.items()}


def posting(public_id: str, at: datetime) -> tuple[Posting, Brand] | None:
    """One notice, open, over or withdrawn, with the brand it speaks for. 3 queries."""
    notice = Notice.objects.select_related("brand").filter(public_id=public_id).first()
    if notice is None:
        return None
    return postings([notice], _levels_now(notice), at)[0], notice.brand


def archive(before: str, size: int, at: datetime) -> tuple[list[Posting], str]:
    """Past notices, newest first, and the key to read on from (blank: that was all). 2 queries.

    ``before``: such a key. By key, never by offset: the last page costs as much as the first.
    Raises ``ValueError`` for what is not a key.
    """
    past = Notice.objects.past()
    if before:
        moment, pk = _read_key(before)
        past = past.filter(resolved_at__lte=moment).exclude(resolved_at=moment, pk__gte=pk)
    notices = list(past.order_by("-resolved_at", "-pk")[: size + 1])
    more, notices = len(notices) > size, notices[:size]
    last = notices[-1] if notices else None
    key = f"{(last.resolved_at - _EPOCH) // _MICROSECOND}-{last.pk}" if more and last and last.resolved_at else ""
    return postings(notices, {}, at), key


def _read_key(key: str) -> tuple[datetime, int]:
    moment, _, pk = key.partition("-")
    if not (moment.isascii() and moment.isdigit() and pk.isascii() and pk.isdigit() and len(key) < 40):
        raise ValueError("Not a place in the archive.")
    try:
        return _EPOCH + int(moment) * _MICROSECOND, min(int(pk), 2**63 - 1)
    except OverflowError as error:
        raise ValueError("Not a place in the archive.") from error
