"""How the channels are, for people to see: a breaker lives in the memory of one process, this row in the console."""

from __future__ import annotations

from django.db import models

from notifications.enums import Channel


class ChannelState(models.Model):
    """One row per channel that ever had trouble, written when something changes (F07, F28).

    ``resting_since`` None: it works. ``doubt`` says which bounces were not believed (F04), ``doubted_at``
    when the last of them came; both stay until a person has seen them.
    """

    channel = models.CharField(max_length=20, choices=Channel, unique=True)
    resting_since = models.DateTimeField(null=True, blank=True, help_text="Since when nothing leaves by it.")
    reason = models.CharField(max_length=300, blank=True, help_text="Why, in the far end's own words.")
    probe_at = models.DateTimeField(null=True, blank=True, help_text="While it rests: nobody tries it before this.")
    ours = models.BooleanField(
        default=False, help_text="Because of us: a login, a certificate, a policy. Waiting will not help."
    )
    doubt = models.CharField(max_length=300, blank=True)
    doubted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "channel"
        ordering = ["channel"]

    def __str__(self) -> str:
        return self.get_channel_display()
