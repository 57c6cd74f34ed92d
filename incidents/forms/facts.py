"""Facts for the severity assistant, beside the choice of a level (R-110)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from incidents import assistant
from incidents.assistant import Proposal, Value
from incidents.enums import Fact
from incidents.models import Severity

PREFIX = "fact_"
#: The button without a script: its value names the level to use.
USE = "use:"


class FactField(forms.Field):
    """Cleans to what ``assistant.read`` makes of it; blank: not known."""

    def __init__(self, fact: Fact) -> None:
        self.fact = fact
        super().__init__(required=False, label=fact.label, widget=_widget(fact))

    def to_python(self, value: Any) -> Value | None:
        if value in (None, ""):
            return None
        try:
            return assistant.read(self.fact, value)
        except assistant.FactError as error:
            raise forms.ValidationError(str(error)) from error


@dataclass(frozen=True)
class Question:
    """A fact with its field; ``hidden`` while the policy in question does not judge by it."""

    fact: Fact
    field: forms.BoundField
    hidden: bool


class Assisted(forms.Form):
    """A form with a field ``severity`` that asks for facts beside it: call ``ask_facts`` in its ``__init__``."""

    known_levels: Sequence[Severity] = ()

    def ask_facts(self, levels: Sequence[Severity]) -> None:
        """A field for each fact that any of ``levels`` is judged by; their ``criteria`` are loaded."""
        self.known_levels = levels
        for fact in assistant.asks(assistant.candidate(level) for level in levels):
            self.fields[PREFIX + fact.value] = FactField(fact)

    @property
    def in_question(self) -> Severity | None:
        """The level chosen so far: its policy answers."""
        chosen = str(self["severity"].value())
        found = (level for level in self.known_levels if str(level.pk) == chosen)
        return next(found, next(iter(self.known_levels), None))

    @property
    def questions(self) -> list[Question]:
        asked = assistant.asks(self._candidates)
        names = [name for name in self.fields if name.startswith(PREFIX)]
        facts = [Fact(name.removeprefix(PREFIX)) for name in names]
        return [Question(fact, self[PREFIX + fact.value], fact not in asked) for fact in facts]

    @property
    def answers(self) -> dict[Fact, Value]:
        """The facts that were given and can be read."""
        cleaned = getattr(self, "cleaned_data", {})
        return {fact: cleaned[PREFIX + fact] for fact in Fact if cleaned.get(PREFIX + fact) is not None}

    @property
    def proposal(self) -> Proposal | None:
        """What the policy in question says to the answers; None: there are none."""
        return assistant.propose(self.answers, self._candidates) if self.answers else None

    @property
    def unfolded(self) -> bool:
        """Whether something was answered, rightly or not."""
        return bool(self.answers) or any(question.field.errors for question in self.questions)

    @property
    def advice(self) -> dict[str, Any] | None:
        """What the timeline keeps of it, as plain JSON; None: nobody asked the assistant."""
        proposal = self.proposal
        if proposal is None:
            return None
        said = {"rule": proposal.rule, "gap": proposal.gap, "edge": proposal.edge}
        return {
            "facts": {fact.value: assistant.stored(value) for fact, value in self.answers.items()},
            "proposed": proposal.level.name if proposal.level else None,
        } | {name: words for name, words in said.items() if words}

    @property
    def _candidates(self) -> list[assistant.Candidate]:
        level = self.in_question
        beside = [one for one in self.known_levels if level and one.version_id == level.version_id]
        return [assistant.candidate(one) for one in beside]


def with_used(data: Any) -> Any:
    """What was sent, with the proposed level chosen where its button was pressed without a script."""
    pressed = data.get("_preview", "") if data else ""
    if not pressed.startswith(USE):
        return data
    data = data.copy()
    data["severity"] = pressed.removeprefix(USE)
    return data


def _widget(fact: Fact) -> forms.Widget:
    if fact in assistant.VOCABULARY:
        return forms.Select(choices=[("", "Not known"), *assistant.VOCABULARY[fact].items()])
    return forms.TextInput({"inputmode": "decimal", "autocomplete": "off", "placeholder": "Not known"})
