"""What speaks against an act, beside the form of it, and the reason for doing it all the same (R-1303)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.functional import cached_property

from incidents.guard import Concern

from .base import words

WHY = "Say why all the same, or put it right first. The timeline keeps the reason with the warning."


class Weighed(forms.Form):
    """A form whose act may contradict what the page says: it asks why, where there is anything to ask about."""

    override = words("Why all the same?", rows=2, longest=1000, required=False)

    #: What the act itself objected to, where the books changed since the form was read.
    objections: tuple[str, ...] = ()

    def weigh(self) -> Iterable[Concern]:
        """What speaks against it as far as the form is filled in."""
        return ()

    @cached_property
    def found(self) -> tuple[str, ...]:
        return tuple(concern.words for concern in self.weigh())

    @property
    def concerns(self) -> tuple[str, ...]:
        return self.objections or self.found

    @property
    def excuse(self) -> str:
        """The reason, to pass to the act; call on a valid form only."""
        return str(self.cleaned_data.get("override", "")).strip()

    def object_to(self, concerns: Iterable[str]) -> None:
        """The act refused: show what it objected to, and ask why."""
        self.objections = tuple(concerns)
        if "override" not in self.errors:
            self.add_error("override", WHY)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "override" in cleaned and self.asks_why and self.found and not self.excuse:
            self.add_error("override", WHY)
        return cleaned

    @property
    def asks_why(self) -> bool:
        """Whether the form is at the point where a reason is needed."""
        return True
