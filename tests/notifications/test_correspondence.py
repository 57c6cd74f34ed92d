"""What is written to one person, and how little of it: limits of phones, one part, and the alarm (S16, S19)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from notifications import codes, correspondence, letters, limits, subscriptions, tokens
from notifications.choices import Choice
from notifications.enums import LETTER_POOLS, Channel, Doubt, Fate, Pool
from notifications.models import Announcement, Brand, Code, Delivery, Subscriber
from notifications.segments import Sms
from notifications.texts import compile_text

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def number(n: int, block: int = 2125) -> str:
    """Of block ``block``: its first seven digits are the same."""
    return f"+1{block}55{n:04}"


def ask(to: str, *, at: datetime = NOON, channel: Channel = Channel.SMS) -> Subscriber:
    return subscriptions.subscribe(to, Choice(), at=at, channel=channel)


def texts() -> list[str]:
    return list(Delivery.objects.filter(pool=Pool.CODES).order_by("pk").values_list("address", flat=True))


def test_a_code_waits_in_its_own_pool_and_is_worth_nothing_afterwards(brand: Brand) -> None:
    """F19, S18: behind no news, for ten minutes, and never sent twice on a guess."""
    ask(number(1))
    row = Delivery.objects.select_related("announcement").get()
    assert (row.pool, row.channel, row.fate) == (LETTER_POOLS[Channel.SMS], Channel.SMS, Fate.PENDING)
    assert (row.announcement.expires_at, row.announcement.on_doubt) == (NOON + codes.LIFE, Doubt.ASK)
    assert row.announcement.subject == "A code for Northwind status updates"
    assert Code.objects.get().expires_at == NOON + codes.LIFE


@pytest.mark.parametrize(
    "name",
    [
        "Northwind",
        "N" * 80,
        "Nörthwind & Søns",
        "Север",
        "株式会社ノースウィンド",
        "🚀" * 20,
        "The “Northwind” Company – Europe",
        "Ж" * 60,
    ],
)
def test_a_code_is_one_part_whatever_the_brand_is_called(brand: Brand, name: str) -> None:
    """S19: as it leaves, with whatever the wire puts before it."""
    Brand.objects.update(name=name)
    ask(number(1))
    announcement = Announcement.objects.get()
    said = compile_text(announcement, Channel.SMS)
    assert Sms(said).segments == 1
    assert announcement.content["sms"] in said


def test_a_number_gets_three_a_day(brand: Brand) -> None:
    """S19: whatever they are for, and however often it is asked."""
    for hour in range(30):
        ask(number(1), at=NOON + hour * HOUR)
    sent = Delivery.objects.order_by("pk").values_list("created_at", flat=True)
    assert [(moment - NOON) // HOUR for moment in sent] == [0, 1, 2, 24, 25, 26]


def test_a_block_of_numbers_gets_twenty_in_ten_minutes(brand: Brand, caplog: pytest.LogCaptureFixture) -> None:
    """S19: who is paid for calls to a range of numbers asks for all of them."""
    for n in range(25):
        ask(number(n))
    ask(number(1, block=9175))
    assert (len(texts()), texts()[-1]) == (limits.TEXTS_PER_BLOCK + 1, number(1, block=9175))
    assert [number(24) in record.getMessage() for record in caplog.records] == [False] * 5
    ask(number(30), at=NOON + limits.BLOCK_TIME)
    assert texts()[-1] == number(30)


def test_what_is_over_a_limit_keeps_the_code_that_was_sent(brand: Brand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TEXTS_PER_NUMBER", 1)
    ask(number(1))
    before = Code.objects.values().get()
    ask(number(1), at=NOON + MINUTE)
    assert Code.objects.values().get() == before


def test_few_codes_entered_raise_the_alarm_once_a_day(
    brand: Brand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S19: under 20 % of enough; our own people are written to, with figures and without anybody's number."""
    monkeypatch.setattr(correspondence, "ENOUGH_CODES", 5)
    for n in range(5):
        ask(number(n, block=2120 + n))
    ask(number(9), at=NOON + MINUTE)
    assert Delivery.objects.filter(pool=Pool.LETTERS).count() == 0  # theirs are still on their way
    with caplog.at_level(logging.ERROR):
        ask(number(10), at=NOON + codes.LIFE + MINUTE)
        ask(number(11), at=NOON + codes.LIFE + 2 * MINUTE)
    letter = Delivery.objects.select_related("announcement").get(pool=Pool.LETTERS)
    assert letter.address == brand.support_email
    assert "Of 6 codes that were sent to phones within a day, 0 were entered." in str(letter.announcement.content)
    assert [record.getMessage() for record in caplog.records] == [
        "Of 6 codes sent to phones within a day, only 0 were entered."
    ]


def test_a_fifth_entered_is_no_alarm(brand: Brand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correspondence, "ENOUGH_CODES", 5)
    for n in range(5):
        ask(number(n, block=2120 + n))
    code = str(Announcement.objects.order_by("pk")[0].content["sms"])[:6]
    assert subscriptions.enter_code(Channel.SMS, number(0, block=2120), codes.CONFIRM, code, at=NOON) != []
    ask(number(10), at=NOON + codes.LIFE + MINUTE)
    assert Delivery.objects.filter(pool=Pool.LETTERS).count() == 0


def test_an_owner_is_asked_once_a_day_for_all_their_rooms(brand: Brand, settings: Settings) -> None:
    """S16: however many addresses are pasted beside one mailbox."""
    for n in range(3):
        url = f"https://discord.com/api/webhooks/417421629{n}/JHMHI8qBe7bk2ZwO5U711o3dV_js"
        subscriptions.ask_for_endpoint(Channel.CHAT, url, "ada@x.example", Choice(), at=NOON)
    assert subscriptions.answer(at=NOON) == 3
    assert Delivery.objects.count() == 1


def test_each_letter_says_what_it_is(brand: Brand) -> None:
    subscriber = Subscriber(address="ada@x.example", created_at=NOON)
    subject, letter = letters.confirm(subscriber, brand, ["Fire"], NOON)
    assert letter.paragraphs[0].startswith(
        "Somebody, we hope you, asked for updates of Northwind about “Fire” at this address."
    )
    subscriber.confirmed_at = NOON
    subject, letter = letters.code("012345", subscriber, brand, 2, NOON)
    assert ("012345" in subject, letter.heading) == (False, "Your code is 012345")
    token = letter.url.rsplit("/", 1)[1]
    assert tokens.read(token, tokens.MANAGE, at=NOON + tokens.VISIT).public_id == subscriber.public_id
    room = Subscriber(channel=Channel.CHAT, address="Slack A1BRTD4JD 3fa9c1d2e4b5a697", created_at=NOON)
    subject, letter = letters.confirm(room, brand, (), NOON)
    assert "in Slack A1BRTD4JD" in letter.paragraphs[0]


def test_a_day_has_three_texts_for_settings_and_sign_ups_together(brand: Brand) -> None:
    ann = Subscriber.objects.create(
        channel=Channel.SMS, address=number(1), created_at=NOON - DAY, confirmed_at=NOON - DAY
    )
    for purpose in (codes.MANAGE, codes.CONFIRM, codes.MANAGE, codes.CONFIRM):
        correspondence.text_code(ann, purpose, at=NOON)
    assert texts() == [number(1)] * 3
