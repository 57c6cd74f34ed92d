"""News in few words: what is kept and what is cut (R-801)."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.channels import wording
from notifications.channels.services import BY_KEY, SERVICES
from notifications.channels.wording import Note, cut
from notifications.enums import Kind
from notifications.models import Announcement
from tests.notifications.news import news

LINK = "https://status.example/status/incidents/abcdef"


def note(text: str = "We are on it.", title: str = "Card payments fail", promise: str = "") -> Note:
    subject = f"[Northwind] Investigating: {title}"
    return Note("Northwind", subject, f"Investigating: {title}", text, promise, LINK, "failure", "lane", "ab" * 16)


def whole(told: Note, key: str) -> str:
    """As X, Mastodon and Bluesky join the two."""
    words = wording.written(told, BY_KEY[key], public=True)
    return f"{words.title}\r\n{words.body}"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.key)
@pytest.mark.parametrize("text", ["", "Short.", "Many words. " * 2_000, "短い言葉" * 3_000, "🙂" * 9_000, "x" * 9_000])
def test_every_service_gets_no_more_than_it_holds(service: wording.Service, text: str) -> None:
    told = note(text, title="Card payments fail " * 8, promise="Next update by 15:30 UTC.")
    words = wording.written(told, service, public=service.channel == "social")
    measure = wording._x_length if service.key == "x" else len
    assert measure("\r\n".join(filter(None, (words.title, words.body)))) <= service.room
    if service.key != "pagerduty":
        assert words.body.endswith(LINK), "the rest can always be read"
        assert "Next update by 15:30 UTC." in words.body


def test_x_counts_in_its_own_way() -> None:
    """Links are 23 characters, most letters beyond Latin are two."""
    assert wording._x_length("abc") == 3
    assert wording._x_length("äöü") == 3
    assert wording._x_length("e\u0301") == 1, "one letter, however it is written"
    assert wording._x_length("日本") == 4
    assert wording._x_length("🙂") == 2
    assert wording._x_length(f"See {LINK}") == 27
    assert wording._x_length("http://a.b") == 23
    for text in ("Many words. " * 60, "短い言葉" * 200, "🙂" * 300):
        told = whole(note(text), "x")
        assert 260 <= wording._x_length(told) <= 280
        assert "…" in told


@given(st.text(max_size=600), st.integers(0, 300))
def test_what_is_cut_fits_and_begins_like_the_whole(text: str, room: int) -> None:
    kept = cut(text, room)
    assert len(kept) <= room or kept == text == ""
    assert kept == text or kept == "" or text.startswith(kept.removesuffix("…"))


def test_words_and_letters_are_not_cut_in_half() -> None:
    assert cut("The database does not answer", 20) == "The database does…"
    assert cut("Donaudampfschifffahrt", 10) == "Donaudamp…"
    assert cut("Cafe\u0301s are closed", 5) == "Caf…"
    assert cut("👩\u200d🚒👩\u200d🚒", 5) == "👩\u200d🚒…"
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 1) == ""


@pytest.mark.django_db
def test_a_room_hears_the_newest_and_not_the_timeline() -> None:
    told = wording.note(
        news("Investigating", "Identified", text="Cause found", next_update_by="2026-11-20T16:00:00+00:00")
    )
    assert told.subject == "[Northwind] Identified: Card payments fail"
    assert told.text == "Cause found (1)"
    assert told.link == "https://status.example/status/incidents/abc"
    assert told.promise.startswith("Next update by 16:00 UTC")
    assert "(0)" not in str(told)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("phases", "rank", "severity"),
    [
        (("Investigating",), 1, "failure"),
        (("Investigating",), 2, "failure"),
        (("Investigating",), 3, "warning"),
        (("Scheduled",), None, "info"),
        (("Investigating", "Resolved"), 1, "success"),
    ],
)
def test_colour_says_how_bad_it_is(phases: tuple[str, ...], rank: int | None, severity: str) -> None:
    assert wording.note(news(*phases, rank=rank)).severity == severity


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("2026-11-20T16:00:00+00:00", "Next update by 16:00 UTC."),
        ("2026-11-21T01:30:00+00:00", "Next update by 01:30 UTC on 21 November."),
    ],
)
def test_another_day_is_named(by: str, words: str) -> None:
    at = datetime.fromisoformat("2026-11-20T14:00:00+00:00")
    assert wording._promise(by, at) == words
    assert wording._promise(None, at) == ""


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("@everyone look", "@\u200beveryone look"),
        ("@here and @channel, @all @room", "@\u200bhere and @\u200bchannel, @\u200ball @\u200broom"),
        ("<!channel> <@U12> <users/all> <at>", "<\u200b!channel> <\u200b@U12> <\u200busers/all> <\u200bat>"),
        ("a < b, ann@example.org, @anna", "a < b, ann@example.org, @anna"),
    ],
)  # fmt: skip
def test_words_call_nobody(text: str, harmless: str) -> None:
    assert wording.written(note(text), BY_KEY["discord"], public=False).body.startswith(f"{harmless}\n\n")
    assert wording.written(note(text), BY_KEY["mastodon"], public=True).body.startswith(f"{text}\n\n")


@pytest.mark.django_db
def test_a_letter_is_for_no_room() -> None:
    from_us = Announcement(kind=Kind.LETTER, content={"heading": "Hello"})
    with pytest.raises(KeyError):
        wording.note(from_us)
