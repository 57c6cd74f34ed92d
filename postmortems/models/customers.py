"""What reaches customers: entries in their balance at Stripe, and the links by which they see their credits (R-905)."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from notifications.models import Customer

from .ledger import Credit


class BalanceEntry(models.Model):
    """A request to Stripe, frozen when it is first made, so that every repetition of it is the same.

    One for each credit; another one only after Stripe refused the one before for good. The row is the queue:
    it is open until Stripe's answer is known.
    """

    credit = models.ForeignKey(Credit, models.PROTECT, related_name="balance_entries")
    number = models.PositiveSmallIntegerField()
    #: Stripe's idempotency key; its metadata carry it, too.
    key = models.CharField(max_length=160, unique=True)
    account = models.CharField(max_length=80, help_text="The customer at Stripe: cus_…")
    #: In Stripe's units and with Stripe's sign: a credit is negative.
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3, help_text="Lower case.")
    description = models.CharField(max_length=350)
    metadata = models.JSONField(default=dict)
    made_at = models.DateTimeField()

    tries = models.PositiveSmallIntegerField(default=0)
    #: Not tried before this; while somebody is at it, the end of their lease.
    next_at = models.DateTimeField()
    #: A call began whose end is not known.
    in_doubt = models.BooleanField(default=False)
    transaction = models.CharField(max_length=80, blank=True, help_text="Stripe's id of it: cbtxn_…")
    done_at = models.DateTimeField(null=True, blank=True)
    refused_at = models.DateTimeField(null=True, blank=True, help_text="Stripe refused it for good.")
    error = models.CharField(max_length=250, blank=True)
    #: When it was last read back from Stripe.
    compared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "balance entries"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["credit", "number"], name="one_balance_entry_per_number"),
            models.UniqueConstraint(
                fields=["credit"], condition=Q(refused_at__isnull=True), name="one_balance_entry_not_refused"
            ),
        ]
        indexes = [
            # Read by the claim, and by its look for older ones of the same customer.
            models.Index(
                fields=["account", "id"],
                condition=Q(done_at__isnull=True, refused_at__isnull=True),
                name="balance_entry_open",
            ),
            # Read by the comparison with Stripe, longest not compared first.
            models.Index(
                fields=["compared_at", "account"], condition=Q(done_at__isnull=False), name="balance_entry_done"
            ),
        ]

    def __str__(self) -> str:
        return self.key


class StripeState(models.Model):
    """How we stand with Stripe: one row. ``findings``: by account, what differs between their books and ours."""

    #: SHA-256 of the key that Stripe refused: another key is tried at once.
    refused_key = models.CharField(max_length=64, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    stopped_why = models.CharField(max_length=250, blank=True)
    compared_at = models.DateTimeField(null=True, blank=True)
    findings = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.stopped_why or "Stripe"


class StatementLinkQuerySet(models.QuerySet["StatementLink"]):
    def valid(self, at: datetime) -> StatementLinkQuerySet:
        return self.filter(revoked_at__isnull=True, expires_at__gt=at)


class StatementLink(models.Model):
    """A key to a customer's page of credits. Only a hash of it is kept: whoever lost it is given another one."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="statement_links")
    digest = models.CharField(max_length=64, unique=True)
    #: To whom it was given: ``The letter about CR-2026-0003``, ``contact:12``; no address, nothing to forget.
    given_to = models.CharField(max_length=250, blank=True)
    made_at = models.DateTimeField()
    #: None: a letter about credits carries it.
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    last_seen_at = models.DateTimeField(null=True, blank=True)

    objects = StatementLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-made_at", "-pk"]
        indexes = [models.Index(fields=["customer", "-made_at"], name="statement_links_of_customer")]

    def __str__(self) -> str:
        return f"{self.customer} until {self.expires_at:%Y-%m-%d}"
