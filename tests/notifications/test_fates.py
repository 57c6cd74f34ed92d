"""Words about fates never claim more than we know (reliability.md 3.4)."""

from __future__ import annotations

import pytest

from notifications import fanout, fates, optouts, quarantine
from notifications.book import WITHHELD
from notifications.enums import Channel, Fate
from notifications.fates import Group


@pytest.mark.parametrize(
    ("fate", "channel", "words"),
    [
        (Fate.PENDING, Channel.EMAIL, "Queued"),
        (Fate.LEASED, Channel.SMS, "Queued"),
        (Fate.BLOCKED, Channel.WEBHOOK, "Waiting for the previous update"),
        (Fate.HELD, Channel.EMAIL, "Waiting for the digest"),
        (Fate.SENDING, Channel.SMS, "Being handed over"),
        (Fate.ACCEPTED, Channel.EMAIL, "Handed to relay"),
        (Fate.ACCEPTED, Channel.SMS, "Handed to provider"),
        (Fate.ACCEPTED, Channel.WHATSAPP, "Handed to provider"),
        (Fate.ACCEPTED, Channel.CHAT, "Handed to provider"),
        (Fate.ACCEPTED, Channel.WEBHOOK, "Answered by the endpoint"),
        (Fate.DELIVERED, Channel.WEBHOOK, "Answered by the endpoint"),
        (Fate.DELIVERED, Channel.EMAIL, "Delivered (confirmed)"),
        (Fate.BOUNCED, Channel.EMAIL, "Bounced"),
        (Fate.DEAD, Channel.EMAIL, "Failed"),
        (Fate.UNCERTAIN, Channel.SMS, "Unknown"),
    ],
)
def test_each_channel_says_how_far_we_know(fate: Fate, channel: Channel, words: str) -> None:
    assert fates.words(fate, channel) == words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Overtaken by update 2.", "Superseded"),
        ("Overtaken by a newer update; it may have left.", "Superseded"),
        ("It was over before the first one left.", "Superseded"),
        (WITHHELD, "Not sent: unsubscribed"),
        (optouts.REASON, "Not sent: answered STOP"),
        ("Erased", "Not sent: erased"),
        ("The subscriber was erased.", "Not sent: erased"),
        ("Expired", "Not sent: expired"),
        (fanout.QUARANTINED, "Not sent: in quarantine"),
        (fanout.PAUSED, "Not sent: paused"),
        ("In the digest of 2026-11-21 08:00 UTC.", "In the digest"),
        (quarantine.GONE, "Not sent"),
        ("", "Not sent"),
    ],
)
def test_what_was_not_sent_says_why(reason: str, words: str) -> None:
    assert fates.words(Fate.SUPPRESSED, Channel.EMAIL, reason) == words


def test_a_reason_is_not_said_twice() -> None:
    assert fates.remark(Fate.SUPPRESSED, WITHHELD) == fates.remark(Fate.SUPPRESSED, fanout.QUARANTINED) == ""
    assert fates.remark(Fate.SUPPRESSED, "Overtaken by update 2.") == "Overtaken by update 2."
    assert fates.remark(Fate.DEAD, "Expired") == "Expired"


def test_every_fate_has_words_and_one_group_and_nothing_is_delivered_on_a_250() -> None:
    said = {(fate, channel): fates.words(fate, channel) for fate in Fate for channel in Channel}
    assert {fate for (fate, _), words in said.items() if "elivered" in words} == {Fate.DELIVERED}
    assert sorted(fate for group in Group for fate in group.fates) == sorted(Fate)
    assert {fate: fates.colour(fate) for fate in Group.TROUBLE.fates} == {
        Fate.BOUNCED: "orange",
        Fate.DEAD: "red",
        Fate.UNCERTAIN: "orange",
    }
