"""Targets and webhooks in the console: who may do what, what is shown, and what never is (R-1204, S27)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from notifications import delivery, endpoints, fanout, subscriptions, targets
from notifications.choices import Choice
from notifications.enums import Channel, Fate, Pool
from notifications.models import Brand, Delivery, Endpoint, Subscriber, Topic
from tests.notifications.news import news
from tests.notifications.receiver import say
from tests.notifications.rooms import DISCORD, MASTODON, SLACK, Rooms

pytestmark = pytest.mark.django_db
LIST = "/admin/notifications/endpoint/"
ADD = f"{LIST}add/"
SECRET = "TIiajkdnlazkcOXrIdevi7FQ"
FORM: dict[str, Any] = {
    "address": SLACK,
    "name": "#status",
    "brand": "",
    "team": "Payments",
    "wants_incidents": "on",
    "wants_maintenance": "on",
    "least_rank": "4",
}
DIALOG = {"_form_submitted": "on"}


def staff(*permissions: str, login: str = "ines") -> Client:
    person = User.objects.create_user(login, password="x", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", "root@northwind.example", "x")


@pytest.fixture
def console(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


def added(root: User, url: str = SLACK, name: str = "#status", **changes: Any) -> Endpoint:
    facts: dict[str, Any] = {"brand": None, "team": "Payments", "choice": Choice()}
    at = timezone.now() - timedelta(hours=1)
    return targets.add(url, name=name, by=root, at=at, **(facts | changes)).endpoint


def webhook(root: User) -> Endpoint:
    at = timezone.now() - timedelta(hours=1)
    url, owner = "https://hooks.example.org/status", "ops@example.org"
    subscriber, _ = endpoints.create_webhook(url, owner_email=owner, choice=Choice(), at=at, name="Hub", by=root)
    Delivery.objects.all().delete()
    return subscriber.endpoint


def page_of(endpoint: Endpoint, act: str = "change") -> str:
    return f"{LIST}{endpoint.pk}/{act}/"


def offered(console: Client, endpoint: Endpoint) -> list[str]:
    """The buttons above one of them."""
    page = console.get(page_of(endpoint)).content.decode()
    acts = ["try_out", "send_test", "pause", "resume", "rotate", "replay", "remove", "end"]
    return [act for act in acts if f'hx-get="{page_of(endpoint, act)}"' in page]


def act(console: Client, endpoint: Endpoint, name: str, **data: Any) -> Any:
    response = console.post(page_of(endpoint, name), DIALOG | data)
    assert response.status_code == 200
    return response


def said(console: Client) -> list[str]:
    response = console.get(LIST)
    return [str(message) for message in response.context["messages"]]


# --- adding ----------------------------------------------------------------------------------------


def test_a_target_is_added_by_its_pasted_address(console: Client, topics: list[Topic], brand: Brand) -> None:
    form = FORM | {"brand": brand.pk, "least_rank": "2", "topics": [topics[0].pk]}
    response = console.post(ADD, form)
    endpoint = Endpoint.objects.get()
    assert response.status_code == 302
    assert response.url == page_of(endpoint)
    subscriber = endpoint.subscriber
    assert (endpoint.name, endpoint.team, endpoint.brand, endpoint.owner_email) == ("#status", "Payments", brand, "")
    assert (subscriber.channel, subscriber.is_active, subscriber.least_rank) == (Channel.CHAT, True, 2)
    assert (subscriber.all_topics, list(subscriber.topics.all())) == (False, [topics[0]])
    assert subscriber.consent_source == "Entered by root"
    assert LogEntry.objects.get().object_id == str(endpoint.pk)
    assert said(console) == ["#status hears what is published from now on. Try it out: press “Test it”."]


def test_the_address_is_never_shown_again(console: Client, root: User, rooms: Rooms) -> None:
    """Not on a page, not in the log of acts, not in the history of the row."""
    console.post(ADD, FORM)
    endpoint = Endpoint.objects.get()
    console.post(page_of(endpoint), FORM | {"address": "", "name": "#ops"})
    act(console, endpoint, "pause")
    endpoint.refresh_from_db()
    pages = [LIST, page_of(endpoint), page_of(endpoint, "history"), ADD, "/admin/notifications/channelstate/"]
    for page in pages:
        text = console.get(page).content.decode()
        assert SECRET not in text, page
        assert endpoint.url not in text, page
    assert SECRET not in str(list(LogEntry.objects.values()))
    histories = list(Endpoint.history.model.objects.values())
    assert len(histories) >= 3
    assert SECRET not in str(histories)
    assert not {"url", "secret", "old_secret"} & set(histories[0])


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"address": ""}, "address", "Paste the address of a room or an account."),
        ({"address": "https://example.org/hook"}, "address", "This address belongs to no service known here."),
        ({"address": "gotify://10.0.0.1/token"}, "address", "“gotify” is no service known here."),
        ({"address": "file:///etc/passwd"}, "address", "“file” is no service known here."),
        ({"address": "slack://only-half"}, "address", "This is not a complete address of Slack."),
        ({"address": "mmosts://10.0.0.7/abcdefghijklmnopqrstuvwxyz"}, "address", "This address is not on the public"),
        ({"address": f"{SLACK}?verify=no"}, "address", "“verify” cannot be set in an address of Slack."),
        ({"name": ""}, "name", "Give it a name by which others know it."),
        ({"name": "two\nlines"}, "name", "Please write this on one line."),
        ({"least_rank": "9"}, "least_rank", "Select a valid choice."),
        ({"wants_incidents": "", "wants_maintenance": ""}, "wants_incidents", "Choose incidents, planned maintenance"),
        ({"topics": ["99999"]}, "topics", "Select a valid choice."),
    ],
)
def test_what_is_wrong_is_said_at_its_field(console: Client, changes: dict[str, Any], field: str, words: str) -> None:
    response = console.post(
        ADD, {name: value for name, value in (FORM | changes).items() if value != ""} | {"team": "T"}
    )
    assert response.status_code == 200
    [error] = response.context["adminform"].form.errors[field]
    assert error.startswith(words)
    assert response.context["adminform"].form["team"].value() == "T", "nothing typed is lost"
    assert not Subscriber.objects.exists()


def test_a_place_that_hears_us_already_is_not_added_twice(console: Client, root: User) -> None:
    added(root)
    response = console.post(ADD, FORM | {"address": SLACK.replace("https://hooks.slack.com/services/", "slack://")})
    assert response.context["adminform"].form.errors == {"address": ["This place hears our news already."]}


def test_somebody_who_was_faster_is_no_crash(console: Client, root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.admin.target_forms.TargetForm._check_free", lambda *_: None)
    added(root)
    response = console.post(ADD, FORM)
    assert response.status_code == 302
    assert said(console) == ["This place hears our news already: #status."]


def test_what_a_target_hears_is_changed_in_place(console: Client, root: User, topics: list[Topic]) -> None:
    endpoint = added(root, choice=Choice(all_topics=False, topics=(topics[1].pk,), least_rank=2))
    form = console.get(page_of(endpoint)).context["adminform"].form
    assert (form["address"].value(), form["least_rank"].value(), form["topics"].value()) == (None, 2, [topics[1].pk])
    label = endpoint.subscriber.address
    assert form["address"].help_text == f"Now: {label}. Leave it empty to keep it; it is never shown again."
    response = console.post(page_of(endpoint), FORM | {"address": "", "name": "#ops", "least_rank": "1"})
    assert response.status_code == 302
    endpoint.refresh_from_db()
    subscriber = Subscriber.objects.get(pk=endpoint.subscriber_id)
    assert (endpoint.name, subscriber.least_rank, subscriber.all_topics) == ("#ops", 1, True)
    assert subscriber.address == label


def test_an_address_of_another_service_is_refused_in_words(console: Client, root: User) -> None:
    endpoint = added(root)
    console.post(page_of(endpoint), FORM | {"address": DISCORD})
    assert said(console) == ["This is an address of Discord. Add it as a target of its own."]


# --- acts --------------------------------------------------------------------------------------------


def test_test_it_says_what_was_answered(console: Client, root: User, brand: Brand, rooms: Rooms) -> None:
    endpoint = added(root)
    response = act(console, endpoint, "try_out")
    assert response.headers["HX-Redirect"] == page_of(endpoint)
    assert said(console) == ["Slack answered 200 OK. Look whether it arrived."]
    rooms.otherwise = say(403, b"invalid_token")
    act(console, endpoint, "try_out")
    assert said(console) == ["It did not arrive. Slack answered 403 Forbidden: invalid_token."]
    assert len(rooms.heard) == 2


def test_opening_a_question_changes_nothing(console: Client, root: User, brand: Brand, rooms: Rooms) -> None:
    endpoint, hook = added(root), webhook(root)
    before = list(Endpoint.objects.order_by("pk").values())
    for name in ("try_out", "pause", "remove"):
        assert console.get(page_of(endpoint, name)).status_code == 200
    for name in ("send_test", "rotate", "replay", "end"):
        assert console.get(page_of(hook, name)).status_code == 200
    assert list(Endpoint.objects.order_by("pk").values()) == before
    assert rooms.heard == []


def test_each_state_offers_what_fits(console: Client, root: User, brand: Brand) -> None:
    endpoint, hook = added(root), webhook(root)
    assert offered(console, endpoint) == ["try_out", "pause", "remove"]
    assert offered(console, hook) == ["send_test", "pause", "rotate", "replay", "end"]
    targets.pause(endpoint.subscriber, at=timezone.now())
    targets.pause(hook.subscriber, at=timezone.now())
    assert offered(console, endpoint) == ["try_out", "resume", "remove"]
    assert offered(console, hook) == ["resume", "end"]
    theirs = targets.create_chat(DISCORD, owner_email="ann@example.org", choice=Choice(), at=timezone.now())
    assert offered(console, theirs.endpoint) == ["remove"], "nobody is posted to before they have confirmed"
    endpoints.end(hook.subscriber, at=timezone.now())
    assert offered(console, hook) == []


def test_pause_and_resume(console: Client, root: User, brand: Brand, rooms: Rooms) -> None:
    endpoint = added(root)
    act(console, endpoint, "pause")
    assert Endpoint.objects.get().quarantined_at is not None
    act(console, endpoint, "resume")
    assert Endpoint.objects.get().quarantined_at is None
    assert said(console) == ["#status is paused.", "#status hears what is published from now on."]
    entries = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(entries) == ["Paused.", "Resumed."]


def test_remove_forgets_the_address(console: Client, root: User) -> None:
    endpoint = added(root)
    response = act(console, endpoint, "remove")
    assert response.headers["HX-Redirect"] == LIST
    assert not Endpoint.objects.exists()
    assert Subscriber.objects.get().unsubscribed_at is not None


def test_a_new_secret_is_seen_once(console: Client, root: User, brand: Brand) -> None:
    hook = webhook(root)
    response = act(console, hook, "rotate")
    page = response.content.decode()
    secret = page.partition("data-secret>")[2].partition("<")[0]
    assert secret.startswith("whsec_")
    assert response.headers["Cache-Control"].startswith("no-store")
    assert response.headers["HX-Retarget"] == response.headers["HX-Reselect"] == "#dialog"
    hook.refresh_from_db()
    assert endpoints._opened(hook, "secret") == secret
    for other in (LIST, page_of(hook), page_of(hook, "history")):
        assert secret not in console.get(other).content.decode()
    assert secret not in str(list(LogEntry.objects.values()))


def test_a_test_event_and_messages_once_more(console: Client, root: User, brand: Brand) -> None:
    hook = webhook(root)
    act(console, hook, "send_test")
    assert said(console) == ["The test is on its way. What became of it stands in the delivery log."]
    act(console, hook, "send_test")
    assert said(console) == ["A test is on its way already."]
    announcement = news(lane="told", hook='{"page":{}}')
    fanout.expand(announcement.pk)
    Delivery.objects.filter(announcement=announcement).update(fate=Fate.DEAD, settled_at=timezone.now())
    act(console, hook, "replay", hours="1")
    assert said(console) == ["1 queued again."]
    assert Delivery.objects.get(announcement=announcement).reason == "Sent again by root."


def test_a_paused_webhook_comes_back_by_a_test(console: Client, root: User, brand: Brand) -> None:
    hook = webhook(root)
    act(console, hook, "pause")
    act(console, hook, "resume")
    assert said(console) == ["Hub is paused.", "A test event is on its way: when it arrives, the webhook is on again."]
    assert Delivery.objects.filter(subscriber=hook.subscriber, fate__in=(Fate.PENDING, Fate.BLOCKED)).count() == 1


def test_an_act_on_what_is_gone_is_no_crash(console: Client, root: User) -> None:
    endpoint = added(root)
    targets.remove(endpoint.subscriber, at=timezone.now())
    for name in ("try_out", "pause", "rotate"):
        assert console.post(page_of(endpoint, name), DIALOG).status_code == 403


# --- rights -------------------------------------------------------------------------------------------


def test_who_only_may_look_can_do_nothing(root: User, brand: Brand) -> None:
    endpoint = added(root)
    looker = staff("view_endpoint")
    assert looker.get(LIST).status_code == 200
    page = looker.get(page_of(endpoint))
    assert page.status_code == 200
    assert "address" not in page.context["adminform"].form.fields
    assert offered(looker, endpoint) == []
    for name in ("try_out", "pause", "resume", "rotate", "replay", "remove", "end", "send_test"):
        assert looker.post(page_of(endpoint, name), DIALOG).status_code == 403
    assert looker.get(ADD).status_code == 403
    assert looker.post(ADD, FORM).status_code == 403
    assert looker.post(page_of(endpoint), FORM).status_code == 403


def test_who_may_not_look_sees_nothing(root: User) -> None:
    endpoint = added(root)
    stranger = staff("view_subscriber")
    for page in (LIST, ADD, page_of(endpoint), page_of(endpoint, "try_out")):
        assert stranger.get(page).status_code == 403
    assert "Targets &amp; webhooks" not in stranger.get("/admin/").content.decode()


def test_who_need_not_know_its_owner_sees_enough_to_compare(root: User, brand: Brand) -> None:
    hook = webhook(root)
    looker = staff("view_endpoint")
    for page in (LIST, page_of(hook)):
        text = looker.get(page).content.decode()
        assert "o…@e….org" in text
        assert "ops@example.org" not in text
    assert looker.get(LIST, {"owner_email__startswith": "o"}).status_code == 400
    assert list(looker.get(LIST, {"q": "ops@"}).context["cl"].result_list) == []
    looker = staff("view_endpoint", "view_address", login="ida")
    assert "ops@example.org" in looker.get(LIST).content.decode()


def test_what_is_a_customers_is_theirs_to_change(console: Client, root: User, brand: Brand) -> None:
    """Also an administrator only reads it: name, choice and address are their owner's."""
    hook = webhook(root)
    page = console.get(page_of(hook))
    assert list(page.context["adminform"].form.fields) == []
    before = Endpoint.objects.values().get(pk=hook.pk)
    assert console.post(page_of(hook), FORM | {"name": "Mine now"}).status_code == 403
    assert Endpoint.objects.values().get(pk=hook.pk) == before


# --- the list ------------------------------------------------------------------------------------------


def test_the_list_tells_how_each_is(console: Client, root: User, brand: Brand, rooms: Rooms) -> None:
    slack, mastodon = added(root), added(root, MASTODON, name="Our account")
    rooms.says("mastodon.example.org/api/v1/statuses", 500)
    fanout.expand(news().pk)
    delivery.drain(Pool.CHATS)
    targets.pause(slack.subscriber, at=timezone.now())
    page = console.get(LIST).content.decode()
    assert '<span class="hg-dot" data-level="green">Delivered (confirmed)</span><span>Slack answered 200 OK.' in page
    assert '<span class="hg-dot" data-level="grey">Paused</span>' in page
    assert '<span class="hg-dot" data-level="orange">Will be tried again</span><span>Mastodon answered 500 Int' in page
    assert '<span class="hg-dot" data-level="orange">Failing</span>' in page
    assert f"<b>Our account</b><span>{mastodon.subscriber.address} · team Payments</span>" in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"state": "on"}, ["On"]),
        ({"state": "paused"}, ["Paused"]),
        ({"state": "failing"}, ["Failing"]),
        ({"state": "stopped"}, ["Stopped"]),
        ({"state": "unconfirmed"}, [""]),
        ({"state": "ended"}, ["Hub"]),
        ({"channel": "webhook"}, ["Hub"]),
        ({"channel": "social"}, ["On"]),
        ({"q": "mastodon"}, ["On"]),
        ({"q": "ann@example.org"}, [""]),
        ({"state": "nonsense"}, ["", "Failing", "Hub", "On", "Paused", "Stopped"]),
    ],
)
def test_the_list_can_be_narrowed(
    console: Client, root: User, brand: Brand, query: dict[str, str], names: list[str]
) -> None:
    at = timezone.now()
    added(root, MASTODON, name="On")
    for name, state in (
        ("Paused", {"quarantined_at": at}),
        ("Failing", {"failing_since": at}),
        ("Stopped", {"quarantined_at": at, "failing_since": at}),
    ):
        Endpoint.objects.filter(pk=added(root, f"{DISCORD}{name}", name=name).pk).update(**state)
    targets.create_chat(DISCORD, owner_email="ann@example.org", choice=Choice(), at=at)
    endpoints.end(webhook(root).subscriber, at=at)
    shown = console.get(LIST, query).context["cl"].result_list
    assert sorted(row.name for row in shown) == names


def test_the_list_asks_the_same_number_of_questions_for_any_number(
    console: Client, root: User, topics: list[Topic], django_assert_num_queries: Callable[..., Any]
) -> None:
    def queries(count: int) -> int:
        for number in range(count):
            choice = Choice(all_topics=False, topics=(topics[0].pk,))
            added(root, f"{DISCORD}{count}x{number}", name=f"{count} {number}", choice=choice)
        with django_assert_num_queries(7):
            assert len(console.get(LIST).context["cl"].result_list) >= count
        return count

    queries(2)
    queries(30)


def test_the_public_leave_link_still_works_for_a_customers_room(brand: Brand, rooms: Rooms) -> None:
    at = timezone.now() - timedelta(hours=1)
    subscriber = targets.create_chat(SLACK, owner_email="ann@example.org", choice=Choice(), at=at)
    subscriptions.confirm(subscriber, at=at)
    subscriptions.unsubscribe(subscriber, at=timezone.now())
    fanout.expand(news().pk)
    assert delivery.drain(Pool.CHATS) == 0
