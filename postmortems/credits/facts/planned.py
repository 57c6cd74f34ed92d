"""Which maintenance was announced how long before, as recorded then (reliability.md 5.3, "Maintenance exclusion").

A window counts with the words it was first told by: what was said later only takes away from it, or adds time
with a shorter notice of its own. Work outside of every window that was told is not planned at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from incidents.maintenance.book import Said
from incidents.models import Maintenance
from postmortems.credits.arithmetic.case import Planned, Span
from postmortems.credits.arithmetic.months import micros
from postmortems.credits.arithmetic.spans import Spans, common, minus, union
from status.enums import Level
from status.models import Impact

#: Rows of history that tell the public a window; the others leave it as it was.
TELLING = (Said.ANNOUNCED.value, Said.RESCHEDULED.value, Said.EXTENDED.value, Said.BEGUN.value)
SOURCE = "maintenance:"


@dataclass(frozen=True, slots=True)
class Told:
    """A window as the public was told it at ``at``; all in microseconds since 1970."""

    at: int
    start: int
    end: int


def leads(told: Iterable[Told]) -> list[tuple[Span, int]]:
    """(span, how long before it was announced) of what was told, in the order it was told; spans do not overlap. Pure.

    A window is good for what every later one still holds. Where several hold an instant the longest notice counts.
    """
    found: list[tuple[Span, int]] = []
    still: Spans | None = None
    for one in reversed(list(told)):
        window = union([(one.start, one.end)])
        still = window if still is None else common(window, still)
        found += [(span, one.start - one.at) for span in still]
    taken: Spans = []
    cut: list[tuple[Span, int]] = []
    for span, lead in sorted(found, key=lambda pair: (-pair[1], pair[0])):
        cut += [(piece, lead) for piece in minus([span], taken)]
        taken = union([*taken, span])
    return sorted(cut)


def works(components: Collection[int], span: tuple[datetime, datetime], *, at: datetime) -> list[Planned]:
    """Maintenance of these components that took place in the span, cut to the windows it was announced by.

    Two queries. ``at`` is where work that is not over ends.
    """
    held = (
        Impact.objects.real()
        .during(*span)
        .filter(component__in=components, source__startswith=SOURCE, level=Level.MAINTENANCE)
        .values_list("component_id", "source", "began_at", "ended_at")
    )
    impacts = list(held)
    if not impacts:
        return []
    windows = {
        reference: leads(told) for reference, told in _told({source.removeprefix(SOURCE) for _, source, *_ in impacts})
    }
    found = []
    for component, source, began_at, ended_at in impacts:
        took = union([(micros(began_at), micros(ended_at or at))])
        for window, lead in windows.get(source.removeprefix(SOURCE), ()):
            found += [Planned(component, start, end, lead) for start, end in common(took, [window])]
    return sorted(found, key=lambda one: (one.component, one.start, one.end, one.lead))


def _told(references: Collection[str]) -> Iterable[tuple[str, list[Told]]]:
    """What the public was told of each, in order: from the first announcement on. One query."""
    rows = (
        Maintenance.history.filter(
            reference__in=references, history_change_reason__in=TELLING, announced_at__isnull=False
        )
        .order_by("history_id")
        .values_list(
            "reference", "history_change_reason", "history_date", "announced_at", "planned_start_at", "planned_end_at"
        )
    )
    told: dict[str, list[Told]] = {}
    for reference, said, at, announced_at, start, end in rows:
        # One that was announced before begins without a new window.
        if said == Said.BEGUN and announced_at != at:
            continue
        told.setdefault(reference, []).append(Told(micros(at), micros(start), micros(end)))
    return told.items()
