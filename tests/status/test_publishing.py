"""The public book's acts: publishing is announcing (R-206, R-207, R-1301)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from importlib import import_module

import pytest
from django.apps import apps
from django.db import transaction

from notifications import fanout
from notifications.enums import Channel, Kind, Tier
from notifications.models import Announcement, Customer, Delivery, Endpoint, Rendering, Subscriber
from notifications.segments import Sms
from status import components, publishing, reach, reading
from status.enums import Level, NoticeKind, Phase, PublicImpact
from status.models import Component, Group, Impact, Notice, NoticeUpdate
from status.page import postings
from tests import scene
from tests.scene import NIGHT, minutes
from tests.status import stage

pytestmark = pytest.mark.django_db


def open_notice(
    levels: dict[Component, Level], *, channels: Collection[str] | None = None, body: str = "We are looking."
) -> Notice:
    return publishing.publish(
        scene.draft(body),
        kind=NoticeKind.INCIDENT,
        reference="INC-2026-0001",
        source="incident:INC-2026-0001",
        title="API errors",
        rank=2,
        brand=scene.brand(),
        levels=levels,
        started_at=NIGHT - minutes(10),
        at=NIGHT,
        channels=channels,
    )


def post(
    notice: Notice, body: str, phase: Phase, at: datetime, channels: Collection[str] | None = None, **changes: object
) -> NoticeUpdate:
    return publishing.post(notice, scene.draft(body, phase, **changes), at=at, channels=channels)


def test_publishing_writes_the_book_and_the_outbox_together() -> None:
    api = scene.component("API")
    notice = open_notice({api: Level.PARTIAL})
    announcement = Announcement.objects.get(kind=Kind.INCIDENT)
    assert (announcement.rank, announcement.kind, announcement.published_at) == (2, "incident", NIGHT)
    assert list(announcement.topics.all()) == [api.topic]
    assert announcement.content["url"] == reading.permalink(notice)
    assert announcement.content["components"] == [["API", "Partial outage"]]
    assert [line["text"] for line in announcement.content["lines"]] == ["We are looking."]


def test_a_rollback_leaves_neither_notice_nor_announcement() -> None:
    with transaction.atomic():
        open_notice({scene.component(): Level.PARTIAL})
        transaction.set_rollback(True)
    assert not Notice.objects.exists()
    assert not Announcement.objects.exists()


def test_the_book_can_be_written_without_telling() -> None:
    open_notice({scene.component(): Level.PARTIAL}, channels=())
    assert not Announcement.objects.exists()


def test_every_announcement_carries_the_whole_timeline_newest_first() -> None:
    notice = open_notice({scene.component(): Level.PARTIAL})
    post(notice, "Found it.", Phase.IDENTIFIED, NIGHT + minutes(5))
    newest = Announcement.objects.filter(kind=Kind.INCIDENT).latest("id")
    assert [(line["phase"], line["text"]) for line in newest.content["lines"]] == [
        ("Identified", "Found it."),
        ("Investigating", "We are looking."),
    ]
    assert (newest.lane, newest.seq) == (f"notice:{notice.public_id}", 2)


def test_r1301_the_promise_is_the_last_updates_and_ends_with_the_incident() -> None:
    notice = open_notice({scene.component(): Level.PARTIAL})
    post(notice, "Found it.", Phase.IDENTIFIED, NIGHT, next_update_by=NIGHT + minutes(30))
    assert notice.next_update_by == NIGHT + minutes(30)
    post(notice, "No news.", Phase.IDENTIFIED, NIGHT + minutes(10))
    assert notice.next_update_by is None
    post(notice, "Fixed.", Phase.RESOLVED, NIGHT + minutes(20), next_update_by=NIGHT + minutes(60))
    assert notice.next_update_by is None
    assert notice.updates.latest("seq").next_update_by is None


def test_phases_leave_their_timestamps() -> None:
    notice = open_notice({scene.component(): Level.PARTIAL})
    post(notice, "A fix is in.", Phase.MONITORING, NIGHT + minutes(5))
    post(notice, "Still watching.", Phase.MONITORING, NIGHT + minutes(9))
    post(notice, "Fixed.", Phase.RESOLVED, NIGHT + minutes(20))
    assert (notice.monitoring_at, notice.resolved_at) == (NIGHT + minutes(5), NIGHT + minutes(20))


def test_each_old_status_is_the_previous_new_status() -> None:
    api = scene.component("API")
    notice = open_notice({api: Level.PARTIAL})
    publishing.set_levels(notice, "incident:INC-2026-0001", {api: Level.MAJOR}, at=NIGHT + minutes(5))
    post(notice, "Worse.", Phase.IDENTIFIED, NIGHT + minutes(5))
    publishing.set_levels(notice, "incident:INC-2026-0001", {api: Level.OPERATIONAL}, at=NIGHT + minutes(9))
    post(notice, "Better.", Phase.MONITORING, NIGHT + minutes(9))
    moves = [(u.affected[0]["old_status"], u.affected[0]["new_status"]) for u in notice.updates.all()]
    assert moves == [
        ("operational", "partial_outage"),
        ("partial_outage", "major_outage"),
        ("major_outage", "operational"),
    ]


def test_a_notice_keeps_the_gravest_impact_it_had() -> None:
    api = scene.component("API")
    notice = open_notice({api: Level.DEGRADED})
    assert notice.impact == PublicImpact.MINOR
    publishing.set_levels(notice, "incident:INC-2026-0001", {api: Level.MAJOR}, at=NIGHT)
    publishing.set_levels(notice, "incident:INC-2026-0001", {api: Level.DEGRADED}, at=NIGHT + minutes(1))
    assert Notice.objects.get().impact == PublicImpact.CRITICAL


def test_r205_the_public_reads_the_corrected_words_at_the_place_of_the_first() -> None:
    notice = open_notice({scene.component(): Level.PARTIAL}, body="Down in Ausralia.")
    first = notice.updates.get()
    post(notice, "Found it.", Phase.IDENTIFIED, NIGHT + minutes(5))
    second = publishing.correct(first, "Down in Austria.", at=NIGHT + minutes(6))
    publishing.correct(second, "Down in Australia.", at=NIGHT + minutes(7))

    told = reading.told(notice.updates.all())
    assert [(t.phase, t.posted_at, t.corrected_at, t.text) for t in told] == [
        (Phase.IDENTIFIED, NIGHT + minutes(5), None, "Found it."),
        (Phase.INVESTIGATING, NIGHT, NIGHT + minutes(7), "Down in Australia."),
    ]
    with pytest.raises(ValueError, match="corrected already"):
        publishing.correct(first, "Again.", at=NIGHT + minutes(8))
    assert Announcement.objects.filter(kind=Kind.INCIDENT).count() == 2


def test_r206_a_preview_reads_as_what_is_announced_and_writes_nothing() -> None:
    api = scene.component("API")
    notice = open_notice({api: Level.PARTIAL})
    draft = scene.draft("Found it: **a bad deploy**.", Phase.IDENTIFIED, next_update_by=NIGHT + minutes(40))
    counted = (Notice, NoticeUpdate, Announcement, Delivery, Rendering, Impact)
    before = [model.objects.count() for model in counted]
    preview = publishing.draft_update_story(notice, draft, levels={api: Level.PARTIAL}, at=NIGHT + minutes(5))
    assert [model.objects.count() for model in counted] == before

    publishing.post(notice, draft, at=NIGHT + minutes(5))
    announced = Announcement.objects.filter(kind=Kind.INCIDENT).latest("id")
    as_announced = {k: ([list(c) for c in v] if k == "components" else v) for k, v in preview.as_json().items()}
    # A webhook's body is not for reading, and not in the preview.
    assert as_announced | {"lines": list(as_announced["lines"])} == announced.content | {"hook": ""}
    assert publishing.subject(notice.brand, preview) == announced.subject


@pytest.mark.parametrize("words", ["short", "long " * 400])
def test_a_text_message_fits_and_ends_with_the_address(words: str) -> None:
    notice = open_notice({scene.component(): Level.PARTIAL}, body=words)
    sms = Announcement.objects.get(kind=Kind.INCIDENT).content["sms"]
    assert len(sms) <= publishing.SMS_LENGTH
    assert sms.startswith("Investigating: API errors. ")
    assert sms.endswith(" " + reading.permalink(notice))
    # What we add ourselves never takes a text out of the alphabet that costs half.
    assert Sms(sms).plain


def test_a_correction_that_is_told_says_where_it_stands_now() -> None:
    notice = open_notice({scene.component(): Level.PARTIAL}, body="Down in Ausralia.")
    first = notice.updates.get()
    post(notice, "Fixed.", Phase.RESOLVED, NIGHT + minutes(20))
    publishing.correct(first, "Down in Australia.", at=NIGHT + minutes(30), channels=None)
    told = Announcement.objects.filter(kind=Kind.INCIDENT).latest("id")
    assert told.subject == "[Northwind] Correction: API errors"
    assert (told.content["phase"], told.content["over"], told.content["next_update_by"]) == ("Resolved", True, None)
    assert [(line["text"], line["corrected_at"]) for line in told.content["lines"]] == [
        ("Fixed.", None),
        ("Down in Australia.", (NIGHT + minutes(30)).isoformat()),
    ]


def test_a_correction_does_not_change_what_the_next_update_starts_from() -> None:
    api = scene.component("API")
    notice = open_notice({api: Level.MAJOR})
    first = notice.updates.get()
    publishing.set_levels(notice, "incident:INC-2026-0001", {api: Level.DEGRADED}, at=NIGHT + minutes(5))
    post(notice, "Better.", Phase.IDENTIFIED, NIGHT + minutes(5))
    publishing.correct(first, "We looked.", at=NIGHT + minutes(6))
    third = post(notice, "Still so.", Phase.IDENTIFIED, NIGHT + minutes(7))
    assert [(row["old_status"], row["new_status"]) for row in third.affected] == [
        ("degraded_performance", "degraded_performance")
    ]


def test_r804_who_heard_of_it_hears_how_it_ends() -> None:
    """Neither a milder severity nor a component that is named later takes anybody off the list."""
    api = scene.component("API")
    worst_only = scene.subscriber("worst@example.com", least_rank=1)
    elsewhere = scene.subscriber("elsewhere@example.com", topics=[scene.component("Payments")])
    notice = open_notice({})
    publishing.rerank(notice, 1, at=NIGHT)
    post(notice, "Everything is down.", Phase.IDENTIFIED, NIGHT + minutes(1))
    publishing.rerank(notice, 4, at=NIGHT + minutes(2))
    publishing.set_levels(notice, "incident:INC-2026-0001", {api: Level.DEGRADED}, at=NIGHT + minutes(2))
    post(notice, "Fixed.", Phase.RESOLVED, NIGHT + minutes(3))
    last = Announcement.objects.filter(kind=Kind.INCIDENT).latest("id")
    assert set(Subscriber.objects.reached_by(last)) == {worst_only, elsewhere}
    assert reach.scope(None, 4, [api]).topics == [api.topic]


def announced() -> list[list[str] | None]:
    """By what the news of notices went, oldest first."""
    return list(Announcement.objects.filter(kind=Kind.INCIDENT).order_by("pk").values_list("channels", flat=True))


def test_r804_news_go_at_least_where_earlier_ones_went() -> None:
    notice = open_notice({scene.component(): Level.PARTIAL}, channels=["webhook:enterprise"])
    post(notice, "For the page.", Phase.IDENTIFIED, NIGHT + minutes(1), channels=())
    post(notice, "Worse.", Phase.IDENTIFIED, NIGHT + minutes(2), channels=["email"])
    post(notice, "Worse still.", Phase.IDENTIFIED, NIGHT + minutes(3), channels=["webhook"])
    post(notice, "Fixed.", Phase.RESOLVED, NIGHT + minutes(4), channels=())
    assert announced() == [
        ["webhook:enterprise"],
        ["email", "webhook:enterprise"],
        ["email", "webhook"],
        ["email", "webhook"],
    ]


def test_r804_what_went_by_every_channel_goes_on_by_every_channel() -> None:
    notice = open_notice({scene.component(): Level.PARTIAL})
    post(notice, "Fixed.", Phase.RESOLVED, NIGHT + minutes(4), channels=())
    assert announced() == [None, sorted(Channel.values)]


def test_r112_a_narrow_way_reaches_those_it_names() -> None:
    """Webhooks by plan; the rooms of our own teams."""
    rich = Customer.objects.create(name="ACME", reference="C-1", tier=Tier.ENTERPRISE)
    poor = Customer.objects.create(name="Bits", reference="C-2", tier=Tier.BUSINESS)
    made = {}
    for name, channel, customer, team in (
        ("rich", Channel.WEBHOOK, rich, ""),
        ("poor", Channel.WEBHOOK, poor, ""),
        ("stranger", Channel.WEBHOOK, None, ""),
        ("mine", Channel.CHAT, None, "Payments"),
        ("theirs", Channel.CHAT, None, ""),
    ):
        made[name] = scene.subscriber(name, channel=channel, customer=customer)
        Endpoint.objects.create(subscriber=made[name], url="sealed", team=team, created_at=NIGHT)
    open_notice({scene.component(): Level.PARTIAL}, channels=["webhook:enterprise", "chat:staff"])
    news = Announcement.objects.get(kind=Kind.INCIDENT)
    assert set(Subscriber.objects.reached_by(news)) == {made["rich"], made["mine"]}
    assert fanout.expand(news.pk)
    assert {row.subscriber for row in news.deliveries.all()} == {made["rich"], made["mine"]}


def test_what_was_told_before_channels_were_remembered_was_told_by_mail() -> None:
    told = open_notice({scene.component(): Level.PARTIAL})
    stage.notice("INC-2026-0002")
    Notice.objects.update(told_channels=[])
    import_module("status.migrations.0006_by_what_it_was_told").remember(apps, None)
    assert dict(Notice.objects.values_list("reference", "told_channels")) == {
        told.reference: ["email"],
        "INC-2026-0002": [],
    }


def test_r802_who_chose_a_group_hears_of_members_that_joined_later() -> None:
    web = components.keep_group(Group(name="Web"), at=NIGHT)
    components.add_component("Website", at=NIGHT, group=web)
    reader = scene.subscriber(topics=[])
    reader.topics.add(web.topic)
    scene.subscriber("elsewhere@example.com", topics=[scene.component("Payments", "Money")])
    shop = components.add_component("Shop", at=NIGHT, group=web)
    open_notice({shop: Level.MAJOR})
    announcement = Announcement.objects.get(kind=Kind.INCIDENT)
    assert set(announcement.topics.all()) == {shop.topic, web.topic}
    assert set(Subscriber.objects.reached_by(announcement)) == {reader}


def test_r804_who_heard_of_it_by_the_group_hears_the_end_although_the_component_left_it() -> None:
    web = components.keep_group(Group(name="Web"), at=NIGHT)
    site = components.add_component("Website", at=NIGHT, group=web)
    reader = scene.subscriber(topics=[])
    reader.topics.add(web.topic)
    notice = open_notice({site: Level.MAJOR})
    site.group = None
    components.keep(site, at=NIGHT)
    post(notice, "Fixed.", Phase.RESOLVED, NIGHT + minutes(3))
    assert set(Subscriber.objects.reached_by(Announcement.objects.filter(kind=Kind.INCIDENT).latest("id"))) == {reader}


def test_r1302_how_long_it_lasted_is_told_by_when_it_stopped_to_hurt() -> None:
    notice = open_notice({scene.component(): Level.PARTIAL})
    publishing.post(notice, scene.draft("Fixed.", Phase.RESOLVED), at=NIGHT + minutes(40), ended_at=NIGHT + minutes(20))
    (shown,) = postings.postings([notice], {}, NIGHT + minutes(41))
    # It began ten minutes before the night's first update.
    assert (shown.seconds, shown.resolved_at) == (30 * 60, NIGHT + minutes(40))
    publishing.post(notice, scene.draft("Back."), at=NIGHT + minutes(50))
    assert (notice.ended_at, notice.resolved_at) == (None, None)
