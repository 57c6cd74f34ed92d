"""Words to start from: placeholders of templates and the facts that fill them (R-206).

Substitution from a closed list by pattern, no attribute access and no filters: an operator's
template is data, never code (S10).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError

from notifications.models import Brand
from status.page import wording

#: Placeholders by name, with what fills them.
PLACEHOLDERS: dict[str, str] = {
    "issue": "Title of the incident",
    "description": "What users notice, in your words",
    "impact": "Affected components and how badly",
    "cause": "What caused it, in your words",
    "started": "When it began, UTC",
    "duration": "How long it has lasted",
    "next_update": "When you promised the next update, UTC",
    "resolution": "What was done about it, in your words",
    "postmortem_date": "When the post-mortem will be published, in your words",
}
#: What letters to customers may hold besides (R-803).
LETTER_PLACEHOLDERS: dict[str, str] = PLACEHOLDERS | {
    "impact": "What they use of the affected components, and how badly",
    "update": "The words for the public",
    "support": "Where customers reach you",
}
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_SORRY = re.compile(r"\b(?:sorry|apolog\w+)\b", re.IGNORECASE)


def find_placeholders(text: str) -> set[str]:
    """Names of all placeholders in ``text``, known or not."""
    return set(_PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put in the values that are known; other placeholders stay to be seen and filled."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1]) or match[0], text)


def check_filled(text: str) -> None:
    """Raise ``ValidationError`` naming every placeholder that is left (R-206, R-111)."""
    left = sorted(find_placeholders(text))
    if left or "{{" in text or "}}" in text:
        named = ", ".join("{{" + name + "}}" for name in left) or "{{ or }}"
        raise ValidationError(
            "Fill in or remove %(left)s before publishing.", code="placeholder_left", params={"left": named}
        )


def check_known(text: str, known: Mapping[str, str] = PLACEHOLDERS) -> None:
    """Raise ``ValidationError`` when a template names a placeholder that nothing fills."""
    unknown = sorted(find_placeholders(text) - known.keys())
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
    """Raise ``ValidationError`` when the words are not how ``brand`` speaks: apologies, causes (R-111)."""
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
    """What is known while words are being written. ``levels`` are (component, level) in words; moments are UTC."""

    title: str = ""
    levels: Iterable[tuple[str, str]] = field(default_factory=tuple)
    started_at: datetime | None = None
    at: datetime | None = None
    next_update_by: datetime | None = None

    def as_values(self) -> dict[str, str]:
        """Placeholder values that the facts give; what only a person knows is not among them."""
        values = {"issue": self.title, "impact": sentence(self.levels)}
        if self.started_at:
            values["started"] = moment(self.started_at)
        if self.started_at and self.at:
            values["duration"] = elapsed(self.at - self.started_at)
        if self.next_update_by:
            values["next_update"] = moment(self.next_update_by)
        return {name: value for name, value in values.items() if value}


def moment(at: datetime) -> str:
    """``14:05 UTC on 20 November 2026``: as public words name a moment; ``at`` is aware, UTC."""
    return f"{at:%H:%M} UTC on {at.day} {at:%B %Y}"


def elapsed(span: timedelta) -> str:
    """A duration in words: ``1 hour 5 minutes``, ``2 days 3 hours``; at least a minute."""
    # The header of the public page says it in the same words.
    return wording.elapsed(span)


def sentence(levels: Iterable[tuple[str, str]]) -> str:
    """``API (major outage) and Payments (degraded performance)``: components with their levels, in words."""
    told = [f"{name} ({level.lower()})" for name, level in levels]
    if len(told) < 2:
        return "".join(told)
    return f"{', '.join(told[:-1])} and {told[-1]}"
