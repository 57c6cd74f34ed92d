"""Who is told: the policy proposes, a person decides, nobody who heard it begin misses its end (R-112, R-804, F23)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from incidents import lifecycle
from incidents.enums import Setting
from incidents.models import Incident
from notifications import fanout
from notifications.channels import registry
from notifications.enums import Channel, Kind, Tier
from notifications.models import Announcement, Customer, Delivery, Endpoint, Follow, Subscriber
from status.enums import Level
from status.models import Notice, NoticeUpdate
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import ADD, fresh, say
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
LOOK = "/admin/incidents/incident/preview/"
NOW = NIGHT + minutes(12)
ON, ASK, OFF = Setting.ON, Setting.ASK, Setting.OFF


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(autouse=True)
def set_up(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Every channel can be used, but for what a story puts here with its reason."""
    reasons: dict[str, str] = {}
    monkeypatch.setattr(registry, "off", lambda channel: reasons.get(channel, ""))
    return reasons


@pytest.fixture
def ann(client: Client) -> Client:
    scene.brand()
    desk.sit(client, *desk.ALL)
    return client


def lines(client: Client, url: str = ADD) -> dict[str, tuple[str, bool, bool]]:
    """What the policy says, whether it is ticked, and whether it was told before, by way."""
    context = client.get(url).context
    return {line.way.key: (line.setting, line.ticked, line.told) for line in context["lines"]}


def reaches(client: Client, url: str = LOOK, **typed: Any) -> dict[str, str]:
    """How many each way reaches, in the words of the form."""
    form = url.removesuffix("preview/") if url != LOOK else ADD
    shown = client.post(url, desk.opened(client, form, **typed)).context["preview"]
    return {line.way.key: line.reaches for line in shown.lines if line.people}


def someone(channel: str, name: str, *, team: str = "", customer: Customer | None = None, **changes: Any) -> Subscriber:
    made = scene.subscriber(name, channel=channel, customer=customer, **changes)
    if channel in (Channel.WEBHOOK, Channel.CHAT, Channel.SOCIAL):
        Endpoint.objects.create(subscriber=made, url="sealed", team=team, created_at=NIGHT)
    return made


def acme(tier: Tier = Tier.ENTERPRISE) -> Customer:
    return Customer.objects.create(name="ACME", reference=f"C-{tier}", tier=tier)


def declare(client: Client, **typed: Any) -> Incident:
    """Declared at the console."""
    start = {"title": "API is down", "body": "We look into it.", f"levels-{scene.component().pk}": Level.MAJOR.value}
    answer = client.post(ADD, desk.opened(client, ADD, **(start | typed)))
    assert answer.status_code == 302, desk.mistakes(answer)
    return fresh(Incident.objects.latest("pk"))


def told() -> list[list[str] | None]:
    """By what each announcement of an incident went, oldest first."""
    news = Announcement.objects.filter(kind=Kind.INCIDENT).order_by("pk")
    return list(news.values_list("channels", flat=True))


# --- what the policy proposes ------------------------------------------------------------


def test_r112_the_policy_ticks_what_is_on_and_asks_about_the_rest(ann: Client) -> None:
    scene.severity("P1", 2, grid={"sms": ASK, "webhook:enterprise": ON, "social": OFF, "chat": ON, "chat:staff": ON})
    assert lines(ann) == {
        "email": (ON, True, False),
        "email:enterprise": (OFF, False, False),
        "sms": (ASK, False, False),
        "sms:enterprise": (OFF, False, False),
        "whatsapp": (OFF, False, False),
        "whatsapp:enterprise": (OFF, False, False),
        "webhook": (OFF, False, False),
        "webhook:enterprise": (ON, True, False),
        "chat": (ON, True, False),
        "chat:enterprise": (OFF, False, False),
        # All rooms are told anyway.
        "chat:staff": (OFF, False, False),
        "social": (OFF, False, False),
    }


def test_r112_another_level_proposes_other_ways_without_a_new_page(ann: Client) -> None:
    """The script ticks by what stands in the page for each level."""
    scene.severity("P1", 2, grid={"sms": ASK})
    worst = scene.severity("P0", 1, grid={"sms": ON, "banner": ON}, mail=None)
    data = ann.get(ADD).context["levels_data"][str(worst.pk)]["ways"]
    assert {way: setting for way, setting in data.items() if setting != OFF} == {"sms": ON, "banner": ON}


def test_the_choice_travels_to_the_announcement(ann: Client) -> None:
    scene.severity("P1", 2, grid={"webhook:enterprise": ON})
    declare(ann, wires=["sms", "webhook", "webhook:enterprise"])
    # Whoever tells all endpoints tells those of Enterprise customers.
    assert told() == [["sms", "webhook"]]
    assert Notice.objects.get().told_channels == ["sms", "webhook"]


def test_where_nobody_chooses_the_policy_does(ann: Client, set_up: dict[str, str]) -> None:
    """Acts that no form asks for, and channels that are not set up."""
    set_up["sms"] = "SMS is not set up."
    scene.incident(severity=scene.severity("P1", 2, grid={"sms": ON, "webhook:enterprise": ON, "social": ASK}))
    assert told() == [["email", "webhook:enterprise"]]


def test_nothing_ticked_tells_nobody(ann: Client) -> None:
    scene.severity("P1", 2)
    declare(ann, wires=[])
    assert (Notice.objects.count(), told()) == (1, [])


@pytest.mark.parametrize("wires", [["email", "smoke"], ["page"], [""]])
def test_a_way_that_is_none_is_refused_at_its_field(ann: Client, wires: list[str]) -> None:
    scene.severity("P1", 2)
    answer = ann.post(ADD, desk.opened(ann, ADD, title="Down", body="We look.", wires=wires))
    assert desk.mistakes(answer) == {"wires": [f"There is no way to tell that is called {wires[-1]}."]}
    assert not Incident.objects.exists()


def test_what_is_not_set_up_says_so_and_cannot_be_used(ann: Client, set_up: dict[str, str]) -> None:
    scene.severity("P1", 2, grid={"sms": ON})
    data = desk.opened(ann, ADD, title="Down", body="We look.")
    assert data["wires"] == ["email", "sms"]
    set_up["sms"] = "SMS is not set up: SMS_PROVIDER is empty."
    page = ann.get(ADD)
    assert desk.sent(page)["wires"] == ["email"]
    assert "SMS is not set up: SMS_PROVIDER is empty." in page.content.decode()
    refused = ann.post(ADD, data)
    assert desk.mistakes(refused) == {"wires": ["SMS cannot be used now: SMS is not set up: SMS_PROVIDER is empty."]}


# --- how many it reaches -----------------------------------------------------------------


def test_each_way_says_how_many_it_reaches_now(ann: Client) -> None:
    """By the rule of publishing itself; whoever belongs to a narrower way is counted there too."""
    scene.severity("P1", 2)
    someone(Channel.EMAIL, "ada@example.com")
    for n in range(3):
        someone(Channel.SMS, f"+4915112345{n:03}")
    someone(Channel.SMS, "+4915112345999", customer=acme())
    someone(Channel.WEBHOOK, "h1", customer=acme(Tier.BUSINESS))
    someone(Channel.WEBHOOK, "h2", customer=Customer.objects.get(tier=Tier.ENTERPRISE))
    someone(Channel.CHAT, "r1", team="Payments")
    someone(Channel.CHAT, "r2")
    someone(Channel.SOCIAL, "s1", unsubscribed_at=NIGHT)
    words = {"title": "API is slow", "body": "Calls are slow. " * 12}
    assert reaches(ann, **words) == {
        "email": "1 person",
        "sms": "4 people × 2 = 8 texts",
        "sms:enterprise": "1 person × 2 = 2 texts",
        "webhook": "2 endpoints",
        "webhook:enterprise": "1 endpoint",
        "chat": "2 rooms",
        "chat:staff": "1 room",
    }
    for wires, count, words_ in (
        (["email"], 1, "mails 1 person"),
        (["sms:enterprise", "chat:staff", "webhook:enterprise"], 3, "texts 1 person, 1 webhook, 1 chat room"),
        (["sms", "sms:enterprise"], 4, "texts 4 people"),
        ([], 0, "tells nobody"),
    ):
        shown = ann.post(LOOK, desk.opened(ann, ADD, wires=wires, **words)).context["preview"]
        assert (shown.count, shown.in_short) == (count, words_)


def test_another_brands_rooms_are_not_counted(ann: Client) -> None:
    scene.severity("P1", 2)
    other = type(scene.brand()).objects.create(
        slug="o", name="Other", sender_name="Other", sender_email="o@o.example", support_email="o@o.example"
    )
    someone(Channel.CHAT, "ours")
    theirs = someone(Channel.CHAT, "theirs")
    Endpoint.objects.filter(subscriber=theirs).update(brand=other)
    assert reaches(ann) == {"chat": "1 room"}


def test_counting_costs_one_query_for_all_ways_and_none_when_nobody_is_told(ann: Client) -> None:
    """Also where the form asks for the number to be typed, and when it is sent."""
    scene.severity("P1", 2)
    for n in range(5):
        someone(Channel.CHAT, f"r{n}", team="T" * (n % 2))
    data = desk.opened(ann, ADD, title="Slow", body="Slow.")
    for url, typed, counted in ((LOOK, {}, 1), (ADD, {"_preview": "1"}, 1), (ADD, {"wires": []}, 0), (ADD, {}, 1)):
        with CaptureQueriesContext(connection) as asked:
            ann.post(url, data | typed | {"token": str(uuid4())})
        counts = [query for query in asked if "COUNT(" in query["sql"] and "notifications_subscriber" in query["sql"]]
        assert len(counts) == counted


# --- very many are typed back ------------------------------------------------------------


@pytest.fixture
def crowd() -> int:
    """1,200 readers."""
    rows = [
        Subscriber(address=f"r{n}@example.com", created_at=NIGHT - minutes(9), confirmed_at=NIGHT - minutes(9))
        for n in range(1_200)
    ]
    return len(Subscriber.objects.bulk_create(rows))


@pytest.mark.parametrize(
    ("typed", "refusal"),
    [
        ("", "Type 1,200 here first."),
        ("many", "Type a number: it tells 1,200."),
        ("１２００", "Type a number: it tells 1,200."),
        ("-1200", "Type a number: it tells 1,200."),
        ("1139", "It tells 1,200, not 1,139. Check who is told, then type that number."),
        ("1261", "It tells 1,200, not 1,261. Check who is told, then type that number."),
        ("1140", None),
        ("1200", None),
        ("1,260", None),
        (" 1 200 ", None),
    ],
)
def test_f23_more_than_a_thousand_are_told_once_somebody_typed_how_many(
    ann: Client, crowd: int, typed: str, refusal: str | None
) -> None:
    """People may have come and gone since the page was rendered: one in twenty."""
    scene.severity("P1", 2)
    answer = ann.post(ADD, desk.opened(ann, ADD, title="Down", body="We look.", recipients=typed))
    if refusal:
        assert desk.mistakes(answer) == {"recipients": [refusal]}
    assert Announcement.objects.count() == (0 if refusal else 1)


def test_f23_nothing_is_asked_of_fewer_nor_of_those_who_are_not_told(ann: Client, crowd: int) -> None:
    scene.severity("P1", 2)
    for typed in ({"wires": []}, {"publish": "later"}, {"wires": ["sms"]}):
        declare(ann, recipients="", **typed)
    Subscriber.objects.filter(pk__in=Subscriber.objects.values("pk")[:200]).delete()
    declare(ann, recipients="")
    assert told() == [["sms"], ["email"]]


def test_f23_the_field_is_there_only_when_it_is_needed(ann: Client, crowd: int) -> None:
    scene.severity("P1", 2)
    for typed, needed in (({}, True), ({"wires": ["sms"]}, False)):
        data = desk.opened(ann, ADD, title="Down", body="We look.", **typed)
        page = ann.post(ADD, data | {"_preview": "1"}).content.decode()
        assert ("data-many-box hidden" not in page, 'data-many="1,200"' in page) == (needed, needed)


# --- to the end --------------------------------------------------------------------------


def test_r804_whoever_was_told_is_told_to_the_end(ann: Client) -> None:
    """A milder level proposes less, and nobody can untick what was told before."""
    incident = declare(ann, severity=str(scene.severity("P1", 2, grid={"sms": ON}).pk))
    calm = scene.severity("P3", 3, grid={"chat": ON}, mail=None)
    lifecycle.change_severity(incident, calm, reason="Calmer.", by=None, at=NOW)
    offered = lines(ann, desk.act_on(incident, "update"))
    assert {way: seen for way, seen in offered.items() if seen[1]} == {
        "email": (OFF, True, True),
        "sms": (OFF, True, True),
        "chat": (ON, True, False),
    }
    # As browsers send it: without what cannot be unticked.
    say(ann, incident, "update", body="Found it.", wires=["chat"])
    say(ann, incident, "update", body="Still on it.", wires=[])
    say(ann, incident, "resolve", body="Fixed.", wires=[])
    assert told() == [["email", "sms"], *[["chat", "email", "sms"]] * 3]


def test_an_update_may_be_for_the_page_alone_and_the_end_may_not(ann: Client) -> None:
    scene.severity("P1", 2)
    incident = declare(ann)
    say(ann, incident, "update", body="A detail.", quiet="on")
    assert told() == [["email"]]
    page = ann.get(desk.act_on(incident, "resolve"))
    assert "quiet" not in page.context["form"].fields
    say(ann, incident, "resolve", body="Fixed.", quiet="on", wires=[])
    assert told() == [["email"], ["email"]]


def test_whoever_was_told_of_a_false_alarm_hears_that_it_was_one(ann: Client) -> None:
    """R-203; nobody else does, whatever the policy says."""
    scene.severity("P1", 2, grid={"sms": ON})
    incident = declare(ann, wires=["email"])
    assert {way for way, seen in lines(ann, desk.act_on(incident, "false-alarm")).items() if seen[1]} == {"email"}
    say(ann, incident, "false-alarm", body="A probe was wrong.", wires=[])
    assert told() == [["email"], ["email"]]


def test_nobody_hears_the_end_of_what_nobody_was_told(ann: Client) -> None:
    scene.severity("P1", 2)
    incident = declare(ann, wires=[])
    say(ann, incident, "resolve", body="Fixed.", wires=[])
    assert told() == []


def test_r802_who_follows_one_incident_hears_of_it_and_of_nothing_else(ann: Client) -> None:
    """End to end: the lane of a notice's announcements is what is followed."""
    scene.severity("P1", 2)
    incident = declare(ann)
    assert incident.notice is not None
    follower = scene.subscriber("follower@example.com", follows_only=True, topics=[])
    Follow.objects.create(subscriber=follower, lane=f"notice:{incident.notice.public_id}", since=NOW + minutes(1))
    with time_machine.travel(NOW + minutes(2), tick=False):
        assert reaches(ann, desk.act_on(incident, "update") + "preview/", body="Found it.") == {"email": "1 person"}
        say(ann, incident, "update", body="Found it.")
        declare(ann, title="Something else")
    for news in Announcement.objects.all():
        fanout.expand(news.pk)
    rows = Delivery.objects.filter(subscriber=follower).values_list("announcement__lane", "announcement__seq")
    assert list(rows) == [(incident.notice.lane, 2)]


# --- corrections -------------------------------------------------------------------------


def test_a_correction_shows_how_it_will_read_and_whom_it_reaches(ann: Client) -> None:
    scene.severity("P1", 2)
    for n in range(2):
        scene.subscriber(f"r{n}@example.com")
    incident = declare(ann, wires=["email"])
    first = NoticeUpdate.objects.get()
    say(ann, incident, "update", body="Found it.")
    url = desk.correct(incident, first.public_id)
    opened = desk.opened(ann, url, body="We look into the **API**.")
    assert (opened["quiet"], opened["wires"]) == ("on", ["email"])

    silent = ann.post(url + "preview/", opened).context["preview"]
    assert (silent.draft.words.html, silent.count, silent.in_short) == (
        "<p>We look into the <strong>API</strong>.</p>",
        0,
        "tells nobody",
    )
    del opened["quiet"]
    shown = ann.post(url + "preview/", opened).context["preview"]
    assert (shown.mail.subject, shown.count) == ("[Northwind] Correction: API is down", 2)
    assert shown.mail.text.index("Found it.") < shown.mail.text.index("We look into the API.")
    assert NoticeUpdate.objects.count() == 2

    ann.post(url, opened)
    announced = Announcement.objects.latest("pk")
    assert (announced.subject, announced.channels) == (shown.mail.subject, ["email"])
    assert shown.sms.text.endswith(announced.content["sms"])


def test_words_that_are_refused_are_shown_all_the_same(ann: Client) -> None:
    scene.severity("P1", 2)
    incident = declare(ann)
    url = desk.correct(incident, NoticeUpdate.objects.get().public_id)
    shown = ann.post(url, desk.opened(ann, url, _preview="1"))
    assert desk.mistakes(shown) == {"body": ["These are the same words. Change something, or go back."]}
    assert shown.context["preview"].draft.body == "We look into it."


def test_a_correction_tells_nobody_unless_asked(ann: Client) -> None:
    scene.severity("P1", 2)
    incident = declare(ann)
    url = desk.correct(incident, NoticeUpdate.objects.get().public_id)
    ann.post(url, desk.opened(ann, url, body="We look into the API."))
    assert (NoticeUpdate.objects.count(), told()) == (2, [["email"]])


def test_a_correction_can_be_previewed_again_after_another(ann: Client) -> None:
    """Its address names the update as the public knows it."""
    scene.severity("P1", 2)
    incident = declare(ann)
    url = desk.correct(incident, NoticeUpdate.objects.get().public_id)
    ann.post(url, desk.opened(ann, url, body="Second words."))
    page = ann.get(url)
    assert page.context["preview_url"] == url + "preview/"
    shown = ann.post(url + "preview/", desk.sent(page) | {"body": "Third words."}).context["preview"]
    assert shown.draft.body == "Third words."
    assert ann.get(url + "preview/").status_code == 405
