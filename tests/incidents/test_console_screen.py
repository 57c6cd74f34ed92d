"""The incident's screen, the list and the dashboard: what they say, and what they cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from incidents import lifecycle
from incidents.enums import DutyKind, Verb
from incidents.models import Incident, TimelineEntry
from notifications import progress
from notifications.enums import FINAL, UNSENT, Channel, Fate, Pool
from notifications.fates import Group
from notifications.models import Announcement, Delivery
from notifications.progress import Progress
from status.enums import Level, Phase
from tests import scene
from tests.incidents import desk
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
LIST, DASHBOARD = "/admin/incidents/incident/", "/admin/"
NOW = NIGHT + minutes(20)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(client: Client) -> Client:
    desk.sit(client, *desk.ALL)
    return client


def cost(client: Client, url: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert client.get(url).status_code == 200
    return len(seen)


def test_the_screen_tells_what_is_owed_kept_said_and_held(ann: Client) -> None:
    incident = scene.incident(levels={scene.component("API"): Level.MAJOR, scene.component("Web"): Level.DEGRADED})
    context = ann.get(desk.screen_of(incident)).context
    assert [(owed.row.kind, owed.overdue, owed.deed and owed.deed.slug) for owed in context["waiting"]] == [
        (DutyKind.RESPOND, True, "acknowledge"),
        (DutyKind.PUBLIC_UPDATE, False, "update"),
        (DutyKind.RESOLVE, False, "resolve"),
    ]
    assert [(owed.row.kind, owed.row.kept) for owed in context["met"]] == [(DutyKind.FIRST_UPDATE, True)]
    assert [(hit.component.name, hit.claimed, hit.others) for hit in context["hits"]] == [
        ("API", Level.MAJOR, []),
        ("Web", Level.DEGRADED, []),
    ]
    assert [saying.told.phase for saying in context["sayings"]] == [Phase.INVESTIGATING]
    assert context["impact"] == timedelta(minutes=20)
    assert [(line.entry.verb, line.public) for line in context["chronicle"].lines] == [
        (Verb.PUBLISHED, True),
        (Verb.DECLARED, False),
    ]


def test_the_screen_links_to_the_public_page(ann: Client) -> None:
    incident = scene.incident()
    assert incident.notice is not None
    assert f"/status/incidents/{incident.notice.public_id}" in ann.get(desk.screen_of(incident)).content.decode()


def test_impact_ends_by_its_own_clock(ann: Client) -> None:
    """R-1302."""
    incident = scene.incident()
    lifecycle.resolve(incident, body="Over.", by=None, at=NIGHT + minutes(15), ended_at=NIGHT + minutes(5))
    assert ann.get(desk.screen_of(incident)).context["impact"] == timedelta(minutes=5)


def test_deeds_of_nobody_are_the_systems(ann: Client) -> None:
    incident = scene.incident(by=None)
    html = ann.get(desk.screen_of(incident)).content.decode()
    assert '<b>Declared</b> <span class="hg-quiet">the system</span>' in html


def sent(incident: Incident, *fates: Fate, channel: Channel = Channel.EMAIL) -> Announcement:
    """One message of its newest update for each fate."""
    assert incident.notice is not None
    update = Announcement.objects.filter(lane=incident.notice.lane).latest("seq")
    Announcement.objects.update(expanded_at=NOW)
    for n, fate in enumerate(fates):
        Delivery.objects.create(
            announcement=update,
            subscriber=scene.subscriber(f"{channel}{update.seq}{n}@example.com", channel=channel),
            channel=channel,
            pool=Pool.NEWS,
            fate=fate,
            next_at=NOW,
            created_at=NOW,
            settled_at=NOW if fate in FINAL else None,
        )
    return update


def bars(progress: Progress) -> dict[str, dict[Group, int]]:
    lines = [progress.whole, *progress.lines]
    return {line.label: {share.group: share.count for share in line.present} for line in lines}


WAITING = (*UNSENT, Fate.SENDING)


def test_the_newest_update_shows_how_far_it_is_by_channel(ann: Client) -> None:
    incident = scene.incident()
    sent(incident, Fate.ACCEPTED, Fate.ACCEPTED, Fate.DEAD, *WAITING)
    sent(incident, Fate.DELIVERED, Fate.SUPPRESSED, channel=Channel.SMS)
    context = ann.get(desk.screen_of(incident)).context
    assert bars(context["update"]) == {
        "All channels": {Group.GONE: 3, Group.WAITING: 5, Group.TROUBLE: 1, Group.LEFT_OUT: 1},
        "E-mail": {Group.GONE: 2, Group.WAITING: 5, Group.TROUBLE: 1},
        "SMS": {Group.GONE: 1, Group.LEFT_OUT: 1},
    }
    assert ann.get(DASHBOARD).context["health"] == {"untaken": 0, "waiting": 5, "sent": 3, "failed": 1}


def test_each_update_of_the_timeline_shows_its_own_messages(ann: Client) -> None:
    incident = scene.incident()
    sent(incident, Fate.ACCEPTED)
    lifecycle.post_update(incident, scene.draft("Still on it."), levels={}, by=None, at=NIGHT + minutes(10))
    sent(incident, Fate.PENDING, Fate.DEAD)
    newest, first = ann.get(desk.screen_of(incident)).context["sayings"]
    assert bars(newest.progress)["All channels"] == {Group.WAITING: 1, Group.TROUBLE: 1}
    assert bars(first.progress)["All channels"] == {Group.GONE: 1}


def test_the_card_asks_again_while_something_moves_and_then_stops(ann: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a script the numbers simply stand there."""
    # However slow the machine is.
    monkeypatch.setattr(progress, "SHARE_OF_TIME", float("inf"))
    incident = scene.incident()
    again = f"/admin/incidents/incident/{incident.pk}/messages/"
    unexpanded = ann.get(desk.screen_of(incident)).content.decode()
    assert f'hx-get="{again}" hx-trigger="every 30s"' in unexpanded
    assert "Waiting for a worker to write down the recipients." in unexpanded
    update = sent(incident, Fate.PENDING)
    Announcement.objects.update(published_at=NOW)
    moving = ann.get(again)
    assert (moving.status_code, moving.context["pace"]) == (200, 2)
    assert f'id="told-{update.pk}" hx-swap-oob="true"' in moving.content.decode()
    Delivery.objects.update(fate=Fate.ACCEPTED)
    rested = ann.get(again)
    assert (rested.status_code, rested.context["pace"]) == (286, 0)
    assert again not in rested.content.decode()
    assert again not in ann.get(desk.screen_of(incident)).content.decode()


def test_asking_again_costs_three_questions_beside_who_asks(ann: Client) -> None:
    incident = scene.incident()
    sent(incident, Fate.PENDING)
    with CaptureQueriesContext(connection) as seen:
        ann.get(f"/admin/incidents/incident/{incident.pk}/messages/")
    asked = [query["sql"] for query in seen.captured_queries]
    # Beside these: session, user, their rights, their roles' rights, the incident.
    # The newest update, and letters, of which there are none.
    assert len([sql for sql in asked if "notifications_" in sql and "notifications_delivery d" not in sql]) == 2
    assert len([sql for sql in asked if "notifications_delivery d" in sql]) == 1
    assert len(asked) == 8


def test_who_may_not_see_incidents_does_not_see_their_messages(client: Client) -> None:
    incident = scene.incident()
    client.force_login(scene.operator("new"))
    assert client.get(f"/admin/incidents/incident/{incident.pk}/messages/").status_code == 403


def test_an_incident_without_a_public_word_has_no_messages(ann: Client) -> None:
    quiet = scene.incident(public=False)
    page = ann.get(desk.screen_of(quiet))
    assert (page.context["update"], page.context["pace"]) == (None, 0)
    assert ann.get(f"/admin/incidents/incident/{quiet.pk}/messages/").status_code == 286
    assert ann.get("/admin/incidents/incident/999999/messages/").status_code == 404


def test_the_screen_costs_the_same_with_5_and_200_entries(ann: Client) -> None:
    incident = scene.incident()
    for n in range(5):
        lifecycle.note(incident, f"Note {n}", by=scene.operator(), at=NOW)
    lifecycle.post_update(incident, scene.draft("Still on it."), levels={}, by=None, at=NOW)
    few = cost(ann, desk.screen_of(incident))
    TimelineEntry.objects.bulk_create(
        TimelineEntry(
            incident=incident,
            verb=Verb.NOTED,
            at=NOW,
            recorded_at=NOW,
            by=scene.operator(f"op{n % 7}"),
            words=f"Note {n}",
            version=9,
        )
        for n in range(195)
    )
    for n in range(8):
        lifecycle.post_update(incident, scene.draft(f"Update {n}"), levels={}, by=None, at=NOW)
    assert cost(ann, desk.screen_of(incident)) == few
    # One of them only while recipients are written down; ten are what looks like it, five the runbook and tools.
    assert few == 32


def many(count: int) -> None:
    for n in range(count):
        scene.incident(title=f"Trouble {n}", levels={scene.component("API"): Level.MAJOR}, at=NIGHT + minutes(n / 10))


def test_list_and_dashboard_cost_the_same_with_5_and_60_incidents(ann: Client) -> None:
    many(5)
    few = (cost(ann, LIST), cost(ann, DASHBOARD))
    many(55)
    assert (cost(ann, LIST), cost(ann, DASHBOARD)) == few == (11, 23)


def test_the_list_is_newest_first_and_found_by_reference_title_and_filter(ann: Client) -> None:
    many(3)
    over = Incident.objects.get(title="Trouble 0")
    lifecycle.resolve(over, body="Over.", by=None, at=NOW, override="The others go on by themselves.")

    def shown(query: str) -> list[str]:
        return [incident.title for incident in ann.get(LIST + query).context["cl"].result_list]

    assert shown("") == ["Trouble 2", "Trouble 1", "Trouble 0"]
    assert shown("?q=0002") == ["Trouble 1"]
    assert shown("?q=%22trouble+2%22") == ["Trouble 2"]
    assert shown("?over=yes") == ["Trouble 0"]
    assert shown("?over=no") == ["Trouble 2", "Trouble 1"]


def test_the_dashboard_puts_the_worst_and_the_most_urgent_first(ann: Client) -> None:
    mild = scene.severity("P2", 3, duties=[{"kind": DutyKind.RESPOND, "amount": 60}])
    scene.incident(title="Mild", severity=mild, levels={})
    scene.incident(title="Grave", levels={scene.component("API"): Level.MAJOR})
    context = ann.get(DASHBOARD).context
    assert [trouble.incident.title for trouble in context["troubles"]] == ["Grave", "Mild"]
    assert [(owed.row.incident.title, owed.row.kind, owed.overdue) for owed in context["debts"]][:2] == [
        ("Grave", DutyKind.RESPOND, True),
        ("Grave", DutyKind.PUBLIC_UPDATE, False),
    ]
    assert [(c.name, level, holders) for c, level, holders in context["down"]] == [
        ("API", Level.MAJOR, ["INC-2026-0002"])
    ]
    assert [deed.slug for deed, _ in context["troubles"][0].deeds] == ["acknowledge", "update", "resolve"]


def test_buttons_of_the_dashboard_follow_the_role(client: Client) -> None:
    scene.incident()
    desk.sit(client, "view_incident", name="reader")
    context = client.get(DASHBOARD).context
    assert [trouble.deeds for trouble in context["troubles"]] == [[]]
    assert {debt.deed for debt in context["debts"]} == {None}
    assert context["may_declare"] is False


def test_a_newcomer_is_told_what_to_do_first(client: Client) -> None:
    boss = scene.operator("boss", is_superuser=True)
    client.force_login(boss)
    steps = client.get(DASHBOARD).context["steps"]
    assert [step["done"] for step in steps] == [False, False, False, False]
    scene.brand()
    scene.component()
    scene.severity()
    scene.subscriber()
    response = client.get(DASHBOARD)
    assert response.context["steps"] == []
    assert "All quiet" in response.content.decode()


def test_who_has_no_role_is_told_so(client: Client) -> None:
    client.force_login(scene.operator("new"))
    scene.incident()
    html = client.get(DASHBOARD).content.decode()
    assert "Your login has no role yet." in html
    assert "API is not answering" not in html


def test_the_side_shows_only_what_one_may_see(client: Client) -> None:
    desk.sit(client, "publish", name="writer")
    titles = [item["title"] for group in client.get(DASHBOARD).context["sidebar_navigation"] for item in group["items"]]
    assert titles == ["Dashboard", "Incidents", "Maintenance", "Status page", "How I am reached"]


def test_the_side_leads_to_the_public_book(admin_client: Client) -> None:
    groups = {group["title"]: group["items"] for group in admin_client.get(DASHBOARD).context["sidebar_navigation"]}
    assert [item["title"] for item in groups["The public page"]] == [
        "Status page",
        "Components",
        "Groups",
        "Notices",
        "Impact ledger",
        "Brands",
    ]


def test_the_trail_of_a_list_does_not_say_the_same_twice(admin_client: Client) -> None:
    page = admin_client.get("/admin/incidents/incident/").content.decode()
    assert "Operations" in page


def test_an_incident_that_is_not_there_is_not_found(ann: Client) -> None:
    for pk in ("999999", "nonsense", "99999999999999999999999"):
        assert ann.get(f"/admin/incidents/incident/{pk}/change/").status_code == 404


def test_the_timeline_spells_a_level_as_its_policy_does(ann: Client) -> None:
    """ "Major" everywhere: the code of policy A only repeats the label in small letters."""
    incident = scene.incident(severity=scene.severity("major", label="Major"))
    lifecycle.change_severity(
        incident, scene.severity("minor", 3, label="Minor"), reason="Few notice.", by=scene.operator(), at=NOW
    )
    told = [line.said for line in ann.get(desk.screen_of(incident)).context["chronicle"].lines]
    assert told[0][0] == "Major → Minor"
    assert told[-1] == ["Major of Policy of major v1"]
