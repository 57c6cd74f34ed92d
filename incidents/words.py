"""Words to start from: typed placeholders of templates, and the facts that fill them (R-206).

Substitution from a closed list by pattern, no attribute access and no filters: an operator's
template is data, never code (S10).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.utils import translation
from django.utils.dates import MONTHS
from django.utils.translation import gettext

from notifications.compiler import LANGUAGES
from notifications.models import Brand
from status.page import wording
from status.publishing import Draft


class Kind(StrEnum):
    """What a placeholder becomes, in the language of the words around it."""

    TEXT = "text"
    MOMENT = "moment, UTC"
    DURATION = "duration"
    COMPONENTS = "components"
    DATE = "date"
    ADDRESS = "address"


@dataclass(frozen=True)
class Placeholder:
    """What fills a name: a person where ``by_person``, otherwise the incident's own facts."""

    meaning: str
    kind: Kind = Kind.TEXT
    by_person: bool = False


#: Placeholders by name, with what fills them.
PLACEHOLDERS: dict[str, Placeholder] = {
    "issue": Placeholder("Title of the incident"),
    "description": Placeholder("What users notice", by_person=True),
    "impact": Placeholder("Affected components and how badly", Kind.COMPONENTS),
    "cause": Placeholder("What caused it", by_person=True),
    "started": Placeholder("When it began", Kind.MOMENT),
    "detected": Placeholder("When it was noticed", Kind.MOMENT),
    "duration": Placeholder("How long it has lasted", Kind.DURATION),
    "next_update": Placeholder("When you promised the next update", Kind.MOMENT),
    "resolved": Placeholder("When it stopped to hurt; while it is resolved", Kind.MOMENT),
    "resolution": Placeholder("What was done about it", by_person=True),
    "postmortem_date": Placeholder("When the post-mortem will be published", Kind.DATE, by_person=True),
    "reference": Placeholder("The number people quote"),
    "severity": Placeholder("How bad it is, as the policy calls it"),
    "brand": Placeholder("Who speaks"),
    "support": Placeholder("Where customers reach you", Kind.ADDRESS),
    "status_page": Placeholder("Where the status page is", Kind.ADDRESS),
}
#: What letters to customers may hold besides (R-803).
LETTER_PLACEHOLDERS: dict[str, Placeholder] = PLACEHOLDERS | {
    "impact": Placeholder("What they use of the affected components, and how badly", Kind.COMPONENTS),
    "update": Placeholder("The words for the public"),
}
#: What words about planned work may hold instead (R-501).
WORK_PLACEHOLDERS: dict[str, Placeholder] = {
    "issue": Placeholder("Title of the work"),
    "description": Placeholder("What changes, as it was planned"),
    "rollback": Placeholder("The way back if something goes wrong"),
    "impact": Placeholder("What goes under maintenance", Kind.COMPONENTS),
    "started": Placeholder("When it is planned to start, or began", Kind.MOMENT),
    "next_update": Placeholder("When it is planned to end", Kind.MOMENT),
    "duration": Placeholder("How long it took", Kind.DURATION),
    "brand": Placeholder("Who speaks"),
    "support": Placeholder("Where customers reach you", Kind.ADDRESS),
    "status_page": Placeholder("Where the status page is", Kind.ADDRESS),
}
#: What is known only once the incident is there; the act that declares it fills it in.
LATER = frozenset({"reference"})
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_SORRY = re.compile(
    r"\b(?:sorry|apolog\w+|regret(?:s|ted)?|entschuldig\w*|verzeih\w+|bedauer\w*"
    r"|tut\s+(?:es\s+)?(?:uns|mir)\b[^.!?\n]{0,40}\bleid|leid\s+tut)\b",
    re.IGNORECASE,
)


def find_placeholders(text: str) -> set[str]:
    """Names of all placeholders in ``text``, known or not."""
    return set(_PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put in the values that are known; other placeholders stay to be seen and filled."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1]) or match[0], text)


def without_placeholders(text: str) -> str:
    """The text with a gap for each placeholder."""
    return _PLACEHOLDER.sub("…", text)


def numbered(draft: Draft, reference: str) -> Draft:
    """The draft of an incident that has just got its number."""
    values = {"reference": reference}
    return replace(
        draft,
        body=fill(draft.body, values),
        sms=fill(draft.sms, values),
        chat=fill(draft.chat, values),
        translations={
            language: replace(
                said, body=fill(said.body, values), sms=fill(said.sms, values), chat=fill(said.chat, values)
            )
            for language, said in draft.translations.items()
        },
    )


def check_filled(text: str) -> None:
    """Raise ``ValidationError`` naming every placeholder that is left (R-206, R-111)."""
    left = sorted(find_placeholders(text))
    if left or "{{" in text or "}}" in text:
        named = ", ".join("{{" + name + "}}" for name in left) or "{{ or }}"
        raise ValidationError(
            "Fill in or remove %(left)s before publishing.", code="placeholder_left", params={"left": named}
        )


def check_known(text: str, known: Iterable[str] = tuple(PLACEHOLDERS)) -> None:
    """Raise ``ValidationError`` when a template names a placeholder that nothing fills."""
    known = list(known)
    unknown = sorted(find_placeholders(text) - set(known))
    if unknown:
        raise ValidationError(
            "Nothing fills %(unknown)s. Known are: %(known)s.",
            code="unknown_placeholder",
            params={
                "unknown": ", ".join("{{" + name + "}}" for name in unknown),
                "known": ", ".join("{{" + name + "}}" for name in known),
            },
        )


def check_voice(text: str, brand: Brand) -> None:
    """Raise ``ValidationError`` when the words are not how ``brand`` speaks: apologies, causes (R-111).

    Apologies are known in every language of ``LANGUAGES``.
    """
    sorry = None if brand.apologise else _SORRY.search(text)
    if sorry:
        raise ValidationError(
            "%(brand)s does not apologise in its messages. Please change “%(word)s”.",
            code="apology",
            params={"brand": brand.name, "word": sorry[0]},
        )
    if not brand.publish_causes and "cause" in find_placeholders(text):
        raise ValidationError(
            "%(brand)s does not publish causes. Remove {{cause}} from the text.",
            code="cause",
            params={"brand": brand.name},
        )


@dataclass(frozen=True)
class Facts:
    """What is known while words are being written; blank: not known.

    ``levels`` are (component, level) as ``status.enums.Level`` labels them; moments are UTC. ``at`` is the
    end of what ``duration`` counts.
    """

    title: str = ""
    levels: Iterable[tuple[str, str]] = field(default_factory=tuple)
    started_at: datetime | None = None
    detected_at: datetime | None = None
    at: datetime | None = None
    resolved_at: datetime | None = None
    next_update_by: datetime | None = None
    reference: str = ""
    severity: str = ""
    brand: str = ""
    support: str = ""
    status_page: str = ""

    def as_values(self, language: str = LANGUAGES[0]) -> dict[str, str]:
        """Placeholder values that the facts give; what only a person knows is not among them."""
        moments = {
            "started": self.started_at,
            "detected": self.detected_at,
            "resolved": self.resolved_at,
            "next_update": self.next_update_by,
        }
        values = {
            "issue": self.title,
            "impact": sentence(self.levels, language),
            "reference": self.reference,
            "severity": self.severity,
            "brand": self.brand,
            "support": self.support,
            "status_page": self.status_page,
        }
        values |= {name: moment(at, language) for name, at in moments.items() if at}
        if self.started_at and self.at:
            values["duration"] = elapsed(self.at - self.started_at, language)
        return {name: value for name, value in values.items() if value}


def moment(at: datetime, language: str = "en") -> str:
    """``14:05 UTC on 20 November 2026``: as public words name a moment; ``at`` is aware, UTC."""
    if language == "de":
        return f"{at:%H:%M} UTC am {day(at, language)}"
    return f"{at:%H:%M} UTC on {day(at, language)}"


def day(on: date, language: str = "en") -> str:
    """``20 November 2026``."""
    with translation.override(language):
        month = str(MONTHS[on.month])
    return f"{on.day}{'.' if language == 'de' else ''} {month} {on.year}"


def elapsed(span: timedelta, language: str = "en") -> str:
    """A duration in words: ``1 hour 5 minutes``, ``2 days 3 hours``; at least a minute."""
    # The header of the public page says it in the same words.
    told = wording.elapsed(span)
    if language != "de":
        return told
    return _ENGLISH_UNIT.sub(lambda unit: _GERMAN_UNITS[unit[0]], told)


#: As after "dauerte" and "Dauer:"; after "nach" days would be called differently, so templates do without it.
_GERMAN_UNITS = {
    "minute": "Minute",
    "minutes": "Minuten",
    "hour": "Stunde",
    "hours": "Stunden",
    "day": "Tag",
    "days": "Tage",
}
_ENGLISH_UNIT = re.compile(r"[a-z]+")
_AND = {"en": "and", "de": "und"}


def sentence(levels: Iterable[tuple[str, str]], language: str = "en") -> str:
    """``API (major outage) and Payments (degraded performance)``: components with their levels, in words."""
    with translation.override(language):
        told = [f"{name} ({_within(gettext(level))})" for name, level in levels]
    if len(told) < 2:
        return "".join(told)
    return f"{', '.join(told[:-1])} {_AND.get(language, _AND['en'])} {told[-1]}"


def _within(label: str) -> str:
    """A label within a sentence; nouns after the first word keep their capitals."""
    return label[:1].lower() + label[1:]
