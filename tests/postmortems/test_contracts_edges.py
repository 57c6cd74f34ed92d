"""R-902: contracts in the console and by API."""

from __future__ import annotations

import csv
from datetime import date
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from notifications.models import Customer
from postmortems.models import Contract, Term
from tests import scene
from tests.postmortems import stage

pytestmark = pytest.mark.django_db

ADD = "/admin/postmortems/contract/add/"
IMPORT = "/admin/postmortems/contract/import/"
LIST = "/admin/postmortems/contract/"
API = "/api/v1/contracts"


def sit(client: Client, *rights: str) -> User:
    user = scene.operator("fay")
    user.user_permissions.set(Permission.objects.filter(codename__in=rights, content_type__app_label="postmortems"))
    client.force_login(user)
    return user


@pytest.fixture
def finance(client: Client) -> Client:
    sit(client, "view_contract", "add_contract", "change_contract", "view_term", "add_term", "change_term")
    return client


@pytest.fixture
def customer() -> Customer:
    stage.rules()
    return Customer.objects.create(name="Fabrikam", reference="CU-1")


def typed(customer: Customer, *terms: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The form as a browser sends it."""
    form = {
        "customer": customer.pk,
        "reference": "K-1",
        "policy": stage.policy_b().pk,
        "currency": "EUR",
        "zone": "Europe/Berlin",
        "billing_day": "1",
        "terms-TOTAL_FORMS": len(terms),
        "terms-INITIAL_FORMS": 0,
    } | changes
    for place, term in enumerate(terms):
        form |= {f"terms-{place}-{name}": value for name, value in term.items()}
    return form


def test_r902_a_contract_is_typed_on_one_form(finance: Client, customer: Customer) -> None:
    api = scene.component("API")
    term = {"starts_on": "2026-01-01", "plan": "Pro", "fee": "1,200.50", "components": [api.pk]}
    answer = finance.post(ADD, typed(customer, term))
    assert answer.status_code == 302, answer.context["errors"]
    made = Contract.objects.get()
    assert (made.currency, made.zone, made.terms.get().fee_minor) == ("EUR", "Europe/Berlin", 120_050)
    assert list(made.terms.get().components.all()) == [api]


def test_what_is_wrong_stands_in_its_row_and_nothing_typed_is_lost(finance: Client, customer: Customer) -> None:
    api = scene.component("API")
    first = {"starts_on": "2026-01-01", "fee": "lots", "components": [api.pk]}
    answer = finance.post(ADD, typed(customer, first))
    rows = answer.context["inline_admin_formsets"][0].formset
    assert rows.forms[0].errors == {"fee": ["“lots” is no amount. Write it like 1234.50."]}
    assert rows.forms[0]["fee"].value() == "lots"
    second = {"starts_on": "2026-02-01", "fee": "1", "components": [api.pk]}
    answer = finance.post(ADD, typed(customer, first | {"fee": "1"}, second))
    rows = answer.context["inline_admin_formsets"][0].formset
    assert rows.forms[1].errors == {
        "starts_on": ["The term from 2026-01-01 has no last day. Let it end before this one begins."]
    }
    assert not Contract.objects.exists()


def test_terms_are_changed_and_struck(finance: Client, customer: Customer) -> None:
    api = scene.component("API")
    one = {"starts_on": "2026-01-01", "last_day": "2026-06-30", "fee": "1", "components": [api.pk]}
    two = {"starts_on": "2026-07-01", "fee": "2", "components": [api.pk]}
    finance.post(ADD, typed(customer, one, two))
    made = Contract.objects.get()
    old = list(made.terms.order_by("starts_on"))
    url = f"/admin/postmortems/contract/{made.pk}/change/"
    assert finance.get(url).status_code == 200
    changed = typed(
        customer,
        one | {"id": old[0].pk, "contract": made.pk, "fee": "3", "last_day": ""},
        two | {"id": old[1].pk, "contract": made.pk, "DELETE": "on"},
        **{"terms-INITIAL_FORMS": 2},
    )
    answer = finance.post(url, changed)
    assert answer.status_code == 302, answer.context["errors"]
    assert list(made.terms.values_list("fee_minor", "last_day")) == [(300, None)]
    assert finance.get(f"/admin/postmortems/contract/{made.pk}/history/").status_code == 200


def test_support_sees_no_contracts(client: Client, customer: Customer) -> None:
    sit(client)
    assert client.get(LIST).status_code == 403
    assert client.get(API).status_code == 403
    assert client.post(IMPORT).status_code == 403


def test_readers_read_and_write_nothing(client: Client, customer: Customer) -> None:
    sit(client, "view_contract", "view_term")
    assert client.get(LIST).status_code == 200
    assert client.post(ADD, typed(customer)).status_code == 403
    assert client.put(f"{API}/K-1", {}, content_type="application/json").status_code == 403
    assert client.post(IMPORT).status_code == 403


def test_a_file_is_checked_first_and_imported_once_however_often_the_button_is_pressed(
    finance: Client, customer: Customer
) -> None:
    scene.component("API")
    file = SimpleUploadedFile(
        "contracts.csv", b"contract,customer,from,fee,currency,components\nK-1,CU-1,2026-01-01,12,EUR,API\n"
    )
    report = finance.post(IMPORT, {"file": file})
    assert (report.context["new"], Contract.objects.count()) == (1, 0)
    button = {"confirm": str(report.context["waiting"].pk)}
    assert finance.post(IMPORT, button).status_code == 302
    assert finance.post(IMPORT, button).status_code == 302
    assert Contract.objects.get().terms.get().fee_minor == 1_200


def test_s23_the_export_is_safe_and_is_read_back(finance: Client, customer: Customer) -> None:
    stage.contract(customer=customer, reference="=1+1", fee=120_050, components=[scene.component("API")])
    text = b"".join(finance.get("/admin/postmortems/contract/export/")).decode("utf-8-sig")  # type: ignore[arg-type]  # streamed
    rows = list(csv.DictReader(StringIO(text)))
    assert [(row["contract"], row["fee"]) for row in rows] == [("'=1+1", "1200.50")]
    again = finance.post(f"{API}/import", {"csv": text}, content_type="application/json").json()
    assert again["counts"] == {"new": 0, "changed": 0, "same": 1, "wrong": 0}


def test_r1203_a_contract_is_put_and_read_by_api(finance: Client, customer: Customer) -> None:
    scene.component("API")
    body = {
        "customer": "CU-1",
        "policy": "enterprise-sla",
        "currency": "JPY",
        "zone": "Asia/Tokyo",
        "terms": [{"starts_on": "2026-01-01", "fee": "120000", "plan": "Pro", "components": ["API"]}],
    }
    answer = finance.put(f"{API}/K-1/2026", body, content_type="application/json")
    assert answer.status_code == 201, answer.json()
    assert answer.json() == {
        "reference": "K-1/2026",
        "customer": "CU-1",
        "policy": "enterprise-sla",
        "rules": None,
        "currency": "JPY",
        "zone": "Asia/Tokyo",
        "billing_day": 1,
        "billing_account": "",
        "terms": [
            {
                "starts_on": "2026-01-01",
                "last_day": None,
                "plan": "Pro",
                "fee": "120000",
                "fee_minor": 120000,
                "components": ["API"],
            }
        ],
    }
    sent = answer.json() | {"zone": "UTC"}
    assert finance.put(f"{API}/K-1/2026", sent, content_type="application/json").status_code == 200
    assert finance.get(f"{API}/K-1/2026").json()["zone"] == "UTC"
    assert [row["reference"] for row in finance.get(f"{API}?customer=CU-1").json()["results"]] == ["K-1/2026"]
    assert finance.get(f"{API}?customer=CU-2").json()["results"] == []


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"customer": "CU-9"}, {"customer": ["There is none called “CU-9”."]}),
        ({"currency": "XXX"}, {"terms": {"0": {"fee": ["“XXX” is no ISO 4217 currency that anybody is billed in."]}}}),
        ({"zone": "Mars"}, {"zone": ["There is no time zone “Mars”. Write it like Europe/Berlin, or UTC."]}),
        (
            {"terms": [{"starts_on": "2026-01-01", "fee": "1.2.3", "components": "*"}]},
            {"terms": {"0": {"fee": ["“1.2.3” is no amount. Write it like 1234.50."]}}},
        ),
        (
            {"terms": [{"starts_on": "2026-01-01", "fee": "1", "components": ["Fax"]}]},
            {"terms": {"0": {"components": ["There is no component “Fax”."]}}},
        ),
        (
            {"terms": [{"starts_on": "2026-01-01", "fee": "1", "components": []}]},
            {
                "terms": {
                    "0": {
                        "components": ["Choose the components this customer uses, or say that they use everything."]
                    }
                }
            },
        ),
    ],
)  # fmt: skip
def test_the_api_says_what_is_wrong_where_it_was_sent(
    finance: Client, customer: Customer, changes: dict[str, Any], errors: dict[str, Any]
) -> None:
    body = {
        "customer": "CU-1",
        "policy": "enterprise-sla",
        "currency": "EUR",
        "terms": [{"starts_on": "2026-01-01", "fee": "1", "components": "*"}],
    } | changes
    answer = finance.put(f"{API}/K-1", body, content_type="application/json")
    assert (answer.status_code, answer.json()) == (400, errors)
    assert not Contract.objects.exists()


@pytest.mark.parametrize("many", [2, 12])
def test_lists_cost_the_same_however_many(
    finance: Client, many: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    api = scene.component("API")
    for number in range(many):
        theirs = Customer.objects.create(name=f"C{number}", reference=f"CU-{number}")
        made = stage.contract(customer=theirs, reference=f"K-{number}", components=[api])
        Term.objects.filter(contract=made).update(starts_on=date(2026, 1, 1))
    with django_assert_max_num_queries(14):
        assert finance.get(LIST).status_code == 200
    with django_assert_max_num_queries(8):
        assert len(finance.get(API).json()["results"]) == many
