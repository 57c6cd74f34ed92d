"""Corrected words in the languages that the old ones were told in (R-205, R-206)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from incidents.words import check_filled, check_voice
from notifications.lint import problems_in
from status.markup import check_links
from status.models import NoticeUpdate
from status.translations import Translation

from .base import words
from .telling import TellingForm
from .translating import Rendition, name_of


@dataclass(frozen=True)
class Retold:
    """One language of a correction as its page shows it; ``was`` are the words that are out."""

    language: str
    name: str
    was: str
    body: forms.BoundField
    checked: forms.BoundField


class Retranslating(TellingForm):
    """Fields for the languages that ``update`` was told in.

    What nobody changed or ticked is told no more: its readers get the corrected original, never old words.
    """

    update: NoticeUpdate

    def add_languages(self) -> None:
        for language, said in self.update.translations.items():
            name = name_of(language)
            field = words(f"The corrected words in {name}", rows=7, required=False, initial=said["body"])
            field.widget.attrs["lang"] = language
            self.fields[f"body_{language}"] = field
            self.fields[f"checked_{language}"] = forms.BooleanField(
                label=f"The words in {name} still fit as they are", required=False
            )

    @property
    def translations(self) -> dict[str, Translation]:
        """The corrected words in other languages, to pass to the act."""
        found = {}
        for language, said in self.update.translations.items():
            body = str(self.known(f"body_{language}") or "").replace("\r\n", "\n").strip()
            if body and (body != said["body"].strip() or self.known(f"checked_{language}")):
                found[language] = Translation(body)
        return found

    def rendition(self, language: str) -> Rendition:
        """What becomes of one language, for the preview."""
        if told := self.translations.get(language):
            return Rendition(told)
        said = self.update.translations.get(language)
        return Rendition(Translation(said["body"]), stale=True) if said else Rendition()

    @property
    def retold(self) -> list[Retold]:
        """Every language of the old words, for the page."""
        return [
            Retold(language, name_of(language), said["body"], self[f"body_{language}"], self[f"checked_{language}"])
            for language, said in self.update.translations.items()
        ]

    def check_languages(self, cleaned: Mapping[str, Any]) -> None:
        """Refuse words in another language that may not go out as they are (R-111). One query, if there are any."""
        said = {f"body_{language}": one.body for language, one in self.translations.items()}
        if not said or self.brand is None:
            return
        for name, text in said.items():
            self._try(name, check_filled, text)
            self._try(name, check_links, text)
            self._try(name, check_voice, text, self.brand)
        for name, problems in problems_in(self.brand, said).items():
            self.add_error(name, forms.ValidationError(problems, code="unsendable"))

    def _try(self, name: str, check: Callable[..., None], *args: object) -> None:
        try:
            check(*args)
        except forms.ValidationError as refused:
            self.add_error(name, refused)
