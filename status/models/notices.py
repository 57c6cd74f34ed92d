"""The public book: notices and the updates posted to them. Only published words live here."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import F, Q

from notifications.models import Brand
from status.enums import NoticeKind, Phase, PublicImpact

from .components import Component, new_public_id

#: From when to when a maintenance is planned (UTC).
Window = tuple[datetime, datetime]


class NoticeQuerySet(models.QuerySet["Notice"]):
    def visible(self) -> NoticeQuerySet:
        """What the public may read: all but false alarms (R-203)."""
        return self.filter(withdrawn_at__isnull=True)

    def open(self) -> NoticeQuerySet:
        return self.visible().filter(resolved_at__isnull=True)

    def past(self) -> NoticeQuerySet:
        return self.visible().filter(resolved_at__isnull=False)


class Notice(models.Model):
    """An incident or maintenance as the public knows it. ``/status/incidents/<public_id>`` is for good."""

    public_id = models.CharField(max_length=12, unique=True, default=new_public_id, editable=False)
    kind = models.CharField(max_length=20, choices=NoticeKind, default=NoticeKind.INCIDENT)
    brand = models.ForeignKey(Brand, models.PROTECT)
    #: The source of its impacts in the ledger, and the id people quote: ``INC-2026-0001``.
    reference = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=120)
    rank = models.PositiveSmallIntegerField(null=True, help_text="Severity rank 1–4, for subscribers' least severity.")
    impact = models.CharField(max_length=12, choices=PublicImpact, default=PublicImpact.NONE)
    phase = models.CharField(max_length=20, choices=Phase)
    components = models.ManyToManyField(Component, related_name="notices")
    #: When it began to hurt; may lie before ``published_at`` (R-1302). Of a maintenance: when it began, or will.
    started_at = models.DateTimeField()
    published_at = models.DateTimeField()
    #: The window of a maintenance, as it was announced last (R-501).
    planned_from = models.DateTimeField(null=True, blank=True)
    planned_until = models.DateTimeField(null=True, blank=True)
    monitoring_at = models.DateTimeField(null=True, blank=True)
    #: When it stopped to hurt; ``resolved_at`` is when we said so (R-1302).
    ended_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    #: The promise in force (R-1301). None while open: the last update says that there is none.
    next_update_by = models.DateTimeField(null=True, blank=True)
    #: How far it was told: who heard of it hears how it ends, whatever is changed meanwhile (R-804).
    told_rank = models.PositiveSmallIntegerField(null=True, blank=True)
    told_everybody = models.BooleanField(default=False)
    told_channels = models.JSONField(default=list)
    #: Counts how often it began: 1, and one more for each reopening.
    generation = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField()

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ["-published_at"]
        constraints = [
            models.CheckConstraint(
                # What is cancelled never began.
                condition=Q(resolved_at__isnull=True) | Q(resolved_at__gte=F("started_at")) | Q(phase="cancelled"),
                name="notice_is_resolved_after_it_started",
            )
        ]
        indexes = [
            # Read by the page: open ones, and the newest past ones by key.
            models.Index(fields=["resolved_at", "id"], name="notice_by_resolution"),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"

    @property
    def window(self) -> Window | None:
        """When it is or was planned; None: it is no maintenance, or nobody said until when."""
        return (self.planned_from, self.planned_until) if self.planned_from and self.planned_until else None

    @property
    def lane(self) -> str:
        """The lane of every message about it; the order holds over reopenings, so it stays the same (F12)."""
        return f"notice:{self.public_id}"


class NoticeUpdate(models.Model):
    """Public words, stored once; page, feed, mail, SMS and webhook all read this row.

    Never edited: a correction is a new row whose ``corrects`` names the one it replaces; the
    public reads the newest of the chain at the place of the first (R-205).
    """

    public_id = models.CharField(max_length=12, unique=True, default=new_public_id, editable=False)
    notice = models.ForeignKey(Notice, models.CASCADE, related_name="updates")
    seq = models.PositiveIntegerField()
    phase = models.CharField(max_length=20, choices=Phase)
    body = models.TextField(max_length=5000, help_text="Markdown.")
    html = models.TextField(help_text="The body made harmless, as the page and the mail show it.")
    text = models.TextField(help_text="The body without markup, for plain mail.")
    sms = models.CharField(max_length=480, blank=True)
    #: What chat rooms read; blank: the words above.
    chat = models.TextField(max_length=1000, blank=True, default="")
    #: The same words in other languages, as ``status.translations.Stored``.
    translations = models.JSONField(default=dict, blank=True)
    #: When it was said, by our clock.
    posted_at = models.DateTimeField()
    #: What it says about the next update; None: it says that there is no fixed time.
    next_update_by = models.DateTimeField(null=True, blank=True)
    #: ``[{"code", "name", "old_status", "new_status"}, …]`` at the time of posting (statuspage-v2.md 5.6).
    affected = models.JSONField(default=list)
    corrects = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="corrected_by")

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["notice", "seq"], name="one_update_per_notice_position")]

    def __str__(self) -> str:
        return f"{self.notice.reference} #{self.seq} {self.get_phase_display()}"
