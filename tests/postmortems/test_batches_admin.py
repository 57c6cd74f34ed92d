"""Finance closes a month and hands its batch on: what is shown before, what acts once (R-905, R-1308)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings
from time_machine import travel

from postmortems.credits.batches import closing
from postmortems.enums import CreditState
from postmortems.models import Batch, ContractMonth, Credit, Posting
from tests import scene
from tests.postmortems import ready, stage
from tests.postmortems.ready import AFTER

pytestmark = pytest.mark.django_db
CLOSE, LIST = "/admin/credits/close/2026-10/", "/admin/postmortems/batch/"


@pytest.fixture(autouse=True)
def november() -> Iterator[None]:
    with travel(AFTER, tick=False):
        yield


def signed_in(name: str, *rights: str) -> Client:
    user = scene.operator(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def finance() -> Client:
    client = Client()
    client.force_login(stage.finance())
    return client


@pytest.fixture
def auditor() -> Client:
    return signed_in("aud", "view_batch", "view_credit")


def closed() -> Batch:
    return closing.close(stage.OCTOBER, by=User.objects.get(username="fin"), at=AFTER)


def page_of(batch: Batch) -> str:
    return reverse("admin:postmortems_batch_change", args=[batch.pk])


def words(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.status_code
    return " ".join(answer.content.decode().split())


# --- closing -----------------------------------------------------------------------------


def test_the_page_says_what_goes_along_and_one_click_closes(finance: Client) -> None:
    ready.credit(stage.contract("C-1"), 12_345)
    assert finance.get("/admin/credits/close/").headers["Location"] == CLOSE
    shown = words(finance, CLOSE)
    assert "1 credit would go to billing" in shown
    assert "123.45 EUR" in shown
    assert "Type the month" not in shown
    assert Batch.objects.count() == 0
    answer = finance.post(CLOSE)
    batch = Batch.objects.get()
    assert answer.headers["Location"] == page_of(batch)
    assert "October 2026 is closed: CR-2026-0001 holds 1 credit." in words(finance, page_of(batch))
    # The button again, and the page again.
    assert finance.post(CLOSE).headers["Location"] == page_of(batch)
    assert finance.get(CLOSE).headers["Location"] == page_of(batch)
    assert (Batch.objects.count(), Posting.objects.filter(key__endswith=":export").count()) == (1, 1)
    assert finance.get("/admin/credits/close/").headers["Location"] == "/admin/credits/close/2026-11/"


def test_r1308_what_still_waits_is_named_and_the_month_typed(finance: Client) -> None:
    contract = stage.contract()
    ready.credit(contract, 500)
    ready.credit(contract, 700, state=CreditState.SECOND, kind="goodwill")
    ContractMonth.objects.update(stale_since=AFTER)
    shown = words(finance, CLOSE)
    assert "<li>1 credit: waiting for a second approver</li>" in shown
    assert "1 billing month to be assessed again" in shown
    for typed in ("", "october", "2026-11"):
        refused = finance.post(CLOSE, {"typed": typed})
        assert refused.status_code == 422
        assert "Not everything is ready. Type 2026-10" in refused.content.decode()
        assert f'value="{typed}"' in refused.content.decode() or not typed
    assert Batch.objects.count() == 0
    finance.post(CLOSE, {"typed": " 2026-10 "})
    assert Batch.objects.get().count == 1


def test_a_month_that_is_not_over_says_when_it_will_be(finance: Client) -> None:
    stage.contract(zone="Europe/Berlin", billing_day=15)
    for answer in (finance.get(CLOSE), finance.post(CLOSE)):
        text = answer.content.decode()
        assert "billed in Europe/Berlin: it can be closed from 14 November 2026, 23:00 UTC on." in text
        assert 'class="hg-button main"' not in text
    assert Batch.objects.count() == 0


def test_a_month_is_typed_or_refused(finance: Client) -> None:
    assert finance.get("/admin/credits/close/?month=2026-09").headers["Location"] == "/admin/credits/close/2026-09/"
    answer = finance.get("/admin/credits/close/?month=2026-13", follow=True)
    assert "“2026-13” is no month. Write it like 2026-10." in answer.content.decode()
    assert finance.get("/admin/credits/close/2026-13/").status_code == 404


# --- a batch -------------------------------------------------------------------------------


def test_files_are_downloaded_byte_for_byte_with_the_hash_that_the_page_shows(finance: Client) -> None:
    ready.credit(stage.contract())
    batch = closed()
    shown = words(finance, page_of(batch))
    for kind in ("csv", "xlsx", "json"):
        url = reverse("admin:postmortems_batch_file", args=[batch.pk, kind])
        first, second = finance.get(url), finance.get(url)
        stored = bytes(getattr(Batch.objects.get(), kind))
        assert first.content == second.content == stored
        digest = hashlib.sha256(stored).hexdigest()
        assert first.headers["X-SHA256"] == digest
        assert first.headers["Content-Disposition"] == f'attachment; filename="CR-2026-0001.{kind}"'
        assert digest in shown
        same = finance.get(url, headers={"if-none-match": first.headers["ETag"]})
        assert (same.status_code, same.content) == (304, b"")


def test_ticked_credits_are_marked_as_applied_once(finance: Client) -> None:
    one, other = ready.credit(stage.contract("C-1")), ready.credit(stage.contract("C-2"))
    batch = closed()
    url = reverse("admin:postmortems_batch_applied", args=[batch.pk])
    for sent, said in (
        ({"which": "chosen", "ids": [one.pk]}, "Name the invoice that took it."),
        ({"which": "chosen", "invoice": "R-1"}, "Tick at least one credit"),
        ({"invoice": "R-1", "ids": [one.pk]}, "This field is required"),
    ):
        refused = finance.post(url, sent)
        assert refused.status_code == 422
        assert said in refused.content.decode()
    assert f'value="{one.pk}" aria-label="C-1:2026-10:1" checked' in refused.content.decode()
    assert 'value="R-1"' in refused.content.decode()
    for _ in range(2):
        finance.post(url, {"which": "chosen", "ids": [one.pk], "invoice": "R-1"})
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.state, one.invoice, other.state) == (CreditState.APPLIED, "R-1", CreditState.EXPORTED)
    assert ">Mark all 1<" in words(finance, page_of(batch))
    assert "C-1" not in words(finance, f"{page_of(batch)}?open=1").split("<tbody>")[1].split("</tbody>")[0]
    for _ in range(2):
        finance.post(url, {"which": "all", "invoice": "R-2"})
    assert set(Credit.objects.values_list("invoice", flat=True)) == {"R-1", "R-2"}
    assert Posting.objects.filter(key__endswith=":apply").count() == 2
    assert "Mark as applied" not in words(finance, page_of(batch))


def test_told_or_not_stands_on_the_page_and_can_be_asked_for(finance: Client, settings: Settings) -> None:
    batch = closed()
    assert "BILLING_WEBHOOK_URL is empty" in words(finance, page_of(batch))
    settings.BILLING_WEBHOOK = {
        "url": "https://billing.example/secret-path",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
    Batch.objects.update(tell_tries=10, tell_error="It answered 500 Internal Server Error.")
    shown = words(finance, page_of(batch))
    assert ("It answered 500" in shown, "billing.example" in shown, "secret-path" in shown) == (True, True, False)
    url = reverse("admin:postmortems_batch_tell", args=[batch.pk])
    finance.get(url)
    assert Batch.objects.get().tell_next_at is None
    for _ in range(2):
        finance.post(url)
    row = Batch.objects.get()
    assert (row.tell_next_at, row.tell_tries, row.tell_error) == (AFTER, 0, "")


# --- who -----------------------------------------------------------------------------------


def test_an_auditor_reads_and_changes_nothing(auditor: Client) -> None:
    stage.finance()
    ready.credit(stage.contract())
    batch = closed()
    for url in (LIST, page_of(batch)):
        shown = words(auditor, url)
        assert ("Mark as applied" in shown, "Close a month" in shown, "file.csv" in shown) == (False, False, False)
    for name, more in (("applied", []), ("tell", []), ("file", ["csv"])):
        url = reverse(f"admin:postmortems_batch_{name}", args=[batch.pk, *more])
        assert {auditor.get(url).status_code, auditor.post(url).status_code} == {403}
    assert {auditor.get(CLOSE).status_code, auditor.post(CLOSE).status_code} == {403}
    assert auditor.post(page_of(batch)).status_code == 405


def test_support_sees_nothing_of_it() -> None:
    stage.finance()
    batch = closed()
    support = signed_in("sup", "view_incident")
    assert {support.get(url).status_code for url in (LIST, page_of(batch), CLOSE)} == {403}


@pytest.mark.parametrize("path", [LIST, "page", CLOSE])
def test_no_screen_asks_more_where_there_is_more(finance: Client, path: str) -> None:
    asked = []
    for month, at in ((date(2026, 8, 1), 2), (date(2026, 9, 1), 40)):
        ready.many(at)
        batch = closing.close(month, by=None, at=datetime(2026, 11, 1, tzinfo=UTC))
        ready.many(at)
        url = page_of(batch) if path == "page" else path
        finance.get(url)
        with CaptureQueriesContext(connection) as queries:
            finance.get(url)
        asked.append(len(queries))
    assert asked[0] == asked[1]
    # Seven of them are the second opinion's, where there is one.
    assert asked[0] <= (21 if connection.vendor == "postgresql" else 14)
