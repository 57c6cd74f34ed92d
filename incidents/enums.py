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
    #: A duplicate: it goes on under another incident (R-212).
    MERGED = "merged", "Merged into another"


#: Trouble that is not over.
OPEN = (State.DECLARED, State.ACKNOWLEDGED, State.MITIGATED)
#: What no figure counts: it was nothing, or it is counted under another.
UNCOUNTED = (State.FALSE_ALARM, State.MERGED)


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
    ASSIGNED = "assigned", "Role changed"
    HANDED_OVER = "handed_over", "Command handed over"
    DECIDED = "decided", "Decision"
    CHECKED = "checked", "Checklist"
    TRIED = "tried", "Mitigation tried"
    VERIFIED = "verified", "Fix verified"
    JUDGED = "judged", "Findings"
    TIMES = "times", "Times corrected"
    LINKED = "linked", "Linked"
    UNLINKED = "unlinked", "Link removed"
    MERGED = "merged", "Merged"
    RESTRICTED = "restricted", "Restricted"
    LIFTED = "lifted", "Restriction lifted"
    ADMITTED = "admitted", "Access given"
    INFORMED = "informed", "Informed"
    OVERRODE = "overrode", "Warning overridden"
    WAIVED = "waived", "Obligation waived"
    DONE = "done", "Obligation marked as done"
    REMINDED = "reminded", "Reminded"
    BROKEN = "broken", "Obligation broken"


#: Entries that nobody typed: the house wrote them by itself.
AUTOMATIC = (Verb.WROTE, Verb.INFORMED, Verb.REMINDED, Verb.BROKEN)


class Role(TextChoices):
    """Who does what in an incident (R-204). What each answers for is said in ``incidents.raci``."""

    COMMANDER = "commander", "Incident commander"
    TECHNICAL = "technical", "Technical lead"
    COMMUNICATIONS = "communications", "Communications lead"
    SCRIBE = "scribe", "Scribe"
    SECURITY = "security", "Security lead"
    CUSTOMER_SUCCESS = "customer_success", "Customer-success lead"


class Tie(TextChoices):
    """How one incident is tied to another (R-212); read "this incident … that one"."""

    DUPLICATE = "duplicate", "is a duplicate of"
    PART = "part", "is part of"
    FOLLOW_UP = "follow_up", "follows up"
    REPEAT = "repeat", "repeats"
    RELATED = "related", "is related to"


class Cause(TextChoices):
    """Kinds of root cause: what repeats are found by, and what reviews are grouped by (R-1102, R-1311)."""

    DEPLOYMENT = "deployment", "Deployment"
    CONFIGURATION = "configuration", "Configuration change"
    CAPACITY = "capacity", "Capacity or traffic"
    DEPENDENCY = "dependency", "Outside dependency"
    NETWORK = "network", "Network"
    HARDWARE = "hardware", "Hardware"
    DATABASE = "database", "Database"
    SECURITY = "security", "Security"
    PEOPLE = "people", "Human error"
    UNKNOWN = "unknown", "Not known"


class Fact(TextChoices):
    """What the severity assistant asks for (R-110)."""

    SHARE = "share", "Share of users affected, %"
    MINUTES = "minutes", "Minutes it has lasted"
    DATA_LOSS = "data_loss", "Data lost or corrupted"
    BREACH = "breach", "Security breach"
    WORKAROUND = "workaround", "A workaround exists"
    FUNCTION = "function", "What is hit"
    ERROR_RATE = "error_rate", "Requests that fail, %"
    LATENCY = "latency", "Response time against normal, times"
    TENANTS = "tenants", "Customers affected"


class Comparison(TextChoices):
    """How a criterion reads a fact; the last is for facts that are words, not numbers."""

    OVER = "over", "more than"
    AT_LEAST = "at_least", "at least"
    AT_MOST = "at_most", "at most"
    UNDER = "under", "less than"
    IS = "is", "is"


class StepKind(TextChoices):
    """Lines of the runbook (R-208)."""

    CHECK = "check", "Investigation checklist"
    MITIGATION = "mitigation", "Mitigation option"


class Risk(TextChoices):
    LOW = "low", "Low risk"
    MEDIUM = "medium", "Medium risk"
    HIGH = "high", "High risk"


class ToolKind(TextChoices):
    """Dashboards and logs an incident links to (R-1204)."""

    GRAFANA = "grafana", "Grafana"
    LOKI = "loki", "Loki"
    JAEGER = "jaeger", "Jaeger"
    SENTRY = "sentry", "Sentry"
    OTHER = "other", "Other"


class MaintenanceState(TextChoices):
    """Where a maintenance stands (R-501)."""

    PLANNED = "planned", "Planned"
    IN_PROGRESS = "in_progress", "In progress"
    COMPLETED = "completed", "Completed"
    CANCELLED = "cancelled", "Cancelled"


#: Maintenance that is still to come or under way.
AHEAD = (MaintenanceState.PLANNED, MaintenanceState.IN_PROGRESS)


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
    ESCALATE = "escalate", "Escalate"
    ENTERPRISE_LETTERS = "enterprise_letters", "Letters to Enterprise customers"
    RESOLVE = "resolve", "Resolve"
    MAINTENANCE_NOTICE = "maintenance_notice", "Notice of maintenance"
    START_UPDATE = "start_update", "Update at the start"
    END_UPDATE = "end_update", "Update at the end"
    REVIEW_SCHEDULED = "review_scheduled", "Schedule the post-mortem"
    REVIEW_PUBLISHED = "review_published", "Publish the post-mortem"
    ACTION_REVIEW = "action_review", "Review the action items"


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
