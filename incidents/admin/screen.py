"""The incident as its screen shows it: one read model, its number of queries pinned by a test."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.http import QueryDict

from incidents import raci, repeats, runbook, watch
from incidents.admin import chronicle, facts, saved
from incidents.admin.deeds import COMMAND, DECLARE, PUBLISH, meeting
from incidents.admin.owed import Owed
from incidents.admin.preview import PHASE_COLOURS
from incidents.admin.told import messages, sayings
from incidents.enums import OPEN, Role, State
from incidents.models import Incident
from incidents.models.incident import IncidentQuerySet
from incidents.templatetags.incidents import RANK_COLOURS
from notifications import progress
from status import reading
from status.enums import Phase

#: Any of these is enough to look.
MAY_LOOK = ("incidents.view_incident", DECLARE, PUBLISH, COMMAND)
STATE_COLOURS = {
    State.DECLARED: "red",
    State.ACKNOWLEDGED: "orange",
    State.MITIGATED: "blue",
    State.RESOLVED: "green",
    State.CLOSED: "grey",
    State.FALSE_ALARM: "grey",
    State.MERGED: "grey",
}
#: What to say about an incident that stands so, where nothing else is more pressing.
_NEXT = {State.DECLARED: "acknowledge", State.ACKNOWLEDGED: "update", State.MITIGATED: "update"}


def base() -> IncidentQuerySet:
    """Incidents with everything a line about them needs."""
    return Incident.objects.select_related("severity__version__policy", "notice", "brand", "declared_by")


def screen(incident: Incident, *, by: User, at: datetime, asked: QueryDict) -> dict[str, Any]:
    """The context of the incident's screen: the same number of queries whatever its length."""
    rows = incident.obligations.filter(dropped_at__isnull=True)
    # Its severity is loaded here, and the deeds ask for it.
    owed = [Owed(row, at, meeting(_of(row, incident), by)) for row in rows]
    sent = progress.of_lane(incident.notice.lane) if incident.notice else []
    said = sayings(incident, sent)
    now = watch.stands(incident, at)
    return {
        "incident": incident,
        "at": at,
        "severity_colour": RANK_COLOURS[incident.severity.rank],
        "state_colour": STATE_COLOURS[State(incident.state)],
        "is_open": incident.state in OPEN,
        "impact": span_of_impact(incident, at),
        "phase_colour": PHASE_COLOURS.get(Phase(incident.notice.phase), "grey") if incident.notice else "grey",
        "waiting": [item for item in owed if item.row.met_at is None],
        "met": [item for item in owed if item.row.met_at],
        "watch": now,
        "main": _main(incident, now),
        "sayings": said,
        "hits": facts.hits(incident, by),
        "customers": facts.customers(incident),
        **messages(incident, sent[0] if sent else None, at),
        "chronicle": chronicle.read(incident, asked, said, by=by),
        "clocks": facts.clocks(incident),
        "runbook": runbook.state(incident) if incident.state in OPEN else None,
        "priorities": runbook.PRIORITIES,
        "tools": runbook.tool_links(incident, at),
        "kin": repeats.for_screen(incident, by, at),
        "people": [(Role(row.role), row.user) for row in facts.roles(incident)],
        "raci": raci.table(),
        "jotted": saved.find(by, incident, "quick"),
        "permalink": reading.permalink(incident.notice) if incident.notice else "",
    }


def _main(incident: Incident, now: watch.Watch) -> str:
    """The one act to press next: "resolve" only where the fix was watched long enough (R-214)."""
    if now.suggest:
        return "resolve"
    if incident.state == State.MITIGATED and now.needed is not None and not now.verified:
        return "verify"
    return _NEXT.get(State(incident.state), "")


def span_of_impact(incident: Incident, at: datetime) -> timedelta:
    """How long it has hurt, or did: the impact's clock, not ours (R-1302)."""
    over = None if incident.state in OPEN else incident.closed_at
    return (incident.ended_at or over or at) - incident.started_at


def _of(row: Any, incident: Incident) -> Any:
    row.incident = incident
    return row
