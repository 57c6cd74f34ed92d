"""What owners of webhooks and our people can do: begin, rotate, come back, send again (R-801, S15, S21, S27)."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from standardwebhooks import Webhook

from notifications import audit, endpoints, order, queue, subscriptions, tokens
from notifications.channels.webhook import SCHEDULE, far_end
from notifications.choices import Choice
from notifications.enums import Channel, Fate, Kind, Pool
from notifications.models import Announcement, Delivery, Endpoint, Subscriber
from tests import scene
from tests.notifications.hooks import OWNER, drain, endpoint, told, wait, webhook
from tests.notifications.receiver import Receiver, say

pytestmark = pytest.mark.django_db


def asked(url: str, **changes: object) -> tuple[Subscriber, str]:
    values = {"owner_email": OWNER, "choice": Choice(), "at": timezone.now()} | changes
    scene.brand()
    return endpoints.create_webhook(endpoints.checked(url), **values)  # type: ignore[arg-type]


def letters() -> list[str]:
    return list(Announcement.objects.filter(deliveries__address=OWNER).order_by("pk").values_list("subject", flat=True))


def test_what_a_test_event_says(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    told(1)
    drain()
    endpoints.send_test(subscriber, at=timezone.now())
    drain()
    event = json.loads(receiver.heard[-1].body)
    assert list(event) == ["meta", "page", "component_update", "component"]
    assert (event["component"]["id"], event["component_update"]["new_status"]) == ("test00000000", "operational")
    # The page is as it was told last: a test is no all-clear.
    assert event["page"]["status_indicator"] == "minor"


# --- to begin -------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_owner_confirmed(receiver: Receiver) -> None:
    subscriber, secret = asked(receiver.url)
    told(1)
    drain()
    assert (secret, receiver.heard, letters()) == ("", [], ["Confirm your webhook for Northwind status updates"])
    shown = endpoints.confirm(subscriber, at=timezone.now())
    drain()
    (heard,) = receiver.heard
    assert Webhook(shown).verify(heard.body, heard.headers)["component"]["id"] == "test00000000"
    told(2, at=timezone.now())
    drain()
    assert [json.loads(heard.body).get("n") for heard in receiver.heard] == [None, 2]


def test_confirming_twice_makes_one_secret_and_one_test(receiver: Receiver) -> None:
    subscriber, _ = asked(receiver.url)
    first = endpoints.confirm(subscriber, at=timezone.now())
    drain()
    assert endpoints.confirm(subscriber, at=timezone.now()) == ""
    drain()
    assert (len(receiver.heard), far_end(endpoint(subscriber)).secrets) == (1, (first,))


def test_typing_it_again_tells_nobody_anything_and_changes_nothing(receiver: Receiver) -> None:
    """S15: an active one, one that waits and a new one are answered in the same words; only its owner learns more."""
    subscriber, secret = webhook(receiver)
    before = (
        list(Endpoint.objects.values()),
        list(Subscriber.objects.values("all_topics", "least_rank", "confirmed_at")),
    )
    again, nothing = asked(receiver.url, choice=Choice(least_rank=1, all_topics=False))
    _, waiting = asked(receiver.url + "?new")
    assert (again, nothing, waiting) == (subscriber, "", "")
    after = (
        list(Endpoint.objects.filter(subscriber=again).values()),
        list(Subscriber.objects.filter(pk=again.pk).values("all_topics", "least_rank", "confirmed_at")),
    )
    assert (before, far_end(endpoint(subscriber)).secrets) == (after, (secret,))
    assert letters() == [
        "Your webhook for Northwind status updates",
        "Confirm your webhook for Northwind status updates",
    ]


def test_two_owners_of_one_address_are_two_subscriptions(receiver: Receiver) -> None:
    """Nobody keeps another out by being first, and nobody sees another's secret."""
    one, _ = asked(receiver.url)
    two, _ = asked(receiver.url, owner_email="other@acme.example")
    assert (one != two, one.address != two.address) == (True, True)
    assert all(re.fullmatch(r"127\.0\.0\.1 #[0-9a-f]{16}", each.address) for each in (one, two))


def test_our_people_enter_one_that_begins_at_once(receiver: Receiver) -> None:
    subscriber, secret = asked(receiver.url, by=scene.operator(), name="Acme")
    drain()
    assert Webhook(secret).verify(receiver.heard[0].body, receiver.heard[0].headers)["page"]
    assert (subscriber.consent_source, letters(), str(endpoint(subscriber))) == ("Entered by ann", [], "Acme")


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://hooks.slack.com/services/T0/B0/x", "Slack"),
        ("https://acme.webhook.office.com/webhookb2/x", "Microsoft Teams"),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/x", "Microsoft Teams"),
        ("https://discord.com/api/webhooks/1/x", "Discord"),
        ("https://HOOKS.SLACK.COM./services/T0/B0/x", "Slack"),
        ("https://chat.googleapis.com/v1/spaces/x", "Google Chat"),
    ],
)
def test_addresses_of_chats_belong_to_the_chat(url: str, service: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        endpoints.checked(url)
    assert refusal.value.messages == [f"This is an address of {service}: please choose “Chat” instead of “Webhook”."]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("http://receiver.example/", "Please write the whole address, beginning with https://."),
        ("receiver.example/hook", "Please write the whole address, beginning with https://."),
        (
            "https://me:secret@receiver.example/",
            "Names and passwords cannot stand in the address; each message is signed.",
        ),
        ("https://receiver.example:22/", "This port cannot be used; please use 443 or 8443."),
        ("https://10.0.0.1/", "This address is not on the public internet."),
        ("https://0x7f000001/", "Please write this number as a name, or as four numbers."),
        ("https://receiver/", "This is not the name of a server on the internet."),
        ("https://receiver.example/a b", "There are spaces, backslashes or invisible characters in this address."),
        ("https://receiver.example/" + "x" * 2_000, "This is too long: an address has at most 2,000 characters."),
    ],
)
def test_what_cannot_be_called_is_refused_in_words(typed: str, said: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        endpoints.checked(typed)
    assert refusal.value.messages == [said]


def test_one_spelling_per_address() -> None:
    typed = "  HTTPS://Receiver.EXAMPLE.:443/Höhe?q=ä#part  "
    assert endpoints.checked(typed) == "https://receiver.example/H%C3%B6he?q=%C3%A4"
    assert endpoints.checked("https://receiver.example:8443") == "https://receiver.example:8443/"


# --- secrets ------------------------------------------------------------------------------------


def test_a_new_secret_each_time_and_never_more_than_two(receiver: Receiver) -> None:
    subscriber, first = webhook(receiver)
    second = endpoints.rotate(subscriber, at=timezone.now())
    third = endpoints.rotate(subscriber, at=timezone.now())
    assert len({first, second, third}) == 3
    assert far_end(endpoint(subscriber)).secrets == (third, second)
    assert all(secret.startswith("whsec_") and len(secret) == 46 for secret in (first, second, third))


def test_keys_change_without_a_gap(receiver: Receiver, settings: object) -> None:
    """S27: a new sealing key in front, the old one behind: everything still opens; without it nothing leaves."""
    _, secret = webhook(receiver)
    settings.SECRETS_KEYS = ["a new key", *settings.SECRETS_KEYS]  # type: ignore[attr-defined]
    told(1)
    assert drain() == 1
    assert Webhook(secret).verify(receiver.heard[-1].body, receiver.heard[-1].headers)["n"] == 1
    settings.SECRETS_KEYS = ["a new key"]  # type: ignore[attr-defined]
    told(2)
    assert drain() == 0


# --- the end and the way back -----------------------------------------------------------------------


def test_the_owner_ends_it_and_what_waits_is_not_sent(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    receiver.manner = say(500)
    told(1)
    told(2)
    drain()
    endpoints.end(subscriber, at=timezone.now())
    endpoints.end(subscriber, at=timezone.now())
    receiver.heard.clear()
    told(3)
    wait()
    rows = Delivery.objects.filter(subscriber=subscriber).values_list("fate", "reason")
    assert (receiver.heard, list(rows)) == ([], [(Fate.SUPPRESSED, "Ended by its owner.")] * 2)
    with pytest.raises(endpoints.NotAllowed):
        endpoints.rotate(subscriber, at=timezone.now())


def test_what_a_worker_holds_does_not_leave_after_the_end(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    told(1)
    order.take_turns()
    (item,) = queue.claim(Pool.HOOKS, 1)
    endpoints.end(subscriber, at=timezone.now())
    assert queue.turn([], [item]) == set()


def in_quarantine(receiver: Receiver) -> Subscriber:
    subscriber, _ = webhook(receiver)
    receiver.manner = say(500)
    told(1)
    told(2)
    for _ in SCHEDULE:
        wait()
    assert endpoint(subscriber).quarantined_at is not None
    receiver.heard.clear()
    return subscriber


def test_out_of_quarantine_when_a_test_has_arrived_and_not_before(receiver: Receiver) -> None:
    subscriber = in_quarantine(receiver)
    endpoints.come_back(subscriber, at=timezone.now())
    drain()
    assert (len(receiver.heard), endpoint(subscriber).quarantined_at is None) == (1, False)
    for _ in range(3):
        wait()
    # A test is tried once.
    assert len(receiver.heard) == 1
    receiver.manner = say(200)
    endpoints.come_back(subscriber, at=timezone.now())
    drain()
    far = endpoint(subscriber)
    assert (len(receiver.heard), far.quarantined_at, far.failing_since) == (2, None, None)
    told(3)
    assert drain() == 1


def test_what_was_missed_is_sent_again_in_order_with_the_ids_it_had(receiver: Receiver) -> None:
    subscriber = in_quarantine(receiver)
    told(3)
    assert endpoints.replay_since(subscriber, timezone.now() - timedelta(days=1), at=timezone.now()) == 0
    receiver.manner = say(200)
    endpoints.come_back(subscriber, at=timezone.now())
    drain()
    receiver.heard.clear()
    assert endpoints.replay_since(subscriber, timezone.now() - timedelta(days=1), at=timezone.now()) == 3
    drain()
    assert [json.loads(heard.body)["n"] for heard in receiver.heard] == [1, 2, 3]
    ids = [heard.headers["webhook-id"] for heard in receiver.heard]
    endpoints.replay_since(subscriber, timezone.now() - timedelta(days=1), at=timezone.now())
    drain()
    assert [heard.headers["webhook-id"] for heard in receiver.heard[3:]] == ids


def test_an_end_is_undone_by_a_test_that_arrives(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    receiver.manner = say(410)
    told(1)
    drain()
    endpoints.come_back(subscriber, at=timezone.now())
    drain()
    assert not Subscriber.objects.get(pk=subscriber.pk).is_active
    receiver.manner = say(200)
    endpoints.come_back(subscriber, at=timezone.now())
    told(2, at=timezone.now())
    drain()
    assert (Subscriber.objects.get(pk=subscriber.pk).is_active, endpoint(subscriber).quarantined_at) == (True, None)
    # What was published before the test had arrived was not meant for it.
    assert Delivery.objects.get(announcement__lane="lane 2").fate == Fate.SUPPRESSED


def test_one_test_at_a_time(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    endpoints.send_test(subscriber, at=timezone.now())
    with pytest.raises(endpoints.NotAllowed, match=r"A test is on its way already\."):
        endpoints.send_test(subscriber, at=timezone.now())


def test_a_test_that_arrives_frees_what_waits(receiver: Receiver) -> None:
    """The receiver is repaired; its owner does not want to wait ten hours for the next try."""
    subscriber, _ = webhook(receiver)
    receiver.manner = say(500)
    told(1)
    told(2)
    for _ in range(6):
        wait()
    receiver.manner = say(200)
    receiver.heard.clear()
    endpoints.send_test(subscriber, at=timezone.now())
    drain()
    drain()
    assert [json.loads(heard.body).get("n") for heard in receiver.heard] == [None, 1, 2]


def test_a_test_that_fails_makes_nobody_a_failure(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    receiver.manner = say(404)
    delivery = endpoints.send_test(subscriber, at=timezone.now())
    drain()
    delivery.refresh_from_db()
    assert (delivery.fate, delivery.reason) == (Fate.DEAD, "It answered 404 Not Found.")
    assert endpoint(subscriber).failing_since is None


# --- sending again -----------------------------------------------------------------------------------


def test_one_message_is_sent_again_and_no_alarm_is_raised(receiver: Receiver) -> None:
    """F06: the same id; the auditor knows that it is late on purpose."""
    subscriber, _ = webhook(receiver)
    for n in (1, 2, 3):
        told(n, lane="one lane")
    drain()
    first = Delivery.objects.filter(subscriber=subscriber).earliest("announcement_id")
    assert endpoints.replay([first], at=timezone.now(), by=scene.operator()) == 1
    first.refresh_from_db()
    assert (first.fate, first.reason) == (Fate.PENDING, "Sent again by ann.")
    drain()
    assert [json.loads(heard.body)["n"] for heard in receiver.heard] == [1, 2, 3, 1]
    assert receiver.heard[0].headers["webhook-id"] == receiver.heard[3].headers["webhook-id"]
    report = audit.audit(timezone.now())
    assert [(wrong.rule.id, wrong.count) for wrong in report.wrong] == []


def test_nothing_is_sent_again_that_is_not_theirs_or_not_over(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    other, _ = webhook(receiver, "/other")
    receiver.at["/other"] = say(500)
    told(1)
    drain()
    mail = scene.subscriber("ann@example.com")
    wrong = Delivery.objects.create(
        announcement=Announcement.objects.latest("pk"), subscriber=mail, channel=Channel.EMAIL, pool=Pool.NEWS,
        fate=Fate.DEAD, next_at=timezone.now(), created_at=timezone.now(),
    )  # fmt: skip
    test = endpoints.send_test(subscriber, at=timezone.now())
    drain()
    everything = Delivery.objects.filter(pk__in=[wrong.pk, test.pk]) | Delivery.objects.filter(subscriber=other)
    assert endpoints.replay(everything, at=timezone.now()) == 0


def test_sent_again_it_never_overlaps_what_is_in_the_air(receiver: Receiver) -> None:
    """One at a time (F06), also while a newer one is on its way."""
    subscriber, _ = webhook(receiver)
    told(1)
    drain()
    newer = told(2)
    Delivery.objects.filter(announcement=newer).update(
        fate=Fate.SENDING, lease_until=timezone.now() + timedelta(minutes=1)
    )
    assert endpoints.replay_since(subscriber, timezone.now() - timedelta(days=1), at=timezone.now()) == 1
    drain()
    assert len(receiver.heard) == 1
    Delivery.objects.filter(announcement=newer).update(fate=Fate.DELIVERED, lease_until=None)
    drain()
    assert [json.loads(heard.body)["n"] for heard in receiver.heard] == [1, 1]


def test_leaving_by_the_link_in_a_message(receiver: Receiver) -> None:
    subscriber, _ = webhook(receiver)
    told(1)
    drain()
    link = json.loads(receiver.heard[0].body)["meta"]["unsubscribe"]
    token = link.rpartition("/")[2]
    assert subscriptions.holder(token, tokens.UNSUBSCRIBE, at=timezone.now()) == subscriber


def test_tests_are_no_news_to_anybody_else(receiver: Receiver) -> None:
    webhook(receiver)
    subscriber, _ = webhook(receiver, "/other")
    endpoints.send_test(subscriber, at=timezone.now())
    drain()
    assert [heard.path for heard in receiver.heard] == ["/other"]
    assert set(Announcement.objects.values_list("kind", flat=True)) == {Kind.LETTER}
