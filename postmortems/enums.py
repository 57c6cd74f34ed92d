"""The words of reviews (R-1003) and of service credits (R-901…R-906, reliability.md 5)."""

from django.db.models import TextChoices


class Stage(TextChoices):
    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    APPROVED = "approved", "Approved"
    PUBLISHED = "published", "Published"


class RuleStanding(TextChoices):
    """Standing of a version of rules: only drafts can be edited."""

    DRAFT = "draft", "Draft"
    IN_FORCE = "in_force", "In force"


class Measure(TextChoices):
    """What a tier looks at: one outage's length, or the whole month's uptime."""

    DURATION = "duration", "Length of an outage"
    UPTIME = "uptime", "Uptime of the month"


class Stacking(TextChoices):
    """Several outages in one month (reliability.md 5.2)."""

    SUM = "sum", "Add them up, to the cap"
    HIGHEST = "highest", "Only the highest"


class Overlap(TextChoices):
    """Incidents that overlap or touch (R-903)."""

    UNION = "union", "One outage: the same minutes are not paid twice"
    EACH = "each", "Each incident by itself"


class Mix(TextChoices):
    """Credits for outages beside those for the month's uptime."""

    HIGHER = "higher", "The higher of both"
    SUM = "sum", "Both, to the cap"


class Clock(TextChoices):
    """Which times count (R-1302)."""

    IMPACT = "impact", "When it happened"
    SAID = "said", "When it was declared and said to be over"


class Scope(TextChoices):
    """Whose downtime counts (R-902)."""

    USED = "used", "Components the customer uses"
    ANY = "any", "Every incident"


class Proration(TextChoices):
    """How the fee of a month with several terms is shared out."""

    SECONDS = "seconds", "By the second"
    DAYS = "days", "By the day"


class ExclusionKind(TextChoices):
    """Why time does not count, besides maintenance and false alarms."""

    CUSTOMER = "customer", "Caused by the customer"
    FORCE_MAJEURE = "force_majeure", "Force majeure"
    OTHER = "other", "Other, as the contract says"


class CreditKind(TextChoices):
    ASSESSED = "assessed", "Assessed"
    CORRECTION = "correction", "Correction"
    GOODWILL = "goodwill", "Goodwill"
    REVERSAL = "reversal", "Reversal"


class CreditState(TextChoices):
    """Where a credit stands (R-904). The table of moves is ``postmortems.credits.book.MOVES``."""

    PROPOSED = "proposed", "Waiting for approval"
    SECOND = "second", "Waiting for a second approver"
    #: It would lower what was approved: a person decides (reliability.md 5.2).
    DECISION = "decision", "Waiting for a decision"
    APPROVED = "approved", "Approved"
    EXPORTED = "exported", "Exported"
    APPLIED = "applied", "Applied"
    RETURNED = "returned", "Returned"
    SUPERSEDED = "superseded", "Superseded"
    KEPT = "kept", "Customer keeps it"


#: Waiting for a person, or for the end of its holding time.
WAITING = (CreditState.PROPOSED, CreditState.SECOND, CreditState.DECISION)
#: In the ledger: money that is owed or was given.
STANDING = (CreditState.APPROVED, CreditState.EXPORTED, CreditState.APPLIED)


class Deed(TextChoices):
    """What was done with a credit: a line of its history."""

    PROPOSED = "proposed", "Proposed"
    APPROVED_FIRST = "approved_first", "Approved, needs a second person"
    APPROVED = "approved", "Approved"
    BY_ITSELF = "by_itself", "Approved by itself after the holding time"
    STOPPED = "stopped", "Holding time stopped"
    RETURNED = "returned", "Returned"
    SUPERSEDED = "superseded", "Superseded by a newer assessment"
    KEPT = "kept", "Decided that the customer keeps it"
    EXPORTED = "exported", "Exported"
    POSTED = "posted", "Posted to Stripe"
    APPLIED = "applied", "Applied to the invoice"


class Account(TextChoices):
    """Accounts of the ledger. Every posting moves an amount from one to another."""

    EXPENSE = "expense", "Service credits (expense)"
    OWED = "owed", "Owed to the customer"
    BILLING = "billing", "Handed to billing"
    INVOICED = "invoiced", "Applied to invoices"


class RunKind(TextChoices):
    """Longer work that shows its progress."""

    ASSESS = "assess", "Assessment of a month"
    DRY_RUN = "dry_run", "Dry run of other rules"
    RECHECK = "recheck", "Second opinion"
    LEDGER = "ledger", "Reconciliation of the ledger"
