"""What remains of people we may not write to, and how often a door was used (S16, S29)."""

from __future__ import annotations

from django.db import models

from notifications.enums import Silence


class Suppression(models.Model):
    """An address that must not be mailed until its owner signs up again: only its hash, the reason, the date.

    ``digest`` is what ``notifications.suppression.digest`` made; the address cannot be read from it.
    """

    digest = models.CharField(max_length=64, unique=True)
    reason = models.CharField(max_length=12, choices=Silence)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.digest[:12]}… ({self.get_reason_display()})"


class Tally(models.Model):
    """How often something was done since ``since``: one row per door and visitor, written in one statement (S16).

    ``key`` is a keyed hash: neither an address nor an IP can be read from it.
    """

    key = models.CharField(max_length=64, unique=True)
    since = models.DateTimeField(db_index=True)
    #: When nobody looks at it any more; empty: two days after it began.
    until = models.DateTimeField(null=True, blank=True, db_index=True)
    count = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return f"{self.key[:12]}…: {self.count}"
