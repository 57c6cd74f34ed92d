"""What every channel offers to delivery: a wire, a mould to fill, and answers sorted by whose fault it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from notifications.enums import Channel, Fate
from notifications.queue import Item


class Verdict(Enum):
    """What became of one message."""

    ACCEPTED = auto()  #: The relay, or the provider, has it.
    DELIVERED = auto()  #: Its receiver itself confirmed it.
    BOUNCED = auto()  #: The recipient does not exist, or does not want any.
    OURS = auto()  #: We are refused: login, relaying, policy. No recipient is to blame.
    LATER = auto()  #: It did not leave; worth another try.
    DOUBT = auto()  #: The connection was lost between the last byte and the answer: nobody can know.
    NEVER = auto()  #: It can never be carried this way.


@dataclass(frozen=True)
class Answer:
    """``reason`` is for people, ``receipt`` the provider's id, ``wait`` the seconds it asks us to wait (None: ours)."""

    verdict: Verdict
    reason: str = ""
    receipt: str = ""
    wait: float | None = None


class Outage(Exception):
    """There is no connection to be had. ``ours``: because of us (login, certificate, policy), not the weather."""

    def __init__(self, reason: str, *, ours: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ours = ours


class Mould(Protocol):
    """A message compiled once per announcement and language, to be filled in per person."""

    @property
    def repeats(self) -> bool:
        """Whether an identical copy may follow when nobody can know if the first left (reliability.md 3.3)."""

    def fill(self, item: Item) -> bytes:
        """The message for one person, the same bytes every time. What it raises ends that delivery alone (F18)."""


class Wire(Protocol):
    """One way out, used by one thread at a time, with at most one message in flight."""

    def open(self) -> None:
        """Be ready to send; does nothing when that is so. Raises Outage."""

    def send(self, item: Item, message: bytes, mould: Mould, *, deadline: float) -> Answer:
        """Hand one message over; waits end at ``deadline`` (``time.monotonic``). Raises Outage: nothing left."""

    def close(self) -> None:
        """Let go; never raises."""


@dataclass(frozen=True)
class Port:
    """One channel as delivery knows it.

    ``off`` says why nothing can leave by it now, in words for an operator ("" when it can);
    ``backoff`` how many seconds until try number ``attempts + 1``; None: no more tries.
    """

    channel: Channel
    wire: Callable[[], Wire]
    mould: Callable[[int, str], Mould]
    off: Callable[[], str]
    backoff: Callable[[int], float | None]
    #: Each receiver fails for itself: failures of some say nothing about the others, no breaker counts them.
    many_ends: bool = False
    #: A receiver tells a second copy by its id: in doubt it is sent as often as any other failure.
    knows_copies: bool = False
    #: Told after an outcome was written; for what a channel itself remembers (quarantine, opt-outs).
    settled: Callable[[Item, Answer], None] | None = None
    #: Asked last, with the message written: the fate and the reason that end it unsent; None: it may leave.
    withheld: Callable[[Item, Mould], tuple[Fate, str] | None] | None = None
