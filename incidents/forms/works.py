"""Words for the public about planned work: where they start, what fills them, who is told (R-501)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.functional import cached_property

from incidents import maintenance
from incidents.models import Maintenance, Severity, UpdateTemplate
from incidents.words import check_filled, check_voice, elapsed, fill, moment, sentence
from notifications.enums import Kind
from notifications.lint import Unsendable, lint_for
from notifications.models import Brand
from notifications.outbox import Story
from notifications.validators import prose
from status import ledger, publishing
from status.enums import Level, Phase
from status.markup import check_links
from status.models import Component
from status.models.notices import Window
from status.publishing import SMS_LENGTH, Draft

from .base import words
from .telling import TellingForm

#: Where words start that no template of the policy starts.
STARTS = {
    Phase.SCHEDULED: "We have planned maintenance: **{{issue}}**.\n\n{{description}}",
    Phase.IN_PROGRESS: "The maintenance **{{issue}}** has started. We plan to be done by {{next_update}}.",
    Phase.COMPLETED: "The maintenance **{{issue}}** is done. It took {{duration}}, and everything works as usual.",
    Phase.CANCELLED: "The maintenance **{{issue}}** is cancelled. We will announce a new time.",
}
#: The way back is told (R-501).
WAY_BACK = "If something goes wrong: {{rollback}}"
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


class WorkForm(TellingForm):
    """Words for the public about planned work; ``work`` is None while it is planned."""

    kind = Kind.MAINTENANCE
    writes = False
    phase = Phase.SCHEDULED
    start = ""

    body = words("Words for the public", rows=8, required=False)
    sms = words("Text message", rows=2, longest=SMS_LENGTH, required=False)

    def __init__(
        self, data: Any = None, *, at: datetime, work: Maintenance | None, level: Severity | None, **options: Any
    ) -> None:
        self.work = work
        start = {"body": self.start or opening(self.phase, level)} | ({"version": work.version} if work else {})
        options["initial"] = start | (options.get("initial") or {})
        super().__init__(data, at=at, level=level, notice=work.notice if work else None, **options)

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
    def started_at(self) -> datetime | None:
        began = self.work.began_at if self.work else None
        return began or (self.window[0] if self.window else None)

    def as_values(self) -> dict[str, str]:
        """What fills placeholders."""
        touched = [(component.name, Level.MAINTENANCE.label) for component in self.concerned]
        values = {
            "issue": str(self.known("title") or ""),
            "description": str(self.known("what_changes") or ""),
            "rollback": str(self.known("rollback_plan") or ""),
            "impact": sentence(touched),
        }
        if self.started_at:
            values["started"] = moment(self.started_at)
            values["duration"] = elapsed((self.known("ended_at") or self.at) - self.started_at)
        if self.window:
            values["next_update"] = moment(self.window[1])
        return {name: value for name, value in values.items() if value}

    def draft(self) -> Draft:
        values = self.as_values()
        body, sms = (fill(str(self.known(name) or ""), values).strip() for name in ("body", "sms"))
        return Draft(self.said_phase, body, sms)

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
        return tuple(SELVES)

    # --- what is refused ---

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.check_facts(cleaned)
        self._check_words(cleaned)
        return cleaned

    def check_facts(self, cleaned: dict[str, Any]) -> None:
        """What the act asks besides words."""

    def _check_words(self, cleaned: Mapping[str, Any]) -> None:
        if not self.speaks:
            return
        draft = self.draft()
        if "body" in cleaned and not draft.body:
            self.add_error("body", ValidationError("Say something: these words are what customers read.", "required"))
        for name, text in (("body", draft.body), ("sms", draft.sms)):
            if name in cleaned and text:
                self._check_text(name, text)

    def _check_text(self, name: str, text: str) -> None:
        # What is missing is complained about where it can be filled in.
        text = fill(text, {name: "…" for name, field in SELVES.items() if field in self.errors})
        try:
            prose(text)
            check_filled(text)
            if name == "body":
                check_links(text)
            if self.brand:
                check_voice(text, self.brand)
                lint_for(self.brand, [str(self.known("title") or ""), text])
        except Unsendable as refused:
            self.add_error(name, ValidationError(refused.problems, code="unsendable"))
        except ValidationError as refused:
            self.add_error(name, refused)


def levels_in_force() -> Any:
    """Levels of policies in force that are for planned work, the default policy's first. Three queries."""
    found = Severity.objects.in_force().filter(is_maintenance=True).prefetch_related("duties", "channel_rules")
    return found.order_by("-version__policy__is_default", "version__policy__name", "rank")


def opening(phase: Phase, level: Severity | None) -> str:
    """Words to start from: the policy's template, or ours. What is announced tells the way back, too."""
    offered = UpdateTemplate.objects.filter(phase=phase, translates=None).order_by("position")
    template = offered.filter(policy=level.version.policy_id).first() if level else None
    text = template.body if template else STARTS.get(phase, "")
    # What was done about planned work is what was planned: nobody fills that in.
    text = text.replace("{{resolution}}", "").strip()
    if phase == Phase.SCHEDULED and "{{rollback}}" not in text:
        text = f"{text}\n\n{WAY_BACK}"
    return text
