"""The ways to be told that people can choose by themselves: channels that are set up, as they call them (R-802)."""

from __future__ import annotations

from dataclasses import dataclass

from notifications.channels import registry
from notifications.enums import Channel


@dataclass(frozen=True)
class Way:
    """``news`` is what goes there, in the plural."""

    channel: Channel
    name: str
    news: str


WAYS = (
    Way(Channel.EMAIL, "E-mail", "mails"),
    Way(Channel.SMS, "Text message", "texts"),
    Way(Channel.WHATSAPP, "WhatsApp", "WhatsApp messages"),
    Way(Channel.WEBHOOK, "Webhook", "calls"),
    Way(Channel.CHAT, "Chat", "messages"),
)
SOCIAL = Way(Channel.SOCIAL, "Social post", "posts")


def offered() -> list[Way]:
    """E-mail always; the others while they are set up. Codes travel by SMS: no WhatsApp without it."""
    return [way for way in WAYS if way.channel == Channel.EMAIL or is_on(way.channel)]


def is_on(channel: Channel) -> bool:
    """Whether messages leave by a channel, and the codes that it needs."""
    needed = (channel, Channel.SMS) if channel == Channel.WHATSAPP else (channel,)
    return not any(registry.off(each) for each in needed)


def way_of(channel: str) -> Way:
    """How people call a channel, on or off."""
    return next((way for way in WAYS if way.channel == channel), SOCIAL)
