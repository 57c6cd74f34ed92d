"""What leaves the house: announcements, their frozen renderings, and a row per recipient."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from notifications.enums import FINAL, Channel, Doubt, Fate, Kind, Pool

from .audience import Subscriber, Topic
from .brand import Brand
from .indexes import BeginningIndex

#: Why words that were held back did not leave.
WITHHELD = "Held back: it must not be read any more."


class AnnouncementQuerySet(models.QuerySet["Announcement"]):
    def unexpanded(self) -> AnnouncementQuerySet:
        """Announcements whose recipients are not all written down yet."""
        return self.filter(expanded_at__isnull=True)

    def lying(self, seconds: float) -> AnnouncementQuerySet:
        """Unexpanded ones that were published at least so many seconds ago, oldest first."""
        return self.unexpanded().filter(published_at__lte=Now() - timedelta(seconds=seconds)).order_by("pk")


class Announcement(models.Model):
    """News for many, or a letter for one. Written in the transaction of the act that makes the news.

    ``content`` is what ``notifications.outbox.Story.as_json`` wrote. ``published_at`` is the Date
    header of every mail; it never changes, so a second copy is byte-identical (reliability.md 3.2).
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    #: Messages of one lane reach one person in order (F12), also when an incident comes back.
    lane = models.CharField(max_length=120)
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=Kind)
    pool = models.CharField(max_length=20, choices=Pool, default=Pool.NEWS)
    on_doubt = models.CharField(max_length=20, choices=Doubt, default=Doubt.RETRY)
    rank = models.PositiveSmallIntegerField(null=True, blank=True)
    brand = models.ForeignKey(Brand, models.PROTECT)
    topics = models.ManyToManyField(Topic, blank=True, related_name="announcements")
    #: Channels it goes by, as ``SubscriberQuerySet.by_channels`` reads them; None: all of them (R-112).
    channels = models.JSONField(null=True, blank=True)
    subject = models.CharField(max_length=250)
    content = models.JSONField()
    #: It tells of the end of an incident or a maintenance.
    is_over = models.BooleanField(default=False)
    published_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="After this nobody wants to hear it any more.")

    #: Fan-out cursor: subscribers up to this id have their rows.
    expanded_to = models.BigIntegerField(default=0)
    expanded_at = models.DateTimeField(null=True, blank=True)

    objects = AnnouncementQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["lane", "seq"], name="one_announcement_per_lane_position")]
        indexes = [
            # Read by the fan-out sweep every few seconds.
            models.Index(fields=["id"], condition=Q(expanded_at__isnull=True), name="announcement_unexpanded"),
            # Read by the auditor every minute and by the dashboard.
            models.Index(fields=["published_at"], name="announcement_recent"),
            # Read by the delivery log: news by words of their subject, newest first, past a million letters.
            models.Index(
                fields=["-id", "subject"], condition=~Q(kind__in=["letter", "digest"]), name="announcement_news"
            ),
            # Read by the delivery log's search for an incident.
            models.Index(
                KT("content__reference"), condition=~Q(kind__in=["letter", "digest"]), name="announcement_by_reference"
            ),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def is_withheld(self) -> bool:
        """Whether it must not be read any more (``outbox.withhold``): its life ended where it began."""
        return self.expires_at <= self.published_at


class Rendering(models.Model):
    """A message compiled once per announcement, channel and language; recipients differ by substitution only.

    ``parts`` is the list of literal pieces between placeholders, ``slots`` the names of the
    placeholders in between (``len(parts) == len(slots) + 1``).
    """

    announcement = models.ForeignKey(Announcement, models.CASCADE, related_name="renderings")
    channel = models.CharField(max_length=20, choices=Channel)
    language = models.CharField(max_length=12)
    parts = models.JSONField()
    slots = models.JSONField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["announcement", "channel", "language"], name="one_rendering_per_announcement_wire_language"
            )
        ]

    def __str__(self) -> str:
        return f"{self.announcement} ({self.channel}, {self.language})"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def unfinished(self) -> DeliveryQuerySet:
        return self.exclude(fate__in=FINAL)

    def failed(self) -> DeliveryQuerySet:
        """Those an operator may want to send again (R-804)."""
        return self.filter(fate__in=(Fate.BOUNCED, Fate.DEAD, Fate.UNCERTAIN))


class Delivery(models.Model):
    """One message to one person on one channel, with its fate (R-804). The queue itself."""

    #: Without an index of its own: two of the table's begin with it, and each costs three writes per mail.
    announcement = models.ForeignKey(Announcement, models.CASCADE, related_name="deliveries", db_index=False)
    #: None for letters to people who are not subscribers; then ``address`` holds where it goes.
    subscriber = models.ForeignKey(Subscriber, models.SET_NULL, null=True, related_name="deliveries")
    address = models.CharField(max_length=254, blank=True)
    channel = models.CharField(max_length=20, choices=Channel)
    pool = models.CharField(max_length=20, choices=Pool)
    fate = models.CharField(max_length=12, choices=Fate, default=Fate.PENDING)
    reason = models.CharField(max_length=300, blank=True)

    next_at = models.DateTimeField(help_text="Not tried before this, by the database's clock.")
    lease_until = models.DateTimeField(null=True, blank=True)
    #: Rises with every claim; a worker whose fence is old may not write any more.
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    #: How often the message may have left: at most 2 without a person (reliability.md 3.1).
    copies = models.PositiveSmallIntegerField(default=0)
    #: How many workers died while they held it (F29).
    crashes = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    #: When it last began to leave.
    sent_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    #: When somebody wanted it sent once more, out of its order.
    replayed_at = models.DateTimeField(null=True, blank=True)
    #: The provider's id of it, where there is one.
    receipt = models.CharField(max_length=120, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["announcement", "subscriber", "channel"], name="one_delivery_per_person_update_channel"
            ),
        ]
        indexes = [
            # Read by the claim.
            models.Index(fields=["pool", "next_at", "id"], condition=Q(fate="pending"), name="delivery_claim"),
            # Read by the claim of what workers died over, and nearly always empty (F29).
            models.Index(
                fields=["pool", "next_at", "id"], condition=Q(fate="pending", crashes__gt=0), name="delivery_suspects"
            ),
            # Read by the reaper.
            models.Index(fields=["lease_until"], condition=Q(fate__in=["leased", "sending"]), name="delivery_reap"),
            # Read by the promotion of rows that waited for their predecessor.
            models.Index(fields=["subscriber"], condition=Q(fate="blocked"), name="delivery_blocked"),
            # Read by the progress of an update, which is counted from it alone, and by the delivery log's filters.
            models.Index(fields=["announcement", "fate", "channel"], name="delivery_by_fate"),
            # Read by the delivery log, in its order: what went wrong, and what was left out, is rare and anywhere.
            models.Index(
                fields=["announcement", "subscriber"],
                condition=Q(fate__in=["bounced", "dead", "uncertain"]),
                name="delivery_trouble",
            ),
            models.Index(
                fields=["announcement", "subscriber"], condition=Q(fate="suppressed"), name="delivery_left_out"
            ),
            # Read by erasure: letters only, news has no address of its own.
            models.Index(fields=["address"], condition=~Q(address=""), name="delivery_by_address"),
            # Read by the delivery log's search for an address.
            BeginningIndex(field="address", condition=~Q(address=""), name="delivery_by_beginning"),
            # Read by receipts from providers.
            models.Index(fields=["receipt"], condition=~Q(receipt=""), name="delivery_by_receipt"),
            # Read by the webhooks' turns: one at a time and in order for each endpoint (F06).
            models.Index(
                fields=["subscriber", "announcement"],
                condition=Q(channel="webhook", fate__in=["blocked", "pending", "leased", "sending"]),
                name="delivery_in_turn",
            ),
            # Read by the digest.
            models.Index(fields=["subscriber", "id"], condition=Q(fate="held"), name="delivery_held"),
        ]

    def __str__(self) -> str:
        # Not whose it is: titles and logs are read by people who need not know.
        return f"{self.announcement} ({self.get_channel_display()})"
