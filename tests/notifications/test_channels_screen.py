"""Every channel on one screen: on or off and why, how it goes, and a test of it (R-1204, F28)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from config.demo import people
from notifications import fanout, states, targets
from notifications.admin import channels
from notifications.admin.channels import Standing
from notifications.choices import Choice
from notifications.enums import Channel, Fate, Pool
from notifications.fates import Group
from notifications.models import Brand, ChannelState, Delivery, Endpoint
from tests.notifications.news import news, reader, readers
from tests.notifications.receiver import say
from tests.notifications.rooms import MASTODON, SLACK, Rooms

pytestmark = pytest.mark.django_db
SCREEN = "/admin/notifications/channelstate/"
DIALOG = {"_form_submitted": "on"}


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", "root@northwind.example", "x")


@pytest.fixture
def console(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


def standing(channel: Channel) -> Standing:
    [found] = [one for one in channels.standings(timezone.now()) if one.channel == channel]
    return found


def shares(one: Standing) -> list[tuple[Group, int]]:
    return [(share.group, share.count) for share in one.bar.present]


def added(root: User, url: str = SLACK) -> Endpoint:
    at = timezone.now() - timedelta(hours=1)
    return targets.add(url, name="#status", brand=None, team="", choice=Choice(), by=root, at=at).endpoint


def said(console: Client) -> list[str]:
    return [str(message) for message in console.get(SCREEN).context["messages"]]


def test_every_channel_is_there_and_says_why_it_is_off(console: Client, settings: Settings) -> None:
    page = console.get(SCREEN)
    shown = {one.channel: (one.word, one.off) for one in page.context["standings"]}
    assert shown == {
        Channel.EMAIL: ("On", ""),
        Channel.SMS: ("Off", "SMS is not set up: SMS_PROVIDER is empty."),
        Channel.WHATSAPP: ("Off", "WhatsApp is not set up: TWILIO_WHATSAPP_FROM is empty."),
        Channel.WEBHOOK: ("Ready", ""),
        Channel.CHAT: ("Ready", ""),
        Channel.SOCIAL: ("Ready", ""),
    }
    text = page.content.decode()
    assert "SMS is not set up: SMS_PROVIDER is empty." in text
    assert text.count("Nobody is told by it yet.") == 3
    settings.SOCIAL_SERVICES = []
    assert standing(Channel.SOCIAL).off == "No service is allowed: SOCIAL_SERVICES names none."


def test_who_carries_a_channel_is_named(settings: Settings) -> None:
    settings.MAILBOX_IN_USE, settings.MAIL_PROVIDER = False, ""
    settings.SMTP = settings.SMTP | {"host": "relay.northwind.example", "port": 587, "password": "s3cret"}
    assert standing(Channel.EMAIL).provider == "Relay relay.northwind.example:587"
    settings.MAIL_PROVIDER = "postmark"
    assert standing(Channel.EMAIL).provider == "Postmark"
    settings.SMS_PROVIDER = "sns"
    assert standing(Channel.SMS).provider == "Amazon SNS"
    settings.CHAT_SERVICES = ["teams", "slack"]
    assert standing(Channel.CHAT).provider == "Slack, Microsoft Teams"


def test_the_messages_of_a_day_are_counted_by_fate(root: User, brand: Brand) -> None:
    readers(4)
    added(root)
    fanout.expand(news().pk)
    old = news(lane="old", at=timezone.now() - timedelta(hours=25))
    fanout.expand(old.pk)
    rows = list(Delivery.objects.exclude(announcement=old).filter(channel=Channel.EMAIL).order_by("pk"))
    for row, fate in zip(rows, (Fate.ACCEPTED, Fate.DELIVERED, Fate.BOUNCED, Fate.SUPPRESSED), strict=True):
        Delivery.objects.filter(pk=row.pk).update(fate=fate)
    mail = standing(Channel.EMAIL)
    assert shares(mail) == [(Group.GONE, 2), (Group.TROUBLE, 1), (Group.LEFT_OUT, 1)]
    assert mail.bar.total == 4
    assert shares(standing(Channel.CHAT)) == [(Group.WAITING, 1)]
    assert standing(Channel.SMS).bar.total == 0


def test_far_ends_are_counted_apart_when_they_fail(root: User) -> None:
    added(root)
    assert (standing(Channel.CHAT).ends, standing(Channel.CHAT).word) == ((1, 0), "On")
    Endpoint.objects.update(failing_since=timezone.now())
    assert (standing(Channel.CHAT).ends, standing(Channel.CHAT).word) == ((0, 1), "Failing")
    assert standing(Channel.EMAIL).ends is None
    targets.create_chat(SLACK.replace("T1JJ3T3L2", "T2"), owner_email="a@b.example", choice=Choice(), at=timezone.now())
    assert standing(Channel.CHAT).ends == (0, 1), "nobody is told who has not confirmed"


def test_a_channel_that_rests_says_since_when_and_why(console: Client) -> None:
    states.rest(Channel.EMAIL, "The relay refuses our login: 535 5.7.8", ours=True, at=timezone.now())
    states.doubt(Channel.EMAIL, "512 of 600 recipients were refused with 550 5.7.1.", at=timezone.now())
    assert (standing(Channel.EMAIL).word, standing(Channel.EMAIL).colour) == ("Resting", "red")
    page = console.get(SCREEN).content.decode()
    assert "The relay refuses our login: 535 5.7.8" in page
    assert "This is because of us: waiting will not help." in page
    assert "512 of 600 recipients were refused with 550 5.7.1." in page
    state = ChannelState.objects.get()
    console.post(f"{SCREEN}{state.pk}/seen/", DIALOG)
    assert "512 of 600" not in console.get(SCREEN).content.decode()
    assert ChannelState.objects.get().resting_since is not None, "what is seen is not healed"


def test_it_asks_the_same_number_of_questions_whatever_was_sent(
    root: User, brand: Brand, django_assert_num_queries: Callable[..., Any]
) -> None:
    for number in range(5):
        reader(f"r{number}")
        added(root, SLACK.replace("T1JJ3T3L2", f"T{number}"))
        states.rest(list(Channel)[number], "It hangs.", ours=False, at=timezone.now())
        fanout.expand(news(lane=f"lane {number}").pk)
        with django_assert_num_queries(3):
            channels.standings(timezone.now())


# --- tests of a channel ------------------------------------------------------------------------------


def test_a_test_mail_goes_to_whoever_presses(console: Client, brand: Brand) -> None:
    console.post(f"{SCREEN}test-mail/", DIALOG)
    row = Delivery.objects.get()
    assert (row.address, row.channel, row.pool) == ("root@northwind.example", Channel.EMAIL, Pool.LETTERS)
    assert row.announcement.subject == "This is a test"
    assert said(console) == [
        "A test is on its way to root@northwind.example. What became of it stands in the delivery log."
    ]
    console.post(f"{SCREEN}test-mail/", DIALOG)
    assert Delivery.objects.count() == 2


def test_whoever_has_no_address_is_told_so(console: Client, brand: Brand, root: User) -> None:
    User.objects.filter(pk=root.pk).update(email="")
    console.post(f"{SCREEN}test-mail/", DIALOG)
    assert said(console) == ["Your account has no e-mail address. Enter one under “People” first."]
    assert not Delivery.objects.exists()


def test_a_test_text_goes_to_a_number_that_exists(
    console: Client, brand: Brand, carrier: object, settings: Settings
) -> None:
    settings.SMS_COUNTRIES = ["DE"]
    page = console.post(f"{SCREEN}test-text/", DIALOG | {"number": "not a number"})
    assert page.context["form"].errors["number"]
    assert not Delivery.objects.exists()
    console.post(f"{SCREEN}test-text/", DIALOG | {"number": "+49 1511 2345678"})
    row = Delivery.objects.get()
    assert (row.address, row.channel, row.pool) == ("+4915112345678", Channel.SMS, Pool.CODES)


def test_a_room_is_tried_out_at_once(console: Client, root: User, brand: Brand, rooms: Rooms) -> None:
    endpoint = added(root)
    assert console.post(f"{SCREEN}test-room/", DIALOG).context["form"].errors == {
        "place": ["Choose where the test is to appear."]
    }
    console.post(f"{SCREEN}test-room/", DIALOG | {"place": endpoint.pk})
    assert said(console) == ["#status: Slack answered 200 OK. Look whether it arrived."]
    rooms.otherwise = say(404, b"no_team")
    console.post(f"{SCREEN}test-room/", DIALOG | {"place": endpoint.pk})
    assert said(console) == ["#status: it did not arrive. Slack answered 404 Not Found: no_team."]


def test_an_account_is_no_room(console: Client, root: User, brand: Brand, rooms: Rooms) -> None:
    account = added(root, MASTODON)
    assert console.post(f"{SCREEN}test-room/", DIALOG | {"place": account.pk}).context["form"].errors["place"]
    rooms.otherwise = say(200, b"{}")
    console.post(f"{SCREEN}test-post/", DIALOG | {"place": account.pk})
    assert [where for where, _, _ in rooms.asked] == ["mastodon.example.org/api/v1/statuses"]


def test_only_what_can_be_tested_has_a_button(console: Client, root: User) -> None:
    assert {one.channel for one in channels.standings(timezone.now()) if one.test} == {Channel.EMAIL}
    added(root)
    assert {one.channel for one in channels.standings(timezone.now()) if one.test} == {Channel.EMAIL, Channel.CHAT}
    page = console.get(SCREEN).content.decode()
    assert page.count(">Test it</button>") == 2


# --- rights -------------------------------------------------------------------------------------------


def test_it_is_for_administrators(brand: Brand) -> None:
    person = User.objects.create_user("ines", "ines@northwind.example", "x", is_staff=True)
    client = Client()
    client.force_login(person)
    assert client.get(SCREEN).status_code == 403
    assert ">Channels<" not in client.get("/admin/").content.decode()
    person.user_permissions.set(Permission.objects.filter(codename="view_channelstate"))
    page = client.get(SCREEN)
    assert page.status_code == 200
    assert ">Test it</button>" not in page.content.decode()
    for act in ("test-mail", "test-text", "test-room", "test-post"):
        assert client.post(f"{SCREEN}{act}/", DIALOG).status_code == 403
    assert not Delivery.objects.exists()


# --- the dashboard, and who sees what -------------------------------------------------------------


def test_the_dashboard_says_which_channel_rests_and_since_when(console: Client) -> None:
    """F07: operators see it without looking for it; a channel that works is not mentioned."""
    assert "Channels that are not well" not in console.get("/admin/").content.decode()
    at = timezone.now()
    states.rest(Channel.EMAIL, "The relay refuses our login: 535 5.7.8", ours=True, at=at - timedelta(minutes=30))
    states.doubt(Channel.SMS, "512 of 600 recipients were refused.", at=at)
    page = console.get("/admin/").content.decode()
    assert "Nothing has left by E-mail since" in page
    assert "The relay refuses our login: 535 5.7.8" in page
    assert "512 of 600 recipients were refused." in page
    assert f'href="{SCREEN}"' in page
    states.well(Channel.EMAIL)
    states.seen(Channel.SMS)
    assert "535 5.7.8" not in console.get("/admin/").content.decode()


@pytest.mark.parametrize(
    ("role", "sees", "tests"),
    [
        ("Support", True, False),
        ("Communications", True, True),
        ("Incident commander", True, False),
        ("Auditor", True, False),
        ("Finance", False, False),
    ],
)
def test_roles_see_the_channels_and_whoever_speaks_tries_them(brand: Brand, role: str, sees: bool, tests: bool) -> None:
    user = User.objects.create_user("ann", "ann@northwind.example", is_staff=True)
    user.groups.add(people.make_roles()[role])
    client = Client()
    client.force_login(user)
    page = client.get(SCREEN)
    assert page.status_code == (200 if sees else 403)
    assert ("Test it" in page.content.decode()) is tests
    assert client.post(f"{SCREEN}test-mail/", DIALOG).status_code == (200 if tests else 403)
