"""What providers tell us afterwards: believed one by one, once, and never backwards (R-806, F04, S22)."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import fanout, queue, receipts, subscriptions, suppression
from notifications.enums import Fate, Silence
from notifications.models import ChannelState, Delivery, Receipt, Subscriber, Suppression
from notifications.receipts import Heard
from tests.notifications.news import letter, news, reader, readers

pytestmark = pytest.mark.django_db

GONE = "smtp; 550 5.1.1 <ann@example.org>: no such user"


def sent(count: int = 1, fate: str = Fate.ACCEPTED, **changes: object) -> list[Delivery]:
    """News that left, to so many readers."""
    readers(count)
    fanout.expand(news(lane=f"lane {Delivery.objects.count()}").pk)
    rows = Delivery.objects.filter(fate=Fate.PENDING)
    ids = list(rows.values_list("pk", flat=True))
    left = timezone.now() - timedelta(seconds=1)
    rows.update(**({"fate": fate, "copies": 1, "attempts": 1, "sent_at": left, "settled_at": left} | changes))
    return list(Delivery.objects.filter(pk__in=ids).order_by("pk"))


def heard(row: Delivery | None, word: str = "bounce", detail: str = GONE, **changes: object) -> Heard:
    pk = row.pk if row else None
    known = {"source": "postmark", "event": f"{pk}:{word}", "word": word, "delivery": pk, "detail": detail}
    return Heard(**(known | {"at": timezone.now()} | changes))  # type: ignore[arg-type]


def fate(row: Delivery) -> tuple[str, str]:
    row.refresh_from_db()
    return row.fate, row.reason


def silenced(row: Delivery) -> bool:
    person = Subscriber.objects.get(pk=row.subscriber_id)
    return person.bounced_at is not None and suppression.holds("email", person.address)


# --- one word, one act ----------------------------------------------------------------


def test_it_arrived() -> None:
    [row] = sent()
    was_settled = row.settled_at
    assert receipts.delivered(heard(row, "Delivery", ""))
    assert fate(row) == (Fate.DELIVERED, "")
    assert row.settled_at == was_settled


def test_it_bounced_for_good() -> None:
    """R-804: bounces stop further mail; the words are kept."""
    [row] = sent()
    assert receipts.bounced(heard(row), for_good=True)
    assert fate(row) == (Fate.BOUNCED, GONE)
    assert silenced(row)
    assert Suppression.objects.get().reason == Silence.BOUNCED
    [receipt] = Receipt.objects.values_list("source", "word", "code", "delivery", "detail")
    assert receipt == ("postmark", "bounce", "5.1.1", row.pk, GONE)


def test_a_soft_bounce_is_only_noted() -> None:
    [row] = sent()
    assert receipts.bounced(heard(row, "soft_bounce", "452 4.2.2 mailbox full"), for_good=False)
    assert receipts.note(heard(row, "deferred", "451 4.4.1 later"))
    assert fate(row) == (Fate.ACCEPTED, "")
    assert not silenced(row)
    assert Receipt.objects.count() == 2


def test_a_message_may_come_back_without_its_address_being_to_blame() -> None:
    [row] = sent()
    assert receipts.returned(heard(row, "failed", "5.7.1 refused by policy"))
    assert fate(row) == (Fate.BOUNCED, "5.7.1 refused by policy")
    assert not silenced(row)


def test_a_complaint_is_the_last_mail() -> None:
    """R-804: what is queued for them is stopped, their address is kept from every list."""
    [row] = sent()
    person = Subscriber.objects.get()
    fanout.expand(news(lane="another").pk)
    assert receipts.complained(heard(row, "SpamComplaint", ""))
    person.refresh_from_db()
    assert person.unsubscribed_at is not None
    assert Suppression.objects.get().reason == Silence.COMPLAINED
    assert Counter(Delivery.objects.values_list("fate", "reason")) == {
        (Fate.DELIVERED, ""): 1,
        (Fate.SUPPRESSED, "Unsubscribed"): 1,
    }


def test_who_leaves_at_the_provider_has_left_here() -> None:
    [row] = sent()
    assert receipts.left(heard(row, "unsubscribe", ""))
    assert Subscriber.objects.get().unsubscribed_at is not None
    assert not Suppression.objects.exists()


def test_a_letter_that_bounces_keeps_its_address_from_the_lists() -> None:
    letter("new@example.org")
    Delivery.objects.update(fate=Fate.ACCEPTED, copies=1)
    row = Delivery.objects.get()
    assert receipts.bounced(heard(row), for_good=True)
    assert fate(row) == (Fate.BOUNCED, GONE)
    assert suppression.holds("email", "new@example.org")


def test_a_word_about_nothing_of_ours_is_kept() -> None:
    """Another system with the same account at the provider, or a row that retention took."""
    assert receipts.bounced(heard(None, event="one"), for_good=True)
    assert receipts.delivered(heard(None, event="two", delivery=4711))
    assert list(Receipt.objects.values_list("event", "delivery", "detail")) == [("one", None, ""), ("two", None, "")]


def test_the_erased_are_not_written_down_again() -> None:
    """S29: a bounce after erasure finds nobody."""
    [row] = sent()
    subscriptions.erase(Subscriber.objects.get(), by=None, at=timezone.now())
    known = Suppression.objects.count()
    assert receipts.bounced(heard(row), for_good=True)
    assert Suppression.objects.count() == known
    assert fate(row) == (Fate.BOUNCED, "")
    assert Receipt.objects.get().detail == ""


def test_a_provider_knows_a_message_by_its_own_id() -> None:
    [row] = sent(receipt="pm-1")
    assert receipts.by_receipt("email", "pm-1") == row.pk
    assert [receipts.by_receipt(*asked) for asked in (("sms", "pm-1"), ("email", "pm-2"), ("email", ""))] == [None] * 3


# --- twice, late, in the wrong order -----------------------------------------------------


@pytest.mark.parametrize("act", ["accepted", "delivered", "returned", "complained", "left", "note"])
def test_a_replay_changes_nothing(act: str) -> None:
    """S22: the first word counts, whatever was done to the row since."""
    [row] = sent()
    said = heard(row, act)
    assert getattr(receipts, act)(said)
    Delivery.objects.update(fate=Fate.ACCEPTED, reason="")
    Subscriber.objects.update(unsubscribed_at=None)
    assert not getattr(receipts, act)(said)
    assert fate(row) == (Fate.ACCEPTED, "")
    assert Subscriber.objects.get().unsubscribed_at is None
    assert Receipt.objects.count() == 1


def test_a_replayed_bounce_does_not_outlive_a_new_confirmation() -> None:
    [row] = sent()
    said = heard(row)
    receipts.bounced(said, for_good=True)
    person = Subscriber.objects.get()
    Subscriber.objects.update(confirm_sent_at=timezone.now())
    subscriptions.confirm(person, at=timezone.now())
    assert not receipts.bounced(said, for_good=True)
    assert not silenced(row)


def test_an_old_mails_bounce_does_not_silence_who_confirmed_since() -> None:
    """The address was dead, its owner repaired it and confirmed; then the bounce of before arrives."""
    [row] = sent()
    Subscriber.objects.update(confirmed_at=timezone.now() + timedelta(seconds=1))
    assert receipts.bounced(heard(row), for_good=True)
    assert fate(row) == (Fate.BOUNCED, GONE)
    assert not silenced(row)


@pytest.mark.parametrize("first", ["delivered", "bounced"])
def test_words_in_the_wrong_order_end_the_same(first: str) -> None:
    """A far end may accept and refuse later; a webhook may overtake another: it bounced."""
    [row] = sent()
    acts = {
        "delivered": lambda: receipts.delivered(heard(row, "delivered", "")),
        "bounced": lambda: receipts.bounced(heard(row), for_good=True),
    }
    acts.pop(first)()
    acts.popitem()[1]()
    assert fate(row) == (Fate.BOUNCED, GONE)
    assert silenced(row)


@pytest.mark.parametrize("before", [Fate.UNCERTAIN, Fate.PENDING, Fate.LEASED, Fate.SENDING, Fate.DEAD])
def test_word_of_its_arrival_ends_all_doubt(before: Fate) -> None:
    """reliability.md 3.2 no. 12: no second copy leaves once the first is known to have arrived."""
    [row] = sent(fate=before, settled_at=None, lease_until=timezone.now())
    receipts.delivered(heard(row, "delivered", ""))
    assert fate(row) == (Fate.DELIVERED, "")
    assert row.settled_at is not None
    assert queue.claim("news", 10) == []


@pytest.mark.parametrize("before", [Fate.UNCERTAIN, Fate.PENDING, Fate.LEASED])
def test_word_that_the_provider_has_it_ends_our_doubt(before: Fate) -> None:
    [row] = sent(fate=before)
    receipts.accepted(heard(row, "processed", ""))
    assert fate(row) == (Fate.ACCEPTED, "")


@pytest.mark.parametrize("before", [Fate.DELIVERED, Fate.BOUNCED, Fate.ACCEPTED])
def test_word_that_the_provider_has_it_says_nothing_new_later(before: Fate) -> None:
    [row] = sent(fate=before, reason="as it was")
    receipts.accepted(heard(row, "processed", ""))
    assert fate(row) == (before, "as it was")


@pytest.mark.parametrize("act", ["accepted", "delivered", "returned"])
def test_what_never_left_cannot_have_arrived(act: str) -> None:
    """Sent again by a person after a bounce: the old copy's words are not about the new one."""
    [row] = sent(fate=Fate.PENDING, copies=0)
    getattr(receipts, act)(heard(row, act, ""))
    assert fate(row) == (Fate.PENDING, "")


def test_a_long_event_id_is_kept_by_its_hash() -> None:
    [row] = sent()
    said = heard(row, "delivered", "", event="x" * 500)
    assert receipts.delivered(said)
    assert not receipts.delivered(said)
    assert len(Receipt.objects.get().event) == 64


@pytest.mark.django_db(transaction=True)
def test_one_word_told_by_many_threads_counts_once() -> None:
    """Providers call again while the first call is still running."""
    [row] = sent()
    said = heard(row)
    told: list[bool] = []
    start = threading.Barrier(4)

    def tell() -> None:
        start.wait()
        try:
            told.append(receipts.bounced(said, for_good=True))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(told) == [False, False, False, True]
    assert Receipt.objects.count() == 1
    assert fate(row) == (Fate.BOUNCED, GONE)


# --- crowds ---------------------------------------------------------------------------------


def bounce(rows: list[Delivery], code: str = "5.1.1", *, at: datetime | None = None) -> None:
    at = at or timezone.now()
    for row in rows:
        receipts.bounced(heard(row, detail=f"550 {code} no", at=at), for_good=True)


def counted() -> tuple[Counter[str], int, int]:
    """Fates, silenced people, suppressed addresses."""
    fates = Counter(Delivery.objects.values_list("fate", flat=True))
    return fates, Subscriber.objects.filter(bounced_at__isnull=False).count(), Suppression.objects.count()


def test_a_few_bounces_are_believed() -> None:
    rows = sent(19)
    bounce(rows)
    assert counted() == ({"bounced": 19}, 19, 19)


def test_a_crowd_of_bounces_punishes_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """F04: what was believed before it was a crowd is taken back, later ones are only noted; it is said once."""
    rows = sent(60)
    with caplog.at_level(logging.ERROR):
        bounce(rows)
    assert counted() == ({"uncertain": 60}, 0, 0)
    assert Receipt.objects.exclude(code="").count() == 60
    words = "Many messages came back with 5.1.1 within 15 minutes."
    assert caplog.messages == [f"{words} That is not believed: nobody was taken off the list."]
    state = ChannelState.objects.get()
    assert (state.channel, state.doubt, state.resting_since) == ("email", words, None)
    assert fate(rows[0])[1] == "Came back with 5.1.1 like many others within minutes; that is not believed."
    assert Delivery.objects.failed().count() == 60


def test_what_was_withheld_from_the_innocent_is_due_again() -> None:
    """Between the first bounce and the twentieth a newer mail was kept from them."""
    rows = sent(20)
    bounce(rows[:19])
    fanout.expand(news(lane="newer").pk)
    fresh = Delivery.objects.filter(fate=Fate.PENDING)
    assert fresh.count() == 1  # only for whom nothing bounced
    Subscriber.objects.filter(pk=rows[0].subscriber_id).update(bounced_at=None)
    late = news(lane="late")
    fanout.expand(late.pk)
    Subscriber.objects.filter(pk=rows[0].subscriber_id).update(bounced_at=timezone.now() - timedelta(seconds=1))
    theirs = Delivery.objects.filter(announcement=late, subscriber=rows[0].subscriber_id)
    theirs.update(fate=Fate.SUPPRESSED, reason="Unsubscribed", settled_at=timezone.now())
    bounce(rows[19:])
    assert theirs.get().fate == Fate.PENDING


def test_in_a_big_mailing_the_same_number_is_no_crowd() -> None:
    """Two in a hundred addresses of any list are dead."""
    rows = sent(1100)
    bounce(rows[:21])
    assert counted() == ({"bounced": 21, "accepted": 1079}, 21, 21)


def test_different_codes_are_different_stories() -> None:
    rows = sent(38)
    bounce(rows[:19], "5.1.1")
    bounce(rows[19:], "5.2.1")
    assert counted() == ({"bounced": 38}, 38, 38)


def test_what_bounced_an_hour_ago_belongs_to_no_crowd() -> None:
    rows = sent(38)
    bounce(rows[:19], at=timezone.now() - timedelta(hours=1))
    bounce(rows[19:])
    assert counted() == ({"bounced": 38}, 38, 38)


def test_a_crowd_of_texts_says_nothing_about_mail() -> None:
    rows = sent(30)
    for row in rows[:19]:
        row.channel = "sms"
        row.save()
    bounce(rows)
    assert counted()[0] == {"bounced": 30}


def test_who_had_left_before_stays_away() -> None:
    """Only what this crowd did is undone."""
    rows = sent(30)
    long_ago = timezone.now() - timedelta(days=3)
    reader("zoe", bounced_at=long_ago)
    suppression.add("email", "zoe@example.org", Silence.BOUNCED, at=long_ago)
    suppression.add("email", rows[3].subscriber.address, Silence.ERASED, at=long_ago)  # type: ignore[union-attr]
    bounce(rows)
    assert counted() == ({"uncertain": 30}, 1, 2)


def test_a_crowd_costs_no_more_statements_the_bigger_it_is() -> None:
    rows = sent(80)
    bounce(rows[:40])
    with CaptureQueriesContext(connection) as few:
        bounce(rows[40:41])
    bounce(rows[41:79])
    with CaptureQueriesContext(connection) as many:
        bounce(rows[79:])
    assert len(few) == len(many)
