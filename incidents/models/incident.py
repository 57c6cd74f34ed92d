"""The internal book: incidents, their timeline and what is owed (R-201…R-205, R-301)."""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from incidents.enums import OPEN, DutyKind, Origin, State, Verb
from notifications.models import Brand
from status.models import Notice

from .policy import Duty, PolicyVersion, Severity


class IncidentNumber(models.Model):
    """The last number given in a year. Its row lock makes ids gapless under concurrency (R-202)."""

    year = models.PositiveIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.year}: {self.last}"


class IncidentQuerySet(models.QuerySet["Incident"]):
    def open(self) -> IncidentQuerySet:
        return self.filter(state__in=OPEN)


class Incident(models.Model):
    """Trouble, from declaration to closing. Only ``incidents.lifecycle`` writes it."""

    reference = models.CharField(max_length=20, unique=True, help_text="INC-YYYY-NNNN")
    title = models.CharField(max_length=120)
    severity = models.ForeignKey(Severity, models.PROTECT, related_name="incidents")
    state = models.CharField(max_length=16, choices=State, default=State.DECLARED)
    origin = models.CharField("came from", max_length=12, choices=Origin, default=Origin.STAFF)
    brand = models.ForeignKey(Brand, models.PROTECT)
    #: The public book's page about it; None while nothing is said in public.
    notice = models.OneToOneField(Notice, models.PROTECT, null=True, blank=True, related_name="incident")
    declared_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    started_at = models.DateTimeField()
    detected_at = models.DateTimeField()
    declared_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    mitigated_at = models.DateTimeField(null=True, blank=True)
    #: When it stopped to hurt; ``resolved_at`` is when we said so (R-1302).
    ended_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    #: When it came back the last time; clocks of the present round start there.
    reopened_at = models.DateTimeField(null=True, blank=True)

    #: Rises with every act; a form that was read at an older version is refused (F09).
    version = models.PositiveIntegerField(default=1)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-declared_at"]
        constraints = [
            models.CheckConstraint(condition=Q(detected_at__gte=F("started_at")), name="detected_after_it_started"),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True) | Q(resolved_at__gte=F("started_at")),
                name="resolved_after_it_started",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")), name="ended_after_it_started"
            ),
        ]
        indexes = [
            # Read by the dashboard and the console's list of open incidents.
            models.Index(fields=["state", "-declared_at"], name="incident_by_state"),
        ]
        permissions = [
            ("declare", "Can declare incidents"),
            ("publish", "Can publish updates"),
            ("command", "Can change severity, resolve and reopen"),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"

    @property
    def policy_version(self) -> PolicyVersion:
        return self.severity.version

    @property
    def round_began_at(self) -> datetime:
        """When the present round of trouble began: the beginning, or the last reopening."""
        return self.reopened_at or self.started_at

    @property
    def source(self) -> str:
        """Its name in the ledger of impacts."""
        return f"incident:{self.reference}"

    @property
    def suggested_channel(self) -> str:
        """``#incident-YYYYMMDD-short-title`` (R-202)."""
        words = "".join(c if c.isalnum() and c.isascii() else " " for c in self.title.lower()).split()
        return f"#incident-{self.declared_at:%Y%m%d}-{'-'.join(words)[:40].strip('-')}".rstrip("-")


class TimelineEntry(models.Model):
    """Something that happened, was said or decided. Append-only: the database refuses changes (R-205)."""

    incident = models.ForeignKey(Incident, models.PROTECT, related_name="timeline")
    verb = models.CharField(max_length=16, choices=Verb)
    #: When it happened, and when we wrote it down (R-1302).
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    words = models.TextField(blank=True)
    #: What changed: ``{"severity": ["P1", "P0"]}``, the id of a public update, …
    facts = models.JSONField(default=dict)
    corrects = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="corrections")
    #: The form or request that asked for it: a second try with the same token changes nothing (F11).
    token = models.UUIDField(null=True, unique=True)
    #: The incident's version that this act made; tells a refused form what it had not seen (F09).
    version = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "timeline"
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["incident", "at", "id"], name="timeline_of_incident")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.get_verb_display()}"

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("The timeline is append-only.")


class ObligationQuerySet(models.QuerySet["Obligation"]):
    def open(self) -> ObligationQuerySet:
        return self.filter(met_at__isnull=True, dropped_at__isnull=True)

    def overdue(self, at: datetime) -> ObligationQuerySet:
        return self.open().filter(limit_at__lt=at)


class Obligation(models.Model):
    """Something owed by a moment that was frozen when the duty arose (R-107, R-301)."""

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="obligations")
    duty = models.ForeignKey(Duty, models.PROTECT, null=True)
    kind = models.CharField(max_length=20, choices=DutyKind)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="Reminded at.")
    limit_at = models.DateTimeField(help_text="Broken at.")
    met_at = models.DateTimeField(null=True, blank=True)
    met_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    dropped_at = models.DateTimeField(null=True, blank=True, help_text="No longer owed since.")
    remark = models.CharField(max_length=250, blank=True)

    objects = ObligationQuerySet.as_manager()

    class Meta:
        ordering = ["due_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["incident", "kind"],
                condition=Q(met_at__isnull=True, dropped_at__isnull=True),
                name="one_open_obligation_per_kind",
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(met_at__isnull=True, dropped_at__isnull=True), name="obligation_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.incident.reference} {self.get_kind_display()} by {self.due_at:%Y-%m-%d %H:%M}"

    @property
    def kept(self) -> bool | None:
        """Whether it was kept; None while it is open, or when it was dropped before it could be broken."""
        if self.met_at is not None:
            return self.met_at <= self.limit_at
        return False if self.dropped_at is not None and self.dropped_at > self.limit_at else None
