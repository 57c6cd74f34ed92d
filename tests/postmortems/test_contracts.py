"""R-902: contracts and their terms, as they are written and as they are imported."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from io import BytesIO

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from notifications.models import Customer
from notifications.sheets import BadFile, Report
from postmortems.credits import contracts
from postmortems.credits.contracts import ContractError, TermDraft, contract_imports
from postmortems.credits.contracts.contract_imports import Verdict
from postmortems.models import Contract, ContractMonth, Term
from status.models import Component
from tests import scene
from tests.postmortems import stage

pytestmark = pytest.mark.django_db

HEADER = "contract,customer,customer_name,from,until,plan,fee,currency,components,zone\n"


def draft(component: Component, **changes: object) -> TermDraft:
    plain = TermDraft(date(2026, 1, 1), 120_000, plan="Pro", components=frozenset({component.pk}))
    return replace(plain, **changes)  # type: ignore[arg-type]  # fields of the draft


def unsaved(**changes: object) -> Contract:
    customer, _ = Customer.objects.get_or_create(reference="CU-1", defaults={"name": "Fabrikam"})
    values = {"customer": customer, "reference": "K-1", "policy": stage.policy_b(), "currency": "EUR"} | changes
    return Contract(**values)


def load(text: str, *, dry: bool = False) -> Report:
    return contract_imports.run(BytesIO(text.encode()), by=scene.operator(), at=scene.NIGHT, dry=dry)


# --- written one at a time ---------------------------------------------------------------


def test_r902_a_contract_is_written_with_its_terms_and_their_history() -> None:
    api = scene.component("API")
    ann = scene.operator()
    made = contracts.save(unsaved(), [draft(api)], by=ann, at=scene.NIGHT)
    term = made.terms.get()
    assert (term.fee_minor, term.plan, list(term.components.all())) == (120_000, "Pro", [api])
    past = term.history.get()
    assert (past.history_user, [used.component for used in past.components.all()]) == (ann, [api])


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (None, date(2026, 5, 1), "The term from 2026-01-01 has no last day. Let it end before this one begins."),
        (
            date(2026, 5, 1),
            date(2026, 5, 1),
            "It overlaps the term from 2026-01-01, which ends on 2026-05-01.",
        ),
    ],
)
def test_terms_do_not_overlap(first: date | None, second: date, words: str) -> None:
    api = scene.component("API")
    terms = [draft(api, last_day=first), draft(api, starts_on=second)]
    with pytest.raises(ContractError) as refused:
        contracts.save(unsaved(), terms, by=None, at=scene.NIGHT)
    assert refused.value.problems == {(1, "starts_on"): words}
    assert not Contract.objects.exists()


def test_terms_may_touch() -> None:
    api = scene.component("API")
    terms = [draft(api, last_day=date(2026, 4, 30)), draft(api, starts_on=date(2026, 5, 1), fee_minor=1)]
    assert contracts.save(unsaved(), terms, by=None, at=scene.NIGHT).terms.count() == 2


def test_every_fault_is_named_where_it_was_typed() -> None:
    api = scene.component("API")
    strange = unsaved(currency="XXX", zone="Mars/Olympus", billing_day=31)
    terms = [draft(api, last_day=date(2025, 1, 1), fee_minor=-1, components=frozenset())]
    assert set(contracts.problems(strange, terms)) == {
        "currency",
        "zone",
        "billing_day",
        (0, "fee"),
        (0, "last_day"),
        (0, "components"),
    }


def test_what_months_are_counted_in_stays_once_one_was_assessed() -> None:
    api = scene.component("API")
    made = contracts.save(unsaved(), [draft(api)], by=None, at=scene.NIGHT)
    start, end = scene.NIGHT, scene.NIGHT + stage.DAY
    ContractMonth.objects.create(contract=made, month=stage.OCTOBER, starts_at=start, ends_at=end)
    made.currency = "USD"
    with pytest.raises(ContractError) as refused:
        contracts.save(made, [draft(api)], by=None, at=scene.NIGHT)
    assert refused.value.problems == {
        "currency": "Months of this contract were assessed already, so its currency stays. "
        "End this contract and start another."
    }


def test_r905_a_reference_may_be_corrected_until_credits_are_named_by_it() -> None:
    """Keys of postings and of entries at Stripe are made of it."""
    api = scene.component("API")
    made = contracts.save(unsaved(), [draft(api)], by=None, at=scene.NIGHT)
    made.reference = "C-1a"
    contracts.save(made, [draft(api)], by=None, at=scene.NIGHT)
    assert Contract.objects.get().reference == "C-1a"
    ContractMonth.objects.create(
        contract=made, month=stage.OCTOBER, starts_at=scene.NIGHT, ends_at=scene.NIGHT + stage.DAY
    )
    made.reference = "C-1b"
    with pytest.raises(ContractError, match="its reference stays"):
        contracts.save(made, [draft(api)], by=None, at=scene.NIGHT)


def test_only_months_in_which_it_makes_a_difference_become_stale() -> None:
    api = scene.component("API")
    terms = [draft(api, last_day=date(2026, 9, 30)), draft(api, starts_on=date(2026, 10, 1))]
    made = contracts.save(unsaved(), terms, by=None, at=scene.NIGHT)
    for month in (8, 10, 11):
        ContractMonth.objects.create(
            contract=made,
            month=date(2026, month, 1),
            starts_at=stage.NOON.replace(month=month, day=1, hour=0),
            ends_at=stage.NOON.replace(month=month + 1, day=1, hour=0),
        )
    contracts.save(made, [terms[0], replace(terms[1], fee_minor=1)], by=None, at=scene.NIGHT)
    stale = ContractMonth.objects.filter(stale_since__isnull=False).order_by("month")
    assert [row.month.month for row in stale] == [10, 11]


def test_a_term_that_is_not_named_any_more_goes_and_its_history_stays() -> None:
    api = scene.component("API")
    terms = [draft(api, last_day=date(2026, 9, 30)), draft(api, starts_on=date(2026, 10, 1))]
    made = contracts.save(unsaved(), terms, by=None, at=scene.NIGHT)
    contracts.save(made, terms[:1], by=scene.operator(), at=scene.NIGHT)
    assert [term.starts_on for term in made.terms.all()] == [date(2026, 1, 1)]
    gone = Term.history.get(history_type="-")
    assert (gone.starts_on, gone.history_user) == (date(2026, 10, 1), scene.operator())


# --- imported ------------------------------------------------------------------------------


def test_r902_a_file_is_tried_out_and_then_imported_and_changes_nothing_the_second_time() -> None:
    stage.rules()
    scene.component("API")
    text = HEADER + "K-1,CU-1,Fabrikam,2026-01-01,,Pro,1200.50,eur,API,Europe/Berlin\n"
    dry = load(text, dry=True)
    assert (dry.counts, Contract.objects.count(), Customer.objects.count()) == ({Verdict.NEW: 1}, 0, 0)
    assert dry.shown[0].words == "The customer “Fabrikam” is new, too."
    assert load(text).counts == {Verdict.NEW: 1}
    made = Contract.objects.get()
    assert (made.customer.name, made.currency, made.zone, made.policy.slug) == (
        "Fabrikam", "EUR", "Europe/Berlin", "enterprise-sla",
    )  # fmt: skip
    assert made.terms.get().fee_minor == 120_050
    assert load(text).counts == {Verdict.SAME: 1}


def test_a_price_change_ends_the_term_before() -> None:
    stage.rules()
    scene.component("API")
    load(HEADER + "K-1,CU-1,Fabrikam,2026-01-01,,Pro,100,EUR,API,\n")
    report = load(HEADER + "K-1,CU-1,,2026-07-01,,Pro,120,EUR,API,\n")
    assert [finding.words for finding in report.shown] == ["The term from 2026-01-01 ends on 2026-06-30."]
    assert list(Term.objects.values_list("last_day", "fee_minor")) == [(date(2026, 6, 30), 10_000), (None, 12_000)]


def test_a_contract_is_written_whole_or_not_at_all_and_keeps_no_other_away() -> None:
    stage.rules()
    scene.component("API")
    text = (
        HEADER
        + "K-1,CU-1,Fabrikam,2026-01-01,2026-06-30,Pro,100,EUR,API,\n"
        + "K-1,CU-1,Fabrikam,2026-07-01,,Pro,lots,EUR,API,\n"
        + "K-2,CU-2,Northwind,2026-01-01,,Pro,100,EUR,*,\n"
    )
    report = load(text)
    assert report.counts == {Verdict.WRONG: 2, Verdict.NEW: 1}
    assert [finding.words for finding in report.shown] == [
        "Another line of this contract is wrong, so nothing of it is written.",
        "“lots” is no amount. Write it like 1234.50.",
        "The customer “Northwind” is new, too.",
    ]
    assert list(Contract.objects.values_list("reference", flat=True)) == ["K-2"]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("K-1,CU-9,,2026-01-01,,Pro,1,EUR,API,", "There is no customer “CU-9”. Give a customer_name to make one."),
        ("K-1,CU-1,F,2026-13-01,,Pro,1,EUR,API,", "“from” is a date like 2026-05-31."),
        ("K-1,CU-1,F,2026-01-01,,Pro,1.005,EUR,API,", "EUR has 2 decimal places; “1.005” has more."),
        ("K-1,CU-1,F,2026-01-01,,Pro,1.5,JPY,API,", "JPY has 0 decimal places; “1.5” has more."),
        ("K-1,CU-1,F,2026-01-01,,Pro,1,XXX,API,", "“XXX” is no ISO 4217 currency that anybody is billed in."),
        ("K-1,CU-1,F,2026-01-01,,Pro,NaN,EUR,API,", "“NaN” is no amount. Write it like 1234.50."),
        ("K-1,CU-1,F,2026-01-01,,Pro,-1,EUR,API,", "A fee is not negative, and not more than anybody is billed."),
        ("K-1,CU-1,F,2026-01-01,,Pro,1,EUR,Fax,", "There is no component “Fax”."),
        (
            "K-1,CU-1,F,2026-01-01,,Pro,1,EUR,,",
            "Nobody wrote down what this customer uses: name components, or write * for everything.",
        ),
        (
            "K-1,CU-1,F,2026-01-01,,Pro,1,EUR,API,Mars/X",
            "There is no time zone “Mars/X”. Write it like Europe/Berlin, or UTC.",
        ),
        (",CU-1,F,2026-01-01,,Pro,1,EUR,API,", "contract is empty."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_of_the_line(cells: str, words: str) -> None:
    stage.rules()
    scene.component("API")
    report = load(HEADER + cells + "\n")
    assert [(finding.verdict, finding.words) for finding in report.shown] == [(Verdict.WRONG, words)]
    assert not Contract.objects.exists()


def test_what_our_own_export_marked_is_read_back() -> None:
    stage.rules()
    scene.component("API")
    assert load(HEADER + "'=K-1,CU-1,Fabrikam,2026-01-01,,'+Pro,1,EUR,API,\n").counts == {Verdict.NEW: 1}
    assert Contract.objects.get().reference == "=K-1"


def test_a_file_without_its_columns_is_refused() -> None:
    with pytest.raises(BadFile, match="lacks: customer, from, fee, currency"):
        load("contract\nK-1\n")


@pytest.mark.parametrize("many", [2, 40])
def test_the_number_of_queries_does_not_follow_the_contracts(
    many: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    stage.rules()
    scene.component("API")
    lines = [f"K-{n},CU-{n},Customer {n},2026-01-01,,Pro,100,EUR,API,\n" for n in range(many)]
    with django_assert_max_num_queries(45):
        load(HEADER + "".join(lines))
    assert Contract.objects.count() == many
