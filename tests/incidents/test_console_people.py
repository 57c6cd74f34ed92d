"""The forms about people, links and restricted incidents, and the door of one (R-204, R-212, R-213, R-1311)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from incidents import lifecycle
from incidents.enums import Role, State, Tie, Verb
from incidents.models import Incident, IncidentLink, Insider
from notifications.models import Announcement, Brand
from status.enums import Level
from status.models import Notice
from tests import scene
from tests.incidents import desk
from tests.incidents.desk import fresh, last, mistakes, say
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
NOW = NIGHT + minutes(20)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ann(client: Client) -> Client:
    desk.sit(client, *desk.ALL)
    return client


def holders(incident: Incident) -> dict[str, str]:
    rows = incident.assignments.current().select_related("user")
    return {row.role: row.user.username for row in rows}


def restricted(title: str = "Database stolen") -> Incident:
    return scene.incident(title=title, restricted=True, public_title="Limited service")


# --- people -----------------------------------------------------------------------


def test_r204_the_form_says_what_each_role_does_and_who_has_it(ann: Client) -> None:
    incident = scene.incident()
    lifecycle.take_role(incident, Role.COMMANDER, by=scene.operator(), at=NIGHT)
    page = ann.get(desk.act_on(incident, "assign"))
    html = page.content.decode()
    assert desk.sent(page)["role"] == Role.TECHNICAL
    assert [holder for *_, holder, _ in page.context["form"].roles] == ["Ann", "", "", "", "", ""]
    for words in ("Writes down what happens, with times", "Updates for the public", "answers for it"):
        assert words in html


def test_r204_a_role_is_taken_in_one_step_and_given_and_taken_away(ann: Client) -> None:
    incident, kim = scene.incident(), scene.operator("kim")
    ann.post(desk.act_on(incident, "assign"), desk.opened(ann, f"{desk.act_on(incident, 'assign')}?role=scribe"))
    assert holders(incident) == {"scribe": "ann"}
    say(ann, incident, "assign", role="security", person=str(kim.pk))
    assert holders(incident) == {"scribe": "ann", "security": "kim"}
    say(ann, incident, "assign", role="scribe", person="")
    assert holders(incident) == {"security": "kim"}
    assert "Scribe: Ann → nobody" in ann.get(desk.screen_of(incident)).content.decode()


def test_who_cannot_sign_in_is_offered_no_role(ann: Client) -> None:
    incident = scene.incident()
    gone, guest = scene.operator("gone", is_active=False), scene.operator("guest", is_staff=False)
    for user in (gone, guest):
        refused = say(ann, incident, "assign", role="scribe", person=str(user.pk))
        assert mistakes(refused) == {"person": ["There is nobody so."]}


def test_the_command_is_handed_over_with_words(ann: Client) -> None:
    incident, kim = scene.incident(), scene.operator("kim")
    early = say(ann, incident, "hand-over", words="So.", to=str(kim.pk))
    assert mistakes(early) == {"to": ["Nobody commands it yet. Assign the role instead: nothing is to hand over."]}
    lifecycle.acknowledge(incident, by=scene.operator(), at=NIGHT)
    blank = say(ann, incident, "hand-over", words="", to="")
    assert mistakes(blank) == {
        "to": ["Choose somebody."],
        "words": ["Say where it stands: the next commander starts from these words."],
    }
    say(ann, incident, "hand-over", words="The vendor calls at 4.", to=str(kim.pk))
    assert (holders(incident), last(incident).verb) == ({"commander": "kim"}, Verb.HANDED_OVER)
    same = say(ann, incident, "hand-over", words="So.", to=str(kim.pk))
    assert mistakes(same) == {"to": ["Kim commands it already."]}


# --- links ------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["INC-2026-0001", "inc-2026-0001 Payments time out", "0001", "payments"])
def test_r212_another_incident_is_found_by_reference_or_title(ann: Client, typed: str) -> None:
    other, incident = scene.incident(title="Payments time out"), scene.incident()
    say(ann, incident, "link", other=typed, tie="repeat", note="Same worker.")
    assert [(tie.incident, tie.tie, tie.other, tie.note) for tie in IncidentLink.objects.all()] == [
        (incident, Tie.REPEAT, other, "Same worker.")
    ]


def test_what_matches_none_or_several_is_said_at_the_field(ann: Client) -> None:
    first, second = scene.incident(title="Payments time out"), scene.incident(title="Payments are slow")
    incident = scene.incident()
    refused = {
        typed: mistakes(say(ann, incident, "link", other=typed, tie="related"))
        for typed in ("", "payments", "nonsense", incident.reference, "INC-2026-9999")
    }
    none = "No incident is called “{}”. Type a reference like INC-2026-0001, or part of a title."
    assert refused == {
        "": {"other": ["Type a reference, or part of a title."]},
        "payments": {"other": [f"Several match: {second}; {first}. Type more of it, or the reference."]},
        "nonsense": {"other": [none.format("nonsense")]},
        incident.reference: {"other": [none.format(incident.reference)]},
        "INC-2026-9999": {"other": [none.format("INC-2026-9999")]},
    }


def test_r213_a_restricted_incident_is_not_found_and_not_offered(ann: Client) -> None:
    secret = lifecycle.declare(
        severity=scene.severity(), title="Database stolen", started_at=NIGHT, at=NIGHT, by=scene.operator("kim"),
        brand=scene.brand(), levels={}, restricted=True,
    )  # fmt: skip
    incident = scene.incident()
    for slug, field in (("link", "other"), ("merge", "into")):
        assert "stolen" not in ann.get(desk.act_on(incident, slug)).content.decode()
        for typed in (secret.reference, "stolen"):
            refused = say(ann, incident, slug, **{field: typed})
            assert [*mistakes(refused)] == [field]
            assert "No incident is called" in mistakes(refused)[field][0]


def test_a_link_is_removed_from_the_incident_that_has_it(ann: Client) -> None:
    other, incident = scene.incident(), scene.incident()
    lifecycle.link(incident, other, Tie.RELATED, by=None, at=NIGHT)
    assert "It has no link that could be removed." in ann.get(desk.act_on(other, "unlink")).content.decode()
    say(ann, incident, "unlink", other=str(other.pk))
    assert IncidentLink.objects.count() == 0


def test_r1311_merging_ends_the_page_with_a_link_to_the_other(ann: Client) -> None:
    into, double = scene.incident(title="All of the API"), scene.incident()
    url = f"{desk.act_on(double, 'merge')}?into={into.reference}"
    shown = ann.post(url.replace("/merge/", "/merge/preview/"), desk.opened(ann, url)).content.decode()
    assert "All of the API" in shown
    assert ann.post(desk.act_on(double, "merge"), desk.opened(ann, url))["Location"] == desk.screen_of(double)
    double = fresh(double)
    assert double.notice is not None
    assert into.notice is not None
    assert (double.state, double.merged_into) == (State.MERGED, into)
    public = ann.get(desk.screen_of(double), {"only": "public"}).context["chronicle"].lines
    assert [(line.entry.verb, line.public) for line in public] == [(Verb.MERGED, True), (Verb.PUBLISHED, True)]
    inside = ann.get(desk.screen_of(into), {"only": "internal"}).context["chronicle"].lines
    assert (inside[0].entry.verb, inside[0].public, inside[0].said) == (
        Verb.MERGED,
        False,
        [f"took over {double.reference}"],
    )
    words = double.notice.updates.latest("seq").body
    assert words == (
        "This is part of a larger problem. Please follow "
        f"[All of the API](http://127.0.0.1:8000/status/incidents/{into.notice.public_id}): "
        "we post every further update there."
    )


def test_what_cannot_be_merged_is_said_at_the_field(ann: Client) -> None:
    incident, inside = scene.incident(), scene.incident(public=False)
    over = scene.incident(levels={scene.component("Web"): Level.MAJOR})
    lifecycle.resolve(over, body="Over.", by=None, at=NIGHT)
    other = Brand.objects.create(
        slug="fab", name="Fabrikam", sender_name="F", sender_email="f@x.example", support_email="f@x.example"
    )
    foreign = scene.incident(brand=other)
    said = {one.reference: mistakes(say(ann, incident, "merge", into=one.reference)) for one in (inside, over, foreign)}
    assert said == {
        inside.reference: {
            "into": [f"{inside.reference} is not public yet. Go public there first, or merge it into this one."]
        },
        over.reference: {"into": [f"{over.reference} is resolved; only what is open goes on."]},
        foreign.reference: {
            "across": [f"{foreign.reference} is told by another brand, Fabrikam. Say that this is meant."]
        },
    }
    say(ann, incident, "merge", into=foreign.reference, across="on")
    assert fresh(incident).merged_into == foreign


def test_an_internal_duplicate_asks_for_a_line_for_colleagues_only(ann: Client) -> None:
    into, double = scene.incident(), scene.incident(public=False)
    page = ann.get(desk.act_on(double, "merge"))
    assert page.context["form"]["body"].label == "Why is it the same? Only colleagues read this."
    before = Announcement.objects.count()
    say(ann, double, "merge", into=into.reference, body="Same alert.")
    assert (fresh(double).state, Announcement.objects.count()) == (State.MERGED, before)


# --- restricted -------------------------------------------------------------------


def test_r213_the_form_names_people_warns_of_words_that_are_out_and_checks_the_title(ann: Client) -> None:
    kim = scene.operator("kim")
    incident = scene.incident(title="Database stolen")
    html = ann.get(desk.act_on(incident, "restrict")).content.decode()
    assert "1 update is out already." in html
    assert "We are looking into it." in html
    refused = say(ann, incident, "restrict", public_title="database stolen", reason="")
    assert mistakes(refused) == {
        "public_title": ["This is the title itself. Say less."],
        "reason": ["Say why: the timeline keeps it."],
    }
    say(ann, incident, "restrict", public_title="Limited service", reason="Breach.", people=[str(kim.pk)])
    assert Notice.objects.get().title == "Limited service"
    assert set(Insider.objects.values_list("user__username", flat=True)) == {"ann", "kim"}


def test_r213_a_colleague_is_let_in_and_the_doors_are_opened_again(ann: Client) -> None:
    incident, kim = restricted(), scene.operator("kim")
    say(ann, incident, "admit", person=str(kim.pk), reason="Knows the database.")
    assert Incident.objects.visible_to(kim).filter(pk=incident.pk).exists()
    blank = say(ann, incident, "lift", reason="")
    assert mistakes(blank) == {"reason": ["Say why: the timeline keeps it."]}
    say(ann, incident, "lift", reason="It is in the papers.")
    assert fresh(incident).is_restricted is False


def test_r213_a_security_incident_is_declared_so_that_nothing_leaks_from_the_start(ann: Client) -> None:
    scene.severity()
    scene.brand()
    typed: dict[str, Any] = {"title": "Database stolen", "restricted": "on", "body": "{{issue}}: we look into it."}
    typed[f"levels-{scene.component().pk}"] = Level.MAJOR.value
    missing = ann.post(desk.ADD, desk.opened(ann, desk.ADD, **typed))
    assert mistakes(missing) == {"public_title": ["Say what outsiders may read. It must give nothing away."]}
    assert "stolen" not in ann.post("/admin/incidents/incident/preview/", desk.sent(missing)).content.decode()
    ann.post(desk.ADD, desk.sent(missing) | {"public_title": "Limited service"})
    incident = Incident.objects.select_related("notice").get()
    assert incident.notice is not None
    assert (incident.title, incident.notice.title, incident.is_restricted, incident.is_security) == (
        "Database stolen",
        "Limited service",
        True,
        True,
    )
    assert incident.notice.updates.get().body == "Limited service: we look into it."


def test_r213_the_door_lets_in_administrators_who_say_why_and_nobody_else(client: Client) -> None:
    incident = restricted()
    enter = reverse("admin:incidents_incident_enter", args=[incident.pk])
    desk.sit(client, *desk.ALL, name="kim")
    assert [client.get(desk.screen_of(incident)).status_code, client.post(enter).status_code] == [404, 404]
    boss = scene.operator("boss", is_superuser=True)
    client.force_login(boss)
    door = client.get(desk.screen_of(incident))
    html = door.content.decode()
    assert (door.status_code, "Let me in" in html, "stolen" in html) == (200, True, False)
    assert [client.get(desk.act_on(incident, "note")).status_code, client.get(enter).status_code] == [404, 405]
    blank = client.post(enter, desk.sent(door))
    assert mistakes(blank) == {"reason": ["Say why: those in charge read it."]}
    for _ in range(2):
        assert client.post(enter, desk.sent(door) | {"reason": "Alone."})["Location"] == desk.screen_of(incident)
    assert "stolen" in client.get(desk.screen_of(incident)).content.decode()
    assert incident.timeline.filter(verb=Verb.ADMITTED).count() == 1


def test_who_is_informed_of_security_needs_no_door(client: Client) -> None:
    incident = restricted()
    ciso = desk.sit(client, "view_incident", name="ciso")
    ciso.user_permissions.add(Permission.objects.get(codename="informed_of_security"))
    assert "stolen" in client.get(desk.screen_of(incident)).content.decode()


# --- alike ------------------------------------------------------------------------


def test_r1311_while_declaring_what_looks_like_it_is_shown(ann: Client) -> None:
    api = scene.component("API")
    known = scene.incident(title="Payments time out")
    typed = {f"levels-{api.pk}": Level.MAJOR.value, "title": "x"}
    answer = ann.post("/admin/incidents/incident/alike/", typed).content.decode()
    assert f"{known.reference} Payments time out" in answer
    assert "open, hits API too, 20 min ago" in answer
    assert desk.act_on(known, "update") in answer
    assert ann.post("/admin/incidents/incident/alike/", {}).content.decode().strip() == ""
    assert ann.get("/admin/incidents/incident/alike/").status_code == 405
    bad = ann.post(desk.ADD, desk.opened(ann, desk.ADD, **typed) | {"started_at": "nonsense"})
    assert f"{known.reference} Payments time out" in bad.content.decode()


def test_only_who_may_declare_asks(client: Client) -> None:
    desk.sit(client, "publish", name="role")
    assert client.post("/admin/incidents/incident/alike/", {}).status_code == 403


# --- all of them ------------------------------------------------------------------


def _ready(slug: str, other: Incident) -> tuple[Incident, dict[str, Any]]:
    """An incident on which the act is possible, and what is typed."""
    kim = str(scene.operator("kim").pk)
    incident = restricted() if slug in ("admit", "lift") else scene.incident()
    prepare: dict[str, Callable[[], object]] = {
        "hand-over": lambda: lifecycle.acknowledge(incident, by=scene.operator(), at=NIGHT),
        "unlink": lambda: lifecycle.link(incident, other, Tie.RELATED, by=None, at=NIGHT),
    }
    prepare.get(slug, lambda: None)()
    return fresh(incident), {
        "assign": {"role": "scribe", "person": kim},
        "hand-over": {"to": kim, "words": "So."},
        "restrict": {"public_title": "Limited", "reason": "So."},
        "admit": {"person": kim, "reason": "So."},
        "lift": {"reason": "So."},
        "link": {"other": other.reference, "tie": "part"},
        "unlink": {"other": str(other.pk)},
        "merge": {"into": other.reference},
    }[slug]


@pytest.mark.parametrize("slug", ["assign", "hand-over", "restrict", "admit", "lift", "link", "unlink", "merge"])
def test_f09_f11_sent_twice_it_happens_once_and_late_it_is_refused_with_what_changed(ann: Client, slug: str) -> None:
    other = scene.incident(at=NIGHT - timedelta(days=1))
    incident, typed = _ready(slug, other)
    url = desk.act_on(incident, slug)
    data = desk.opened(ann, url, **typed)
    lifecycle.note(incident, "Meanwhile.", by=None, at=NOW)
    Incident.objects.filter(pk=incident.pk).update(version=incident.version + 1)
    late = ann.post(url, data)
    assert (late.status_code, "Meanwhile." in late.content.decode()) == (409, True)
    data = desk.sent(late)
    first = ann.post(url, data)
    entries = incident.timeline.count()
    second = ann.post(url, data)
    assert (first.headers.get("Location"), second.headers.get("Location")) == (desk.screen_of(incident),) * 2
    assert incident.timeline.count() == entries
