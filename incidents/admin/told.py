"""What the public was told about an incident, as its screen shows it: words, corrections, messages (R-205, R-804)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incidents import letters
from incidents.admin.preview import PHASE_COLOURS
from incidents.models import Incident
from notifications import progress
from notifications.progress import Progress
from status import reading
from status.models import NoticeUpdate
from status.reading import Told


@dataclass(frozen=True)
class Saying:
    """A public update, with the words it had before it was corrected."""

    told: Told
    newest: NoticeUpdate
    before: list[NoticeUpdate]
    #: How far its messages have got; None: nobody was written to.
    progress: Progress | None = None

    @property
    def colour(self) -> str:
        return PHASE_COLOURS.get(self.told.phase, "grey")


def sayings(incident: Incident, sent: Iterable[Progress] = ()) -> list[Saying]:
    """Public updates, newest first, corrections folded in, each with its messages of ``sent``. One query."""
    if incident.notice is None:
        return []
    rows = {row.pk: row for row in incident.notice.updates.all()}
    followed = {row.corrects_id: row for row in rows.values() if row.corrects_id}
    roots = {row.public_id: row for row in rows.values() if row.corrects_id is None}
    # Told at the very moment they were posted.
    by_moment = {update.published_at: update for update in reversed(list(sent))}
    found = []
    for told in reading.told(rows.values()):
        chain = [roots[told.public_id]]
        while next_row := followed.get(chain[-1].pk):
            chain.append(next_row)
        announced = next((by_moment[row.posted_at] for row in chain if row.posted_at in by_moment), None)
        found.append(Saying(told, chain[-1], chain[-2::-1], announced))
    return found


def messages(incident: Incident, newest: Progress | None, at: datetime) -> dict[str, Any]:
    """The context of the card that says how far the newest update and its letters have got; it asks again by itself.

    Two queries at most.
    """
    written = progress.of_letters(letters.lane(incident.notice)) if incident.notice else None
    told = [found for found in (newest, written) if found]
    return {
        "update": newest,
        "letters": written,
        "told": told,
        "trouble": sum(found.trouble for found in told),
        "pace": min((pace for found in told if (pace := found.pace(at))), default=0),
    }
