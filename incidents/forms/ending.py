"""Forms of the acts that end an incident, and of the one that opens it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils.functional import cached_property

from incidents import guard
from incidents.guard import Concern
from incidents.models import Incident
from incidents.words import Facts
from notifications.outbox import Story
from status import ledger, publishing
from status.enums import Level, Phase
from status.models import Component
from status.publishing import Draft

from .acts import OfIncident, UpdateForm, check_happened, check_words, left_by
from .base import ActForm, words
from .concerns import Weighed
from .finding import Asking, asked_by
from .moments import Moment
from .telling import TellingForm

#: Where words about a false alarm start.
HARMLESS = "This was a false alarm: our services were not affected."
SORRY = " We are sorry for the confusion."


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


class ResolveForm(Weighed, Asking, OfIncident):
    """It is over: last words, when it stopped to hurt (R-1302), and what decides what is owed now (R-103)."""

    phases = (Phase.RESOLVED,)
    promises = False
    ends = True

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        start = {"ended_at": incident.mitigated_at or at}
        super().__init__(data, at=at, incident=incident, initial=start, **options)
        self.fields["ended_at"] = Moment(now=at, label="When did it stop hurting?")
        self.ask_findings(incident, asked_by(incident.severity))

    def weigh(self) -> list[Concern]:
        assert self.incident is not None
        return guard.before_resolving(self.incident, self.at)

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


class CloseForm(ActForm):
    """Nothing is left to do."""

    words = words("Last remark for colleagues", rows=4, required=False)
