"""Mail through a provider's API: the real django-anymail, and a server that takes calls as providers do (R-801)."""

from __future__ import annotations

import base64
import json
import logging
from collections import Counter
from contextlib import closing
from email import message_from_bytes
from email.policy import SMTP

import pytest
from pytest_django import Settings

from notifications import delivery, fanout, verp
from notifications.channels import provider
from notifications.channels.port import Answer, Outage, Verdict
from notifications.enums import Fate
from notifications.models import ChannelState, Delivery, Subscriber
from tests.notifications.api import Api, Call, Says
from tests.notifications.news import letter, news, reader, readers
from tests.notifications.providers import ANN, FINE, KEY, hand_over, post, ready, serving

pytestmark = pytest.mark.django_db


# --- what a provider gets ----------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FINE))
def test_every_provider_takes_our_mail_over_one_connection(settings: Settings, name: str) -> None:
    with serving(settings, name) as api, closing(provider.Wire()) as wire:
        mail = ready()
        answers = [hand_over(wire, mail), hand_over(wire, mail)]
    assert answers == [Answer(Verdict.ACCEPTED, receipt=FINE[name][1])] * 2
    assert (len(api.calls), api.connections) == (2, 1)


def test_every_provider_is_tried_here() -> None:
    assert sorted([*FINE, "amazon_ses"]) == sorted(provider.PROVIDERS)


def said(call: Call) -> dict[str, str]:
    return {each["Name"]: each["Value"] for each in call.json["Headers"]}


def test_the_words_and_headers_are_those_of_the_compiled_mail(settings: Settings) -> None:
    """R-801: Message-ID, Date, one-click unsubscribe and threading survive; nobody counts who reads it."""
    news("Investigating")
    mail = ready(news("Investigating", "Identified"))
    with serving(settings, "postmark") as api:
        post(mail)
    compiled = message_from_bytes(mail[1], policy=SMTP)
    ours = ("Date", "Message-ID", "Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post")
    wanted = {name: str(compiled[name]) for name in (*ours, "In-Reply-To", "References")}
    assert said(api.calls[0]) == wanted | {"X-PM-KeepID": "true"}
    body = api.calls[0].json
    text, html = (compiled.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[attr-defined]
    assert {name: value for name, value in body.items() if name != "Headers"} == {
        "From": str(compiled["From"]),
        "To": ANN,
        "ReplyTo": str(compiled["Reply-To"]),
        "Subject": str(compiled["Subject"]),
        "TextBody": text.replace("\r\n", "\n"),
        "HtmlBody": html.replace("\r\n", "\n"),
        "Metadata": {"delivery": verp.name(7)},
        "TrackOpens": False,
        "TrackLinks": "None",
    }


def test_a_second_copy_is_the_same_call(settings: Settings) -> None:
    """reliability.md 3.2 no. 9 and 10: nothing in a copy tells it from the first."""
    mail = ready()
    with serving(settings, "resend") as api:
        for _ in range(2):
            post(mail)
    assert api.calls[0].body == api.calls[1].body
    ours = str(message_from_bytes(mail[1])["Message-ID"]).strip("<>").split("@")[0]
    assert [call.headers["idempotency-key"] for call in api.calls] == [ours, ours]


def test_sent_again_by_a_person_it_is_a_mail_of_its_own(settings: Settings) -> None:
    """Otherwise the provider would drop it, and the log would claim that it left."""
    item, message, made = ready()
    with serving(settings, "resend") as api:
        for receipt in ("", "re-1", "re-1", "re-2"):
            post((item._replace(receipt=receipt), message, made))
    first, second, copy, third = (call.headers["idempotency-key"] for call in api.calls)
    assert (second, copy, third) == (f"{first}.re-1", f"{first}.re-1", f"{first}.re-2")


def test_brevo_wants_a_uuid_for_a_key(settings: Settings) -> None:
    item, message, made = ready()
    with serving(settings, "brevo") as api:
        for receipt in ("", "", "<br-1@x>"):
            post((item._replace(receipt=receipt), message, made))
    first, copy, again = (call.json["headers"]["idempotencyKey"] for call in api.calls)
    assert first == copy != again
    assert [len(part) for part in first.split("-")] == [8, 4, 4, 4, 12]


def test_mailjet_writes_two_headers_itself(settings: Settings) -> None:
    with serving(settings, "mailjet") as api:
        post(ready())
    ours = ["Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post"]
    assert sorted(api.calls[0].json["Globals"]["Headers"]) == ours


def test_words_beyond_ascii_arrive_as_they_were_written(settings: Settings) -> None:
    with serving(settings, "mailgun") as api:
        post(ready(news(title="Zahlungen scheitern – 支付失败", text="Wir prüfen es. 🔧")))
    form = api.calls[0].form
    assert form["subject"] == "[Northwind] Investigating: Zahlungen scheitern – 支付失败"
    assert form["text"].splitlines().count("Wir prüfen es. 🔧 (0)") == 1


def test_amazon_is_called_once_by_its_own_library(settings: Settings) -> None:
    """boto3 repeats calls by itself unless it is told not to: that would be copies nobody counts."""
    answers = [Says(200, {"MessageId": "ses-1"}), Says(500, {"message": "oops"})]
    mail = ready()
    with Api(lambda _: answers.pop(0)) as api:
        settings.MAIL_PROVIDER = "amazon_ses"
        settings.ANYMAIL = {
            "AMAZON_SES_CLIENT_PARAMS": {
                "endpoint_url": api.url,
                "region_name": "eu-west-1",
                "aws_access_key_id": "an-access-key",
                "aws_secret_access_key": KEY,
            }
        }
        assert post(mail) == Answer(Verdict.ACCEPTED, receipt="ses-1")
        assert post(mail) == Answer(Verdict.DOUBT, "500 oops (500)")
        assert len(api.calls) == 2
    raw = message_from_bytes(base64.b64decode(api.calls[0].json["Content"]["Raw"]["Data"]), policy=SMTP)
    assert raw["Message-ID"] == message_from_bytes(mail[1], policy=SMTP)["Message-ID"]
    assert json.loads(raw["X-Metadata"]) == {"delivery": verp.name(7)}
    with pytest.raises(Outage) as gone:
        post(mail)
    assert gone.value.ours is False


# --- through delivery -----------------------------------------------------------------------


def fates() -> Counter[str]:
    return Counter(Delivery.objects.values_list("fate", flat=True))


def test_everybody_gets_one_call_and_a_row_with_the_providers_id(settings: Settings) -> None:
    numbers = iter(range(100))
    readers(3)
    fanout.expand(news().pk)
    with serving(settings, "resend", lambda _: Says(200, {"id": f"re-{next(numbers)}"})) as api:
        assert delivery.drain("news") == 3
    assert [call.json["to"] for call in api.calls] == [[f"r{n:05}@example.org"] for n in range(3)]
    rows = Delivery.objects.order_by("pk").values_list("fate", "receipt", "copies")
    assert list(rows) == [(Fate.ACCEPTED, f"re-{n}", 1) for n in range(3)]


def test_a_letter_in_doubt_is_left_to_a_person_and_news_gets_one_copy(settings: Settings) -> None:
    """reliability.md 3.3: never more than two, both with the same key."""
    letter("new@example.org")
    reader("ann")
    fanout.expand(news().pk)
    with serving(settings, "resend", lambda _: Says(500, {"message": "oops"})) as api:
        delivery.drain("letters")
        assert fates() == {"uncertain": 1, "pending": 1}
        delivery.drain("news")
    assert fates() == {"uncertain": 2}
    assert Counter(call.json["to"][0] for call in api.calls) == {"new@example.org": 1, ANN: 2}
    assert len({call.headers["idempotency-key"] for call in api.calls if call.json["to"] == [ANN]}) == 1


def test_a_key_that_expired_punishes_nobody_and_is_shown(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """F28: the breaker opens with the cause, the rows wait, and no log names the key."""
    readers(20)
    fanout.expand(news().pk)
    refusal = Says(401, {"ErrorCode": 10, "Message": f"Bad token {KEY}"})
    with serving(settings, "postmark", lambda _: refusal), caplog.at_level(logging.ERROR):
        assert delivery.drain("news") == 0
    assert fates() == {"pending": 20}
    assert Subscriber.objects.filter(bounced_at__isnull=False).count() == 0
    state = ChannelState.objects.get()
    assert (state.channel, state.ours, state.reason) == ("email", True, "401 Bad token [key] (10)")
    assert KEY not in caplog.text


def test_an_installation_without_a_key_keeps_its_mail_and_says_what_is_missing(settings: Settings) -> None:
    reader("ann")
    fanout.expand(news().pk)
    settings.MAIL_PROVIDER, settings.ANYMAIL = "postmark", {}
    assert delivery.drain("news") == 0
    assert fates() == {"pending": 1}
    state = ChannelState.objects.get()
    assert (state.ours, state.reason.partition("{")[0]) == (
        True,
        "The mail provider is not set up: You must set ANYMAIL = ",
    )
