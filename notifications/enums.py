"""The words of delivery: every state a message can be in, as an operator reads it."""

from django.db.models import TextChoices


class Channel(TextChoices):
    """The wires a message can travel (R-801). Issue by issue more are added here and in ``channels/``."""

    EMAIL = "email", "E-mail"


class Kind(TextChoices):
    """What an announcement is about; subscribers choose among the first two (R-802)."""

    INCIDENT = "incident", "Incidents"
    MAINTENANCE = "maintenance", "Planned maintenance"
    LETTER = "letter", "Letter to one person"


class Pool(TextChoices):
    """Queues that never wait for each other (F19): news about incidents, and everything else."""

    NEWS = "news", "Incident news"
    LETTERS = "letters", "Letters"


class Fate(TextChoices):
    """States of one delivery (reliability.md 2.0); the labels never claim more than we know (3.4)."""

    BLOCKED = "blocked", "Waiting for the previous update"
    PENDING = "pending", "Queued"
    LEASED = "leased", "Taken by a worker"
    SENDING = "sending", "Being handed to the relay"
    ACCEPTED = "accepted", "Handed to relay"
    DELIVERED = "delivered", "Delivered (confirmed)"
    BOUNCED = "bounced", "Bounced"
    SUPPRESSED = "suppressed", "Not sent"
    DEAD = "dead", "Failed"
    UNCERTAIN = "uncertain", "Unknown"


#: As an operator reads it at a glance; names of the console's colours.
FATE_COLOURS = {
    Fate.ACCEPTED: "green",
    Fate.DELIVERED: "green",
    Fate.BOUNCED: "orange",
    Fate.UNCERTAIN: "orange",
    Fate.DEAD: "red",
    Fate.SUPPRESSED: "grey",
    Fate.BLOCKED: "blue",
    Fate.PENDING: "blue",
    Fate.LEASED: "blue",
    Fate.SENDING: "blue",
}
#: A delivery in one of these will not move again by itself.
FINAL = (Fate.ACCEPTED, Fate.DELIVERED, Fate.BOUNCED, Fate.SUPPRESSED, Fate.DEAD, Fate.UNCERTAIN)
#: Nothing of these has left the house yet: a newer update may overtake them (F12).
UNSENT = (Fate.BLOCKED, Fate.PENDING, Fate.LEASED)


class Doubt(TextChoices):
    """What happens when we cannot know whether a message left (reliability.md 3.3)."""

    RETRY = "retry", "Send one identical copy"
    ASK = "ask", "Leave it to a person"


class Tier(TextChoices):
    """Customer tiers (R-803)."""

    ENTERPRISE = "enterprise", "Enterprise"
    BUSINESS = "business", "Business"
    STANDARD = "standard", "Standard"


class Silence(TextChoices):
    """Why an address is on the suppression list (S29)."""

    ERASED = "erased", "Erased on request"
    COMPLAINED = "complained", "Marked our mail as spam"
    BOUNCED = "bounced", "Refused mail for good"
