"""The vocabulary of policies and incidents (requirements.md sections 1 and 2)."""

from django.db.models import TextChoices


class State(TextChoices):
    """Where an incident stands inside the house (R-201). The table of moves is ``lifecycle.MOVES``."""

    DECLARED = "declared", "Declared"
    ACKNOWLEDGED = "acknowledged", "Being worked on"
    MITIGATED = "mitigated", "Mitigated"
    RESOLVED = "resolved", "Resolved"
    CLOSED = "closed", "Closed"
    FALSE_ALARM = "false_alarm", "False alarm"


#: Trouble that is not over.
OPEN = (State.DECLARED, State.ACKNOWLEDGED, State.MITIGATED)


class Origin(TextChoices):
    """Where an incident came from (R-203)."""

    STAFF = "staff", "Staff"
    ALERT = "alert", "Automatic alert"
    MONITORING = "monitoring", "Monitoring"
    TICKET = "ticket", "Support ticket"
    CUSTOMER = "customer", "Customer report"


class Verb(TextChoices):
    """What a timeline entry says happened (R-205)."""

    DECLARED = "declared", "Declared"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    PUBLISHED = "published", "Public update"
    CORRECTED = "corrected", "Correction"
    NOTED = "noted", "Internal note"
    SEVERITY = "severity", "Severity changed"
    MITIGATED = "mitigated", "Mitigated"
    RESOLVED = "resolved", "Resolved"
    REOPENED = "reopened", "Reopened"
    FALSE_ALARM = "false_alarm", "Marked as false alarm"
    CLOSED = "closed", "Closed"
    WROTE = "wrote", "Letters to Enterprise customers"


class Standing(TextChoices):
    """Standing of a policy version: only drafts can be edited (R-102)."""

    DRAFT = "draft", "Draft"
    IN_FORCE = "in_force", "In force"
    RETIRED = "retired", "Retired"


class Publicity(TextChoices):
    """Whether incidents of a severity are told to the public."""

    ALWAYS = "always", "Always"
    IF_VISIBLE = "if_visible", "Only if customers can see it"
    INTERNAL = "internal", "Internal only"
    NEVER = "never", "Never"
    #: A blank stays blank (R-107): the policy is silent, the operator decides.
    UNSAID = "unsaid", "Not said"


class DutyKind(TextChoices):
    """What can be owed (R-107, R-301)."""

    RESPOND = "respond", "Respond"
    FIRST_UPDATE = "first_update", "First public update"
    PUBLIC_UPDATE = "public_update", "Next public update"
    INTERNAL_UPDATE = "internal_update", "Internal update"
    RESOLVE = "resolve", "Resolve"
    START_UPDATE = "start_update", "Update at the start"
    END_UPDATE = "end_update", "Update at the end"
    REVIEW_SCHEDULED = "review_scheduled", "Schedule the post-mortem"
    REVIEW_PUBLISHED = "review_published", "Publish the post-mortem"


class Unit(TextChoices):
    """Units of a duty's amount: elapsed time, days of the calendar, or working days (R-105)."""

    MINUTES = "minutes", "minutes"
    HOURS = "hours", "hours"
    DAYS = "days", "days"
    BUSINESS_DAYS = "business_days", "business days"


class Start(TextChoices):
    """The moment a duty's clock starts (R-107)."""

    IMPACT_STARTED = "impact_started", "impact started"
    DETECTED = "detected", "detected"
    DECLARED = "declared", "declared"
    ACKNOWLEDGED = "acknowledged", "acknowledged"
    LAST_UPDATE = "last_update", "last update"
    RESOLVED = "resolved", "resolved"
    PLANNED_START = "planned_start", "planned start"
    PLANNED_END = "planned_end", "planned end"


class Condition(TextChoices):
    """When a duty applies (R-103, R-107)."""

    ALWAYS = "always", "always"
    SIGNIFICANT = "significant", "when impact is significant"
    CUSTOMERS_HIT = "customers_hit", "when customers were hit"
    LONG = "long", "when it lasted longer than 4 h"
    SECURITY = "security", "when it was a security incident"
    REPEAT = "repeat", "when it repeats an earlier one"
    ON_REQUEST = "on_request", "when a user asks"


class Wire(TextChoices):
    """Channels of the grid of R-112. Those that deliver have the names of ``notifications.enums.Channel``."""

    PAGE = "page", "Status page"
    EMAIL = "email", "E-mail"
    SMS = "sms", "SMS"
    WHATSAPP = "whatsapp", "WhatsApp"
    WEBHOOK = "webhook", "Webhook"
    CHAT = "chat", "Chat"
    SOCIAL = "social", "Social post"
    BANNER = "banner", "In-app banner"


class Audience(TextChoices):
    PUBLIC = "public", "Everybody"
    ENTERPRISE = "enterprise", "Enterprise customers"
    STAFF = "staff", "Staff"


class Setting(TextChoices):
    """A cell of the channel grid (R-112)."""

    ON = "on", "On"
    ASK = "ask", "Ask"
    OFF = "off", "Off"
