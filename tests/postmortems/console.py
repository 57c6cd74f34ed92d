"""Finance at the console: what waits, without lived incidents, where the story is about screens and sums."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from postmortems.credits import book
from postmortems.models import Assessment, Contract, ContractMonth, Credit, RuleVersion
from tests.postmortems import stage
from tests.postmortems.stage import HOUR, NOON, OCTOBER

#: A day after everything of a story: when finance looks.
LATER = NOON + 24 * HOUR
OVERVIEW, LIST, REPORTS = "/admin/credits/", "/admin/postmortems/credit/", "/admin/credits/reports/"


def sit(client: Client, name: str = "fin", *rights: str) -> User:
    """Sign in as somebody of finance, with these permissions (default: all about credits)."""
    user = stage.finance(name, *rights)
    client.force_login(user)
    return user


def page_of(credit: Credit) -> str:
    return f"/admin/postmortems/credit/{credit.pk}/change/"


def act_on(slug: str, *credits: Credit) -> str:
    return f"/admin/credits/act/{slug}/?ids={','.join(str(credit.pk) for credit in credits)}"


def press(client: Client, slug: str, *credits: Credit, **typed: Any) -> Any:
    """Send the form of an act as a browser does."""
    sent = {"ids": ",".join(str(credit.pk) for credit in credits), "sure": "yes", "back": LIST}
    return client.post(f"/admin/credits/act/{slug}/", sent | typed)


def told(response: Any) -> list[str]:
    """What the console says after an act, in order."""
    return [str(message) for message in response.wsgi_request._messages]


def assessed(
    contract: Contract,
    amount: int,
    *,
    month: date = OCTOBER,
    lines: Sequence[tuple[Sequence[str], int]] = (),
    rules: RuleVersion | None = None,
    at: datetime = NOON,
    asked_by: User | None = None,
) -> Credit | None:
    """The month comes to ``amount`` minor units now; answers with what is proposed because of it, if anything.

    ``lines``: (references of an outage, its part of the amount).
    """
    held = book.month_of(contract, month)
    number = held.assessments.count() + 1
    made = Assessment.objects.create(
        contract_month=held,
        number=number,
        algorithm=1,
        rules=rules,
        inputs={"terms": [], "granted": 0},
        content={
            "lines": [{"references": list(references), "amount": part} for references, part in lines],
            "words": {"base": ["1,000.00 EUR for the whole month."], "lines": [], "total": ["As it says."]},
        },
        amount_minor=amount,
        digest=f"{contract.reference}{month}{number}",
        made_at=at,
        asked_by=asked_by,
    )
    ContractMonth.objects.filter(pk=held.pk).update(
        assessed_minor=amount, estimate_minor=amount, assessment=made, stale_since=None
    )
    held.refresh_from_db()
    held.contract = contract
    return next(iter(book.settle([(held, made)], at=at)), None)


def proposed(contract: Contract, amount: int, **changes: Any) -> Credit:
    """The same, of which something is surely proposed."""
    made = assessed(contract, amount, **changes)
    assert made is not None
    return Credit.objects.get(pk=made.pk)


def fresh(credit: Credit) -> Credit:
    return Credit.objects.get(pk=credit.pk)
