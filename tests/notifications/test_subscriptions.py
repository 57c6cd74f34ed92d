"""Stories of people who subscribe, change their mind and leave, told to the acts (R-802)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications import addresses, limits, outbox, subscriptions, tasks, tokens
from notifications.enums import Channel, Fate, Kind, Pool
from notifications.models import Announcement, Brand, Delivery, SignUp, Subscriber, Topic
from notifications.subscriptions import Choice, NotAllowed

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ADA = "ada@analytical.example"


@pytest.fixture(autouse=True)
def brand(db: None) -> Brand:
    return Brand.objects.create(
        slug="northwind",
        name="Northwind",
        sender_name="Northwind Status",
        sender_email="status@northwind.example",
        support_email="support@northwind.example",
        is_default=True,
    )


@pytest.fixture
def api() -> Topic:
    return Topic.objects.create(key="component:1", name="API", section="Core")


def letters() -> list[tuple[str, str, str]]:
    """What was written so far: address, subject and the purpose of the button, oldest first."""
    found = Delivery.objects.filter(announcement__kind=Kind.LETTER).select_related("announcement").order_by("id")
    return [
        (each.address, each.announcement.subject, each.announcement.content["url"].split("/")[-2]) for each in found
    ]


def last_token() -> str:
    return str(Announcement.objects.latest("id").content["url"].rsplit("/", 1)[1])


def confirmed(address: str = ADA, *, at: datetime = NOON) -> Subscriber:
    return subscriptions.confirm(subscriptions.subscribe(address, Choice(), at=at), at=at)


CONFIRM = (ADA, "Confirm your subscription to Northwind status updates", "confirm")
SETTINGS = (ADA, "Your subscription to Northwind status updates", "manage")


def test_from_the_form_to_an_active_subscription(api: Topic) -> None:
    """R-802: asked, answered by letter, confirmed by the link in it; nobody is told before that."""
    wish = Choice(all_topics=False, topics=(api.pk,), wants_maintenance=False, least_rank=2)
    subscriptions.ask(ADA, wish, at=NOON)
    assert Subscriber.objects.count() == 0
    assert subscriptions.answer(at=NOON + MINUTE) == 1

    subscriber = Subscriber.objects.get()
    assert (subscriber.address, subscriber.is_active, Choice.of(subscriber)) == (ADA, False, wish)
    assert letters() == [CONFIRM]
    delivery = Delivery.objects.get()
    assert (delivery.pool, delivery.fate, delivery.next_at) == (Pool.LETTERS, Fate.PENDING, NOON + MINUTE)
    assert list(Subscriber.objects.active()) == []

    pressed = NOON + 5 * MINUTE
    holder = subscriptions.holder(last_token(), tokens.CONFIRM, at=pressed)
    subscriptions.confirm(holder, at=pressed)
    assert list(Subscriber.objects.active().values_list("address", "confirmed_at")) == [(ADA, pressed)]
    assert SignUp.objects.count() == 0


def test_asking_twice_brings_one_letter_and_the_later_choice(api: Topic) -> None:
    subscriptions.ask(ADA, Choice(), at=NOON)
    subscriptions.ask(ADA, Choice(least_rank=1), at=NOON)
    assert subscriptions.answer(at=NOON) == 1
    subscriptions.ask(ADA, Choice(least_rank=3), at=NOON + MINUTE)
    assert subscriptions.answer(at=NOON + MINUTE) == 1
    assert letters() == [CONFIRM]
    assert Choice.of(Subscriber.objects.get()) == Choice(least_rank=3)


def test_before_set_up_everybody_waits(brand: Brand) -> None:
    Brand.objects.update(is_default=False)
    subscriptions.ask(ADA, Choice(), at=NOON)
    assert subscriptions.answer(at=NOON) == 0
    Brand.objects.update(is_default=True)
    assert subscriptions.answer(at=NOON) == 1
    assert letters() == [CONFIRM]


def test_an_answer_stops_at_its_limit_and_goes_on_later() -> None:
    for number in range(3):
        subscriptions.ask(f"n{number}@x.example", Choice(), at=NOON + number * MINUTE)
    assert subscriptions.answer(at=NOON, most=2) == 2
    assert list(SignUp.objects.values_list("address", flat=True)) == ["n2@x.example"]


def test_one_that_cannot_be_answered_keeps_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    SignUp.objects.create(address="broken@x.example", choice={}, asked_at=NOON)
    subscriptions.ask(ADA, Choice(), at=NOON + MINUTE)
    assert subscriptions.answer(at=NOON) == 1
    assert letters() == [CONFIRM]
    assert list(SignUp.objects.values_list("address", flat=True)) == ["broken@x.example"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "broken@x.example" not in caplog.text


def test_the_doorbell_reaches_those_who_asked() -> None:
    """The task that the bell names exists and answers (F02)."""
    subscriptions.ask(ADA, Choice(), at=NOON)
    assert tasks.answer_sign_ups.name == "notifications.tasks.answer_sign_ups"
    tasks.answer_sign_ups()
    assert letters() == [CONFIRM]


def test_a_mailbox_cannot_be_bombed() -> None:
    """S16: one letter a day, three in all without an answer, however long it goes on."""
    sent = []
    for hour in range(0, 40 * 24, 4):
        subscriptions.subscribe(ADA, Choice(), at=NOON + hour * 60 * MINUTE)
        limits.forget(at=NOON + hour * 60 * MINUTE)
        if len(letters()) > len(sent):
            sent.append(hour)
    assert sent == [0, 24, 48]


def test_another_spelling_is_no_other_mailbox() -> None:
    """S16: dots, tags and capitals that reach one mailbox are counted as one; each spelling is its own address."""
    for spelled in ("ada.l@gmail.com", "adal@gmail.com", "AdaL+news@googlemail.com", "a.d.a.l+1@gmail.com"):
        subscriptions.subscribe(spelled, Choice(), at=NOON)
    assert [address for address, *_ in letters()] == ["ada.l@gmail.com"]
    for spelled in ("bob@x.example", "bob+1@x.example", "b.ob@x.example"):
        subscriptions.subscribe(spelled, Choice(), at=NOON)
    assert [address for address, *_ in letters()] == ["ada.l@gmail.com", "bob@x.example", "b.ob@x.example"]


def test_capitals_make_no_second_subscription() -> None:
    """R-804: nobody is told twice because a phone began their address with a capital; what is kept is written to."""
    confirmed()
    subscriptions.subscribe(ADA.upper(), Choice(least_rank=1), at=NOON + 2 * limits.DAY)
    subscriptions.follow(Channel.EMAIL, ADA.title(), "notice:abc", "Fire", at=NOON + 4 * limits.DAY)
    ada = Subscriber.objects.get()
    assert (ada.address, ada.least_rank, ada.follows.count()) == (ADA, 4, 1)
    assert {address for address, *_ in letters()} == {ADA}


@pytest.mark.parametrize(("kept", "typed"), [("Ada@X.example", "ada@x.example"), ("ada@x.example", "ADA@x.example")])
def test_a_code_comes_however_the_address_is_typed(kept: str, typed: str) -> None:
    """It goes to the address as it was confirmed."""
    subscriptions.confirm(subscriptions.subscribe(kept, Choice(), at=NOON), at=NOON)
    subscriptions.send_code(Channel.EMAIL, typed, at=NOON)
    assert letters()[-1][0] == kept
    assert [each.address for each in subscriptions.subscribed_at(Channel.EMAIL, typed)] == [kept]


def test_the_owner_acts_and_the_count_begins_anew() -> None:
    """S16: only what nobody answers is bombing."""
    for day in range(5):
        at = NOON + timedelta(days=day)
        confirmed(at=at)
        subscriptions.unsubscribe(Subscriber.objects.get(), at=at)
    assert len(letters()) == 5


def test_who_is_subscribed_already_gets_a_link_to_the_settings_and_nothing_changes() -> None:
    """S15: anybody can type anybody's address."""
    confirmed()
    subscriptions.subscribe(ADA, Choice(least_rank=1, wants_incidents=False), at=NOON + MINUTE)
    assert letters() == [CONFIRM, SETTINGS]
    subscriber = Subscriber.objects.get()
    assert (Choice.of(subscriber), subscriber.confirmed_at) == (Choice(), NOON)
    assert subscriptions.holder(last_token(), tokens.MANAGE, at=NOON) == subscriber


def test_confirming_again_changes_nothing() -> None:
    confirmed()
    subscriptions.confirm(Subscriber.objects.get(), at=NOON + MINUTE)
    assert Subscriber.objects.get().confirmed_at == NOON


def test_a_confirmation_link_ends_after_48_hours() -> None:
    subscriptions.subscribe(ADA, Choice(), at=NOON)
    subscriptions.holder(last_token(), tokens.CONFIRM, at=NOON + timedelta(hours=48))
    with pytest.raises(tokens.ExpiredToken):
        subscriptions.holder(last_token(), tokens.CONFIRM, at=NOON + timedelta(hours=48, seconds=1))


def test_an_old_confirmation_does_not_bring_back_who_left() -> None:
    subscriber = confirmed()
    subscriptions.unsubscribe(subscriber, at=NOON + MINUTE)
    with pytest.raises(NotAllowed, match="You have unsubscribed since this link was sent"):
        subscriptions.confirm(subscriber, at=NOON + 2 * MINUTE)
    assert Subscriber.objects.get().is_active is False


def test_who_left_comes_back_by_a_new_letter_and_old_settings_links_end() -> None:
    subscriber = confirmed()
    old_settings = tokens.make(subscriber, tokens.MANAGE)
    old_leave = tokens.make(subscriber, tokens.UNSUBSCRIBE)
    subscriptions.unsubscribe(subscriber, at=NOON + MINUTE)
    subscriptions.subscribe(ADA, Choice(), at=NOON + 2 * MINUTE)
    back = subscriptions.confirm(subscriber, at=NOON + 3 * MINUTE)
    assert (back.is_active, back.confirmed_at, back.generation) == (True, NOON + 3 * MINUTE, 1)
    with pytest.raises(tokens.ExpiredToken, match="earlier subscription"):
        subscriptions.holder(old_settings, tokens.MANAGE, at=NOON)
    # Leaving must work from any mail ever sent (S17).
    assert subscriptions.holder(old_leave, tokens.UNSUBSCRIBE, at=NOON) == back


def test_a_refused_address_comes_back_only_by_a_new_confirmation() -> None:
    subscriber = confirmed()
    Subscriber.objects.update(bounced_at=NOON)
    with pytest.raises(NotAllowed, match="check that mail reaches you"):
        subscriptions.rejoin(subscriber, at=NOON)
    subscriptions.subscribe(ADA, Choice(), at=NOON + MINUTE)
    assert letters() == [CONFIRM, CONFIRM]
    assert subscriptions.confirm(subscriber, at=NOON + 2 * MINUTE).is_active is True


def test_coming_back_by_the_settings_link_keeps_the_choice() -> None:
    subscriber = subscriptions.choose(confirmed(), Choice(least_rank=2), at=NOON)
    subscriptions.unsubscribe(subscriber, at=NOON + MINUTE)
    back = subscriptions.rejoin(subscriber, at=NOON + 2 * MINUTE)
    assert (back.is_active, back.confirmed_at, Choice.of(back)) == (True, NOON + 2 * MINUTE, Choice(least_rank=2))
    assert subscriptions.rejoin(back, at=NOON + 3 * MINUTE).confirmed_at == NOON + 2 * MINUTE


def test_rejoining_is_no_way_around_the_confirmation() -> None:
    subscriber = subscriptions.subscribe(ADA, Choice(), at=NOON)
    with pytest.raises(NotAllowed):
        subscriptions.rejoin(subscriber, at=NOON)


def test_a_choice_is_replaced_as_a_whole(api: Topic) -> None:
    subscriber = subscriptions.choose(confirmed(), Choice(all_topics=False, topics=(api.pk,)), at=NOON)
    assert Choice.of(subscriber) == Choice(all_topics=False, topics=(api.pk,))
    subscriber = subscriptions.choose(subscriber, Choice(wants_incidents=False), at=NOON)
    assert Choice.of(subscriber) == Choice(wants_incidents=False)


def test_who_left_cannot_choose() -> None:
    subscriber = subscriptions.unsubscribe(confirmed(), at=NOON)
    with pytest.raises(NotAllowed, match="not subscribed at the moment"):
        subscriptions.choose(subscriber, Choice(least_rank=1), at=NOON)
    assert Choice.of(subscriber) == Choice()


def test_components_that_went_in_between_are_left_out(api: Topic) -> None:
    subscriptions.ask(ADA, Choice(all_topics=False, topics=(api.pk, api.pk + 1)), at=NOON)
    subscriptions.answer(at=NOON)
    assert Choice.of(Subscriber.objects.get()).topics == (api.pk,)


def test_leaving_stops_what_is_queued_and_nothing_else(brand: Brand) -> None:
    """A7: no mail leaves after the commit, and what has left keeps its record (R-804)."""
    ada, bob = confirmed(), confirmed("bob@x.example")
    for number, fate in enumerate(Fate):
        announcement = Announcement.objects.create(
            lane=f"n{number}", seq=1, kind=Kind.INCIDENT, brand=brand, subject="x", content={},
            published_at=NOON, expires_at=NOON,
        )  # fmt: skip
        for subscriber in (ada, bob):
            Delivery.objects.create(
                announcement=announcement, subscriber=subscriber, channel=Channel.EMAIL, pool=Pool.NEWS,
                fate=fate, next_at=NOON, created_at=NOON, fence=7,
            )  # fmt: skip
    subscriptions.unsubscribe(ada, at=NOON + MINUTE)

    stopped = {Fate.BLOCKED, Fate.HELD, Fate.PENDING, Fate.LEASED}
    expected = [(fate, "Unsubscribed", 8) if fate in stopped else (fate, "", 7) for fate in Fate]
    found = Delivery.objects.filter(subscriber=ada).order_by("id").values_list("fate", "reason", "fence")
    assert list(found) == [(Fate.SUPPRESSED if why else fate, why, fence) for fate, why, fence in expected]
    others = Delivery.objects.filter(subscriber=bob).order_by("id").values_list("fate", "fence")
    assert list(others) == [(fate, 7) for fate in Fate]


def test_leaving_again_keeps_the_first_moment() -> None:
    subscriptions.unsubscribe(confirmed(), at=NOON + MINUTE)
    subscriptions.unsubscribe(Subscriber.objects.get(), at=NOON + 2 * MINUTE)
    assert Subscriber.objects.get().unsubscribed_at == NOON + MINUTE


@pytest.mark.parametrize("made_for", tokens.PURPOSES)
@pytest.mark.parametrize("shown_at", tokens.PURPOSES)
def test_a_key_opens_one_door(made_for: str, shown_at: str) -> None:
    """S18: a token of one purpose is refused for another."""
    subscriber = confirmed()
    token = tokens.make(subscriber, made_for, at=NOON)
    if made_for == shown_at:
        assert subscriptions.holder(token, shown_at, at=NOON) == subscriber
    else:
        with pytest.raises(tokens.BadToken):
            subscriptions.holder(token, shown_at, at=NOON)


def test_a_key_of_somebody_who_was_erased_opens_nothing() -> None:
    subscriber = confirmed()
    token = tokens.make(subscriber, tokens.MANAGE)
    subscriber.delete()
    with pytest.raises(tokens.BadToken, match="removed"):
        subscriptions.holder(token, tokens.MANAGE, at=NOON)


def test_the_form_never_looks_at_the_subscribers() -> None:
    """S15: the work is the same, statement by statement, for a new, unconfirmed, active, left and bounced address."""
    from_each_state = []
    for state in ("new", "unconfirmed", "active", "left", "bounced"):
        address = f"{state}@x.example"
        if state != "new":
            subscriber = subscriptions.subscribe(address, Choice(), at=NOON)
            if state != "unconfirmed":
                subscriptions.confirm(subscriber, at=NOON)
            if state == "left":
                subscriptions.unsubscribe(subscriber, at=NOON)
            if state == "bounced":
                Subscriber.objects.filter(pk=subscriber.pk).update(bounced_at=NOON)
        from_each_state.append(statements(address))
    assert len(from_each_state[0]) > 0
    assert from_each_state == [from_each_state[0]] * 5


def statements(address: str) -> list[str]:
    """The SQL that asking for an address runs, with the address blanked out."""
    with CaptureQueriesContext(connection) as captured:
        subscriptions.ask(address, Choice(), at=NOON)
    return [re.sub(r'SAVEPOINT "\w+"', "SAVEPOINT", query["sql"].replace(address, "?")) for query in captured]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ada@Analytical.EXAMPLE \r\n", "Ada@analytical.example"),
        ("ada+status@x.example", "ada+status@x.example"),
        ("post@BÜCHER.example", "post@xn--bcher-kva.example"),
        ("post@bu\u0308cher.example", "post@xn--bcher-kva.example"),
        ("post@例え。テスト", "post@xn--r8jz45g.xn--zckzah"),
        ("o'brien@x.example", "o'brien@x.example"),
    ],
)
def test_an_address_has_one_spelling(typed: str, kept: str) -> None:
    """S16: trimmed, NFC, the domain in lower case and punycode; the local part is its server's business."""
    assert addresses.normal(typed) == kept


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "like name@example.com"),
        ("ada", "like name@example.com"),
        ("@x.example", "like name@example.com"),
        ("ada@", "like name@example.com"),
        ("ada@localhost", "like name@example.com"),
        ("ada@x..example", "like name@example.com"),
        ("a da@x.example", "like name@example.com"),
        ("ada@x.example, bob@x.example", "like name@example.com"),
        ("<script>alert(1)</script>@x.example", "like name@example.com"),
        ('"><script>alert(1)</script>"@x.example', "quotation marks"),
        ("ada@[127.0.0.1]", "[numbers]"),
        ("ada@x.example\r\nBcc: bob@x.example", "on one line"),
        ("ada@x.example\n.\nMAIL FROM:<e@x.example>", "on one line"),
        ("ada\x00@x.example", "U+0000"),
        ("ada\x1b[31m@x.example", "U+001B"),
        ("ada@\u202eelpmaxe.x", "U+202E"),
        ("ädä@x.example", "accents"),
        ("post@straße.example", "technical form"),
        ("a@" + "ü" * 64 + ".example", "not a domain"),
        ("a" * 65 + "@x.example", "like name@example.com"),
        ("a" * 250 + "@x.example", "at most 254"),
    ],
)
def test_bad_addresses_are_refused_in_words(typed: str, said: str) -> None:
    """S25, F17: nothing that could end a header or start a command gets through."""
    with pytest.raises(ValidationError) as refused:
        addresses.normal(typed)
    assert said in refused.value.messages[0]
    assert len(refused.value.messages) == 1


def test_letters_to_one_person_are_in_one_lane() -> None:
    subscriber = confirmed()
    subscriptions.subscribe(ADA, Choice(), at=NOON + MINUTE)
    lane = f"subscriber:{subscriber.public_id}"
    assert list(Announcement.objects.order_by("id").values_list("lane", "seq")) == [(lane, 1), (lane, 2)]
    assert Announcement.objects.latest("id").expires_at == NOON + MINUTE + outbox.LETTER_LIFE
