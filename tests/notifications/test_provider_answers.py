"""What providers' APIs answer, sorted by whose fault it is: the real django-anymail asks a real server (F04, F27)."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from pytest_django import Settings

from notifications.channels import provider
from notifications.channels.answers import Reply, sort
from notifications.channels.email import PORT
from notifications.channels.port import Answer, Outage, Verdict
from tests.notifications.api import Says
from tests.notifications.providers import ANN, FINE, KEY, fine, hand_over, post, ready, serving

pytestmark = pytest.mark.django_db

REFUSALS = [
    (
        "postmark",
        Says(
            422, {"ErrorCode": 406, "Message": "Found inactive addresses: ann@example.org. Inactive recipients are …"}
        ),
        Verdict.BOUNCED,
        "422 Found inactive addresses: ann@example.org. Inactive recipients are … (406)",
    ),
    (
        "postmark",
        Says(422, {"ErrorCode": 300, "Message": "Invalid 'To' address: 'ann@example.org'."}),
        Verdict.BOUNCED,
        "422 Invalid 'To' address: 'ann@example.org'. (300)",
    ),
    (
        "postmark",
        Says(422, {"ErrorCode": 300, "Message": "Invalid 'From' address: 'status@northwind.example'."}),
        Verdict.OURS,
        "422 Invalid 'From' address: 'status@northwind.example'. (300)",
    ),
    (
        "postmark",
        Says(422, {"ErrorCode": 412, "Message": "While your account is pending approval, all recipient addresses …"}),
        Verdict.OURS,
        "422 While your account is pending approval, all recipient addresses … (412)",
    ),
    (
        "postmark",
        Says(401, {"ErrorCode": 10, "Message": f"No Account or Server API tokens were supplied: {KEY}"}),
        Verdict.OURS,
        "401 No Account or Server API tokens were supplied: [key] (10)",
    ),
    (
        "resend",
        Says(
            422, {"statusCode": 422, "name": "validation_error", "message": "Invalid `to` field. The email address …"}
        ),
        Verdict.BOUNCED,
        "422 Invalid `to` field. The email address … (validation_error)",
    ),
    (
        "resend",
        Says(403, {"name": "validation_error", "message": "The northwind.example domain is not verified."}),
        Verdict.OURS,
        "403 The northwind.example domain is not verified. (validation_error)",
    ),
    (
        "resend",
        Says(409, {"name": "invalid_idempotent_request", "message": "This key was used with another payload."}),
        Verdict.DOUBT,
        "409 This key was used with another payload. (invalid_idempotent_request)",
    ),
    (
        "resend",
        Says(429, {"name": "daily_quota_exceeded", "message": "You have reached your daily quota."}),
        Verdict.LATER,
        "429 You have reached your daily quota. (daily_quota_exceeded)",
    ),
    (
        "mailgun",
        Says(400, {"message": "to parameter is not a valid address. please check documentation"}),
        Verdict.BOUNCED,
        "400 to parameter is not a valid address. please check documentation",
    ),
    ("mailgun", Says(401, b"Forbidden"), Verdict.OURS, "401 Forbidden"),
    (
        "mailgun",
        Says(404, {"message": "Domain not found: northwind.example"}),
        Verdict.OURS,
        "404 Domain not found: northwind.example",
    ),
    (
        "sendgrid",
        Says(
            400,
            {
                "errors": [
                    {
                        "message": "Does not contain a valid address.",
                        "field": "personalizations.0.to.0.email",
                        "help": None,
                    }
                ]
            },
        ),
        Verdict.BOUNCED,
        "400 Does not contain a valid address. (personalizations.0.to.0.email)",
    ),
    (
        "sendgrid",
        Says(
            403,
            {"errors": [{"message": "The from address does not match a verified Sender Identity.", "field": "from"}]},
        ),
        Verdict.OURS,
        "403 The from address does not match a verified Sender Identity. (from)",
    ),
    (
        "brevo",
        Says(400, {"code": "invalid_parameter", "message": "email is not valid in to"}),
        Verdict.BOUNCED,
        "400 email is not valid in to (invalid_parameter)",
    ),
    (
        "brevo",
        Says(400, {"code": "duplicate_request", "message": "A request with this idempotency key was received earlier"}),
        Verdict.ACCEPTED,
        "An earlier copy had arrived: 400 A request with this idempotency key was received earlier (duplicate_request)",
    ),
    (
        "brevo",
        Says(402, {"code": "not_enough_credits", "message": "Buy some"}),
        Verdict.OURS,
        "402 Buy some (not_enough_credits)",
    ),
    (
        "mandrill",
        Says(200, [{"email": ANN, "status": "rejected", "reject_reason": "hard-bounce", "_id": "md-1"}]),
        Verdict.BOUNCED,
        "550 hard-bounce",
    ),
    (
        "mandrill",
        Says(200, [{"email": ANN, "status": "rejected", "reject_reason": "unsigned", "_id": "md-1"}]),
        Verdict.OURS,
        "550 unsigned",
    ),
    (
        "mailjet",
        Says(200, {"Messages": [{"Status": "error", "Errors": [{"ErrorMessage": "no"}]}]}),
        Verdict.LATER,
        "The mail provider says that sending failed.",
    ),
    # Answers that say nothing of whether it was taken.
    ("postmark", Says(500, {"ErrorCode": 0, "Message": "Internal error"}), Verdict.DOUBT, "500 Internal error"),
    ("sendgrid", Says(502, b"<html>Bad gateway</html>"), Verdict.DOUBT, "502 <html>Bad gateway</html>"),
    ("resend", Says(200, b"not json"), Verdict.DOUBT, "200 not json"),
    ("mailgun", Says(200, {"id": "<x@y>", "message": "Hello"}), Verdict.DOUBT, "200 Hello"),
    ("postmark", Says(302, b"", {"Location": "https://elsewhere.example/"}), Verdict.OURS, "302 "),
]


@pytest.mark.parametrize(("name", "says", "verdict", "reason"), REFUSALS)
def test_an_answer_is_sorted_by_whose_fault_it_is(
    settings: Settings, name: str, says: Says, verdict: Verdict, reason: str
) -> None:
    with serving(settings, name, lambda _: says) as api:
        answer = post(ready())
    assert (answer.verdict, answer.reason) == (verdict, reason)
    assert len(api.calls) == 1


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", 120.0),
        ("7.5", 7.5),
        ("999999", 3600.0),
        ("Fri, 20 Nov 2020 14:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_a_busy_provider_says_for_how_long(header: str, wait: float | None) -> None:
    for status in (429, 503):
        answer = sort(Reply(status, "busy", {"Retry-After": header}), drops_copies=False)
        assert answer == Answer(Verdict.LATER, f"{status} busy", wait=wait)


def test_a_busy_provider_is_waited_for_when_it_asks_for_a_moment(settings: Settings) -> None:
    """It takes two calls a second, say: then that is our pace, and no mail loses a try by it."""
    answers = [Says(429, {"message": "slow down"}, {"Retry-After": "0.2"}), fine("resend")]
    with serving(settings, "resend", lambda _: answers.pop(0)) as api:
        mail, began = ready(), time.monotonic()
        assert post(mail) == Answer(Verdict.ACCEPTED, receipt="re-1")
        assert time.monotonic() - began > 0.2
    assert len({call.headers["idempotency-key"] for call in api.calls}) == 1


def test_nobody_waits_longer_than_the_lease_allows(settings: Settings) -> None:
    with serving(settings, "resend", lambda _: Says(429, {"message": "slow down"}, {"Retry-After": "4"})):
        mail, began = ready(), time.monotonic()
        assert post(mail, seconds=6.0) == Answer(Verdict.LATER, "429 slow down", wait=4.0)
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("status", [0, -1, -2])
def test_a_call_that_broke_after_it_left_is_in_doubt(settings: Settings, status: int) -> None:
    """It hangs up, resets or says nothing: nobody can know. The next mail has a fresh connection."""
    answers = [Says(status), fine("postmark")]
    with serving(settings, "postmark", lambda _: answers.pop(0)) as api, closing(provider.Wire()) as wire:
        mail, began = ready(), time.monotonic()
        answer = hand_over(wire, mail)
        assert time.monotonic() - began < 5.0
        assert answer.verdict is Verdict.DOUBT
        assert answer.reason.startswith("No answer from the mail provider: ")
        assert len(api.calls) == 1
        assert hand_over(wire, mail).verdict is Verdict.ACCEPTED


def test_an_answer_has_an_end(settings: Settings) -> None:
    with serving(settings, "postmark", lambda _: Says(200, b"x" * 400_000)):
        answer = post(ready())
    assert answer == Answer(Verdict.DOUBT, "No answer from the mail provider: the answer does not end")


def test_an_address_that_cannot_be_written_ends_that_mail_alone(settings: Settings) -> None:
    item, message, made = ready()
    with serving(settings, "postmark") as api:
        answer = post((item._replace(address="ann example.org, bob@"), message, made))
    assert answer.verdict is Verdict.NEVER
    assert api.calls == []


# --- when there is nobody ---------------------------------------------------------------


def outage_at(settings: Settings, url: str) -> Outage:
    """What happens when the provider's API is looked for there."""
    with serving(settings, "postmark") as api:
        settings.ANYMAIL = settings.ANYMAIL | {"POSTMARK_API_URL": url.format(port=api.port)}
        with pytest.raises(Outage) as outage:
            post(ready())
        assert api.calls == []
    return outage.value


def test_a_provider_that_cannot_be_reached_is_weather(settings: Settings, free_tcp_port: int) -> None:
    """F27: nothing left, nobody is to blame."""
    outage = outage_at(settings, f"http://127.0.0.1:{free_tcp_port}/")
    assert outage.ours is False
    assert outage.reason.startswith("No connection to the mail provider: ")


def test_a_name_that_nobody_knows_is_weather(settings: Settings) -> None:
    assert outage_at(settings, "http://no-such-host.invalid/").ours is False


def test_a_server_that_does_not_speak_tls_is_ours(settings: Settings) -> None:
    """F27, F28: a wrong address or a wrong certificate fails closed."""
    assert outage_at(settings, "https://127.0.0.1:{port}/").ours is True


@pytest.mark.parametrize("name", sorted(FINE))
def test_a_provider_without_its_key_is_off_and_says_so(settings: Settings, name: str) -> None:
    settings.MAIL_PROVIDER, settings.ANYMAIL = name, {}
    words = PORT.off()
    assert words.startswith("The mail provider is not set up: You must set ANYMAIL = {")
    assert sum(setting in words for setting in FINE[name][2]) == 1
    with pytest.raises(Outage) as outage:
        provider.Wire().open()
    assert (outage.value.reason, outage.value.ours) == (words, True)


def test_a_provider_that_nobody_knows_is_off(settings: Settings) -> None:
    settings.MAIL_PROVIDER = "pigeon"
    assert PORT.off() == f"MAIL_PROVIDER names “pigeon”, which is none of {', '.join(provider.PROVIDERS)}."


def test_what_is_set_up_is_on(settings: Settings) -> None:
    with serving(settings, "resend"):
        assert PORT.off() == ""
