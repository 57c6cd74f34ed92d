"""What a text message costs: segments as carriers count them, and the plain spelling that saves half of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.segments import Sms, plainly


@pytest.mark.parametrize(
    ("text", "length", "segments", "plain"),
    [
        ("", 0, 1, True),
        ("a" * 160, 160, 1, True),
        ("a" * 161, 161, 2, True),
        ("a" * 306, 306, 2, True),
        ("a" * 307, 307, 3, True),
        ("€" * 80, 160, 1, True),
        # 153 places a part: the last of them stays empty when the next character needs two.
        ("€" * 152, 304, 2, True),
        ("€" * 153, 306, 3, True),
        ("[ok]", 6, 1, True),
        ("“" * 70, 70, 1, False),
        ("“" * 71, 71, 2, False),
        ("🔥" * 35, 70, 1, False),
        ("🔥" * 36, 72, 2, False),
        ("🔥" * 66, 132, 2, False),
        ("🔥" * 67, 134, 3, False),
        ("é" * 160, 160, 1, True),
        ("ê" * 71, 71, 2, False),
    ],
)
def test_a_text_message_is_counted_as_carriers_do(text: str, length: int, segments: int, plain: bool) -> None:
    assert (Sms(text).length, Sms(text).segments, Sms(text).plain) == (length, segments, plain)


def test_what_makes_it_dear_is_named_once_in_the_order_of_the_text() -> None:
    assert Sms("Łódź: ł, Ł, € and 🔥").special == "Łóźł🔥"
    assert Sms("Plain, even € and [brackets]").special == ""


@given(st.text(max_size=700))
def test_the_parts_hold_what_they_are_charged_for(text: str) -> None:
    sms = Sms(text)
    each = 153 if sms.plain else 67
    assert sms.length <= max(160 if sms.plain else 70, sms.segments * each)
    # One place per part may stay empty, no more.
    assert sms.segments == 1 or sms.length > (sms.segments - 1) * (each - 1)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("“It’s down” – we’re on it…", "\"It's down\" - we're on it..."),
        ("10\u00a0min\u202flate\u200b", "10 min late"),
        ("plain", "plain"),
        # It is no plain message either way: then it keeps its own quotation marks.
        ("“停止”", "“停止”"),
    ],
)
def test_typography_does_not_double_the_bill(typed: str, sent: str) -> None:
    assert plainly(typed) == sent
