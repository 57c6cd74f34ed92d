"""What became of a message, in the words people read: the log, the incident's screen and the metrics use these.

They never claim more than we know (reliability.md 3.4): a relay that took a mail has not delivered it.
"""

from __future__ import annotations

from django.db.models import TextChoices

from notifications.enums import FAILURES, FINAL, Channel, Fate

#: The beginnings of the reasons of rows that a newer update replaced (``fanout``, ``order``, ``outcomes``).
SUPERSEDED = ("Overtaken", "It was over before")
#: Beginnings of other reasons for not sending, and how they are called in short.
_LEFT_OUT = {
    "Unsubscribed": "Not sent: unsubscribed",
    "Erased": "Not sent: erased",
    "The subscriber was erased": "Not sent: erased",
    "Expired": "Not sent: expired",
    "In the digest": "In the digest",
    "Answered STOP": "Not sent: answered STOP",
    "The endpoint is in quarantine": "Not sent: in quarantine",
    "The target is paused": "Not sent: paused",
}
_WORDS = {
    Fate.BLOCKED: "Waiting for the previous update",
    Fate.HELD: "Waiting for the digest",
    Fate.PENDING: "Queued",
    # A worker has it on its list; nothing has left.
    Fate.LEASED: "Queued",
    Fate.SENDING: "Being handed over",
    Fate.ACCEPTED: "Handed to provider",
    Fate.DELIVERED: "Delivered (confirmed)",
    Fate.BOUNCED: "Bounced",
    Fate.SUPPRESSED: "Not sent",
    Fate.DEAD: "Failed",
    Fate.UNCERTAIN: "Unknown",
}
_BY_CHANNEL: dict[tuple[str, str], str] = {
    (Fate.ACCEPTED, Channel.EMAIL): "Handed to relay",
    (Fate.ACCEPTED, Channel.WEBHOOK): "Answered by the endpoint",
    (Fate.DELIVERED, Channel.WEBHOOK): "Answered by the endpoint",
}


class Group(TextChoices):
    """Fates as an operator asks for them."""

    GONE = "gone", "Sent"
    WAITING = "waiting", "Waiting"
    TROUBLE = "trouble", "In trouble"
    LEFT_OUT = "left-out", "Left out"

    @property
    def fates(self) -> tuple[Fate, ...]:
        return _MEMBERS[self]

    @property
    def colour(self) -> str:
        """A name of the console's colours."""
        return _COLOURS[self]

    @property
    def meaning(self) -> str:
        """One line for whoever wonders."""
        return _MEANINGS[self]

    @classmethod
    def of(cls, fate: str) -> Group:
        return _GROUP_OF[Fate(fate)]


_MEMBERS = {
    Group.GONE: (Fate.ACCEPTED, Fate.DELIVERED),
    Group.WAITING: tuple(fate for fate in Fate if fate not in FINAL),
    Group.TROUBLE: FAILURES,
    Group.LEFT_OUT: (Fate.SUPPRESSED,),
}
_COLOURS = {Group.GONE: "green", Group.WAITING: "blue", Group.TROUBLE: "red", Group.LEFT_OUT: "grey"}
_MEANINGS = {
    Group.GONE: "The relay, the provider or the endpoint has it, or confirmed it.",
    Group.WAITING: "Not handed over yet.",
    Group.TROUBLE: "Bounced, failed, or nobody can know.",
    Group.LEFT_OUT: "Superseded by a newer update, unsubscribed, or not wanted any more.",
}
_GROUP_OF = {fate: group for group, fates in _MEMBERS.items() for fate in fates}


def words(fate: str, channel: str = "", reason: str = "") -> str:
    """What became of one message. ``reason`` tells apart why something was not sent."""
    if fate == Fate.SUPPRESSED:
        if reason.startswith(SUPERSEDED):
            return "Superseded"
        return next((short for why, short in _LEFT_OUT.items() if reason.startswith(why)), _WORDS[Fate.SUPPRESSED])
    return _BY_CHANNEL.get((fate, channel)) or _WORDS[Fate(fate)]


def remark(fate: str, reason: str) -> str:
    """What the reason says beyond the words; "" where it only repeats them."""
    return "" if fate == Fate.SUPPRESSED and reason.rstrip(".") in _LEFT_OUT else reason


def colour(fate: str) -> str:
    """A name of the console's colours: what is in trouble and may still be well is orange."""
    return "orange" if fate in (Fate.BOUNCED, Fate.UNCERTAIN) else Group.of(fate).colour
