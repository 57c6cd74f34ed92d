"""Rules for service credits: per policy and plan, versioned (R-901, reliability.md 5.2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from incidents.models import Policy
from postmortems.enums import Clock, Measure, Mix, Overlap, Proration, RuleStanding, Scope, Stacking
from status.enums import IMPACTS, Level

_PERCENT = [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))]


class RulesError(Exception):
    """Rules, a version or its tiers do not allow that. The message is written for people."""


class RuleBook(models.Model):
    """Rules by name: of a policy and plan, or (without a policy) agreed with single customers."""

    name = models.CharField(max_length=80, unique=True)
    policy = models.ForeignKey(
        Policy,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="rule_books",
        help_text="Blank: of single contracts.",
    )
    plan = models.CharField(max_length=60, blank=True, help_text="Blank: every plan without rules of its own.")

    history = HistoricalRecords()

    class Meta:
        verbose_name = "credit rules"
        verbose_name_plural = "credit rules"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "plan"], condition=Q(policy__isnull=False), name="one_rule_book_per_policy_and_plan"
            )
        ]

    def __str__(self) -> str:
        return self.name


class RuleVersion(models.Model):
    """What the rules say for billing months that begin on ``applies_from`` or later. In force it never changes.

    ``applies_from`` None: since ever. Of several the latest holds, of the same day the higher number.
    """

    book = models.ForeignKey(RuleBook, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    standing = models.CharField(max_length=8, choices=RuleStanding, default=RuleStanding.DRAFT)
    applies_from = models.DateField(
        null=True, blank=True, help_text="First day of the first billing month it is for. Blank: all months."
    )
    remark = models.TextField(max_length=1000, blank=True, help_text="Why it differs from the version before.")

    stacking = models.CharField("several outages", max_length=8, choices=Stacking, default=Stacking.SUM)
    overlap = models.CharField("overlapping incidents", max_length=8, choices=Overlap, default=Overlap.UNION)
    mix = models.CharField("outages and uptime", max_length=8, choices=Mix, default=Mix.HIGHER)
    clock = models.CharField("times that count", max_length=8, choices=Clock, default=Clock.IMPACT)
    scope = models.CharField("whose downtime counts", max_length=8, choices=Scope, default=Scope.USED)
    least_level = models.CharField(
        "a component is down from",
        max_length=24,
        choices=[(level.value, level.label) for level in IMPACTS],
        default=Level.DEGRADED,
    )
    proration = models.CharField("fee of a part of a month", max_length=8, choices=Proration, default=Proration.SECONDS)
    cap_percent = models.DecimalField(
        "cap, % of the month's fee", max_digits=5, decimal_places=2, default=Decimal(100), validators=_PERCENT
    )
    notice_days = models.PositiveSmallIntegerField(
        "maintenance is excluded when announced, days before", default=7, validators=[MaxValueValidator(90)]
    )
    hold_hours = models.PositiveSmallIntegerField(
        "approves by itself after, hours",
        null=True,
        blank=True,
        validators=[MaxValueValidator(2160)],
        help_text="Finance can stop it until then. Blank: a person approves each.",
    )
    second_above = models.DecimalField(
        "second approver above",
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="In the contract's currency. Blank: only reversals need a second person (R-1308).",
    )

    drafted_at = models.DateTimeField()
    drafted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    in_force_at = models.DateTimeField(null=True, blank=True)
    in_force_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = "version of credit rules"
        verbose_name_plural = "versions of credit rules"
        ordering = ["book", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["book", "number"], name="one_rule_version_per_number"),
            models.UniqueConstraint(
                fields=["book"], condition=Q(standing=RuleStanding.DRAFT), name="one_rule_draft_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(standing=RuleStanding.DRAFT) | Q(in_force_at__isnull=False),
                name="rule_version_says_since_when",
            ),
            models.CheckConstraint(condition=Q(cap_percent__range=(0, 100)), name="cap_is_a_percentage"),
        ]
        permissions = [("put_rules_in_force", "Can put credit rules in force")]

    def __str__(self) -> str:
        return f"{self.book} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            self.refuse_unless_draft()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self.refuse_unless_draft()
        return super().delete(*args, **kwargs)

    @property
    def is_draft(self) -> bool:
        return self.standing == RuleStanding.DRAFT

    def refuse_unless_draft(self) -> None:
        """Raise RulesError when months may already be judged by this version. Looks at the row, not at this object."""
        if RuleVersion.objects.filter(pk=self.pk, standing=RuleStanding.IN_FORCE).exists():
            raise RulesError(f"{self} is in force and can no longer be changed. Start a new version.")


class Tier(models.Model):
    """One line of the rules. Duration: longer than (strictly) at this rank or worse; uptime: below (strictly)."""

    version = models.ForeignKey(RuleVersion, models.CASCADE, related_name="tiers")
    measure = models.CharField(max_length=8, choices=Measure, default=Measure.DURATION)
    rank = models.PositiveSmallIntegerField(
        "severity or worse", validators=[MinValueValidator(1), MaxValueValidator(4)], help_text="1 is the worst."
    )
    #: As the policy calls that rank when the tier is written: ``P0``.
    code = models.CharField(max_length=20, blank=True)
    longer_than_seconds = models.PositiveIntegerField(null=True, blank=True)
    below_percent = models.DecimalField(max_digits=6, decimal_places=3, null=True, blank=True, validators=_PERCENT)
    percent = models.DecimalField("credit, % of the month's fee", max_digits=5, decimal_places=2, validators=_PERCENT)

    class Meta:
        ordering = ["measure", "rank", "longer_than_seconds", "-below_percent"]
        constraints = [
            models.CheckConstraint(
                condition=Q(measure=Measure.DURATION, longer_than_seconds__isnull=False, below_percent__isnull=True)
                | Q(measure=Measure.UPTIME, longer_than_seconds__isnull=True, below_percent__isnull=False),
                name="tier_has_the_threshold_of_its_measure",
            ),
            models.CheckConstraint(condition=Q(percent__gt=0, percent__lte=100), name="tier_credits_something"),
            models.CheckConstraint(condition=Q(rank__range=(1, 4)), name="tier_rank_is_1_to_4"),
            models.UniqueConstraint(
                F("version"), F("measure"), F("rank"), F("longer_than_seconds"),
                condition=Q(measure=Measure.DURATION), name="one_tier_per_rank_and_length",
            ),
            models.UniqueConstraint(
                F("version"), F("measure"), F("rank"), F("below_percent"),
                condition=Q(measure=Measure.UPTIME), name="one_tier_per_rank_and_uptime",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.code or self.rank}: {self.percent} %"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.version.refuse_unless_draft()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self.version.refuse_unless_draft()
        return super().delete(*args, **kwargs)
