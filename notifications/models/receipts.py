"""What providers told us afterwards, and codes that prove who holds a phone (R-802, R-806)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from notifications.enums import Channel

from .outbox import Delivery


class Receipt(models.Model):
    """A provider's word about one of our messages; ``event`` is its id there: a replay changes nothing (S22)."""

    source = models.CharField(max_length=20)
    event = models.CharField(max_length=120)
    word = models.CharField(max_length=40, help_text="What it says, in the provider's own word.")
    delivery = models.ForeignKey(Delivery, models.CASCADE, null=True, blank=True, related_name="receipts")
    detail = models.CharField(max_length=300, blank=True)
    code = models.CharField(
        max_length=20, blank=True, help_text="Of a bounce for good. Many with one code are not believed."
    )
    at = models.DateTimeField(help_text="When we heard it.")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["source", "event"], name="one_receipt_per_event")]
        indexes = [
            # Read by the guard against mass bounces (F04).
            models.Index(fields=["code", "at"], condition=~Q(code=""), name="receipt_bounces")
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.word}"


class Reply(Receipt):
    """A receipt of the other kind: what somebody texted us."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name_plural = "replies to texts"


class Code(models.Model):
    """A short code on its way to a phone or a mailbox; one at a time per address and purpose.

    ``key`` is a keyed hash of channel, address and purpose, ``digest`` one of the code: neither can
    be read from the row.
    """

    key = models.CharField(max_length=64, unique=True)
    channel = models.CharField(max_length=20, choices=Channel)
    digest = models.CharField(max_length=64)
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.channel} {self.key[:8]}…"
