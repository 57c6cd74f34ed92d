"""Where webhooks and chat messages go: addresses that are secrets themselves (S20, S27)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from .brand import Brand


class Endpoint(models.Model):
    """The far end of a subscriber whose channel is one of ``enums.ENDPOINTS``.

    ``Subscriber.address`` only names it (``vault.label``); what is secret stands here, sealed by
    ``vault.seal`` with the column's name and the subscriber's public id, never in clear.
    """

    subscriber = models.OneToOneField("notifications.Subscriber", models.CASCADE, related_name="endpoint")
    name = models.CharField(max_length=80, blank=True, help_text="What people call it: “#status of the payments team”.")
    brand = models.ForeignKey(
        Brand,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="endpoints",
        help_text="Only this brand's news. Empty: every brand's.",
    )
    team = models.CharField(max_length=80, blank=True, help_text="Whose room it is; only to find it again.")
    #: Sealed: the URL that is posted to, or an Apprise URL.
    url = models.TextField()
    #: Sealed signing secrets of a webhook; the old one signs beside the new until it ends (S21).
    secret = models.TextField(blank=True)
    old_secret = models.TextField(blank=True)
    old_secret_until = models.DateTimeField(null=True, blank=True)
    owner_email = models.EmailField(blank=True, help_text="Who is told when it fails for a day.")

    failing_since = models.DateTimeField(null=True, blank=True)
    quarantined_at = models.DateTimeField(null=True, blank=True, help_text="Nothing is sent until its owner is back.")
    created_at = models.DateTimeField()

    history = HistoricalRecords(excluded_fields=["url", "secret", "old_secret"])

    class Meta:
        verbose_name = "target or webhook"
        verbose_name_plural = "targets and webhooks"
        ordering = ["id"]
        indexes = [
            # Read by the sweep that quarantines.
            models.Index(fields=["failing_since"], condition=Q(failing_since__isnull=False), name="endpoint_failing")
        ]

    def __str__(self) -> str:
        return self.name or str(self.subscriber)
