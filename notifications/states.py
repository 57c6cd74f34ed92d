"""How the channels are, kept where the console can read it: one small row each, written on change (F07, F28)."""

from __future__ import annotations

from datetime import datetime, timedelta

from notifications.models import ChannelState

#: The same doubt is not reported anew while it goes on.
EPISODE = timedelta(hours=1)


def rest(channel: str, reason: str, *, ours: bool, at: datetime) -> None:
    """Nothing leaves by the channel from ``at`` on; ``ours``: because of us (login, certificate, policy).

    A rest that goes on keeps its beginning, and takes the newest reason.
    """
    words = {"reason": reason[:300], "ours": ours}
    known = ChannelState.objects.filter(channel=channel).first()
    since = known.resting_since if known and known.resting_since else at
    if known is None or (known.resting_since, known.reason, known.ours) != (since, *words.values()):
        ChannelState.objects.update_or_create(channel=channel, defaults=words | {"resting_since": since})


def well(channel: str) -> None:
    """It works again. One statement, which writes nothing when it always did."""
    resting = ChannelState.objects.filter(channel=channel, resting_since__isnull=False)
    resting.update(resting_since=None, reason="", ours=False)


def doubt(channel: str, words: str, *, at: datetime) -> bool:
    """Bounces of a channel are not believed, and why. False when that has been said within the hour."""
    known = ChannelState.objects.filter(channel=channel).first()
    again = known is not None and known.doubted_at is not None and known.doubted_at > at - EPISODE
    ChannelState.objects.update_or_create(channel=channel, defaults={"doubt": words[:300], "doubted_at": at})
    return not again


def seen(channel: str) -> None:
    """A person has seen the doubt."""
    ChannelState.objects.filter(channel=channel).update(doubt="", doubted_at=None)
