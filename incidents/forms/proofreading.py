"""Words that may not go out, refused at the field that can put them right (R-111, R-206)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from incidents.words import check_filled, check_voice, fill, find_placeholders, without_placeholders
from notifications.lint import problems_in
from notifications.validators import prose
from status.markup import check_links
from status.publishing import Draft

from .translating import BLANK, Translating, fields_of_words, longest_of


class Proofread(Translating):
    """Words of one act in every language, checked as they would go out.

    ``fed`` are placeholders that other fields fill, with the field and what is asked for there.
    """

    fed: Mapping[str, tuple[str, str]] = {}

    def check_words(self, cleaned: Mapping[str, Any]) -> None:
        """Refuse what may not go out; call where the act speaks in public. At most three queries."""
        draft = self.draft()
        if "body" in cleaned and not draft.body:
            self.add_error("body", ValidationError("Say something: these words are what customers read.", "required"))
        self.check_languages(cleaned)
        self._check_blanks()
        said = {name: text for name, text in self.texts(draft).items() if name in cleaned}
        for name, text in said.items():
            self._check_text(name, text)
        self._check_sendable(said)

    def texts(self, draft: Draft) -> dict[str, str]:
        """Everything that is told, by the field it comes from."""
        found = {"body": draft.body, "sms": draft.sms, "chat": draft.chat}
        for language, said in draft.translations.items():
            found |= zip(fields_of_words(language), (said.body, said.sms, said.chat), strict=True)
        return found

    def _check_blanks(self) -> None:
        """What is wrong with a blank is said there, not at the words that it fills."""
        for name in self._blanks():
            text = self.text(name)
            self._try(name, check_links, text)
            if self.brand:
                self._try(name, check_voice, text, self.brand)

    def _blanks(self) -> list[str]:
        """Names of the fields for blanks that are filled."""
        return [name for name in self.fields if name.startswith("blank_") and self.text(name)]

    def _check_text(self, name: str, text: str) -> None:
        try:
            prose(text)
            if not name.startswith(("sms", "chat")):
                # Text messages and rooms are plain: only what is rendered can lose a target.
                check_links(text)
            if self.brand and text:
                # As written: causes have a placeholder. What blanks say is complained about there.
                check_voice(self.text(name), self.brand)
            check_filled(self._without_named(fill(text, dict.fromkeys(self.later, "…"))))
        except ValidationError as refused:
            self.add_error(name, refused)
        if len(text) > longest_of(name):
            words = f"With everything filled in this has {len(text):,} characters; {longest_of(name):,} fit."
            self.add_error(name, ValidationError(words, "too_long"))

    def _try(self, name: str, check: Callable[..., None], *args: object) -> None:
        try:
            check(*args)
        except ValidationError as refused:
            self.add_error(name, refused)

    def _without_named(self, text: str) -> str:
        """The text without those placeholders that were complained about where they can be filled."""
        for left in sorted(find_placeholders(text)):
            blank = f"blank_{left}"
            field, ask = (blank, BLANK) if blank in self.fields else self.fed.get(left, ("", ""))
            if field not in self.fields:
                continue
            if field not in self.errors and not (field == "promise" and "promise_at" in self.errors):
                self.add_error(field, ValidationError(ask.format(f"{{{{{left}}}}}"), "placeholder_left"))
            text = fill(text, {left: "…"})
        return text

    def _check_sendable(self, said: Mapping[str, str]) -> None:
        """What R-111 refuses, at the field it stands in: of blanks and title there, not where they are put in too."""
        if self.brand is None:
            return
        sources = {name: self.text(name) for name in self._blanks()} | {"title": str(self.known("title") or "")}
        texts = sources | {name: without_placeholders(text) for name, text in said.items()}
        blamed: set[str] = set()
        for name, problems in problems_in(self.brand, texts).items():
            field = name if name in self.fields else "body"
            for problem in problems:
                if name in sources or problem not in blamed:
                    self.add_error(field, ValidationError(problem, "unsendable"))
            blamed |= set(problems) if name in sources else set()
