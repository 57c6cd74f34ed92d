"""How well obligations and promises were kept, and where practice drifts from the policy (R-303, R-1301, R-1312)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from incidents import drift, reports
from incidents.enums import DutyKind, MaintenanceState, State, Unit
from incidents.models import Incident, Maintenance, Obligation, Severity
from incidents.reports import Period, PeriodError, Tally, period
from status.models import Notice, NoticeUpdate
from tests import scene
from tests.scene import NIGHT, minutes

pytestmark = pytest.mark.django_db
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 1))
AT = NIGHT + timedelta(days=5)


def incident(severity: Severity | None = None, *, at: datetime = NIGHT, **changes: Any) -> Incident:
    """One that owes nothing yet."""
    made = scene.incident(severity=severity or scene.severity("P0", 1, duties=[]), at=at, public=False)
    made.obligations.all().delete()
    Incident.objects.filter(pk=made.pk).update(**changes)
    return made


def owed(of: Incident, kind: DutyKind = DutyKind.RESPOND, *, limit: datetime = NIGHT, **changes: Any) -> Obligation:
    values = {"opened_at": limit - minutes(30), "due_at": limit, "limit_at": limit} | changes
    return Obligation.objects.create(incident=of, kind=kind, **values)


def tallies(report: reports.Report) -> dict[tuple[str, str, str], Tally]:
    return {(f"{line.month:%Y-%m}", line.severity, line.kind.value): line.tally for line in report.lines}


def reader(client: Client, *rights: str) -> User:
    user = scene.operator("rita")
    user.user_permissions.set(Permission.objects.filter(codename__in=rights or ("view_obligation",)))
    client.force_login(user)
    return user


# --- obligations -------------------------------------------------------------------------------


def test_r303_what_was_owed_is_kept_broken_waived_or_open() -> None:
    ann = scene.operator()
    kept, late, dropped_late, waived, let_go, overdue, waiting = (incident() for _ in range(7))
    owed(kept, met_at=NIGHT, met_by=ann)
    owed(late, met_at=NIGHT + minutes(10))
    owed(dropped_late, dropped_at=NIGHT + minutes(30))
    owed(waived, dropped_at=NIGHT, waived_by=ann)
    owed(let_go, dropped_at=NIGHT - minutes(1))
    owed(overdue, limit=AT - minutes(20))
    owed(waiting, limit=AT)
    found = reports.obligations(NOVEMBER, at=AT)
    assert tallies(found) == {
        ("2026-11", "P0", "respond"): Tally(kept=1, broken=3, waived=1, open=1, average=minutes(20), median=minutes(20))
    }
    assert (found.total.owed, found.total.share) == (6, 0.25)
    assert found.months == [(date(2026, 11, 1), Tally(kept=1, broken=3, waived=1, open=1))]


def test_what_was_waived_after_it_broke_stays_broken() -> None:
    owed(incident(), dropped_at=NIGHT + minutes(4), waived_by=scene.operator())
    assert reports.obligations(NOVEMBER, at=AT).total == Tally(broken=1)


@pytest.mark.parametrize(("lates", "median"), [([1], 1), ([1, 9], 5), ([9, 1, 2], 2), ([1, 2, 4, 40], 3)])
def test_the_median_of_few_and_of_many(lates: list[int], median: float) -> None:
    for late in lates:
        owed(incident(), met_at=NIGHT + minutes(late))
    for late in (100, 200):
        owed(incident(), DutyKind.RESOLVE, met_at=NIGHT + minutes(late))
    found = tallies(reports.obligations(NOVEMBER, at=AT))
    assert found[("2026-11", "P0", "respond")].median == minutes(median)
    assert found[("2026-11", "P0", "resolve")].median == minutes(150)


def test_months_are_utcs_by_the_moment_it_would_break() -> None:
    end = datetime(2026, 11, 1, tzinfo=UTC)
    owed(incident(), limit=end - timedelta(seconds=1), met_at=NIGHT)
    owed(incident(), limit=end, met_at=end)
    owed(incident(), limit=datetime(2026, 12, 1, tzinfo=UTC), met_at=end)
    found = reports.obligations(Period(date(2026, 10, 1), date(2026, 11, 1)), at=AT)
    assert [(f"{month:%Y-%m}", tally.kept, tally.broken) for month, tally in found.months] == [
        ("2026-10", 0, 1),
        ("2026-11", 1, 0),
    ]


def test_false_alarms_and_duplicates_are_left_out_and_what_has_no_date_too() -> None:
    real = incident()
    owed(incident(state=State.FALSE_ALARM))
    owed(incident(state=State.MERGED, merged_into=real))
    Obligation.objects.create(incident=real, kind=DutyKind.RESOLVE, opened_at=NIGHT)
    assert reports.obligations(NOVEMBER, at=AT).lines == []


def test_maintenance_counts_by_its_level_or_by_none() -> None:
    for n, level in enumerate((scene.severity("maintenance", 4, duties=[], is_maintenance=True), None)):
        work = Maintenance.objects.create(
            reference=f"MNT-2026-{n}",
            title="Disks",
            severity=level,
            brand=scene.brand(),
            state=MaintenanceState.COMPLETED,
            planned_start_at=NIGHT,
            planned_end_at=NIGHT + minutes(60),
            scheduled_at=NIGHT,
        )
        Obligation.objects.create(
            maintenance=work, kind=DutyKind.START_UPDATE, opened_at=NIGHT, due_at=NIGHT, limit_at=NIGHT, met_at=NIGHT
        )
    assert {key[1]: tally.kept for key, tally in tallies(reports.obligations(NOVEMBER, at=AT)).items()} == {
        "maintenance": 1,
        "": 1,
    }


def test_severity_and_kind_narrow_it_and_a_level_is_the_same_in_every_version() -> None:
    p0, p1 = scene.severity("P0", 1, duties=[]), scene.severity("P1", 2, duties=[])
    for level in (p0, p1):
        for kind in (DutyKind.RESPOND, DutyKind.RESOLVE):
            owed(incident(level), kind, met_at=NIGHT)
    only = reports.obligations(NOVEMBER, at=AT, severity=p1, kinds=[DutyKind.RESOLVE])
    assert list(tallies(only)) == [("2026-11", "P1", "resolve")]
    assert [str(level) for level in reports.choices()] == ["P0", "P1"]


@pytest.mark.parametrize(
    ("first", "last", "error"),
    [
        ("2026-13", "", ("from", "Write a month like 2026-01.")),
        ("", "11/2026", ("to", "Write a month like 2026-01.")),
        ("2026-05", "2026-04", ("from", "It begins after it ends.")),
        ("2021-11", "2026-11", ("from", "At most 60 months at once.")),
    ],
)
def test_what_is_no_span_of_months_is_refused_at_its_field(first: str, last: str, error: tuple[str, str]) -> None:
    with pytest.raises(PeriodError) as refused:
        period(first, last, at=AT)
    assert (refused.value.name, str(refused.value)) == error


def test_without_a_span_the_last_twelve_months_are_meant() -> None:
    assert period("", "", at=AT) == Period(date(2025, 12, 1), date(2026, 11, 1))
    assert len(period("2021-12", "2026-11", at=AT).months) == 60
    assert period("", "", at=AT).end == datetime(2026, 12, 1, tzinfo=UTC)


# --- promises ----------------------------------------------------------------------------------


def say(notice: Notice, at: datetime, promise: datetime | None, **changes: Any) -> NoticeUpdate:
    seq = notice.updates.count() + 1
    return NoticeUpdate.objects.create(
        notice=notice, seq=seq, phase="investigating", body="x", posted_at=at, next_update_by=promise, **changes
    )


def public() -> Notice:
    made = scene.incident(severity=scene.severity("P0", 1, duties=[]))
    assert made.notice is not None
    made.notice.updates.all().delete()
    return made.notice


def test_r1301_promises_are_counted_from_the_public_book() -> None:
    notice = public()
    first = say(notice, NIGHT, NIGHT + minutes(30))
    # Corrected meanwhile: that is no next update, and its promise is not counted twice.
    say(notice, NIGHT + minutes(5), NIGHT + minutes(30), corrects=first)
    say(notice, NIGHT + minutes(30), NIGHT + minutes(60))
    say(notice, NIGHT + minutes(61), None)
    say(public(), NIGHT, NIGHT + minutes(15))
    say(public(), NIGHT, AT + minutes(1))
    withdrawn = public()
    say(withdrawn, NIGHT, NIGHT + minutes(15))
    Notice.objects.filter(pk=withdrawn.pk).update(withdrawn_at=AT)
    assert reports.promises(NOVEMBER, at=AT) == {date(2026, 11, 1): Tally(kept=1, broken=2, open=1)}


# --- the page, the file, the call --------------------------------------------------------------


@pytest.fixture
def some() -> None:
    owed(incident(), met_at=NIGHT)
    owed(incident(), met_at=NIGHT + minutes(90))


@pytest.mark.usefixtures("some")
@time_machine.travel(AT, tick=False)
def test_r303_the_page_shows_what_was_kept(client: Client) -> None:
    reader(client)
    page = client.get(reverse("desk:obligations"), {"from": "2026-10", "to": "2026-11"})
    text = page.content.decode()
    assert "50 %" in text
    assert "1 h 30 min" in text
    assert "Not enough has happened yet" in text
    narrowed = client.get(reverse("desk:obligations"), {"kind": "resolve"}).content.decode()
    assert "Nothing was owed in these months." in narrowed


@time_machine.travel(AT, tick=False)
def test_a_wrong_filter_is_said_at_its_field_and_stays_as_typed(client: Client) -> None:
    reader(client)
    page = client.get(reverse("desk:obligations"), {"from": "<b>", "severity": "9", "kind": "x"})
    assert page.status_code == 200
    assert page.context["asked"].errors == {
        "from": "Write a month like 2026-01.",
        "severity": "There is no such severity.",
        "kind": "There is no such kind.",
    }
    assert 'value="&lt;b&gt;"' in page.content.decode()
    assert client.get(reverse("desk:obligations_csv"), {"to": "x"}).status_code == 400


@pytest.mark.usefixtures("some")
@time_machine.travel(AT, tick=False)
def test_r303_the_file_is_harmless_to_a_spreadsheet(client: Client) -> None:
    reader(client)
    for n, name in enumerate(("=1+1", "@sum", "+1", "-1", "\ttab", "\rcr")):
        level = scene.severity(f"X{n}", 1, duties=[])
        level.version.policy.name = name
        level.version.policy.save()
        owed(incident(level), met_at=NIGHT)
    file = client.get(reverse("desk:obligations_csv"), {"from": "2026-11", "to": "2026-11"})
    assert file["Content-Disposition"] == 'attachment; filename="obligations-2026-11-2026-11.csv"'
    assert file["Content-Type"] == "text/csv; charset=utf-8"
    lines = file.content.decode().split("\r\n")
    assert lines[0].startswith("month,policy,severity,kind,owed,kept")
    assert "2026-11,Policy of P0,P0,Respond,2,1,1,0,0,50.0,90.0,90.0" in lines
    cells = {line.split(",")[1] for line in lines[1:] if line.startswith("2026-11")}
    assert {"'=1+1", "'@sum", "'+1", "'-1", "'\ttab"} <= cells
    assert "'\rcr" in file.content.decode()


@pytest.mark.usefixtures("some")
@time_machine.travel(AT, tick=False)
def test_r303_one_call_answers_the_same(client: Client) -> None:
    reader(client)
    say(public(), NIGHT, NIGHT + minutes(15))
    answer = client.get("/api/v1/reports/obligations?from=2026-11&to=2026-11")
    tally = {"kept": 1, "broken": 1, "waived": 0, "open": 0}
    assert answer.json() == {
        "from": "2026-11",
        "to": "2026-11",
        "zone": "UTC",
        "total": tally | {"owed": 2, "share_kept": 0.5, "late_average_minutes": None, "late_median_minutes": None},
        "lines": [
            {"month": "2026-11", "policy": "Policy of P0", "severity": "P0", "kind": "respond"}
            | tally
            | {"owed": 2, "share_kept": 0.5, "late_average_minutes": 90.0, "late_median_minutes": 90.0}
        ],
        "promises": [
            {
                "month": "2026-11",
                "owed": 1,
                "kept": 0,
                "broken": 1,
                "waived": 0,
                "open": 0,
                "share_kept": 0.0,
                "late_average_minutes": None,
                "late_median_minutes": None,
            }
        ],
    }
    assert client.get("/api/v1/reports/obligations?severity=P0&kind=resolve").json()["lines"] == []
    for query, field in (
        ("from=x", "from"),
        ("kind=x", "kind"),
        ("severity=2", "severity"),
        ("severity=zz", "severity"),
    ):
        refused = client.get(f"/api/v1/reports/obligations?{query}")
        assert (refused.status_code, list(refused.json())) == (400, [field])


def test_who_may_not_see_obligations_sees_no_report(client: Client) -> None:
    reader(client, "view_incident")
    for name in ("desk:obligations", "desk:obligations_csv", "api:obligations"):
        assert client.get(reverse(name)).status_code == 403
    client.logout()
    assert client.get(reverse("desk:obligations")).status_code == 302
    assert client.get(reverse("api:obligations")).status_code == 403


def test_r213_restricted_incidents_are_counted_and_not_named(client: Client) -> None:
    reader(client)
    secret = incident(is_restricted=True, title="The key was stolen")
    owed(secret, met_at=NIGHT)
    with time_machine.travel(AT, tick=False):
        page = client.get(reverse("desk:obligations")).content.decode()
    assert reports.obligations(NOVEMBER, at=AT).total.kept == 1
    assert "stolen" not in page
    assert secret.reference not in page


def test_the_queries_do_not_grow_with_what_was_owed() -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            reports.obligations(NOVEMBER, at=AT)
            drift.drifts()
        return len(asked)

    level = scene.severity("P0", 1)
    owed(incident(level), met_at=NIGHT)
    few = cost()
    for n in range(12):
        owed(incident(level), list(DutyKind)[n % 4], met_at=NIGHT + minutes(n))
    assert cost() == few == 7


# --- drift -------------------------------------------------------------------------------------


def level(code: str = "P0", **duty: Any) -> Severity:
    return scene.severity(code, 1, duties=[{"kind": DutyKind.RESPOND, "amount": 15, "unit": Unit.MINUTES} | duty])


def took(severity: Severity, *lengths: float, **changes: Any) -> None:
    """Incidents, oldest first, that met the level's only duty after so many minutes."""
    duty = severity.duties.get()
    length = {Unit.MINUTES: minutes(1), Unit.HOURS: minutes(60), Unit.DAYS: minutes(1440)}.get(Unit(duty.unit))
    for n, one in enumerate(lengths):
        at = NIGHT + timedelta(hours=n)
        due = at + (duty.amount or 0) * (length or timedelta())
        values = {"duty": duty, "opened_at": at, "due_at": due, "met_at": at + minutes(one)} | changes
        owed(incident(severity, at=at), DutyKind(duty.kind), limit=due, **values)


def said() -> list[str]:
    return [one.sentence for one in drift.drifts()]


def test_r1312_your_policy_says_15_your_last_ten_averaged_31() -> None:
    took(level(), 500, 500, *(31 for _ in range(10)))
    (found,) = drift.drifts()
    assert found.sentence == "Your policy says 15 min, your last ten averaged 31."
    assert (found.cases, found.is_over, round(found.factor, 2)) == (10, True, 2.07)


@pytest.mark.parametrize(
    ("duty", "lengths", "sentence"),
    [
        ({}, (10, 20, 30), "Your policy says 15 min, your last three averaged 20."),
        ({"limit": 30}, (10, 20, 30, 40), "Your policy says 15–30 min, your last four averaged 25."),
        (
            {"amount": 4, "unit": Unit.HOURS},
            (300, 330, 360),
            "Your policy says 4 h, your last three averaged 5.5.",
        ),
        ({"amount": 4, "unit": Unit.HOURS}, (20, 20, 23), "Your policy says 4 h, your last three averaged 21 min."),
        ({"amount": 7, "unit": Unit.DAYS}, (14400,) * 5, "Your policy says 7 days, your last five averaged 10."),
        ({"amount": 0}, (3, 4, 5), "Your policy says at once, your last three averaged 4 min."),
    ],
)
def test_r1312_the_sentence_is_exact(duty: dict[str, Any], lengths: tuple[int, ...], sentence: str) -> None:
    took(level(**duty), *lengths)
    assert said() == [sentence]


def test_two_cases_say_nothing() -> None:
    took(level(), 31, 31)
    assert said() == []


def test_what_is_no_measure_of_the_team_is_left_out() -> None:
    mine = level()
    took(mine, 31, 31, promised=True)
    took(mine, 31, 31, opened_at=NIGHT + timedelta(days=1))
    took(mine, 31, 31, met_at=None)
    took(mine, 99)
    Incident.objects.filter(obligations__met_at=F("obligations__due_at") + minutes(84)).update(state=State.FALSE_ALARM)
    took(mine, 20, 20, 20)
    assert said() == ["Your policy says 15 min, your last three averaged 20."]


def test_working_days_are_no_length_of_time() -> None:
    took(level(amount=5, unit=Unit.BUSINESS_DAYS), 1, 2, 3)
    assert said() == []


def test_r1312_the_worst_comes_first() -> None:
    took(level("P0"), 20, 20, 20)
    took(level("P1"), 60, 60, 60)
    took(level("P2"), 5, 5, 5)
    assert [(one.duty.severity.code, one.is_over) for one in drift.drifts()] == [
        ("P1", True),
        ("P0", True),
        ("P2", False),
    ]


def test_r1312_the_policy_page_says_it_too(admin_client: Client) -> None:
    mine = level()
    took(mine, 31, 31, 31)
    took(level("P1"), 99, 99, 99)
    page = admin_client.get(reverse("admin:incidents_policy_change", args=[mine.version.policy_id])).content.decode()
    assert "Your policy says 15 min, your last three averaged 31." in page
    assert "averaged 99" not in page
