"""Planned work at the console: one form to plan it, a screen, acts with their rights; nothing typed is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from incidents import maintenance
from incidents.admin.works import WORKS
from incidents.enums import DutyKind, MaintenanceState
from incidents.models import Maintenance, UpdateTemplate
from notifications.models import Announcement, Brand
from status import ledger
from status.enums import Level
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import mistakes, opened
from tests.incidents.test_maintenance import END, START, announced, level, over, planned, running, words
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
ADD = "/admin/incidents/maintenance/add/"
LIST = "/admin/incidents/maintenance/"
LOOK = "/admin/incidents/maintenance/preview/"
NOW = NIGHT + minutes(5)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(client: Client) -> Client:
    scene.brand()
    desk.sit(client, *desk.ALL)
    return client


@contextmanager
def on_duty(client: Client, at: datetime) -> Iterator[None]:
    """At that moment, newly signed in: sessions do not last for the days between."""
    with time_machine.travel(at, tick=False):
        client.force_login(scene.operator())
        yield


def screen_of(work: Maintenance) -> str:
    return reverse("admin:incidents_maintenance_change", args=[work.pk])


def act_on(work: Maintenance, slug: str) -> str:
    return reverse("admin:incidents_maintenance_act", args=[work.pk, slug])


def full(client: Client, **typed: Any) -> dict[str, Any]:
    level()
    api = scene.component()
    return opened(client, ADD) | {
        "title": "Database upgrade",
        "components": [str(api.pk)],
        "what_changes": "A newer database.",
        "rollback_plan": "We go back to the old one; ten minutes.",
        "planned_start_at": "2026-11-30 03:00",
        "planned_end_at": "2026-11-30 05:00",
    } | typed  # fmt: skip


def say(client: Client, work: Maintenance, slug: str, **typed: Any) -> Any:
    url = act_on(work, slug)
    return client.post(url, opened(client, url, **typed))


def fresh(work: Maintenance) -> Maintenance:
    return Maintenance.objects.select_related("notice").get(pk=work.pk)


def test_r501_one_form_plans_and_announces_with_the_way_back(ann: Client) -> None:
    response = ann.post(ADD, full(ann))
    work = Maintenance.objects.get()
    assert response.headers["Location"] == screen_of(work)
    assert (work.planned_start_at, work.planned_end_at, work.announced_at) == (START, END, NOW)
    assert work.notice is not None
    said = work.notice.updates.get().text
    assert "A newer database." in said
    assert "If something goes wrong: We go back to the old one; ten minutes." in said
    news = Announcement.objects.get(kind="maintenance")
    assert news.content["planned"] == ["2026-11-30T03:00:00+00:00", "2026-11-30T05:00:00+00:00"]


def test_r501_the_form_starts_at_a_quiet_hour_with_enough_notice(ann: Client) -> None:
    level()
    start = opened(ann, ADD)
    assert (start["planned_start_at"], start["planned_end_at"]) == ("2026-11-28 02:00", "2026-11-28 04:00")


def test_r501_kept_inside_nothing_is_public(ann: Client) -> None:
    ann.post(ADD, full(ann, publish="later"))
    assert (Maintenance.objects.get().notice, Announcement.objects.count()) == (None, 0)


@pytest.mark.parametrize(
    ("typed", "field", "message"),
    [
        ({"planned_end_at": "2026-11-30 03:00"}, "planned_end_at", "This is not after the start."),
        ({"planned_start_at": "2026-11-20 02:00"}, "planned_start_at", "This is in the past."),
        ({"planned_start_at": "tomorrow"}, "planned_start_at", "Write the moment in UTC"),
        ({"components": []}, "components", "Choose at least one component"),
        ({"rollback_plan": " "}, "rollback_plan", "Say how you go back"),
        ({"what_changes": ""}, "what_changes", "Say what changes"),
        ({"title": ""}, "title", "Give it a title"),
        ({"body": ""}, "body", "Say something"),
        ({"body": "We do {{what}}."}, "body", "Fill in or remove {{what}}"),
    ],
)
def test_r501_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    ann: Client, typed: dict[str, Any], field: str, message: str
) -> None:
    response = ann.post(ADD, full(ann, sms="Short words.") | typed)
    assert response.status_code == 200
    found = mistakes(response)
    assert list(found) == [field]
    assert message in found[field][0]
    again = desk.sent(response)
    assert (again["sms"], again.get("title", "")) == ("Short words.", typed.get("title", "Database upgrade"))
    assert Maintenance.objects.count() == 0


def test_f11_a_plan_that_is_sent_twice_is_one(ann: Client) -> None:
    data = full(ann)
    first, second = ann.post(ADD, data), ann.post(ADD, data)
    assert first.headers["Location"] == second.headers["Location"]
    assert Maintenance.objects.count() == 1


def test_the_preview_shows_page_mail_and_text_with_the_window(ann: Client) -> None:
    scene.subscriber(least_rank=1)
    panel = ann.post(LOOK, full(ann)).content.decode()
    assert "Planned <strong>30 Nov 03:00</strong> – <strong>30 Nov 05:00</strong> UTC" in panel
    assert "mails 1 person" in panel
    assert "planned 30 Nov 2026, 03:00 – 05:00 UTC" in panel
    assert Maintenance.objects.count() == 0


def test_r501_a_night_at_the_console(ann: Client) -> None:
    api, work = scene.component(), announced()
    with on_duty(ann, START):
        assert say(ann, work, "begin").status_code == 302
        assert ledger.levels() == {api.pk: Level.MAINTENANCE}
    with on_duty(ann, START + minutes(40)):
        say(ann, work, "update", body="Half way.", phase="verifying")
        assert fresh(work).notice.phase == "verifying"  # type: ignore[union-attr]
        say(ann, work, "extend", planned_end_at="05:30")
    with on_duty(ann, END + minutes(20)):
        screen = ann.get(screen_of(work)).content.decode()
        assert "Half way." in screen
        assert "It takes longer than planned</strong>, and the page says so" not in screen
        say(ann, work, "finish")
    done = fresh(work)
    assert (done.state, done.ended_at, done.planned_end_at) == (
        MaintenanceState.COMPLETED, END + minutes(20), END + minutes(30)
    )  # fmt: skip
    assert ledger.levels() == {}
    assert "It took 2 hours 20 minutes" in done.notice.updates.latest("seq").text  # type: ignore[union-attr]


def test_r301_what_is_owed_is_on_the_screen_with_the_act_that_meets_it(ann: Client) -> None:
    work = planned()
    screen = ann.get(screen_of(work)).content.decode()
    for kind, slug in ((DutyKind.MAINTENANCE_NOTICE, "announce"), (DutyKind.START_UPDATE, "begin")):
        assert kind.label in screen
        assert act_on(work, slug) in screen
    assert "PostgreSQL 17." in screen
    assert "The old primary stays." in screen


def test_f09_who_wrote_meanwhile_is_shown_and_the_words_are_kept(ann: Client) -> None:
    with on_duty(ann, START + minutes(5)):
        work = running()
        url = act_on(work, "update")
        typed = opened(ann, url, body="My words.")
        maintenance.post_update(work, words("Their words."), by=scene.operator("bob"), at=START + minutes(5))
        refused = ann.post(url, typed)
        assert refused.status_code == 409
        page = refused.content.decode()
        assert "Their words." in page
        assert "My words." in page
        assert ann.post(url, desk.sent(refused)).status_code == 302
    assert [row.words for row in maintenance.log(work)[:2]] == ["My words.", "Their words."]


@pytest.mark.parametrize("make", [planned, announced, running, over], ids=lambda made: made.__name__)
def test_r501_acts_that_are_not_possible_are_refused_in_words(ann: Client, make: Any) -> None:
    work = make()
    with on_duty(ann, START + minutes(1)):
        for slug, deed in WORKS.items():
            response = ann.get(act_on(work, slug), follow=True)
            assert response.status_code == 200
            refused = f"“{deed.label}” is not possible now." in response.content.decode()
            assert refused != deed.when(work), slug


ROLES: dict[tuple[str, ...], tuple[int, int, set[str]]] = {
    # rights: (list, add, acts on what is announced)
    (): (403, 403, set()),
    ("view_incident",): (200, 403, set()),
    ("declare",): (200, 200, set()),
    ("publish",): (200, 403, {"begin", "reschedule", "cancel"}),
}


@pytest.mark.parametrize("rights", ROLES, ids="+".join)
def test_r1202_rights_are_checked_on_every_edge(client: Client, rights: tuple[str, ...]) -> None:
    work = announced()
    desk.sit(client, *rights)
    seen, add, acts = ROLES[rights]
    assert (client.get(LIST).status_code, client.get(screen_of(work)).status_code) == (seen, seen)
    assert (client.get(ADD).status_code, client.post(LOOK).status_code) == (add, add)
    for slug in ("begin", "reschedule", "cancel"):
        wanted = 200 if slug in acts else 403
        url = act_on(work, slug)
        assert client.get(url).status_code == wanted
        assert client.post(f"{url}preview/").status_code == wanted
        if wanted == 403:
            assert client.post(url).status_code == 403
    assert fresh(work).version == work.version


def test_r1202_who_may_only_plan_keeps_it_inside(client: Client) -> None:
    scene.brand()
    desk.sit(client, "declare")
    data = full(client)
    assert data["publish"] == "later"
    assert "publish" in mistakes(client.post(ADD, data | {"publish": "now"}))
    client.post(ADD, data)
    work = Maintenance.objects.get()
    assert work.notice is None
    assert say(client, work, "reschedule", planned_end_at="2026-11-30 06:00").status_code == 302
    assert say(client, work, "cancel", body="Not needed.").status_code == 302
    assert fresh(work).state == MaintenanceState.CANCELLED


def test_a_get_changes_nothing(ann: Client) -> None:
    work = announced()
    for slug in WORKS:
        ann.get(act_on(work, slug) + "?_act=1&body=x")
    assert ann.post(screen_of(work)).status_code == 405
    assert ann.get(LOOK).status_code == 405
    assert fresh(work).version == work.version


def test_the_list_shows_what_runs_then_what_comes_then_what_was(ann: Client) -> None:
    over(title="Was")
    planned(title="Later", planned_start_at=START + timedelta(days=9), planned_end_at=END + timedelta(days=9))
    announced(title="Next")
    running(title="Runs")
    page = ann.get(LIST).content.decode()
    places = [page.index(f"<b>{title}</b>") for title in ("Runs", "Next", "Later", "Was")]
    assert places == sorted(places)


def test_r1201_the_screen_and_the_list_ask_a_fixed_number_of_questions(ann: Client) -> None:
    one = running()

    def asked(url: str) -> int:
        ann.get(url)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert ann.get(url).status_code == 200
        return len(queries)

    few = (asked(screen_of(one)), asked(LIST))
    for _ in range(4):
        maintenance.post_update(one, words("More."), by=scene.operator(), at=START + minutes(1))
        announced(components=[scene.component("Web"), scene.component()])
    assert (asked(screen_of(one)), asked(LIST)) == few


def templates(**changes: Any) -> UpdateTemplate:
    """Words of the policy for the start of planned work, in two languages."""
    facts: dict[str, Any] = {"policy": level().version.policy, "phase": "in_progress", "name": "Started", "position": 1}
    facts |= {"body": "Work on {{issue}} runs until {{next_update}}.", "sms": "{{issue}} runs.", "chat": "{{impact}}"}
    original = UpdateTemplate.objects.create(**(facts | changes))
    german = {"body": "Die Arbeiten an {{issue}} dauern bis {{next_update}}.", "sms": "{{issue}} läuft.", "chat": ""}
    UpdateTemplate.objects.create(**(facts | changes | german), translates=original, language="de")
    return original


def test_r206_planned_work_is_told_in_the_words_of_its_policy_to_rooms_phones_and_in_german(ann: Client) -> None:
    original = templates()
    work = announced()
    with on_duty(ann, START):
        assert say(ann, work, "begin").status_code == 302
    assert fresh(work).notice is not None
    said = fresh(work).notice.updates.latest("seq")  # type: ignore[union-attr]
    assert (said.body, said.sms, said.chat) == (
        "Work on Database upgrade runs until 05:00 UTC on 30 November 2026.",
        "Database upgrade runs.",
        "API (under maintenance)",
    )
    assert said.translations["de"]["body"] == (
        "Die Arbeiten an Database upgrade dauern bis 05:00 UTC am 30. November 2026."
    )
    assert said.translations["de"]["sms"] == "Database upgrade läuft."
    assert original.translations.count() == 1


def test_r206_without_a_template_our_own_words_are_told_in_german_too(ann: Client) -> None:
    work = announced()
    with on_duty(ann, START):
        say(ann, work, "begin")
    with on_duty(ann, END - minutes(10)):
        say(ann, work, "extend", planned_end_at="2026-11-30 05:30")
    with on_duty(ann, END + minutes(30)):
        say(ann, work, "finish")
    told = [update.translations["de"]["text"] for update in fresh(work).notice.updates.order_by("seq")[1:]]  # type: ignore[union-attr]
    assert told == [
        "Die Wartung Database upgrade hat begonnen. Sie endet voraussichtlich um 05:00 UTC am 30. November 2026.",
        "Die Wartung Database upgrade dauert länger als geplant. "
        "Sie endet voraussichtlich um 05:30 UTC am 30. November 2026.",
        "Die Wartung Database upgrade ist abgeschlossen. Dauer: 2 Stunden 30 Minuten. Alles funktioniert wie gewohnt.",
    ]


def test_r206_a_plan_is_told_in_german_once_somebody_said_there_what_changes(ann: Client) -> None:
    ann.post(ADD, full(ann))
    assert Maintenance.objects.get().notice.updates.get().translations == {}  # type: ignore[union-attr]
    half = ann.post(ADD, full(ann, blank_description_de="Eine neuere Datenbank."))
    assert mistakes(half) == {
        "blank_rollback_de": ["The words ask for {{rollback}}. Fill it in here, or remove it from the text."]
    }
    said = {"blank_description_de": "Eine neuere Datenbank.", "blank_rollback_de": "Zurück zur alten; zehn Minuten."}
    ann.post(ADD, full(ann, **said))
    work = Maintenance.objects.latest("pk")
    assert work.notice is not None
    assert work.notice.updates.get().translations["de"]["text"] == (
        "Wir haben Wartungsarbeiten geplant: Database upgrade.\n\nEine neuere Datenbank.\n\n"
        "Falls etwas schiefgeht: Zurück zur alten; zehn Minuten."
    )


def test_r111_planned_work_starts_with_the_words_of_its_own_brand(ann: Client) -> None:
    other = Brand.objects.create(name="Contoso", sender_email="status@contoso.example")
    templates(name="Theirs", body="Contoso works.", brand=other)
    templates(name="Ours", position=2)
    page = ann.get(act_on(announced(), "begin"))
    assert page.context["form"].initial["body"] == "Work on {{issue}} runs until {{next_update}}."
    assert [one.name for one in page.context["form"].templates] == ["Ours"]


def test_r111_a_title_that_names_another_brand_is_refused_where_it_stands(ann: Client) -> None:
    Brand.objects.create(name="Contoso", sender_email="status@contoso.example")
    refused = ann.post(ADD, full(ann, title="Upgrade for Contoso"))
    assert mistakes(refused) == {"title": ["It names another brand: Contoso."]}


def test_r206_the_words_of_a_template_are_put_in_without_a_script_and_nothing_is_sent(ann: Client) -> None:
    templates(position=1)
    second = templates(name="Short", body="It runs.", position=2)
    work, url = announced(), ""
    url = act_on(work, "begin")
    with on_duty(ann, START):
        page = ann.post(url, opened(ann, url, template=str(second.pk), _fill="1", chat="mine"))
    form = page.context["form"]
    assert (form["body"].value(), form["chat"].value()) == ("It runs.", "{{impact}}")
    assert fresh(work).state == MaintenanceState.PLANNED


def test_r206_moved_and_cancelled_planned_work_is_told_in_german_too(ann: Client) -> None:
    work = announced()
    say(ann, work, "reschedule", planned_start_at="2026-12-01 03:00", planned_end_at="2026-12-01 05:00")
    say(ann, work, "cancel", chat="Called off.")
    moved, cancelled = fresh(work).notice.updates.order_by("seq")[1:]  # type: ignore[union-attr]
    assert moved.translations["de"]["text"] == (
        "Die Wartung Database upgrade wird verschoben. Beginn: 03:00 UTC am 1. Dezember 2026. "
        "Ende voraussichtlich: 05:00 UTC am 1. Dezember 2026."
    )
    assert (cancelled.chat, cancelled.translations["de"]["text"]) == (
        "Called off.",
        "Die Wartung Database upgrade ist abgesagt. Einen neuen Termin geben wir noch bekannt.",
    )


def test_what_was_never_announced_is_cancelled_with_a_word_for_colleagues(ann: Client) -> None:
    work = planned()
    assert mistakes(say(ann, work, "cancel")) == {"body": ["Say why: the record keeps it."]}
    assert say(ann, work, "cancel", body="Not needed {{any}} more.").status_code == 302
    assert fresh(work).notice is None
