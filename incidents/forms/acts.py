"""Forms of the acts on an incident that is there: one per thing an operator says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django import forms
from django.utils.functional import cached_property

from incidents import letters
from incidents.models import Incident, UpdateTemplate
from incidents.words import Facts, check_filled, check_voice
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
from .facts import Assisted, with_used
from .levels import Levels
from .moments import Moment, not_before
from .telling import TellingForm

#: Where words about a false alarm start.
HARMLESS = "This was a false alarm: our services were not affected."
SORRY = " We are sorry for the confusion."


class OfIncident(ComposerForm):
    """Public words about an incident that is there."""

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        self.held = ledger.held_by(incident.source)
        super().__init__(
            data, at=at, incident=incident, templates=self._templates(incident), level=incident.severity, **options
        )
        if not self.speaks:
            self.fields["body"].label = "Words for colleagues"
            self.initial.update(body="", sms="")

    def _templates(self, incident: Incident) -> list[UpdateTemplate]:
        policy = incident.severity.version.policy
        found = list(UpdateTemplate.objects.filter(policy=policy, phase__in=self.phases).select_related("policy"))
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


class UpdateForm(OfIncident):
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


class ReopenForm(UpdateForm):
    """It is back: the components start at what the incident held when it was last public."""

    def starting_levels(self) -> dict[int, str]:
        assert self.incident is not None
        if not self.incident.notice:
            return {}
        posted = self.incident.notice.updates.filter(corrects__isnull=True)
        last = posted.exclude(phase=Phase.RESOLVED).order_by("-seq").first()
        codes = {row["code"]: row["new_status"] for row in last.affected} if last else {}
        return {
            component.pk: codes[component.public_id] for component in self.components if component.public_id in codes
        }

    @property
    def speaks(self) -> bool:
        return bool(self.incident and self.incident.notice)


class ResolveForm(OfIncident):
    """It is over: last words, and when it stopped to hurt (R-1302)."""

    phases = (Phase.RESOLVED,)
    promises = False
    ends = True

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        start = {"ended_at": incident.mitigated_at or at}
        super().__init__(data, at=at, incident=incident, initial=start, **options)
        self.fields["ended_at"] = Moment(now=at, label="When did it stop hurting?")

    @property
    def speaks(self) -> bool:
        return bool(self.incident and self.incident.notice)

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        assert self.incident is not None
        return left_by(self.incident, self.attached)

    @property
    def hurt(self) -> Mapping[Component, Level]:
        return {component: self.held.get(component.pk, Level.OPERATIONAL) for component in self.attached}

    @property
    def facts(self) -> Facts:
        was = [(component.name, self.held.get(component.pk, Level.OPERATIONAL).label) for component in self.attached]
        # "It lasted" is told by the impact's clock, not by ours (R-1302).
        return replace(super().facts, levels=was, at=self.known("ended_at"))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.speaks and not (cleaned.get("body") or "").strip() and "body" not in self.errors:
            self.add_error("body", "Say in a line what solved it. Only colleagues read this.")
        check_happened(self, "ended_at", cleaned)
        return cleaned


class FalseAlarmForm(TellingForm):
    """Nothing was wrong: those who were told are told so (R-203)."""

    ends = True

    body = words("Words for those who were told", rows=5, error_messages={"required": "Say why it was a false alarm."})

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        start: dict[str, Any] = {"body": HARMLESS + SORRY * incident.brand.apologise} if incident.notice else {}
        # Whoever heard nothing of it need not hear that it was nothing.
        start["wires"] = incident.notice.told_channels if incident.notice else []
        super().__init__(data, at=at, incident=incident, level=incident.severity, initial=start, **options)
        if not incident.notice:
            self.fields["body"].label = "Why was it a false alarm? Only colleagues read this."

    @property
    def speaks(self) -> bool:
        return self.notice is not None

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        assert self.incident is not None
        return left_by(self.incident, self.attached)

    @property
    def hurt(self) -> Mapping[Component, Level]:
        assert self.incident is not None
        held = ledger.held_by(self.incident.source)
        return {component: held.get(component.pk, Level.OPERATIONAL) for component in self.attached}

    def draft(self) -> Draft:
        return Draft(Phase.RESOLVED, str(self.known("body") or "").strip())

    def story(self, draft: Draft) -> Story:
        assert self.notice is not None
        return publishing.draft_update_story(self.notice, draft, levels=self.levels, at=self.at)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        check_words(self, cleaned)
        return cleaned


class CorrectForm(TellingForm):
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

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        held = ledger.levels(self.attached)
        return {component: held.get(component.pk, Level.OPERATIONAL) for component in self.attached}

    def draft(self) -> Draft:
        body = str(self.known("body") or "").strip()
        return Draft(Phase(self.update.phase), body, next_update_by=self.update.next_update_by)

    def story(self, draft: Draft) -> Story:
        return publishing.draft_correction_story(self.update, draft.body, at=self.at)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        check_words(self, cleaned)
        if cleaned.get("body") == self.update.body.strip():
            self.add_error("body", "These are the same words. Change something, or go back.")
        return cleaned


class NoteForm(ActForm):
    """A note for colleagues; it may be about something that happened before."""

    words = words("Note for colleagues", rows=6, error_messages={"required": "Write the note."})

    def __init__(self, data: Any = None, *, at: datetime, **options: Any) -> None:
        super().__init__(data, at=at, **options)
        self.fields["happened_at"] = Moment(now=at, required=False, label="It happened at")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("happened_at") and cleaned["happened_at"] > self.at:
            self.add_error("happened_at", "This lies in the future.")
        return cleaned


class MitigateForm(ActForm):
    """Customers no longer suffer; the cause may still be there."""

    words = words("What helped", rows=4, required=False)

    def __init__(self, data: Any = None, *, at: datetime, **options: Any) -> None:
        super().__init__(data, at=at, initial={"happened_at": at}, **options)
        self.fields["happened_at"] = Moment(now=at, label="Since when do customers no longer suffer?")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        check_happened(self, "happened_at", cleaned)
        return cleaned


class AcknowledgeForm(ActForm):
    """Somebody is working on it. Nothing to fill in."""


class CloseForm(ActForm):
    """Nothing is left to do."""

    words = words("Last remark for colleagues", rows=4, required=False)


class SeverityForm(Assisted, ActForm):
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
