"""A file between its dry run and the confirmation (R-807, R-902)."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class ImportFile(models.Model):
    """Waits for its owner to press "Import"; goes with the press, with the next file, or with an erasure."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    #: What it is a list of; each person has one file of each.
    kind = models.CharField(max_length=12, default="subscribers")
    name = models.CharField(max_length=120)
    #: zlib; the addresses in it are nobody's to search.
    packed = models.BinaryField()
    uploaded_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "kind"], name="one_waiting_file_per_owner_and_kind")]

    def __str__(self) -> str:
        return self.name
