"""Components stay in step with what people subscribe to, and with the page (R-601, R-802)."""

from datetime import timedelta
from decimal import Decimal

import pytest

from notifications.models import Topic
from status import components
from status.models import Component, Group
from status.page import press
from tests.scene import NIGHT, component, minutes, subscriber
from tests.status.stage import notice, over

pytestmark = pytest.mark.django_db
API = {"description": "REST", "uptime_target": Decimal("99.9"), "position": 2}


def add(name="API", **facts):
    return components.add_component(name, at=NIGHT, **facts)


def test_a_new_component_is_offered_to_subscribers_under_its_group():
    web = Group.objects.create(name="Web", position=3)
    made = add("API", group=web, **API)
    topic = Topic.objects.get()
    assert (topic.key, topic.name, topic.section, topic.position, topic.offered) == (
        f"component:{made.public_id}",
        "API",
        "Web",
        4_002,
        True,
    )
    assert (made.created_at, made.topic) == (NIGHT, topic)


def test_a_renamed_component_keeps_its_topic_and_its_subscribers():
    made = add()
    reader = subscriber(topics=[made])
    made.name = "Public API"
    components.keep(made, at=NIGHT + minutes(1))
    assert [topic.name for topic in reader.topics.all()] == ["Public API"]
    assert (Component.objects.get().created_at, Component.objects.get().updated_at) == (NIGHT, NIGHT + minutes(1))


def test_a_renamed_group_renames_the_heading_on_the_subscribe_form():
    web = Group.objects.create(name="Web")
    add(group=web)
    web.name = "Front of house"
    components.keep_group(web, at=NIGHT)
    assert Topic.objects.get().section == "Front of house"
    components.remove_group(web, at=NIGHT)
    assert (Topic.objects.get().section, Component.objects.get().group) == ("", None)


def test_what_has_a_past_is_archived_and_can_come_back():
    made = add()
    over("INC-2026-0001", at=NIGHT, levels={made: "major_outage"})
    assert components.remove(made, at=NIGHT + timedelta(days=1)) is False
    assert (Component.objects.get().archived_at, Topic.objects.get().offered) == (NIGHT + timedelta(days=1), False)
    components.restore(Component.objects.get(), at=NIGHT + timedelta(days=2))
    assert (Component.objects.get().archived_at, Topic.objects.get().offered) == (None, True)


def test_a_component_somebody_subscribed_to_is_not_deleted():
    made = add()
    subscriber(topics=[made])
    assert components.remove(made, at=NIGHT) is False


def test_what_nobody_knows_yet_is_deleted_with_its_topic():
    assert components.remove(add(), at=NIGHT) is True
    assert (Component.objects.count(), Topic.objects.count()) == (0, 0)


def test_a_component_that_is_held_down_stays_on_the_page():
    made = add()
    notice(levels={made: "major_outage"})
    with pytest.raises(components.StillHeldError, match="API is held down by something open"):
        components.archive(made, at=NIGHT)
    assert Component.objects.get().archived_at is None


@pytest.mark.django_db(transaction=True)
def test_a_change_is_on_the_page_at_once(page_dir):
    made = add("Search engine")
    assert "Search engine" in (page_dir / press.INDEX).read_text()
    components.archive(made, at=NIGHT)
    assert "Search engine" not in (page_dir / press.INDEX).read_text()


def test_the_stage_component_is_a_component_like_any_other():
    made = component("Payments", "Money", **API)
    components.keep(made, at=NIGHT)
    assert (made.topic.name, Topic.objects.get().section) == ("Payments", "Money")
