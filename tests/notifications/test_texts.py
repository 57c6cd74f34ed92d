"""From words to text messages: who speaks, how to leave, and one frozen text for everybody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from notifications import compiler, texts
from notifications.enums import Channel, Doubt
from notifications.lint import Unsendable
from notifications.models import Announcement, Brand, Rendering
from notifications.outbox import Letter, write_to
from tests import scene
from tests.notifications.news import news, story
from tests.notifications.texting import ANN, item

pytestmark = pytest.mark.django_db
LEAVE = "\nReply STOP to end"


def said(announcement: Announcement, channel: Channel = Channel.SMS) -> str:
    return texts.mould(channel, announcement.pk, "en").fill(item()).decode()


def preview(sms: str, **changes: Any) -> str:
    return texts.preview(story(sms=sms), scene.brand(**changes), first=False).text


def test_the_first_text_of_an_incident_says_how_to_leave() -> None:
    assert said(news(sms="It is down.")) == f"Northwind: It is down.{LEAVE}"
    assert said(news("Investigating", "Resolved", sms="It works.")) == "Northwind: It works."


def test_how_to_leave_is_not_worth_a_second_segment() -> None:
    room = 160 - len("Northwind: ") - len(LEAVE)
    assert said(news(sms="x" * room, lane="fits")) == f"Northwind: {'x' * room}{LEAVE}"
    assert said(news(sms="x" * (room + 1), lane="full")) == f"Northwind: {'x' * (room + 1)}"
    # In the second segment there is room again.
    assert said(news(sms="x" * 170, lane="long")) == f"Northwind: {'x' * 170}{LEAVE}"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("It is down.", "Northwind: It is down."),
        ("Northwind is down.", "Northwind is down."),
        ("All of NORTHWIND is down.", "All of NORTHWIND is down."),
        ("“Down” – we’re on it…", 'Northwind: "Down" - we\'re on it...'),
        ("  It is down.\n", "Northwind: It is down."),
    ],
)
def test_people_are_told_whose_number_it_is(written: str, sent: str) -> None:
    assert preview(written) == sent


def test_whatsapp_keeps_its_typography_and_counts_messages() -> None:
    announcement = news(sms="“Down” …")
    assert said(announcement, Channel.WHATSAPP) == f"Northwind: “Down” …{LEAVE}"
    assert texts.whatsapp(announcement.pk, "en").segments == 1
    assert texts.whatsapp(news(sms="long " * 100, lane="long").pk, "en").segments == 1


def test_what_is_previewed_is_what_is_sent() -> None:
    announcement = news(sms="Down: “API”")
    shown = texts.preview(story(sms="Down: “API”"), scene.brand(), first=True)
    assert (shown.text, shown.segments) == (said(announcement), texts.sms(announcement.pk, "en").segments)


def test_a_text_is_frozen_once_for_everybody() -> None:
    announcement = news(sms="It is down.")
    first = said(announcement)
    Brand.objects.update(name="Southwind")
    announcement.content["sms"] = "It is up."
    announcement.save()
    assert said(announcement) == first
    assert Rendering.objects.filter(announcement=announcement, channel=Channel.SMS).count() == 1


def test_no_text_is_ever_repeated_on_a_guess() -> None:
    announcement = news(sms="It is down.")
    assert announcement.on_doubt == Doubt.RETRY
    assert texts.sms(announcement.pk, "en").repeats is False


def test_a_code_says_its_words_and_nothing_about_leaving() -> None:
    at = timezone.now()
    letter = Letter("Your code", (), sms="123456 is your code.")
    written = write_to(
        ["+12125550101"], letter, subject="Code", brand=scene.brand(), lane="code", at=at, channel=Channel.SMS
    )
    mould = texts.sms(written.pk, "en")
    assert (mould.text, mould.is_code, mould.lane) == ("Northwind: 123456 is your code.", True, "code")
    assert mould.expires_at == at + timedelta(days=2)


def test_a_letter_without_words_for_a_phone_is_refused_before_it_is_written() -> None:
    letter = Letter("Your code", ("123456",))
    with pytest.raises(Unsendable):
        write_to([ANN], letter, subject="s", brand=scene.brand(), lane="l", at=timezone.now(), channel=Channel.SMS)
    assert not Announcement.objects.exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "There are no words for a phone."),
        ("Down: {{cause}}", "The placeholder {{cause}} is not filled in."),
        ("Southwind is down", "It names another brand: Southwind."),
        ("cafÃ© is down", "The text was read in the wrong encoding (“Ã©”)."),
        ("x" * 1_600, "A text has at most 1600 characters; this has 1611."),
    ],
)
def test_what_must_not_go_out_does_not(words: str, problem: str) -> None:
    brand = scene.brand()
    Brand.objects.create(slug="southwind", name="Southwind", sender_email="a@b.example", support_email="a@b.example")
    with pytest.raises(Unsendable) as refused:
        texts.preview(story(sms=words), brand, first=False)
    assert refused.value.problems == [problem]


def test_mail_and_text_are_frozen_apart() -> None:
    announcement = news(sms="It is down.")
    compiler.mould(announcement.pk, "en")
    said(announcement)
    said(announcement, Channel.WHATSAPP)
    channels = Rendering.objects.filter(announcement=announcement).order_by("channel").values_list("channel", flat=True)
    assert list(channels) == [Channel.EMAIL, Channel.SMS, Channel.WHATSAPP]
