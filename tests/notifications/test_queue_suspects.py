"""A message that kills whoever takes it kills three workers at most, and holds nobody up (F29)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from notifications import delivery, fanout, order, queue
from notifications.courier import Courier
from notifications.enums import Channel, Fate, Pool
from notifications.models import Announcement, Delivery, Endpoint
from notifications.queue import Item
from tests import scene
from tests.notifications.news import letter, news, reader, readers
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db
OVER = "Three workers died over it."


class Killed(BaseException):
    """The end of a worker, which writes nothing down."""


def told(**changes: object) -> Announcement:
    announcement = news(**changes)  # type: ignore[arg-type]
    fanout.expand(announcement.pk)
    return announcement


def all_of(*columns: str) -> list[tuple[object, ...]]:
    return list(Delivery.objects.order_by("pk").values_list(*columns))


def bury() -> None:
    """The leases of the dead end, the reaper comes, and time passes until everything is due again."""
    Delivery.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=5))
    queue.reap()
    Delivery.objects.filter(fate=Fate.PENDING).update(next_at=timezone.now() - timedelta(seconds=1))


# --- who is a suspect --------------------------------------------------------------


def test_of_a_lost_batch_of_mail_only_the_next_in_hand_is_a_suspect() -> None:
    """A worker that was killed in health must not leave a hundred suspects."""
    readers(5)
    letter("new@example.org")
    told()
    batch = queue.claim("news", 5)
    queue.turn([], batch[:1])
    queue.turn(batch[:1], batch[1:2])
    queue.claim("letters", 1)
    bury()
    assert [crashes for (crashes,) in all_of("crashes")] == [1, 0, 1, 1, 0, 0]
    assert Counter(Delivery.objects.values_list("fate", flat=True)) == {"accepted": 1, "pending": 5}


def test_each_of_several_lost_batches_has_its_own_suspect() -> None:
    readers(6)
    told()
    for _ in range(2):
        queue.claim("news", 3)
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=9))
    Delivery.objects.filter(pk__in=Delivery.objects.order_by("-pk").values("pk")[:3]).update(
        lease_until=timezone.now() - timedelta(seconds=7)
    )
    queue.reap()
    assert [crashes for (crashes,) in all_of("crashes")] == [1, 0, 0, 1, 0, 0]


def test_of_a_couriers_lost_claim_everything_is_suspect() -> None:
    """It compiles the whole of it before anything leaves."""
    for number in range(3):
        reader(f"+4930123450{number}", channel=Channel.SMS, address=f"+4930123450{number}")
    told()
    queue.claim("texts", 3)
    bury()
    assert all_of("fate", "crashes") == [("pending", 1)] * 3


def test_suspects_do_not_come_back_all_at_once() -> None:
    """Two that were in hand in one moment would be in hand together again, and blamed together."""
    readers(10)
    told()
    Delivery.objects.update(fate=Fate.SENDING, copies=1, lease_until=timezone.now() - timedelta(seconds=5))
    before = timezone.now()
    queue.reap()
    waits = sorted((row.next_at - before).total_seconds() for row in Delivery.objects.all())
    assert [round(wait) for wait in waits] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


# --- how they are claimed ----------------------------------------------------------


def test_suspects_are_claimed_by_themselves_the_worst_first_and_alone() -> None:
    readers(7)
    told()
    pks = [pk for (pk,) in all_of("pk")]
    Delivery.objects.filter(pk__in=pks[:4]).update(crashes=1)
    Delivery.objects.filter(pk__in=pks[4:6]).update(crashes=2)
    assert [item.id for item in queue.claim("news", 100)] == pks[6:]
    assert [item.id for item in queue.claim_suspects("news", 3)] == pks[4:5]
    assert [item.id for item in queue.claim_suspects("news", 3)] == pks[5:6]
    assert [item.id for item in queue.claim_suspects("news", 3)] == pks[:3]
    assert queue.claim_suspects("letters", 3) == []
    assert queue.claim_suspects("news", 3, lying_for=3600.0) == []
    Delivery.objects.filter(pk=pks[3]).update(next_at=timezone.now() + timedelta(minutes=1))
    assert queue.claim_suspects("news", 3) == []


def test_both_claims_read_an_index_in_its_order() -> None:
    """However many rows there are, and however many suspects among them."""
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    for suspects, index in (("crashes = 0", "delivery_claim"), ("crashes > 0 AND crashes = 1", "delivery_suspects")):
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"{explain} {queue.sql(queue.CLAIM, suspects=suspects)}", ["news", 0.0, 100, 30])
            plan = "\n".join(str(line[-1]) for line in cursor.fetchall())
        assert index in plan
        assert "Sort" not in plan
        assert "ORDER BY" not in plan


# --- how it ends -------------------------------------------------------------------


def poisonous(address: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whoever compiles the mail of this address dies. Returns who died over whom, as it goes on."""
    killed: list[str] = []
    mould = delivery.Crew.mould

    class Deadly:
        def __init__(self, real: object) -> None:
            self.real = real

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

        def fill(self, item: Item) -> bytes:
            if item.address == address:
                killed.append(item.address)
                raise Killed
            return self.real.fill(item)  # type: ignore[attr-defined,no-any-return]

    monkeypatch.setattr(delivery.Crew, "mould", lambda crew, item: Deadly(mould(crew, item)))
    # The dead hand nothing back.
    monkeypatch.setattr(queue, "release", lambda items: None)
    return killed


def test_three_workers_die_over_it_and_everybody_else_is_told(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    readers(30)
    told()
    killed = poisonous("r00011@example.org", monkeypatch)
    for _ in range(5):
        try:
            delivery.Crew("news").drain(seconds=20.0, lying_for=0.0)
        except Killed:
            bury()
    assert killed == ["r00011@example.org"] * 3
    row = Delivery.objects.get(subscriber__address="r00011@example.org")
    assert (row.fate, row.reason, row.crashes, row.copies) == ("dead", OVER, 3, 0)
    assert row.settled_at is not None
    assert Counter(Delivery.objects.values_list("fate", flat=True)) == {"accepted": 29, "dead": 1}
    assert set(Counter(relay.readers).values()) == {1}


def test_who_waited_behind_it_is_let_go() -> None:
    """F12: a lane goes on after a dead letter."""
    reader("ann")
    first = told()
    Delivery.objects.update(crashes=2)
    queue.claim_suspects("news", 1)
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=5))
    second = news("Investigating", "Resolved")
    queue.reap()
    fanout.expand(second.pk)
    order.promote()
    assert (first.deliveries.get().fate, second.deliveries.get().fate) == ("dead", "pending")


def test_what_was_being_sent_keeps_its_rule_until_the_third() -> None:
    """A mail has two copies, a text one, a webhook as many as it takes to kill three."""
    hook = reader("hook", channel=Channel.WEBHOOK, address="hooks.example")
    Endpoint.objects.create(subscriber=hook, url="sealed", created_at=timezone.now())
    reader("ann")
    reader("+49301234500", channel=Channel.SMS, address="+49301234500")
    told()
    ends = []
    for _ in range(3):
        Delivery.objects.exclude(fate=Fate.UNCERTAIN).update(fate=Fate.SENDING, lease_until=timezone.now())
        Delivery.objects.update(copies=2 if ends else 1)
        bury()
        ends.append(dict(Delivery.objects.values_list("channel", "fate")))
    assert [end["webhook"] for end in ends] == ["pending", "pending", "uncertain"]
    assert [end["email"] for end in ends] == ["pending", "uncertain", "uncertain"]
    assert {end["sms"] for end in ends} == {"uncertain"}
    row = Delivery.objects.get(channel=Channel.WEBHOOK)
    assert (row.reason, row.crashes) == ("Three workers died over it; it may have left.", 3)
    assert row.settled_at is not None


def test_whoever_outlives_it_clears_it_of_suspicion() -> None:
    """A relay that asks to come back later was talked to: nobody died."""
    reader("ann")
    told()
    Delivery.objects.update(crashes=2)
    [item] = queue.claim_suspects("news", 1)
    queue.turn([], [item])
    queue.settle(item, Fate.PENDING, "451 later", wait=30.0, returned=True)
    assert all_of("fate", "crashes") == [("pending", 0)]


def test_a_dead_letter_of_this_kind_is_sent_again_by_a_person(relay: Relay) -> None:
    """R-804: and begins anew, among all others."""
    reader("ann")
    told()
    Delivery.objects.update(fate=Fate.DEAD, reason=OVER, crashes=3)
    assert delivery.send_again(Delivery.objects.all(), by=scene.operator(), at=timezone.now()) == 1
    assert delivery.drain("news") == 1
    assert all_of("fate", "crashes") == [("accepted", 0)]


def test_a_courier_takes_its_suspects_in_small_groups_before_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        hook = reader(f"h{number:02}", channel=Channel.WEBHOOK, address=f"h{number:02}")
        Endpoint.objects.create(subscriber=hook, url="sealed", created_at=timezone.now())
    told()
    delivery.sweep()
    pks = [pk for (pk,) in all_of("pk")]
    Delivery.objects.filter(pk__in=pks[10:17]).update(crashes=1)
    Delivery.objects.filter(pk__in=pks[17:19]).update(crashes=2)
    groups: list[list[int]] = []

    def note(self: Courier, items: list[Item]) -> list[object]:
        groups.append([item.id for item in items])
        for item in items:
            queue.settle(item, Fate.DELIVERED)
        return []

    monkeypatch.setattr(Courier, "_ready", note)
    Courier(Pool.HOOKS).drain(seconds=20.0, lying_for=0.0)
    assert groups[:4] == [pks[17:18], pks[18:19], pks[10:14], pks[14:17]]
    assert sorted(pk for group in groups[4:] for pk in group) == [*pks[:10], pks[19]]
