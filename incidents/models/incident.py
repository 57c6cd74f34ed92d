"""The internal book: incidents and their timeline (R-201…R-205)."""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from incidents.enums import OPEN, UNCOUNTED, Cause, Origin, State, Tie, Verb
from notifications.models import Brand
from status.models import Notice

from .people import Assignment, Insider, permissions_informing
from .policy import PolicyVersion, Severity

#: What outsiders read of a restricted incident that nobody has found other words for.
DISCREET = "Service incident"


class IncidentNumber(models.Model):
    """The last numbers given in a year. Its row lock makes ids gapless under concurrency (R-202)."""

    year = models.PositiveIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)
    last_maintenance = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.year}: {self.last}"


class IncidentQuerySet(models.QuerySet["Incident"]):
    def open(self) -> IncidentQuerySet:
        return self.filter(state__in=OPEN)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> IncidentQuerySet:
        """Which this person may know of: a restricted one only if they are named in it (R-213).

        Named are holders of its roles, those let in, and whoever is informed about security (legal, CISO).
        Being a superuser names nobody: they let themselves in, and that is recorded.
        """
        roles = Assignment.objects.filter(incident=OuterRef("pk"), user=user.pk, until__isnull=True)
        let_in = Insider.objects.filter(incident=OuterRef("pk"), user=user.pk)
        informed = permissions_informing(user)
        return self.filter(Q(is_restricted=False) | Exists(roles) | Exists(let_in) | Exists(informed))

    def counted(self) -> IncidentQuerySet:
        """Each trouble once: no duplicates, no parts of another, no false alarms (R-203, R-1311)."""
        return self.exclude(state__in=UNCOUNTED).exclude(links__tie=Tie.PART)


class Incident(models.Model):
    """Trouble, from declaration to closing. Only ``incidents.lifecycle`` writes it."""

    reference = models.CharField(max_length=20, unique=True, help_text="INC-YYYY-NNNN")
    title = models.CharField(max_length=120)
    #: What everybody outside reads instead of the title, where that says too much (R-213).
    public_title = models.CharField(max_length=120, blank=True)
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
    #: When somebody saw that the fix works; the watch before "resolved" starts then (R-214).
    verified_at = models.DateTimeField(null=True, blank=True)
    #: When it came back the last time; clocks of the present round start there.
    reopened_at = models.DateTimeField(null=True, blank=True)

    # What was found out: it decides what else is owed. None: nobody has said yet.
    cause = models.CharField(max_length=16, choices=Cause, blank=True)
    is_security = models.BooleanField("security incident", default=False)
    customers_hit = models.BooleanField("customers were hit", null=True, blank=True)
    is_significant = models.BooleanField("impact is significant", null=True, blank=True)
    review_asked_at = models.DateTimeField(null=True, blank=True, help_text="When a user asked for a post-mortem.")
    #: Only people who are named may know of it (R-213).
    is_restricted = models.BooleanField("restricted", default=False)
    merged_into = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="duplicates")

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
            models.CheckConstraint(
                condition=Q(state=State.MERGED, merged_into__isnull=False)
                | (~Q(state=State.MERGED) & Q(merged_into__isnull=True)),
                name="merged_says_into_what",
            ),
        ]
        indexes = [
            # Read by the dashboard and the console's list of open incidents.
            models.Index(fields=["state", "-declared_at"], name="incident_by_state"),
            # Read by the console's list, newest first, whatever the length of the history.
            models.Index(fields=["-declared_at", "-id"], name="incident_by_age"),
        ]
        permissions = [
            ("declare", "Can declare incidents"),
            ("publish", "Can publish updates"),
            ("command", "Can change severity, resolve and reopen"),
            ("informed_of_security", "Is informed about security incidents (legal, CISO)"),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"

    @property
    def policy_version(self) -> PolicyVersion:
        return self.severity.version

    @property
    def told_title(self) -> str:
        """Its title as everybody outside may read it (R-213)."""
        return self.public_title or (DISCREET if self.is_restricted else self.title)

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
        words = "".join(c if c.isalnum() and c.isascii() else " " for c in self.told_title.lower()).split()
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
