"""The timeline as the incident's screen shows it: newest first, filtered, a hundred at a time (R-205).

By key, never by offset: 2,000 entries cost what 100 cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, TextChoices
from django.http import QueryDict

from incidents.admin import said
from incidents.admin.told import Saying
from incidents.discretion import veiled
from incidents.enums import AUTOMATIC, Cause, Verb
from incidents.models import Incident, TimelineEntry
from incidents.templatetags.incidents import some
from status.enums import Level, Phase

#: What the public can read, where there is a public page.
PUBLIC_VERBS = frozenset({Verb.PUBLISHED, Verb.CORRECTED, Verb.RESOLVED, Verb.REOPENED, Verb.FALSE_ALARM, Verb.MERGED})
PAGE = 100
_LONGEST_KEY = 18


class Only(TextChoices):
    """What of the timeline is shown."""

    ALL = "", "All"
    PUBLIC = "public", "Public"
    INTERNAL = "internal", "Internal"
    AUTOMATIC = "automatic", "Automatic"


#: Corrected notes and merges without last words are nobody's but ours: what says something in public names its update.
_AT_TIMES = frozenset({Verb.CORRECTED, Verb.MERGED})
_PUBLIC = Q(verb__in=PUBLIC_VERBS - _AT_TIMES) | Q(verb__in=_AT_TIMES, facts__has_key="update")
_WANTED = {
    Only.ALL: Q(),
    Only.PUBLIC: _PUBLIC,
    Only.INTERNAL: ~_PUBLIC & ~Q(verb__in=AUTOMATIC),
    Only.AUTOMATIC: Q(verb__in=AUTOMATIC),
}


_FINDINGS = {
    "cause": "Cause",
    "customers_hit": "Customers were hit",
    "is_significant": "Impact is significant",
    "review_asked": "A post-mortem is asked for",
}
_ANSWERS = {True: "yes", False: "no", None: "not known", "": "not known"}
_OUTCOMES: dict[bool | None, str] = {True: "it helped", False: "it did not help", None: "being tried"}
_MARKS = {"started_at": "Began", "detected_at": "Noticed", "mitigated_at": "Mitigated", "ended_at": "Stopped hurting"}


@dataclass(frozen=True)
class Line:
    """An entry as it is read. ``saying`` are the public words it stands for, as the public reads them now."""

    entry: TimelineEntry
    public: bool
    said: list[str]
    saying: Saying | None = None

    @property
    def may_be_reworded(self) -> bool:
        """Whether it is a note or a decision: their words may be put better."""
        return self.entry.verb in (Verb.NOTED, Verb.DECIDED)

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


def read(incident: Incident, asked: QueryDict, sayings: Iterable[Saying] = (), *, by: User) -> Chronicle:
    """The page that ``?only=…&before=…`` asks for; nonsense asks for the newest of all. Two queries at most."""
    wanted = asked.get("only", "")
    only = Only(wanted) if wanted in Only.values else Only.ALL
    before = _key(asked.get("before", ""))
    entries = incident.timeline.filter(_WANTED[only]).select_related("by", "corrects").order_by("-id")
    if before:
        entries = entries.filter(id__lt=before)
    found = list(entries[: PAGE + 1])
    by_update = {saying.told.public_id: saying for saying in sayings}
    lines = [_line(incident, entry, by_update) for entry in veiled(found[:PAGE], by)]
    return Chronicle(only, lines, found[PAGE - 1].pk if len(found) > PAGE else 0, before)


def _key(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= _LONGEST_KEY else 0


def _line(incident: Incident, entry: TimelineEntry, sayings: Mapping[str, Saying]) -> Line:
    ours = entry.verb in _AT_TIMES and "update" not in entry.facts
    public = entry.verb in PUBLIC_VERBS and incident.notice_id is not None and not ours
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
    told.extend([*_runbook(facts), *_findings(facts.get("findings")), *_times(facts), *(facts.get("concerns") or ())])
    return [*told, *said.of(facts, entry.verb)]


def _runbook(facts: Mapping[str, Any]) -> list[str]:
    """A line of the runbook, and what came of it (R-208)."""
    if "step" not in facts:
        return []
    if "done" in facts:
        return [f"{facts.get('name')}: {'looked at' if facts['done'] else 'to be looked at again'}"]
    return [f"{facts.get('name')}: {_OUTCOMES[facts.get('worked')]}"]


def _findings(changed: Any) -> list[str]:
    """What was found out: each answer; what was answered before it, where somebody had."""
    told = []
    # In our order: not every database keeps that of the facts.
    for name in (name for name in _FINDINGS if name in (changed or {})):
        before, after = (_answer(name, answer) for answer in changed[name])
        was = "" if before == _ANSWERS[None] or name == "review_asked" else f"{before} → "
        told.append(f"{_FINDINGS[name]}: {was}{after}")
    return told


def _answer(name: str, answer: Any) -> str:
    if name == "cause" and answer in Cause.values:
        return Cause(answer).label.lower()
    return _ANSWERS.get(answer, str(answer))


def _times(facts: Mapping[str, Any]) -> list[str]:
    """Marks that were moved: from when to when, UTC."""
    marks = [(words, facts[mark]) for mark, words in _MARKS.items() if isinstance(facts.get(mark), list)]
    return [f"{words}: {' → '.join(_minute(moment) for moment in moved)}" for words, moved in marks]


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%d %b %H:%M}"


def _levels(levels: Any) -> list[str]:
    """What components were set to, by name. A change of severity keeps the ids of its two levels under that name."""
    held = levels if isinstance(levels, dict) else {}
    return [f"{name}: {Level(level).label.lower()}" for name, level in held.items()]


def unseen(entries: Iterable[TimelineEntry], by: User) -> list[tuple[TimelineEntry, list[str]]]:
    """What happened while somebody was writing (F09)."""
    return [(entry, changes(entry)) for entry in veiled(entries, by)]
