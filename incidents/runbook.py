"""What helps while an incident is open: what to look at, what to try, where to look (R-208, R-1204)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from django.core.exceptions import ValidationError
from django.db.models import Q

from incidents.enums import OPEN, Risk, StepKind, ToolKind, Verb
from incidents.models import Incident, RunbookStep, TimelineEntry, Tool

#: What comes first, in this order (R-208).
PRIORITIES = (
    ("Restore", "Get customers working again, by the quickest safe way."),
    ("Contain", "Keep it from reaching more customers, regions or systems."),
    ("Prevent more damage", "Stop what loses or spoils data; save logs before they are overwritten."),
    ("Root cause", "Find out why, once it no longer hurts."),
)
#: (slug, name, where to look)
CHECKLIST = (
    ("alerts", "Alert details and metrics", "What rang, since when, and what moved with it."),
    ("deployments", "Deployments of the last 24 h", "What was released shortly before it began?"),
    ("changes", "Configuration and infrastructure changes", "Flags, secrets, certificates, scaling, DNS."),
    ("dependencies", "External dependencies", "Status pages of providers; error rates of calls to them."),
    ("logs", "Error logs", "New kinds of errors first, then the most frequent."),
    ("affected", "Affected users, tenants, features", "Who suffers, who does not, and what tells them apart."),
    ("traffic", "Traffic spike", "More requests than usual, or one customer with most of them?"),
)
#: (slug, name, when it helps, risk, minutes)
MITIGATIONS = (
    ("roll-back", "Roll back", "It began with a release.", Risk.LOW, 5),
    ("scale-up", "Scale up", "Load or memory is at its limit.", Risk.LOW, 10),
    ("circuit-breaker", "Circuit breaker", "A dependency is slow and drags the rest down.", Risk.MEDIUM, 2),
    ("feature-flag", "Feature flag off", "One new feature causes it.", Risk.LOW, 1),
    ("failover", "Database failover", "The primary database does not answer.", Risk.MEDIUM, 15),
    ("redirect", "Redirect traffic", "One region or cluster is ill and the others are well.", "", None),
)
#: Tools show what was before it began, too.
BEFORE = timedelta(minutes=30)
#: What the address of a tool may hold.
PLACEHOLDERS = ("from", "to", "from_iso", "to_iso", "component", "reference")
#: Other braces are the tool's own: ``{app="checkout"}``.
_PLACEHOLDER = re.compile(r"\{(\w+)\}", re.ASCII)


@dataclass(frozen=True)
class Line:
    """A line of the runbook, and where it stands in one incident: the newest entry about it, if any."""

    step: RunbookStep
    entry: TimelineEntry | None

    @property
    def done(self) -> bool:
        """Whether a check is ticked."""
        return bool(self.entry and self.entry.facts.get("done"))

    @property
    def tried(self) -> bool:
        return self.entry is not None

    @property
    def worked(self) -> bool | None:
        """Whether a mitigation helped; None: it was not tried, or nobody knows yet."""
        return self.entry.facts.get("worked") if self.entry else None


@dataclass(frozen=True)
class State:
    """The runbook as one incident has it."""

    checks: list[Line]
    mitigations: list[Line]

    @property
    def done(self) -> int:
        return sum(line.done for line in self.checks)


@dataclass(frozen=True)
class Link:
    """A tool, opened at the time the incident concerns."""

    name: str
    kind: ToolKind
    url: str


def load() -> int:
    """Bring in the lines that come with the product and are not there yet; answers how many. Edits are kept."""
    there = set(RunbookStep.objects.values_list("slug", flat=True))
    steps = [step for step in _shipped() if step.slug not in there]
    for step in steps:
        # One by one: each leaves its first row in the history.
        step.save()
    return len(steps)


def state(incident: Incident) -> State:
    """Where each line stands: the newest entry about it says. Two queries."""
    newest: dict[str, TimelineEntry] = {}
    said = incident.timeline.filter(verb__in=(Verb.CHECKED, Verb.TRIED)).select_related("by")
    for entry in said.order_by("recorded_at", "id"):
        newest[entry.facts["step"]] = entry
    steps = RunbookStep.objects.filter(Q(is_active=True) | Q(slug__in=newest))
    lines = [Line(step, newest.get(step.slug)) for step in steps]
    return State(
        [line for line in lines if line.step.kind == StepKind.CHECK],
        [line for line in lines if line.step.kind == StepKind.MITIGATION],
    )


def tool_links(incident: Incident, at: datetime) -> list[Link]:
    """Dashboards and logs of this incident, from half an hour before it began until it ended, or now. Two queries."""
    components = list(incident.notice.components.all()) if incident.notice else []
    wanted = Q(component__isnull=True) | Q(component__in=components)
    until = at if incident.state in OPEN else incident.ended_at or incident.closed_at or at
    first = components[0].name if components else ""
    return [
        Link(
            tool.name,
            ToolKind(tool.kind),
            address(tool.url, _values(incident, tool.component.name if tool.component else first, until)),
        )
        for tool in Tool.objects.filter(wanted, is_active=True).select_related("component")
        if _is_of_the_web(tool.url)
    ]


def address(url: str, values: dict[str, str]) -> str:
    """The address with everything filled in, each value encoded: it cannot leave its place."""
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe="") if match[1] in values else match[0], url)


def check_address(url: str) -> None:
    """Raise ``ValidationError`` unless it is an address of the web with known placeholders only."""
    unknown = sorted(set(_PLACEHOLDER.findall(url)) - set(PLACEHOLDERS))
    if unknown:
        known = ", ".join("{" + name + "}" for name in PLACEHOLDERS)
        named = ", ".join("{" + name + "}" for name in unknown)
        raise ValidationError(f"Nothing fills {named}. Known are {known}.", code="unknown_placeholder")
    if not _is_of_the_web(url):
        raise ValidationError("Write an address that begins with https:// or http:// and names its host.")


def _is_of_the_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "{" not in parts.netloc


def _shipped() -> Iterable[RunbookStep]:
    for place, (slug, name, hint) in enumerate(CHECKLIST):
        yield RunbookStep(kind=StepKind.CHECK, slug=slug, name=name, hint=hint, position=place)
    for place, (slug, name, hint, risk, minutes) in enumerate(MITIGATIONS):
        yield RunbookStep(
            kind=StepKind.MITIGATION, slug=slug, name=name, hint=hint, risk=risk, minutes=minutes, position=place
        )


def _values(incident: Incident, component: str, until: datetime) -> dict[str, str]:
    since = incident.started_at - BEFORE
    return {
        "from": str(int(since.timestamp() * 1000)),
        "to": str(int(until.timestamp() * 1000)),
        "from_iso": _iso(since),
        "to_iso": _iso(until),
        "component": component,
        "reference": incident.reference,
    }


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
