"""Writing public words: a template to start from, its blanks, the promise of the next update (R-206, R-1301)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property

from incidents import clock, letters, phrases
from incidents.models import Severity, UpdateTemplate
from incidents.words import PLACEHOLDERS, Facts, fill, find_placeholders
from notifications.compiler import LANGUAGES
from notifications.outbox import Story
from status import publishing
from status.enums import OPEN_PHASES, Level, Phase
from status.models import Component
from status.publishing import CHAT_LENGTH, SMS_LENGTH, Draft

from .base import words
from .moments import Moment
from .proofreading import Proofread
from .severities import cadence, day_of_review, owed_review
from .translating import BLANKS, DATE, OTHERS, blank_field

#: Placeholders that other fields fill, with what is asked for there.
FED = {
    "issue": ("title", "The words ask for {}. Give it a title, or remove it from the text."),
    "impact": ("levels", "The words ask for {}. Mark what is affected, or remove it from the text."),
    "started": ("started_at", "The words ask for {}. Say when it began, or remove it from the text."),
    "detected": ("detected_at", "The words ask for {}. Say when it was noticed, or remove it from the text."),
    "duration": ("started_at", "The words ask for {}. Say when it began, or remove it from the text."),
    "next_update": ("promise", "The words ask for {}. Choose a time, or remove it from the text."),
}
#: Minutes until the next update that are offered besides what the policy asks for.
CHIPS = (15, 30, 60)
AT, NONE = "at", "none"


class ComposerForm(Proofread):
    """Words for the public, with everything that fills them.

    ``templates`` are what may be chosen from; ``level`` is the severity whose cadence is promised
    by default. A subclass without ``promise`` or ``phase`` leaves the fields out.
    """

    phases: tuple[Phase, ...] = OPEN_PHASES
    promises = True
    fed = FED

    template = forms.ModelChoiceField(UpdateTemplate.objects.none(), required=False, label="Start from")
    body = words("Words for the public", rows=9, required=False)
    sms = words("Text message", rows=2, longest=SMS_LENGTH, required=False)
    chat = words("Chat message", rows=3, longest=CHAT_LENGTH, required=False)
    own_letter = words("Letter to Enterprise customers", rows=9, required=False)

    def __init__(
        self, data: Any = None, *, templates: Iterable[UpdateTemplate], level: Severity | None, **options: Any
    ) -> None:
        # Only a resolution says when a post-mortem follows, and only if one is owed.
        incident = options.get("incident") if Phase.RESOLVED in self.phases else None
        review = owed_review(level, incident, options["at"]) if level and incident else None
        self.templates = list(templates)
        if incident:
            self.templates.sort(key=lambda template: (DATE in find_placeholders(template.body)) != bool(review))
        chosen = self._first_template()
        start: dict[str, Any] = {"phase": self.phases[0], "promise": str(cadence(level) or 60)}
        if level and review:
            for language in LANGUAGES:
                name = f"blank_{DATE}" if language == LANGUAGES[0] else f"blank_{DATE}_{language}"
                start[name] = day_of_review(review, level, options["at"], language)
        if chosen:
            start |= {"template": chosen.pk, "phase": chosen.phase, **phrases.start(chosen, OTHERS)}
        else:
            start["own_letter"] = phrases.letter_of(None)
        options["initial"] = start | (options.get("initial") or {})
        super().__init__(data, level=level, **options)
        self._add_fields()

    def _add_fields(self) -> None:
        offered = UpdateTemplate.objects.filter(pk__in=[template.pk for template in self.templates])
        self.fields["template"].queryset = offered  # type: ignore[attr-defined]  # ModelChoiceField
        if len(self.phases) > 1:
            self.fields["phase"] = forms.ChoiceField(
                choices=[(phase.value, phase.label) for phase in self.phases],
                label="Where it stands",
                widget=forms.RadioSelect,
                error_messages={"required": "Say where it stands."},
            )
        for name, label in BLANKS.items():
            self.fields[f"blank_{name}"] = blank_field(name, label)
        if self.promises:
            self.fields["promise"] = forms.ChoiceField(
                choices=self.promise_choices,
                label="Next update",
                widget=forms.RadioSelect,
                error_messages={"required": "Say when the next update comes, or that there is no fixed time."},
            )
            self.fields["promise_at"] = Moment(ahead=True, now=self.at, required=False, label="Next update at, UTC")
        self.add_languages()

    # --- what is offered ---

    @cached_property
    def promise_choices(self) -> list[tuple[str, str]]:
        """Chips: 15, 30, 60 minutes and what the policy asks for; an exact moment; no fixed time."""
        minutes = sorted({*CHIPS, *self._cadences()})
        return [*((str(n), f"in {span(n)}") for n in minutes), (AT, "at an exact time"), (NONE, "no fixed time")]

    def _cadences(self) -> set[int]:
        wanted = cadence(self.level)
        return {wanted} if wanted else set()

    def _first_template(self) -> UpdateTemplate | None:
        for phase in self.phases:
            for template in self.templates:
                if template.phase == phase:
                    return template
        return None

    # --- what is known ---

    @property
    def facts(self) -> Facts:
        """What fills placeholders by itself; works on an unfinished form too."""
        incident, brand, started_at = self.incident, self.brand, self.known("started_at")
        return Facts(
            title=self.known("title", ""),
            levels=[(component.name, level.label) for component, level in self.levels.items()],
            started_at=started_at,
            detected_at=incident.detected_at if incident else self.known("detected_at") or started_at,
            at=self.at,
            resolved_at=self.known("ended_at"),
            next_update_by=self.promised,
            reference=incident.reference if incident else "",
            severity=self.ranked.label if self.ranked else "",
            brand=brand.name if brand else "",
            support=letters.support(brand) if brand else "",
            status_page=settings.SITE_URL,
        )

    @property
    def levels(self) -> Mapping[Component, Level]:
        """Affected components with their level; operational ones are left out."""
        chosen = self.known("levels") or {}
        if not self.is_bound and "levels" in self.fields:
            # Where the form starts is written by id, as a browser sends it.
            chosen = self.fields["levels"].clean(chosen)
        return {component: level for component, level in chosen.items() if level != Level.OPERATIONAL}

    def story(self, draft: Draft) -> Story:
        """What subscribers would read."""
        title, started_at = self.known("title", "") or "(no title yet)", self.known("started_at") or self.at
        return publishing.draft_story(
            draft, title=title, reference="INC-…", started_at=started_at, levels=self.levels, at=self.at
        )

    @property
    def promised(self) -> datetime | None:  # type: ignore[override]  # follows from what is chosen
        """The promise as a moment (UTC, to the minute); None: no fixed time, or not known yet."""
        choice = self.known("promise", "")
        if choice == AT:
            moment: datetime | None = self.known("promise_at")
            return moment
        if not str(choice).isdigit():
            return None
        return (self.at + timedelta(minutes=int(choice))).replace(second=0, microsecond=0)

    def as_values(self, language: str = LANGUAGES[0]) -> dict[str, str]:
        """The facts, and the blanks a person filled in that language."""
        end = "" if language == LANGUAGES[0] else f"_{language}"
        blanks = {name: str(self.known(f"blank_{name}{end}", "") or "") for name in BLANKS}
        return self.facts.as_values(language) | {name: value for name, value in blanks.items() if value}

    def draft(self) -> Draft:
        """The words as they would be published now, as far as they are filled."""
        values = self.as_values()
        return Draft(
            phase=Phase(self.known("phase") or self.phases[0]),
            body=fill(self.known("body", "") or "", values).strip(),
            sms=self.short("sms", values),
            chat=self.short("chat", values),
            next_update_by=self.promised,
            translations=self.translations,
        )

    def letter_words(self) -> str:
        known = self.as_values()
        known.pop(letters.OWN, None)
        # The words for the public may ask for what a customer uses, too.
        written = fill(str(self.known("own_letter") or "").strip(), {"update": str(self.known("body") or "").strip()})
        return fill(written, known)

    def blanks(self) -> list[tuple[forms.BoundField, bool]]:
        """The fields for blanks, and whether the words ask for them now."""
        letter = self["own_letter"].value() if self.asks_to_write else ""
        short = f"{self.short('sms', {})} {self.short('chat', {})}"
        asked = find_placeholders(f"{self['body'].value() or ''} {short} {letter or ''}")
        return [
            (field, name in asked or bool(field.errors))
            for name, field in ((name, self[f"blank_{name}"]) for name in BLANKS)
        ]

    # --- what is refused ---

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.speaks:
            self._check_promise(cleaned)
            self.check_words(cleaned)
        return cleaned

    def _check_promise(self, cleaned: Mapping[str, Any]) -> None:
        if cleaned.get("promise") == NONE and self.ranked and clock.must_promise(self.ranked):
            self.add_error(
                "promise", f"Under {self.ranked} each update promises when the next one comes. Choose a time."
            )
        if cleaned.get("promise") != AT or "promise_at" in self.errors:
            return
        if cleaned.get("promise_at") is None:
            self.add_error("promise_at", "Write the time, or choose another promise.")
        elif cleaned["promise_at"] <= self.at:
            self.add_error("promise_at", "This is in the past. A promise lies ahead.")

    def check_words(self, cleaned: Mapping[str, Any]) -> None:
        if self.asks_to_write and "own_letter" in cleaned and not self.letter:
            self.add_error(
                "own_letter", ValidationError("Say what it means for them, or write no letters.", "required")
            )
        super().check_words(cleaned)

    def texts(self, draft: Draft) -> dict[str, str]:
        # Each customer's own components fill the rest of a letter.
        return super().texts(draft) | {"own_letter": fill(self.letter, {letters.OWN: "…"})}

    def selves(self) -> list[str]:
        """Names of the placeholders that this form fills by itself, for its own explanation."""
        needs = {"next_update": self.promises, "resolved": "ended_at" in self.fields}
        return [name for name in PLACEHOLDERS if name not in BLANKS and needs.get(name, True)]


def span(minutes: int) -> str:
    """``30 min``, ``1 hour``, ``2 hours``: as a chip is worded."""
    if minutes % 60:
        return f"{minutes} min"
    return "1 hour" if minutes == 60 else f"{minutes // 60} hours"
