"""Security incidents: who may know, who is told, and what outsiders read (R-213)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import override_settings

from incidents import lifecycle
from incidents.admin import chronicle
from incidents.enums import Role, Verb
from incidents.models import Incident, Insider, Obligation
from incidents.models.people import is_informed_of_security
from notifications import audit, fanout
from notifications.enums import Kind
from notifications.models import Announcement, Delivery
from status.enums import Level
from status.models import Notice
from status.page import press
from tests import scene
from tests.incidents.desk import fresh, last
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
LATER = NIGHT + minutes(10)


def person(name: str, informed: str = "", **changes: object) -> User:
    """Somebody of the staff; ``informed``: of security, "self" or by a "group"."""
    user = scene.operator(name, email=f"{name}@northwind.example", **changes)
    wanted = Permission.objects.get(codename="informed_of_security")
    if informed == "self":
        user.user_permissions.add(wanted)
    if informed == "group":
        legal, _ = Group.objects.get_or_create(name="Legal")
        legal.permissions.add(wanted)
        user.groups.add(legal)
    return user


def restrict(incident: Incident, by: User | None = None, people: list[User] | None = None) -> Incident:
    return lifecycle.restrict(
        incident, public_title="Some services are limited", people=people or [], reason="Breach.", by=by, at=LATER
    )


def who_knows(incident: Incident) -> set[str]:
    return {user.username for user in User.objects.all() if Incident.objects.visible_to(user).filter(pk=incident.pk)}


def test_r213_only_named_people_know_and_a_superuser_is_not_named() -> None:
    ann, kim, lee = person("ann"), person("kim"), person("lee")
    person("boss", is_superuser=True)
    person("ciso", "self")
    person("lawyer", "group")
    incident = scene.incident()
    lifecycle.assign(incident, Role.SCRIBE, lee, by=ann, at=NIGHT)
    restrict(incident, ann, [kim])
    assert who_knows(incident) == {"ann", "kim", "lee", "ciso", "lawyer"}
    lifecycle.assign(incident, Role.SCRIBE, None, by=ann, at=LATER)
    assert who_knows(incident) == {"ann", "kim", "ciso", "lawyer"}
    lifecycle.lift(incident, reason="It was public anyway.", by=ann, at=LATER)
    assert who_knows(incident) == {"ann", "kim", "lee", "boss", "ciso", "lawyer"}


def test_r213_what_is_owed_for_it_is_seen_by_the_same_people() -> None:
    ann, kim = person("ann"), person("kim")
    incident = restrict(scene.incident(), ann)
    seen = {user: Obligation.objects.visible_to(user).filter(incident=incident).exists() for user in (ann, kim)}
    assert seen == {ann: True, kim: False}


def test_the_permission_must_be_held_in_ones_own_name() -> None:
    boss, ciso, lawyer = person("boss", is_superuser=True), person("ciso", "self"), person("lawyer", "group")
    assert [is_informed_of_security(user) for user in (boss, ciso, lawyer)] == [False, True, True]


def test_r213_the_public_reads_another_title_from_now_on_on_the_page_too() -> None:
    incident = scene.incident(title="Customer database stolen")
    restrict(incident)
    incident = fresh(incident)
    assert incident.notice is not None
    assert (incident.title, incident.told_title) == ("Customer database stolen", "Some services are limited")
    assert (incident.is_restricted, incident.is_security, incident.notice.title) == (
        True,
        True,
        "Some services are limited",
    )
    assert incident.suggested_channel == "#incident-20261120-some-services-are-limited"
    for page in (press.render_page(LATER), press.render_notice(incident.notice.public_id, LATER)):
        assert page is not None
        assert (b"stolen" in page, b"Some services are limited" in page) == (False, True)


@override_settings(SITE_URL="https://status.northwind.example")
def test_r213_legal_and_ciso_get_one_letter_each_that_says_only_where() -> None:
    ciso = person("ciso", "self")
    ciso.groups.add(person("lawyer", "group").groups.get())
    person("gone", "self", is_active=False)
    scene.operator("mute").user_permissions.add(Permission.objects.get(codename="informed_of_security"))
    incident = scene.incident(title="Customer database stolen", public=False)
    restrict(incident, person("ann"))
    [letter] = Announcement.objects.filter(kind=Kind.LETTER)
    assert sorted(Delivery.objects.values_list("address", flat=True)) == [
        "ciso@northwind.example",
        "lawyer@northwind.example",
    ]
    assert letter.subject == f"Please look at {incident.reference}"
    assert letter.content["url"] == f"https://status.northwind.example/admin/incidents/incident/{incident.pk}/change/"
    assert "stolen" not in str(letter.content)
    said = incident.timeline.get(verb=Verb.INFORMED)
    assert (said.by, said.facts) == (None, {"people": ["Ciso", "Lawyer"], "missed": ["Mute"]})
    assert chronicle.changes(said) == ["Told: Ciso, Lawyer", "no address of Mute"]


def test_the_timeline_says_who_was_named_and_why() -> None:
    incident = scene.incident()
    restrict(incident, person("ann"), [person("kim")])
    said = incident.timeline.get(verb=Verb.RESTRICTED)
    assert (said.words, said.facts["people"]) == ("Breach.", ["Ann", "Kim"])
    rows = Insider.objects.order_by("user__username").values_list("user__username", "granted_by__username", "reason")
    assert list(rows) == [("ann", "ann", "Breach."), ("kim", "ann", "Breach.")]


def test_r213_declared_as_a_security_incident_it_is_never_seen_by_others() -> None:
    person("kim")
    incident = scene.incident(title="Customer database stolen", restricted=True, public_title="Limited service")
    assert who_knows(incident) == {"ann"}
    assert Notice.objects.get().title == "Limited service"
    assert [entry.verb for entry in incident.timeline.order_by("id")][:2] == [Verb.DECLARED, Verb.RESTRICTED]


def test_r213_no_public_word_without_a_public_title() -> None:
    with pytest.raises(lifecycle.NotAllowed):
        scene.incident(title="Customer database stolen", restricted=True)
    inside = scene.incident(title="Customer database stolen", restricted=True, public=False)
    assert inside.told_title == "Service incident"
    lifecycle.post_update(inside, scene.draft(), levels={}, by=None, at=LATER, override="Sure.")
    assert Notice.objects.get().title == "Service incident"
    lifecycle.lift(inside, reason="Known by now.", by=None, at=LATER)
    assert fresh(inside).told_title == "Service incident"


def test_r213_who_breaks_the_glass_is_let_in_and_it_is_told() -> None:
    ann, boss = person("ann"), person("boss", is_superuser=True)
    person("ciso", "self")
    incident = scene.incident(public=False)
    lifecycle.acknowledge(incident, by=ann, at=NIGHT)
    restrict(incident, ann)
    before = set(Delivery.objects.values_list("pk", flat=True))
    lifecycle.admit(incident, boss, reason="Nobody else is awake.", by=boss, at=LATER)
    assert who_knows(incident) == {"ann", "boss", "ciso"}
    told = Delivery.objects.exclude(pk__in=before).order_by("address").values_list("address", flat=True)
    assert list(told) == ["ann@northwind.example", "ciso@northwind.example"]
    said = incident.timeline.get(verb=Verb.ADMITTED)
    assert (said.words, said.by, said.facts) == ("Nobody else is awake.", boss, {"people": ["Boss"]})


def test_letting_somebody_in_writes_to_nobody() -> None:
    ann, kim = person("ann"), person("kim")
    incident = restrict(scene.incident(public=False), ann)
    lifecycle.admit(incident, kim, reason="Knows the database.", by=ann, at=LATER)
    assert (who_knows(incident), Delivery.objects.count(), last(incident).verb) == ({"ann", "kim"}, 0, Verb.ADMITTED)


Refused = Callable[[Incident, User], object]
CASES: dict[str, tuple[Refused, str]] = {
    "twice": (lambda one, ann: restrict(restrict(one, ann), ann), "INC-2026-0001 is restricted already."),
    "no title": (
        lambda one, ann: lifecycle.restrict(one, public_title=" ", people=[], reason="x", by=ann, at=LATER),
        "Say what outsiders read instead of the title.",
    ),
    "not restricted": (
        lambda one, ann: lifecycle.lift(one, reason="x", by=ann, at=LATER),
        "INC-2026-0001 is not restricted.",
    ),
    "open to all": (
        lambda one, ann: lifecycle.admit(one, ann, reason="x", by=ann, at=LATER),
        "INC-2026-0001 is not restricted: every colleague may know of it.",
    ),
    "knows": (
        lambda one, ann: lifecycle.admit(restrict(one, ann), ann, reason="x", by=ann, at=LATER),
        "Ann may know of it already.",
    ),
    "no reason": (
        lambda one, ann: lifecycle.admit(restrict(one), ann, reason=" ", by=ann, at=LATER),
        "Say why: the timeline keeps it.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused(case: str) -> None:
    act, why = CASES[case]
    with pytest.raises(lifecycle.NotAllowed) as refused:
        act(scene.incident(public=False), person("ann"))
    assert str(refused.value) == why


def test_r213_messages_with_the_old_title_that_have_not_left_are_held_back() -> None:
    """Nobody posts another update in time: what waits in a queue would still give it away."""
    scene.subscriber()
    ann = person("ann")
    incident = scene.incident(title="Customer database stolen")
    restrict(incident, ann)
    for row in Announcement.objects.filter(kind=Kind.INCIDENT):
        fanout.expand(row.pk)
    held = Delivery.objects.get(subscriber__address="reader@example.com")
    assert (held.fate, held.reason) == ("suppressed", "Held back: it must not be read any more.")
    assert incident.timeline.get(verb=Verb.RESTRICTED).facts == {"people": ["Ann"], "withheld": True}
    levels = {scene.component(): Level.MAJOR}
    lifecycle.post_update(fresh(incident), scene.draft("We go on."), levels=levels, by=ann, at=LATER)
    newest = Announcement.objects.filter(kind=Kind.INCIDENT).latest("seq")
    fanout.expand(newest.pk)
    assert ("stolen" in str(newest.content), newest.deliveries.get().fate) == (False, "pending")
    assert audit.audit(LATER).wrong == []
