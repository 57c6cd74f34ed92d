"""The console's screens of the public book (R-1201)."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from notifications.models import Topic
from status.enums import Level, Phase
from status.models import Component, Impact, Notice
from tests.scene import NIGHT, component, minutes
from tests.status.stage import notice, over, post

pytestmark = pytest.mark.django_db
FORM = {"name": "Search", "description": "Full text", "group": "", "position": "3", "uptime_target": "99.95"}

#: What Unfold's dialog sends when its button is pressed.
SURE = {"_form_submitted": "on"}


@pytest.fixture
def ann(client):
    client.force_login(User.objects.create_superuser("ann", "ann@x.example", "x"))
    return client


def url(name, *args):
    return reverse(f"admin:status_{name}", args=args)


def rows(client, name):
    response = client.get(url(f"{name}_changelist"))
    assert response.status_code == 200
    return response


def test_a_component_is_added_on_one_form_with_its_topic(ann):
    assert ann.post(url("component_add"), FORM).status_code == 302
    made = Component.objects.get()
    assert (made.name, made.position, str(made.uptime_target), made.topic.name) == ("Search", 3, "99.950", "Search")


def test_an_edit_keeps_the_topic_in_step_and_the_history(ann):
    ann.post(url("component_add"), FORM)
    made = Component.objects.get()
    ann.post(url("component_change", made.pk), FORM | {"name": "Find"})
    assert Topic.objects.get().name == "Find"
    assert [past.name for past in made.history.all()] == ["Find", "Search"]


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "API"}, "name"),
        ({"name": "A\x07PI"}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"description": "\u202etxt"}, "description"),
        ({"uptime_target": "100.1"}, "uptime_target"),
        ({"uptime_target": "-1"}, "uptime_target"),
        ({"uptime_target": "99,9x"}, "uptime_target"),
        ({"position": "-1"}, "position"),
    ],
)
def test_bad_input_is_told_at_its_field_and_nothing_typed_is_lost(ann, typed, field):
    component("API")
    response = ann.post(url("component_add"), FORM | typed)
    form = response.context["adminform"].form
    assert list(form.errors) == [field]
    assert form.data["description"] == (FORM | typed)["description"]
    assert Component.objects.count() == 1


def test_the_lists_cost_the_same_at_any_length(ann, django_assert_max_num_queries):
    def fill(start, end):
        for number in range(start, end):
            over(f"INC-2026-{number:04}", at=NIGHT, levels={component(f"C{number}", f"G{number}"): Level.PARTIAL})

    fill(0, 2)
    limits = {}
    for name in ("component", "group", "notice", "impact"):
        rows(ann, name)
        with django_assert_max_num_queries(30) as counted:
            rows(ann, name)
        limits[name] = len(counted)
    fill(2, 12)
    for name, limit in limits.items():
        with django_assert_max_num_queries(limit):
            rows(ann, name)


def test_the_list_shows_what_follows_from_the_ledger(ann):
    notice(levels={component("API"): Level.MAJOR})
    component("Gone", archived_at=NIGHT)
    page = rows(ann, "component").content.decode()
    assert [word in page for word in ("Major outage", "Archived", "Degraded performance")] == [True, True, False]


def test_archiving_is_an_act_with_a_question_and_never_a_get(ann):
    made = component()
    asked = ann.get(url("component_archive", made.pk))
    assert "Take this component off the page?" in asked.content.decode()
    assert Component.objects.get().archived_at is None
    answer = ann.post(url("component_archive", made.pk), SURE)
    assert answer.headers["HX-Redirect"] == url("component_change", made.pk)
    assert Component.objects.get().archived_at is not None
    assert ann.post(url("component_archive", made.pk), SURE).status_code == 403
    ann.post(url("component_restore", made.pk), SURE)
    assert Component.objects.get().archived_at is None


def test_a_component_that_is_held_down_is_not_archived_and_the_operator_learns_why(ann):
    made = component()
    notice(levels={made: Level.MAJOR})
    ann.post(url("component_archive", made.pk), SURE)
    page = ann.get(url("component_change", made.pk)).content.decode()
    assert "API is held down by something open" in page
    assert Component.objects.get().archived_at is None


def test_a_component_with_a_past_is_not_deleted_here(ann):
    made = component()
    over("INC-2026-0001", at=NIGHT, levels={made: Level.MAJOR})
    assert ann.post(url("component_delete", made.pk), {"post": "yes"}).status_code == 403
    fresh = component("Typo")
    assert ann.post(url("component_delete", fresh.pk), {"post": "yes"}).status_code == 302
    assert [one.name for one in Component.objects.all()] == ["API"]


def test_the_public_book_and_the_ledger_are_only_read(ann):
    told = notice(levels={component(): Level.MAJOR}, body="We are **looking**.")
    post(told, Phase.IDENTIFIED, "Found.", at=NIGHT + minutes(5))
    page = ann.get(url("notice_change", told.pk)).content.decode()
    assert "<strong>looking</strong>" in page
    assert f"/status/incidents/{told.public_id}" in page
    impact = Impact.objects.get()
    assert ann.get(url("impact_change", impact.pk)).status_code == 200
    for name, row in (("notice", told), ("impact", impact)):
        assert ann.get(url(f"{name}_add")).status_code == 403
        assert ann.post(url(f"{name}_change", row.pk), {"title": "x"}).status_code == 403
        assert ann.post(url(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403
    assert Notice.objects.get().title == "API is slow"
