"""Forms of the acts on an incident that is there: one per thing an operator says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django import forms
from django.utils.functional import cached_property

from incidents.models import Incident, Severity, UpdateTemplate
from incidents.words import Facts, check_filled, check_voice
from notifications.lint import Unsendable, lint_for
from notifications.models import Brand
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
from .levels import Levels
from .moments import Moment, not_before

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
        if name in ("title", "started_at"):
            return getattr(self.incident, name)
        return super().known(name, default)

    @property
    def brand(self) -> Brand | None:
        return self.incident.brand if self.incident else None

    @property
    def ranked(self) -> Severity | None:
        return self.incident.severity if self.incident else None

    @cached_property
    def attached(self) -> list[Component]:
        """Components that its notice concerns so far."""
        notice = self.incident.notice if self.incident else None
        return list(notice.components.select_related("topic")) if notice else []

    @property
    def concerned(self) -> list[Component]:
        return list(dict.fromkeys([*self.attached, *self.levels]))

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
        self.components = levels_.in_order(shown.distinct().select_related("group", "topic"))
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

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        start = {"ended_at": incident.mitigated_at or at}
        super().__init__(data, at=at, incident=incident, initial=start, **options)
        self.fields["ended_at"] = Moment(now=at, label="When did it stop hurting?")

    @property
    def speaks(self) -> bool:
        return bool(self.incident and self.incident.notice)

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        """What is left when this incident lets go: others may hold a component down still."""
        assert self.incident is not None
        others = Impact.objects.open().real().filter(component__in=self.attached).exclude(source=self.incident.source)
        left: dict[int, list[str]] = {}
        for component_id, level in others.values_list("component_id", "level"):
            left.setdefault(component_id, []).append(level)
        return {component: Level.gravest(left.get(component.pk, [])) for component in self.attached}

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


class FalseAlarmForm(ActForm):
    """Nothing was wrong: those who were told are told so (R-203)."""

    body = words("Words for those who were told", rows=5, error_messages={"required": "Say why it was a false alarm."})
    tell = forms.BooleanField(required=False, initial=True, label="Tell subscribers")

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        start = {"body": HARMLESS + SORRY * incident.brand.apologise} if incident.notice else {}
        super().__init__(data, at=at, incident=incident, initial=start, **options)
        if not incident.notice:
            self.fields["body"].label = "Why was it a false alarm? Only colleagues read this."

    def clean_body(self) -> str:
        return sendable(str(self.cleaned_data["body"]).strip(), self.incident)


class CorrectForm(ActForm):
    """Better words for an update that is out; the old ones stay in both books (R-205)."""

    body = words(
        "The corrected words", rows=9, error_messages={"required": "Words cannot be taken back, only improved."}
    )
    tell = forms.BooleanField(required=False, initial=False, label="Tell subscribers that it was corrected")

    def __init__(self, data: Any = None, *, update: NoticeUpdate, **options: Any) -> None:
        self.update = update
        super().__init__(data, initial={"body": update.body}, **options)

    def clean_body(self) -> str:
        body = str(self.cleaned_data["body"]).strip()
        if body == self.update.body.strip():
            raise forms.ValidationError("These are the same words. Change something, or go back.", code="same")
        return sendable(body, self.incident)


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


class SeverityForm(ActForm):
    """Judge it differently, in two steps: ``seen`` is the level whose consequences were shown (R-109)."""

    reason = words("Why?", rows=3, longest=1000, required=False)
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput, min_value=0, max_value=2**62)

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        super().__init__(data, at=at, incident=incident, initial={"severity": incident.severity_id}, **options)
        self.fields["severity"] = severities.SeverityChoice(
            severities.for_changing(incident), label="How bad is it now?"
        )

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


def sendable(body: str, incident: Incident | None) -> str:
    """Words that may go out as they are. Raises ``ValidationError`` naming what may not (R-111, R-206)."""
    check_filled(body)
    if incident and incident.notice:
        check_voice(body, incident.brand)
        check_links(body)
        try:
            lint_for(incident.brand, [body])
        except Unsendable as refused:
            raise forms.ValidationError(refused.problems, code="unsendable") from None
    return body


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
