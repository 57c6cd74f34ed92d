"""R-905: customers are told when credits were applied, once per batch, in their brand's name."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import transaction

from notifications import suppression
from notifications.enums import Channel, Doubt, Silence
from notifications.models import Announcement, Brand, Contact, Customer, Delivery
from postmortems.credits.statements import correspondence, statement_links
from postmortems.enums import CreditKind, CreditState
from postmortems.models import Contract, Credit, StatementLink
from tests import scene
from tests.postmortems import paid, stage

APPLIED = paid.CLOSED
AT = APPLIED + timedelta(minutes=5)
pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Customer:
    scene.brand()
    customer = stage.buyer("ACME", name="Acme")
    for name in ("Ada", "Bob"):
        Contact.objects.create(customer=customer, name=name, email=f"{name.lower()}@acme.example")
    return customer


def contract(acme: Customer, reference: str = "C-1", **changes: Any) -> Contract:
    return stage.contract(reference, customer=acme, **changes)


def applied(contract: Contract, amount: int = 10_000, **changes: Any) -> Credit:
    return paid.credit(contract, amount, **({"state": CreditState.APPLIED, "invoice": "INV-7"} | changes))


def letter() -> dict[str, Any]:
    [announcement] = Announcement.objects.all()
    content: dict[str, Any] = announcement.content
    return content


def test_one_letter_for_all_of_a_batch_says_what_when_why_and_what_next(acme: Customer) -> None:
    first, second = applied(contract(acme)), applied(contract(acme, "C-2"), 2_550)
    third = applied(first.contract_month.contract, 500, kind=CreditKind.GOODWILL, invoice="cbtxn_1")
    assert correspondence.write(AT) == 1
    [announcement] = Announcement.objects.all()
    assert announcement.subject == "Your service credits for October 2026"
    assert announcement.on_doubt == Doubt.ASK
    assert letter()["paragraphs"] == [
        "We credited 130.50 EUR to you for October 2026.",
        "100.00 EUR: service credit, October 2026, contract C-1, for INC-2026-0001.",
        "25.50 EUR: service credit, October 2026, contract C-2, for INC-2026-0001.",
        "5.00 EUR: goodwill credit, October 2026, contract C-1.",
        "It is in your balance: your next invoice is lower by it, by itself.",
        "You find it on INV-7.",
        "How each amount was reckoned is on your page. The link is for you alone and works for 180 days.",
    ]
    to = Delivery.objects.order_by("pk").values_list("address", flat=True)
    assert list(to) == ["ada@acme.example", "bob@acme.example"]
    assert [Credit.objects.get(pk=one.pk).told_at for one in (first, second, third)] == [AT] * 3
    token = letter()["url"].rpartition("/")[2]
    assert statement_links.holder(token, at=AT) == acme
    assert StatementLink.objects.get().given_to == "The letter about CR-2026-0010"
    assert correspondence.write(AT) == 0


def test_what_is_charged_back_is_called_so(acme: Customer) -> None:
    one = contract(acme)
    first = applied(one, told_at=APPLIED)
    applied(one, -10_000, kind=CreditKind.REVERSAL, reverses=first, invoice="cbtxn_2")
    correspondence.write(AT)
    assert letter()["heading"] == "A correction of your service credits for October 2026"
    assert letter()["paragraphs"][:3] == [
        "We corrected your service credits for October 2026. 100.00 EUR of them was credited too much "
        "and is charged back.",
        "−100.00 EUR: reversal, October 2026, contract C-1.",
        "It is in your balance: your next invoice is higher by it, by itself.",
    ]


def test_the_rest_of_a_batch_is_waited_for_a_day(acme: Customer) -> None:
    applied(contract(acme))
    late = paid.credit(contract(acme, "C-2"), 2_550)
    assert correspondence.write(AT) == 0
    assert correspondence.write(APPLIED + timedelta(hours=24)) == 1
    Credit.objects.filter(pk=late.pk).update(
        state=CreditState.APPLIED, invoice="INV-8", applied_at=APPLIED + timedelta(hours=30)
    )
    assert correspondence.write(APPLIED + timedelta(hours=31)) == 1
    assert [one.seq for one in Announcement.objects.order_by("pk")] == [1, 2]


def test_another_batch_and_another_customer_get_letters_of_their_own(acme: Customer) -> None:
    other = stage.buyer("OTHER", name="Other")
    Contact.objects.create(customer=other, name="Cy", email="cy@other.example")
    applied(contract(acme))
    applied(contract(acme, "C-2"), month=date(2026, 9, 1))
    applied(contract(other, "C-3"))
    assert correspondence.write(AT) == 3


def test_who_has_no_contacts_is_not_called_told(acme: Customer) -> None:
    Contact.objects.all().delete()
    credit = applied(contract(acme))
    assert correspondence.write(AT) == 0
    credit.refresh_from_db()
    assert (credit.told_at, StatementLink.objects.count()) == (None, 0)


def test_nobody_is_written_to_who_must_not_be(acme: Customer) -> None:
    suppression.add(Channel.EMAIL, "ada@acme.example", Silence.COMPLAINED, at=APPLIED)
    applied(contract(acme))
    correspondence.write(AT)
    assert [delivery.address for delivery in Delivery.objects.all()] == ["bob@acme.example"]


def test_old_news_is_no_news(acme: Customer) -> None:
    applied(contract(acme))
    assert correspondence.write(APPLIED + timedelta(days=31)) == 0


def test_the_brand_of_the_incident_speaks(acme: Customer) -> None:
    payments = Brand.objects.create(
        slug="payments",
        name="Payments",
        sender_name="P",
        sender_email="p@p.example",
        support_email="h@p.example",
        signature="P",
    )
    told = stage.resolved(brand=payments)
    applied(contract(acme), lines=[paid.line(told.reference, amount=10_000)])
    correspondence.write(AT)
    [announcement] = Announcement.objects.filter(lane__startswith="credits:")
    assert announcement.brand == payments


def test_a_contract_called_after_another_brand_is_left_out(acme: Customer) -> None:
    Brand.objects.create(slug="globex", name="Globex", sender_name="G", sender_email="g@g.example")
    applied(contract(acme, "Globex 7"))
    assert correspondence.write(AT) == 1
    assert letter()["paragraphs"][1] == "100.00 EUR: service credit, October 2026, for INC-2026-0001."


def test_a_letter_and_its_mark_are_one(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    credit = applied(contract(acme))

    def fall(*_: Any, **__: Any) -> None:
        raise RuntimeError("The power went.")

    monkeypatch.setattr(correspondence.outbox.transaction, "on_commit", fall)
    with pytest.raises(RuntimeError), transaction.atomic():
        correspondence.write(AT)
    credit.refresh_from_db()
    assert (credit.told_at, Announcement.objects.count(), StatementLink.objects.count()) == (None, 0, 0)


def test_a_letter_costs_the_same_queries_whatever_it_says(acme: Customer, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        applied(contract(acme, f"C-{number:02d}"), 100 + number)
    with django_assert_max_num_queries(24):
        correspondence.write(AT)
    assert letter()["paragraphs"][13] == "… and 8 more, on your page."
