"""What Prometheus is told: true, cheap, and to nobody without the token (F22)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from notifications import audit, fanout, states, suppression
from notifications.enums import Channel, Fate, Pool, Silence
from notifications.models import AuditRun, Delivery, Endpoint
from tests import scene
from tests.notifications.news import letter, news, reader, readers

pytestmark = pytest.mark.django_db
TOKEN = "a-token-of-some-length"


@pytest.fixture(autouse=True)
def _token(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN


def scraped(client: Client) -> dict[str, float]:
    """``name{labels}`` to value, as Prometheus reads it."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    return {
        sample.name.removeprefix("heliograph_")
        + ("{" + ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items())) + "}")
        * bool(sample.labels): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def of(name: str, found: dict[str, float]) -> dict[str, float]:
    """Samples of one metric by their labels; those at zero left out."""
    return {key.partition("{")[2].rstrip("}"): value for key, value in found.items() if key.startswith(name) and value}


@pytest.mark.parametrize(
    "said", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ä€"]
)
def test_who_does_not_know_the_token_is_told_nothing(client: Client, said: str | None) -> None:
    headers = {} if said is None else {"Authorization": said}
    answer = client.get("/metrics", headers=headers)
    assert (answer.status_code, answer.content, answer["WWW-Authenticate"]) == (401, b"Unauthorized\n", "Bearer")


def test_without_a_token_there_is_no_such_page(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = ""
    for said in ("Bearer ", "Bearer x", ""):
        assert client.get("/metrics", headers={"Authorization": said}).status_code == 404


def test_nobody_writes_here(client: Client) -> None:
    assert client.post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_an_empty_house_says_so(client: Client) -> None:
    found = scraped(client)
    assert found["audit_age_seconds"] == float("inf")
    assert of("audit_findings", found) == of("deliveries", found) == of("due_age", found) == {}
    assert of("channel_resting", found) == of("endpoints", found) == of("suppressed", found) == {}
    assert found["announcements_unexpanded"] == 0


def test_the_last_audit_is_told_by_rule(client: Client) -> None:
    reader("ann", confirmed_at=timezone.now() - timedelta(days=3), created_at=timezone.now() - timedelta(days=3))
    old = news(at=timezone.now() - timedelta(hours=25))
    fanout.expand(old.pk)
    audit.run_if_due(timezone.now())
    found = scraped(client)
    assert of("audit_findings", found) == {"rule=A3": 1}
    assert len([key for key in found if key.startswith("audit_findings")]) == len(audit.RULES)
    assert 0 <= found["audit_age_seconds"] < 60
    AuditRun.objects.update(finished_at=timezone.now() - timedelta(minutes=10))
    assert 600 <= scraped(client)["audit_age_seconds"] < 660


def test_the_messages_of_a_day_are_told_by_channel_and_fate(client: Client) -> None:
    readers(3)
    reader("sms", channel=Channel.SMS, address="+12025550123")
    fanout.expand(news().pk)
    Delivery.objects.filter(channel=Channel.EMAIL).update(fate=Fate.ACCEPTED)
    letter("new@example.org")
    news(lane="waiting for a worker")
    found = scraped(client)
    assert of("deliveries", found) == {
        "channel=email,fate=accepted": 3,
        "channel=email,fate=pending": 1,
        "channel=sms,fate=pending": 1,
    }
    assert found["announcements_unexpanded"] == 1


def test_what_could_leave_and_does_not_is_told_by_pool(client: Client) -> None:
    """A message that waits for its next try is not late."""
    reader("ann")
    fanout.expand(news().pk)
    letter("new@example.org")
    now = timezone.now()
    Delivery.objects.filter(pool=Pool.NEWS).update(next_at=now - timedelta(minutes=5))
    Delivery.objects.filter(pool=Pool.LETTERS).update(next_at=now + timedelta(minutes=5))
    found = scraped(client)
    assert set(of("due_age", found)) == {"pool=news"}
    assert 300 <= found["due_age_seconds{pool=news}"] < 330
    assert len([key for key in found if key.startswith("due_age")]) == len(Pool)


def test_channels_and_far_ends_in_trouble_are_told(client: Client, settings: Settings) -> None:
    now = timezone.now()
    settings.SMS_PROVIDER = ""
    states.rest(Channel.EMAIL, "535 no", ours=True, at=now - timedelta(minutes=2))
    states.rest(Channel.CHAT, "503", ours=False, at=now)
    states.well(Channel.CHAT)
    for number, facts in enumerate(({"failing_since": now}, {"failing_since": now, "quarantined_at": now}, {})):
        end = reader(str(number), channel=Channel.WEBHOOK)
        Endpoint.objects.create(subscriber=end, url="sealed", created_at=now, **facts)
    suppression.add(Channel.EMAIL, "x@example.org", Silence.COMPLAINED, at=now)
    found = scraped(client)
    assert found["channel_off{channel=sms}"] == 1
    assert found["channel_off{channel=email}"] == 0
    assert set(of("channel_resting", found)) == {"channel=email,ours=true"}
    assert 120 <= found["channel_resting_seconds{channel=email,ours=true}"] < 150
    assert of("endpoints", found) == {"state=failing": 1, "state=quarantined": 1}
    assert of("suppressed", found) == {"reason=complained": 1}


def test_r301_what_is_owed_is_counted_and_what_is_overdue(client: Client) -> None:
    scene.incident(at=timezone.now() - timedelta(minutes=20), public=False)
    found = scraped(client)
    # Of respond, first update and resolve only the response is past its hard limit.
    assert (found["obligations_open"], found["obligations_overdue"]) == (3, 1)


def test_it_costs_eight_questions_however_much_there_is(
    client: Client, django_assert_num_queries: Callable[..., Any]
) -> None:
    with django_assert_num_queries(8):
        scraped(client)
    readers(20)
    for number in range(5):
        fanout.expand(news(lane=str(number)).pk)
    audit.run_if_due(timezone.now())
    with django_assert_num_queries(8):
        scraped(client)
