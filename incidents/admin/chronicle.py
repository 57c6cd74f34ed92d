"""The timeline as the incident's screen shows it: newest first, filtered, a hundred at a time (R-205).

By key, never by offset: 2,000 entries cost what 100 cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, TextChoices
from django.http import QueryDict

from incidents.admin import said
from incidents.admin.told import Saying
from incidents.enums import AUTOMATIC, Verb
from incidents.models import Incident, TimelineEntry
from incidents.templatetags.incidents import some
from status.enums import Level, Phase

#: What the public can read, where there is a public page.
PUBLIC_VERBS = frozenset({Verb.PUBLISHED, Verb.CORRECTED, Verb.RESOLVED, Verb.REOPENED, Verb.FALSE_ALARM})
PAGE = 100
_LONGEST_KEY = 18


class Only(TextChoices):
    """What of the timeline is shown."""

    ALL = "", "All"
    PUBLIC = "public", "Public"
    INTERNAL = "internal", "Internal"
    AUTOMATIC = "automatic", "Automatic"


_WANTED = {
    Only.ALL: Q(),
    Only.PUBLIC: Q(verb__in=PUBLIC_VERBS),
    Only.INTERNAL: ~Q(verb__in=[*PUBLIC_VERBS, *AUTOMATIC]),
    Only.AUTOMATIC: Q(verb__in=AUTOMATIC),
}


@dataclass(frozen=True)
class Line:
    """An entry as it is read. ``saying`` are the public words it stands for, as the public reads them now."""

    entry: TimelineEntry
    public: bool
    said: list[str]
    saying: Saying | None = None

    @property
    def kind(self) -> Only:
        if self.public:
            return Only.PUBLIC
        return Only.AUTOMATIC if self.entry.verb in AUTOMATIC else Only.INTERNAL


@dataclass(frozen=True)
class Chronicle:
    """A page of the timeline. ``earlier`` is the key of the next one, 0: this is all."""

    only: Only = Only.ALL
    lines: list[Line] = field(default_factory=list)
    earlier: int = 0
    before: int = 0

    @property
    def choices(self) -> list[tuple[Only, bool]]:
        return [(only, only == self.only) for only in Only]


def read(incident: Incident, asked: QueryDict, sayings: Iterable[Saying] = ()) -> Chronicle:
    """The page that ``?only=…&before=…`` asks for; nonsense asks for the newest of all. One query."""
    wanted = asked.get("only", "")
    only = Only(wanted) if wanted in Only.values else Only.ALL
    before = _key(asked.get("before", ""))
    entries = incident.timeline.filter(_WANTED[only]).select_related("by", "corrects").order_by("-id")
    if before:
        entries = entries.filter(id__lt=before)
    found = list(entries[: PAGE + 1])
    by_update = {saying.told.public_id: saying for saying in sayings}
    lines = [_line(incident, entry, by_update) for entry in found[:PAGE]]
    return Chronicle(only, lines, found[PAGE - 1].pk if len(found) > PAGE else 0, before)


def _key(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= _LONGEST_KEY else 0


def _line(incident: Incident, entry: TimelineEntry, sayings: Mapping[str, Saying]) -> Line:
    public = entry.verb in PUBLIC_VERBS and incident.notice_id is not None
    return Line(entry, public, changes(entry), sayings.get(str(entry.facts.get("update"))))


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
    told.extend(_levels(facts.get("levels")))
    return [*told, *said.of(facts)]


def _levels(levels: Any) -> list[str]:
    return [f"{name}: {Level(level).label.lower()}" for name, level in (levels or {}).items()]


def unseen(entries: Iterable[TimelineEntry]) -> list[tuple[TimelineEntry, list[str]]]:
    """What happened while somebody was writing (F09)."""
    return [(entry, changes(entry)) for entry in entries]
