"""The order in which one person reads about one incident, as the relay sees it (F12)."""

from __future__ import annotations

import email
from datetime import datetime, timedelta
from email import policy

import pytest
from django.utils import timezone

from incidents import lifecycle
from incidents.models import Incident
from notifications import delivery, fanout, queue
from notifications.enums import Fate
from notifications.models import Announcement, Delivery
from status.enums import Level, Phase
from tests import scene
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db


@pytest.fixture
def start() -> datetime:
    return timezone.now() - timedelta(minutes=30)


def expand() -> None:
    for pk in Announcement.objects.unexpanded().order_by("pk").values_list("pk", flat=True):
        fanout.expand(pk)


def drain() -> None:
    """Everything that is to happen has happened, however long it has to wait."""
    Delivery.objects.filter(fate=Fate.PENDING).update(next_at=timezone.now() - timedelta(seconds=1))
    delivery.sweep()
    delivery.drain("news")


def told(relay: Relay) -> list[str]:
    """The phases in the order the relay got them."""
    subjects = [email.message_from_bytes(kept.content, policy=policy.default)["Subject"] for kept in relay.kept]
    return [subject.split("] ")[1].split(":")[0] for subject in subjects]


def reopen(incident: Incident, at: datetime) -> Incident:
    levels = {scene.component(): Level.MAJOR}
    return lifecycle.reopen(incident, scene.draft("It is back."), levels=levels, by=scene.operator(), at=at)


def resolve(incident: Incident, at: datetime) -> Incident:
    return lifecycle.resolve(incident, body="Fixed.", by=scene.operator(), at=at)


def test_resolved_never_arrives_after_it_is_back(relay: Relay, start: datetime) -> None:
    """R-201, F12: what waited for the relay when it came back is not told any more; the newer mail tells it."""
    scene.subscriber(created_at=start, confirmed_at=start - timedelta(days=1))
    incident = scene.incident(at=start)
    expand()
    drain()
    incident = resolve(incident, start + timedelta(minutes=10))
    expand()
    relay.say["DATA"] = "451 4.3.0 try later"
    drain()
    relay.say.clear()
    reopen(incident, start + timedelta(minutes=20))
    expand()
    drain()
    drain()
    assert told(relay) == ["Investigating", "Investigating"]
    resolved = Delivery.objects.get(announcement__content__phase="Resolved")
    assert (resolved.fate, resolved.reason) == ("suppressed", "Overtaken by update 3.")
    body = email.message_from_bytes(relay.kept[-1].content, policy=policy.default).get_body(("plain",))
    assert body is not None
    assert [word in body.get_content() for word in ("It is back.", "Fixed.")] == [True, True]


def test_it_is_back_waits_while_resolved_is_being_handed_over(relay: Relay, start: datetime) -> None:
    """F12: the relay may already have it, so the newer one stays behind it."""
    scene.subscriber(confirmed_at=start - timedelta(days=1))
    incident = scene.incident(at=start)
    expand()
    drain()
    incident = resolve(incident, start + timedelta(minutes=10))
    expand()
    [item] = queue.claim("news", 1)
    assert queue.turn([], [item]) == {item.id}
    reopen(incident, start + timedelta(minutes=20))
    expand()
    drain()
    assert told(relay) == ["Investigating"]
    assert Delivery.objects.get(announcement__seq=3).fate == "blocked"
    queue.turn([item], [])
    drain()
    assert told(relay) == ["Investigating", "Investigating"]


def test_a_failed_resolved_is_not_sent_again_once_it_is_back(relay: Relay, start: datetime) -> None:
    """R-804, F12: an operator's "send again" cannot tell an old end after a new beginning."""
    scene.subscriber(confirmed_at=start - timedelta(days=1))
    incident = scene.incident(at=start)
    expand()
    drain()
    incident = resolve(incident, start + timedelta(minutes=10))
    expand()
    Delivery.objects.filter(announcement__content__phase="Resolved").update(fate=Fate.DEAD, settled_at=timezone.now())
    reopen(incident, start + timedelta(minutes=20))
    expand()
    assert delivery.send_again(Delivery.objects.failed(), by=scene.operator(), at=timezone.now()) == 0
    drain()
    assert told(relay) == ["Investigating", "Investigating"]


def test_every_mail_about_an_incident_is_one_thread(relay: Relay, start: datetime) -> None:
    """What is back continues the conversation people already have."""
    scene.subscriber(confirmed_at=start - timedelta(days=1))
    incident = scene.incident(at=start)
    expand()
    drain()
    incident = resolve(incident, start + timedelta(minutes=10))
    expand()
    drain()
    incident = reopen(incident, start + timedelta(minutes=20))
    expand()
    drain()
    root, *replies = [email.message_from_bytes(kept.content, policy=policy.default) for kept in relay.kept]
    assert [reply["References"] for reply in replies] == [root["Message-ID"]] * 2
    assert incident.notice is not None
    assert incident.notice.phase == Phase.INVESTIGATING
