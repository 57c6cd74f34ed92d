"""The channel grid as it is read when something is said: what a severity says of each way to tell (R-112)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incidents.enums import Audience, Setting, Wire
from incidents.models import Severity
from notifications.channels import registry
from notifications.enums import Channel


@dataclass(frozen=True)
class Way:
    """A channel, and whom of it; ``key`` is what announcements name (``SubscriberQuerySet.by_channels``)."""

    channel: Channel
    audience: Audience = Audience.PUBLIC

    @property
    def key(self) -> str:
        return key_of(self.channel, self.audience)

    @property
    def label(self) -> str:
        return "Letters to Enterprise customers" if self.key == LETTERS else self.channel.label + _WHOSE[self.audience]

    @property
    def is_narrow(self) -> bool:
        """Some of what another way reaches."""
        return self.audience != Audience.PUBLIC and self.key != LETTERS


def key_of(wire: str, audience: str) -> str:
    """The name of a cell: ``email``, ``webhook:enterprise``."""
    return wire if audience == Audience.PUBLIC else f"{wire}:{audience}"


_WHOSE = {
    Audience.PUBLIC: "",
    Audience.ENTERPRISE: ", Enterprise customers",
    Audience.STAFF: ", our own teams",
}
#: The cell of the letters to contacts of Enterprise customers (R-803).
LETTERS = key_of(Wire.EMAIL, Audience.ENTERPRISE)
#: Ways to tell subscribers, in the order they are shown. Enterprise contacts get letters, not the news by e-mail.
WAYS = (
    Way(Channel.EMAIL),
    Way(Channel.SMS),
    Way(Channel.SMS, Audience.ENTERPRISE),
    Way(Channel.WHATSAPP),
    Way(Channel.WHATSAPP, Audience.ENTERPRISE),
    Way(Channel.WEBHOOK),
    Way(Channel.WEBHOOK, Audience.ENTERPRISE),
    Way(Channel.CHAT),
    Way(Channel.CHAT, Audience.ENTERPRISE),
    Way(Channel.CHAT, Audience.STAFF),
    Way(Channel.SOCIAL),
)


#: Beside the news, by e-mail: to contacts, whether they subscribed or not.
LETTER_WAY = Way(Channel.EMAIL, Audience.ENTERPRISE)
#: Cells that mean something, by audience: for everybody all; the others as ``WAYS`` has them, and the letters.
COLUMNS: dict[Audience, tuple[Wire, ...]] = {
    Audience.PUBLIC: tuple(Wire),
    Audience.ENTERPRISE: (Wire.EMAIL, *(Wire(way.channel) for way in WAYS if way.audience == Audience.ENTERPRISE)),
    Audience.STAFF: tuple(Wire(way.channel) for way in WAYS if way.audience == Audience.STAFF),
}


def cells(level: Severity | None) -> dict[str, Setting]:
    """What the level says, by name of the cell; what is not named is off. One query, unless prefetched."""
    rules = level.channel_rules.all() if level else ()
    return {key_of(rule.wire, rule.audience): Setting(rule.setting) for rule in rules}


def settings(said: Mapping[str, Setting]) -> dict[str, Setting]:
    """What holds for each of ``WAYS`` and the letters; a narrower one is off where all of its channel is on."""
    return {
        way.key: Setting.OFF
        if way.is_narrow and said.get(way.channel) == Setting.ON
        else said.get(way.key, Setting.OFF)
        for way in (*WAYS, LETTER_WAY)
    }


def chosen(said: Mapping[str, Setting]) -> list[str]:
    """The ways that are taken where no person chooses: those that are on and set up. "Ask" waits for a person."""
    found = settings(said)
    return [way.key for way in WAYS if found[way.key] == Setting.ON and not registry.off(way.channel)]
