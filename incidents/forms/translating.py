"""The same words in other languages: fields of their own, told whole or not at all (R-206)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from django.utils.translation import get_language_info

from incidents import phrases
from incidents.models import UpdateTemplate
from incidents.words import LATER, fill, find_placeholders
from notifications.compiler import LANGUAGES
from status.publishing import CHAT_LENGTH, SMS_LENGTH
from status.translations import Translation

from .base import LONGEST, line, words
from .telling import TellingForm

#: What public words can be put into besides the first language, in which they are written.
OTHERS = LANGUAGES[1:]
#: Blanks that only a person can fill; each has a field of its own, shown while the words ask for it.
DATE = "postmortem_date"
BLANKS = {
    "description": "What users notice",
    "cause": "What caused it",
    "resolution": "What was done about it",
    DATE: "When the post-mortem will be published",
}
BLANK = "The words ask for {}. Fill it in here, or remove it from the text."


@dataclass(frozen=True)
class Rendition:
    """What becomes of the words in one language.

    ``missing``: placeholders that nothing fills; ``stale``: the original was changed, and nobody said that
    these still say the same; ``touched``: a person wrote or filled in something here.
    """

    words: Translation | None = None
    missing: frozenset[str] = frozenset()
    stale: bool = False
    touched: bool = False

    @property
    def goes(self) -> bool:
        """Whether its readers get it; otherwise they get the original."""
        return self.words is not None and not self.missing and not self.stale

    @property
    def why_not(self) -> str:
        """Why its readers get the original, in words; empty: they do not."""
        if self.goes:
            return ""
        if self.words is None:
            return "there are no words"
        if self.stale:
            return "the original was changed; check these words, then tick that they still fit"
        verb = "is" if len(self.missing) == 1 else "are"
        return f"{', '.join('{{' + name + '}}' for name in sorted(self.missing))} {verb} not filled in"


@dataclass(frozen=True)
class Tongue:
    """One language as the page of the form shows it."""

    language: str
    name: str
    body: forms.BoundField
    sms: forms.BoundField
    chat: forms.BoundField
    checked: forms.BoundField
    blanks: list[tuple[str, forms.BoundField, bool]]
    rendition: Rendition

    @property
    def opened(self) -> bool:
        """Whether its words are shown at once: there is something to look at."""
        fields = [self.body, self.sms, self.chat, self.checked]
        return self.rendition.stale or any(field.errors for field in fields)


class Translating(TellingForm):
    """Fields for every language of ``OTHERS``, and what becomes of them.

    ``typed`` are the placeholders that only a person can put into another language, with what they stand for.
    """

    templates: list[UpdateTemplate]
    typed: Mapping[str, str] = BLANKS

    def as_values(self, language: str = LANGUAGES[0]) -> dict[str, str]:
        """Everything that fills a placeholder in a language. Each form knows facts of its own."""
        raise NotImplementedError(f"{type(self).__name__} does not say what fills its words.")

    def add_languages(self) -> None:
        """Add the fields; their first values are in ``initial`` already."""
        for language in OTHERS:
            name = name_of(language)
            self.fields[f"body_{language}"] = words(f"Words in {name}", rows=9, required=False)
            self.fields[f"sms_{language}"] = words(
                f"Text message in {name}", rows=2, longest=SMS_LENGTH, required=False
            )
            self.fields[f"chat_{language}"] = words(
                f"Chat message in {name}", rows=3, longest=CHAT_LENGTH, required=False
            )
            self.fields[f"checked_{language}"] = forms.BooleanField(
                label="I checked it: it says the same as the original", required=False
            )
            for blank, label in self.typed.items():
                self.fields[f"blank_{blank}_{language}"] = blank_field(blank, f"{label}, in {name}")
            for field in [field for field in self.fields if field.endswith(f"_{language}")]:
                self.fields[field].widget.attrs["lang"] = language

    @cached_property
    def starts(self) -> dict[int, dict[str, str]]:
        """What choosing each template writes, by its id; 0: words of our own, which need no template."""
        return {template.pk: phrases.start(template, OTHERS) for template in self.templates}

    @property
    def offers(self) -> list[phrases.Offer]:
        """The templates, for the page."""
        return phrases.offers(self.templates)

    def text(self, name: str) -> str:
        """What stands in a field of words, with plain line ends."""
        return str(self.known(name) or "").replace("\r\n", "\n").strip()

    def is_offered(self, name: str) -> bool:
        """Whether a field holds just what a template wrote there."""
        written = self.text(name)
        return bool(written) and any(written == start[name].strip() for start in self.starts.values())

    def short(self, name: str, values: Mapping[str, str], original: str = "") -> str:
        """The words for phones or rooms. A template's own that nobody touched are used when they can be filled, and
        never in the way: blank, they are made from the words for the public. ``original`` names the field that they
        translate: where that is not a template's any more, its translation does not fit either.
        """
        filled = fill(self.text(name), values).strip()
        unfit = bool(find_placeholders(filled) - self.later) or bool(original and not self.is_offered(original))
        return "" if unfit and self.is_offered(name) else filled

    @property
    def later(self) -> frozenset[str]:
        """Placeholders that the act fills in."""
        return frozenset() if self.incident else LATER

    def rendition(self, language: str) -> Rendition:
        """What becomes of the words in ``language``, as far as they are filled."""
        written = self.text(f"body_{language}")
        if not written:
            return Rendition()
        values = self.as_values(language)
        said = Translation(
            fill(written, values).strip(),
            self.short(f"sms_{language}", values, "sms"),
            self.short(f"chat_{language}", values, "chat"),
        )
        left = {name for text in (said.body, said.sms, said.chat) for name in find_placeholders(text)}
        return Rendition(said, frozenset(left - self.later), self._is_stale(language), self._is_touched(language))

    @property
    def translations(self) -> dict[str, Translation]:
        """The languages that are told, each whole."""
        found = {language: self.rendition(language) for language in OTHERS}
        return {language: one.words for language, one in found.items() if one.goes and one.words}

    def _is_stale(self, language: str) -> bool:
        """The words are a template's, but the original is no longer what they translate."""
        name = f"body_{language}"
        if not self.is_offered(name) or self.known(f"checked_{language}"):
            return False
        body, said = self.text("body"), self.text(name)
        return not any(start["body"] == body and start[name] == said for start in self.starts.values())

    def _is_touched(self, language: str) -> bool:
        if self.known(f"checked_{language}"):
            return True
        if any(self.text(name) and not self.is_offered(name) for name in fields_of_words(language)):
            return True
        blanks = (f"blank_{blank}_{language}" for blank in self.typed)
        return any(self.text(name) not in ("", self.initial.get(name, "")) for name in blanks)

    @property
    def tongues(self) -> list[Tongue]:
        """Every other language, for the page."""
        return [self._tongue(language) for language in OTHERS]

    def _tongue(self, language: str) -> Tongue:
        body, sms, chat = (self[name] for name in fields_of_words(language))
        asked = find_placeholders(" ".join(str(field.value() or "") for field in (body, sms, chat)))
        blanks = [(blank, self[f"blank_{blank}_{language}"]) for blank in self.typed]
        return Tongue(
            language,
            name_of(language),
            body,
            sms,
            chat,
            self[f"checked_{language}"],
            [(blank, field, blank in asked or bool(field.errors)) for blank, field in blanks],
            self.rendition(language),
        )

    def check_languages(self, cleaned: Mapping[str, Any]) -> None:
        """Refuse a language that a person wrote in and that could not be told; what nobody touched is left out."""
        for language in OTHERS:
            rendition = self.rendition(language)
            if rendition.touched and rendition.stale:
                words_ = "The original was changed. Tick that these words still fit it, or change or empty them."
                self.add_error(f"checked_{language}", ValidationError(words_, "stale"))
            elif rendition.touched:
                self._ask_for(rendition.missing, language)

    def _ask_for(self, missing: frozenset[str], language: str) -> None:
        for name in sorted(missing):
            field = f"blank_{name}_{language}" if name in self.typed else f"body_{language}"
            self.add_error(field, ValidationError(BLANK.format(f"{{{{{name}}}}}"), "placeholder_left"))


def own_words(words_: Mapping[str, str]) -> dict[str, str]:
    """Words of our own by language, as ``phrases.start`` has those of a template; phones and rooms read the same."""
    found = {"body": words_.get(LANGUAGES[0], ""), "sms": "", "chat": ""}
    for language in OTHERS:
        found |= dict.fromkeys(fields_of_words(language), "") | {f"body_{language}": words_.get(language, "")}
    return found


def fields_of_words(language: str) -> tuple[str, str, str]:
    """The fields of one language that hold words."""
    return f"body_{language}", f"sms_{language}", f"chat_{language}"


def longest_of(field: str) -> int:
    """How long the words of a field may be with everything filled in."""
    kind = field.partition("_")[0]
    return {"sms": SMS_LENGTH, "chat": CHAT_LENGTH}.get(kind, LONGEST)


def blank_field(blank: str, label: str) -> forms.CharField:
    """The field in which a person fills a placeholder."""
    if blank == DATE:
        return line(label, longest=120, required=False)
    return words(label, rows=2, longest=1000, required=False)


def name_of(language: str) -> str:
    """What we call a language: ``German``."""
    return str(get_language_info(language)["name"])
