"""The incident as its screen shows it: one read model, its number of queries pinned by a test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from incidents import letters
from incidents.admin.deeds import meeting
from incidents.admin.preview import PHASE_COLOURS
from incidents.enums import OPEN, State, Verb
from incidents.models import Incident, Obligation, TimelineEntry
from incidents.templatetags.incidents import RANK_COLOURS, some
from notifications import progress
from notifications.progress import Progress
from status import reading
from status.enums import Level, Phase
from status.models import Impact, NoticeUpdate
from status.reading import Told

#: What the public can read, in the timeline.
PUBLIC_VERBS = frozenset({Verb.PUBLISHED, Verb.CORRECTED, Verb.RESOLVED, Verb.REOPENED, Verb.FALSE_ALARM})
STATE_COLOURS = {
    State.DECLARED: "red",
    State.ACKNOWLEDGED: "orange",
    State.MITIGATED: "blue",
    State.RESOLVED: "green",
    State.CLOSED: "grey",
    State.FALSE_ALARM: "grey",
    State.MERGED: "grey",
}
SOON = timedelta(minutes=10)


@dataclass(frozen=True)
class Owed:
    """An obligation as people read it."""

    row: Obligation
    at: datetime

    @property
    def colour(self) -> str:
        if self.row.met_at:
            return "green" if self.row.kept else "red"
        if self.overdue:
            return "red"
        return "orange" if self.row.due_at and self.row.due_at - self.at < SOON else "grey"

    @property
    def overdue(self) -> bool:
        return self.row.met_at is None and self.row.limit_at is not None and self.row.limit_at <= self.at


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


def base() -> QuerySet[Incident]:
    """Incidents with everything a line about them needs."""
    return Incident.objects.select_related("severity__version__policy", "notice", "brand", "declared_by")


def screen(incident: Incident, *, by: User, at: datetime) -> dict[str, Any]:
    """The context of the incident's screen: eleven queries at most, whatever its length."""
    owed = [Owed(row, at) for row in incident.obligations.filter(dropped_at__isnull=True)]
    entries = list(incident.timeline.select_related("by").order_by("-recorded_at", "-id"))
    sent = progress.of_lane(incident.notice.lane) if incident.notice else []
    return {
        "incident": incident,
        "at": at,
        "severity_colour": RANK_COLOURS[incident.severity.rank],
        "state_colour": STATE_COLOURS[State(incident.state)],
        "is_open": incident.state in OPEN,
        "impact": span_of_impact(incident, at),
        "phase_colour": PHASE_COLOURS.get(Phase(incident.notice.phase), "grey") if incident.notice else "grey",
        "waiting": [(item, meeting(item.row, by)) for item in owed if item.row.met_at is None],
        "met": [item for item in owed if item.row.met_at],
        "sayings": sayings(incident, sent),
        "held": held(incident),
        **messages(incident, sent[0] if sent else None, at),
        "entries": [(entry, entry.verb in PUBLIC_VERBS, changes(entry)) for entry in entries],
        "facts": clocks(incident),
        "permalink": reading.permalink(incident.notice) if incident.notice else "",
    }


def span_of_impact(incident: Incident, at: datetime) -> timedelta:
    """How long it has hurt, or did: the impact's clock, not ours (R-1302)."""
    over = None if incident.state in OPEN else incident.closed_at
    return (incident.ended_at or over or at) - incident.started_at


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


def held(incident: Incident) -> list[tuple[str, Level]]:
    """What the incident holds down now. One query."""
    rows = Impact.objects.open().real().filter(source=incident.source).select_related("component")
    ordered = sorted(rows, key=lambda row: (-Level(row.level).gravity, row.component.name))
    return [(row.component.name, Level(row.level)) for row in ordered]


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


def clocks(incident: Incident) -> list[tuple[str, datetime | None, str]]:
    """The moments of an incident: when it happened, and when we said so (R-1302)."""
    return [
        ("Began", incident.started_at, "happened"),
        ("Noticed", incident.detected_at, "happened"),
        ("Declared", incident.declared_at, "said"),
        ("Acknowledged", incident.acknowledged_at, "said"),
        ("Mitigated", incident.mitigated_at, "happened"),
        ("Stopped hurting", incident.ended_at, "happened"),
        ("Resolved", incident.resolved_at, "said"),
        ("Closed", incident.closed_at, "said"),
    ]


def changes(entry: TimelineEntry) -> list[str]:
    """What the entry's facts say, in words."""
    facts, told = entry.facts, []
    if isinstance(facts.get("severity"), list):
        told.append(" → ".join(map(str, facts["severity"])))
        policies = facts.get("policy") or []
        if len(set(policies)) > 1:
            told.append(" → ".join(map(str, policies)))
    elif facts.get("severity"):
        told.append(f"{facts['severity']} of {facts.get('policy', '')}")
    if facts.get("customers"):
        told.append(f"{facts.get('letters')} to {some(facts['customers'])}")
    if facts.get("phase"):
        told.append(Phase(facts["phase"]).label)
    told.extend(f"{name}: {Level(level).label.lower()}" for name, level in (facts.get("levels") or {}).items())
    return told


def unseen(entries: Iterable[TimelineEntry]) -> list[tuple[TimelineEntry, list[str]]]:
    """What happened while somebody was writing (F09)."""
    return [(entry, changes(entry)) for entry in entries]
