"""Public words in other languages: stored beside the original, told to those who asked for them (R-206).

Whoever reads a language that is missing reads the original; no text is ever half in one, half in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils import translation
from django.utils.translation import gettext

from status.enums import Phase
from status.markup import Words, render

#: As ``NoticeUpdate.translations`` holds them: ``{"de": {"body", "html", "text", "sms", "chat"}}``.
Stored = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Translation:
    """The words of an update in one language. ``body`` is Markdown; ``sms`` and ``chat`` blank: made from it."""

    body: str
    sms: str = ""
    chat: str = ""

    @property
    def words(self) -> Words:
        return render(self.body)


def to_store(translations: Mapping[str, Translation]) -> Stored:
    """As they are kept with an update: rendered once, when they are published."""
    return {
        language: {
            "body": said.body,
            "html": said.words.html,
            "text": said.words.text,
            "sms": said.sms,
            "chat": said.chat,
        }
        for language, said in translations.items()
    }


def of_line(stored: Mapping[str, Mapping[str, str]]) -> Stored:
    """What a message shows of them, as ``notifications.stories.Line`` has it."""
    return {language: {"text": said["text"], "html": said["html"]} for language, said in stored.items()}


def from_store(stored: Mapping[str, Mapping[str, str]]) -> dict[str, Translation]:
    """The words again. What phones and rooms read is made anew: it told of another moment."""
    return {language: Translation(said["body"]) for language, said in stored.items()}


def of_story(translations: Mapping[str, Translation], phase: Phase, title: str, url: str, longest: int) -> Stored:
    """What phones and rooms read of them, as ``notifications.stories.Story`` has it."""
    return {
        language: {
            "sms": said.sms or in_short(phase, title, said.words.text, url, longest, language),
            "chat": said.chat,
        }
        for language, said in translations.items()
    }


def in_short(phase: Phase, title: str, text: str, url: str, longest: int, language: str = "en") -> str:
    """The words of a text message when the operator wrote none: as much as fits, then the address."""
    with translation.override(language):
        standing = gettext(phase.label)
    told = f"{standing}: {title}. {' '.join(text.split())}"
    room = longest - len(url) - 1
    if len(told) > room:
        # Three full stops: their one character would cost a text half of its room.
        told = told[: room - 3].rsplit(" ", 1)[0] + "..."
    return f"{told} {url}".strip()
