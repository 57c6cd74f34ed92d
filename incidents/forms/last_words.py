"""Last words of what was never resolved: a false alarm, or what goes on elsewhere (R-203, R-1311)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.functional import cached_property

from incidents.models import Incident
from incidents.words import fill
from notifications.compiler import LANGUAGES
from notifications.outbox import Story
from status import publishing
from status.enums import Phase
from status.publishing import Draft

from .proofreading import Proofread
from .translating import own_words


class LastWords(Proofread):
    """Who was told is told in every language; what was never public is closed with a word for colleagues.

    ``inside``: what the field is called where nothing is public.
    """

    ends = True
    typed = {}
    inside = ""

    def __init__(self, data: Any = None, *, at: datetime, incident: Incident, **options: Any) -> None:
        self.templates = []
        self.first = self.opening(incident) if incident.notice else {}
        # Whoever heard nothing of it need not hear how it ends.
        start = {**self.starts[0], "wires": incident.notice.told_channels if incident.notice else []}
        options["initial"] = start | (options.get("initial") or {})
        super().__init__(data, at=at, incident=incident, level=incident.severity, **options)
        if incident.notice:
            self.add_languages()
        else:
            self.fields["body"].label = self.inside

    def opening(self, incident: Incident) -> Mapping[str, str]:
        """Where the words start, by language."""
        raise NotImplementedError(f"{type(self).__name__} does not say where its words start.")

    @cached_property
    def starts(self) -> dict[int, dict[str, str]]:
        return {0: own_words(self.first)}

    @property
    def speaks(self) -> bool:
        return self.notice is not None

    def as_values(self, language: str = LANGUAGES[0]) -> dict[str, str]:
        return {}

    def draft(self) -> Draft:
        return Draft(Phase.RESOLVED, fill(self.text("body"), self.as_values()), translations=self.translations)

    def story(self, draft: Draft) -> Story:
        assert self.notice is not None
        return publishing.draft_update_story(self.notice, draft, levels=self.levels, at=self.at)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.speaks and "body" in cleaned:
            self.check_words(cleaned)
        return cleaned
