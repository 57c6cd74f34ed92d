"""The screen of what people texted back: to be read by a person, changed by nobody (S19)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from notifications import subscriptions
from notifications.models import Receipt, Subscriber
from tests.notifications.carrier import Carrier
from tests.notifications.texting import ANN, BOB, phone, text, told, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("brand")]
LIST = "/admin/notifications/reply/"


@pytest.fixture
def clerk(client: Client) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_reply", "view_subscriber", "view_address"]))
    client.force_login(user)
    return client


@pytest.fixture
def replies(carrier: Carrier) -> Subscriber:
    """Ann was told and wrote back, a stranger did, too."""
    ann = phone(ANN)
    told()
    work()
    for words in ("please stop texting me", "<b>Thanks!</b>", "HELP"):
        text(words)
    text("Who is this?", BOB)
    return ann


def shown(clerk: Client, **query: str) -> list[str]:
    return [receipt.detail for receipt in clerk.get(LIST, query).context["cl"].result_list]


def test_everything_is_listed_newest_first_and_nothing_is_markup(clerk: Client, replies: Subscriber) -> None:
    assert shown(clerk)[0] == "Who is this?"
    page = clerk.get(LIST).content.decode()
    assert "Replies to texts" in page.replace("replies", "Replies")
    assert "&lt;b&gt;Thanks!&lt;/b&gt;" in page
    assert f'<a href="/admin/notifications/subscriber/{replies.pk}/change/">{ANN}</a>' in page
    assert "A number we do not text" in page
    assert "We answered: Northwind status updates" in page


def test_who_need_not_know_the_number_sees_enough_to_compare(clerk: Client, replies: Subscriber) -> None:
    clerks = User.objects.get()
    clerks.user_permissions.remove(Permission.objects.get(codename="view_address"))
    page = clerk.get(LIST).content.decode()
    assert ANN not in page
    assert f"{ANN[:3]}…{ANN[-2:]}" in page


def test_who_wants_to_leave_is_on_the_list_until_they_are_told_nothing_more(clerk: Client, replies: Subscriber) -> None:
    assert shown(clerk, reads="open") == ["please stop texting me"]
    subscriptions.unsubscribe(replies, at=timezone.now())
    assert shown(clerk, reads="open") == []
    assert shown(clerk, reads="leaving?") == ["please stop texting me"]


def test_what_providers_say_of_our_texts_is_not_on_it(clerk: Client) -> None:
    Receipt.objects.create(source="twilio", event="SM1:sent", word="sent", at=timezone.now())
    assert shown(clerk) == []


def test_it_takes_few_queries(
    clerk: Client, replies: Subscriber, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(20):
        text(f"More {n}")
    with django_assert_max_num_queries(9):
        clerk.get(LIST)


@pytest.mark.parametrize("path", ["add/", "{pk}/change/", "{pk}/delete/"])
def test_nobody_changes_it(clerk: Client, replies: Subscriber, path: str) -> None:
    clerk.force_login(User.objects.create_superuser("root"))
    pk = Receipt.objects.latest("pk").pk
    answer = clerk.post(LIST + path.format(pk=pk), {"detail": "something else"})
    assert answer.status_code == 403
    assert Receipt.objects.get(pk=pk).detail == "Who is this?"


def test_it_is_for_those_who_may(client: Client, replies: Subscriber) -> None:
    client.force_login(User.objects.create_user("finance", is_staff=True))
    assert client.get(LIST).status_code == 403
