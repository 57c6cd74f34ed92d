"""The screens of credit rules and dry runs, and what programs ask of them (R-901, R-1203, R-1308)."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from notifications import bell
from postmortems.credits.rules import dryrun, rulebooks, rulewords
from postmortems.enums import RuleStanding
from postmortems.models import RuleBook, RuleVersion, Run
from tests.postmortems import stage
from tests.postmortems.test_dryrun import month, stricter

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 21, 9, tzinfo=UTC)


def url(name: str, *args: object) -> str:
    return reverse(f"admin:postmortems_rulebook_{name}", args=args)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def finance() -> Client:
    return signed_in(stage.finance())


@pytest.fixture
def reader() -> Client:
    return signed_in(stage.finance("reader", "view_rulebook", "view_ruleversion"))


@pytest.fixture
def draft() -> RuleVersion:
    return rulebooks.start_draft(stage.rules().book, by=stage.finance("ann"), at=AT)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> list[tuple[str, int]]:
    """Which bells were rung."""
    heard: list[tuple[str, int]] = []
    monkeypatch.setattr(bell, "ring", lambda task, pk: heard.append((task, pk)))
    return heard


def messages(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def filled(client: Client, address: str, **changes: str) -> dict[str, str]:
    """What a browser would send of the draft's form, with changes (``__`` stands for ``-``)."""
    form = client.get(address).context["form"]
    sent = {field.html_name: str(field.value()) for field in form if field.value() is not None}
    sent |= {f"{measure}-rows": str(count) for measure, count in form.counts.items()}
    return sent | {name.replace("__", "-"): value for name, value in changes.items()}


# --- to read -------------------------------------------------------------------------------


def test_the_list_says_what_is_in_force_next_and_drafted(
    finance: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    house = stage.rules()
    stage.rules(applies_from=date(2099, 1, 1))
    stage.rules(own=True, name="ACME")
    stage.rules(plan="Gold")
    rulebooks.start_draft(house.book, by=None, at=AT)
    with django_assert_max_num_queries(14):
        page = finance.get(url("changelist"))
    shown = page.context["cl"].model_admin
    rows = {
        book.name: (shown.meant_for(book), shown.shown_in_force(book), shown.shown_next(book))
        for book in page.context["cl"].result_list
    }
    assert rows == {
        "ACME": ("Single contracts", "v1 for all months", "—"),
        "enterprise-sla": (
            "Enterprise SLA, plans without rules of their own", "v1 for all months", "v2 for months from January 2099",
        ),
        "enterprise-sla Gold": ("Enterprise SLA, plan Gold", "v1 for all months", "—"),
    }  # fmt: skip


def test_a_book_reads_as_sentences(reader: Client, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    first = stage.rules()
    second = stage.rules(tiers=[(1, "P0", timedelta(hours=2), "20")])
    with django_assert_max_num_queries(12):
        page = reader.get(url("change", first.book_id))
    assert [(row.what, row.says) for row in page.context["tiers"]] == [
        ("P0 longer than 2 h", "20 % of the month's fee")
    ]
    assert [(one.number, standing, len(changes)) for one, _, changes, (_, standing) in page.context["versions"]] == [
        (2, "In force", 4), (1, "Earlier", 0),
    ]  # fmt: skip
    assert not page.context["may_write"]
    read = reader.get(url("version", second.pk))
    assert [change[0] for change in read.context["changes"]] == [
        "P0 longer than 1 h", "P0 longer than 4 h", "P1 or worse longer than 4 h", "P0 longer than 2 h",
    ]  # fmt: skip


def test_whoever_only_reads_changes_nothing(reader: Client, draft: RuleVersion) -> None:
    book = draft.book_id
    refused = [
        reader.get(url("add")),
        reader.post(url("draft", book)),
        reader.post(url("discard", draft.pk)),
        reader.get(url("force", draft.pk)),
        reader.post(url("force", draft.pk), {"start": "ever"}),
        reader.post(url("dryruns"), {}),
        reader.post(reverse("api:dry_runs"), {}, content_type="application/json"),
    ]
    assert [response.status_code for response in refused] == [403] * len(refused)
    reader.post(url("version", draft.pk), {"cap_percent": "1"})
    draft.refresh_from_db()
    assert (draft.is_draft, draft.cap_percent) == (True, 100)


def test_strangers_see_nothing_and_screens_need_a_login(draft: RuleVersion) -> None:
    stranger = signed_in(stage.finance("support", "view_credit"))
    pages = [url("changelist"), url("change", draft.book_id), url("version", draft.pk), url("dryruns")]
    assert [stranger.get(page).status_code for page in pages] == [403] * 4
    assert [Client().get(page).status_code for page in pages] == [302] * 4


def test_to_change_rules_is_not_to_put_them_in_force(draft: RuleVersion) -> None:
    writer = signed_in(stage.finance("writer", "view_rulebook", "view_ruleversion", "change_ruleversion"))
    assert not writer.get(url("version", draft.pk)).context["may_force"]
    assert writer.post(url("force", draft.pk), {"start": "ever"}).status_code == 403


# --- to write --------------------------------------------------------------------------------


def test_a_new_book_opens_its_draft(finance: Client) -> None:
    asked = finance.get(url("add"))
    assert asked.status_code == 200
    told = finance.post(url("add"), {"name": "Gold", "policy": str(stage.policy_b().pk), "plan": "Gold"}, follow=True)
    version = RuleVersion.objects.get()
    assert told.redirect_chain == [(url("version", version.pk), 302)]
    assert messages(told) == ["Gold are there, with an empty draft. Fill it, then put it in force."]
    again = finance.post(url("add"), {"name": "Gold 2", "policy": str(stage.policy_b().pk), "plan": "Gold"})
    assert again.context["form"].errors == {
        "policy": ["“Gold” is of this policy and plan already. Start a new version of it."]
    }
    assert again.context["form"]["name"].value() == "Gold 2"
    assert RuleBook.objects.count() == 1


def test_the_draft_is_typed_as_people_write(finance: Client, draft: RuleVersion) -> None:
    address = url("version", draft.pk)
    sent = filled(
        finance, address, duration__1__longer_than="4h30", duration__2__longer_than="", duration__2__percent="",
        duration__3__rank="2", duration__3__longer_than="90 min", duration__3__percent="2,5 %",
        uptime__0__rank="2", uptime__0__below_percent="99.95", uptime__0__percent="3", cap_percent="50 %",
        stacking="highest", second_above="500", hold_hours="24", remark="Sales asked for it.",
    )  # fmt: skip
    told = finance.post(address, sent, follow=True)
    assert messages(told) == [f"{draft} is saved."]
    draft.refresh_from_db()
    assert [(row.what, row.says) for row in rulewords.sentences(draft.tiers.all())] == [
        ("P0 longer than 1 h", "10 % of the month's fee"),
        ("P0 longer than 4 h 30 min", "25 % of the month's fee"),
        ("P1 or worse longer than 1 h 30 min", "2.5 % of the month's fee"),
        ("Uptime of the month below 99.95 %, P1 or worse counted as down", "3 % of the month's fee"),
    ]
    assert (draft.cap_percent, draft.stacking, draft.second_above, draft.hold_hours, draft.remark) == (
        50, "highest", 500, 24, "Sales asked for it.",
    )  # fmt: skip


def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(finance: Client, draft: RuleVersion) -> None:
    address = url("version", draft.pk)
    sent = filled(
        finance, address, duration__0__longer_than="soon", duration__1__percent="0", duration__2__percent="",
        uptime__0__below_percent="101", uptime__0__percent="5", cap_percent="many", notice_days="100",
    )  # fmt: skip
    answer = finance.post(address, sent)
    assert answer.context["form"].errors == {
        "duration-0-longer_than": ["“soon” is no length. Write it like 1 h, 90 min or 4h30."],
        "duration-1-percent": ["It is more than 0 % and at most 100 %."],
        "duration-2-percent": ["Fill this, or empty the whole row."],
        "uptime-0-below_percent": ["It is more than 0 % and at most 100 %."],
        "cap_percent": ["“many” is no percentage. Write it like 10 or 2.5."],
        "notice_days": ["Ensure this value is less than or equal to 90."],
    }
    page = answer.content.decode()
    assert all(typed in page for typed in ('value="soon"', 'value="many"', 'value="101"'))
    twice = filled(finance, address, duration__1__longer_than="60 min")
    assert finance.post(address, twice).context["form"].errors == {
        "duration-1-longer_than": ["“P0 longer than 1 h” stands here twice."]
    }
    draft.refresh_from_db()
    assert (draft.tiers.count(), draft.notice_days) == (3, 7)


def test_a_draft_with_flaws_is_kept_and_says_them_at_the_tier(finance: Client, draft: RuleVersion) -> None:
    address = url("version", draft.pk)
    told = finance.post(address, filled(finance, address, duration__1__percent="5") | {"_force": "1"}, follow=True)
    assert messages(told) == [f"{draft} is saved. One point keeps it from being put in force."]
    rows = told.context["form"].rows[0][2]
    assert [[finding.words for finding in row.for_percent] for row in rows[:3]] == [
        [],
        ["It never decides: “P0 longer than 1 h” is passed by then, and it credits 10 %."],
        [],
    ]
    asked = finance.get(url("force", draft.pk))
    assert [finding.words for finding in asked.context["wrong"]] == [rows[1].for_percent[0].words]


def test_more_rows_are_given_without_saving(finance: Client, draft: RuleVersion) -> None:
    address = url("version", draft.pk)
    sent = filled(finance, address, duration__0__longer_than="no length")
    more = finance.post(address, sent | {"_more": "1"})
    form = more.context["form"]
    assert form.counts["duration"] == int(sent["duration-rows"]) + 2
    assert form["duration-0-longer_than"].value() == "no length"
    assert form.errors == {}


def test_the_editor_asks_little(
    finance: Client, draft: RuleVersion, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    address = url("version", draft.pk)
    sent = filled(finance, address)
    with django_assert_max_num_queries(10):
        finance.get(address)
    with django_assert_max_num_queries(18):
        finance.post(address, sent)


def test_a_draft_is_thrown_away_and_a_version_in_force_is_not(finance: Client, draft: RuleVersion) -> None:
    book = draft.book
    assert finance.get(url("discard", draft.pk)).context["version"] == draft
    told = finance.post(url("discard", draft.pk), follow=True)
    assert messages(told) == [f"The draft {draft} is discarded."]
    kept = book.versions.get()
    assert messages(finance.post(url("discard", kept.pk), follow=True)) == [
        f"{kept} is in force and can no longer be changed. Start a new version."
    ]
    assert book.versions.count() == 1


def test_put_in_force_from_the_next_month_unless_another_is_typed(finance: Client, draft: RuleVersion) -> None:
    address = url("force", draft.pk)
    with time_machine.travel(AT, tick=False):
        assert finance.get(address).context["form"]["month"].value() == "2026-12"
    wrong = finance.post(address, {"start": "month", "month": "soon"})
    assert wrong.context["form"].errors == {"month": ["Write the month like 2026-12."]}
    told = finance.post(address, {"start": "month", "month": "2099-01"}, follow=True)
    assert messages(told) == [f"{draft} is in force for months from January 2099."]
    draft.refresh_from_db()
    assert (draft.standing, draft.applies_from) == (RuleStanding.IN_FORCE, date(2099, 1, 1))
    assert messages(finance.get(address, follow=True)) == [f"{draft} is in force already."]


# --- dry runs ----------------------------------------------------------------------------------


def test_r1308_last_quarter_is_asked_for_shown_while_it_runs_and_downloaded(
    finance: Client, rung: list[tuple[str, int]], django_capture_on_commit_callbacks: Any,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    present = stage.rules()
    month(stage.contract("=C-1"), date(2026, 10, 1))
    stage.resolved()
    tried = stricter(present)
    with django_capture_on_commit_callbacks(execute=True):
        told = finance.post(
            url("dryruns"),
            {"rules": str(tried.pk), "first_month": "2026-10", "last_month": "2026-10", "whose": "all"},
        )
    run = Run.objects.get()
    assert (told.status_code, told["Location"]) == (302, url("dryrun", run.pk))
    assert rung == [("postmortems.tasks.dry_run", run.pk)]
    waiting = finance.get(url("dryrun", run.pk)).content.decode()
    assert "Waiting for a worker" in waiting
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in waiting
    assert finance.get(url("dryrun_live", run.pk)).status_code == 200
    dryrun.work(run, at=AT)
    assert finance.get(url("dryrun_live", run.pk)).status_code == 286
    with django_assert_max_num_queries(8):
        page = finance.get(url("dryrun", run.pk))
    assert [(currency, tally.difference) for currency, tally in page.context["totals"]] == [("EUR", 40_000)]
    rows = list(csv.reader(StringIO(finance.get(url("dryrun_csv", run.pk)).content.decode())))
    assert rows[1] == ["total", "2026-10", "EUR", "", "", "100.00", "500.00", "400.00", "1", ""]
    assert rows[2][:8] == ["contract", "2026-10", "EUR", "'=C-1", "'=C-1 Ltd", "100.00", "500.00", "400.00"]
    assert [one.pk for one in finance.get(url("dryruns")).context["runs"]] == [run.pk]


def test_what_cannot_be_asked_is_said_at_its_field(finance: Client) -> None:
    version = stage.rules()
    sent = {"rules": str(version.pk), "first_month": "2026-10", "last_month": "2026-09", "whose": "all"}
    assert finance.post(url("dryruns"), sent).context["form"].errors == {
        "last_month": ["The last month comes before the first."]
    }
    wrong = finance.post(url("dryruns"), sent | {"rules": "0", "first_month": "x", "whose": "none"}).context["form"]
    assert set(wrong.errors) == {"rules", "first_month", "whose"}
    assert Run.objects.count() == 0


# --- programs ------------------------------------------------------------------------------------


def test_r1203_rules_are_read_by_programs(
    reader: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    version = stage.rules()
    stage.rules(plan="Gold")
    with django_assert_max_num_queries(8):
        books = reader.get(reverse("api:rule_books")).json()
    assert [(book["name"], book["policy"], book["plan"], len(book["versions"])) for book in books] == [
        ("enterprise-sla", "enterprise-sla", "", 1), ("enterprise-sla Gold", "enterprise-sla", "Gold", 1),
    ]  # fmt: skip
    told = reader.get(reverse("api:rule_version", args=[version.pk])).json()
    assert told["tiers"][0] == {
        "measure": "duration", "rank": 1, "code": "P0", "longer_than_seconds": 3600, "below_percent": None,
        "percent": "10", "words": "P0 longer than 1 h: 10 % of the month's fee",
    }  # fmt: skip
    assert (told["cap_percent"], told["standing"], told["book"]) == ("100", "in_force", "enterprise-sla")


def test_r1308_programs_ask_for_dry_runs(
    finance: Client, rung: list[tuple[str, int]], django_capture_on_commit_callbacks: Any
) -> None:
    present = stage.rules()
    month(stage.contract())
    stage.resolved()
    sent = {"rules": stricter(present).pk, "from": "2026-10", "to": "2026-10", "contracts": "book"}
    with django_capture_on_commit_callbacks(execute=True):
        asked = finance.post(reverse("api:dry_runs"), sent, content_type="application/json")
    run = Run.objects.get()
    assert (asked.status_code, asked.json()["id"], asked.json()["finished_at"]) == (202, run.pk, None)
    assert rung == [("postmortems.tasks.dry_run", run.pk)]
    dryrun.work(run, at=AT)
    found = finance.get(reverse("api:dry_run", args=[run.pk])).json()
    assert found["totals"] == [
        {
            "currency": "EUR", "contracts": 1, "more": 1, "less": 0, "present_minor": 10_000, "tried_minor": 50_000,
            "difference_minor": 40_000, "present": "100.00", "tried": "500.00", "difference": "400.00",
        }
    ]  # fmt: skip
    for field, value in (("rules", "7"), ("rules", 0), ("from", "October"), ("to", None), ("contracts", "some")):
        refused = finance.post(reverse("api:dry_runs"), sent | {field: value}, content_type="application/json")
        assert (refused.status_code, list(refused.json())) == (400, [field])


# --- to try ----------------------------------------------------------------------------------------


def test_rules_are_tried_on_incidents_that_nobody_had(finance: Client, draft: RuleVersion) -> None:
    def trial(typed: str, pk: int) -> dict[str, Any]:
        found: dict[str, Any] = finance.get(url("version", pk), {"incidents": typed}).context["trial"]
        return found

    for pk in (draft.pk, draft.book.versions.get(number=1).pk):
        assert trial("", pk) == {"typed": "", "example": "P0 2h, P1 5h overlapping"}
        assert trial("P0 2h", pk)["result"].amount == 10_000
        assert trial("p0 1 h", pk)["result"].amount == 0
        assert trial("P0 2h, P0 2h", pk)["result"].amount == 20_000
        assert trial("P0 2h, P0 2h overlapping", pk)["result"].amount == 10_000
        assert trial("P1 90 min, P0 4h30 overlapping", pk)["result"].amount == 25_000
        assert trial("SEV 2h", pk)["error"] == "“SEV 2h” begins with no severity. Known are: Rank 1, Rank 2, " + (
            "Rank 3, Rank 4, P0, P1, P2, P3."
        )
        assert trial("P0 soon", pk)["error"] == "“soon” is no length. Write it like 1 h, 90 min or 4h30."
        assert trial("P0 2h overlapping", pk)["error"] == "The first one has nothing to overlap with."
        assert trial("P0 40 d", pk)["error"] == "Together they do not fit into a month."
