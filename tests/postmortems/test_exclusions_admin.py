"""Time taken out of incidents at the console: shown before it is done, done once, withdrawn (R-902)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.test import Client

from incidents.models import Incident
from postmortems.credits import assessing, book
from postmortems.models import Credit, Exclusion
from tests import scene
from tests.postmortems import console, stage
from tests.postmortems.console import LATER, told
from tests.postmortems.stage import NOON

pytestmark = pytest.mark.django_db
LIST = "/admin/postmortems/exclusion/"
ADD = f"{LIST}add/"


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(LATER, tick=False):
        yield


@pytest.fixture
def incident() -> Incident:
    """61 minutes of P0 for two customers: 10 % of 1,000 EUR each."""
    stage.rules()
    for name in ("ACME", "BYTE"):
        stage.contract(f"{name}-1", customer=stage.buyer(name))
    made = stage.resolved()
    assessing.sweep(LATER)
    return made


def send(client: Client, **typed: Any) -> Any:
    """Fill in the form and press twice: to see what it changes, and to do it."""
    return client.post(ADD, preview(client, **typed).sent)


def preview(client: Client, **typed: Any) -> Any:
    token = str(client.get(ADD).context["form"]["token"].value())
    sent = {"token": token, "kind": "customer", "reason": "Their own firewall.", "customer": ""} | typed
    page = client.post(ADD, sent)
    page.sent = sent | {"seen": page.context.get("seen", "")}
    return page


def test_r902_what_it_changes_is_shown_before_anything_is_saved(client: Client, incident: Incident) -> None:
    console.sit(client)
    everybody = preview(client, incident=incident.reference.lower()).context["touched"]
    assert (everybody.number, everybody.contracts, everybody.totals) == (2, 2, [("EUR", 20_000, 0)])
    one = preview(client, incident=incident.reference, customer="acme").context["touched"]
    assert (one.number, one.totals) == (1, [("EUR", 10_000, 0)])
    # A part that leaves more than an hour changes nothing.
    part = preview(client, incident=incident.reference, starts_at="2026-10-06 13:00:30").context["touched"]
    assert part.totals == [("EUR", 20_000, 20_000)]
    assert Exclusion.objects.count() == 0


def test_r902_what_was_shown_is_what_is_saved(client: Client, incident: Incident) -> None:
    """Another choice than the one that was shown is shown first."""
    console.sit(client)
    shown = preview(client, incident=incident.reference, customer="acme").sent
    page = client.post(ADD, shown | {"customer": ""})
    assert page.context["touched"].number == 2
    assert Exclusion.objects.count() == 0


def test_r902_time_is_excluded_once_and_proposals_follow(client: Client, incident: Incident) -> None:
    me = console.sit(client)
    answer = send(client, incident=incident.reference, customer="ACME", ends_at="2026-10-06 12:30")
    assert told(answer) == [
        f"{incident.reference}: time excluded. The worker assesses what it touches; proposals follow."
    ]
    made = Exclusion.objects.get()
    assert (made.made_by, made.kind, made.starts_at, made.ends_at) == (
        me,
        "customer",
        None,
        NOON + timedelta(minutes=30),
    )
    send(client, incident=incident.reference, customer="ACME", ends_at="2026-10-06 12:30")
    assert Exclusion.objects.count() == 1
    assessing.sweep(LATER)
    waiting = Credit.objects.waiting().values_list("contract_month__contract__reference", "amount_minor")
    assert list(waiting) == [("BYTE-1", 10_000)]


def test_what_was_approved_is_lowered_only_by_a_decision(client: Client, incident: Incident) -> None:
    console.sit(client)
    book.approve(list(Credit.objects.values_list("pk", flat=True)), by=stage.finance("other"), at=LATER)
    send(client, incident=incident.reference, customer="ACME")
    assessing.sweep(LATER)
    asked = Credit.objects.waiting().values_list("state", "amount_minor")
    assert list(asked) == [("decision", -10_000)]


@pytest.mark.parametrize(
    ("typed", "errors"),
    [
        ({"incident": ""}, {"incident": ["Name the incident, like INC-2026-0042."]}),
        ({"incident": "INC-1999-0001"}, {"incident": ["There is no incident “INC-1999-0001”."]}),
        ({"customer": "X"}, {"customer": ["There is no customer with the number “X”."]}),
        ({"starts_at": "soon"}, {"starts_at": ["Write the moment in UTC, as 2026-11-20 14:05 or 14:05."]}),
        (
            {"starts_at": "2026-10-06 13:00", "ends_at": "2026-10-06 12:00"},
            {"ends_at": ["What is excluded ends after it begins."]},
        ),
        ({"reason": " "}, {"reason": ["Say why: it stays in the history."]}),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    client: Client, incident: Incident, typed: dict[str, str], errors: dict[str, list[str]]
) -> None:
    console.sit(client)
    page = preview(client, **{"incident": incident.reference, "reason": "Kept as typed."} | typed)
    assert page.context["form"].errors == errors
    if "reason" not in typed:
        assert "Kept as typed." in page.content.decode()
    assert Exclusion.objects.count() == 0


def test_r902_an_exclusion_is_withdrawn_with_a_reason(client: Client, incident: Incident) -> None:
    me = console.sit(client)
    send(client, incident=incident.reference)
    made = Exclusion.objects.get()
    page, url = f"{LIST}{made.pk}/change/", f"{LIST}{made.pk}/withdraw/"
    assert client.get(url).status_code == 405
    assert client.post(url, {"reason": ""}).context["form"].errors == {"reason": ["Say why: it stays in the history."]}
    client.post(url, {"reason": "It was ours."})
    made.refresh_from_db()
    assert (made.withdrawn_at, made.withdrawn_by) == (LATER, me)
    assert "“It was ours.”" in client.get(page).content.decode()
    assert told(client.post(url, {"reason": "Again."}))[-1] == "It was withdrawn already."


def test_r213_a_restricted_incident_is_not_found(client: Client, incident: Incident) -> None:
    console.sit(client)
    send(client, incident=incident.reference)
    Incident.objects.update(is_restricted=True)
    assert preview(client, incident=incident.reference).context["form"].errors == {
        "incident": [f"There is no incident “{incident.reference}”."]
    }
    assert client.get(LIST).context["cl"].result_count == 0
    assert client.get(f"{LIST}{Exclusion.objects.get().pk}/change/").status_code == 404


def test_only_who_may_exclude_time_does(client: Client, incident: Incident) -> None:
    console.sit(client)
    send(client, incident=incident.reference)
    made = Exclusion.objects.get()
    console.sit(client, "reader", "view_exclusion")
    assert client.get(LIST).status_code == 200
    assert client.get(f"{LIST}{made.pk}/change/").context["may_withdraw"] is False
    for url in (ADD, f"{LIST}{made.pk}/withdraw/"):
        assert client.post(url, {"reason": "x"}).status_code == 403
    console.sit(client, "stranger", "view_credit")
    assert client.get(LIST).status_code == 403


BEYOND = '<section class="hg-card hg-stack hg-tight" data-part id="part-beyond"'


def test_an_incident_leads_to_its_credits_and_to_the_form_that_takes_time_out(
    client: Client, incident: Incident
) -> None:
    """From the incident's screen each person goes on to what they may do, and the form knows the incident (R-902)."""
    screen = f"/admin/incidents/incident/{incident.pk}/change/"
    credits, exclude = f"{console.LIST}?q={incident.reference}", f"{ADD}?incident={incident.reference}"
    offered = {}
    for name, rights in {"see": ["view_credit"], "out": ["exclude_time"], "none": []}.items():
        user = scene.operator(name)
        user.user_permissions.set(Permission.objects.filter(codename__in=[*rights, "view_incident"]))
        client.force_login(user)
        page = client.get(screen)
        offered[name] = [url for _, url in page.context["beyond"]]
        assert (BEYOND in page.text) == bool(offered[name])
    assert offered == {"see": [credits], "out": [exclude], "none": []}
    console.sit(client)
    assert client.get(exclude).context["form"]["incident"].value() == incident.reference
    assert [row.contract_month.contract.reference for row in client.get(credits).context["cl"].result_list] == [
        "BYTE-1",
        "ACME-1",
    ]


def test_a_list_is_called_what_it_lists(client: Client) -> None:
    """The tab says “Exclusions”, not what the page wants to be done with them; no count leads nowhere (R-1201)."""
    console.sit(client)
    for url, name in ((LIST, "Exclusions"), (console.LIST, "Credits")):
        page = client.get(url)
        assert page.text.split("<title>")[1].split("</title>")[0].split() == [name, "|", "Heliograph"]
        assert page.context["cl"].full_result_count == 0
