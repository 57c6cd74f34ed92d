"""How the channels are, kept where the console and every process can read it: one small row each (F07, F28)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum

from django.db.models import Q
from django.db.models.functions import Now

from notifications.models import ChannelState

#: The same doubt is not reported anew while it goes on.
EPISODE = timedelta(hours=1)
#: Between two tries of a channel that rests, of all processes together: as long as it has rested, within these (F07).
SOONEST, LATEST = timedelta(seconds=2), timedelta(seconds=15)


class Leave(Enum):
    """Whether a process may send by a channel."""

    FREE = "it works"
    PROBE = "it rests, and it is this process's turn to try"
    NONE = "it rests"


def leave(channel: str, waits: Callable[[], bool]) -> Leave:
    """One query while the channel works. While it rests one process at a time may try, if something waits there."""
    resting = ChannelState.objects.filter(channel=channel, resting_since__isnull=False)
    if not resting.exists():
        return Leave.FREE
    if not waits():
        return Leave.NONE
    turn = resting.filter(Q(probe_at__isnull=True) | Q(probe_at__lte=Now()))
    return Leave.PROBE if turn.update(probe_at=Now() + LATEST) else Leave.NONE


def rest(channel: str, reason: str, *, ours: bool, at: datetime) -> None:
    """Nothing leaves by the channel from ``at`` on; ``ours``: because of us (login, certificate, policy).

    A rest that goes on keeps its beginning, and takes the newest reason.
    """
    known = ChannelState.objects.filter(channel=channel).first()
    since = known.resting_since if known and known.resting_since else at
    probe_at = Now() + min(LATEST, max(SOONEST, at - since))
    words = {"resting_since": since, "reason": reason[:300], "ours": ours, "probe_at": probe_at}
    ChannelState.objects.update_or_create(channel=channel, defaults=words)


def well(channel: str) -> None:
    """It works again. One statement, which writes nothing when it always did."""
    resting = ChannelState.objects.filter(channel=channel, resting_since__isnull=False)
    resting.update(resting_since=None, reason="", ours=False, probe_at=None)


def doubt(channel: str, words: str, *, at: datetime) -> bool:
    """Bounces of a channel are not believed, and why. False when that has been said within the hour."""
    known = ChannelState.objects.filter(channel=channel).first()
    again = known is not None and known.doubted_at is not None and known.doubted_at > at - EPISODE
    ChannelState.objects.update_or_create(channel=channel, defaults={"doubt": words[:300], "doubted_at": at})
    return not again


def seen(channel: str) -> None:
    """A person has seen the doubt."""
    ChannelState.objects.filter(channel=channel).update(doubt="", doubted_at=None)
