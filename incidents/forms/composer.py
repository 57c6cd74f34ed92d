"""Writing public words: a template to start from, its blanks, the promise of the next update (R-206, R-1301)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property

from incidents import letters
from incidents.models import Severity, UpdateTemplate
from incidents.words import PLACEHOLDERS, Facts, check_filled, check_voice, fill, find_placeholders
from notifications.lint import Unsendable, lint_for
from notifications.outbox import Story
from notifications.validators import prose
from status import publishing
from status.enums import OPEN_PHASES, Level, Phase
from status.markup import check_links
from status.models import Component
from status.publishing import SMS_LENGTH, Draft

from .base import LONGEST, line, words
from .moments import Moment
from .severities import cadence, day_of_review, owed_review
from .telling import TellingForm

#: Blanks that only a person can fill; each has a field of its own, shown while the words ask for it.
DATE = "postmortem_date"
BLANKS = {
    "description": "What users notice",
    "cause": "What caused it",
    "resolution": "What was done about it",
    DATE: "When the post-mortem will be published",
}
BLANK = "The words ask for {}. Fill it in here, or remove it from the text."
#: Placeholders that other fields fill, with what is asked for there.
FED = {
    "issue": ("title", "The words ask for {}. Give it a title, or remove it from the text."),
    "impact": ("levels", "The words ask for {}. Mark what is affected, or remove it from the text."),
    "started": ("started_at", "The words ask for {}. Say when it began, or remove it from the text."),
    "duration": ("started_at", "The words ask for {}. Say when it began, or remove it from the text."),
    "next_update": ("promise", "The words ask for {}. Choose a time, or remove it from the text."),
}
#: Minutes until the next update that are offered besides what the policy asks for.
CHIPS = (15, 30, 60)
AT, NONE = "at", "none"


class ComposerForm(TellingForm):
    """Words for the public, with everything that fills them.

    ``templates`` are what may be chosen from; ``level`` is the severity whose cadence is promised
    by default. A subclass without ``promise`` or ``phase`` leaves the fields out.
    """

    phases: tuple[Phase, ...] = OPEN_PHASES
    promises = True

    template = forms.ModelChoiceField(UpdateTemplate.objects.none(), required=False, label="Start from")
    body = words("Words for the public", rows=9, required=False)
    sms = words("Text message", rows=2, longest=SMS_LENGTH, required=False)
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
            start[f"blank_{DATE}"] = day_of_review(review, level, options["at"])
        if chosen:
            start |= {"template": chosen.pk, "phase": chosen.phase, "body": chosen.body.strip(), "sms": chosen.sms}
        start["own_letter"] = letter_of(chosen)
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
            one_line = name == DATE
            field = (
                line(label, longest=120, required=False)
                if one_line
                else words(label, rows=2, longest=1000, required=False)
            )
            self.fields[f"blank_{name}"] = field
        if self.promises:
            self.fields["promise"] = forms.ChoiceField(
                choices=self.promise_choices,
                label="Next update",
                widget=forms.RadioSelect,
                error_messages={"required": "Say when the next update comes, or that there is no fixed time."},
            )
            self.fields["promise_at"] = Moment(ahead=True, now=self.at, required=False, label="Next update at, UTC")

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
        return Facts(
            title=self.known("title", ""),
            levels=[(component.name, level.label) for component, level in self.levels.items()],
            started_at=self.known("started_at"),
            at=self.at,
            next_update_by=self.promised,
        )

    @property
    def levels(self) -> Mapping[Component, Level]:
        """Affected components with their level; operational ones are left out."""
        chosen = self.known("levels") or {}
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

    def as_values(self) -> dict[str, str]:
        """Everything that fills a placeholder: the facts, and the blanks a person filled."""
        blanks = {name: str(self.known(f"blank_{name}", "") or "") for name in BLANKS}
        return self.facts.as_values() | {name: value for name, value in blanks.items() if value}

    def draft(self) -> Draft:
        """The words as they would be published now, as far as they are filled."""
        values = self.as_values()
        return Draft(
            phase=Phase(self.known("phase") or self.phases[0]),
            body=fill(self.known("body", "") or "", values).strip(),
            sms=self._sms(values),
            next_update_by=self.promised,
        )

    def _sms(self, values: Mapping[str, str]) -> str:
        """The text message. A template's own that nobody touched is used when it can be filled, and never in the way:
        blank, it is made from the words for the public.
        """
        written = str(self.known("sms", "") or "").strip()
        filled = fill(written, values).strip()
        untouched = any(written == template.sms.strip() for template in self.templates)
        return "" if untouched and find_placeholders(filled) else filled

    def letter_words(self) -> str:
        known = self.as_values()
        known.pop(letters.OWN, None)
        if self.brand:
            known["support"] = letters.support(self.brand)
        # The words for the public may ask for what a customer uses, too.
        written = fill(str(self.known("own_letter") or "").strip(), {"update": str(self.known("body") or "").strip()})
        return fill(written, known)

    def blanks(self) -> list[tuple[forms.BoundField, bool]]:
        """The fields for blanks, and whether the words ask for them now."""
        letter = self["own_letter"].value() if self.asks_to_write else ""
        asked = find_placeholders(f"{self['body'].value() or ''} {self._sms({})} {letter or ''}")
        return [
            (field, name in asked or bool(field.errors))
            for name, field in ((name, self[f"blank_{name}"]) for name in BLANKS)
        ]

    # --- what is refused ---

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.speaks:
            self._check_promise(cleaned)
            self._check_words(cleaned)
        return cleaned

    def _check_promise(self, cleaned: Mapping[str, Any]) -> None:
        if cleaned.get("promise") != AT or "promise_at" in self.errors:
            return
        if cleaned.get("promise_at") is None:
            self.add_error("promise_at", "Write the time, or choose another promise.")
        elif cleaned["promise_at"] <= self.at:
            self.add_error("promise_at", "This is in the past. A promise lies ahead.")

    def _check_words(self, cleaned: Mapping[str, Any]) -> None:
        draft = self.draft()
        if "body" in cleaned and not draft.body:
            self.add_error("body", ValidationError("Say something: these words are what customers read.", "required"))
        # Each customer's own components fill the rest of a letter.
        letter = fill(self.letter, {letters.OWN: "…"})
        if self.asks_to_write and "own_letter" in cleaned and not letter:
            self.add_error(
                "own_letter", ValidationError("Say what it means for them, or write no letters.", "required")
            )
        for name, text, longest in (
            ("body", draft.body, LONGEST),
            ("sms", draft.sms, SMS_LENGTH),
            ("own_letter", letter, LONGEST),
        ):
            if name in cleaned:
                self._check_text(name, text, longest)
        if not self.errors:
            self._check_sendable(draft)

    def _check_text(self, name: str, text: str, longest: int) -> None:
        try:
            prose(text)
            if name != "sms":
                # A text message is plain: only what is rendered can lose a target.
                check_links(text)
            if self.brand:
                # As written and as filled in: causes have a placeholder, an apology may come from a blank.
                check_voice(f"{self.known(name, '') if text else ''} {text}", self.brand)
            check_filled(self._without_named(text))
        except ValidationError as refused:
            self.add_error(name, refused)
        if len(text) > longest:
            self.add_error(name, f"With everything filled in this has {len(text):,} characters; {longest:,} fit.")

    def _without_named(self, text: str) -> str:
        """The text without those placeholders that were complained about where they can be filled."""
        for left in sorted(find_placeholders(text)):
            field, ask = (f"blank_{left}", BLANK) if left in BLANKS else FED.get(left, ("", ""))
            if field not in self.fields:
                continue
            if field not in self.errors and not (field == "promise" and "promise_at" in self.errors):
                self.add_error(field, ValidationError(ask.format(f"{{{{{left}}}}}"), "placeholder_left"))
            text = fill(text, {left: "…"})
        return text

    def _check_sendable(self, draft: Draft) -> None:
        if self.brand is None:
            return
        try:
            lint_for(self.brand, [str(self.facts.title), draft.body, draft.sms, fill(self.letter, {letters.OWN: "…"})])
        except Unsendable as refused:
            for problem in refused.problems:
                self.add_error("body", ValidationError(problem, "unsendable"))

    def selves(self) -> list[str]:
        """Names of the placeholders that this form fills by itself, for its own explanation."""
        return [name for name in PLACEHOLDERS if name not in BLANKS and (self.promises or name != "next_update")]


def letter_of(template: UpdateTemplate | None) -> str:
    """The words of a letter to start from."""
    return (template.letter.strip() if template else "") or letters.DEFAULT


def span(minutes: int) -> str:
    """``30 min``, ``1 hour``, ``2 hours``: as a chip is worded."""
    if minutes % 60:
        return f"{minutes} min"
    return "1 hour" if minutes == 60 else f"{minutes // 60} hours"
