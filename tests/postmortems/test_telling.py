"""Another billing system is told of a closed month: signed, under one id, for a day (R-905, F06, S20, S21)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.checks import run_checks
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from config.celery import app
from postmortems import tasks
from postmortems.credits.batches import closing, telling
from postmortems.credits.book.moves import NotAllowed
from postmortems.models import Batch
from tests import scene
from tests.notifications.receiver import Heard, Receiver, reset, say
from tests.postmortems import ready, stage
from tests.postmortems.ready import AFTER

pytestmark = pytest.mark.django_db
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECOND = timedelta(seconds=1)


@pytest.fixture
def billing(settings: Settings) -> Iterator[Receiver]:
    """The other system, next door; it is to be told."""
    with Receiver() as server:
        settings.WEBHOOKS = settings.WEBHOOKS | {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}
        settings.BILLING_WEBHOOK = {"url": server.url, "secret": SECRET}
        yield server


def closed(at: datetime | None = None) -> Batch:
    """October, closed at the moment of the clock unless said otherwise: receivers look at it."""
    return closing.close(stage.OCTOBER, by=scene.operator("fin"), at=at or AFTER)


def fresh(batch: Batch) -> Batch:
    return Batch.objects.light().get(pk=batch.pk)


def verified(heard: Heard) -> object:
    """What the official library makes of it. Raises WebhookVerificationError."""
    return Webhook(SECRET).verify(heard.body, heard.headers)


def test_what_arrives_is_what_the_official_library_verifies(billing: Receiver) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    ready.credit(stage.contract("C-1"), 12_345)
    ready.credit(stage.contract("C-2", currency="KWD"), -1_500, kind="correction")
    batch = closed()
    assert telling.tell(now) == 1
    (heard,) = billing.heard
    assert (heard.headers["webhook-id"], heard.headers["content-type"]) == ("CR-2026-0001", "application/json")
    site = "http://127.0.0.1:8000"
    assert verified(heard) == {
        "type": "credits.batch_closed",
        "timestamp": "2026-11-02T08:00:00Z",
        "data": {
            "number": "CR-2026-0001",
            "month": "2026-10",
            "count": 2,
            "totals": [
                {"currency": "EUR", "amount_minor": 12_345, "amount": "123.45"},
                {"currency": "KWD", "amount_minor": -1_500, "amount": "-1.500"},
            ],
            "digest": batch.digest,
            "links": {
                "batch": f"{site}/api/v1/batches/CR-2026-0001",
                "credits": f"{site}/api/v1/credits?batch=CR-2026-0001",
                "json": f"{site}/api/v1/batches/CR-2026-0001/file.json",
                "csv": f"{site}/api/v1/batches/CR-2026-0001/file.csv",
                "xlsx": f"{site}/api/v1/batches/CR-2026-0001/file.xlsx",
                "page": f"{site}/admin/postmortems/batch/{batch.pk}/change/",
            },
        },
    }
    row = fresh(batch)
    assert (row.told_at, row.tell_tries, row.tell_next_at, row.tell_error) == (now, 1, None, "")
    assert telling.tell(now + timedelta(days=2)) == 0
    flipped = heard._replace(body=heard.body.replace(b"123.45", b"923.45"))
    with pytest.raises(WebhookVerificationError):
        verified(flipped)


def test_f06_it_is_tried_for_a_day_under_one_id_with_one_body_and_then_stands(billing: Receiver) -> None:
    billing.manner = say(503)
    batch = closed()
    at, moments = AFTER, [timedelta()]
    assert telling.tell(at) == 0
    while (due := fresh(batch).tell_next_at) is not None:
        assert telling.tell(due - SECOND) == 0
        moments.append(due - AFTER)
        telling.tell(due)
    assert [int(moment.total_seconds()) for moment in moments] == [
        0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400,
    ]  # fmt: skip
    assert {(heard.headers["webhook-id"], heard.body) for heard in billing.heard} == {
        ("CR-2026-0001", telling.body(batch))
    }
    assert (len(billing.heard), len({heard.headers["webhook-timestamp"] for heard in billing.heard})) == (10, 10)
    row = fresh(batch)
    assert (row.told_at, row.tell_tries, row.tell_error) == (None, 10, "It answered 503 Service Unavailable.")
    assert telling.tell(AFTER + timedelta(days=9)) == 0
    # Somebody asks for it, twice.
    later = AFTER + timedelta(days=9)
    billing.manner = say(200)
    telling.again(batch, at=later)
    assert telling.again(batch, at=later + SECOND).tell_next_at == later
    assert telling.tell(later + SECOND) == 1
    assert fresh(batch).told_at == later + SECOND
    assert billing.heard[-1].headers["webhook-id"] == "CR-2026-0001"


@pytest.mark.parametrize(
    ("manner", "words", "goes_on"),
    [
        (reset, "It hung up without an answer.", True),
        (say(404), "It answered 404 Not Found.", True),
        (say(302, Location="http://169.254.169.254/"), "It answered 302 Found.", True),
        (say(410), "It answered 410 Gone.", False),
        (say(600), "It answered 600.", True),
    ],
)
def test_what_was_answered_stands_on_the_batch(billing: Receiver, manner: object, words: str, goes_on: bool) -> None:
    billing.manner = manner  # type: ignore[assignment]  # as Manner is
    batch = closed()
    telling.tell(AFTER)
    row = fresh(batch)
    assert (row.tell_error, row.tell_next_at is not None, len(billing.heard)) == (words, goes_on, 1)


def test_s20_it_never_goes_to_an_inner_network(billing: Receiver, settings: Settings) -> None:
    settings.WEBHOOKS = settings.WEBHOOKS | {"allow_networks": []}
    batch = closed()
    assert (telling.tell(AFTER), billing.connections) == (0, 0)
    assert fresh(batch).tell_error == "There was no connection to this address."


def test_a_program_that_dies_during_a_try_is_made_up_for(billing: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = closed()

    def die(*args: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(telling, "_send", die)
        with pytest.raises(SystemExit):
            telling.tell(AFTER)
    assert telling.tell(AFTER + SECOND) == 0
    assert telling.tell(AFTER + telling.LEASE) == 1
    assert (len(billing.heard), fresh(batch).tell_tries) == (1, 2)


def test_two_sweeps_at_once_tell_it_once(billing: Receiver) -> None:
    """The second begins while the first waits for the answer."""
    closed()
    swept = []

    def meanwhile(*args: object) -> telling.Answer:
        swept.append(telling.tell(AFTER))
        return send(*args)

    send = telling._send
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(telling, "_send", meanwhile)
        assert telling.tell(AFTER) == 1
    assert (swept, len(billing.heard)) == ([0], 1)


def test_off_until_it_is_configured(settings: Settings) -> None:
    settings.BILLING_WEBHOOK = {"url": "", "secret": ""}
    batch = closed()
    assert (telling.tell(AFTER), fresh(batch).tell_next_at) == (0, None)
    with pytest.raises(NotAllowed, match="BILLING_WEBHOOK_URL is empty"):
        telling.again(batch, at=AFTER)


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("", SECRET, "BILLING_WEBHOOK_URL is empty"),
        ("http://billing.example/hook", SECRET, "no https address"),
        ("billing.example", SECRET, "no https address"),
        ("https://billing.example/hook", "", "BILLING_WEBHOOK_SECRET is empty"),
        ("https://billing.example/hook", "secret", "must be whsec_"),
        ("https://billing.example/hook", "whsec_c2hvcnQ=", "24 to 64 bytes"),
        ("https://billing.example/hook", "whsec_%%%", "must be whsec_"),
    ],
)
def test_half_a_configuration_is_named_before_the_start(settings: Settings, url: str, secret: str, words: str) -> None:
    settings.BILLING_WEBHOOK = {"url": url, "secret": secret}
    (found,) = [one for one in run_checks() if one.id == "heliograph.E020"]
    assert words in found.msg
    assert telling.is_on() is False


def test_whole_ones_are_not(settings: Settings) -> None:
    for whole in ({"url": "", "secret": ""}, {"url": "https://billing.example/hook", "secret": SECRET}):
        settings.BILLING_WEBHOOK = whole
        assert [one for one in run_checks() if one.id == "heliograph.E020"] == []


def test_the_timetable_asks_every_half_minute(billing: Receiver) -> None:
    entry = next(one for one in app.conf.beat_schedule.values() if one["task"] == tasks.tell_billing.name)
    assert entry["schedule"] == 30.0
    closing.close(date(2026, 9, 1), by=None, at=AFTER - timedelta(days=20))
    tasks.tell_billing()
    assert [json.loads(heard.body)["data"]["number"] for heard in billing.heard] == ["CR-2026-0001"]
