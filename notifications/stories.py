"""What is told: a story for many, a letter for one, ready for any wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Line:
    """One update as a message shows it. Moments are ISO 8601, UTC; ``html`` is already harmless.

    ``translations`` has the same words by language: ``{"de": {"text": …, "html": …}}``; a reader of a language
    that is missing gets ``text`` and ``html``, which are in the first of ``compiler.LANGUAGES``.
    """

    phase: str
    posted_at: str
    text: str
    html: str
    corrected_at: str | None = None
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """Public words about one notice, ready for any wire. All moments are ISO 8601 in UTC.

    ``lines`` holds every update so far, newest first: a mail carries the whole timeline, so that
    a newer one may overtake unsent older ones (F12).
    """

    title: str
    reference: str
    phase: str
    over: bool
    url: str
    started_at: str
    next_update_by: str | None
    components: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    sms: str = ""
    #: For chat rooms; blank: they read the newest line.
    chat: str = ""
    #: What phones and rooms read in other languages: ``{"de": {"sms": …, "chat": …}}``; blank as above.
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: The body of a webhook (statuspage-v2.md 5.10) as JSON text, whose keys have an order; without ``meta``,
    #: which differs by endpoint.
    hook: str = ""
    #: From when to when a maintenance is planned.
    planned: tuple[str, str] | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Letter:
    """Words for one person, as paragraphs, with at most one button to press; ``sms`` is what a phone gets.

    ``reference`` names the incident it is about, for letters to customers.
    """

    heading: str
    paragraphs: tuple[str, ...]
    button: str = ""
    url: str = ""
    sms: str = ""
    reference: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Digest:
    """The news of a day for people who want one mail; ``stories`` newest first, each with its newest line only."""

    stories: tuple[Story, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
