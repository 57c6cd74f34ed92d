"""The words of delivery: every state a message can be in, as an operator reads it."""

from django.db.models import TextChoices


class Channel(TextChoices):
    """The wires a message can travel (R-801); each has a file in ``channels/``."""

    EMAIL = "email", "E-mail"
    SMS = "sms", "SMS"
    WHATSAPP = "whatsapp", "WhatsApp"
    WEBHOOK = "webhook", "Webhook"
    CHAT = "chat", "Chat"
    SOCIAL = "social", "Social post"


#: Their addresses are phone numbers in E.164.
PHONES = (Channel.SMS, Channel.WHATSAPP)
#: They reach a person, who sleeps at times.
PEOPLE = (Channel.EMAIL, *PHONES)
#: Their subscribers have an ``Endpoint`` that holds the real, secret address.
ENDPOINTS = (Channel.WEBHOOK, Channel.CHAT, Channel.SOCIAL)


class Kind(TextChoices):
    """What an announcement is about; subscribers choose among the first two (R-802)."""

    INCIDENT = "incident", "Incidents"
    MAINTENANCE = "maintenance", "Planned maintenance"
    #: For webhooks alone (statuspage-v2.md 5.10); everybody else reads it in the update.
    COMPONENT = "component", "Change of a component"
    LETTER = "letter", "Letter to one person"
    DIGEST = "digest", "Digest of a day"
    #: About an incident, to contacts of customers, whether they subscribed or not (R-803).
    DIRECT = "direct", "Letter to customers"


#: To one person alone, about nothing that others know.
ADDRESSED = (Kind.LETTER, Kind.DIGEST)
#: Written together with their deliveries: nobody is looked for afterwards.
WRITTEN_OUT = (*ADDRESSED, Kind.DIRECT)
#: To addresses, not to subscribers: there is nothing to unsubscribe from.
LETTERS = (Kind.LETTER, Kind.DIRECT)


class Pool(TextChoices):
    """Queues that never wait for each other (F19). Each carries one channel, so that one that rests delays no other."""

    NEWS = "news", "News by e-mail"
    LETTERS = "letters", "Letters by e-mail"
    TEXTS = "texts", "News by SMS"
    CODES = "codes", "Codes by SMS"
    WHATSAPP = "whatsapp", "WhatsApp"
    HOOKS = "hooks", "Webhooks"
    #: Endpoints that failed lately: they wait for themselves only (F06).
    RETRIES = "retries", "Webhooks that failed"
    CHATS = "chats", "Chat and social posts"


#: Where news of a channel waits; letters by e-mail and codes by SMS have pools of their own.
NEWS_POOLS = {
    Channel.EMAIL: Pool.NEWS,
    Channel.SMS: Pool.TEXTS,
    Channel.WHATSAPP: Pool.WHATSAPP,
    Channel.WEBHOOK: Pool.HOOKS,
    Channel.CHAT: Pool.CHATS,
    Channel.SOCIAL: Pool.CHATS,
}
#: Each sender has one message of these in hand, in order of its id; couriers have many.
ONE_BY_ONE = (Pool.NEWS, Pool.LETTERS)
LETTER_POOLS = {Channel.EMAIL: Pool.LETTERS, Channel.SMS: Pool.CODES}


class Fate(TextChoices):
    """States of one delivery (reliability.md 2.0); how people read them is said in ``fates``."""

    BLOCKED = "blocked", "Waiting for the previous update"
    HELD = "held", "Waiting for the digest"
    PENDING = "pending", "Queued"
    LEASED = "leased", "Taken by a worker"
    SENDING = "sending", "Being handed to the relay"
    ACCEPTED = "accepted", "Handed to relay"
    DELIVERED = "delivered", "Delivered (confirmed)"
    BOUNCED = "bounced", "Bounced"
    SUPPRESSED = "suppressed", "Not sent"
    DEAD = "dead", "Failed"
    UNCERTAIN = "uncertain", "Unknown"


#: A delivery in one of these will not move again by itself.
FINAL = (Fate.ACCEPTED, Fate.DELIVERED, Fate.BOUNCED, Fate.SUPPRESSED, Fate.DEAD, Fate.UNCERTAIN)
#: What a person may want to send again (R-804).
FAILURES = (Fate.BOUNCED, Fate.DEAD, Fate.UNCERTAIN)
#: Nothing of these has left the house yet: a newer update may overtake them (F12).
UNSENT = (Fate.BLOCKED, Fate.HELD, Fate.PENDING, Fate.LEASED)


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
    STOPPED = "stopped", "Answered STOP"
    LEFT = "left", "Unsubscribed"
