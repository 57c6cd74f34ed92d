"""Our book in the shapes of Statuspage: keys and their order are a contract (statuspage-v2.md 5.4, 5.10, 5.12)."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.enums import Kind
from notifications.models import Announcement, Subscriber
from status import components, publishing
from status.enums import Level, NoticeKind, Phase
from status.models import Component, Notice
from status.page import statuspage
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ID = re.compile(r"[a-z0-9]{12}")
PAGE = ["id", "status_indicator", "status_description"]
INCIDENT = [
    "backfilled", "created_at", "impact", "impact_override", "monitoring_at", "postmortem_body",
    "postmortem_body_last_updated_at", "postmortem_ignored", "postmortem_notified_subscribers",
    "postmortem_notified_twitter", "postmortem_published_at", "resolved_at", "scheduled_auto_completed",
    "scheduled_auto_in_progress", "scheduled_for", "scheduled_remind_prior", "scheduled_reminded_at",
    "scheduled_until", "shortlink", "status", "updated_at", "id", "page_id", "name", "incident_updates", "components",
]  # fmt: skip
UPDATE = [
    "body", "created_at", "display_at", "status", "twitter_updated_at", "updated_at", "wants_twitter_update",
    "affected_components", "custom_tweet", "deliver_notifications", "id", "incident_id",
]  # fmt: skip
COMPONENT = [
    "id", "name", "status", "created_at", "updated_at", "position", "description", "showcase", "start_date",
    "group_id", "page_id", "group", "only_show_if_degraded",
]  # fmt: skip
CHANGE = ["created_at", "new_status", "old_status", "id", "component_id", "component_type"]
CHANGED = [
    "created_at", "id", "name", "status", "updated_at", "position", "description", "showcase", "page_id", "group_id",
]  # fmt: skip


def opened(
    levels: dict[Component, Level],
    *,
    reference: str = "INC-2026-0001",
    kind: NoticeKind = NoticeKind.INCIDENT,
    **how: Any,
) -> Notice:
    values = {"rank": 2, "channels": None, "at": NIGHT} | how
    return publishing.publish(
        scene.draft("We are **looking**.", Phase.SCHEDULED if kind == NoticeKind.MAINTENANCE else Phase.INVESTIGATING),
        kind=kind,
        reference=reference,
        source=f"incident:{reference}",
        title="API errors",
        brand=scene.brand(),
        levels=levels,
        started_at=NIGHT - minutes(10),
        **values,
    )


def moved(
    notice: Notice, levels: dict[Component, Level], after: int, phase: Phase = Phase.IDENTIFIED, **how: Any
) -> None:
    at = NIGHT + minutes(after)
    publishing.set_levels(notice, f"incident:{notice.reference}", levels, at=at)
    publishing.post(notice, scene.draft("It has changed.", phase), at=at, **how)


def incident_events() -> list[dict[str, Any]]:
    news = Announcement.objects.filter(kind__in=(Kind.INCIDENT, Kind.MAINTENANCE)).order_by("pk")
    return [json.loads(row.content["hook"]) for row in news]


def changes() -> list[tuple[str, str, str]]:
    """(component, from, to), in the order of publishing."""
    events = [
        json.loads(row.content["hook"]) for row in Announcement.objects.filter(kind=Kind.COMPONENT).order_by("pk")
    ]
    return [
        (event["component"]["name"], event["component_update"]["old_status"], event["component_update"]["new_status"])
        for event in events
    ]


# --- shapes ---------------------------------------------------------------------------------


def test_an_incident_event_key_by_key() -> None:
    """5.10: the same keys in the same order, also where there is nothing to say."""
    api, db = scene.component("API", "Core", description="Our API"), scene.component("Database", "Core", position=1)
    scene.component("Payments")
    notice = opened({api: Level.PARTIAL, db: Level.OPERATIONAL})
    moved(notice, {api: Level.DEGRADED}, 5, Phase.MONITORING)
    publishing.correct(notice.updates.first(), "We were looking.", at=NIGHT + minutes(7))
    moved(notice, {api: Level.OPERATIONAL}, 9, Phase.RESOLVED)
    event = incident_events()[-1]
    incident = event["incident"]
    newest, middle, first = incident["incident_updates"]
    assert list(event) == ["page", "incident"]
    assert (list(event["page"]), list(incident)) == (PAGE, INCIDENT)
    assert [list(update) for update in incident["incident_updates"]] == [UPDATE] * 3
    assert [list(row) for row in incident["components"]] == [COMPONENT] * 2
    first_row, second_row = notice.updates.filter(corrects=None)[:2]
    stamp = "2026-11-20T03:{:02}:00.000Z".format
    assert first == {
        "body": "We were looking.",
        "created_at": stamp(0),
        "display_at": stamp(0),
        "status": "investigating",
        "twitter_updated_at": None,
        "updated_at": stamp(7),
        "wants_twitter_update": False,
        "affected_components": [
            {"code": api.public_id, "name": "API", "old_status": "operational", "new_status": "partial_outage"},
            {"code": db.public_id, "name": "Database", "old_status": "operational", "new_status": "operational"},
        ],
        "custom_tweet": None,
        "deliver_notifications": True,
        "id": first_row.public_id,
        "incident_id": notice.public_id,
    }
    assert (middle["id"], newest["display_at"]) == (second_row.public_id, incident["resolved_at"])
    told = {key: value for key, value in incident.items() if key not in ("incident_updates", "components")}
    assert told == dict.fromkeys(told, None) | {
        "backfilled": False,
        "created_at": stamp(0),
        "impact": "major",
        "monitoring_at": stamp(5),
        "postmortem_ignored": False,
        "postmortem_notified_subscribers": False,
        "postmortem_notified_twitter": False,
        "resolved_at": stamp(9),
        "scheduled_auto_completed": False,
        "scheduled_auto_in_progress": False,
        "scheduled_remind_prior": False,
        "shortlink": f"http://127.0.0.1:8000/status/incidents/{notice.public_id}",
        "status": "resolved",
        "updated_at": stamp(9),
        "id": notice.public_id,
        "page_id": statuspage.page_id(),
        "name": "API errors",
    }
    assert incident["components"][0] == {
        "id": api.public_id,
        "name": "API",
        "status": "operational",
        "created_at": stamp(0),
        "updated_at": stamp(0),
        "position": 1,
        "description": "Our API",
        "showcase": True,
        "start_date": None,
        "group_id": api.group.public_id,
        "page_id": statuspage.page_id(),
        "group": False,
        "only_show_if_degraded": False,
    }


def test_a_component_event_key_by_key() -> None:
    scene.component("Aaa")
    api = scene.component("API", position=0)
    opened({api: Level.MAJOR})
    (row,) = Announcement.objects.filter(kind=Kind.COMPONENT)
    event = json.loads(row.content["hook"])
    assert list(event) == ["page", "component_update", "component"]
    assert (list(event["component_update"]), list(event["component"])) == (CHANGE, CHANGED)
    change, changed = event["component_update"], event["component"]
    assert change | {"id": ""} == {
        "created_at": "2026-11-20T03:00:00.000Z",
        "new_status": "major_outage",
        "old_status": "operational",
        "id": "",
        "component_id": api.public_id,
        "component_type": "Component",
    }
    assert (changed["status"], changed["position"], changed["description"], changed["group_id"]) == (
        "major_outage", 1, None, None,
    )  # fmt: skip
    assert (row.lane, row.seq, row.channels) == (f"component:{api.public_id}", 1, ["webhook"])
    assert (list(row.topics.all()), row.rank) == ([api.topic], None)


def test_ids_and_moments_have_the_shape_clients_insist_on() -> None:
    api = scene.component("API", "Core")
    moved(opened({api: Level.MAJOR}, at=NIGHT + timedelta(microseconds=1_999)), {api: Level.OPERATIONAL}, 1)
    moments, ids = [], []
    for row in Announcement.objects.all():

        def walk(value: Any, key: str = "") -> None:
            if isinstance(value, dict):
                [walk(inner, name) for name, inner in value.items()]
            elif isinstance(value, list):
                [walk(inner, key) for inner in value]
            elif key.endswith("_at") and value is not None:
                moments.append(value)
            elif key == "id" or key.endswith("_id"):
                ids.append(value)

        walk(json.loads(row.content["hook"]))
    assert moments != []
    assert [moment for moment in moments if not STAMP.fullmatch(moment)] == []
    assert [one for one in ids if not ID.fullmatch(one)] == []
    assert "2026-11-20T03:00:00.001Z" in moments


def test_our_page_has_one_id_for_good(settings: Any) -> None:
    assert (statuspage.page_id(), ID.fullmatch(statuspage.page_id()) is not None) == (statuspage.page_id(), True)
    ours = statuspage.page_id()
    settings.SITE_URL = "https://status.other.example"
    assert statuspage.page_id() != ours


def test_a_maintenance_is_an_incident_with_a_schedule() -> None:
    opened({scene.component("API"): Level.MAINTENANCE}, kind=NoticeKind.MAINTENANCE)
    incident = incident_events()[0]["incident"]
    assert (incident["impact"], incident["status"], incident["scheduled_for"], incident["scheduled_until"]) == (
        "maintenance", "scheduled", "2026-11-20T02:50:00.000Z", None,
    )  # fmt: skip


def test_no_components_are_null() -> None:
    opened({})
    incident = incident_events()[0]["incident"]
    assert (incident["incident_updates"][0]["affected_components"], incident["components"], incident["impact"]) == (
        None, [], "none",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "indicator", "description"),
    [
        ([Level.OPERATIONAL] * 3, "none", "All Systems Operational"),
        ([Level.MAINTENANCE, Level.OPERATIONAL, Level.OPERATIONAL], "maintenance", "Service Under Maintenance"),
        ([Level.DEGRADED, Level.MAINTENANCE, Level.OPERATIONAL], "minor", "Partially Degraded Service"),
        ([Level.DEGRADED] * 3, "minor", "Partially Degraded Service"),
        ([Level.PARTIAL, Level.DEGRADED, Level.OPERATIONAL], "minor", "Minor Service Outage"),
        ([Level.PARTIAL, Level.MAINTENANCE, Level.OPERATIONAL], "minor", "Minor Service Outage"),
        ([Level.MAJOR, Level.OPERATIONAL, Level.OPERATIONAL], "major", "Partial System Outage"),
        ([Level.MAJOR, Level.MAJOR, Level.PARTIAL], "major", "Partial System Outage"),
        ([Level.MAJOR] * 3, "critical", "Major System Outage"),
    ],
)
def test_the_page_is_rolled_up_by_breadth(levels: list[Level], indicator: str, description: str) -> None:
    """5.12 no. 1; components that no longer exist count for nothing."""
    components.archive(scene.component("Gone"), at=NIGHT)
    opened({scene.component(f"C{n}"): level for n, level in enumerate(levels)})
    assert incident_events()[0]["page"] == {
        "id": statuspage.page_id(),
        "status_indicator": indicator,
        "status_description": description,
    }


# --- changes ---------------------------------------------------------------------------------


def test_only_what_changed_is_told() -> None:
    api, db, shop = (scene.component(name) for name in ("API", "Database", "Shop"))
    notice = opened({api: Level.MAJOR, db: Level.DEGRADED, shop: Level.OPERATIONAL})
    assert changes() == [
        ("API", "operational", "major_outage"),
        ("Database", "operational", "degraded_performance"),
    ]
    moved(notice, {}, 5)
    assert len(changes()) == 2
    moved(notice, {api: Level.DEGRADED}, 6)
    moved(notice, {api: Level.OPERATIONAL, db: Level.OPERATIONAL}, 7, Phase.RESOLVED)
    assert changes()[2:] == [
        ("API", "major_outage", "degraded_performance"),
        ("API", "degraded_performance", "operational"),
        ("Database", "degraded_performance", "operational"),
    ]
    lane = Announcement.objects.filter(lane=f"component:{api.public_id}").order_by("seq")
    assert list(lane.values_list("seq", flat=True)) == [1, 2, 3]


def test_a_component_is_up_when_the_last_notice_lets_go() -> None:
    """Each old status is the one told before, whichever notice told it."""
    api = scene.component("API")
    one = opened({api: Level.DEGRADED})
    two = opened({api: Level.MAJOR}, reference="INC-2026-0002")
    moved(one, {api: Level.OPERATIONAL}, 5, Phase.RESOLVED)
    moved(two, {api: Level.PARTIAL}, 6)
    moved(two, {api: Level.OPERATIONAL}, 7, Phase.RESOLVED)
    assert changes() == [
        ("API", "operational", "degraded_performance"),
        ("API", "degraded_performance", "major_outage"),
        ("API", "major_outage", "partial_outage"),
        ("API", "partial_outage", "operational"),
    ]


def test_what_was_not_told_is_made_good_by_the_next_that_is() -> None:
    api = scene.component("API")
    notice = opened({api: Level.DEGRADED}, channels=())
    moved(notice, {api: Level.MAJOR}, 5, channels=["email"])
    assert changes() == []
    moved(notice, {}, 6, channels=["email", "webhook"])
    moved(notice, {api: Level.OPERATIONAL}, 7, Phase.RESOLVED, channels=["webhook:enterprise"])
    assert changes() == [("API", "operational", "major_outage"), ("API", "major_outage", "operational")]
    by = Announcement.objects.filter(kind=Kind.COMPONENT).order_by("pk").values_list("channels", flat=True)
    assert list(by) == [["webhook"], ["webhook"]]


def test_a_correction_is_an_incident_event_and_no_change() -> None:
    api = scene.component("API")
    notice = opened({api: Level.MAJOR})
    publishing.correct(notice.updates.get(), "We were looking.", at=NIGHT + minutes(5), channels=None)
    assert len(changes()) == 1
    before, after = incident_events()
    assert [update["body"] for update in after["incident"]["incident_updates"]] == ["We were looking."]
    assert (before["incident"]["updated_at"], after["incident"]["updated_at"]) == (
        "2026-11-20T03:00:00.000Z",
        "2026-11-20T03:05:00.000Z",
    )


def test_component_events_reach_webhooks_that_chose_the_component() -> None:
    api, db = scene.component("API"), scene.component("Database")
    hooks = {
        name: scene.subscriber(f"{name} #1", channel="webhook", topics=topics)
        for name, topics in {"all": None, "api": [api], "db": [db]}.items()
    }
    scene.subscriber("ann@example.com")
    opened({api: Level.MAJOR})
    (news,) = Announcement.objects.filter(kind=Kind.COMPONENT)
    assert set(Subscriber.objects.reached_by(news)) == {hooks["all"], hooks["api"]}


def test_however_many_components_it_takes_as_many_queries() -> None:
    def asked(count: int) -> int:
        levels = {scene.component(f"{count} {n}", "Core"): Level.MAJOR for n in range(count)}
        with CaptureQueriesContext(connection) as queries:
            opened(levels, reference=f"INC-2026-{count:04}")
        assert (
            Announcement.objects.filter(kind=Kind.COMPONENT, content__reference=f"INC-2026-{count:04}").count() == count
        )
        return len(queries)

    asked(1)
    assert asked(2) == asked(12)


def test_the_sample_of_the_documentation_is_what_is_sent() -> None:
    """docs/webhooks.md: names and order of keys, in both samples."""
    api = scene.component("API")
    opened({api: Level.PARTIAL})
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    samples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.S)]
    assert [list(sample) for sample in samples] == [
        ["meta", "page", "incident"],
        ["meta", "page", "component_update", "component"],
    ]
    (incident,), (row,) = incident_events(), Announcement.objects.filter(kind=Kind.COMPONENT)
    for sample, event in zip(samples, (incident, json.loads(row.content["hook"])), strict=True):
        assert shape({**sample, "meta": None}) == shape({"meta": None, **event})


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    return [shape(inner) for inner in value] if isinstance(value, list) else None
