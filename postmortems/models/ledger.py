"""Credits and the ledger: append-only, double entry, integer minor units (R-904, R-905, reliability.md 5.1)."""

from __future__ import annotations

from typing import NoReturn

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from postmortems.enums import WAITING, Account, CreditKind, CreditState, Deed

from .months import AppendOnly, Assessment, ContractMonth


class BatchNumber(models.Model):
    """The last number given. Its one row is locked while a month is closed: gapless, one after the other (R-905).

    Months are closed in order, so that years are, too.
    """

    #: The only row there is.
    THE = 1

    year = models.PositiveIntegerField(default=0)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.year}: {self.last}"


class BatchQuerySet(models.QuerySet["Batch"]):
    def light(self) -> BatchQuerySet:
        """Without the files, which are megabytes."""
        return self.defer("csv", "xlsx", "json")


class Batch(models.Model):
    """What was handed to billing when a month was closed (R-905). The database refuses to change it.

    ``month`` is the first of the month; each is closed once. ``digest`` is the SHA-256 of ``json``.
    """

    number = models.CharField(max_length=20, unique=True, help_text="CR-YYYY-NNNN, gapless within a year.")
    month = models.DateField(unique=True)
    closed_at = models.DateTimeField()
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    count = models.PositiveIntegerField()
    #: ``{"EUR": 123400}`` in minor units.
    totals = models.JSONField(default=dict)
    digest = models.CharField(max_length=64)
    csv = models.BinaryField()
    xlsx = models.BinaryField()
    json = models.BinaryField()
    #: When the billing system outside was told of it. These four are all that may change.
    told_at = models.DateTimeField(null=True, blank=True)
    tell_tries = models.PositiveSmallIntegerField(default=0)
    tell_next_at = models.DateTimeField(null=True, blank=True)
    tell_error = models.CharField(max_length=250, blank=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["-month"]
        indexes = [
            # Read by the sweep that tells billing systems.
            models.Index(fields=["tell_next_at"], condition=Q(tell_next_at__isnull=False), name="batch_to_tell"),
        ]

    def __str__(self) -> str:
        return self.number

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("A closed month stays closed.")


class CreditQuerySet(models.QuerySet["Credit"]):
    def waiting(self) -> CreditQuerySet:
        return self.filter(state__in=WAITING)


class Credit(models.Model):
    """One amount for one billing month, from proposal to invoice. Only ``credits.book`` writes it.

    ``amount_minor`` may be negative: a reversal, or a correction that lowers. The amount never changes:
    what follows is another credit.
    """

    contract_month = models.ForeignKey(ContractMonth, models.PROTECT, related_name="credits")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=CreditKind)
    state = models.CharField(max_length=12, choices=CreditState)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    #: What it was computed from; None: a person typed the amount.
    assessment = models.ForeignKey(Assessment, models.PROTECT, null=True, blank=True, related_name="credits")
    reverses = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="reversals")
    #: Why a person gave or reversed it.
    reason = models.TextField(max_length=1000, blank=True)
    proposed_at = models.DateTimeField()
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    #: When it approves by itself; None: a person has to.
    holds_until = models.DateTimeField(null=True, blank=True)
    needs_second = models.BooleanField(default=False)
    first_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    #: None though approved: by itself, after the holding time.
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)
    batch = models.ForeignKey(Batch, models.PROTECT, null=True, blank=True, related_name="credits")
    applied_at = models.DateTimeField(null=True, blank=True)
    #: The invoice or balance transaction that took it.
    invoice = models.CharField(max_length=120, blank=True)
    #: Posting to Stripe: when it was last tried, how often, and what went wrong.
    stripe_tried_at = models.DateTimeField(null=True, blank=True)
    stripe_tries = models.PositiveSmallIntegerField(default=0)
    stripe_error = models.CharField(max_length=250, blank=True)
    told_at = models.DateTimeField(null=True, blank=True, help_text="When the customer was written to.")

    objects = CreditQuerySet.as_manager()

    class Meta:
        ordering = ["-proposed_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["contract_month", "number"], name="one_credit_per_number"),
            models.CheckConstraint(condition=~Q(amount_minor=0), name="credit_is_not_nothing"),
            models.UniqueConstraint(
                fields=["contract_month"],
                condition=Q(state__in=WAITING, kind__in=[CreditKind.ASSESSED, CreditKind.CORRECTION]),
                name="one_waiting_assessment_per_month",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["exported", "applied"], batch__isnull=False)
                | (~Q(state__in=["exported", "applied"]) & Q(batch__isnull=True)),
                name="exported_credit_is_in_a_batch",
            ),
            models.CheckConstraint(
                condition=Q(first_by__isnull=True) | Q(approved_by__isnull=True) | ~Q(first_by=F("approved_by")),
                name="second_approver_is_another_person",
            ),
        ]
        indexes = [
            # Read by the overview and the bulk acts.
            models.Index(fields=["state", "-proposed_at"], name="credit_by_state"),
            # Read by the sweep that approves after the holding time.
            models.Index(fields=["holds_until"], condition=Q(state=CreditState.PROPOSED), name="credit_holding"),
            # Read by the letters to customers.
            models.Index(
                fields=["applied_at"],
                condition=Q(state=CreditState.APPLIED, told_at__isnull=True),
                name="credit_untold",
            ),
        ]
        permissions = [
            ("approve_credit", "Can approve and return credits"),
            ("grant_credit", "Can give goodwill and reverse credits"),
            ("export_credit", "Can close months and download batches"),
            ("exclude_time", "Can exclude time of incidents from credits"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def key(self) -> str:
        """Its name for good: ``contract:month:number``. Idempotency keys are made of it."""
        month = self.contract_month
        return f"{month.contract.reference}:{month.month:%Y-%m}:{self.number}"


class CreditDeed(AppendOnly):
    """What was done with a credit, by whom, and why."""

    credit = models.ForeignKey(Credit, models.PROTECT, related_name="deeds")
    deed = models.CharField(max_length=16, choices=Deed)
    at = models.DateTimeField()
    #: None: it happened by itself.
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.TextField(max_length=1000, blank=True)

    class Meta:
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["credit", "at"], name="deeds_of_credit")]

    def __str__(self) -> str:
        return f"{self.credit_id} {self.get_deed_display()}"


class Posting(AppendOnly):
    """An amount moved from one account to another: balanced by construction.

    ``key`` is the credit's key and the step; the same step is never posted twice.
    """

    key = models.CharField(max_length=120, unique=True)
    credit = models.ForeignKey(Credit, models.PROTECT, related_name="postings")
    contract_month = models.ForeignKey(ContractMonth, models.PROTECT, related_name="postings")
    debit = models.CharField(max_length=8, choices=Account)
    #: The account that is credited.
    against = models.CharField(max_length=8, choices=Account)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    posted_at = models.DateTimeField()

    class Meta:
        ordering = ["posted_at", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="posting_moves_something"),
            models.CheckConstraint(condition=~Q(debit=F("against")), name="posting_moves_between_two_accounts"),
        ]
        indexes = [models.Index(fields=["contract_month", "debit", "against"], name="postings_of_month")]

    def __str__(self) -> str:
        return f"{self.key}: {self.debit} / {self.against} {self.amount_minor} {self.currency}"
