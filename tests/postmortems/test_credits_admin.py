"""Credits at the console: a list to act on, a page that explains, acts that are done once (R-903, R-904, R-1308)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.test import Client

from postmortems.credits import assessing, book
from postmortems.enums import CreditState
from postmortems.models import Contract, Credit, CreditDeed, Posting
from tests import scene
from tests.postmortems import console, stage
from tests.postmortems.console import LATER, LIST, assessed, fresh, page_of, press, proposed, told
from tests.postmortems.stage import NOON, OCTOBER

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(LATER, tick=False):
        yield


@pytest.fixture
def acme() -> Contract:
    return stage.contract("C-1", customer=stage.buyer("ACME"))


@pytest.fixture
def byte() -> Contract:
    return stage.contract("C-2", customer=stage.buyer("BYTE"), currency="JPY")


def everything() -> tuple[int, int, int, list[str]]:
    states = list(Credit.objects.order_by("pk").values_list("state", flat=True))
    return Credit.objects.count(), CreditDeed.objects.count(), Posting.objects.count(), states


def shown(response: Any) -> list[int]:
    return [credit.pk for credit in response.context["cl"].result_list]


# --- the list --------------------------------------------------------------------------


def test_each_line_says_why_it_waits_and_who_may_not(client: Client, acme: Contract, byte: Contract) -> None:
    """R-1308: in words, for the person who looks."""
    me = console.sit(client)
    incident = stage.resolved(by="fin")
    held = stage.rules(hold_hours=48, second_above="1000")
    proposed(acme, 5_000, rules=held, lines=[([incident.reference], 5_000)], at=LATER - timedelta(hours=45))
    proposed(byte, 1_001, rules=held)
    proposed(stage.contract("C-3"), 7_000, asked_by=me)
    rows = client.get(LIST).context["cl"].result_list
    assert {row.contract_month.contract.reference: (row.why.words, row.why.barred) for row in rows} == {
        "C-1": (
            "Approves by itself in 3 h unless somebody stops it.",
            f"You resolved {incident.reference}, which it is for: somebody else has to approve it.",
        ),
        "C-2": ("Above 1,000 JPY: needs a second person.", ""),
        "C-3": (
            "A person approves it.",
            "You asked for the assessment that it comes from: somebody else has to approve it.",
        ),
    }


def test_the_list_is_narrowed(client: Client, acme: Contract, byte: Contract) -> None:
    me = console.sit(client)
    first, second = proposed(acme, 5_000, lines=[(["INC-2026-0007"], 5_000)]), proposed(byte, 700)
    third = proposed(acme, 800, month=OCTOBER.replace(month=9), asked_by=me)
    book.approve([second.pk], by=stage.finance("other"), at=NOON)
    found = {
        query: sorted(shown(client.get(f"{LIST}?{query}")))
        for query in (
            "", "state=waiting", "state=standing", "state=approved", "mine=yes", "month=2026-09", "currency=JPY",
            "kind=goodwill", "customer=acme", "q=C-2", "q=Acme", "month=never", "state=nonsense",
        )
    }  # fmt: skip
    assert found == {
        "": [first.pk, second.pk, third.pk],
        "state=waiting": [first.pk, third.pk],
        "state=standing": [second.pk],
        "state=approved": [second.pk],
        "mine=yes": [first.pk],
        "month=2026-09": [third.pk],
        "currency=JPY": [second.pk],
        "kind=goodwill": [],
        "customer=acme": [first.pk, third.pk],
        "q=C-2": [second.pk],
        "q=Acme": [first.pk, third.pk],
        "month=never": [],
        "state=nonsense": [first.pk, second.pk, third.pk],
    }


def test_waiting_for_me_leaves_out_what_i_resolved(client: Client, acme: Contract, byte: Contract) -> None:
    console.sit(client)
    incident = stage.resolved(by="fin")
    mine = proposed(acme, 5_000, lines=[([incident.reference], 5_000)])
    mine.contract_month.touches.create(incident=incident)
    # Looked at, and nothing of it counts there: that bars nobody.
    other = proposed(byte, 700)
    other.contract_month.touches.create(incident=incident)
    assert shown(client.get(f"{LIST}?mine=yes")) == [other.pk]
    assert sorted(shown(client.get(f"{LIST}?q={incident.reference}"))) == sorted([mine.pk, other.pk])


def test_the_list_takes_the_same_number_of_queries_whatever_it_holds(
    client: Client, acme: Contract, django_assert_num_queries: Any
) -> None:
    console.sit(client)
    proposed(acme, 5_000, lines=[(["INC-1"], 5_000)])
    counted = []
    for turn in range(2):
        with django_assert_num_queries(99, exact=False) as asked:
            client.get(f"{LIST}?state=waiting&mine=yes")
        counted.append(len(asked))
        for number in range(10, 20):
            proposed(stage.contract(f"C-{turn}{number}"), number, lines=[([f"INC-{number}"], number)])
    assert counted[1] <= counted[0]


def test_nothing_can_be_added_changed_or_deleted(client: Client, acme: Contract) -> None:
    """Acts, not fields; not even for a superuser."""
    client.force_login(scene.operator("boss", is_superuser=True))
    credit, before = proposed(acme, 5_000), everything()
    answers = [
        client.post(f"{LIST}add/", {"amount_minor": 1}),
        client.post(page_of(credit), {"state": "approved"}),
        client.post(page_of(credit).replace("change", "delete"), {"post": "yes"}),
        client.post(LIST, {"action": "delete_selected", "_selected_action": credit.pk, "post": "yes"}),
    ]
    assert [answer.status_code for answer in answers] == [403, 405, 403, 302]
    assert everything() == before


# --- acts ------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["approve", "return", "stop", "keep", "apply"])
def test_a_get_changes_nothing_whatever_its_address(client: Client, acme: Contract, slug: str) -> None:
    console.sit(client)
    credit = proposed(acme, 5_000, rules=stage.rules(hold_hours=24))
    before = everything()
    url = console.act_on(slug, credit)
    for query in ("", "&sure=yes&reason=x&invoice=x", "&_act=1"):
        assert client.get(url + query).status_code == 200
        client.head(url + query)
    assert everything() == before


def test_what_is_about_to_be_done_is_said_before(client: Client, acme: Contract, byte: Contract) -> None:
    """How many, and how much of each currency; what is left out; nothing is done yet."""
    console.sit(client)
    one, two = proposed(acme, 5_000), proposed(byte, 700)
    over = proposed(stage.contract("C-3"), 1_000)
    book.give_back([over.pk], reason="No.", by=stage.finance("other"), at=NOON)
    page = client.post(LIST, {"action": "approve", "_selected_action": [one.pk, two.pk, over.pk]})
    look = page.context["look"]
    assert (look.number, look.totals, look.others) == (2, [(1, "50.00 EUR"), (1, "700 JPY")], [(1, "Returned")])
    assert page.context["ids"] == f"{one.pk},{two.pk},{over.pk}"
    assert [fresh(one).state, fresh(two).state] == ["proposed", "proposed"]


def test_r904_many_are_approved_and_each_refusal_is_told_in_words(
    client: Client, acme: Contract, byte: Contract
) -> None:
    me = console.sit(client)
    good, mine = proposed(acme, 5_000), proposed(byte, 700, asked_by=me)
    large = proposed(stage.contract("C-3"), 200_000, rules=stage.rules(second_above="1000"))
    answer = press(client, "approve", good, mine, large)
    assert [fresh(one).state for one in (good, mine, large)] == ["approved", "proposed", "second"]
    assert told(answer) == [
        "1 credit approved: 50.00 EUR.",
        "1 credit waits for a second person now: 2,000.00 EUR.",
        "Not done, C-2:2026-10:1: You asked for the assessment that it comes from: somebody else has to approve it.",
    ]
    assert answer["Location"] == LIST


def test_an_act_is_done_once_however_often_it_is_sent(client: Client, acme: Contract) -> None:
    console.sit(client)
    credit = proposed(acme, 5_000)
    press(client, "approve", credit)
    before = everything()
    again = press(client, "approve", credit)
    assert everything() == before
    assert told(again)[-1] == "Not done, C-1:2026-10:1: It is approved already."


@pytest.mark.parametrize("slug", ["return", "stop"])
def test_a_reason_is_asked_for_at_its_field_and_the_choice_survives(client: Client, acme: Contract, slug: str) -> None:
    console.sit(client)
    credit, before = proposed(acme, 5_000, rules=stage.rules(hold_hours=24)), everything()
    page = press(client, slug, credit, reason="   ")
    assert page.context["form"].errors == {"reason": ["Say why: it stays in the history."]}
    assert (page.context["ids"], everything()) == (str(credit.pk), before)
    page = press(client, slug, credit, reason="x" * 1001)
    assert "x" * 1001 in page.content.decode()
    assert everything() == before


def test_r904_return_stop_keep_and_apply(client: Client, acme: Contract, byte: Contract) -> None:
    me = console.sit(client)
    held = stage.rules(hold_hours=72)
    one, two = proposed(acme, 5_000, rules=held), proposed(byte, 700, rules=held)
    assert fresh(two).holds_until is not None
    press(client, "stop", two, reason="Let me look first.")
    press(client, "return", one, reason="Not ours.")
    assert (fresh(one).state, fresh(two).holds_until) == ("returned", None)
    press(client, "approve", two)
    less = proposed(byte, 300)
    assert less.state == CreditState.DECISION
    press(client, "keep", less, reason="A good customer.")
    assert fresh(less).state == "kept"
    said = CreditDeed.objects.filter(by=me).order_by("pk").values_list("deed", "reason")
    assert list(said) == [
        ("stopped", "Let me look first."), ("returned", "Not ours."), ("approved", ""), ("kept", "A good customer."),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rights", "allowed"),
    [
        (("view_credit",), set()),
        (("view_credit", "approve_credit"), {"approve", "return", "stop", "keep"}),
        (("view_credit", "export_credit"), {"apply"}),
    ],
)
def test_r904_each_act_takes_its_right(
    client: Client, acme: Contract, rights: tuple[str, ...], allowed: set[str]
) -> None:
    console.sit(client, "role", *rights)
    credit, before = proposed(acme, 5_000), everything()
    slugs = ("approve", "return", "stop", "keep", "apply")
    assert {slug for slug in slugs if client.get(console.act_on(slug, credit)).status_code == 200} == allowed
    for slug in set(slugs) - allowed:
        assert press(client, slug, credit, reason="x", invoice="x").status_code == 403
    assert everything() == before
    assert client.get("/admin/credits/act/burn/").status_code == 404


def test_ten_thousand_are_acted_on_without_as_many_queries(
    client: Client, acme: Contract, django_assert_num_queries: Any
) -> None:
    """Select across pages: the ids travel in one field, and the act asks as often for many as for few."""
    console.sit(client)
    counted = []
    for size in (2, 40):
        credits = [proposed(stage.contract(f"X{size}-{number}"), 100) for number in range(size)]
        page = client.post(LIST, {"action": "approve", "select_across": 1, "_selected_action": credits[0].pk})
        assert set(page.context["ids"].split(",")) >= {str(credit.pk) for credit in credits}
        with django_assert_num_queries(60, exact=False) as asked:
            press(client, "approve", *credits)
        counted.append(len(asked))
        assert {fresh(credit).state for credit in credits} == {"approved"}
    assert counted[0] == counted[1]


def test_nobody_is_sent_to_another_site_afterwards(client: Client, acme: Contract) -> None:
    console.sit(client)
    answer = press(client, "approve", proposed(acme, 5_000), back="https://evil.example/")
    assert answer["Location"] == LIST


# --- a credit's page -------------------------------------------------------------------


def test_r903_the_page_tells_who_did_what_how_it_was_computed_and_what_moved(client: Client, acme: Contract) -> None:
    me = console.sit(client)
    credit = proposed(acme, 5_000)
    assessed(acme, 9_000)
    newer = Credit.objects.get(state=CreditState.PROPOSED)
    book.approve([newer.pk], by=me, at=LATER)
    page = client.get(page_of(newer))
    assert [(deed.get_deed_display(), deed.by) for deed in page.context["deeds"]] == [
        ("Proposed", None),
        ("Approved", me),
    ]
    assert [(one, two) for _, one, two in page.context["postings"]] == [
        ("Service credits (expense)", "Owed to the customer")
    ]
    assert [other.pk for other in page.context["others"]] == [credit.pk]
    assert [(one.difference, one.changes) for one in page.context["history"]] == [
        (4_000, ["Nothing that it is computed from."]), (5_000, []),
    ]  # fmt: skip
    words = page.content.decode()
    assert "90.00 EUR" in words
    assert "1,000.00 EUR for the whole month." in words


def test_the_page_offers_what_this_person_may_do_and_says_why_not(client: Client, acme: Contract) -> None:
    me = console.sit(client)
    free = proposed(acme, 5_000, rules=stage.rules(hold_hours=72))
    own = proposed(stage.contract("C-2"), 5_000, asked_by=me)
    offered = {
        credit.pk: ([act.slug for act, _ in page.context["acts"]], page.context["barred"])
        for credit in (free, own)
        for page in [client.get(page_of(credit))]
    }
    assert offered == {
        free.pk: (["approve", "return", "stop"], ""),
        own.pk: (["return"], "You asked for the assessment that it comes from: somebody else has to approve it."),
    }
    console.sit(client, "reader", "view_credit")
    page = client.get(page_of(free))
    assert (page.context["acts"], page.context["may_reverse"]) == ([], False)


def test_a_decision_is_kept_or_taken_back(client: Client, acme: Contract) -> None:
    me = console.sit(client)
    book.approve([proposed(acme, 5_000).pk], by=me, at=NOON)
    lower = proposed(acme, 3_800)
    page = client.get(page_of(lower))
    assert page.context["why"].words == "Would lower what was approved by 12.00 EUR: decide."
    assert [label for _, label in page.context["acts"]] == ["Customer keeps it", "Take it back"]
    asked = client.get(console.act_on("approve", lower))
    assert (asked.context["title"], asked.context["act"].label) == ("Take it back?", "Take it back")


def test_the_first_of_two_approvers_is_told_so_once_and_readers_of_nothing_they_cannot_do(
    client: Client, acme: Contract
) -> None:
    """One sentence where both would say the same, and none about a right that was never theirs (R-1308)."""
    me = console.sit(client)
    credit = proposed(acme, 5_000, rules=stage.rules(second_above="10"))
    book.approve([credit.pk], by=me, at=NOON)
    said = {}
    for name, rights in {"fin": (), "other": (), "reader": ("view_credit",)}.items():
        console.sit(client, name, *rights)
        rows = [client.get(url) for url in (console.OVERVIEW, console.LIST, page_of(credit))]
        said[name] = [
            [words in page.text for page in rows] for words in ("You approved it", "Fin approved it", "takes a right")
        ]
    yes, no = [True] * 3, [False] * 3
    assert said == {"fin": [yes, no, no], "other": [no, yes, no], "reader": [no, yes, no]}


def test_r213_an_incident_is_named_only_to_who_may_know_of_it(client: Client, acme: Contract) -> None:
    """Its reference stands in the arithmetic; its title and the way to it do not."""
    stage.rules()
    incident = stage.resolved()
    credit = lived(acme)
    page = client.get
    console.sit(client, "ledger", "view_credit")
    assert incident.title not in page(page_of(credit)).content.decode()
    user = console.sit(client)
    user.user_permissions.add(Permission.objects.get(codename="view_incident"))
    assert incident.title in page(page_of(credit)).content.decode()
    type(incident).objects.filter(pk=incident.pk).update(is_restricted=True)
    words = page(page_of(credit)).content.decode()
    assert incident.title not in words
    assert incident.reference in words


# --- goodwill and reversals ------------------------------------------------------------


def give(client: Client, credit: Credit, **typed: Any) -> Any:
    url = f"/admin/credits/months/{credit.contract_month_id}/goodwill/"
    token = client.get(url).context["form"]["token"].value()
    return client.post(url, {"token": str(token), "amount": "25.50", "reason": "A long night."} | typed)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("ten", "“ten” is no amount. Write it like 1234.50."),
        ("1.005", "EUR has 2 decimal places; “1.005” has more."),
        ("", "Say how much."),
        ("0", "Goodwill is more than nothing. To take something back, reverse the credit."),
        ("-5", "Goodwill is more than nothing. To take something back, reverse the credit."),
        (
            "5000",
            "Only 950.00 EUR are left of the month's cap of 1,000.00 EUR: 50.00 EUR stand or are proposed already.",
        ),
    ],
)
def test_an_amount_is_refused_at_its_field_and_the_reason_is_kept(
    client: Client, acme: Contract, amount: str, words: str
) -> None:
    console.sit(client)
    credit = proposed(acme, 5_000)
    page = give(client, credit, amount=amount)
    assert page.context["form"].errors == {"amount": [words]}
    assert "A long night." in page.content.decode()
    assert Credit.objects.count() == 1


def test_goodwill_is_proposed_once_however_often_the_form_is_sent(client: Client, acme: Contract) -> None:
    me = console.sit(client)
    credit = proposed(acme, 5_000)
    for _ in range(3):
        answer = give(client, credit)
    given = Credit.objects.get(kind="goodwill")
    assert (given.amount_minor, given.proposed_by, given.reason, given.state) == (
        2_550,
        me,
        "A long night.",
        "proposed",
    )
    assert answer["Location"] == page_of(given)
    # Another amount is another goodwill.
    give(client, credit, amount="1")
    assert Credit.objects.filter(kind="goodwill").count() == 2


def test_r1308_a_reversal_is_another_credit_that_two_others_approve(client: Client, acme: Contract) -> None:
    me = console.sit(client)
    credit = proposed(acme, 5_000)
    book.approve([credit.pk], by=me, at=NOON)
    url = f"/admin/credits/{credit.pk}/reverse/"
    assert client.get(url).status_code == 200
    assert client.post(url, {"reason": ""}).context["form"].errors == {"reason": ["Say why: it stays in the history."]}
    client.post(url, {"reason": "Paid by hand."})
    made = Credit.objects.get(kind="reversal")
    assert (made.amount_minor, made.needs_second, made.reverses, made.proposed_by) == (-5_000, True, credit, me)
    again = client.post(url, {"reason": "Paid by hand."})
    assert again.context["form"].non_field_errors() == ["Its reversal waits for approval already."]
    assert client.get(page_of(made)).context["why"].barred == "You proposed it: somebody else has to approve it."


# --- a contract's month ----------------------------------------------------------------


def lived(contract: Contract) -> Credit:
    """What was really assessed of the incidents so far."""
    assessing.sweep(LATER)
    return Credit.objects.get(contract_month__contract=contract, state=CreditState.PROPOSED)


def test_the_month_shows_what_it_comes_to_and_is_assessed_again_by_a_post(client: Client, acme: Contract) -> None:
    me = console.sit(client)
    credit = proposed(acme, 5_000)
    book.approve([credit.pk], by=me, at=NOON)
    url = f"/admin/credits/months/{credit.contract_month_id}/"
    page = client.get(url)
    assert [other.pk for other in page.context["credits"]] == [credit.pk]
    assert page.context["accounts"] == [
        ("Service credits (expense)", 5_000), ("Owed to the customer", -5_000),
        ("Handed to billing", 0), ("Applied to invoices", 0),
    ]  # fmt: skip
    assert client.get(f"{url}assess/").status_code == 405
    month = credit.contract_month
    month.refresh_from_db()
    assert month.stale_since is None
    client.post(f"{url}assess/")
    month.refresh_from_db()
    assert month.stale_since == LATER
    console.sit(client, "reader", "view_credit")
    assert client.post(f"{url}assess/").status_code == 403


@pytest.mark.parametrize("path", ["months/{0}/", "months/{0}/goodwill/", "{1}/reverse/", "", "reports/"])
def test_strangers_see_nothing(client: Client, acme: Contract, path: str) -> None:
    credit = proposed(acme, 5_000)
    url = f"/admin/credits/{path.format(credit.contract_month_id, credit.pk)}"
    assert client.get(url)["Location"].startswith("/admin/login/")
    console.sit(client, "stranger", "view_contract")
    assert client.get(url).status_code == 403
    assert client.get(page_of(credit)).status_code == 403
    assert client.get(LIST).status_code == 403


@pytest.mark.parametrize("size", [1, 12])
def test_the_page_takes_the_same_number_of_queries_whatever_its_history(
    client: Client, acme: Contract, size: int, django_assert_num_queries: Any
) -> None:
    me = console.sit(client)
    for number in range(1, size + 1):
        book.approve([proposed(acme, number * 1_000).pk], by=me, at=NOON)
    credit = Credit.objects.latest("pk")
    client.get(page_of(credit))
    with django_assert_num_queries(11):
        client.get(page_of(credit))
