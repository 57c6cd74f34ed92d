"""Templates in the console: which placeholders there are, what is refused, how they read with sample facts (R-206)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget

from incidents import words
from incidents.models import UpdateTemplate
from notifications.compiler import LANGUAGES
from notifications.lint import Unsendable, lint, problems_in
from notifications.segments import Sms, plainly
from status.enums import OPEN_PHASES, Level, Phase
from status.markup import Words, check_links, render

from .policy_forms import CleanText

#: An incident that never was, to read templates by.
_SAMPLE = words.Facts(
    title="Checkout is failing",
    levels=[("API", Level.MAJOR.label), ("Checkout", Level.DEGRADED.label)],
    started_at=datetime(2026, 11, 20, 14, 5, tzinfo=UTC),
    detected_at=datetime(2026, 11, 20, 14, 9, tzinfo=UTC),
    at=datetime(2026, 11, 20, 15, 10, tzinfo=UTC),
    resolved_at=datetime(2026, 11, 20, 15, 10, tzinfo=UTC),
    next_update_by=datetime(2026, 11, 20, 14, 45, tzinfo=UTC),
    reference="INC-2026-0042",
    severity="Critical",
    brand="Northwind",
    support="support@northwind.example",
    status_page="https://status.northwind.example",
)
#: What a person would fill in, by language.
_TYPED = {
    "en": {
        "description": "Payments are declined, and orders stay in the basket.",
        "cause": "A database ran out of connections.",
        "resolution": "We gave the database more connections.",
    },
    "de": {
        "description": "Zahlungen werden abgelehnt, Bestellungen bleiben im Warenkorb.",
        "cause": "Einer Datenbank gingen die Verbindungen aus.",
        "resolution": "Wir haben der Datenbank mehr Verbindungen gegeben.",
    },
}
#: What is planned, as a person says it.
_PLANNED = {
    "en": {"description": "The database moves to a newer version.", "rollback": "We go back to the old version."},
    "de": {
        "description": "Die Datenbank bekommt eine neue Version.",
        "rollback": "Wir kehren zur alten zurück.",
    },
}
_REVIEW = datetime(2026, 11, 27, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """A template with sample facts in it, as each channel would carry it."""

    language: str
    words: Words
    sms: Sms | None
    chat: str


def sample_values(language: str) -> dict[str, str]:
    """What fills every placeholder of a sample, in a language."""
    typed = _TYPED.get(language, _TYPED["en"])
    return _SAMPLE.as_values(language) | typed | {"postmortem_date": words.day(_REVIEW, language)}


def sample_work_values(language: str) -> dict[str, str]:
    """The same for a template of planned work."""
    facts = replace(_SAMPLE, title="Upgrade of the database", levels=[("API", Level.MAINTENANCE.label)])
    return facts.as_values(language) | _PLANNED.get(language, _PLANNED["en"])


def samples(template: UpdateTemplate) -> list[Sample]:
    """A template and its translations as they would read. One query."""
    return [_sample(one) for one in (template, *template.translations.order_by("language"))]


def _sample(template: UpdateTemplate) -> Sample:
    values = (sample_work_values if _is_work(template.phase) else sample_values)(template.language)
    sms = words.fill(template.sms, values)
    chat = words.fill(template.chat, values)
    return Sample(
        template.language, render(words.fill(template.body, values)), Sms(plainly(sms)) if sms else None, chat
    )


def reference() -> dict[str, Any]:
    """The table of placeholders: name, meaning, type, who fills it, and a sample in every language."""
    about = {
        "Incidents": (words.LETTER_PLACEHOLDERS, sample_values, "the incident’s own facts"),
        "Planned work": (words.WORK_PLACEHOLDERS, sample_work_values, "the plan"),
    }
    return {
        "placeholders": [
            {"what": what, "rows": [_row(name, one, values, by) for name, one in known.items()]}
            for what, (known, values, by) in about.items()
        ],
        "languages": LANGUAGES,
    }


def _row(name: str, one: words.Placeholder, values: Callable[[str], dict[str, str]], by: str) -> dict[str, Any]:
    return {
        "name": "{{" + name + "}}",
        "meaning": one.meaning,
        "kind": one.kind.value,
        "by": "a person" if one.by_person else by,
        "samples": [values(language).get(name, "") for language in LANGUAGES],
        "only_letters": name in words.LETTER_PLACEHOLDERS.keys() - words.PLACEHOLDERS.keys(),
    }


def _is_work(phase: str) -> bool:
    """Whether words of this phase are about planned work."""
    return phase not in (*OPEN_PHASES, Phase.RESOLVED)


class UpdateTemplateForm(CleanText):
    """Words to start from; only placeholders that something fills, and nothing that must not go out (R-206, R-111)."""

    class Meta:
        model = UpdateTemplate
        fields = (
            "policy", "phase", "name", "position", "brand", "language", "translates", "title", "body", "sms", "chat",
            "letter",
        )  # fmt: skip
        labels = {
            "sms": "SMS",
            "chat": "Chat message",
            "letter": "Letter to Enterprise customers",
            "translates": "Translation of",
        }
        help_texts = {
            "brand": "Takes the place of the words of the same name for every brand. Blank: for every brand.",
            "translates": "Blank: these are the original words.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"] = forms.ChoiceField(
            choices=[(code, code) for code in LANGUAGES],
            initial=LANGUAGES[0],
            widget=UnfoldAdminSelectWidget,
            help_text=f"Originals are written in {LANGUAGES[0]}.",
        )
        originals = UpdateTemplate.objects.filter(translates=None).select_related("policy")
        self.fields["translates"].queryset = originals.exclude(pk=self.instance.pk)  # type: ignore[attr-defined]

    def clean_title(self) -> str:
        return self._sound("title")

    def clean_body(self) -> str:
        check_links(self.cleaned_data["body"])
        return self._sound("body")

    def clean_sms(self) -> str:
        return self._sound("sms")

    def clean_chat(self) -> str:
        return self._sound("chat")

    def clean_letter(self) -> str:
        check_links(self.cleaned_data["letter"])
        return self._sound("letter", words.LETTER_PLACEHOLDERS)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        original: UpdateTemplate | None = cleaned.get("translates")
        if original is not None:
            self._check_translation(cleaned, original)
        elif cleaned.get("language", LANGUAGES[0]) != LANGUAGES[0]:
            self.add_error("translates", "Say what these words translate: whoever reads another language needs them.")
        if self.instance.pk and original and self.instance.translations.exists():
            self.add_error("translates", "These words have translations of their own, so they are an original.")
        brand = cleaned.get("brand")
        if brand is not None:
            self._check_brand(cleaned)
        return cleaned

    def _check_translation(self, cleaned: dict[str, Any], original: UpdateTemplate) -> None:
        if cleaned.get("language") == original.language:
            self.add_error("language", "The original is in this language. Choose the one it is translated into.")
        for name in ("policy", "phase", "brand"):
            if name in cleaned and cleaned[name] != getattr(original, name):
                self.add_error(
                    name, f"The original has {getattr(original, name) or 'none'} here; a translation has the same."
                )

    def _check_brand(self, cleaned: dict[str, Any]) -> None:
        """Whether the brand speaks like this: no other brand, apologies and causes as it likes (R-111)."""
        brand = cleaned["brand"]
        said = {name: cleaned[name] for name in ("title", "body", "sms", "chat", "letter") if cleaned.get(name)}
        bare = {name: words.without_placeholders(text) for name, text in said.items()}
        for name, problems in problems_in(brand, bare).items():
            if name not in self.errors:
                self.add_error(name, ValidationError(problems))
        for name, text in said.items():
            try:
                words.check_voice(text, brand)
            except ValidationError as refused:
                self.add_error(name, refused)

    def _sound(self, name: str, known: Iterable[str] = words.PLACEHOLDERS) -> str:
        text: str = self.cleaned_data[name]
        if _is_work(self.cleaned_data.get("phase", Phase.INVESTIGATING)):
            known = words.WORK_PLACEHOLDERS
        words.check_known(text, known)
        try:
            lint([words.without_placeholders(text)])
        except Unsendable as refused:
            raise ValidationError(refused.problems, code="unsendable") from refused
        return text
