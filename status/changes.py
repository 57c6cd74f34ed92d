"""Changes of components, as webhooks are told them: one event for each whose level is not what was told last.

What was told last is the newest announcement of the component's lane, not the notice's own last
update: two notices may hold one component down, and it is up when the last one lets go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db.models import Max

from notifications import outbox
from notifications.enums import Channel
from notifications.models import Announcement
from notifications.outbox import Change, Story
from status.enums import Level
from status.models import Component, Notice
from status.page import statuspage
from status.page.statuspage import Board
from status.reading import permalink


def hold(notice: Notice) -> None:
    """Let nobody else tell of the notice's components until the act is over. Ask for levels after this, not before."""
    theirs = Component.objects.filter(notices=notice).order_by("pk")
    list(theirs.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))


def announce(
    notice: Notice, levels: Mapping[Component, Level], board: Board, *, channels: Collection[str] | None, at: datetime
) -> None:
    """Write an event for each component of ``levels`` that is not as it was told last. Three queries at most.

    ``channels`` as the notice is told by; where no webhook is among them nothing is written.
    """
    by = [Channel.WEBHOOK.value] if channels is None else [name for name in channels if _is_webhook(name)]
    if not by or not levels:
        return
    last = _told_last(levels)
    changes = []
    for component, level in levels.items():
        seq, before = last.get(_lane(component), (0, Level.OPERATIONAL))
        if level != before:
            hook = statuspage.component_event(component, before, board, at=at)
            story = _story(component, level, notice, hook, at=at)
            changes.append(Change(story, lane=_lane(component), seq=seq + 1, topic=component.topic))
    outbox.announce_changes(changes, brand=notice.brand, channels=by, at=at)


def _told_last(components: Collection[Component]) -> dict[str, tuple[int, Level]]:
    """By lane: the place of the newest event, and what it said. One query."""
    lanes = Announcement.objects.filter(lane__in=map(_lane, components)).order_by()
    newest = lanes.values("lane").annotate(newest=Max("pk")).values("newest")
    # The content whole: SQLite would parse the text in it once too often.
    told = Announcement.objects.filter(pk__in=newest).values_list("lane", "seq", "content")
    return {lane: (seq, statuspage.new_status(content["hook"])) for lane, seq, content in told}


def _story(component: Component, level: Level, notice: Notice, hook: str, *, at: datetime) -> Story:
    return Story(
        title=component.name,
        reference=notice.reference,
        phase=level.label,
        over=level == Level.OPERATIONAL,
        url=permalink(notice),
        started_at=at.isoformat(),
        next_update_by=None,
        components=((component.name, level.label),),
        lines=(),
        hook=hook,
    )


def _lane(component: Component) -> str:
    return f"component:{component.public_id}"


def _is_webhook(channel: str) -> bool:
    return channel.partition(":")[0] == Channel.WEBHOOK
