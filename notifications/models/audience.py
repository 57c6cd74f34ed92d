"""Whom we tell: topics to choose from, subscribers, customers and their contacts."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from simple_history.models import HistoricalRecords

from notifications.enums import Channel, Kind, Tier

from .endpoint import Endpoint
from .indexes import BeginningIndex

if TYPE_CHECKING:
    from .outbox import Announcement


class Topic(models.Model):
    """Something one can subscribe to. The floor above names it by ``key`` (``component:<id>``)."""

    key = models.CharField(max_length=80, unique=True)
    name = models.CharField(max_length=120)
    section = models.CharField(max_length=120, blank=True, help_text="Heading under which it is offered.")
    position = models.PositiveIntegerField(default=0)
    offered = models.BooleanField(default=True, help_text="Shown on the subscribe form.")

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name


class Customer(models.Model):
    """A company that uses the service (R-803)."""

    name = models.CharField(max_length=120)
    reference = models.CharField(max_length=40, unique=True, help_text="Number in your CRM or billing system.")
    tier = models.CharField(max_length=20, choices=Tier, default=Tier.STANDARD)
    topics = models.ManyToManyField(Topic, blank=True, related_name="customers", verbose_name="components used")

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Contact(models.Model):
    """A person at a customer."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="contacts")
    name = models.CharField(max_length=120)
    email = models.EmailField()
    role = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["customer", "email"], name="one_contact_per_address")]

    def __str__(self) -> str:
        return f"{self.name} ({self.customer})"


class SubscriberQuerySet(models.QuerySet["Subscriber"]):
    def active(self) -> SubscriberQuerySet:
        """Those who asked for mail, confirmed it and can still be reached."""
        return self.filter(confirmed_at__isnull=False, unsubscribed_at__isnull=True, bounced_at__isnull=True)

    def at_address(self, *addresses: str) -> SubscriberQuerySet:
        """Those at these addresses, however they are written: no mail server tells capitals apart."""
        # As the index of the log's searches keeps them.
        return self.alias(upper=Upper("address")).filter(upper__in=[address.upper() for address in addresses])

    def interested(
        self,
        *,
        kind: str,
        rank: int | None,
        topics: list[int],
        at: datetime,
        lane: str = "",
        channels: Collection[str] | None = None,
        brand: int | None = None,
    ) -> SubscriberQuerySet:
        """The recipients of news, as a pure function of its scope (reliability.md 2.0, R-802).

        ``rank`` 1–4 is the severity (1 worst; None: no severity, reaches all); ``topics`` are
        ids of Topic (empty: touches everything); ``at`` is when the news was published: who
        confirms later is not told about it. ``lane`` also reaches those who follow just that
        incident; ``channels`` None means every wire, see ``by_channels``; ``brand`` leaves out endpoints
        of other brands.
        """
        wanted = self.active().filter(confirmed_at__lte=at)
        if channels is not None:
            wanted = wanted.by_channels(channels)
        if brand is not None:
            theirs = Endpoint.objects.filter(subscriber=models.OuterRef("pk"), brand__isnull=False)
            wanted = wanted.filter(~models.Exists(theirs.exclude(brand=brand)))
        chosen: Any = Q(follows_only=False)
        if kind == Kind.MAINTENANCE:
            chosen = chosen & Q(wants_maintenance=True)
        elif kind == Kind.INCIDENT:
            chosen = chosen & Q(wants_incidents=True)
        if rank is not None:
            chosen = chosen & Q(least_rank__gte=rank)
        if topics:
            picked = Subscriber.topics.through.objects.filter(subscriber_id=models.OuterRef("pk"), topic_id__in=topics)
            chosen = chosen & (Q(all_topics=True) | models.Exists(picked))
        if lane:
            follows = Follow.objects.filter(subscriber=models.OuterRef("pk"), lane=lane, since__lte=at)
            chosen = chosen | models.Exists(follows)
        return wanted.filter(chosen)

    def by_channels(self, channels: Collection[str]) -> SubscriberQuerySet:
        """Those reached by one of ``channels``: ``webhook``, or ``webhook:enterprise`` for some of them (R-112).

        ``enterprise`` are subscribers of customers of that tier, ``staff`` the rooms of our own teams.
        """
        wanted = Q(channel__in=[name for name in channels if ":" not in name])
        for channel, _, among in (name.partition(":") for name in channels if ":" in name):
            wanted |= Q(channel=channel) & self._among(among)
        return self.filter(wanted)

    @staticmethod
    def _among(name: str) -> Q:
        rooms = Endpoint.objects.filter(subscriber=models.OuterRef("pk")).exclude(team="")
        return {"enterprise": Q(customer__tier=Tier.ENTERPRISE), "staff": Q(models.Exists(rooms))}[name]

    def reached_by(self, announcement: Announcement) -> SubscriberQuerySet:
        """Everybody an announcement is for."""
        return self.interested(
            kind=announcement.kind,
            rank=announcement.rank,
            topics=[topic.pk for topic in announcement.topics.all()],
            at=announcement.published_at,
            lane=announcement.lane,
            channels=announcement.channels,
            brand=announcement.brand_id,
        )


class Subscriber(models.Model):
    """Somebody who asked to be told (R-802). Facts are timestamps; being active is derived from them."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    channel = models.CharField(max_length=20, choices=Channel, default=Channel.EMAIL)
    address = models.CharField(max_length=254)
    language = models.CharField(max_length=12, default="en")
    customer = models.ForeignKey(Customer, models.SET_NULL, null=True, blank=True, related_name="subscribers")

    all_topics = models.BooleanField("all components", default=True)
    topics = models.ManyToManyField(Topic, blank=True, related_name="subscribers", verbose_name="components")
    wants_incidents = models.BooleanField(default=True)
    wants_maintenance = models.BooleanField(default=True)
    least_rank = models.PositiveSmallIntegerField(
        "least severity",
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(4)],
        help_text="Told about incidents of this rank and worse: 1 only the worst, 4 all.",
    )
    follows_only = models.BooleanField(
        default=False, help_text="Hears of the incidents they follow, and of nothing else."
    )

    # Quiet hours and digest (R-1314), in their own wall time; the worst incidents are told at once all the same.
    time_zone = models.CharField(max_length=40, default="UTC")
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    digest_at = models.TimeField(null=True, blank=True, help_text="One mail a day at this time. Empty: told at once.")

    created_at = models.DateTimeField()
    confirm_sent_at = models.DateTimeField(null=True, blank=True, help_text="Last time a confirmation was mailed.")
    confirm_sent_count = models.PositiveSmallIntegerField(default=0)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    unsubscribed_at = models.DateTimeField(null=True, blank=True)
    bounced_at = models.DateTimeField(null=True, blank=True, help_text="The address was refused for good.")
    #: Then ``address`` is a number, and nothing here says who it was; the row stays for the deliveries' sake (S29).
    erased_at = models.DateTimeField(null=True, blank=True)
    # The proof of consent (S29): when, and by what.
    consent_at = models.DateTimeField("agreed", null=True, blank=True)
    consent_source = models.CharField("proof of consent", max_length=200, blank=True)
    signed_up_from = models.CharField(
        max_length=43, blank=True, help_text="Network of the last sign-up, never a whole IP address."
    )
    changed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Last time they chose anew what to hear, or were given another chance. "
        "Whether they got earlier news is not audited any more.",
    )
    #: Counts up when links in old mail must stop working (the address left and came back).
    generation = models.PositiveIntegerField(default=0)

    objects = SubscriberQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "address"], name="one_subscriber_per_address"),
            models.CheckConstraint(condition=Q(least_rank__range=(1, 4)), name="least_rank_is_1_to_4"),
        ]
        indexes = [
            # Read by the fan-out: walks active subscribers by id, in chunks.
            models.Index(
                fields=["id"],
                condition=Q(confirmed_at__isnull=False, unsubscribed_at__isnull=True, bounced_at__isnull=True),
                name="subscriber_active",
            ),
            # Read by the searches of the delivery log: an address or its beginning, on any channel.
            BeginningIndex(field="address", name="subscriber_by_beginning"),
        ]
        permissions = [
            ("view_address", "Can see addresses whole"),
            ("import_subscriber", "Can import subscribers"),
            ("export_subscriber", "Can export up to 1,000 subscribers a day"),
            ("export_all", "Can export any number of subscribers"),
            ("erase_subscriber", "Can erase subscribers"),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def is_active(self) -> bool:
        return self.confirmed_at is not None and self.unsubscribed_at is None and self.bounced_at is None


class Follow(models.Model):
    """Somebody wants to hear of one incident to its end (R-802)."""

    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="follows")
    lane = models.CharField(max_length=120, help_text="The lane of its announcements.")
    name = models.CharField(max_length=160, blank=True, help_text="What the public page called it.")
    asked_at = models.DateTimeField(null=True)
    #: Empty until its owner confirms: anybody can type anybody's address.
    since = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subscriber", "lane"], name="one_follow_per_incident")]
        indexes = [
            # Read by the fan-out.
            models.Index(fields=["lane"], name="follow_by_lane")
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} follows {self.lane}"


class SignUp(models.Model):
    """Somebody typed this address into a form; a worker has not answered it yet (S15).

    The page only writes this row, whoever the address belongs to, so that its answer cannot tell
    who is subscribed. One row per address and wish: asking again replaces the choice that waits.
    """

    channel = models.CharField(max_length=20, choices=Channel, default=Channel.EMAIL)
    address = models.CharField(max_length=254)
    about = models.CharField(
        max_length=120, blank=True, help_text="Empty: a subscription; “manage”: a code; else the lane to follow."
    )
    choice = models.JSONField(help_text="What ``notifications.choices.Choice.as_json`` wrote.")
    asked_at = models.DateTimeField()
    asked_from = models.CharField(max_length=43, blank=True, help_text="The visitor's network: /24 or /48 (S29).")

    class Meta:
        ordering = ["asked_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "address", "about"], name="one_sign_up_per_address_and_wish")
        ]

    def __str__(self) -> str:
        return self.address
