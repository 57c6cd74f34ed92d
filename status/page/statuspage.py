"""The public book in the shapes of Statuspage: names, order and types of keys are a contract (statuspage-v2.md).

Third-party tools read exactly this; nothing is added and nothing left out, also where it is null.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from notifications.moments import stamp
from status.enums import Level, NoticeKind, Phase
from status.models import Component, Notice
from status.page.overall import roll_up
from status.reading import Told, permalink

#: A JSON column forgets the order of keys.
_AFFECTED = ("code", "name", "old_status", "new_status")
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Board:
    """Everything the page shows at one moment: components in their order, and the levels of those that are not well."""

    shown: tuple[Component, ...]
    levels: Mapping[int, Level]

    @classmethod
    def now(cls, levels: Mapping[int, Level]) -> Board:
        """``levels`` as ``ledger.levels`` answers. One query."""
        return cls(tuple(Component.objects.shown().select_related("group")), levels)

    def level(self, component: Component) -> Level:
        return self.levels.get(component.pk, Level.OPERATIONAL)

    def place(self, component: Component) -> int:
        """Its position among those under the same heading, from 1; one that is not shown comes last."""
        beside = [other.pk for other in self.shown if other.group_id == component.group_id]
        return beside.index(component.pk) + 1 if component.pk in beside else len(beside) + 1


def page_id() -> str:
    """The id of our page: of its host, so that it is the same in every process and for good."""
    return _id("page", urlsplit(settings.SITE_URL).netloc)


def component(row: Component, board: Board) -> dict[str, Any]:
    """5.4: ``row`` with its ``group`` at hand."""
    return {
        "id": row.public_id,
        "name": row.name,
        "status": board.level(row).value,
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        "position": board.place(row),
        "description": row.description or None,
        "showcase": True,
        "start_date": None,
        "group_id": row.group.public_id if row.group else None,
        "page_id": page_id(),
        "group": False,
        "only_show_if_degraded": False,
    }


def incident_event(notice: Notice, told: Sequence[Told], components: Iterable[Component], board: Board) -> str:
    """5.10, as JSON text without ``meta``: a notice with all its updates, ``told`` newest first."""
    rows = [component(row, board) for row in components]
    return _text({"page": _page(board), "incident": _incident(notice, told, rows)})


def component_event(row: Component, before: Level, board: Board, *, at: datetime) -> str:
    """5.10, as JSON text without ``meta``: a component went from ``before`` to what it is on the board."""
    now, told = board.level(row), component(row, board)
    change = {
        "created_at": stamp(at),
        "new_status": now.value,
        "old_status": before.value,
        "id": _id("component_update", row.public_id, at.isoformat()),
        "component_id": row.public_id,
        "component_type": "Component",
    }
    keys = (
        "created_at", "id", "name", "status", "updated_at",
        "position", "description", "showcase", "page_id", "group_id",
    )  # fmt: skip
    return _text({"page": _page(board), "component_update": change, "component": {key: told[key] for key in keys}})


def new_status(event: str) -> Level:
    """What a component event said that the component is now."""
    return Level(json.loads(event)["component_update"]["new_status"])


def _page(board: Board) -> dict[str, str]:
    overall = roll_up([board.level(row) for row in board.shown])
    return {
        "id": page_id(),
        "status_indicator": overall.indicator.value,
        "status_description": overall.words.title(),
    }


def _incident(notice: Notice, told: Sequence[Told], components: list[dict[str, Any]]) -> dict[str, Any]:
    planned = notice.kind == NoticeKind.MAINTENANCE
    return {
        "backfilled": False,
        "created_at": stamp(notice.published_at),
        "impact": "maintenance" if planned else notice.impact,
        "impact_override": None,
        "monitoring_at": _maybe(notice.monitoring_at),
        "postmortem_body": None,
        "postmortem_body_last_updated_at": None,
        "postmortem_ignored": False,
        "postmortem_notified_subscribers": False,
        "postmortem_notified_twitter": False,
        "postmortem_published_at": None,
        "resolved_at": _maybe(notice.resolved_at),
        "scheduled_auto_completed": False,
        "scheduled_auto_in_progress": False,
        "scheduled_for": stamp(notice.planned_from or notice.started_at) if planned else None,
        "scheduled_remind_prior": False,
        "scheduled_reminded_at": None,
        "scheduled_until": _maybe(notice.planned_until or notice.ended_at) if planned else None,
        "shortlink": permalink(notice),
        "status": _told_as(Phase(notice.phase)).value,
        "updated_at": stamp(notice.updated_at),
        "id": notice.public_id,
        "page_id": page_id(),
        "name": notice.title,
        "incident_updates": [_update(update, notice) for update in told],
        "components": components,
    }


def _update(told: Told, notice: Notice) -> dict[str, Any]:
    return {
        "body": told.text,
        "created_at": stamp(told.posted_at),
        "display_at": stamp(told.posted_at),
        "status": _told_as(told.phase).value,
        "twitter_updated_at": None,
        "updated_at": stamp(told.corrected_at or told.posted_at),
        "wants_twitter_update": False,
        "affected_components": [{key: row[key] for key in _AFFECTED} for row in told.affected] or None,
        "custom_tweet": None,
        "deliver_notifications": True,
        "id": told.public_id,
        "incident_id": notice.public_id,
    }


def _told_as(phase: Phase) -> Phase:
    """Tools know no cancelled maintenance: for them it is over."""
    return Phase.COMPLETED if phase == Phase.CANCELLED else phase


def _maybe(moment: datetime | None) -> str | None:
    return stamp(moment) if moment else None


def _id(*parts: str) -> str:
    """12 lower-case alphanumerics made of the parts, always the same."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())
    return "".join(_LETTERS[number // 36**place % 36] for place in range(12))


def _text(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
