"""Policies as data: versions, severities, duties, words (R-101…R-112).

A ``Policy`` is a name; a ``PolicyVersion`` is what it says. A version in force never changes:
an incident points at a severity of the version it is judged by, for good (R-102).
"""

from __future__ import annotations

from datetime import time
from operator import attrgetter
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from incidents.enums import (
    Audience,
    Comparison,
    Condition,
    DutyKind,
    Fact,
    Publicity,
    Setting,
    Standing,
    Start,
    Unit,
    Wire,
)
from notifications.models import Brand
from status.enums import Phase

#: A target further away than this is a slip of the pen; it also bounds the walk over working days.
LONGEST = {Unit.MINUTES: 527_040, Unit.HOURS: 8_784, Unit.DAYS: 366, Unit.BUSINESS_DAYS: 260}


class PolicyError(Exception):
    """A policy, version or preset does not allow that. The message is written for the operator."""


class Policy(models.Model):
    """A set of rules by name; ``slug`` is the preset's (requirements.md, table of playbooks)."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    summary = models.TextField(max_length=500, blank=True)
    is_default = models.BooleanField(default=False, help_text="Offered first when an incident is declared.")

    history = HistoricalRecords()

    class Meta:
        verbose_name_plural = "policies"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="one_default_policy")
        ]

    def __str__(self) -> str:
        return self.name

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if self.versions.exclude(standing=Standing.DRAFT).exists():
            raise PolicyError(f"{self} has been in force: incidents may be judged by it, so it stays.")
        return super().delete(*args, **kwargs)


class Draftable(models.Model):
    """A row that can be written only while its policy version is a draft (R-102).

    ``save`` and ``delete`` raise PolicyError; triggers in the database refuse what goes around them.
    """

    #: The way from the row to its version.
    version_at: ClassVar[str] = "version"

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.part_of.refuse_unless_draft()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self.part_of.refuse_unless_draft()
        return super().delete(*args, **kwargs)

    @property
    def part_of(self) -> PolicyVersion:
        """The version it belongs to."""
        version: PolicyVersion = attrgetter(self.version_at)(self)
        return version


class PolicyVersion(models.Model):
    """What a policy says, from ``in_force_at`` until the next version. The working calendar is R-105's.

    ``incidents.policies`` moves it: draft, in force, retired, and never back.
    """

    policy = models.ForeignKey(Policy, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.DRAFT)
    drafted_at = models.DateTimeField(null=True, blank=True)
    drafted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    in_force_at = models.DateTimeField(null=True, blank=True)
    in_force_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    remark = models.TextField(max_length=1000, blank=True, help_text="Why this version differs from the one before.")

    work_zone = models.CharField("time zone of working hours", max_length=60, default="UTC")
    work_days = models.CharField(
        max_length=20, default="0,1,2,3,4", help_text="Weekdays, Monday is 0, separated by commas."
    )
    work_start = models.TimeField(default=time(9))
    work_end = models.TimeField(default=time(17))
    holiday_country = models.CharField(max_length=2, blank=True, help_text="ISO 3166 code; blank: no public holidays.")
    watch_minutes = models.PositiveIntegerField(
        "watch before resolved, minutes",
        null=True,
        blank=True,
        validators=[MaxValueValidator(1440)],
        help_text="How long a verified fix is watched before “resolved” is suggested (R-214). Blank: not at all.",
    )

    class Meta:
        ordering = ["policy", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="one_policy_version_per_number"),
            models.UniqueConstraint(
                fields=["policy"], condition=Q(standing=Standing.IN_FORCE), name="one_policy_version_in_force"
            ),
            models.UniqueConstraint(
                fields=["policy"], condition=Q(standing=Standing.DRAFT), name="one_policy_draft_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(standing=Standing.DRAFT) | Q(in_force_at__isnull=False),
                name="policy_version_says_since_when",
            ),
            models.CheckConstraint(condition=Q(work_end__gt=F("work_start")), name="work_ends_after_it_starts"),
        ]
        permissions = [("put_in_force", "Can put a policy version in force")]

    def __str__(self) -> str:
        return f"{self.policy} v{self.number}"

    @property
    def is_draft(self) -> bool:
        return self.standing == Standing.DRAFT

    def refuse_unless_draft(self) -> None:
        """Raise PolicyError when incidents may already be judged by this version (R-102)."""
        if not self.is_draft:
            raise PolicyError(
                f"{self} is {self.get_standing_display().lower()} and can no longer be changed. Start a new version."
            )

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self.refuse_unless_draft()
        return super().delete(*args, **kwargs)


class SeverityQuerySet(models.QuerySet["Severity"]):
    def in_force(self) -> SeverityQuerySet:
        """What an incident can be declared as today."""
        return self.filter(version__standing=Standing.IN_FORCE).select_related("version__policy")


class Severity(Draftable):
    """One level of a policy version: rank inside, code and label outside (R-106)."""

    version = models.ForeignKey(PolicyVersion, models.CASCADE, related_name="severities")
    rank = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(4)], help_text="1 is the worst. A maintenance level has 4."
    )
    code = models.CharField(max_length=20)
    label = models.CharField(max_length=40)
    aliases = models.JSONField(default=list, blank=True, help_text="Other spellings that mean this level.")
    is_maintenance = models.BooleanField(default=False, help_text="Planned work, not an incident.")
    meaning = models.TextField(max_length=1000, help_text="Plain-language definition.")
    examples = models.TextField(max_length=1000, blank=True)

    publicity = models.CharField(max_length=12, choices=Publicity, default=Publicity.ALWAYS)
    banner = models.BooleanField(default=False, help_text="The in-app banner shows it.")
    direct_enterprise = models.BooleanField(default=False, help_text="Enterprise customers are mailed directly.")
    counts_for_credits = models.BooleanField(default=False)
    paged = models.CharField(max_length=250, blank=True, help_text="Who is paged.")
    told = models.CharField(max_length=250, blank=True, help_text="Who is told.")

    objects = SeverityQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "severities"
        ordering = ["version", "rank", "is_maintenance"]
        constraints = [
            models.UniqueConstraint(fields=["version", "code"], name="one_severity_per_code"),
            models.CheckConstraint(condition=Q(rank__range=(1, 4)), name="severity_rank_is_1_to_4"),
        ]

    def __str__(self) -> str:
        return self.label if self._is_its_label else f"{self.code} {self.label}"

    @property
    def short(self) -> str:
        """Where there is no room for both: ``P1``, ``SEV-2``; the label where the code only repeats it: ``Major``."""
        return self.label if self._is_its_label else self.code

    @property
    def _is_its_label(self) -> bool:
        return self.label.casefold() == self.code.casefold()


class Duty(Draftable):
    """One obligation as data (R-107). ``amount`` None: owed, but the moment is promised in each update."""

    version_at = "severity.version"

    severity = models.ForeignKey(Severity, models.CASCADE, related_name="duties")
    kind = models.CharField(max_length=20, choices=DutyKind)
    repeats = models.BooleanField(default=False, help_text="Owed again and again, until it is over.")
    amount = models.PositiveIntegerField("target", null=True, blank=True, help_text="Due in. Blank: as promised.")
    limit = models.PositiveIntegerField("hard limit", null=True, blank=True, help_text="Broken at. Blank: at target.")
    unit = models.CharField(max_length=14, choices=Unit, default=Unit.MINUTES)
    starts_from = models.CharField(max_length=16, choices=Start, default=Start.DECLARED)
    condition = models.CharField(max_length=14, choices=Condition, default=Condition.ALWAYS)
    owner_role = models.CharField(max_length=60, blank=True)
    audience = models.CharField(max_length=12, choices=Audience, default=Audience.PUBLIC)
    note = models.CharField(max_length=250, blank=True)

    class Meta:
        verbose_name_plural = "duties"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["severity", "kind", "condition"], name="one_duty_per_severity_kind_condition"
            ),
            models.CheckConstraint(
                condition=Q(limit__isnull=True) | Q(amount__isnull=False, limit__gte=F("amount")),
                name="duty_limit_is_not_before_target",
            ),
        ]

    def __str__(self) -> str:
        limit = "" if self.limit is None or self.limit == self.amount else f"–{self.limit}"
        unit = self.get_unit_display().removesuffix("s" if self.amount == 1 and not limit else "")
        time = "" if self.amount is None else f", {self.amount}{limit} {unit}"
        when = "" if self.condition == Condition.ALWAYS else f", {self.get_condition_display()}"
        return f"{self.severity.short}: {self.get_kind_display()}{time}{when}"

    def clean(self) -> None:
        if self.limit is not None and (self.amount is None or self.limit < self.amount):
            raise ValidationError({"limit": "The hard limit comes at or after the target."})
        longest = LONGEST.get(Unit(self.unit)) if self.unit in Unit.values else None
        for field in ("amount", "limit"):
            if longest and (getattr(self, field) or 0) > longest:
                raise ValidationError({field: f"At most {longest:,} {self.get_unit_display()}: one year."})


class Criterion(Draftable):
    """A part of a rule by which the severity assistant proposes a level (R-110).

    All criteria of one ``rule`` must hold; one rule that holds is enough. ``value`` is a number in the
    fact's unit, or a word for facts that are words.
    """

    version_at = "severity.version"

    severity = models.ForeignKey(Severity, models.CASCADE, related_name="criteria")
    rule = models.PositiveSmallIntegerField(help_text="Criteria of the same number must all hold.")
    fact = models.CharField(max_length=12, choices=Fact)
    comparison = models.CharField(max_length=8, choices=Comparison)
    value = models.CharField(max_length=20)

    class Meta:
        verbose_name_plural = "criteria"
        ordering = ["severity", "rule", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["severity", "rule", "fact", "comparison"], name="one_criterion_per_rule_and_fact"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_fact_display()} {self.get_comparison_display()} {self.value}"


class ChannelRule(Draftable):
    """A cell of the channel grid (R-112). A missing cell is off."""

    version_at = "severity.version"

    severity = models.ForeignKey(Severity, models.CASCADE, related_name="channel_rules")
    wire = models.CharField("channel", max_length=12, choices=Wire)
    audience = models.CharField(max_length=12, choices=Audience, default=Audience.PUBLIC)
    setting = models.CharField(max_length=4, choices=Setting, default=Setting.ON)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["severity", "wire", "audience"], name="one_channel_rule_per_cell")
        ]

    def __str__(self) -> str:
        return f"{self.severity.short} {self.get_wire_display()} → {self.get_audience_display()}: {self.setting}"


class Contradiction(models.Model):
    """A point where a playbook contradicts itself, shipped with the stricter value (R-108)."""

    version = models.ForeignKey(PolicyVersion, models.CASCADE, related_name="contradictions")
    subject = models.CharField(max_length=160)
    shipped = models.CharField(max_length=250)
    other = models.CharField(max_length=250)
    #: The owner's nod may come after the version is in force; the words may not change then.
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.subject


class SupportTarget(Draftable):
    """Within what time support answers, shown on the public page (R-104)."""

    version = models.ForeignKey(PolicyVersion, models.CASCADE, related_name="support_targets")
    priority = models.CharField(max_length=20)
    amount = models.PositiveIntegerField()
    unit = models.CharField(max_length=14, choices=Unit, default=Unit.HOURS)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["version", "priority"], name="one_support_target_per_priority")]

    def __str__(self) -> str:
        return f"{self.priority}: {self.amount} {self.get_unit_display()}"


class UpdateTemplate(models.Model):
    """Words to start from (R-206). Belongs to the policy, not to a version: nobody is judged by it."""

    policy = models.ForeignKey(Policy, models.CASCADE, related_name="templates")
    #: Words of one brand alone; None: of every brand that has none of its own.
    brand = models.ForeignKey(
        Brand, models.CASCADE, null=True, blank=True, help_text="Blank: every brand without words of its own."
    )
    #: The same words in another language belong to the template they translate.
    language = models.CharField(max_length=8, default="en")
    translates = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="translations")
    phase = models.CharField(max_length=20, choices=Phase)
    name = models.CharField(max_length=80)
    title = models.CharField(max_length=120, blank=True, help_text="Suggested title of the incident.")
    body = models.TextField(max_length=5000, help_text="Markdown with {{placeholders}}.")
    sms = models.CharField(max_length=480, blank=True)
    chat = models.TextField(max_length=1000, blank=True, help_text="To chat rooms. Blank: the words above.")
    letter = models.TextField(
        max_length=5000,
        blank=True,
        help_text="To contacts of Enterprise customers. Blank: the words above, and what they mean for this customer.",
    )
    position = models.PositiveSmallIntegerField(default=0)

    history = HistoricalRecords()

    class Meta:
        ordering = ["policy", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "name", "language"],
                condition=Q(brand__isnull=True),
                name="one_update_template_per_name",
            ),
            models.UniqueConstraint(
                fields=["policy", "brand", "name", "language"],
                condition=Q(brand__isnull=False),
                name="one_update_template_per_brand_and_name",
            ),
            models.UniqueConstraint(
                fields=["translates", "language"], name="one_translation_per_language_of_a_template"
            ),
        ]

    def __str__(self) -> str:
        return self.name
