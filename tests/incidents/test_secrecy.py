"""Nothing of a restricted incident is seen, found or sent where people read who are not named in it (R-213)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLPattern, URLResolver

from config.counts import count
from incidents import lifecycle, reminders, runbook
from incidents.admin.deeds import DEEDS
from incidents.enums import AUTOMATIC, Cause, DutyKind, Role, StepKind, Tie, Verb
from incidents.models import Incident, Obligation, RunbookStep, SavedForm
from notifications.models import Announcement
from postmortems.credits.book import excluding
from postmortems.enums import ExclusionKind
from postmortems.models import Touch
from status.enums import Level
from status.models import Impact
from status.page import press
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import fresh
from tests.postmortems import booking, stage
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
NOW = NIGHT + minutes(20)
#: Asked for in every search, and what must never be answered.
ASKED, SECRETS = "Zanzibar", ("keyring", "quagmire")
_LINK = re.compile(r'(?:href|action|hx-get|data-[a-z-]+)="(/[^"#]*)"')
#: Pages that end the session, or download what is not ours.
_LEFT_OUT = re.compile(r"logout|jsi18n|/static/|password|__fk__|/autocomplete/$")


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def secret() -> Incident:
    """A security incident in public, with everything that hangs on one: roles, words, debts, links, drafts."""
    scene.subscriber()
    scene.subscriber("+15005550006", channel="sms")
    ann = scene.operator(email="ann@northwind.example")
    incident = scene.incident(title="Zanzibar keyring leaked", restricted=True, public_title="Limited service", by=ann)
    known = scene.incident(levels={scene.component("Web"): Level.MAJOR})
    lifecycle.acknowledge(incident, by=ann, at=NIGHT + minutes(1))
    lifecycle.note(incident, "The quagmire host was read.", by=ann, at=NIGHT + minutes(2))
    lifecycle.assign(incident, Role.SECURITY, scene.operator("kim"), by=ann, at=NIGHT + minutes(3))
    lifecycle.link(incident, known, Tie.RELATED, note="The quagmire host.", by=ann, at=NIGHT + minutes(4))
    _work_on(incident, known, ann)
    levels = {scene.component(): Level.PARTIAL}
    lifecycle.post_update(fresh(incident), scene.draft("We go on."), levels=levels, by=ann, at=NIGHT + minutes(5))
    reminders.sweep(NOW)
    SavedForm.objects.create(
        user=ann, incident=incident, act="update", values={"body": "quagmire"}, saved_at=NIGHT + minutes(6)
    )
    _owe(incident, ann)
    return fresh(incident)


def _owe(incident: Incident, ann: User) -> None:
    """It costs money, and time of it is excluded, with words that give it away (R-902)."""
    month = booking.month(stage.contract(components=[scene.component()]), date(2026, 11, 1))
    booking.assess(month, 25_000, at=NOW, references=[incident.reference])
    Touch.objects.create(contract_month=month, incident=incident)
    words = "The quagmire host was theirs."
    excluding.exclude(
        incident,
        customer=None,
        kind=ExclusionKind.CUSTOMER,
        starts_at=None,
        ends_at=None,
        reason=words,
        by=ann,
        at=NOW,
    )


def _work_on(incident: Incident, known: Incident, ann: User) -> None:
    """Every act that takes words for colleagues, with words that give it away."""
    runbook.load()
    who: dict[str, Any] = {"by": ann, "at": NIGHT + minutes(4.5)}
    words = "The quagmire host."
    step, option = (RunbookStep.objects.filter(kind=kind)[0] for kind in (StepKind.CHECK, StepKind.MITIGATION))
    lifecycle.check(incident, step, done=True, words=words, **who)
    lifecycle.try_mitigation(incident, option, worked=None, words=words, **who)
    lifecycle.note(incident, words, decision=True, **who)
    lifecycle.correct_note(incident, incident.timeline.get(verb=Verb.DECIDED), f"{words} Both.", **who)
    lifecycle.hand_over(incident, scene.operator("kim"), words=words, **who)
    lifecycle.hand_over(incident, ann, words=words, **who)
    lifecycle.admit(incident, scene.operator("lee"), reason=words, **who)
    lifecycle.judge(incident, cause=Cause.DATABASE, customers_hit=True, **who)
    lifecycle.mitigate(incident, words=words, happened_at=NIGHT + minutes(4), **who)
    lifecycle.verify(fresh(incident), words=words, **who)
    lifecycle.correct_times(incident, reason=words, started_at=NIGHT - minutes(3), **who)
    lower = scene.severity("P1", 2)
    lifecycle.change_severity(incident, lower, reason=words, **who)
    lifecycle.change_severity(incident, scene.severity(), reason=words, override=words, **who)
    lifecycle.waive(incident, incident.obligations.open().filter(kind=DutyKind.RESOLVE).get(), reason=words, **who)
    lifecycle.unlink(incident, known, **who)
    lifecycle.link(known, incident, Tie.RELATED, note=words, **who)


def seen_in(text: str) -> list[str]:
    return [word for word in SECRETS if word.casefold() in text.casefold()]


def addresses(patterns: list[Any], prefix: str = "/") -> Iterator[str]:
    """Every address of the house that needs no argument."""
    for pattern in patterns:
        path = f"{prefix}{str(pattern.pattern).lstrip('^').rstrip('$')}"
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and not set(path) & set("<(\\["):
            yield path


def crawl(client: Client, start: list[str], most: int = 250) -> dict[str, str]:
    """Pages by address, following links from ``start``; those with a query only once for each path."""
    # A page that fails is somebody else's fault; what it shows is ours.
    client.raise_request_exception = False
    waiting, pages, paths = list(dict.fromkeys(start)), {}, set()
    while waiting and len(pages) < most:
        url = waiting.pop(0)
        if url in pages or _LEFT_OUT.search(url):
            continue
        response = client.get(url, follow=True)
        pages[url] = text = _read(response)
        for link in _LINK.findall(text):
            path = link.partition("?")[0]
            if link.startswith(("/admin/", "/status")) and path not in paths:
                paths.add(path)
                waiting.append(link.replace("&amp;", "&"))
    return pages


def _read(response: Any) -> str:
    if response.streaming:
        return b"".join(response.streaming_content).decode(errors="replace")
    return str(response.content.decode(errors="replace"))


def everything_of(incident: Incident) -> list[str]:
    """Every address that names the incident."""
    own = [name for name in get_resolver("config.urls").namespace_dict["admin"][1].reverse_dict if _is_of_one(name)]
    found = []
    for name in own:
        for args in ([incident.pk], [incident.pk, "update"], [incident.pk, "update", "x"]):
            try:
                found.append(reverse(f"admin:{name}", args=args))
            except Exception:  # the wrong number of arguments
                continue
    return [*found, *(desk.act_on(incident, slug) for slug in DEEDS)]


def _is_of_one(name: Any) -> bool:
    return isinstance(name, str) and name.startswith("incidents_incident_")


def searches() -> list[str]:
    lists = [
        url for url in addresses(get_resolver("config.urls").url_patterns)
        if re.fullmatch(r"/admin/[a-z]+/[a-z]+/", url)
    ]  # fmt: skip
    return [*(f"{url}?q={ASKED}" for url in lists), f"/admin/search/?s={ASKED}", f"/admin/search/?s={ASKED}&extended=1"]


def somebody(role: str) -> User:
    """Not named, and otherwise as mighty as can be."""
    user = scene.operator(role, is_superuser=role == "superuser")
    own = Permission.objects.exclude(codename="informed_of_security")
    if role == "operator":
        user.user_permissions.set(own.filter(content_type__app_label__in=["incidents", "status", "notifications"]))
    if role == "reader":
        kinds = ContentType.objects.filter(app_label__in=["incidents", "status"])
        user.user_permissions.set(own.filter(content_type__in=kinds, codename__startswith="view_"))
    return user


# The pages are many and the databases answer them alike: on PostgreSQL one crawl is enough.
ONCE = [pytest.param(role, marks=pytest.mark.once) for role in ("superuser", "reader", "stranger")]


@pytest.mark.parametrize("role", ["operator", *ONCE])
def test_r213_no_page_of_the_console_tells_who_is_not_named(client: Client, secret: Incident, role: str) -> None:
    if role != "stranger":
        client.force_login(somebody(role))
    start = ["/admin/", *everything_of(secret), *searches(), *addresses(get_resolver("config.urls").url_patterns)]
    pages = crawl(client, start)
    assert {url: seen_in(text) for url, text in pages.items() if seen_in(text)} == {}
    if role == "superuser":
        assert len(pages) > 60


def test_every_act_that_takes_words_left_some(secret: Incident) -> None:
    """An act that comes to the console later is to be tried here, too."""
    said = set(secret.timeline.filter(words__icontains="quagmire").values_list("verb", flat=True))
    told_outside = {Verb.PUBLISHED, Verb.RESOLVED, Verb.REOPENED, Verb.FALSE_ALARM, Verb.MERGED}
    without_words = {*AUTOMATIC, Verb.DECLARED, Verb.ACKNOWLEDGED, Verb.ASSIGNED, Verb.JUDGED, Verb.UNLINKED}
    of_another_state = {Verb.RESTRICTED, Verb.LIFTED, Verb.CLOSED, Verb.OVERRODE, Verb.DONE}
    assert set(Verb) - said - told_outside - without_words - of_another_state == set()


def test_r213_what_is_counted_is_what_one_may_know_of(client: Client, secret: Incident) -> None:
    boss, ann = somebody("superuser"), User.objects.get(username="ann")
    assert (count(boss, NOW).open, count(ann, NOW).open) == (1, 2)
    owed = Obligation.objects.overdue(NIGHT + timedelta(days=1))
    assert owed.visible_to(boss).filter(incident=secret).count() == 0
    assert owed.visible_to(ann).filter(incident=secret).count() > 0


def test_r213_the_dashboard_changes_for_nobody_else(client: Client, secret: Incident) -> None:
    """Not even the tag of an answer that says "nothing is new"."""
    client.force_login(somebody("superuser"))
    before = client.get("/admin/live/")["ETag"]
    lifecycle.note(secret, "More quagmire.", by=None, at=NOW)
    assert client.get("/admin/live/", headers={"If-None-Match": before}).status_code == 304


def test_the_crawl_would_find_it(client: Client, secret: Incident) -> None:
    """Otherwise the test above proves nothing."""
    desk.sit(client, *desk.ALL, "view_incident")
    pages = crawl(client, ["/admin/", desk.screen_of(secret), *searches()], most=60)
    found = {url for url, text in pages.items() if seen_in(text)}
    assert {"/admin/", desk.screen_of(secret), f"/admin/incidents/incident/?q={ASKED}"} <= found


@pytest.mark.parametrize("role", ["superuser", "operator"])
def test_r213_nothing_can_be_posted_to_it_either(client: Client, secret: Incident, role: str) -> None:
    client.force_login(somebody(role))
    entries = secret.timeline.count()
    for url in everything_of(secret):
        answer = client.post(url, {"body": "x", "words": "x", "q": ASKED})
        assert (url, seen_in(_read(answer))) == (url, [])
        assert answer.status_code in (302, 403, 404, 405) or url.endswith(("/enter/", "/change/")), url
    assert secret.timeline.count() == entries


def test_r213_no_public_page_feed_api_or_file_says_more_than_the_public_title(client: Client, secret: Incident) -> None:
    assert secret.notice is not None
    with time_machine.travel(NOW, tick=False):
        press.press_all()
    urls = [url for url in addresses(get_resolver("config.urls").url_patterns) if not url.startswith("/admin")]
    pages = crawl(client, [*urls, "/status", f"/status/incidents/{secret.notice.public_id}"])
    assert {url: seen_in(text) for url, text in pages.items() if seen_in(text)} == {}
    assert "Limited service" in pages["/status"]


def test_r213_no_message_says_more_than_the_public_title(secret: Incident) -> None:
    person = scene.operator("ciso", email="ciso@northwind.example")
    person.user_permissions.add(Permission.objects.get(codename="informed_of_security"))
    boss = scene.operator("boss", is_superuser=True)
    lifecycle.admit(secret, boss, reason="The quagmire.", by=boss, at=NOW)
    assert secret.notice is not None
    update = secret.notice.updates.first()
    assert update is not None
    lifecycle.correct_update(secret, update, "Better words.", by=None, at=NOW, channels=["email"])
    lifecycle.resolve(secret, body="It is over.", by=None, at=NOW, override="Sure.")
    written = [f"{row.subject} {json.dumps(row.content)} {row.lane}" for row in Announcement.objects.all()]
    assert len(written) >= 5
    assert [text for text in written if seen_in(text)] == []
    assert "Limited service" in " ".join(written)


def test_r213_who_is_named_sees_in_the_preview_what_outsiders_will_read(client: Client, secret: Incident) -> None:
    """The title they know is not the one that is sent."""
    desk.sit(client, *desk.ALL)
    for slug in ("update", "resolve"):
        url = desk.act_on(secret, slug)
        answer = client.post(f"{url}preview/", desk.opened(client, url, body="{{issue}}: we go on."))
        text = answer.content.decode()
        assert (slug, seen_in(text), "Limited service: we go on." in text) == (slug, [], True)


def test_r213_metrics_name_no_incident(client: Client, secret: Incident, settings: Any) -> None:
    settings.METRICS_TOKEN = "token"  # of this test
    text = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    assert (seen_in(text), secret.reference in text) == ([], False)


def test_r213_the_ledger_names_it_to_who_is_named_only(client: Client, secret: Incident) -> None:
    url = "/admin/status/impact/"
    client.force_login(somebody("superuser"))
    for address in (url, f"{url}?q={secret.reference}", f"{url}{secret_impact(secret)}/change/"):
        assert secret.source not in client.get(address).content.decode()
    assert "restricted" in client.get(url).content.decode()
    user = desk.sit(client, *desk.ALL)
    user.user_permissions.add(Permission.objects.get(codename="view_impact"))
    assert secret.source in client.get(url).content.decode()


def secret_impact(incident: Incident) -> int:
    return Impact.objects.filter(source=incident.source).latest("pk").pk


@pytest.fixture
def neighbour() -> Incident:
    """An incident that everybody may read, tied before and after to one that is a secret by now."""
    ann = scene.operator()
    known = scene.incident(levels={scene.component("Web"): Level.MAJOR})
    later = scene.incident(title="Zanzibar keyring leaked", levels={scene.component("Web"): Level.PARTIAL})
    lifecycle.link(known, later, Tie.RELATED, note="Quagmire.", by=ann, at=NIGHT + minutes(1))
    lifecycle.resolve(fresh(known), body="Over.", by=ann, at=NIGHT + minutes(2), override="We know.")
    lifecycle.reopen(fresh(known), scene.draft("Again."), levels={}, by=ann, at=NIGHT + minutes(3), override="Yes.")
    lifecycle.restrict(fresh(later), public_title="Limited", people=[], reason="Breach.", by=ann, at=NIGHT + minutes(4))
    lifecycle.unlink(known, fresh(later), by=ann, at=NIGHT + minutes(5))
    lifecycle.link(known, fresh(later), Tie.REPEAT, note="Quagmire.", by=ann, at=NIGHT + minutes(6))
    lifecycle.resolve(fresh(known), body="Over.", by=ann, at=NIGHT + minutes(7), override="We know that.")
    return known


def test_r213_a_timeline_that_others_read_names_no_incident_that_is_a_secret_now(
    client: Client, neighbour: Incident
) -> None:
    later = Incident.objects.get(is_restricted=True)
    boss = somebody("superuser")
    client.force_login(boss)
    url = f"/admin/incidents/incident/{neighbour.pk}/"
    for page in ("change/", "body/", "earlier/"):
        text = client.get(url + page).content.decode()
        assert (page, later.reference in text, seen_in(text)) == (page, False, [])
        assert "is related to a restricted incident" in text
    desk.sit(client, *desk.ALL)
    text = client.get(f"{url}body/").content.decode()
    assert (later.reference in text, seen_in(text)) == (True, ["keyring", "quagmire"])


def test_r213_nor_does_a_form_that_comes_back(client: Client, neighbour: Incident) -> None:
    """What happened while somebody wrote, and what speaks against it."""
    later = Incident.objects.get(is_restricted=True)
    user = scene.operator("kim")
    user.user_permissions.set(Permission.objects.filter(codename__in=desk.ALL))
    client.force_login(user)
    url = desk.act_on(neighbour, "reopen")
    typed = desk.opened(client, url, body="Again.") | {"version": "1"}
    answer = client.post(url, typed)
    assert (answer.status_code, later.reference in answer.content.decode()) == (409, False)
    lifecycle.reopen(
        fresh(neighbour), scene.draft("Again."), levels={}, by=user, at=NIGHT + minutes(9), override="Yes."
    )
    text = client.get(desk.act_on(neighbour, "resolve")).content.decode()
    assert ("a restricted incident holds it down" in text, later.reference in text) == (True, False)


def test_r213_an_address_cannot_ask_the_ledger_for_it(client: Client, secret: Incident) -> None:
    client.force_login(somebody("superuser"))
    for asked in (f"source={secret.source}", "source__startswith=incident:", f"source__in={secret.source}"):
        assert client.get(f"/admin/status/impact/?{asked}").status_code == 400
