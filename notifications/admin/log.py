"""What narrows the delivery log, and what keeps it quick with tens of millions of rows (R-804).

The log is read in the order of its unique index: the newest update first. Whatever finds few rows
finds them before it sorts them, because the planner would rather walk through everything in order
and hope to meet them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

from django.core.paginator import Paginator
from django.db.models import F, OrderBy, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter, RangeDateTimeFilter, TextFilter
from unfold.views import ChangeList

from notifications import fates, lookup
from notifications.dialects import rows
from notifications.enums import ADDRESSED, Fate
from notifications.fates import Group
from notifications.measures import number
from notifications.models import Announcement, Delivery

#: Further back than this one searches instead of paging.
COUNTED = 10_000
_RECENT = 25
ORDER = ("-announcement_id", "-subscriber_id", "-pk")
#: Failures of the last week that nobody has dealt with; a bounce has: nothing more goes there.
DEAD_LETTERS = "dead-letters"
#: Asked for by their own words, beside the groups.
_ALONE = (Fate.DELIVERED, Fate.BOUNCED, Fate.DEAD, Fate.UNCERTAIN)
SUPERSEDED = "superseded"
_LETTERS_DEAD = (Fate.DEAD, Fate.UNCERTAIN)
WEEK = timedelta(days=7)
#: Nothing is tried for longer than this.
_LIFE = timedelta(days=3)


class ShortPaginator(Paginator):  # type: ignore[type-arg]  # not subscriptable at run time
    """Counts to ten thousand and no further: the log may hold tens of millions of rows."""

    @cached_property
    def count(self) -> int:
        found: Any = self.object_list
        # Lines may have counted already.
        known: int | None = getattr(found, "counted", None)
        return found.order_by()[: COUNTED + 1].count() if known is None else known


class Lines(ChangeList):
    """Few rows are found first and sorted then; many are read in the order of the index."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Delivery]:
        found: Any = super().get_queryset(request, exclude_parameters)
        if not found.query.where:
            return cast("QuerySet[Delivery]", found)
        alone = set(request.GET) <= {FateFilter.parameter_name, "p"}
        if alone and request.GET.get(FateFilter.parameter_name) == Group.WAITING:
            counted = _waiting()
        else:
            counted = found.order_by()[: COUNTED + 1].count()
        ordered: Any = found_first(found) if counted <= COUNTED else found
        ordered.counted = counted
        return cast("QuerySet[Delivery]", ordered)


def found_first(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """The same rows in the same order, for few: they are gathered, then sorted."""
    return rows.order_by(*(_unindexed(name) for name in rows.query.order_by if isinstance(name, str)))


def _unindexed(name: str) -> OrderBy:
    """The same order, in words that no index knows."""
    column = F(name.removeprefix("-")) + 0
    return column.desc() if name.startswith("-") else column.asc()


def _waiting() -> int:
    """How many wait, up to COUNTED and one of each fate. One query: each fate has a small index of its own."""
    each = "(SELECT COUNT(*) FROM (SELECT 1 FROM notifications_delivery WHERE fate = '{}' LIMIT {:d}) counted)"
    # The words of an enum, and a number of ours.
    [(found,)] = rows("SELECT " + " + ".join(each.format(fate.value, COUNTED + 1) for fate in Group.WAITING.fates), [])
    return min(int(found), COUNTED + 1)


class FateFilter(DropdownFilter):
    title = "what became of it"
    parameter_name = "fate"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        alone = [(fate.value, fates.words(fate)) for fate in _ALONE]
        dead = (DEAD_LETTERS, "Failed or unknown, last 7 days")
        return [*Group.choices, dead, *alone, (SUPERSEDED, fates.words(Fate.SUPPRESSED, reason=fates.SUPERSEDED[0]))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        chosen = self.value()
        if chosen == DEAD_LETTERS:
            return queryset.filter(dead_letters(timezone.now()))
        if chosen == SUPERSEDED:
            return queryset.filter(superseded())
        if chosen in _ALONE:
            return queryset.filter(fate=chosen)
        return queryset.filter(of_group(Group(chosen))) if chosen in Group.values else queryset


def of_group(group: Group) -> Q:
    """Of what waits each fate has a small index of its own; asked for in one they would be read from the table."""
    if group is not Group.WAITING:
        return Q(fate__in=group.fates)
    wanted = Q()
    for fate in group.fates:
        wanted |= Q(fate=fate)
    return wanted


def superseded() -> Q:
    """What a newer update took the place of."""
    said = Q()
    for beginning in fates.SUPERSEDED:
        said |= Q(reason__startswith=beginning)
    return Q(fate=Fate.SUPPRESSED) & said


def dead_letters(at: datetime) -> Q:
    """Messages of the last week that failed, or of which nobody can know. One query."""
    first = _first_since(at - WEEK - _LIFE)
    settled = Q(fate__in=_LETTERS_DEAD, settled_at__gt=at - WEEK)
    return settled & Q(announcement__gte=first) if first else lookup.NOBODY


class IncidentFilter(TextFilter):
    """By the reference of an incident."""

    title = "incident, like INC-2026-0042"
    parameter_name = "incident"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        reference = (self.value() or "").strip()
        return queryset.filter(announcement__in=lookup.news_about(reference)) if reference else queryset


class CustomerFilter(TextFilter):
    """By a customer's number or name: their subscribers, and their contacts' addresses."""

    title = "customer's name or number"
    parameter_name = "customer"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        name = (self.value() or "").strip()
        if not name:
            return queryset
        customers = lookup.called(name)
        return queryset.filter(lookup.told_to(customers)) if customers else queryset.none()


class UpdateFilter(DropdownFilter):
    """The newest updates, and the one that is asked for."""

    title = "update"
    parameter_name = "announcement"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        news = Announcement.objects.exclude(kind__in=ADDRESSED).values_list("pk", "subject")
        found = dict(news.order_by("-pk")[:_RECENT])
        if (chosen := asked_for(request)) and chosen not in found:
            found |= dict(Announcement.objects.filter(pk=chosen).values_list("pk", "subject"))
        return [(str(pk), subject) for pk, subject in found.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        chosen = asked_for(request)
        return queryset.filter(announcement=chosen) if chosen else queryset


class TimeFilter(RangeDateTimeFilter):
    """By when the update was published, in UTC; its rows were written then. A date without a time begins its day."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "when it was published (UTC)"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        since, until = self._moment("from"), self._moment("to")
        if since:
            first = _first_since(since)
            queryset = queryset.filter(announcement__gte=first) if first else queryset.none()
        if until:
            last = Announcement.objects.filter(published_at__lt=until).order_by("-published_at", "-pk").first()
            queryset = queryset.filter(announcement__lte=last.pk) if last else queryset.none()
        return queryset

    def _moment(self, end: str) -> datetime | None:
        date, time = (self.used_parameters.get(f"{self.parameter_name}_{end}_{part}") or "" for part in (0, 1))
        try:
            return datetime.fromisoformat(f"{date.strip()}T{time.strip() or '00:00'}").replace(tzinfo=UTC)
        except ValueError:
            return None


def asked_for(request: HttpRequest) -> int | None:
    """The update the log is narrowed to."""
    return number(request.GET.get(UpdateFilter.parameter_name, ""))


def _first_since(at: datetime) -> int | None:
    """The first update since then: ids rise with time. One query."""
    since = Announcement.objects.filter(published_at__gte=at).order_by("published_at", "pk")
    return since.values_list("pk", flat=True).first()
