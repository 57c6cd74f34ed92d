"""Planned work (R-501)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from incidents.enums import AHEAD, MaintenanceState
from notifications.models import Brand
from status.models import Component, Notice

from .policy import Severity


class MaintenanceQuerySet(models.QuerySet["Maintenance"]):
    def open(self) -> MaintenanceQuerySet:
        """Still to come, or under way."""
        return self.filter(state__in=AHEAD)


class Act(models.Model):
    """What made a row of the history: the act (``history_change_reason``), what was said with it, and its form."""

    words = models.TextField(blank=True, default="")
    #: The form that asked for it: a second try with the same token changes nothing (F11).
    token = models.UUIDField(null=True, unique=True)

    class Meta:
        abstract = True


class Maintenance(models.Model):
    """A window of planned work. Only ``incidents.maintenance`` writes it."""

    reference = models.CharField(max_length=20, unique=True, help_text="MNT-YYYY-NNNN")
    title = models.CharField(max_length=120)
    #: The level that says what is owed; None: no policy knows maintenance.
    severity = models.ForeignKey(Severity, models.PROTECT, null=True, blank=True, related_name="maintenances")
    brand = models.ForeignKey(Brand, models.PROTECT)
    components = models.ManyToManyField(Component, related_name="maintenances")
    notice = models.OneToOneField(Notice, models.PROTECT, null=True, blank=True, related_name="maintenance")
    state = models.CharField(max_length=16, choices=MaintenanceState, default=MaintenanceState.PLANNED)
    what_changes = models.TextField(max_length=2000, blank=True)
    rollback_plan = models.TextField(max_length=2000, blank=True)
    planned_start_at = models.DateTimeField()
    planned_end_at = models.DateTimeField()
    scheduled_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    scheduled_at = models.DateTimeField()
    #: When the public was told that it will come.
    announced_at = models.DateTimeField(null=True, blank=True)
    began_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    #: Rises with every act (F09).
    version = models.PositiveIntegerField(default=1)

    #: One row for each act, with the window as it was then: what was announced when, for credits (R-503).
    history = HistoricalRecords(bases=[Act])
    objects = MaintenanceQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "maintenance"
        ordering = ["-planned_start_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(planned_end_at__gt=F("planned_start_at")), name="maintenance_ends_after_it_starts"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")),
                name="maintenance_ended_after_it_began",
            ),
        ]
        indexes = [models.Index(fields=["state", "planned_start_at"], name="maintenance_by_state")]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"

    @property
    def source(self) -> str:
        """Its name in the ledger of impacts."""
        return f"maintenance:{self.reference}"
