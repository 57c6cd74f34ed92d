"""From the page of an incident to following it, and the end of it (R-802)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from notifications import subscriptions
from notifications.enums import Channel
from notifications.models import Announcement, Follow, SignUp, Subscriber
from status import followers, publishing
from status.enums import NoticeKind
from status.page import press
from status.tasks import let_followers_go
from tests.notifications.carrier import ACCOUNT, TOKEN
from tests.scene import NIGHT
from tests.status import stage
from tests.status.html import outline

pytestmark = pytest.mark.django_db

ADA = "ada@analytical.example"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def visitor() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def texts(settings):
    settings.SMS_PROVIDER = "twilio"
    settings.TWILIO = settings.TWILIO | {"account_sid": ACCOUNT, "auth_token": TOKEN, "sms_from": "+15005550006"}


def follow(lane: str, *, at: datetime = NIGHT) -> None:
    subscriber = subscriptions.follow(Channel.EMAIL, ADA, lane, "It", at=at)
    subscriptions.confirm(subscriber, at=at)


def page(notice) -> str:
    return press.render_notice(notice.public_id, NIGHT).decode()


def test_the_page_of_an_open_incident_has_the_form(visitor):
    """Pressed for everybody alike; it posts to where the incident is known."""
    told = stage.notice()
    html = page(told)
    action = f"/status/incidents/{told.public_id}/follow"
    assert (f'action="{action}"' in html, "Follow this incident" in html) == (True, True)
    assert [outline(html.encode()).all_faults(), outline(visitor.get(action).content).all_faults()] == [[], []]
    assert ("/follow/sms" in html, "<script" in html.partition('id="follow"')[2]) == (False, False)
    asked = visitor.post(action, {"address": ADA})
    assert (asked.status_code, b"Check your inbox" in asked.content, asked.cookies) == (200, True, {})
    assert list(SignUp.objects.values_list("about", "choice")) == [(told.lane, {"name": told.title})]
    subscriptions.answer(at=timezone.now())
    assert "“API is slow”" in Announcement.objects.latest("pk").content["paragraphs"][0]


def test_a_maintenance_is_called_one(visitor):
    told = stage.notice(kind=NoticeKind.MAINTENANCE)
    assert "Follow this maintenance" in page(told)
    assert b"Follow this maintenance" in visitor.get(f"/status/incidents/{told.public_id}/follow").content


def test_a_phone_follows_by_its_code(visitor, texts):
    told = stage.notice()
    assert f'href="/status/incidents/{told.public_id}/follow/sms"' in page(told)
    form = f"/status/incidents/{told.public_id}/follow/sms"
    assert b'aria-current="page">Text message' in visitor.get(form).content
    asked = visitor.post(form, {"address": "+1 212 555 0101"})
    assert b"Enter the code" in asked.content
    subscriptions.answer(at=timezone.now())
    code = Announcement.objects.latest("pk").content["sms"][:6]
    done = visitor.post(
        "/subscriptions/code", {"channel": "sms", "purpose": "confirm", "address": "+12125550101", "code": code}
    )
    assert (done.status_code, b"API is slow" in done.content) == (200, True)
    assert Follow.objects.get().since is not None


@pytest.mark.parametrize(
    ("typed", "status"), [("", 422), ("nobody", 422), ("a@x.example\r\nBcc: b@x.example", 422), (ADA, 200)]
)
def test_bad_addresses_are_told_at_their_field(visitor, typed, status):
    told = stage.notice()
    answered = visitor.post(f"/status/incidents/{told.public_id}/follow", {"address": typed})
    assert (answered.status_code, SignUp.objects.count()) == (status, int(status == 200))
    if status == 422:
        assert '<a href="#id_address">' in answered.content.decode()


def test_every_address_gets_the_same_answer(visitor):
    """S15: subscribed, following already, or unknown; and the same statements."""
    told = stage.notice()
    follow(told.lane)
    form = f"/status/incidents/{told.public_id}/follow"
    pages = [visitor.post(form, {"address": each}) for each in (ADA, "nobody@x.example")]
    assert pages[0].content == pages[1].content
    program = visitor.post(form, {"address": "eve@x.example", "website": "https://spam.example"})
    assert (program.content, SignUp.objects.filter(address="eve@x.example").exists()) == (pages[0].content, False)


def test_what_is_over_or_unknown_cannot_be_followed(visitor):
    over = stage.over("INC-2026-0002", at=NIGHT)
    false_alarm = stage.notice("INC-2026-0003")
    publishing.withdraw(false_alarm, at=NIGHT)
    for told in (over, false_alarm):
        assert f"/status/incidents/{told.public_id}/follow" not in page(told)
        for answered in (
            visitor.get(f"/status/incidents/{told.public_id}/follow"),
            visitor.post(f"/status/incidents/{told.public_id}/follow", {"address": ADA}),
        ):
            assert (answered.status_code, answered.headers["Location"]) == (302, f"/status/incidents/{told.public_id}")
    for unknown in ("zzzzzzzzzzzz", "x", "%00"):
        assert visitor.get(f"/status/incidents/{unknown}/follow").status_code == 404
    assert visitor.get(f"/status/incidents/{stage.notice('INC-2026-0004').public_id}/follow/fax").status_code == 404
    assert SignUp.objects.count() == 0


def test_looking_changes_nothing_and_other_methods_are_refused(visitor):
    """S17."""
    form = f"/status/incidents/{stage.notice().public_id}/follow"
    assert [getattr(visitor, method)(form).status_code for method in ("get", "head")] == [200, 200]
    assert [getattr(visitor, method)(form).status_code for method in ("put", "delete", "options")] == [405] * 3
    assert (SignUp.objects.count(), Follow.objects.count()) == (0, 0)


def test_it_ends_a_day_after_it_is_over():
    told, other = stage.notice(), stage.notice("INC-2026-0005")
    follow(told.lane)
    Follow.objects.create(subscriber=Subscriber.objects.get(), lane=other.lane, name="Other", since=NIGHT)
    stage.resolve(told, at=NIGHT + HOUR)
    assert followers.let_go(at=NIGHT + HOUR + DAY - timedelta(seconds=1)) == 0
    assert followers.let_go(at=NIGHT + HOUR + DAY) == 1
    assert list(Follow.objects.values_list("lane", flat=True)) == [other.lane]
    assert Subscriber.objects.get().is_active
    stage.resolve(other, at=NIGHT + HOUR)
    assert [followers.let_go(at=NIGHT + 3 * DAY), followers.let_go(at=NIGHT + 3 * DAY)] == [1, 0]
    assert Subscriber.objects.get().unsubscribed_at == NIGHT + 3 * DAY


def test_a_false_alarm_and_what_is_unknown_end_too():
    told = stage.notice()
    follow(told.lane)
    follow("notice:gone")
    publishing.withdraw(told, at=NIGHT + HOUR)
    assert followers.let_go(at=NIGHT + 2 * HOUR) == 1
    assert followers.let_go(at=NIGHT + HOUR + DAY) == 1


def test_what_comes_back_within_the_day_is_still_followed():
    told = stage.notice()
    follow(told.lane)
    stage.resolve(told, at=NIGHT)
    stage.post(told, told.phase.__class__("investigating"), "Again.", at=NIGHT + HOUR)
    assert followers.let_go(at=NIGHT + 3 * DAY) == 0


def test_the_timetable_knows_it():
    began = timezone.now() - 2 * DAY
    told = stage.notice(at=began)
    follow(told.lane, at=began)
    stage.resolve(told, at=began + HOUR)
    let_followers_go()
    assert Follow.objects.count() == 0
