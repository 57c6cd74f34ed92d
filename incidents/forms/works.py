"""Words for the public about planned work: where they start, what fills them, who is told (R-501)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.utils.functional import cached_property

from incidents import letters, maintenance, phrases
from incidents.models import Maintenance, Severity, UpdateTemplate
from incidents.words import WORK_PLACEHOLDERS, elapsed, fill, find_placeholders, moment, sentence
from notifications.compiler import LANGUAGES
from notifications.enums import Kind
from notifications.models import Brand
from notifications.outbox import Story
from status import ledger, publishing
from status.enums import Level, Phase
from status.models import Component
from status.models.notices import Window
from status.publishing import CHAT_LENGTH, SMS_LENGTH, Draft

from .base import words
from .proofreading import Proofread
from .translating import OTHERS, own_words

#: Where words start that no template of the policy starts, by language.
STARTS: dict[Phase, dict[str, str]] = {
    Phase.SCHEDULED: {
        "en": "We have planned maintenance: **{{issue}}**.\n\n{{description}}",
        "de": "Wir haben Wartungsarbeiten geplant: **{{issue}}**.\n\n{{description}}",
    },
    Phase.IN_PROGRESS: {
        "en": "The maintenance **{{issue}}** has started. We plan to be done by {{next_update}}.",
        "de": "Die Wartung **{{issue}}** hat begonnen. Sie endet voraussichtlich um {{next_update}}.",
    },
    Phase.COMPLETED: {
        "en": "The maintenance **{{issue}}** is done. It took {{duration}}, and everything works as usual.",
        "de": "Die Wartung **{{issue}}** ist abgeschlossen. Dauer: {{duration}}. Alles funktioniert wie gewohnt.",
    },
    Phase.CANCELLED: {
        "en": "The maintenance **{{issue}}** is cancelled. We will announce a new time.",
        "de": "Die Wartung **{{issue}}** ist abgesagt. Einen neuen Termin geben wir noch bekannt.",
    },
}
#: The way back is told (R-501).
WAY_BACK = {"en": "If something goes wrong: {{rollback}}", "de": "Falls etwas schiefgeht: {{rollback}}"}
#: What fills itself in, and the field that it comes from.
SELVES = {
    "issue": "title",
    "description": "what_changes",
    "rollback": "rollback_plan",
    "impact": "components",
    "started": "planned_start_at",
    "next_update": "planned_end_at",
    "duration": "ended_at",
}
ASK = "The words ask for {}. Fill this in, or remove it from the text."


class WorkForm(Proofread):
    """Words for the public about planned work; ``work`` is None while it is planned.

    ``start`` are the words by language of an act that no template is meant for.
    """

    kind = Kind.MAINTENANCE
    writes = False
    phase = Phase.SCHEDULED
    start: Mapping[str, str] = {}
    typed = {"description": "What changes", "rollback": "The way back"}
    fed = {name: (field, ASK) for name, field in SELVES.items()}

    template = forms.ModelChoiceField(UpdateTemplate.objects.none(), required=False, label="Start from")
    body = words("Words for the public", rows=8, required=False)
    sms = words("Text message", rows=2, longest=SMS_LENGTH, required=False)
    chat = words("Chat message", rows=3, longest=CHAT_LENGTH, required=False)

    def __init__(
        self, data: Any = None, *, at: datetime, work: Maintenance | None, level: Severity | None, **options: Any
    ) -> None:
        self.work = work
        self.templates = [] if self.start else self.find_templates(level)
        chosen = next(iter(phrases.spoken_by(self.templates, self.first_brand)), None)
        start: dict[str, Any] = {"template": chosen.pk if chosen else None, **self.starts[chosen.pk if chosen else 0]}
        if work:
            start["version"] = work.version
        options["initial"] = start | (options.get("initial") or {})
        super().__init__(data, at=at, level=level, notice=work.notice if work else None, **options)
        offered = UpdateTemplate.objects.filter(pk__in=[template.pk for template in self.templates])
        self.fields["template"].queryset = offered  # type: ignore[attr-defined]  # ModelChoiceField
        self.add_languages()

    def find_templates(self, level: Severity | None) -> list[UpdateTemplate]:
        """What may be chosen from: words of the policy, as the brand says them. Two queries."""
        found = phrases.offered([level.version.policy_id], [self.phase]) if level else []
        return phrases.spoken_by(found, self.first_brand)

    @property
    def first_brand(self) -> Brand | None:
        """Whose words the form opens with."""
        return self.work.brand if self.work else None

    @cached_property
    def starts(self) -> dict[int, dict[str, str]]:
        own = own_words(self.start or STARTS.get(self.phase, {}))
        every = {0: own} | {template.pk: phrases.start(template, OTHERS) for template in self.templates}
        return {key: self._fitted(said) for key, said in every.items()}

    def _fitted(self, said: Mapping[str, str]) -> dict[str, str]:
        """Words as planned work needs them: what is announced tells the way back, too."""
        # What was done about planned work is what was planned: nobody fills that in.
        found = {name: text.replace("{{resolution}}", "").strip() for name, text in said.items()}
        if self.phase == Phase.SCHEDULED and not self.start:
            for language, words_ in WAY_BACK.items():
                name = "body" if language == LANGUAGES[0] else f"body_{language}"
                if found.get(name) and "rollback" not in find_placeholders(found[name]):
                    found[name] = f"{found[name]}\n\n{words_}"
        return found

    # --- what is said ---

    @property
    def brand(self) -> Brand | None:
        return self.work.brand if self.work else None

    @property
    def rank(self) -> None:
        """ "At least major" is said of incidents; planned work is chosen for itself (R-802)."""
        return None

    @property
    def window(self) -> Window | None:
        """From when to when it is planned, as far as that is filled in."""
        return (self.work.planned_start_at, self.work.planned_end_at) if self.work else None

    @cached_property
    def concerned(self) -> list[Component]:
        return list(maintenance.components_of(self.work)) if self.work else []

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        """What each component will be at when this is said."""
        now = ledger.levels(self.concerned)
        return {component: now.get(component.pk, Level.OPERATIONAL) for component in self.concerned}

    def known(self, name: str, default: Any = None) -> Any:
        if self.work and name in ("title", "what_changes", "rollback_plan"):
            return getattr(self.work, name)
        return super().known(name, default)

    @property
    def later(self) -> frozenset[str]:
        return frozenset()

    @property
    def started_at(self) -> datetime | None:
        began = self.work.began_at if self.work else None
        return began or (self.window[0] if self.window else None)

    def as_values(self, language: str = LANGUAGES[0]) -> dict[str, str]:
        """What fills placeholders; in other languages a person says again what changes, and the way back."""
        touched = [(component.name, Level.MAINTENANCE.label) for component in self.concerned]
        values = {
            "issue": str(self.known("title") or ""),
            "impact": sentence(touched, language),
            "brand": self.brand.name if self.brand else "",
            "support": letters.support(self.brand) if self.brand else "",
            "status_page": settings.SITE_URL,
        }
        for name in self.typed:
            values[name] = self.text(SELVES[name] if language == LANGUAGES[0] else f"blank_{name}_{language}")
        if self.started_at:
            values["started"] = moment(self.started_at, language)
            values["duration"] = elapsed((self.known("ended_at") or self.at) - self.started_at, language)
        if self.window:
            values["next_update"] = moment(self.window[1], language)
        return {name: value for name, value in values.items() if value}

    def draft(self) -> Draft:
        values = self.as_values()
        body = fill(str(self.known("body") or ""), values).strip()
        sms, chat = self.short("sms", values), self.short("chat", values)
        return Draft(self.said_phase, body, sms, chat=chat, translations=self.translations)

    @property
    def said_phase(self) -> Phase:
        return self.phase

    def story(self, draft: Draft) -> Story:
        title = str(self.known("title") or "") or "(no title yet)"
        if self.notice is None:
            reference, started_at = self.work.reference if self.work else "MNT-…", self.started_at or self.at
            facts = {"title": title, "reference": reference, "started_at": started_at, "planned": self.window}
            return publishing.draft_story(draft, levels=self.levels, at=self.at, **facts)  # type: ignore[arg-type]
        notice = copy.copy(self.notice)
        notice.planned_from, notice.planned_until = self.window or (None, None)
        return publishing.draft_update_story(notice, draft, levels=self.levels, at=self.at)

    @property
    def selves(self) -> tuple[str, ...]:
        """Names of the placeholders that fill themselves, for the form's own explanation."""
        return tuple(WORK_PLACEHOLDERS)

    # --- what is refused ---

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.check_facts(cleaned)
        if self.speaks:
            self.check_words(cleaned)
        return cleaned

    def check_facts(self, cleaned: dict[str, Any]) -> None:
        """What the act asks besides words."""


def levels_in_force() -> Any:
    """Levels of policies in force that are for planned work, the default policy's first. Three queries."""
    found = Severity.objects.in_force().filter(is_maintenance=True).prefetch_related("duties", "channel_rules")
    return found.order_by("-version__policy__is_default", "version__policy__name", "rank")
