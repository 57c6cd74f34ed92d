"""R-906: customers see their credits by a link that is theirs; the console makes and revokes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications.models import Announcement, Contact, Customer
from postmortems.admin import statements as screen
from postmortems.credits.statements import printing, statement_links
from postmortems.enums import CreditKind, CreditState
from postmortems.models import StatementLink
from tests import scene
from tests.postmortems import paid, stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Customer:
    scene.brand()
    customer = stage.buyer("ACME", name="Acme & Sons <Ltd>")
    contract = stage.contract(customer=customer)
    paid.credit(contract, state=CreditState.APPLIED, invoice="INV-7")
    paid.credit(contract, 4_200, kind=CreditKind.GOODWILL, state=CreditState.APPROVED, reason="We were rude.")
    paid.credit(stage.contract("C-2", customer=customer), 99_900, state=CreditState.PROPOSED)
    return customer


def link(customer: Customer, **changes: Any) -> str:
    """The path of a new link."""
    url = statement_links.make(customer, given_to="Ada", by=None, at=changes.pop("at", timezone.now()))
    return url[url.index("/credits/") :]


@pytest.fixture
def desk(client: Client) -> Callable[..., Client]:
    def signed_in(*rights: str) -> Client:
        client.force_login(stage.finance("fin", *rights))
        return client

    return signed_in


# --- the customer's side -------------------------------------------------------------------


def test_the_page_shows_what_stands_and_nothing_of_ours(client: Client, acme: Customer) -> None:
    page = client.get(link(acme))
    text = page.content.decode()
    assert page.status_code == 200
    for words in ("Acme &amp; Sons &lt;Ltd&gt;", "142.00 EUR", "100.00 EUR", "42.00 EUR", "INC-2026-0001", "INV-7"):
        assert words in text, words
    for words in ("999.00", "Contract C-2", "rude", "Waiting", "rank"):
        assert words not in text, words
    assert not re.search(r"<script|style=|\son\w+=", text)


def test_nobody_keeps_finds_or_passes_on_its_address(client: Client, acme: Customer) -> None:
    path = link(acme)
    for page in (client.get(path), client.get(f"{path}/statement.pdf"), client.get("/credits/unknown")):
        assert page.headers["Cache-Control"] == "no-store, private"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
    assert '<meta name="robots" content="noindex, nofollow">' in client.get(path).content.decode()
    assert client.post(path).status_code == 405


def test_unknown_expired_and_revoked_look_the_same(client: Client, acme: Customer) -> None:
    expired = link(acme, at=timezone.now() - statement_links.LIFE)
    revoked = link(acme)
    statement_links.revoke(StatementLink.objects.latest("pk"), by=stage.finance(), at=timezone.now())
    pages = [client.get(path) for path in ("/credits/unknown", expired, revoked, f"{revoked}/statement.pdf")]
    assert {page.status_code for page in pages} == {404}
    [content] = {page.content for page in pages}
    assert "This link does not work" in content.decode()


def test_only_a_hash_is_kept_and_a_visit_is_noted_once_an_hour(acme: Customer) -> None:
    at = timezone.now()
    token = link(acme, at=at).rpartition("/")[2]
    [row] = StatementLink.objects.all()
    assert token not in str(row.__dict__)
    assert statement_links.holder(token, at=at) == acme
    statement_links.holder(token, at=at + timedelta(minutes=59))
    row.refresh_from_db()
    assert row.last_seen_at == at
    statement_links.holder(token, at=at + timedelta(minutes=61))
    row.refresh_from_db()
    assert row.last_seen_at == at + timedelta(minutes=61)


def test_the_pdf_is_a_file(client: Client, acme: Customer) -> None:
    page = client.get(f"{link(acme)}/statement.pdf")
    assert page.headers["Content-Type"] == "application/pdf"
    assert page.headers["Content-Disposition"].startswith('attachment; filename="service-credits-acme-')
    assert page.content.startswith(b"%PDF-")


def test_without_pango_the_page_says_so(client: Client, acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "missing", lambda: "PDF needs Pango.")
    path = link(acme)
    assert "statement.pdf" not in client.get(path).content.decode()
    assert client.get(f"{path}/statement.pdf").status_code == 404


def test_the_page_costs_the_same_queries_whatever_it_shows(
    client: Client, acme: Customer, django_assert_num_queries: Any
) -> None:
    for number in range(10):
        paid.credit(stage.contract(f"D-{number}", customer=acme))
    path = link(acme)
    client.get(path)
    with django_assert_num_queries(5):
        client.get(path)


# --- the console ------------------------------------------------------------------------------


def url(name: str, customer: Customer) -> str:
    return reverse(f"money:{name}", args=[customer.pk])


def test_finance_reads_the_statement_with_what_waits(desk: Callable[..., Client], acme: Customer) -> None:
    page = desk("view_credit").get(url("statement", acme), {"from": "2026-10", "to": "2026-10"})
    text = page.content.decode()
    assert page.status_code == 200
    assert [total.words for total in page.context["statement"].totals] == ["142.00 EUR"]
    assert [credit.amount_minor for credit in page.context["waiting"]] == [99_900]
    assert "Nobody was told of 1 credit that was applied." in text
    assert "Make a link" not in text


def test_it_is_for_those_who_see_credits(desk: Callable[..., Client], acme: Customer) -> None:
    client = desk("view_contract")
    for name in ("statement", "statement_pdf"):
        assert client.get(url(name, acme)).status_code == 403
    client = desk("view_credit")
    for name in ("statement_link", "statement_revoke", "stripe_again"):
        assert client.post(url(name, acme)).status_code == 403
        assert client.get(url(name, acme)).status_code == 405


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"from": "October"}, "Write months like 2026-10."),
        ({"from": "2026-11", "to": "2026-10"}, "The first month comes before the last one."),
    ],
)
def test_months_that_cannot_be_read_are_said(
    desk: Callable[..., Client], acme: Customer, typed: dict[str, str], error: str
) -> None:
    assert desk("view_credit").get(url("statement", acme), typed).context["error"] == error


def test_a_link_is_shown_once_and_opens_the_page(desk: Callable[..., Client], acme: Customer) -> None:
    client = desk("view_credit", "export_credit")
    page = client.post(url("statement_link", acme), {"given_to": "Ada, by phone"})
    assert "no-store" in page.headers["Cache-Control"]
    assert page.context["fresh"] in page.content.decode()
    assert Client().get(page.context["fresh"].removeprefix("http://127.0.0.1:8000")).status_code == 200
    [row] = StatementLink.objects.all()
    assert (row.given_to, row.made_by) == ("Ada, by phone", User.objects.get(username="fin"))
    client.post(url("statement_revoke", acme), {"link": row.pk})
    assert Client().get(page.context["fresh"].removeprefix("http://127.0.0.1:8000")).status_code == 404


def test_a_link_for_nobody_is_asked_about(desk: Callable[..., Client], acme: Customer) -> None:
    page = desk("view_credit", "export_credit").post(url("statement_link", acme))
    said = "Say who gets the link, or tick somebody it is mailed to."
    assert (page.context["form"].errors["given_to"], StatementLink.objects.count()) == ([said], 0)


def test_contacts_are_mailed_a_link_each(desk: Callable[..., Client], acme: Customer) -> None:
    people = [Contact.objects.create(customer=acme, name=name, email=f"{name}@acme.example") for name in ("ada", "bob")]
    stranger = Contact.objects.create(customer=stage.buyer("OTHER"), name="eve", email="eve@other.example")
    client = desk("view_credit", "export_credit")
    client.post(url("statement_link", acme), {"contacts": [one.pk for one in people]})
    letters = list(Announcement.objects.order_by("pk"))
    assert [letter.deliveries.get().address for letter in letters] == ["ada@acme.example", "bob@acme.example"]
    assert len({letter.content["url"] for letter in letters}) == 2
    page = client.post(url("statement_link", acme), {"contacts": [stranger.pk]})
    assert page.status_code == 200
    assert Announcement.objects.count() == 2
    client.post(url("statement_revoke", acme))
    assert not StatementLink.objects.valid(timezone.now()).exists()


def test_no_link_keeps_an_address(desk: Callable[..., Client], acme: Customer) -> None:
    """R-807: whoever is forgotten is not named by a link either; until then finance sees who has one."""
    ada = Contact.objects.create(customer=acme, name="Ada", email="ada@acme.example")
    client = desk("view_credit", "export_credit")
    client.post(url("statement_link", acme), {"contacts": [ada.pk]})
    assert StatementLink.objects.get().given_to == f"contact:{ada.pk}"
    assert [words for _, words in client.get(url("statement", acme)).context["links"]] == ["Ada, ada@acme.example"]
    ada.delete()
    page = client.get(url("statement", acme))
    assert [words for _, words in page.context["links"]] == ["A contact who is no longer known"]
    typed = client.post(url("statement_link", acme), {"given_to": "ada@acme.example"})
    said = "A name or a role, no address: it would be kept when the person is forgotten."
    assert (typed.context["form"].errors["given_to"], StatementLink.objects.count()) == ([said], 1)


def test_the_pdf_is_of_the_months_that_are_shown(desk: Callable[..., Client], acme: Customer) -> None:
    page = desk("view_credit").get(url("statement_pdf", acme), {"from": "2026-09", "to": "2026-09"})
    assert page.content.startswith(b"%PDF-")
    nothing = desk("view_credit").get(url("statement_pdf", acme), {"from": "x"})
    assert nothing.status_code == 200


def test_without_pango_the_button_says_why(
    desk: Callable[..., Client], acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printing, "missing", lambda: "PDF needs Pango.")
    client = desk("view_credit")
    text = client.get(url("statement", acme)).content.decode()
    assert 'disabled aria-describedby="no-pdf">PDF</button><span class="hg-hint" id="no-pdf">PDF needs Pango.' in text
    assert client.get(url("statement_pdf", acme)).headers["Location"] == url("statement", acme)


def test_the_console_page_costs_the_same_queries_whatever_it_shows(
    desk: Callable[..., Client], acme: Customer, django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        one = stage.contract(f"D-{number}", customer=acme)
        paid.credit(one)
        paid.credit(one, kind=CreditKind.GOODWILL, state=CreditState.PROPOSED)
        paid.credit(one, kind=CreditKind.GOODWILL, stripe_error="No such customer.")
        link(acme)
    client = desk("view_credit", "export_credit")
    client.get(url("statement", acme))
    with django_assert_max_num_queries(24):
        client.get(url("statement", acme))
    assert screen.SHOWN == 20
