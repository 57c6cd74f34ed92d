"""Letters about an incident to contacts of customers: each once, threaded, never overtaken by an older one (R-803)."""

from __future__ import annotations

import email
import email.policy
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import audit, compiler, delivery, outbox, queue, suppression
from notifications.enums import Channel, Fate, Kind, Pool
from notifications.lint import Unsendable
from notifications.models import Announcement, Brand, Delivery, Suppression
from notifications.outbox import Letter
from tests import scene
from tests.notifications.relay import Relay

pytestmark = pytest.mark.django_db
LANE = "letters:abc"


def write(*letters: tuple[str, list[str]], words: str = "It concerns your API.", over: bool = False) -> None:
    """One letter for each (heading, addresses)."""
    outbox.write_letters(
        [(Letter(heading, (words,), reference="INC-2026-0042"), addresses) for heading, addresses in letters],
        subject="[Northwind] Investigating: Card payments fail",
        brand=scene.brand(),
        lane=LANE,
        over=over,
        at=timezone.now() - timedelta(seconds=1),
    )


def test_each_letter_is_an_announcement_each_address_a_row() -> None:
    write(("For you", ["ann@acme.example", "ben@acme.example"]), ("And you", ["cy@bits.example"]))
    news = Announcement.objects.order_by("seq")
    assert [(row.seq, row.kind, row.pool, row.expanded_at is None) for row in news] == [
        (1, Kind.DIRECT, Pool.LETTERS, False),
        (2, Kind.DIRECT, Pool.LETTERS, False),
    ]
    assert set(Delivery.objects.values_list("announcement__seq", "address", "channel", "pool", "fate")) == {
        (1, "ann@acme.example", Channel.EMAIL, Pool.LETTERS, Fate.PENDING),
        (1, "ben@acme.example", Channel.EMAIL, Pool.LETTERS, Fate.PENDING),
        (2, "cy@bits.example", Channel.EMAIL, Pool.LETTERS, Fate.PENDING),
    }


def test_they_cost_the_same_however_many() -> None:
    """Sets, not rows: the names of components and brands are asked for each letter's check, nothing else is."""

    def cost(addresses: int) -> int:
        with CaptureQueriesContext(connection) as asked:
            write(("For you", [f"a{n}@acme.example" for n in range(addresses)]))
        return len(asked)

    scene.brand()
    # SQLite splits what has more than 999 values.
    assert cost(2) == cost(40)


def test_a_letter_arrives_without_a_link_to_unsubscribe_and_in_one_thread(relay: Relay) -> None:
    for heading in ("First", "Second"):
        write((heading, ["ann@acme.example"]))
        assert delivery.drain(Pool.LETTERS) == 1
    first, second = (email.message_from_bytes(kept.content, policy=email.policy.default) for kept in relay.kept)
    assert (first["To"], first["Subject"]) == ("ann@acme.example", "[Northwind] Investigating: Card payments fail")
    assert first["List-Unsubscribe"] is None
    assert (first["In-Reply-To"], second["In-Reply-To"]) == (None, first["Message-ID"])
    assert set(Delivery.objects.values_list("fate", flat=True)) == {Fate.ACCEPTED}
    assert audit.audit(timezone.now()).wrong == []


def test_an_older_letter_that_has_not_left_is_overtaken() -> None:
    """Whoever gets no newer one keeps theirs; what is just being sent is left alone."""
    write(("First", ["ann@acme.example", "ben@acme.example", "cy@acme.example", "di@acme.example"]))
    Delivery.objects.filter(address="cy@acme.example").update(fate=Fate.SENDING)
    Delivery.objects.filter(address="di@acme.example").update(copies=1)
    write(("Second", ["ann@acme.example", "cy@acme.example", "di@acme.example"]))
    rows = Delivery.objects.filter(announcement__seq=1).order_by("address").values_list("address", "fate", "reason")
    assert list(rows) == [
        ("ann@acme.example", Fate.SUPPRESSED, "Overtaken by a newer letter."),
        ("ben@acme.example", Fate.PENDING, ""),
        ("cy@acme.example", Fate.SENDING, ""),
        ("di@acme.example", Fate.SUPPRESSED, "Overtaken by a newer letter. It may have left."),
    ]
    assert set(Delivery.objects.filter(announcement__seq=2).values_list("fate", flat=True)) == {Fate.PENDING}


def test_a_letter_that_comes_back_from_the_relay_is_overtaken_then(relay: Relay) -> None:
    """F12: while "investigating" was being sent, "resolved" was written; a minute later it must not follow it."""
    write(("First", ["ann@acme.example"]))
    [item] = queue.claim(Pool.LETTERS, 1)
    assert queue.turn([], [item]) == {item.id}
    write(("Second", ["ann@acme.example", "ben@acme.example"]))
    assert queue.settle(item, Fate.PENDING, "451 4.3.0 try later", returned=True)
    assert delivery.drain(Pool.LETTERS) == 2
    rows = Delivery.objects.order_by("pk").values_list("address", "fate", "reason")
    assert list(rows) == [
        ("ann@acme.example", Fate.SUPPRESSED, "Overtaken by a newer letter."),
        ("ann@acme.example", Fate.ACCEPTED, ""),
        ("ben@acme.example", Fate.ACCEPTED, ""),
    ]


def test_an_address_that_refuses_a_letter_is_written_to_no_more(relay: Relay) -> None:
    """R-804: a contact is no subscriber, so the suppression list has to know, as after a bounce that came later."""
    relay.say["RCPT"] = lambda to: "550 5.1.1 no such user" if to == "ann@acme.example" else None
    write(("First", ["ann@acme.example", "ben@acme.example"]))
    assert delivery.drain(Pool.LETTERS) == 1
    assert suppression.among(Channel.EMAIL, ["ann@acme.example", "ben@acme.example"]) == {"ann@acme.example"}


def test_a_relay_that_refuses_everybody_puts_nobody_on_the_list(relay: Relay) -> None:
    """F04."""
    relay.say["RCPT"] = "550 5.1.1 no such user"
    write(("First", [f"c{n}@acme.example" for n in range(30)]))
    for _ in range(3):
        Delivery.objects.filter(fate=Fate.PENDING).update(next_at=timezone.now() - timedelta(seconds=1))
        delivery.drain(Pool.LETTERS)
    assert not Suppression.objects.exists()
    assert set(Delivery.objects.values_list("fate", flat=True)) == {Fate.PENDING}


def test_a_claimed_letter_that_was_overtaken_does_not_leave() -> None:
    write(("First", ["ann@acme.example"]))
    claimed = queue.claim(Pool.LETTERS, 10)
    write(("Second", ["ann@acme.example"]))
    assert len(claimed) == 1
    assert queue.turn([], claimed) == set()


def test_r111_one_letter_that_may_not_go_out_stops_all_of_them() -> None:
    Brand.objects.create(
        slug="acme", name="Acme", sender_name="Acme", sender_email="a@acme.example", support_email="a@acme.example"
    )
    with pytest.raises(Unsendable, match="It names another brand: Acme"):
        write(("Fine", ["ann@acme.example"]), ("Acme is down", ["ben@acme.example"]))
    assert (Announcement.objects.count(), Delivery.objects.count()) == (0, 0)


def test_it_is_compiled_from_the_words_of_the_letter() -> None:
    write(("For you", ["ann@acme.example"]), words="API (major outage).\nWe are on it.")
    mould = compiler.mould(Announcement.objects.get().pk, "de")
    message = mould.cast("ann@acme.example", b"ann@acme.example", 0)
    text = email.message_from_bytes(message, policy=email.policy.default).get_body(("plain",))
    assert text is not None
    assert "For you\n\nAPI (major outage).\nWe are on it." in text.get_content().replace("\r\n", "\n")
    assert mould.repeats is True
