"""What the page says about asking for help (R-104, R-705)."""

from __future__ import annotations

from django.db import models


class AnswerTarget(models.Model):
    """How soon support answers: "Critical", "within 1 hour". Written by whoever holds the policy in force (R-104)."""

    priority = models.CharField(max_length=40, unique=True)
    words = models.CharField(max_length=80)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "priority"]

    def __str__(self) -> str:
        return f"{self.priority}: {self.words}"
