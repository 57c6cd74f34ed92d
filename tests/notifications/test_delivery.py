"""Claim, send, record, back off: nobody missed, nobody told twice (R-804, reliability.md 2 and 3)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import closing, compiler, delivery, fanout, order, queue
from notifications.book import Book
from notifications.channels import email
from notifications.channels.port import Answer
from notifications.enums import Fate, Pool
from notifications.models import Announcement, ChannelState, Delivery, Rendering, Subscriber
from tests import scene
from tests.notifications.news import letter, news, reader, readers
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db


def told(*phases: str, **changes: object) -> Announcement:
    announcement = news(*phases, **changes)  # type: ignore[arg-type]
    fanout.expand(announcement.pk)
    return announcement


def fates() -> Counter[str]:
    return Counter(Delivery.objects.values_list("fate", flat=True))


def past_lease() -> None:
    Delivery.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=5))


# --- the plain story ---------------------------------------------------------------


def test_everybody_gets_one_mail_and_a_row_that_says_so(relay: Relay) -> None:
    """R-804: one message, one fate, written by the database's clock."""
    readers(3)
    told()
    assert delivery.drain("news") == 3
    assert relay.readers == [f"r{n:05}@example.org" for n in range(3)]
    assert fates() == {"accepted": 3}
    row = Delivery.objects.order_by("pk")[0]
    assert (row.fence, row.attempts, row.copies, row.reason, row.lease_until) == (1, 1, 1, "", None)
    assert row.settled_at is not None
    assert delivery.drain("news") == 0
    assert relay.sessions == 1


def test_letters_and_news_are_separate_pools(relay: Relay) -> None:
    """F19: a letter never waits behind news."""
    reader("ann")
    told()
    letter("new@example.org")
    assert delivery.drain("letters") == 1
    assert relay.readers == ["new@example.org"]
    assert fates() == {"pending": 1, "accepted": 1}


def test_the_message_is_compiled_once(relay: Relay) -> None:
    """performance.md B: one rendering however many readers."""
    readers(5)
    told()
    delivery.drain("news")
    assert Rendering.objects.count() == 1


def test_the_number_of_statements_per_mail_is_one(relay: Relay) -> None:
    """One statement marks the previous accepted and the next as being sent (reliability.md 3.2 no. 1)."""
    readers(20)
    told()
    with CaptureQueriesContext(connection) as few:
        delivery.drain("news")
    announcement = news(lane="two")
    for more in range(40):
        reader(f"more{more}")
    fanout.expand(announcement.pk)
    with CaptureQueriesContext(connection) as many:
        delivery.drain("news")
    # The hot statement goes past Django's log on PostgreSQL.
    assert len(many) - len(few) == (0 if connection.vendor == "postgresql" else 40)


def test_a_wire_that_breaks_over_one_message_sends_the_others(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """F18: in doubt about that one alone; before, its sender died with the whole batch."""
    real = email.Wire.send

    def odd(self: email.Wire, item: queue.Item, *args: Any, **options: Any) -> Answer:
        if item.address.startswith("r00001"):
            raise RuntimeError("odd")
        return real(self, item, *args, **options)

    monkeypatch.setattr(email.Wire, "send", odd)
    readers(3)
    told()
    assert delivery.drain("news") == 2
    assert fates() == {"accepted": 2, "uncertain": 1}
    row = Delivery.objects.get(fate="uncertain")
    assert (row.reason, row.copies) == ("The wire broke: RuntimeError", 2)


def test_a_setting_that_no_library_takes_rests_the_channel(relay: Relay, settings: Any) -> None:
    """F27, F28: it is ours; nobody's mail is tried, and the console says so."""
    settings.SMTP = settings.SMTP | {"host": "relay..example"}
    readers(2)
    told()
    assert delivery.drain("news") == 0
    assert fates() == {"pending": 2}
    state = ChannelState.objects.get()
    assert (state.ours, "cannot be spoken to" in state.reason) == (True, True)


@pytest.mark.django_db(transaction=True)
def test_letting_go_what_waits_never_keeps_a_sender(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """F03: where it takes longer than the database allows, it did so for ever, and no mail left any more."""
    asked: list[float] = []

    def too_long() -> int:
        asked.append(time.monotonic())
        if len(asked) > 3:
            pytest.fail("It is asked again and again.")
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(order, "promote", too_long)
    monkeypatch.setattr(delivery, "BATCH", 10)
    readers(3)
    told()
    assert delivery.drain("news") == 3
    assert len(asked) <= 3


# --- claims, leases, fences --------------------------------------------------------


def test_a_claim_takes_what_is_due_oldest_first() -> None:
    readers(4)
    told()
    ids = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    Delivery.objects.filter(pk=ids[0]).update(next_at=timezone.now() + timedelta(minutes=1))
    Delivery.objects.filter(pk=ids[3]).update(next_at=timezone.now() - timedelta(minutes=1))
    assert {item.id for item in queue.claim("news", 2)} == {ids[3], ids[1]}
    assert [item.id for item in queue.claim("news", 10)] == [ids[2]]
    assert queue.claim("news", 10) == []


def test_a_claim_may_leave_fresh_work_to_others() -> None:
    """The dispatcher takes only what has been lying."""
    reader("ann")
    told(at=timezone.now() - timedelta(seconds=3))
    assert queue.claim("news", 10, lying_for=60.0) == []
    assert len(queue.claim("news", 10, lying_for=2.0)) == 1


def test_a_stale_fence_writes_nothing(relay: Relay) -> None:
    """F01: who lost a row to somebody else cannot touch it any more."""
    reader("ann")
    told()
    [mine] = queue.claim("news", 1)
    past_lease()
    queue.reap()
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert queue.claim("news", 1) == []
    [theirs] = queue.claim_suspects("news", 1)
    assert (theirs.id, theirs.fence) == (mine.id, mine.fence + 1)
    assert queue.turn([], [mine]) == set()
    assert queue.settle(mine, Fate.DEAD) is False
    assert queue.own(mine) is False
    assert queue.turn([], [theirs]) == {theirs.id}
    assert queue.turn([theirs], []) == {theirs.id}
    assert fates() == {"accepted": 1}


def test_what_left_stays_left_although_it_expired_meanwhile() -> None:
    """F03: reaped, and out of date before its worker could write down that the relay has it."""
    reader("ann")
    told()
    [item] = queue.claim("news", 1)
    assert queue.turn([], [item]) == {item.id}
    past_lease()
    queue.reap()
    Announcement.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    queue.expire()
    assert fates() == {"dead": 1}
    assert queue.own(item)
    assert fates() == {"accepted": 1}


def test_a_lease_that_is_over_does_not_send() -> None:
    """F12: a zombie that wakes after its lease begins nothing."""
    reader("ann")
    told()
    [item] = queue.claim("news", 1)
    past_lease()
    assert queue.turn([], [item]) == set()


def test_the_reaper_takes_unsent_rows_back_freely_and_others_by_policy() -> None:
    """reliability.md 3.3: leased is known unsent; one identical copy of news; never of a letter."""
    readers(3)
    told()
    letter("new@example.org")
    Delivery.objects.filter(pool="news").update(fate=Fate.SENDING, copies=1)
    rows = list(Delivery.objects.filter(pool="news").order_by("pk"))
    Delivery.objects.filter(pk=rows[0].pk).update(fate=Fate.LEASED, copies=0)
    Delivery.objects.filter(pk=rows[1].pk).update(copies=2)
    Delivery.objects.filter(pool="letters").update(fate=Fate.SENDING, copies=1)
    Delivery.objects.update(lease_until=timezone.now() + timedelta(seconds=30))
    assert queue.reap() == 0
    past_lease()
    assert queue.reap() == 4
    assert list(Delivery.objects.order_by("pk").values_list("pool", "fate")) == [
        ("news", "pending"),
        ("news", "uncertain"),
        ("news", "pending"),
        ("letters", "uncertain"),
    ]


def test_a_known_outcome_beats_the_reapers_guess() -> None:
    """F03: the row was taken back while the database was away, but nobody claimed it since: it is accepted."""
    reader("ann")
    told()
    [item] = queue.claim("news", 1)
    queue.turn([], [item])
    past_lease()
    queue.reap()
    assert fates() == {"pending": 1}
    assert Book().turn(item, None) is False
    assert fates() == {"accepted": 1}


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_the_same_row() -> None:
    """Compare-and-swap on SQLite, SKIP LOCKED on PostgreSQL."""
    readers(200)
    told()
    taken: list[int] = []

    def work() -> None:
        try:
            while batch := queue.claim("news", 7):
                taken.extend(item.id for item in batch)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(Counter(taken).values()) == {1: 200}


@pytest.mark.django_db(transaction=True)
def test_a_crew_of_several_connections_tells_everybody_once(relay: Relay, settings: object) -> None:
    settings.DELIVERY_CONNECTIONS = 4  # type: ignore[attr-defined]
    readers(250)
    told()
    assert delivery.drain("news") == 250
    assert Counter(Counter(relay.readers).values()) == {1: 250}
    assert fates() == {"accepted": 250}


@pytest.mark.django_db(transaction=True)
def test_a_relay_that_takes_no_more_connections_takes_mail(relay: Relay, settings: object) -> None:
    """F04: who is sent away at the door goes home; the channel rests only when nobody gets in."""
    settings.DELIVERY_CONNECTIONS = 4  # type: ignore[attr-defined]
    relay.most = 2
    readers(450)
    told()
    assert delivery.drain("news") == 450
    assert delivery._crews[Pool.NEWS].breaker.rested == 0
    assert not ChannelState.objects.exists()
    assert Counter(Counter(relay.readers).values()) == {1: 450}


# --- the database goes away ---------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_outcome_waits_in_memory_until_the_database_is_back(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """F03: the mark fails after the mail left; it is written later, the mail is not sent again."""
    readers(3)
    told()
    turn, failures = queue.turn, iter([False, True, False, True])

    def flaky(left: list[queue.Item], leaving: list[queue.Item]) -> set[int]:
        moved = turn(left, leaving)
        if next(failures, False):
            raise OperationalError("the server closed the connection unexpectedly")
        return moved

    monkeypatch.setattr(queue, "turn", flaky)
    delivery.drain("news")
    assert Counter(relay.readers) == Counter(f"r{n:05}@example.org" for n in range(3))
    assert fates() == {"accepted": 3}
    assert set(Delivery.objects.values_list("copies", flat=True)) == {1}


# --- order --------------------------------------------------------------------------


def test_the_follower_is_let_go_when_its_predecessor_comes_to_an_end() -> None:
    """F12, trap 2: level-triggered, so it does not matter when the follower was written."""
    reader("ann")
    first = told("Investigating")
    [item] = queue.claim("news", 1)
    queue.turn([], [item])
    second = told("Investigating", "Resolved")
    order.promote()
    assert second.deliveries.get().fate == "blocked"
    queue.turn([item], [])
    order.promote()
    assert (first.deliveries.get().fate, second.deliveries.get().fate) == ("accepted", "pending")


def test_a_predecessor_that_comes_back_unsent_is_overtaken() -> None:
    """F12: a temporary error makes the old news stale, not the new news late."""
    reader("ann")
    first = told("Investigating")
    [item] = queue.claim("news", 1)
    queue.turn([], [item])
    told("Investigating", "Resolved")
    queue.settle(item, Fate.PENDING, "451 try later", wait=60.0, returned=True)
    order.promote()
    assert first.deliveries.get().reason == "Overtaken by a newer update."
    assert fates() == {"suppressed": 1, "pending": 1}


def test_nobody_waits_longer_than_ten_minutes_for_a_predecessor() -> None:
    reader("ann")
    first = told("Investigating")
    first.deliveries.update(fate=Fate.SENDING, lease_until=timezone.now() + timedelta(hours=1))
    second = told("Investigating", "Resolved")
    second.deliveries.update(created_at=timezone.now() - timedelta(minutes=9))
    order.promote()
    assert second.deliveries.get().fate == "blocked"
    second.deliveries.update(created_at=timezone.now() - timedelta(minutes=11))
    order.promote()
    assert second.deliveries.get().fate == "pending"


# --- people and time ----------------------------------------------------------------


def test_who_left_after_the_claim_gets_nothing(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A7: unsubscribing is checked again in the statement that lets the message go."""
    ann, bob = reader("ann"), reader("bob")
    told()
    claim = queue.claim

    def claim_then_leave(*args: object, **how: object) -> list[queue.Item]:
        batch = claim(*args, **how)  # type: ignore[arg-type]
        Subscriber.objects.filter(pk=ann.pk).update(unsubscribed_at=timezone.now())
        return batch

    monkeypatch.setattr(queue, "claim", claim_then_leave)
    assert delivery.drain("news") == 1
    assert relay.readers == [bob.address]
    row = Delivery.objects.get(subscriber=ann)
    assert (row.fate, row.reason, row.copies) == ("suppressed", "Unsubscribed", 0)


def test_an_erased_subscriber_gets_nothing(relay: Relay) -> None:
    ann = reader("ann")
    told()
    ann.delete()
    assert delivery.drain("news") == 0
    row = Delivery.objects.get()
    assert (row.fate, row.reason) == ("suppressed", "The subscriber was erased.")


def test_old_news_is_not_sent(relay: Relay) -> None:
    """F20: after an outage nobody hears what has long been over."""
    readers(2)
    told()
    Announcement.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    Delivery.objects.filter(subscriber__address__startswith="r00001").update(attempts=3, reason="451 later")
    assert delivery.drain("news") == 0
    assert relay.kept == []
    rows = Delivery.objects.order_by("subscriber").values_list("fate", "reason")
    assert list(rows) == [("suppressed", "Expired"), ("dead", "451 later")]


def test_retries_that_run_out_end_as_failed() -> None:
    reader("ann")
    announcement = told()
    Delivery.objects.update(attempts=3, reason="451 later")
    Announcement.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    queue.expire()
    row = announcement.deliveries.get()
    assert (row.fate, row.reason) == ("dead", "451 later")


def test_closing_time_hands_back_what_was_not_begun(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """F30: SIGTERM in the middle of a batch; the message in flight is finished and written down."""
    readers(5)
    told()
    relay.say["DATA"] = lambda _: closing.stop()  # type: ignore[func-returns-value]
    assert delivery.drain("news") == 1
    assert fates() == {"accepted": 1, "pending": 4}
    assert set(Delivery.objects.filter(fate="pending").values_list("copies", "lease_until")) == {(0, None)}


def test_a_batch_stops_before_its_lease_ends(relay: Relay, settings: object) -> None:
    """F01: at 60 % of the lease the rest is handed back."""
    settings.DELIVERY_LEASE_SECONDS = 1  # type: ignore[attr-defined]
    readers(3)
    told()
    relay.say["DATA"] = lambda _: time.sleep(0.7)  # type: ignore[func-returns-value]
    batch = queue.claim("news", 3)
    delivery._Sender(delivery.Crew(Pool.NEWS), email.Wire()).send(batch)
    assert fates() == {"accepted": 1, "pending": 2}


# --- errors, by whose fault they are -------------------------------------------------


def test_a_refused_recipient_bounces_and_hears_no_more(relay: Relay) -> None:
    """R-804, F04: 5.1.1 is about the person."""
    readers(2)
    told()
    relay.say["RCPT"] = lambda to: "550 5.1.1 no such user" if "r00000" in to else None
    assert delivery.drain("news") == 1
    row = Delivery.objects.get(fate="bounced")
    assert row.reason == "550 5.1.1 no such user"
    assert [s.address for s in Subscriber.objects.filter(bounced_at__isnull=False)] == ["r00000@example.org"]
    told(lane="two")
    assert Delivery.objects.filter(announcement__lane="two").count() == 1


@pytest.mark.parametrize(
    "reply", ["550 5.7.1 relaying denied", "554 policy violation", "530 5.7.0 authenticate first", "550 5.6.0 content"]
)
def test_being_refused_ourselves_punishes_nobody(relay: Relay, reply: str, caplog: pytest.LogCaptureFixture) -> None:
    """F04, F28: nobody bounces, the row is tried again, and the log says why."""
    reader("ann")
    told()
    relay.say["RCPT"] = reply
    assert delivery.drain("news") == 0
    row = Delivery.objects.get()
    assert (row.fate, row.copies, row.attempts) == ("pending", 0, 1)
    assert row.next_at > timezone.now()
    assert Subscriber.objects.filter(bounced_at__isnull=False).count() == 0
    assert [record.levelname for record in caplog.records if reply in record.getMessage()] == ["ERROR"]


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_a_temporary_error_is_tried_again_later(relay: Relay, verb: str) -> None:
    """F04: 4xx; nothing left, so the count of copies goes back."""
    reader("ann")
    told()
    relay.say[verb] = "451 4.3.0 try later"
    assert delivery.drain("news") == 0
    row = Delivery.objects.get()
    assert (row.fate, row.reason, row.copies, row.attempts) == ("pending", "451 4.3.0 try later", 0, 1)
    relay.say.clear()
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert delivery.drain("news") == 1
    assert Counter(relay.readers) == {"ann@example.org": 1}


def test_a_lost_answer_is_repeated_once_identically_then_left_to_a_person(relay: Relay) -> None:
    """reliability.md 3.1: at most two automatic copies, byte-identical."""
    reader("ann")
    told()
    relay.say["DATA"] = "hang up"
    delivery.drain("news")
    row = Delivery.objects.get()
    assert (row.fate, row.copies) == ("uncertain", 2)
    first, second = relay.kept
    assert first == second


def test_a_letter_in_doubt_is_not_repeated(relay: Relay) -> None:
    """reliability.md 3.3: a mailbox must not be bombed."""
    letter("new@example.org")
    relay.say["DATA"] = "hang up"
    delivery.drain("letters")
    assert (len(relay.kept), fates()) == (1, {"uncertain": 1})


def test_without_a_relay_nothing_is_burned(settings: object, free_tcp_port: int) -> None:
    """F07: no attempt is counted, the rest of the batch is handed back, and the relay gets a rest."""
    settings.SMTP = settings.SMTP | {"host": "127.0.0.1", "port": free_tcp_port}  # type: ignore[attr-defined]
    readers(3)
    told()
    assert delivery.drain("news") == 0
    assert set(Delivery.objects.values_list("fate", "attempts", "copies")) == {("pending", 0, 0)}
    assert delivery._crews[Pool.NEWS].breaker.resting()


def test_a_message_that_cannot_be_written_dies_alone(relay: Relay) -> None:
    """F18: three tries, the reason on the row, the others unaffected."""
    readers(2)
    told()
    Subscriber.objects.filter(address__startswith="r00000").update(address="r\r\nBcc: all@example.org")
    assert delivery.drain("news") == 1
    for _ in range(3):
        Delivery.objects.filter(fate="pending").update(next_at=timezone.now() - timedelta(seconds=1))
        delivery.drain("news")
    row = Delivery.objects.get(fate="dead")
    assert (row.attempts, row.copies) == (3, 0)
    assert row.reason.startswith("The message cannot be written: BadHeader: To holds the character U+000D")
    assert relay.readers == ["r00001@example.org"]


def test_a_template_that_fails_is_said_on_every_row(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    readers(2)
    told()
    monkeypatch.setattr(compiler, "render_to_string", lambda *_: 1 / 0)
    Delivery.objects.update(attempts=F("attempts") + 2)
    delivery.drain("news")
    assert set(Delivery.objects.values_list("fate", "reason")) == {
        ("dead", "The message cannot be written: ZeroDivisionError: division by zero")
    }


def test_backoff_grows_with_full_jitter() -> None:
    """F04: within 30 s · 2ⁿ, never beyond 15 minutes."""
    for attempts, most in ((0, 30.0), (1, 60.0), (4, 480.0), (5, 900.0), (50, 900.0)):
        waits = [email.backoff(attempts) for _ in range(200)]
        assert min(waits) >= 1.0
        assert max(waits) <= most
        assert max(waits) > most / 2


# --- what operators see and do --------------------------------------------------------


def test_only_failures_are_sent_again(relay: Relay) -> None:
    """R-804: bounced, failed and unknown ones; an address that bounced gets another chance."""
    people = readers(4)
    told()
    fates_given = (Fate.BOUNCED, Fate.DEAD, Fate.UNCERTAIN, Fate.ACCEPTED)
    for person, fate in zip(people, fates_given, strict=True):
        Delivery.objects.filter(subscriber=person).update(fate=fate, copies=2)
    Subscriber.objects.filter(pk=people[0].pk).update(bounced_at=timezone.now())
    assert delivery.send_again(Delivery.objects.all(), by=scene.operator(), at=timezone.now()) == 3
    assert delivery.drain("news") == 3
    assert fates() == {"accepted": 4}
    assert set(Delivery.objects.exclude(subscriber=people[3]).values_list("fence", flat=True)) == {2}


def test_nothing_is_sent_again_out_of_order_or_to_who_left() -> None:
    """F12, F23: not behind a newer update, not to the unsubscribed, not when it is stale."""
    ann, bob = reader("ann"), reader("bob")
    first = told("Investigating")
    Delivery.objects.update(fate=Fate.DEAD)
    told("Investigating", "Resolved")
    left = told(lane="two")
    left.deliveries.update(fate=Fate.DEAD)
    Subscriber.objects.filter(pk=bob.pk).update(unsubscribed_at=timezone.now())
    again = delivery.send_again(Delivery.objects.filter(fate=Fate.DEAD), by=scene.operator(), at=timezone.now())
    assert again == 1
    assert left.deliveries.get(subscriber=ann).fate == "pending"
    assert {row.fate for row in first.deliveries.all()} == {"dead"}


def _cut(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_session_that_is_cut_passes_for_a_database_that_is_away() -> None:
    """F03, found by its drill: a broken connection has no error code, and must not look like a programming error."""
    if connection.vendor == "postgresql":
        reader("ann")
        told()
        [item] = queue.claim("news", 1)
        queue.turn([], [item])
        cutter = threading.Thread(target=_cut, args=(connection.connection.info.backend_pid,))
        cutter.start()
        cutter.join()
        with pytest.raises(OperationalError):
            queue.turn([item], [])
        connection.close()
        Book().turn(item, None)
        assert fates() == {"accepted": 1}


def test_one_sender_s_trouble_is_not_everybody_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks share a commit; an error nobody foresaw is raised once and leaves nobody waiting."""
    reader("ann")
    told()
    [item] = queue.claim("news", 1)
    monkeypatch.setattr(queue, "turn", lambda *_: 1 / 0)
    book = Book()
    with pytest.raises(ZeroDivisionError):
        book.turn(None, item)
    monkeypatch.undo()
    assert book.turn(None, item) is True
