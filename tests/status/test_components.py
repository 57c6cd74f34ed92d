"""Components stay in step with what people subscribe to, and with the page (R-601, R-802)."""

from datetime import timedelta
from decimal import Decimal
from importlib import import_module

import pytest
from django.apps import apps

from notifications.models import Customer, Topic
from status import components
from status.models import Component, Group
from status.page import press
from tests.notifications.news import news
from tests.scene import NIGHT, component, minutes, subscriber
from tests.status.stage import notice, over

pytestmark = pytest.mark.django_db
API = {"description": "REST", "uptime_target": Decimal("99.9"), "position": 2}


def add(name="API", **facts):
    return components.add_component(name, at=NIGHT, **facts)


def test_a_new_component_is_offered_to_subscribers_under_its_group():
    web = Group.objects.create(name="Web", position=3)
    made = add("API", group=web, **API)
    topic = made.topic
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
    assert Component.objects.get().topic.section == "Front of house"
    components.remove_group(web, at=NIGHT)
    assert (Topic.objects.get().section, Component.objects.get().group) == ("", None)


def offered() -> list[str]:
    return list(Topic.objects.filter(offered=True).values_list("name", flat=True))


def test_a_group_is_offered_above_its_members_while_it_has_any_to_show():
    web = components.keep_group(Group(name="Web", position=1), at=NIGHT)
    assert (web.topic.key, offered()) == (f"group:{web.public_id}", [])
    site = add("Website", group=web)
    assert offered() == ["All of Web", "Website"]
    components.archive(site, at=NIGHT)
    assert offered() == []
    components.restore(site, at=NIGHT)
    web.name = "Front of house"
    components.keep_group(web, at=NIGHT)
    assert offered() == ["All of Front of house", "Website"]


def test_a_component_that_moves_takes_the_offer_of_its_group_along():
    web, shop = (components.keep_group(Group(name=name), at=NIGHT) for name in ("Web", "Shop"))
    site = add("Website", group=web)
    site.group = shop
    components.keep(site, at=NIGHT)
    assert offered() == ["All of Shop", "Website"]


def test_whoever_chose_a_group_that_goes_keeps_what_is_in_it():
    """People and customers alike; who had chosen a member as well has it once."""
    web = components.keep_group(Group(name="Web"), at=NIGHT)
    site, shop = add("Website", group=web), add("Shop", group=web)
    reader, both = subscriber(topics=[]), subscriber("both@example.com", topics=[site])
    acme = Customer.objects.create(name="ACME", reference="C-1")
    for one in (reader, both, acme):
        one.topics.add(web.topic)
    components.remove_group(web, at=NIGHT + minutes(5))
    for one in (reader, both, acme):
        assert set(one.topics.all()) == {site.topic, shop.topic}
    reader.refresh_from_db()
    assert reader.changed_at == NIGHT + minutes(5)
    assert not Topic.objects.filter(key__startswith="group:").exists()


def test_the_topic_of_a_group_that_goes_stays_with_what_was_announced_to_it():
    """An announcement without topics would concern everybody."""
    web = components.keep_group(Group(name="Web"), at=NIGHT)
    add("Website", group=web)
    announcement = news(topics=[web.topic])
    components.remove_group(web, at=NIGHT)
    assert [(topic.name, topic.offered) for topic in announcement.topics.all()] == [("All of Web", False)]


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
    assert (made.topic.name, made.topic.section) == ("Payments", "Money")


def test_groups_from_before_get_their_topic_by_the_migration():
    web = Group.objects.create(name="Web", position=2)
    Group.objects.create(name="Empty")
    component("Website", "Web")
    migration = import_module("status.migrations.0005_groups_have_a_topic")
    migration.give(apps, None)
    migration.give(apps, None)
    web.refresh_from_db()
    assert web.topic is not None
    assert (web.topic.key, web.topic.section, web.topic.position) == (f"group:{web.public_id}", "Web", 2_999)
    assert offered() == ["Website", "All of Web"]
    migration.withdraw(apps, None)
    assert offered() == ["Website"]
