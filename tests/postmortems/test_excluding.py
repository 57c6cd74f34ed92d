"""R-902: time that a person takes out, with a reason; it is withdrawn, never edited, and months follow."""

from __future__ import annotations

from typing import Any

import pytest

from postmortems.credits import assessing
from postmortems.credits.book import NotAllowed
from postmortems.credits.book.excluding import exclude, withdraw
from postmortems.enums import ExclusionKind
from postmortems.models import ContractMonth, Credit, Exclusion
from tests import scene
from tests.postmortems import stage
from tests.postmortems.booking import AT, MINUTE
from tests.postmortems.stage import HOUR, NOON

pytestmark = pytest.mark.django_db


def out(incident: Any, **changes: Any) -> Exclusion:
    """Fay takes all of it out, for everybody."""
    values: dict[str, Any] = {
        "customer": None,
        "kind": ExclusionKind.FORCE_MAJEURE,
        "starts_at": None,
        "ends_at": None,
        "reason": "The whole region was without power.",
        "by": scene.operator("fay"),
        "at": AT,
    }
    return exclude(incident, **(values | changes))


def amounts() -> list[int]:
    return list(Credit.objects.waiting().order_by("pk").values_list("amount_minor", flat=True))


def test_r902_what_is_taken_out_earns_nothing_until_it_is_withdrawn() -> None:
    stage.rules()
    stage.contract()
    incident = stage.resolved(length=5 * HOUR)
    assessing.sweep(AT)
    assert amounts() == [25_000]
    made = out(incident)
    assert ContractMonth.objects.get().stale_since == AT
    assessing.sweep(AT + MINUTE)
    assert amounts() == []
    withdraw(made, reason="It was ours.", by=scene.operator("bob"), at=AT + 2 * MINUTE)
    assessing.sweep(AT + 3 * MINUTE)
    assert amounts() == [25_000]
    made.refresh_from_db()
    assert (made.withdrawn_by, made.withdrawn_at) == (scene.operator("bob"), AT + 2 * MINUTE)
    assert made.withdrawn_because == "It was ours."


def test_r902_for_one_customer_and_a_part_of_the_time() -> None:
    stage.rules()
    first, _ = stage.contract("C-1"), stage.contract("C-2")
    incident = stage.resolved(length=5 * HOUR)
    out(incident, customer=first.customer, kind=ExclusionKind.CUSTOMER, starts_at=NOON + HOUR, ends_at=NOON + 3 * HOUR)
    assessing.sweep(AT)
    assert amounts() == [10_000, 25_000]


def test_it_says_why_and_ends_after_it_begins() -> None:
    incident = stage.resolved()
    with pytest.raises(NotAllowed, match="Say why"):
        out(incident, reason="  ")
    for end in (NOON, NOON - MINUTE):
        with pytest.raises(NotAllowed, match="What is excluded ends after it begins"):
            out(incident, starts_at=NOON, ends_at=end)
    assert Exclusion.objects.count() == 0


def test_it_is_withdrawn_once() -> None:
    made = out(stage.resolved())
    with pytest.raises(NotAllowed, match="Say why"):
        withdraw(made, reason=" ", by=scene.operator("bob"), at=AT)
    withdraw(made, reason="It was ours.", by=scene.operator("bob"), at=AT)
    with pytest.raises(NotAllowed, match="It was withdrawn already"):
        withdraw(made, reason="It was ours.", by=scene.operator("cat"), at=AT)
    made.refresh_from_db()
    assert made.withdrawn_by == scene.operator("bob")
