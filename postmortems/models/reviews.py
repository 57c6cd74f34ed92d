"""The beginnings of reviews: what is owed after an incident, and by when (R-1001, R-1003)."""

from django.conf import settings
from django.db import models

from incidents.models import Incident
from postmortems.enums import Stage


class Review(models.Model):
    """The post-mortem of one incident."""

    incident = models.OneToOneField(Incident, models.PROTECT, related_name="review")
    stage = models.CharField(max_length=12, choices=Stage, default=Stage.DRAFT)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True, help_text="Published by, as the policy asks.")
    summary = models.TextField(blank=True)

    class Meta:
        ordering = ["-opened_at"]

    def __str__(self) -> str:
        return f"Post-mortem of {self.incident.reference}"
