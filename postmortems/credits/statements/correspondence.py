"""A letter to the customer when credits were applied: one per customer and batch, never twice (R-905, reliability 3.3).

Found by looking: what is applied and nobody was told of. Written in the transaction that says so; in doubt a
letter is left to a person, because words about money must not repeat.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q

from notifications import outbox, suppression
from notifications.enums import Channel
from notifications.lint import Unsendable, problems_in
from notifications.models import Brand, Contact, Customer
from notifications.outbox import Letter
from postmortems.enums import CreditState
from postmortems.models import Credit

from . import FILES, INPUTS, brand_of, incidents_of, statement_links, totals
from . import customer_words as words

log = logging.getLogger(__name__)

#: What is still on its way of the same batch is waited for so long: one letter, not one a day.
PATIENCE = timedelta(hours=24)
#: Older news surprises: it is on the customer's page.
NEWS = timedelta(days=30)
#: How long a letter may wait to leave.
LIFE = timedelta(days=7)
#: Letters in one go, and customers looked at for them.
MOST, LOOKED_AT = 100, 1_000
#: Credits that a letter lists; the page has all.
LISTED = 12
#: How Stripe names what is in a customer's balance.
TRANSACTION = "cbtxn_"
_CUSTOMER = "contract_month__contract__customer"
_UNTOLD = Q(state=CreditState.APPLIED, told_at__isnull=True)


def write(at: datetime) -> int:
    """Write to customers whose credits were applied; how many letters."""
    written = 0
    for customer, batch in _waiting(at):
        try:
            written += _write_about(customer, batch, at)
        except Unsendable:
            log.exception("No letter about credits could be written to customer %s.", customer)
        if written >= MOST:
            break
    return written


def recipients(customer: Customer) -> list[str]:
    """Addresses of the customer's contacts, each once, without those that must not be mailed. Two queries."""
    spelled: dict[str, str] = {}
    for email in Contact.objects.filter(customer=customer).order_by("pk").values_list("email", flat=True):
        spelled.setdefault(email.casefold(), email)
    refused = set(suppression.among(Channel.EMAIL, list(spelled))) if spelled else set()
    return [email for key, email in spelled.items() if key not in refused]


@transaction.atomic
def mail_links(customer: Customer, contacts: Sequence[Contact], *, by: User, at: datetime) -> list[str]:
    """Mail each of these contacts a link of their own; the addresses written to. Who must not be mailed is left out."""
    refused = suppression.among(Channel.EMAIL, [contact.email.casefold() for contact in contacts])
    to = [contact for contact in contacts if contact.email.casefold() not in refused]
    brand = Brand.objects.default()
    for contact in to:
        url = statement_links.make(customer, given_to=statement_links.of_contact(contact), by=by, at=at)
        letter = Letter(
            heading="Your service credits",
            paragraphs=(
                f"On this page you see the service credits that {brand.name} gave you, month by month, with how each "
                "amount was reckoned. You can download it as a PDF.",
                "The link is for you alone and works for 180 days. Whoever has it can read the page.",
            ),
            button="See your service credits",
            url=url,
        )
        lane = f"statement:{customer.pk}:{uuid.uuid4()}"
        outbox.write_to(
            [contact.email], letter, subject=f"Your service credits at {brand.name}", brand=brand, lane=lane, at=at
        )
    return [contact.email for contact in to]


def _waiting(at: datetime) -> list[tuple[int, int]]:
    """(customer, batch) with something applied that nobody was told of, longest first; who has contacts. One query."""
    on_its_way = Credit.objects.filter(
        **{_CUSTOMER: OuterRef(_CUSTOMER)}, batch=OuterRef("batch"), state=CreditState.EXPORTED
    )
    untold = Credit.objects.filter(_UNTOLD, applied_at__gte=at - NEWS)
    ready = untold.filter(
        Exists(Contact.objects.filter(customer=OuterRef(_CUSTOMER))),
        Q(applied_at__lte=at - PATIENCE) | ~Exists(on_its_way),
    )
    groups = ready.order_by().values_list(_CUSTOMER, "batch").annotate(since=Min("applied_at"))
    return [(customer, batch) for customer, batch, _ in groups.order_by("since", "batch")[:LOOKED_AT]]


@transaction.atomic
def _write_about(customer_id: int, batch_id: int, at: datetime) -> int:
    """Whoever holds the credits' rows writes; 1, or 0 where there is nothing (any more), or nobody to write to."""
    theirs = Credit.objects.filter(_UNTOLD, batch=batch_id, **{_CUSTOMER: customer_id}).order_by("pk")
    held = list(theirs.select_for_update(of=("self",)).values_list("pk", flat=True))
    loaded = Credit.objects.filter(pk__in=held).select_related(f"{_CUSTOMER}", "assessment", "batch")
    credits = list(loaded.defer(*FILES, *INPUTS).order_by("contract_month__month", "pk"))
    if not credits:
        return 0
    customer = credits[0].contract_month.contract.customer
    to = recipients(customer)
    if not to:
        return 0
    brand = brand_of({name for credit in credits for name in incidents_of(credit)})
    batch = credits[0].batch
    assert batch is not None
    url = statement_links.make(customer, given_to=f"The letter about {batch.number}", by=None, at=at)
    subject, letter = _letter(credits, brand, url)
    outbox.write_to(
        to, letter, subject=subject, brand=brand, lane=f"credits:{customer.pk}:{batch.number}", at=at, life=LIFE
    )
    Credit.objects.filter(pk__in=held).update(told_at=at)
    return 1


def _letter(credits: Sequence[Credit], brand: Brand, url: str) -> tuple[str, Letter]:
    sums = totals(credits)
    lowered = all(one.total <= 0 for one in sums)
    amounts = words.joined([words.amount(abs(one.total), one.currency) for one in sums if one.total])
    months = words.joined(list(dict.fromkeys(f"{credit.contract_month.month:%B %Y}" for credit in credits)))
    what = "A correction of your service credits" if lowered else "Your service credits"
    opening = (
        f"We corrected your service credits for {months}. {amounts or 'Nothing'} of them was credited too much "
        "and is charged back."
        if lowered
        else f"We credited {amounts} to you for {months}."
    )
    listed = _listed(credits[:LISTED], brand)
    if len(credits) > LISTED:
        listed.append(f"… and {len(credits) - LISTED} more, on your page.")
    letter = Letter(
        heading=f"{what} for {months}",
        paragraphs=(
            opening,
            *listed,
            *_what_next(credits),
            "How each amount was reckoned is on your page. The link is for you alone and works for 180 days.",
        ),
        button="See your service credits",
        url=url,
    )
    return f"{what} for {months}"[:250], letter


def _listed(credits: Sequence[Credit], brand: Brand) -> list[str]:
    """``100.00 EUR: service credit, October 2026, contract C-1, for INC-2026-0001.``

    What the brand must not say (a contract may be called after another one) is left out. One query, or two.
    """
    named = {str(credit.pk): f", contract {credit.contract_month.contract.reference}" for credit in credits}
    unsayable = problems_in(brand, named)
    return [_line(credit, "" if str(credit.pk) in unsayable else named[str(credit.pk)]) for credit in credits]


def _line(credit: Credit, contract: str) -> str:
    kind, incidents = words.heading(credit), incidents_of(credit)
    said = f"{words.amount(credit.amount_minor, credit.currency)}: {kind[:1].lower()}{kind[1:]}"
    reason = f", for {words.joined(incidents)}" if incidents else ""
    return f"{said}, {credit.contract_month.month:%B %Y}{contract}{reason}."


def _what_next(credits: Sequence[Credit]) -> list[str]:
    """Where the money is, in a sentence for each way it went."""
    balance = [credit for credit in credits if credit.invoice.startswith(TRANSACTION)]
    invoices = list(dict.fromkeys(credit.invoice for credit in credits if credit not in balance))
    said = []
    if balance:
        less = sum(credit.amount_minor for credit in balance) > 0
        said.append(f"It is in your balance: your next invoice is {'lower' if less else 'higher'} by it, by itself.")
    if invoices:
        said.append(f"You find it on {words.joined(invoices)}.")
    return said
