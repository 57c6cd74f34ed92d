"""What is owed, as people read it: how urgent it is, and the button that meets it (R-302)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents.admin.deeds import Deed
from incidents.admin.works import Work
from incidents.models import Obligation

#: Closer than this, somebody must act now; closer than the second, soon.
NOW, SOON = timedelta(minutes=10), timedelta(minutes=30)


@dataclass(frozen=True)
class Owed:
    """An obligation at a moment; ``deed`` None where nothing meets it, or this person may not."""

    row: Obligation
    at: datetime
    deed: Deed | Work | None = None

    @property
    def colour(self) -> str:
        """A name of the console's colours; the script says the same as time goes on."""
        if self.row.met_at:
            return "green" if self.row.kept else "red"
        if self.overdue:
            return "red"
        if self.row.due_at is None or self.row.due_at - self.at >= SOON:
            return "grey"
        return "orange" if self.row.due_at - self.at < NOW else "yellow"

    @property
    def overdue(self) -> bool:
        """Whether it is broken: past its hard limit."""
        return self.row.met_at is None and self.row.limit_at is not None and self.row.limit_at <= self.at

    @property
    def grace(self) -> bool:
        """Whether it is due and not broken yet."""
        return not self.overdue and self.row.due_at is not None and self.row.due_at <= self.at
