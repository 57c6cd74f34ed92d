"""Who speaks: name, sender and tone of an organisation (R-111, R-805)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords


class BrandQuerySet(models.QuerySet["Brand"]):
    def default(self) -> Brand:
        """The brand the page and its mail speak for. Raises ``Brand.DoesNotExist`` before set-up."""
        return self.get(is_default=True)


class Brand(models.Model):
    """An organisation's voice, kept apart from any policy (R-111)."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80, help_text="As customers know it. Shown on the page and in every message.")
    sender_name = models.CharField(max_length=80, help_text="Display name in the From header.")
    sender_email = models.EmailField(help_text="From address. Its domain needs SPF, DKIM and DMARC records.")
    signature = models.TextField(max_length=500, blank=True, help_text="Closing lines of every mail.")
    support_email = models.EmailField(help_text="Where customers ask for help; Reply-To of every mail.")
    support_url = models.URLField(blank=True)
    security_email = models.EmailField(blank=True, help_text="Where security problems are reported.")
    subject_pattern = models.CharField(
        max_length=120,
        default="[{{brand}}] {{phase}}: {{title}}",
        help_text="Subject of update mails. Placeholders: {{brand}}, {{phase}}, {{title}}, {{reference}}.",
    )
    apologise = models.BooleanField(default=True, help_text="Messages about incidents say sorry.")
    publish_causes = models.BooleanField(default=True, help_text="Root causes may be told to the public.")
    is_default = models.BooleanField(default=False)

    history = HistoricalRecords()
    objects = BrandQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="one_default_brand")
        ]

    def __str__(self) -> str:
        return self.name
