"""Lists of people that go out as files: harmless to spreadsheets, counted, logged (R-807, S23, S35)."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from notifications import exports, imports, sheets, subscriptions
from notifications.admin import lists
from notifications.models import Customer, Subscriber, Topic
from tests.notifications.news import readers

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SCREEN = "/admin/notifications/subscriber/export/"
#: Each opens as a formula somewhere (S23).
PAYLOADS = [
    "=1+1", "=cmd|'/C calc'!A0", '=HYPERLINK("http://evil")', "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1",
    "＝1+1", "＋1", "－1", "＠SUM(A1)", "=", "-", "\n=1",
]  # fmt: skip


def table(lines: Iterable[bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(b"".join(lines).decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cell_begins_like_a_formula(topics: list[Topic], payload: str) -> None:
    """S23, in every text column; reading the file back takes the mark off."""
    topics[0].name = payload
    topics[0].save()
    customer = Customer.objects.create(name=payload, reference="1")
    row = Subscriber.objects.create(
        address=payload,
        customer=customer,
        created_at=NOON,
        consent_source=payload,
        all_topics=False,
        language=payload[:12],
    )
    row.topics.add(topics[0])
    (cells,) = table(exports.stream(Subscriber.objects.all(), bom=False))
    assert cells["language"] == f"'{payload[:12]}"
    for column in ("address", "customer", "consent_source", "components"):
        assert cells[column] == f"'{payload}"


@pytest.mark.parametrize("payload", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1"])
def test_nor_does_what_a_spreadsheet_takes_for_one(topics: list[Topic], payload: str) -> None:
    """S23: where people write commas in numbers, cells are parted at semicolons. Read back, nothing is lost."""
    topics[1].name = payload
    topics[1].save()
    proof = f"Paper;{payload};signed"
    row = Subscriber.objects.create(
        address="ada@x.example", created_at=NOON, consent_at=NOON, consent_source=proof, all_topics=False
    )
    row.topics.set(topics[:2])
    file = b"".join(exports.stream(Subscriber.objects.all(), bom=False)).decode()
    parted = [cell for cells in csv.reader(StringIO(file, newline=""), delimiter=";") for cell in cells]
    assert [cell for cell in parted if cell.startswith(sheets.FORMULA)] == []
    (cells,) = table([file.encode()])
    Subscriber.objects.all().delete()
    kept = {name: cells[name] for name in ("address", "consent_at", "consent_source", "components")}
    again = StringIO()
    csv.writer(again).writerows([kept.keys(), kept.values()])
    assert imports.run(BytesIO(again.getvalue().encode()), at=NOON, dry=False).counts == {"new": 1}
    back = Subscriber.objects.get()
    assert (back.consent_source, set(back.topics.all())) == (proof, set(topics[:2]))


def test_harmless_words_stay_as_they_are(ada: Subscriber, topics: list[Topic]) -> None:
    ada.customer = Customer.objects.create(name='Acme, "the" best', reference="1")
    ada.save()
    ada.topics.set(topics[:2])
    Subscriber.objects.update(all_topics=False, consent_at=NOON, consent_source="O'Neill - café")
    (cells,) = table(exports.stream(Subscriber.objects.all(), bom=True))
    assert (cells["address"], cells["state"], cells["customer"]) == (ada.address, "active", 'Acme, "the" best')
    assert (cells["components"], cells["consent_source"]) == ("API;Database", "O'Neill - café")
    assert (cells["consent_at"], cells["unsubscribed_at"]) == ("2026-11-20T12:00:00+00:00", "")


def test_a_number_is_no_formula_and_comes_back_as_itself(db: None) -> None:
    """S23: its + gets the mark that an import takes off."""
    Subscriber.objects.create(channel="sms", address="+12125550101", created_at=NOON)
    (cells,) = table(exports.stream(Subscriber.objects.all(), bom=False))
    assert (cells["address"], cells["channel"], cells["state"]) == ("'+12125550101", "sms", "unconfirmed")


def test_the_mark_for_excel_is_a_choice(ada: Subscriber) -> None:
    with_mark = b"".join(exports.stream(Subscriber.objects.all(), bom=True))
    without = b"".join(exports.stream(Subscriber.objects.all(), bom=False))
    assert with_mark == exports.BOM + without
    assert without.startswith(b"address,channel,state,")
    assert without.count(b"\r\n") == without.count(b"\n") == 2


def test_what_went_out_comes_in_again(topics: list[Topic]) -> None:
    """The columns of an import, taken from an export, bring back the same people."""
    row = Subscriber.objects.create(
        address="=ada@x.example", created_at=NOON, confirmed_at=NOON, consent_at=NOON, consent_source="+49 30 1234",
        all_topics=False, least_rank=2,
    )  # fmt: skip
    row.topics.set([topics[1], topics[2]])
    out, columns = StringIO(), [*imports.REQUIRED, *imports.OPTIONAL]
    writer = csv.writer(out)
    writer.writerow(columns)
    for cells in table(exports.stream(Subscriber.objects.all(), bom=False)):
        writer.writerow([cells[column] for column in columns])
    chosen = subscriptions.Choice.of(row)
    row.delete()
    assert imports.run(BytesIO(out.getvalue().encode()), at=NOON, dry=False).counts == {"new": 1}
    back = Subscriber.objects.get()
    assert (back.address, back.consent_at, back.consent_source) == ("=ada@x.example", NOON, "+49 30 1234")
    assert subscriptions.Choice.of(back) == chosen


def test_the_erased_are_in_no_export(ada: Subscriber) -> None:
    subscriptions.erase(ada, by=None, at=NOON)
    assert table(exports.stream(Subscriber.objects.all(), bom=False)) == []


# --- the command -------------------------------------------------------------------------


def test_the_command_writes_a_file_for_its_owner_only(ada: Subscriber, tmp_path: Path) -> None:
    Subscriber.objects.create(address="waiting@x.example", created_at=NOON)
    out, file = StringIO(), tmp_path / "people.csv"
    call_command("export_subscribers", stdout=out)
    call_command("export_subscribers", file, "--active", "--bom")
    assert [row["address"] for row in table([out.getvalue().encode()])] == [ada.address, "waiting@x.example"]
    assert [row["address"] for row in table([file.read_bytes()])] == [ada.address]
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="exists"):
        call_command("export_subscribers", file)


# --- the console -------------------------------------------------------------------------


@pytest.fixture
def clerk(client: Client) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_subscriber", "export_subscriber"]))
    client.force_login(user)
    return client


def export(client: Client, **fields: str) -> Any:
    return client.post(SCREEN, {"who": "all"} | fields)


def logged() -> list[str]:
    return list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))


def test_an_export_is_a_press_and_stands_in_the_log(clerk: Client, ada: Subscriber) -> None:
    assert (clerk.get(SCREEN).status_code, logged()) == (200, [])
    done = export(clerk, who="active", bom="on")
    assert [row["address"] for row in table(done.streaming_content)] == [ada.address]
    assert ("no-store" in done.headers["Cache-Control"], logged()) == (True, ["Exported 1 subscribers (active)."])
    assert export(clerk, who="customers").status_code == 403


def test_the_1001st_row_needs_another_permission(clerk: Client) -> None:
    """S35: 403, and the attempt stands in the log."""
    readers(lists.ROWS_A_DAY + 1)
    assert b"more than you may export" in clerk.get(SCREEN).content
    assert (export(clerk).status_code, logged()) == (403, ["Refused: 1001 subscribers."])
    Subscriber.objects.latest("pk").delete()
    assert len(table(export(clerk).streaming_content)) == lists.ROWS_A_DAY
    assert export(clerk).status_code == 403
    clerk_user = User.objects.get(username="clerk")
    clerk_user.user_permissions.add(Permission.objects.get(codename="export_all"))
    readers_again = Subscriber.objects.create(address="one@more.example", created_at=NOON)
    assert table(export(clerk).streaming_content)[-1]["address"] == readers_again.address


def test_ten_exports_an_hour(clerk: Client, ada: Subscriber) -> None:
    """S41."""
    answers = [export(clerk).status_code for _ in range(lists.EXPORTS_AN_HOUR + 1)]
    assert answers == [200] * lists.EXPORTS_AN_HOUR + [429]


def test_exporting_needs_its_permission(clerk: Client) -> None:
    User.objects.get(username="clerk").user_permissions.set(Permission.objects.filter(codename="view_subscriber"))
    assert (clerk.get(SCREEN).status_code, export(clerk).status_code) == (403, 403)
