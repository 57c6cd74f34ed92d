"""Components and the ledger of what was wrong with them (R-601, design.md "Two books")."""

from __future__ import annotations

import secrets
import string
from datetime import datetime
from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from notifications.models import Topic
from status.enums import Level


def new_public_id() -> str:
    """12 lower-case alphanumerics, the id shape third-party tools know (statuspage-v2.md 5.11)."""
    alphabet = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(12))


class Group(models.Model):
    """A heading under which components are shown."""

    public_id = models.CharField(max_length=12, unique=True, default=new_public_id, editable=False)
    name = models.CharField(max_length=80, unique=True)
    position = models.PositiveIntegerField(default=0)
    #: What people subscribe to when they choose the whole group, later members included.
    topic = models.OneToOneField(Topic, models.PROTECT, null=True, related_name="group", editable=False)

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name


class ComponentQuerySet(models.QuerySet["Component"]):
    def shown(self) -> ComponentQuerySet:
        """What the page lists: all but archived ones."""
        return self.filter(archived_at__isnull=True)


class Component(models.Model):
    """Something customers depend on. Its level is never stored: it follows from open impacts."""

    public_id = models.CharField(max_length=12, unique=True, default=new_public_id, editable=False)
    name = models.CharField(max_length=80, unique=True)
    description = models.CharField(max_length=250, blank=True)
    group = models.ForeignKey(Group, models.SET_NULL, null=True, blank=True, related_name="components")
    position = models.PositiveIntegerField(default=0)
    uptime_target = models.DecimalField(
        "uptime target, %",
        max_digits=6,
        decimal_places=3,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))],
        help_text="Per cent of a month; shown beside the measured uptime (R-602).",
    )
    #: What people subscribe to when they choose this component.
    topic = models.OneToOneField(Topic, models.PROTECT, related_name="component", editable=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    #: Off the page, but its past stays: figures and permanent pages still name it.
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    history = HistoricalRecords()
    objects = ComponentQuerySet.as_manager()

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name


class ImpactQuerySet(models.QuerySet["Impact"]):
    def open(self) -> ImpactQuerySet:
        return self.filter(ended_at__isnull=True)

    def real(self) -> ImpactQuerySet:
        """All but those of false alarms."""
        return self.filter(voided_at__isnull=True)

    def during(self, start: datetime, end: datetime) -> ImpactQuerySet:
        """Impacts that overlap the half-open span [start, end)."""
        return self.filter(began_at__lt=end).filter(Q(ended_at__isnull=True) | Q(ended_at__gt=start))


class Impact(models.Model):
    """One source holds one component at one level, from … to. Written by ``status.ledger`` only.

    ``began_at``/``ended_at`` say when it happened, ``recorded_at`` when we wrote it down (R-1302).
    """

    component = models.ForeignKey(Component, models.CASCADE, related_name="impacts")
    level = models.CharField(max_length=24, choices=Level)
    #: Who holds it down: ``incident:INC-2026-0001``.
    source = models.CharField(max_length=60)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField()
    #: A false alarm: it never was, and no figure counts it (R-203).
    voided_at = models.DateTimeField(null=True, blank=True)

    objects = ImpactQuerySet.as_manager()

    class Meta:
        ordering = ["-began_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["component", "source"],
                condition=Q(ended_at__isnull=True),
                name="one_open_impact_per_component_and_source",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")), name="impact_ends_after_it_begins"
            ),
            models.CheckConstraint(condition=~Q(level=Level.OPERATIONAL), name="impact_is_not_operational"),
        ]
        indexes = [
            # Read by the page: impacts of the last 90 days, whatever the length of the history.
            models.Index(fields=["ended_at", "began_at"], name="impact_by_end"),
            models.Index(fields=["source"], name="impact_by_source"),
            # Read by the page: the last trouble of each component.
            models.Index(fields=["component", "-began_at"], name="impact_by_component"),
        ]

    def __str__(self) -> str:
        return f"{self.component}: {self.get_level_display()} ({self.source})"
