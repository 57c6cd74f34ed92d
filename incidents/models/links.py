"""Ties between incidents (R-212), and what helps while one is open: the runbook and the tools (R-208, R-1204)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from incidents.enums import Risk, StepKind, Tie, ToolKind
from status.models import Component

from .incident import Incident


class IncidentLink(models.Model):
    """``incident`` is tied to ``other``: "INC-2 repeats INC-1"."""

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="links")
    other = models.ForeignKey(Incident, models.CASCADE, related_name="linked_from")
    tie = models.CharField(max_length=12, choices=Tie)
    note = models.CharField(max_length=250, blank=True)
    linked_at = models.DateTimeField()
    linked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["linked_at"]
        constraints = [
            models.UniqueConstraint(fields=["incident", "other"], name="one_link_per_pair_of_incidents"),
            models.CheckConstraint(condition=~Q(incident=F("other")), name="incident_is_not_linked_to_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.incident.reference} {self.get_tie_display()} {self.other.reference}"


class RunbookStep(models.Model):
    """A line of the investigation checklist, or a way to mitigate with its risk and time (R-208)."""

    kind = models.CharField(max_length=12, choices=StepKind)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    hint = models.CharField(max_length=250, blank=True, help_text="Where to look, or when it helps.")
    risk = models.CharField(max_length=8, choices=Risk, blank=True, help_text="Of mitigation options.")
    minutes = models.PositiveIntegerField(null=True, blank=True, help_text="How long a mitigation takes.")
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField("in use", default=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["kind", "position", "pk"]

    def __str__(self) -> str:
        return self.name


class Tool(models.Model):
    """A dashboard or log that an incident links to, at the time it concerns (R-1204)."""

    kind = models.CharField(max_length=12, choices=ToolKind, default=ToolKind.GRAFANA)
    name = models.CharField(max_length=80, unique=True)
    url = models.CharField(
        max_length=500,
        help_text="With {from} and {to} (milliseconds since 1970), {from_iso}, {to_iso}, {component}, {reference}.",
    )
    component = models.ForeignKey(
        Component, models.CASCADE, null=True, blank=True, help_text="Only for incidents of this component. Blank: all."
    )
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField("in use", default=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name
