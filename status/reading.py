"""How the public reads a notice: corrections folded into the place of what they correct (R-205)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from notifications.outbox import Line
from status import translations
from status.enums import Phase
from status.models import Notice, NoticeUpdate
from status.translations import Stored


@dataclass(frozen=True)
class Told:
    """One update as the public sees it: the place and time of the first posting, the newest words."""

    public_id: str
    phase: Phase
    posted_at: datetime
    corrected_at: datetime | None
    html: str
    text: str
    body: str
    next_update_by: datetime | None
    #: Of the first posting, as ``NoticeUpdate.affected``.
    affected: list[dict[str, str]]
    #: Of the newest words; what was corrected without them is read in the original.
    translations: Stored = field(default_factory=dict)

    def as_line(self) -> Line:
        corrected = self.corrected_at.isoformat() if self.corrected_at else None
        said = translations.of_line(self.translations)
        return Line(self.phase.label, self.posted_at.isoformat(), self.text, self.html, corrected, said)


def told(updates: Iterable[NoticeUpdate]) -> list[Told]:
    """Fold all rows of one notice, in any order, into what is read, newest first."""
    rows = sorted(updates, key=lambda update: update.seq)
    newest: dict[int, NoticeUpdate] = {}
    first: dict[int, int] = {}
    for row in rows:
        root = first.get(row.corrects_id, row.corrects_id) if row.corrects_id else row.pk
        first[row.pk] = root
        newest[root] = row
    roots = [row for row in rows if row.corrects_id is None]
    return [_as_told(root, newest[root.pk]) for root in reversed(roots)]


def _as_told(root: NoticeUpdate, newest: NoticeUpdate) -> Told:
    return Told(
        public_id=root.public_id,
        phase=Phase(root.phase),
        posted_at=root.posted_at,
        corrected_at=newest.posted_at if newest is not root else None,
        html=newest.html,
        text=newest.text,
        body=newest.body,
        next_update_by=newest.next_update_by,
        affected=root.affected,
        translations=newest.translations,
    )


def permalink(notice: Notice) -> str:
    """The absolute address of a notice, for good."""
    return f"{settings.SITE_URL}/status/incidents/{notice.public_id}"
