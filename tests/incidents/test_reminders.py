"""Who owes it is reminded before it is due and told when it is broken, once each (R-302)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from pytest_django import DjangoAssertNumQueries, Settings

from incidents import clock, lifecycle, reminders
from incidents.enums import DutyKind, Role, Start, Verb
from incidents.models import Assignment, Incident, Insider, Maintenance, Obligation
from incidents.tasks import remind
from notifications.enums import Channel
from notifications.models import Announcement, Colleague, Delivery
from notifications.texts import compile_text
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
RESPOND = {"kind": DutyKind.RESPOND, "amount": 20, "limit": 30, "owner_role": "On-call engineer"}
UPDATE = {"kind": DutyKind.FIRST_UPDATE, "amount": 20, "limit": 30, "owner_role": "Communications lead"}


def person(name: str) -> User:
    return scene.operator(name, email=f"{name}@northwind.example")


@pytest.fixture(autouse=True)
def ann() -> User:
    """She declares."""
    return person("ann")


def owing(*duties: dict[str, Any], **changes: Any) -> Incident:
    code = f"P{len(duties)}"
    return scene.incident(severity=scene.severity(code, duties=list(duties) or [RESPOND]), public=False, **changes)


def assign(incident: Incident, role: Role, user: User) -> None:
    Assignment.objects.create(incident=incident, role=role, user=user, since=NIGHT)


def letters() -> list[tuple[str, str]]:
    """(address, heading), in the order in which they were written."""
    rows = Delivery.objects.filter(announcement__lane__startswith="staff:").order_by("pk")
    return [(row.address, row.announcement.subject) for row in rows.select_related("announcement")]


def told(incident: Incident) -> list[tuple[str, str]]:
    return list(
        incident.timeline.filter(verb__in=[Verb.REMINDED, Verb.BROKEN]).order_by("pk").values_list("verb", "words")
    )


def words() -> str:
    content = Announcement.objects.filter(lane__startswith="staff:").latest("pk").content
    return "\n".join([content["heading"], *content["paragraphs"], content["sms"], content["url"]])


def test_r302_reminded_before_it_is_due_and_told_when_it_is_broken_once_each() -> None:
    incident = owing()
    # A quarter of 20 minutes ahead.
    assert reminders.sweep(NIGHT + minutes(14.9)) == 0
    assert [reminders.sweep(NIGHT + minutes(when)) for when in (15, 16, 29, 30)] == [1, 0, 0, 0]
    assert letters() == [("ann@northwind.example", f"Due soon: Respond, {incident.reference}")]
    assert [reminders.sweep(NIGHT + minutes(when)) for when in (30.1, 31, 3_000)] == [1, 0, 0]
    assert letters()[1:] == [("ann@northwind.example", f"Broken: Respond, {incident.reference}")]
    due, broken = "Respond: due at 03:20 UTC on 20 November", "broken since 03:30 UTC on 20 November"
    assert told(incident) == [
        ("reminded", f"{due}, broken at 03:30 UTC on 20 November. Ann was told."),
        ("broken", f"{due}, {broken}. Ann was told."),
    ]
    row = incident.obligations.get()
    assert (row.reminded_at, row.broken_at) == (NIGHT + minutes(15), NIGHT + minutes(30.1))


@pytest.mark.parametrize(("amount", "ahead"), [(4, 1), (20, 5), (40, 10), (240, 10)])
def test_r302_the_lead_is_a_quarter_of_the_time_and_ten_minutes_at_most(amount: int, ahead: int) -> None:
    incident = owing(RESPOND | {"amount": amount, "limit": None})
    assert reminders.lead(incident.obligations.get()) == minutes(ahead)


def test_r302_what_is_due_at_once_is_reminded_of_at_once() -> None:
    owing(RESPOND | {"amount": 0, "limit": 5})
    assert reminders.sweep(NIGHT) == 1


def test_f13_after_a_day_off_only_the_newest_notice_is_sent() -> None:
    incident = owing()
    assert reminders.sweep(NIGHT + timedelta(days=1)) == 1
    assert [subject for _, subject in letters()] == [f"Broken: Respond, {incident.reference}"]
    assert reminders.sweep(NIGHT + timedelta(days=2)) == 0


def test_r302_several_notices_for_one_person_are_one_letter_the_broken_first() -> None:
    first = owing(RESPOND | {"amount": 30, "limit": 60}, UPDATE)
    reminders.sweep(NIGHT + minutes(31))
    assert letters() == [("ann@northwind.example", "What you owe: 1 broken, 1 due soon")]
    content = Announcement.objects.get(lane__startswith="staff:").content
    assert [paragraph.split("\n")[1] for paragraph in content["paragraphs"]] == [
        "First public update: due at 03:20 UTC on 20 November, broken since 03:30 UTC on 20 November.",
        "Respond: due at 03:30 UTC on 20 November, broken at 04:00 UTC on 20 November.",
    ]
    assert content["url"].endswith("/admin/")
    assert {verb for verb, _ in told(first)} == {Verb.REMINDED, Verb.BROKEN}


def test_r302_whoever_holds_the_role_is_told_else_the_commander_else_who_declared_it() -> None:
    ben, cy = person("ben"), person("cy")
    incident = owing(RESPOND, UPDATE)
    assign(incident, Role.COMMUNICATIONS, ben)
    assign(incident, Role.COMMANDER, cy)
    reminders.sweep(NIGHT + minutes(16))
    assert dict(letters()) == {
        "ben@northwind.example": f"Due soon: First public update, {incident.reference}",
        "cy@northwind.example": f"Due soon: Respond, {incident.reference}",
    }
    # Who handed the role over owes no more.
    Assignment.objects.update(until=NIGHT + minutes(20))
    reminders.sweep(NIGHT + minutes(31))
    assert letters()[2:] == [("ann@northwind.example", "What you owe: 2 broken")]


def test_r302_who_cannot_be_reached_is_passed_over_and_nobody_is_silently_forgotten(ann: User) -> None:
    incident = owing()
    assign(incident, Role.TECHNICAL, scene.operator("mute"))
    reminders.sweep(NIGHT + minutes(15))
    assert [address for address, _ in letters()] == ["ann@northwind.example"]
    User.objects.update(is_active=False)
    reminders.sweep(NIGHT + minutes(31))
    assert len(letters()) == 1
    assert told(incident)[1][1].endswith("Nobody who owes it can be reached.")


def test_r302_each_on_their_own_channel(ann: User, settings: Settings) -> None:
    settings.SMS_PROVIDER = "sns"
    settings.SNS = settings.SNS | {"region": "us-east-1"}
    Colleague.objects.create(user=ann, channel=Channel.SMS, phone="+12125550101")
    incident = owing()
    reminders.sweep(NIGHT + minutes(31))
    row = Delivery.objects.get(announcement__lane__startswith="staff:")
    assert (row.channel, row.address) == ("sms", "+12125550101")
    assert compile_text(row.announcement, Channel.SMS) == (
        f"Northwind: {incident.reference} Respond: due at 03:20 UTC on 20 November, "
        "broken since 03:30 UTC on 20 November. "
        f"{settings.SITE_URL}/admin/incidents/incident/{incident.pk}/act/acknowledge/"
    )


def test_r213_a_restricted_incident_is_not_named_and_told_only_to_who_is(ann: User) -> None:
    ben = person("ben")
    incident = owing(title="Somebody is in the database")
    assign(incident, Role.COMMANDER, ben)
    Incident.objects.update(is_restricted=True)
    reminders.sweep(NIGHT + minutes(15))
    assert [address for address, _ in letters()] == ["ben@northwind.example"]
    assert "database" not in words()
    assert incident.reference in words()
    Assignment.objects.update(until=NIGHT)
    # Ann declared it, and is named no more than anybody.
    reminders.sweep(NIGHT + minutes(31))
    assert len(letters()) == 1
    Obligation.objects.update(broken_at=None)
    Insider.objects.create(incident=incident, user=ann, granted_at=NIGHT)
    reminders.sweep(NIGHT + minutes(32))
    assert letters()[1][0] == "ann@northwind.example"


def test_r213_who_is_informed_of_security_may_be_told(ann: User) -> None:
    owing()
    Incident.objects.update(is_restricted=True)
    ann.user_permissions.add(Permission.objects.get(codename="informed_of_security"))
    reminders.sweep(NIGHT + minutes(15))
    assert len(letters()) == 1


def test_r111_words_that_must_not_go_out_do_not_stop_the_sweep() -> None:
    incident = owing(title="Nothing for {{customer}}")
    reminders.sweep(NIGHT + minutes(15))
    assert letters() == [("ann@northwind.example", f"Due soon: Respond, {incident.reference}")]
    assert "customer" not in words()


def test_outside_the_console_the_public_title_is_read() -> None:
    incident = owing()
    Incident.objects.update(public_title="Log-in is slow")
    reminders.sweep(NIGHT + minutes(15))
    assert f"{incident.reference} Log-in is slow" in words()


def test_a_letter_leads_to_the_incident_and_to_the_act_that_meets_it(settings: Settings) -> None:
    incident = owing({"kind": DutyKind.ESCALATE, "amount": 20})
    reminders.sweep(NIGHT + minutes(15))
    place = f"{settings.SITE_URL}/admin/incidents/incident/{incident.pk}"
    row = incident.obligations.get()
    content = Announcement.objects.get(lane__startswith="staff:").content
    assert content["url"] == f"{place}/act/met/?obligation={row.pk}"
    assert content["paragraphs"][0].endswith(f"Everything about it: {place}/change/")


def test_what_was_met_or_waived_meanwhile_is_not_told() -> None:
    ann = scene.operator()
    lifecycle.acknowledge(owing(), by=ann, at=NIGHT + minutes(1))
    other = owing(RESPOND, UPDATE)
    for row in other.obligations.all():
        lifecycle.waive(other, row, reason="A drill", by=ann, at=NIGHT + minutes(1))
    assert reminders.sweep(NIGHT + minutes(31)) == 0
    assert letters() == []


def test_f13_a_sweep_that_failed_has_told_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    incident = owing()
    with monkeypatch.context() as broken:
        broken.setattr(reminders.timeline, "record_by_itself", lambda entries: _fail())
        with pytest.raises(RuntimeError):
            reminders.sweep(NIGHT + minutes(15))
    assert letters() == told(incident) == []
    assert reminders.sweep(NIGHT + minutes(16)) == 1


def _fail() -> None:
    raise RuntimeError("the disk is full")


def test_what_has_no_date_is_never_told() -> None:
    incident = owing({"kind": DutyKind.ESCALATE})
    assert incident.obligations.get().due_at is None
    assert reminders.sweep(NIGHT + timedelta(days=400)) == 0


def test_r501_a_maintenance_reminds_who_planned_it(ann: User) -> None:
    duty = {"kind": DutyKind.END_UPDATE, "amount": 0, "starts_from": Start.PLANNED_END}
    work = Maintenance.objects.create(
        reference="MNT-2026-0001",
        title="New disks",
        severity=scene.severity("M", 4, duties=[duty]),
        brand=scene.brand(),
        planned_start_at=NIGHT,
        planned_end_at=NIGHT + minutes(60),
        scheduled_by=ann,
        scheduled_at=NIGHT - timedelta(days=8),
    )
    clock.open_maintenance_duties(work, at=NIGHT - timedelta(days=8))
    clock.meet_maintenance(work, DutyKind.MAINTENANCE_NOTICE, by=ann, at=NIGHT - timedelta(days=8))
    assert reminders.sweep(NIGHT + minutes(50)) == 1
    assert letters() == [("ann@northwind.example", "Due soon: Update at the end, MNT-2026-0001")]


def test_a_quiet_sweep_is_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    owing()
    with django_assert_num_queries(1):
        reminders.sweep(NIGHT)


def test_a_sweep_costs_the_same_for_many_of_one_person(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    for n in range(30):
        owing(title=f"Trouble {n}")
    with django_assert_max_num_queries(24):
        assert reminders.sweep(NIGHT + minutes(31)) == 30
    content = Announcement.objects.get(lane__startswith="staff:").content
    assert content["paragraphs"][-1] == "And 20 more."


def test_the_timetable_asks_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[datetime] = []
    monkeypatch.setattr(reminders, "sweep", asked.append)
    remind()
    assert len(asked) == 1
    assert asked[0].tzinfo is not None


@pytest.mark.django_db(transaction=True)
def test_f13_what_another_sweep_has_told_is_not_told_again() -> None:
    owing()
    with transaction.atomic():
        assert reminders.sweep(NIGHT + minutes(15)) == 1
    assert reminders.sweep(NIGHT + minutes(15)) == 0
    assert len(letters()) == 1
