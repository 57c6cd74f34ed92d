"""What a customer pays for, from when to when (R-902)."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from incidents.models import Policy
from notifications.models import Customer
from status.models import Component

from .rules import RuleBook

#: The largest fee: what a 64-bit integer holds even after it was multiplied by shares of a month.
LARGEST_FEE = 10**12


class Contract(models.Model):
    """An agreement with a customer, in one currency. Its terms say what holds from when to when."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="contracts")
    reference = models.CharField(max_length=60, unique=True, help_text="Number of the contract in your billing system.")
    policy = models.ForeignKey(
        Policy, models.PROTECT, related_name="contracts", help_text="Whose rules for service credits hold."
    )
    own_rules = models.ForeignKey(
        RuleBook,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="contracts",
        help_text="Rules agreed with this customer instead of the plan's.",
    )
    currency = models.CharField(max_length=3, help_text="ISO 4217 code.")
    zone = models.CharField("billing time zone", max_length=60, default="UTC")
    billing_day = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(28)],
        help_text="Day of the month on which a billing month begins, at midnight of the billing time zone.",
    )
    billing_account = models.CharField(
        max_length=80, blank=True, help_text="The customer's id at Stripe or another billing system: cus_…"
    )

    history = HistoricalRecords()

    class Meta:
        ordering = ["reference"]
        constraints = [
            models.CheckConstraint(condition=Q(billing_day__range=(1, 28)), name="billing_day_is_1_to_28"),
        ]

    def __str__(self) -> str:
        return self.reference


class Term(models.Model):
    """What holds in a contract from the first day to the last, both included, in its time zone.

    ``fee_minor`` is the recurring fee of one month in minor units, without usage and tax.
    Terms of one contract do not overlap: ``credits.contracts`` sees to it.
    """

    contract = models.ForeignKey(Contract, models.CASCADE, related_name="terms")
    starts_on = models.DateField("first day")
    last_day = models.DateField(null=True, blank=True, help_text="Blank: until further notice.")
    plan = models.CharField(max_length=60, blank=True)
    fee_minor = models.BigIntegerField("monthly fee, minor units")
    uses_everything = models.BooleanField(default=False, help_text="Every component counts as used.")
    components = models.ManyToManyField(Component, blank=True, related_name="terms", verbose_name="components used")

    history = HistoricalRecords(m2m_fields=[components])

    class Meta:
        ordering = ["contract", "starts_on"]
        constraints = [
            models.UniqueConstraint(fields=["contract", "starts_on"], name="one_term_per_first_day"),
            models.CheckConstraint(
                condition=Q(last_day__isnull=True) | Q(last_day__gte=F("starts_on")),
                name="term_ends_after_it_starts",
            ),
            models.CheckConstraint(condition=Q(fee_minor__range=(0, LARGEST_FEE)), name="fee_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.contract.reference} from {self.starts_on}"
