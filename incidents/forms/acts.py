"""Forms of the acts on an incident that is there: one per thing an operator says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.utils.functional import cached_property

from incidents import guard, letters, phrases
from incidents.enums import State
from incidents.guard import Concern
from incidents.models import Incident, UpdateTemplate
from incidents.words import check_filled, check_voice
from notifications.lint import Unsendable, lint_for
from notifications.outbox import Story
from status import ledger, publishing
from status.enums import Level, Phase
from status.markup import check_links
from status.models import Component, Impact, NoticeUpdate
from status.publishing import Draft

from . import levels as levels_
from . import severities
from .base import ActForm, words
from .composer import ComposerForm
from .concerns import Weighed
from .facts import Assisted, with_used
from .levels import Levels
from .moments import not_before
from .retranslating import Retranslating


class OfIncident(ComposerForm):
    """Public words about an incident that is there."""

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        self.held = ledger.held_by(incident.source)
        super().__init__(
            data, at=at, incident=incident, templates=self._templates(incident), level=incident.severity, **options
        )
        if not self.speaks:
            self.fields["body"].label = "Words for colleagues"
            self.initial.update(body="", sms="", chat="")

    def _templates(self, incident: Incident) -> list[UpdateTemplate]:
        policy = incident.severity.version.policy_id
        found = phrases.spoken_by(phrases.offered([policy], self.phases), incident.brand)
        # Where it stands now comes first: an update most often goes on from there.
        current = incident.notice.phase if incident.notice else Phase.INVESTIGATING
        return sorted(found, key=lambda template: (template.phase != current, template.position))

    def _first_template(self) -> UpdateTemplate | None:
        return next(iter(self.templates), None)

    def known(self, name: str, default: Any = None) -> Any:
        assert self.incident is not None
        return self.incident.started_at if name == "started_at" else super().known(name, default)

    def story(self, draft: Draft) -> Story:
        assert self.incident is not None
        if self.incident.notice is None:
            return super().story(draft)
        levels = dict.fromkeys(self.attached, Level.OPERATIONAL) | dict(self.levels)
        return publishing.draft_update_story(self.incident.notice, draft, levels=levels, at=self.at)


class UpdateForm(Weighed, OfIncident):
    """Post an update: the components start at what this incident holds now (R-206, R-207)."""

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        start: dict[str, Any] = {"phase": incident.notice.phase if incident.notice else Phase.INVESTIGATING}
        if start["phase"] not in self.phases:
            start["phase"] = self.phases[0]
        super().__init__(
            data, at=at, incident=incident, initial=start | (options.pop("initial", None) or {}), **options
        )
        shown = Component.objects.shown() | Component.objects.filter(pk__in=self.held)
        self.components = levels_.in_order(shown.distinct().select_related("topic", "group__topic"))
        self.fields["levels"] = Levels(self.components)
        self.initial.setdefault("levels", self.starting_levels())

    def starting_levels(self) -> dict[int, str]:
        """What the rows show when the form is opened, by component id."""
        return {pk: level.value for pk, level in self.held.items()}

    def weigh(self) -> list[Concern]:
        assert self.incident is not None
        if not self.speaks:
            return []
        state = State.MITIGATED if self.known("phase") == Phase.MONITORING else State.ACKNOWLEDGED
        return guard.before_publishing(self.incident.severity, state, self.levels.values())

    @property
    def sections(self) -> list[tuple[str, list[levels_.Row]]]:
        return levels_.sections(self.components, "levels", self["levels"].value() or {})

    @property
    def changes(self) -> Mapping[Component, Level]:
        """What to pass to the act: affected components, and those that are let go."""
        chosen = self.known("levels") or {}
        return {
            component: level
            for component, level in chosen.items()
            if level != Level.OPERATIONAL or component.pk in self.held
        }


class CorrectForm(Retranslating):
    """Better words for an update that is out; the old ones stay in both books (R-205)."""

    quietly = True
    headline = publishing.CORRECTION
    letter_start = letters.CORRECTED

    body = words(
        "The corrected words", rows=9, error_messages={"required": "Words cannot be taken back, only improved."}
    )

    def __init__(
        self, data: Any = None, *, at: datetime, incident: Incident, update: NoticeUpdate, **options: Any
    ) -> None:
        self.update = update
        assert incident.notice is not None
        # Whoever did not read the old words need not hear that they were corrected.
        self.writes = self.wrote = letters.were_written(incident.notice)
        start = {"body": update.body, "wires": incident.notice.told_channels}
        super().__init__(data, at=at, incident=incident, level=incident.severity, initial=start, **options)
        self.add_languages()

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        held = ledger.levels(self.attached)
        return {component: held.get(component.pk, Level.OPERATIONAL) for component in self.attached}

    def draft(self) -> Draft:
        body = str(self.known("body") or "").strip()
        promise, said = self.update.next_update_by, self.translations
        return Draft(Phase(self.update.phase), body, next_update_by=promise, translations=said)

    def story(self, draft: Draft) -> Story:
        said = draft.translations
        return publishing.draft_correction_story(self.update, draft.body, at=self.at, translations=said)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        check_words(self, cleaned)
        self.check_languages(cleaned)
        if cleaned.get("body") == self.update.body.strip():
            self.add_error("body", "These are the same words. Change something, or go back.")
        return cleaned


class AcknowledgeForm(ActForm):
    """Somebody is working on it. Nothing to fill in."""


class SeverityForm(Weighed, Assisted, ActForm):
    """Judge it differently, in two steps: ``seen`` is the level whose consequences were shown (R-109)."""

    reason = words("Why?", rows=3, longest=1000, required=False)
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput, min_value=0, max_value=2**62)

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        start = {"severity": incident.severity_id}
        super().__init__(with_used(data), at=at, incident=incident, initial=start, **options)
        offered = severities.for_changing(incident)
        self.fields["severity"] = severities.SeverityChoice(offered, label="How bad is it now?")
        self.ask_facts(offered)

    @property
    def groups(self) -> list[severities.Group]:
        field = self.fields["severity"]
        assert isinstance(field, severities.SeverityChoice)
        return field.groups(self["severity"].value())

    def weigh(self) -> list[Concern]:
        level = self.cleaned_data.get("severity") if self.is_bound else None
        return guard.before_judging(self.incident, level) if self.incident and level else []

    @property
    def asks_why(self) -> bool:
        return bool(self.cleaned_data.get("severity")) and self.confirmed

    @property
    def confirmed(self) -> bool:
        """Whether the consequences of this very choice were seen."""
        return bool(self.cleaned_data.get("seen") == self.cleaned_data["severity"].pk)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        level = cleaned.get("severity")
        assert self.incident is not None
        if level and level.pk == self.incident.severity_id:
            self.add_error("severity", f"It is {level} already. Choose another level.")
        elif level and cleaned.get("seen") == level.pk and not cleaned.get("reason", "").strip():
            self.add_error("reason", "Say why: the timeline keeps the reason with the change.")
        return cleaned


def left_by(incident: Incident, components: list[Component]) -> dict[Component, Level]:
    """What is left when the incident lets go: others may hold a component down still. One query."""
    others = Impact.objects.open().real().filter(component__in=components).exclude(source=incident.source)
    left: dict[int, list[str]] = {}
    for component_id, level in others.values_list("component_id", "level"):
        left.setdefault(component_id, []).append(level)
    return {component: Level.gravest(left.get(component.pk, [])) for component in components}


def check_words(form: ActForm, cleaned: dict[str, Any]) -> None:
    """Refuse words that may not go out as they are, naming what may not (R-111, R-206).

    Not before the form has read them: the preview shows them all the same.
    """
    if "body" not in cleaned:
        return
    cleaned["body"] = body = str(cleaned["body"]).strip()
    try:
        check_filled(body)
        if form.incident and form.incident.notice:
            check_voice(body, form.incident.brand)
            check_links(body)
            lint_for(form.incident.brand, [body])
    except Unsendable as refused:
        form.add_error("body", forms.ValidationError(refused.problems, code="unsendable"))
    except forms.ValidationError as refused:
        form.add_error("body", refused)


def check_happened(form: ActForm, name: str, cleaned: dict[str, Any]) -> None:
    """Refuse a moment that is not between the beginning of the incident and now."""
    moment, incident = cleaned.get(name), form.incident
    if moment is None or incident is None:
        return
    began = incident.round_began_at
    cleaned[name] = not_before(moment, began)
    if moment > form.at:
        form.add_error(name, "This lies in the future.")
    elif cleaned[name] < began:
        what = "it was reopened" if incident.reopened_at else "the incident began"
        form.add_error(name, f"This is before {what} ({began:%Y-%m-%d %H:%M} UTC).")
