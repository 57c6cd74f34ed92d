"""What the demo organisation owes for its outages: contracts, rules, and credits in every state (R-901…R-906).

Told by the acts that finance uses, each at its moment. A month is closed; one credit waits for its second person,
one for a decision, some for the end of their holding time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.contrib.auth.models import User

from config.demo.history import Step
from incidents.models import Incident, Policy
from notifications.models import Customer
from postmortems.credits import assessing, book, contracts
from postmortems.credits.arithmetic.months import first, following
from postmortems.credits.batches import closing
from postmortems.credits.book import excluding
from postmortems.credits.checking import reconcile
from postmortems.credits.contracts import TermDraft
from postmortems.credits.rules import presets, rulebooks
from postmortems.enums import CreditKind, CreditState, ExclusionKind
from postmortems.models import Batch, Contract, Credit
from status.models import Component

POLICY = "enterprise-sla"
#: Above this a credit needs a second person.
SECOND_ABOVE = Decimal(1000)
#: Days before today, as in history.toml: cards were declined, texts came late, chats were delayed.
CARDS, TEXTS, CHATS = 77, 52, 27
#: Customer's number → plan, monthly fee in minor units, currency, billing time zone, billing day.
AGREED: Mapping[str, tuple[str, int, str, str, int]] = {
    "C-1001": ("Enterprise", 1_840_000, "EUR", "Europe/Madrid", 1),
    "C-1002": ("Enterprise", 2_250_000, "EUR", "Europe/London", 1),
    "C-1003": ("Enterprise", 990_000, "USD", "America/New_York", 1),
    "C-1004": ("Enterprise", 164_000_000, "JPY", "Asia/Tokyo", 1),
    "C-1005": ("Business", 240_000, "EUR", "Europe/Berlin", 1),
    "C-1006": ("Business", 190_000, "EUR", "Europe/Oslo", 1),
    "C-1007": ("Business", 215_050, "USD", "America/Chicago", 15),
    "C-1008": ("Business", 180_000, "EUR", "Europe/Copenhagen", 1),
    "C-1010": ("Standard", 49_000, "EUR", "Europe/Amsterdam", 1),
    "C-1012": ("Standard", 52_500, "EUR", "Europe/Vienna", 1),
}
#: Entered this morning, though they have held for months.
LATE = ("C-1012", "C-1005")
#: Whose credit finance sends back, who pays for a night of its own making, who gets something on top.
RETURNED, CAUSED, CONSOLED = "C-1010", "C-1003", "C-1006"


def steps(
    customers: Sequence[Customer], components: Mapping[str, Component], people: Mapping[str, User], *, now: datetime
) -> Iterator[Step]:
    """What finance did in these ninety days, each with its moment; incidents are told beside it."""
    founded = now - timedelta(days=100)
    finance, controller = people["finance"], people["controller"]
    uses = {customer.reference: customer for customer in customers}
    early = [reference for reference in AGREED if reference not in LATE]
    yield founded, lambda at: _agree([uses[one] for one in early], components, people["admin"], at)
    for days in (CARDS, TEXTS, CHATS):
        yield _at(now, days - 1, 6), lambda at: _assess(at)
        yield _at(now, days - 1, 9), lambda at, days=days: _look(finance, controller, at, last=days == CHATS)  # type: ignore[misc]  # a bound default
        yield _at(now, days - 2, 9), lambda at: _release(at)
    month = first(_at(now, CARDS, 0).date())
    yield _close_of(month), lambda at: _close(month, controller, at)
    yield _close_of(month) + timedelta(days=2), lambda at: _apply(month, controller, at)
    yield _at(now, CHATS - 3, 10), lambda at: _console(finance, controller, at)
    yield _at(now, CHATS - 4, 10), lambda at: _exclude(uses[CAUSED], finance, at)
    yield _at(now, CHATS - 4, 11), lambda at: _assess(at)
    yield (
        now - timedelta(hours=5, minutes=10),
        lambda at: _agree([uses[one] for one in LATE], components, controller, at),
    )
    yield now - timedelta(hours=5), lambda at: _assess(at)
    yield now, lambda at: _count(at)


def _agree(customers: Sequence[Customer], components: Mapping[str, Component], by: User, at: datetime) -> None:
    """Contracts since long before, and the rules by which they are judged."""
    policy = Policy.objects.get(slug=POLICY)
    for loaded in presets.load_presets(at=at, by=by):
        if loaded.created and loaded.book.policy_id == policy.pk:
            draft = rulebooks.start_draft(loaded.book, by=by, at=at)
            fields = {name: getattr(draft, name) for name in rulebooks.FIELDS} | {"second_above": SECOND_ABOVE}
            rulebooks.write(draft, fields=fields, tiers=list(draft.tiers.all()))
            rulebooks.put_in_force(draft, applies_from=None, by=by, at=at)
    by_topic = {component.topic_id: component.pk for component in components.values()}
    wanted = [_wanted(customer, policy, by_topic, at.date()) for customer in customers]
    contracts.save_all(wanted, by=by, at=at)


def _wanted(customer: Customer, policy: Policy, by_topic: Mapping[int, int], today: date) -> contracts.Wanted:
    plan, fee, currency, zone, day = AGREED[customer.reference]
    contract = Contract(
        customer=customer,
        reference=f"LK-{customer.reference[2:]}",
        policy=policy,
        currency=currency,
        zone=zone,
        billing_day=day,
    )
    used = frozenset(by_topic[topic.pk] for topic in customer.topics.all())
    return contracts.Wanted(contract, [TermDraft(date(today.year - 1, 1, 1), fee, None, plan, False, used)])


def _assess(at: datetime) -> None:
    assessing.sweep(at)


def _count(at: datetime) -> None:
    assessing.sweep(at)
    reconcile.sweep(at)


def _release(at: datetime) -> None:
    book.release(at)


def _look(finance: User, controller: User, at: datetime, *, last: bool) -> None:
    """One is sent back, the large ones are approved by two people; the rest approves by itself a day later."""
    waiting = Credit.objects.waiting().filter(state=CreditState.PROPOSED)
    back = waiting.filter(contract_month__contract__customer__reference=RETURNED)
    book.give_back(_ids(back), reason="Paid back by hand already: ticket 4711.", by=finance, at=at)
    large = _ids(waiting.filter(needs_second=True))
    book.approve(large, by=finance, at=at)
    # The newest still wait for the second person.
    if not last:
        book.approve(large, by=controller, at=at + timedelta(hours=1))


def _console(finance: User, controller: User, at: datetime) -> None:
    """Goodwill beside what is assessed."""
    contract = Contract.objects.get(customer__reference=CONSOLED)
    month = book.month_of(contract, first(at.date()))
    reason = "Their shop was closed on the busiest evening of the year."
    credit = book.grant(month, amount_minor=15_000, reason=reason, by=finance, at=at)
    book.approve([credit.pk], by=controller, at=at + timedelta(hours=2))


def _exclude(customer: Customer, by: User, at: datetime) -> None:
    """Time comes out that the customer caused: what was approved would be less, so somebody decides."""
    incident = Incident.objects.filter(title="Chat messages delayed").get()
    excluding.exclude(
        incident,
        customer=customer,
        kind=ExclusionKind.CUSTOMER,
        starts_at=None,
        ends_at=None,
        reason="Their own firewall refused our addresses all evening, as they wrote.",
        by=by,
        at=at,
    )


def _close(month: date, by: User, at: datetime) -> None:
    closing.close(month, by=by, at=at, sure=True)


def _apply(month: date, by: User, at: datetime) -> None:
    """Billing wrote its invoices; one is still missing."""
    batch = Batch.objects.filter(month=month).first()
    exported = Credit.objects.filter(batch=batch, state=CreditState.EXPORTED).exclude(kind=CreditKind.GOODWILL)
    for number, credit in enumerate(exported.order_by("pk")[1:], start=1):
        book.apply([credit.pk], invoice=f"{following(month):%Y-%m}-{number:04}", by=by, at=at)


def _ids(credits: object) -> list[int]:
    return list(credits.values_list("pk", flat=True))  # type: ignore[attr-defined]  # a queryset


def _at(now: datetime, days: int, hour: int) -> datetime:
    return datetime.combine(now.date() - timedelta(days=days), time(hour), UTC)


def _close_of(month: date) -> datetime:
    """The third working morning or so after the month is over everywhere."""
    return datetime.combine(following(month) + timedelta(days=17), time(9), UTC)
