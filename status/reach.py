"""Whom news of a notice concern, and by which ways they go: never less than what was told before (R-804)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from notifications.models import Topic
from status.models import Component, Notice


@dataclass(frozen=True)
class Scope:
    """Whom news of a notice concern: severity ``rank`` 1–4 or None, and ``topics`` (none: everybody)."""

    rank: int | None
    topics: list[Topic]


def scope(notice: Notice | None, rank: int | None, components: Iterable[Component]) -> Scope:
    """The scope of the next news: as wide as what was told before, so that nobody misses the end (R-804).

    A component's group is concerned with it: whoever chose the group chose its later members too.
    """
    topics = [topic for component in components for topic in topics_of(component)]
    if notice is None or not notice.told_channels:
        return Scope(rank, list(dict.fromkeys(topics)))
    if topics and not notice.told_everybody:
        # A component may have left its group since.
        topics += Topic.objects.filter(announcements__lane=notice.lane)
    told_rank = min(rank, notice.told_rank) if rank and notice.told_rank else None
    return Scope(told_rank, [] if notice.told_everybody else list(dict.fromkeys(topics)))


def ways(notice: Notice | None, channels: Collection[str] | None, *, over: bool) -> list[str] | None:
    """By which channels the next news go: at least by those that were told before, so that nobody misses the end.

    None: by every one. Empty: nobody is told, which is not possible once it is ``over`` and anybody was told.
    """
    if channels is None:
        return None
    wanted = {*channels, *(notice.told_channels if notice and (channels or over) else ())}
    # What goes to all of a channel needs no narrower way.
    return sorted(name for name in wanted if ":" not in name or name.partition(":")[0] not in wanted)


def topics_of(component: Component) -> list[Topic]:
    """What is concerned when the component is: its own topic, and its group's."""
    group = component.group
    return [component.topic, group.topic] if group and group.topic else [component.topic]
