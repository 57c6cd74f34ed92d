"""What is owed, and by when (R-107, R-301)."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q

from incidents.enums import DutyKind

from .incident import Incident
from .maintenance import Maintenance
from .policy import Duty


class ObligationQuerySet(models.QuerySet["Obligation"]):
    def open(self) -> ObligationQuerySet:
        return self.filter(met_at__isnull=True, dropped_at__isnull=True)

    def overdue(self, at: datetime) -> ObligationQuerySet:
        return self.open().filter(limit_at__lt=at)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> ObligationQuerySet:
        """Those of incidents this person may know of (``IncidentQuerySet.visible_to``)."""
        known = Incident.objects.filter(is_restricted=True).visible_to(user)
        return self.filter(Q(incident__isnull=True) | Q(incident__is_restricted=False) | Q(incident__in=known))


class Obligation(models.Model):
    """Something owed by a moment that was frozen when the duty arose (R-107, R-301).

    Of an incident or of a maintenance. Without moments it is owed, and no policy says by when.
    """

    incident = models.ForeignKey(Incident, models.CASCADE, null=True, blank=True, related_name="obligations")
    maintenance = models.ForeignKey(Maintenance, models.CASCADE, null=True, blank=True, related_name="obligations")
    duty = models.ForeignKey(Duty, models.PROTECT, null=True)
    kind = models.CharField(max_length=20, choices=DutyKind)
    #: Who owes it, in the policy's words: "Communications lead".
    owner_role = models.CharField(max_length=60, blank=True)
    #: Its moment is the operator's own promise, not the policy's cadence (R-1301).
    promised = models.BooleanField(default=False)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True, help_text="Reminded at.")
    limit_at = models.DateTimeField(null=True, blank=True, help_text="Broken at.")
    met_at = models.DateTimeField(null=True, blank=True)
    met_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    dropped_at = models.DateTimeField(null=True, blank=True, help_text="No longer owed since.")
    #: Somebody said that it need not be done; ``remark`` says why.
    waived_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    remark = models.CharField(max_length=250, blank=True)
    #: When who owes it was reminded, and told that it is broken: once each (R-302).
    reminded_at = models.DateTimeField(null=True, blank=True)
    broken_at = models.DateTimeField(null=True, blank=True)

    objects = ObligationQuerySet.as_manager()

    class Meta:
        ordering = [F("due_at").asc(nulls_last=True), "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["incident", "kind"],
                condition=Q(met_at__isnull=True, dropped_at__isnull=True),
                name="one_open_obligation_per_kind",
            ),
            models.UniqueConstraint(
                fields=["maintenance", "kind"],
                condition=Q(met_at__isnull=True, dropped_at__isnull=True),
                name="one_open_obligation_per_kind_of_maintenance",
            ),
            models.CheckConstraint(
                condition=Q(incident__isnull=True, maintenance__isnull=False)
                | Q(incident__isnull=False, maintenance__isnull=True),
                name="obligation_is_of_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(due_at__isnull=True, limit_at__isnull=True)
                | Q(due_at__isnull=False, limit_at__gte=F("due_at")),
                name="obligation_is_broken_after_it_is_due",
            ),
        ]
        indexes = [
            # Read by the dashboard and by the sweep: what is owed, most urgent first.
            models.Index(
                fields=["due_at"], condition=Q(met_at__isnull=True, dropped_at__isnull=True), name="obligation_open"
            ),
            # Read by the report of a month.
            models.Index(fields=["limit_at", "kind"], name="obligation_by_limit"),
        ]

    def __str__(self) -> str:
        when = f" by {self.due_at:%Y-%m-%d %H:%M}" if self.due_at else ""
        return f"{(self.incident or self.maintenance).reference} {self.get_kind_display()}{when}"  # type: ignore[union-attr]  # a constraint says so

    @property
    def kept(self) -> bool | None:
        """Whether it was kept; None while it is open, or when it was dropped before it could be broken."""
        if self.met_at is not None:
            return self.limit_at is None or self.met_at <= self.limit_at
        if self.dropped_at is None or self.limit_at is None:
            return None
        return False if self.dropped_at > self.limit_at else None
