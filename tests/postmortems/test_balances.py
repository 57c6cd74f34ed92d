"""R-905: exported credits become entries in the customer's balance at Stripe, each exactly once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections

from postmortems import checks
from postmortems.credits.stripe import balances, comparing, stripe_wire
from postmortems.credits.stripe.stripe_wire import Refused, units
from postmortems.enums import CreditKind, CreditState, Deed
from postmortems.models import BalanceEntry, Contract, Credit, Posting
from tests.postmortems import far_stripe, paid, stage
from tests.postmortems.far_stripe import FarStripe

AT = paid.CLOSED + timedelta(minutes=1)
LATER = timedelta(hours=7)


@pytest.fixture
def far(settings: Any) -> Iterator[FarStripe]:
    with far_stripe.serve() as far:
        far.customers |= {"cus_1": "", "cus_2": ""}
        settings.STRIPE = {
            "api_key": far_stripe.KEY,
            "api_base": far.address,
            "connect_timeout": 1.0,
            "read_timeout": 0.2,
            "retries": 0,
        }
        yield far


def acme(reference: str = "C-1", account: str = "cus_1", **changes: Any) -> Contract:
    return stage.contract(reference, billing_account=account, **changes)


def applied() -> list[str]:
    return list(Credit.objects.filter(state=CreditState.APPLIED).order_by("pk").values_list("invoice", flat=True))


# --- the plain way -------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_credit_lowers_what_is_owed_and_is_applied(far: FarStripe) -> None:
    credit = paid.credit(acme(), 12_345)
    assert balances.post(AT) == 1
    [booked] = far.all
    assert (booked["amount"], booked["currency"], booked["customer"]) == (-12_345, "eur", "cus_1")
    assert booked["description"] == "Service credit for October 2026, contract C-1 (INC-2026-0001)"
    assert booked["metadata"] == {
        "heliograph_credit": "C-1:2026-10:1",
        "batch": "CR-2026-0010",
        "month": "2026-10",
    }
    assert list(far.keys) == ["heliograph:C-1:2026-10:1"]
    credit.refresh_from_db()
    assert (credit.state, credit.invoice, credit.applied_at) == (CreditState.APPLIED, booked["id"], AT)
    assert (credit.stripe_tries, credit.stripe_tried_at, credit.stripe_error) == (1, AT, "")
    assert Posting.objects.filter(key="C-1:2026-10:1:apply", debit="billing", against="invoiced").count() == 1
    assert [deed.deed for deed in credit.deeds.all()] == [Deed.POSTED, Deed.APPLIED]
    assert balances.post(AT) == 0


@pytest.mark.django_db
def test_a_lowering_raises_it_again(far: FarStripe) -> None:
    contract = acme()
    first = paid.credit(contract, 10_000)
    paid.credit(contract, -4_000, kind=CreditKind.CORRECTION, lines=[])
    paid.credit(contract, -6_000, kind=CreditKind.REVERSAL, reverses=first)
    while balances.post(AT):
        pass
    assert far.amounts("cus_1") == [-10_000, 4_000, 6_000]
    assert [one["description"] for one in far.all][1:] == [
        "Correction of the service credit for October 2026, contract C-1",
        "Reversal of a service credit for October 2026, contract C-1",
    ]


@pytest.mark.django_db
def test_it_is_off_until_there_is_a_key(settings: Any) -> None:
    settings.STRIPE = settings.STRIPE | {"api_key": ""}
    paid.credit(acme())
    assert balances.post(AT) == 0
    assert not BalanceEntry.objects.exists()


@pytest.mark.django_db
def test_only_what_was_exported_and_only_customers_of_stripe(far: FarStripe) -> None:
    paid.credit(acme("C-1"), state=CreditState.APPROVED)
    paid.credit(acme("C-2", account=""))
    paid.credit(acme("C-3", account="zuora-77"))
    assert balances.post(AT) == 0
    assert far.calls == []


# --- currencies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "currency", "theirs"),
    [
        (1_050, "EUR", 1_050), (500, "JPY", 500), (7, "CLP", 7), (5, "ISK", 500), (-5, "UGX", -500),
        (5_120, "KWD", 5_120), (-5_130, "TND", -5_130), (1_000, "HUF", 1_000), (800, "TWD", 800), (300, "MGA", 3),
    ],
)  # fmt: skip
def test_amounts_are_said_in_stripes_units(minor: int, currency: str, theirs: int) -> None:
    assert units(minor, currency) == theirs


@pytest.mark.parametrize(
    ("minor", "currency", "words"),
    [
        (5_124, "KWD", "Stripe takes KWD in steps of 0.010 KWD: 5.124 KWD cannot be said there."),
        (350, "MGA", "Stripe takes MGA in steps of 1.00 MGA: 3.50 MGA cannot be said there."),
        (1_000, "IQD", "Stripe does not bill in IQD."),
    ],
)
def test_what_stripe_cannot_say_to_the_last_unit_is_refused(minor: int, currency: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        units(minor, currency)
    assert str(refused.value) == words


@pytest.mark.django_db
def test_such_a_credit_says_so_and_the_next_one_goes(far: FarStripe) -> None:
    contract = acme(currency="KWD")
    odd, round_ = paid.credit(contract, 5_124), paid.credit(contract, 5_120, kind=CreditKind.GOODWILL)
    assert balances.post(AT) == 1
    odd.refresh_from_db()
    round_.refresh_from_db()
    assert odd.stripe_error == "Stripe takes KWD in steps of 0.010 KWD: 5.124 KWD cannot be said there."
    assert (odd.state, round_.state) == (CreditState.EXPORTED, CreditState.APPLIED)
    assert balances.post(AT + LATER) == 0


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fault", "words", "booked_at_once"),
    [
        ("late", "Stripe could not be reached, or did not answer in time.", 1),
        ("cut", "Stripe could not be reached, or did not answer in time.", 1),
        ("500 after", "Stripe has trouble: Something went wrong on our end. (request req_1)", 1),
        ("500 before", "Stripe has trouble: Something went wrong on our end. (request req_1)", 0),
        ("429", "Stripe asks us to slow down.", 0),
        ("409", "Stripe is still at the same request.", 0),
    ],
)
@pytest.mark.parametrize("keys_kept", [True, False])
def test_whatever_happens_it_is_booked_once(
    far: FarStripe, fault: str, words: str, booked_at_once: int, keys_kept: bool
) -> None:
    credit = paid.credit(acme())
    far.faults = [fault]
    assert balances.post(AT) == 1
    credit.refresh_from_db()
    assert (len(far.all), credit.state, credit.stripe_error) == (booked_at_once, CreditState.EXPORTED, words)
    # Not before its time.
    assert balances.post(AT + timedelta(seconds=29)) == 0
    if not keys_kept:
        far.forget_keys()
    assert balances.post(AT + timedelta(seconds=30)) == 1
    credit.refresh_from_db()
    assert far.amounts("cus_1") == [-10_000]
    assert (credit.state, credit.invoice, credit.stripe_error, credit.stripe_tries) == (
        CreditState.APPLIED, far.all[0]["id"], "", 2,
    )  # fmt: skip


@pytest.mark.django_db
def test_an_answer_that_was_lost_is_looked_for_on_every_page(far: FarStripe) -> None:
    credit = paid.credit(acme())
    far.faults = ["cut"]
    balances.post(AT)
    ours = far.all[0]
    others = [ours | {"id": f"cbtxn_x{number}", "metadata": {}} for number in range(5)]
    far.transactions["cus_1"] = [*others[:2], ours, *others[2:]]
    far.forget_keys()
    far.page = 2
    balances.post(AT + LATER)
    credit.refresh_from_db()
    assert (credit.invoice, len(far.all)) == (ours["id"], 6)


@pytest.mark.django_db
def test_the_clients_own_repetition_books_once(far: FarStripe, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe._http_client.time.sleep", lambda _: None)
    settings.STRIPE = settings.STRIPE | {"retries": 1}
    paid.credit(acme())
    far.faults = ["cut"]
    balances.post(AT)
    assert (far.amounts("cus_1"), applied()) == ([-10_000], ["cbtxn_0001"])
    assert [method for method, _ in far.calls] == ["POST", "POST"]


@pytest.mark.django_db
def test_pauses_double_up_to_six_hours(far: FarStripe) -> None:
    paid.credit(acme())
    at, pauses = AT, []
    for _ in range(12):
        far.faults = ["429", "429"]
        assert balances.post(at) == 1
        pauses.append(BalanceEntry.objects.get().next_at - at)
        at += pauses[-1]
    seconds = [int(pause.total_seconds()) for pause in pauses]
    assert seconds == [30, 60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 15_360, 21_600, 21_600]


# --- refused for good ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_unknown_customer_is_refused_and_follows_the_contract_to_another(far: FarStripe) -> None:
    contract = acme(account="cus_gone")
    credit = paid.credit(contract)
    assert balances.post(AT) == 1
    credit.refresh_from_db()
    said = "Stripe knows no customer cus_gone. No such customer: 'cus_gone' (request req_1)"
    assert (credit.state, credit.stripe_error) == (CreditState.EXPORTED, said)
    assert balances.post(AT + LATER) == 0
    contract.billing_account = "cus_2"
    contract.save()
    assert balances.post(AT + LATER) == 1
    assert (far.amounts("cus_2"), applied()) == ([-10_000], ["cbtxn_0001"])
    assert list(far.keys)[-1] == "heliograph:C-1:2026-10:1/2"


@pytest.mark.django_db
def test_another_currency_than_the_customers_is_refused_until_somebody_asks_again(far: FarStripe) -> None:
    far.customers["cus_1"] = "usd"
    credit = paid.credit(acme())
    balances.post(AT)
    credit.refresh_from_db()
    said = "You cannot combine currencies on a single customer. This customer has usd. (request req_1)"
    assert credit.stripe_error == said
    far.customers["cus_1"] = "eur"
    assert balances.post(AT + LATER) == 0
    fin = stage.finance()
    assert balances.try_again([credit.pk], by=fin, at=AT + LATER) == 1
    assert balances.try_again([credit.pk], by=fin, at=AT + LATER) == 0
    assert balances.post(AT + LATER) == 1
    assert (far.amounts("cus_1"), applied()) == ([-10_000], ["cbtxn_0001"])


@pytest.mark.django_db
def test_a_refused_key_stops_everything_and_another_one_goes_on(far: FarStripe, settings: Any) -> None:
    good = settings.STRIPE
    settings.STRIPE = good | {"api_key": "sk_test_wrong"}
    paid.credit(acme("C-1"))
    paid.credit(acme("C-2", account="cus_2"))
    assert balances.post(AT) == 0
    calls = len(far.calls)
    found = balances.state()
    assert (found.stopped_at, found.stopped_why.startswith("Invalid API Key provided")) == (AT, True)
    assert balances.post(AT + timedelta(minutes=14)) == 0
    assert len(far.calls) == calls
    settings.STRIPE = good
    assert balances.post(AT + timedelta(minutes=14)) == 2
    assert (sorted(applied()), balances.state().stopped_at) == (["cbtxn_0001", "cbtxn_0002"], None)


@pytest.mark.django_db
def test_a_key_without_permission_is_tried_again_after_a_quarter_of_an_hour(far: FarStripe) -> None:
    paid.credit(acme())
    far.faults = ["403"]
    assert balances.post(AT) == 0
    assert balances.post(AT + timedelta(minutes=1)) == 0
    assert balances.post(AT + timedelta(minutes=15)) == 1
    assert applied() == ["cbtxn_0001"]


# --- order, workers, deaths ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_customers_later_credit_waits_for_the_earlier_one(far: FarStripe) -> None:
    one, other = acme("C-1"), acme("C-2", account="cus_2")
    paid.credit(one, 100)
    paid.credit(one, 200, month=stage.date(2026, 11, 1))
    paid.credit(other, 300)
    far.faults = ["429"] * 2
    assert balances.post(AT) == 2
    assert far.all == []
    assert balances.post(AT + timedelta(minutes=1)) == 2
    assert balances.post(AT + timedelta(minutes=1)) == 1
    assert (far.amounts("cus_1"), far.amounts("cus_2")) == ([-100, -200], [-300])


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_book_each_credit_once(far: FarStripe, settings: Any) -> None:
    # Sixteen calls at once on a busy machine: what is late is another story.
    settings.STRIPE = settings.STRIPE | {"connect_timeout": 10.0, "read_timeout": 10.0}
    for number in range(12):
        far.customers[f"cus_{number}"] = ""
        paid.credit(acme(f"C-{number}", account=f"cus_{number}"), 100 + number)
    start = threading.Barrier(2)

    def work() -> None:
        start.wait()
        while balances.post(AT):
            pass
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # Whoever found nothing to claim went home; what is left is the next sweep's.
    while balances.post(AT):
        pass
    assert sorted(one["amount"] for one in far.all) == [-111 + number for number in range(12)]
    assert len(set(applied())) == 12
    assert len([1 for method, _ in far.calls if method == "POST"]) == 12


def _die(*_: Any, **__: Any) -> None:
    os._exit(9)


def _then_die(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> None:
        act(*args, **kwargs)
        os._exit(9)

    return dying


#: (what is broken, whether it is done before the death, how many stand at Stripe then)
DEATHS = {
    "before it is written down": ("_write", False, 0),
    "after it was written down": ("_write", True, 0),
    "before it is claimed": ("_claim", False, 0),
    "after it was claimed": ("_claim", True, 0),
    "before the call": ("create", False, 0),
    "after the call": ("create", True, 1),
    "before it is recorded": ("_record", False, 1),
    "in the ledger": ("_apply", False, 1),
    "before the record is committed": ("_go_on", False, 1),
    "after it was recorded": ("_record", True, 1),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_killed_at_any_point_leaves_one_transaction(
    far: FarStripe, death: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point, done, standing = DEATHS[death]
    credit = paid.credit(acme())
    stripe_wire._client.cache_clear()
    connections.close_all()
    child = os.fork()
    if not child:
        act = getattr(balances, point)
        monkeypatch.setattr(balances, point, _then_die(act) if done else _die)
        try:
            balances.post(AT)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert len(far.all) == standing
    far.forget_keys()
    later = AT + balances.LEASE
    balances.post(later)
    credit.refresh_from_db()
    assert (credit.state, credit.invoice) == (CreditState.APPLIED, "cbtxn_0001")
    assert far.amounts("cus_1") == [-10_000]
    assert Posting.objects.filter(credit=credit).count() == 3
    assert balances.post(later + LATER) == 0


@pytest.mark.django_db
def test_a_chunk_costs_the_same_queries_to_claim_whatever_waits(far: FarStripe, django_assert_num_queries: Any) -> None:
    contract = acme()
    for number in range(3):
        paid.credit(contract, 100 + number, kind=CreditKind.GOODWILL)
    balances.post(AT)
    for number in range(20):
        paid.credit(contract, 200 + number, kind=CreditKind.GOODWILL)
    with django_assert_num_queries(7, connection=connection):
        balances._write_down(AT)


# --- read back --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_stripe_holds_is_read_back_and_agrees(far: FarStripe, django_assert_num_queries: Any) -> None:
    for number in (1, 2):
        paid.credit(acme(f"C-{number}", account=f"cus_{number}"))
    balances.post(AT)
    with django_assert_num_queries(11):
        assert comparing.reconcile(AT) == 2
    assert (comparing.findings(), balances.state().compared_at) == ([], AT)


@pytest.mark.django_db
def test_what_differs_is_said_until_it_is_in_order(far: FarStripe) -> None:
    first = acme("C-1")
    paid.credit(first, 100)
    paid.credit(first, 200, month=stage.date(2026, 11, 1))
    paid.credit(acme("C-2", account="cus_2"), 300)
    while balances.post(AT):
        pass
    one, other = far.transactions["cus_1"]
    far.transactions["cus_1"] = [one | {"amount": -999}, one | {"id": "cbtxn_again"}]
    comparing.reconcile(AT)
    assert comparing.findings() == [
        f"C-1:2026-10:1 ({one['id']}) is -999 eur at Stripe and -100 eur here, in Stripe’s units.",
        f"C-1:2026-11:1 ({other['id']}) is not in the balance of cus_1 at Stripe.",
        "Stripe holds cbtxn_again for C-1:2026-10:1 in the balance of cus_1, which was not booked from here.",
    ]
    far.transactions["cus_1"] = [one, other]
    comparing.reconcile(AT)
    assert comparing.findings() == []


@pytest.mark.django_db
def test_a_silent_stripe_is_no_finding(far: FarStripe) -> None:
    paid.credit(acme())
    balances.post(AT)
    far.faults = ["cut"]
    assert (comparing.reconcile(AT), comparing.findings()) == (0, [])


# --- whether it is set up ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("production", "changes", "ids"),
    [
        (True, {}, []),
        (True, {"api_key": "rk_live_1"}, []),
        (False, {"api_key": "sk_test_1", "api_base": "http://127.0.0.1:1"}, []),
        (False, {"api_key": "pk_live_1"}, ["heliograph.E016"]),
        (True, {"api_key": "sk_test_1"}, ["heliograph.W005"]),
        (True, {"api_key": "sk_live_1", "api_base": "http://stripe.example.com"}, ["heliograph.E017"]),
    ],
)
def test_the_checks_say_what_is_wrong(settings: Any, production: bool, changes: dict[str, str], ids: list[str]) -> None:
    settings.PRODUCTION, settings.STRIPE = production, settings.STRIPE | changes
    found = checks.stripes_key_can_book(None) + checks.stripe_is_spoken_to_in_secret(None)
    assert [message.id for message in found] == ids
