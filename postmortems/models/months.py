"""What a contract's billing month comes to: facts as known, assessments, and what is out of date (R-903)."""

from __future__ import annotations

from typing import NoReturn

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from incidents.models import Incident
from notifications.models import Customer
from postmortems.enums import ExclusionKind, RunKind

from .contracts import Contract
from .rules import RuleVersion


class AppendOnly(models.Model):
    """Written once; the database refuses changes."""

    class Meta:
        abstract = True

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(f"{self._meta.verbose_name_plural} are append-only.")


class OutageFacts(AppendOnly):
    """What was known of one incident at ``known_at``: times, severities, components hit, time that does not count.

    ``content`` is ``credits.arithmetic.case.Outage`` as JSON; ``digest`` names it. Facts that change make a new row.
    """

    incident = models.ForeignKey(Incident, models.PROTECT, related_name="outage_facts")
    digest = models.CharField(max_length=64, unique=True)
    content = models.JSONField()
    known_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "outage facts"
        ordering = ["-known_at"]

    def __str__(self) -> str:
        return f"{self.incident.reference} as known {self.known_at:%Y-%m-%d %H:%M}"


class ContractMonth(models.Model):
    """One billing month of a contract: the row that every act about its money locks.

    ``month`` is the first of the month in which it begins; ``starts_at``/``ends_at`` its bounds (UTC, half open).
    Only ``credits.assessing`` and ``credits.book`` write it.
    """

    contract = models.ForeignKey(Contract, models.PROTECT, related_name="months")
    month = models.DateField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    #: Since when its facts, contract or rules are newer than its assessment; None: it is up to date.
    stale_since = models.DateTimeField(null=True, blank=True)
    #: Of what is over (minor units); None: never assessed.
    assessed_minor = models.BigIntegerField(null=True, blank=True)
    #: With what still runs, as of the last look; equal to ``assessed_minor`` where nothing runs.
    estimate_minor = models.BigIntegerField(default=0)
    is_running = models.BooleanField(default=False, help_text="An incident that touches it is still open.")
    assessment = models.ForeignKey("Assessment", models.PROTECT, null=True, blank=True, related_name="+")
    #: The assessed amount for which a person decided that nothing (more) is proposed: returned, or the customer keeps.
    decided_minor = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-month", "contract"]
        constraints = [
            models.UniqueConstraint(fields=["contract", "month"], name="one_row_per_contract_and_month"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="billing_month_ends_after_it_starts"),
        ]
        indexes = [
            models.Index(fields=["month", "contract"], name="contract_month_by_month"),
            models.Index(fields=["stale_since"], condition=Q(stale_since__isnull=False), name="contract_month_stale"),
            models.Index(fields=["month"], condition=Q(is_running=True), name="contract_month_running"),
        ]

    def __str__(self) -> str:
        return f"{self.contract.reference} {self.month:%Y-%m}"


class Touch(models.Model):
    """An incident that its last assessment looked at: what changes the one makes the other stale."""

    contract_month = models.ForeignKey(ContractMonth, models.CASCADE, related_name="touches")
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="touched_months")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contract_month", "incident"], name="one_touch_per_month_and_incident")
        ]
        indexes = [models.Index(fields=["incident"], name="touch_by_incident")]

    def __str__(self) -> str:
        return f"{self.contract_month} {self.incident.reference}"


class Assessment(AppendOnly):
    """What a month came to, with everything it was computed from: it can be recomputed for ever.

    ``inputs`` is ``credits.arithmetic.case.Case`` as JSON without its outages, which are ``facts`` (ids of
    OutageFacts); ``content`` is ``credits.arithmetic.results.Result`` as JSON, with the arithmetic in words;
    ``digest`` is of both.
    """

    contract_month = models.ForeignKey(ContractMonth, models.PROTECT, related_name="assessments")
    number = models.PositiveIntegerField()
    algorithm = models.PositiveSmallIntegerField()
    rules = models.ForeignKey(RuleVersion, models.PROTECT, null=True, related_name="assessments")
    inputs = models.JSONField()
    facts = models.JSONField(default=list)
    content = models.JSONField()
    amount_minor = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    made_at = models.DateTimeField()
    #: Who asked for it; None: the worker by itself.
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-made_at"]
        constraints = [models.UniqueConstraint(fields=["contract_month", "number"], name="one_assessment_per_number")]

    def __str__(self) -> str:
        return f"{self.contract_month} #{self.number}"


class Exclusion(models.Model):
    """Time of an incident that does not count, by a person, with a reason; for one customer or all.

    Never edited: it is withdrawn, and another one made.
    """

    incident = models.ForeignKey(Incident, models.PROTECT, related_name="exclusions")
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=16, choices=ExclusionKind)
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Blank: from the beginning.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Blank: to the end.")
    reason = models.TextField(max_length=1000)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    withdrawn_because = models.TextField(max_length=1000, blank=True)

    class Meta:
        ordering = ["-made_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="exclusion_ends_after_it_starts",
            )
        ]

    def __str__(self) -> str:
        return f"{self.incident.reference}: {self.get_kind_display()}"


class Seen(models.Model):
    """The version of an incident or maintenance that contract months were last marked for.

    ``source`` as in the ledger of impacts: ``incident:INC-2026-0001``. ``digest`` is of what credits read of it:
    most acts of an incident (notes, public words, roles) raise the version and leave every amount as it is.
    """

    source = models.CharField(max_length=60, unique=True)
    version = models.PositiveIntegerField()
    digest = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.source} v{self.version}"


class Run(models.Model):
    """Longer work and how far it is. ``result`` is what it found, as its kind says."""

    kind = models.CharField(max_length=8, choices=RunKind)
    #: What it was asked: ``{"month": "2026-10"}``, ``{"rules": 7, "from": "2026-07", "to": "2026-09"}``.
    asked = models.JSONField(default=dict)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    result = models.JSONField(default=dict)
    failed = models.TextField(blank=True, help_text="Why it stopped; blank: it did not.")

    class Meta:
        ordering = ["-asked_at"]
        indexes = [models.Index(fields=["kind", "-asked_at"], name="run_by_kind")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.asked_at:%Y-%m-%d %H:%M}"
