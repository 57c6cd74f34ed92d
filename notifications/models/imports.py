"""A file of subscribers between its dry run and the confirmation (R-807)."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class ImportFile(models.Model):
    """Waits for its owner to press "Import"; goes with the press, with the next file, or with an erasure."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=120)
    #: zlib; the addresses in it are nobody's to search.
    packed = models.BinaryField()
    uploaded_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
