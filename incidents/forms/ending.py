"""Forms of the acts that end an incident, and of the one that opens it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils.functional import cached_property

from incidents import guard, letters
from incidents.guard import Concern
from incidents.models import Incident
from incidents.words import Facts
from status.enums import Level, Phase
from status.models import Component

from .acts import OfIncident, UpdateForm, check_happened, left_by
from .base import ActForm, words
from .concerns import Weighed
from .finding import Asking, asked_by
from .last_words import LastWords
from .moments import Moment

#: Where words about a false alarm start, by language.
HARMLESS = {
    "en": "This was a false alarm: our services were not affected.",
    "de": "Das war ein Fehlalarm: Unsere Dienste waren nicht betroffen.",
}
SORRY = {"en": " We are sorry for the confusion.", "de": " Bitte entschuldigen Sie die Verwirrung."}


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


class FalseAlarmForm(LastWords):
    """Nothing was wrong: those who were told are told so (R-203)."""

    letter_start = letters.HARMLESS
    inside = "Why was it a false alarm? Only colleagues read this."

    body = words("Words for those who were told", rows=5, error_messages={"required": "Say why it was a false alarm."})

    def opening(self, incident: Incident) -> Mapping[str, str]:
        return {language: said + SORRY[language] * incident.brand.apologise for language, said in HARMLESS.items()}

    @cached_property
    def levels(self) -> Mapping[Component, Level]:
        assert self.incident is not None
        return left_by(self.incident, self.attached)


class CloseForm(ActForm):
    """Nothing is left to do."""

    words = words("Last remark for colleagues", rows=4, required=False)
