"""The auditor's book: one row per minute that was audited (F22)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models


class AuditRunQuerySet(models.QuerySet["AuditRun"]):
    def latest_finished(self) -> AuditRun | None:
        return self.filter(finished_at__isnull=False).order_by("-slot").first()


class AuditRun(models.Model):
    """One audit. Whoever writes the row of a minute first runs the audit of that minute (F13)."""

    slot = models.DateTimeField(unique=True, help_text="The full minute it belongs to.")
    finished_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it runs, or its worker died.")
    seconds = models.FloatField(default=0.0)
    #: What ``notifications.audit.Finding.as_json`` wrote, for every rule that found something.
    findings = models.JSONField(default=list)

    objects = AuditRunQuerySet.as_manager()

    class Meta:
        ordering = ["-slot"]

    def __str__(self) -> str:
        return f"{self.slot:%Y-%m-%d %H:%M}"

    def finish(self, findings: list[dict[str, Any]], *, seconds: float, at: datetime) -> None:
        self.findings, self.seconds, self.finished_at = findings, seconds, at
        self.save(update_fields=["findings", "seconds", "finished_at"])
