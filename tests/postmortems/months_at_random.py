"""Worlds at random, in rows: rules, contracts, incidents, maintenance, exclusions, so that two ways of computing meet.

Deterministic: the same seed makes the same world. Dense: some hundred contracts live through the same few months
of trouble, and what matters happens at its edges: thresholds hit to the microsecond, windows that touch, midnights
that are skipped or come twice, outages over the end of a month. Nothing here goes through the acts: it is rows,
in every combination that the acts can leave behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random

from incidents.enums import Publicity, Standing
from incidents.models import Policy, PolicyVersion, Severity
from notifications.models import Customer, Topic
from postmortems.credits.arithmetic.months import bounds, following, midnight, moment
from postmortems.enums import (
    Clock,
    CreditKind,
    CreditState,
    Measure,
    Mix,
    Overlap,
    Proration,
    RuleStanding,
    Scope,
    Stacking,
)
from postmortems.models import Contract, ContractMonth, Credit, RuleBook, RuleVersion, Term, Tier
from status.enums import Level
from status.models import Component
from tests import scene
from tests.postmortems.trouble_at_random import DAY, LENGTHS, TICK, Making, incidents, maintenance

#: Weighted to those whose clocks jump at midnight, by half an hour, over whole days, or not at all.
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kolkata", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "America/Sao_Paulo", "America/Santiago", "America/Santiago", "Africa/Cairo"),
    *("Asia/Beirut", "America/Asuncion", "America/Havana", "America/Havana", "Pacific/Apia", "Asia/Tehran"),
    *(
        "Atlantic/Azores",
        "Asia/Amman",
        "America/Nuuk",
        "Africa/Casablanca",
        "Pacific/Chatham",
        "Pacific/Kiritimati",
        "Etc/GMT+12",
    ),
)
#: Months in which some of them do: the first of four.
BEGINNINGS = (
    date(2011, 11, 1),
    date(2018, 10, 1),
    date(2023, 9, 1),
    date(2024, 2, 1),
    date(2026, 8, 1),
    date(2020, 9, 1),
)
CURRENCIES = ("EUR", "EUR", "USD", "JPY", "KWD")
PLANS = ("", "Pro", "Team")
COMPONENTS, POLICIES = 6, 2


@dataclass
class World:
    """What one seed made. ``at`` is the moment of the look."""

    seed: int
    at: datetime
    months: list[ContractMonth] = field(default_factory=list)


def world(seed: int, *, contracts: int = 625, months: int = 4, troubles: int = 26) -> World:
    """A world of ``contracts`` × ``months`` contract-months; in a transaction that the caller takes back."""
    dice = Random(seed)
    first = dice.choice(BEGINNINGS)
    last = first
    for _ in range(months):
        last = following(last)
    since = datetime(first.year, first.month, 1, tzinfo=UTC) - 2 * DAY
    until = datetime(last.year, last.month, 1, tzinfo=UTC) + 20 * DAY
    making = Making(
        dice=dice,
        first=first,
        since=since,
        until=until,
        at=until + dice.choice((timedelta(0), 3 * DAY)),
        by=scene.operator(),
        brand=scene.brand(),
        policies=[],
        levels=[],
        components=[],
        customers=[],
    )
    _furnish(making)
    books = _rules(making)
    held = _contracts(making, contracts, books)
    made = World(seed, making.at)
    made.months = _months(making, held, months)
    maintenance(making)
    incidents(making, troubles)
    _goodwill(making, made.months)
    return made


# --- what everything hangs on ----------------------------------------------------------


def _furnish(making: Making) -> None:
    dice = making.dice
    making.policies = Policy.objects.bulk_create(
        Policy(slug=f"random-{n}", name=f"Random {n}") for n in range(POLICIES)
    )
    versions = PolicyVersion.objects.bulk_create(PolicyVersion(policy=policy, number=1) for policy in making.policies)
    making.levels = Severity.objects.bulk_create(
        Severity(
            version=version,
            rank=rank,
            code=f"P{rank - 1}",
            label=f"P{rank - 1}",
            meaning="As it says.",
            publicity=Publicity.ALWAYS,
            counts_for_credits=rank < 3 or dice.random() < 0.5,
        )
        for version in versions
        for rank in (1, 2, 3, 4)
    )
    PolicyVersion.objects.update(standing=Standing.IN_FORCE, in_force_at=scene.NIGHT)
    topics = Topic.objects.bulk_create(Topic(key=f"random:{n}", name=f"C{n}") for n in range(COMPONENTS))
    making.components = Component.objects.bulk_create(
        Component(name=f"C{n}", topic=topic, created_at=scene.NIGHT, updated_at=scene.NIGHT)
        for n, topic in enumerate(topics)
    )
    making.customers = Customer.objects.bulk_create(Customer(name=f"N{n}", reference=f"N{n}") for n in range(40))


def _rules(making: Making) -> list[RuleBook]:
    """Books of policies and plans, with gaps; books of single contracts. Answers with the latter."""
    dice = making.dice
    books = [
        RuleBook(name=f"{policy.slug} {plan}", policy=policy, plan=plan)
        for policy in making.policies
        for plan in PLANS
        if dice.random() < 0.9
    ]
    own = [RuleBook(name=f"own {n}") for n in range(4)]
    RuleBook.objects.bulk_create([*books, *own])
    for number in (1, 2, 3):
        _put_in_force(making, [book for book in (*books, *own) if dice.random() < (1.0, 0.7, 0.4)[number - 1]], number)
    return own


def _put_in_force(making: Making, books: Sequence[RuleBook], number: int) -> None:
    """The next versions: filled while they are drafts, in force they are frozen. Some of the last stay drafts."""
    versions = RuleVersion.objects.bulk_create(_version(making, book, number) for book in books)
    Tier.objects.bulk_create(tier for version in versions for tier in _tiers(making, version))
    finished = [version.pk for version in versions if number < 3 or making.dice.random() < 0.5]
    RuleVersion.objects.filter(pk__in=finished).update(standing=RuleStanding.IN_FORCE, in_force_at=scene.NIGHT)


def _version(making: Making, book: RuleBook, number: int) -> RuleVersion:
    dice = making.dice
    applies = making.first + dice.choice((0, 1, 14, 31, 62)) * DAY
    return RuleVersion(
        book=book,
        number=number,
        applies_from=None if number == 1 and dice.random() < 0.8 else applies,
        drafted_at=scene.NIGHT,
        stacking=dice.choice(Stacking.values),
        overlap=dice.choice((Overlap.UNION, Overlap.UNION, Overlap.EACH)),
        mix=dice.choice(Mix.values),
        clock=dice.choice((Clock.IMPACT, Clock.IMPACT, Clock.SAID)),
        scope=dice.choice((Scope.USED, Scope.USED, Scope.USED, Scope.ANY)),
        least_level=dice.choice((Level.DEGRADED, Level.DEGRADED, Level.PARTIAL, Level.MAJOR)),
        proration=dice.choice(Proration.values),
        cap_percent=dice.choice((*[Decimal(100)] * 5, Decimal("37.5"), Decimal(25), Decimal("0.01"))),
        notice_days=dice.choice((0, 1, 7, 7, 14)),
    )


def _tiers(making: Making, version: RuleVersion) -> list[Tier]:
    dice = making.dice
    lengths = {(dice.randint(1, 4), dice.choice(LENGTHS)) for _ in range(dice.randint(1, 5))}
    below = {
        (dice.randint(1, 4), dice.choice(("99.95", "99.9", "99", "95.5"))) for _ in range(dice.choice((0, 0, 1, 3)))
    }
    return [
        *(
            Tier(
                version=version,
                measure=Measure.DURATION,
                rank=rank,
                longer_than_seconds=length // timedelta(seconds=1),
                percent=_percent(dice),
            )
            for rank, length in sorted(lengths)
        ),
        *(
            Tier(
                version=version,
                measure=Measure.UPTIME,
                rank=rank,
                below_percent=Decimal(share),
                percent=_percent(dice),
            )
            for rank, share in sorted(below)
        ),
    ]


def _percent(dice: Random) -> Decimal:
    return Decimal(dice.choice(("5", "10", "25", "33.33", "0.01", "12.5", "100")))


# --- who pays what ---------------------------------------------------------------------


def _contracts(making: Making, count: int, own: Sequence[RuleBook]) -> list[Contract]:
    dice = making.dice
    contracts = Contract.objects.bulk_create(
        Contract(
            customer=dice.choice(making.customers),
            reference=f"R-{n}",
            policy=dice.choice(making.policies),
            own_rules=dice.choice(own) if dice.random() < 0.2 else None,
            currency=dice.choice(CURRENCIES),
            zone=dice.choice(ZONES),
            billing_day=dice.choice((1, 1, 1, 1, 2, 15, 28, dice.randint(1, 28))),
        )
        for n in range(count)
    )
    terms = Term.objects.bulk_create(term for contract in contracts for term in _terms(making, contract))
    Term.components.through.objects.bulk_create(
        Term.components.through(term_id=term.pk, component_id=component.pk)
        for term in terms
        if not term.uses_everything
        for component in dice.sample(making.components, dice.choice((1, 2, 2, 3, 0)))
    )
    return contracts


def _terms(making: Making, contract: Contract) -> list[Term]:
    """One for good, or up to four in a row, with gaps, changing in the middle of these months."""
    dice = making.dice
    terms = []
    starts = making.first + dice.choice((-900, -900, -40, -1, 0, 3, 20)) * DAY
    odd = _odd_days(making.first, contract.zone)
    for left in reversed(range(dice.choice((1, 1, 1, 2, 3, 4)))):
        last = starts + dice.choice((0, 1, 6, 29, 45)) * DAY
        if starts < making.first - 100 * DAY:
            last = making.first + dice.choice((-3, 0, 9, 30)) * DAY
        later = [day for day in odd if day > starts]
        if later and dice.random() < 0.4:
            # It ends before a day that begins oddly, or with it.
            last = dice.choice(later) - dice.choice((0, 1)) * DAY
        endless = not left and dice.random() < 0.8
        terms.append(
            Term(
                contract=contract,
                starts_on=starts,
                last_day=None if endless else last,
                plan=dice.choice(PLANS),
                fee_minor=dice.choice(
                    (0, 1, 49, 99_999, 100_000, dice.randrange(10**7), dice.randrange(10**12), 10**12)
                ),
                uses_everything=dice.random() < 0.25,
            )
        )
        starts = last + dice.choice((1, 1, 1, 2, 9)) * DAY
    return terms


@cache
def _odd_days(first: date, zone: str) -> list[date]:
    """Days of another length than 24 hours, in the half year from ``first`` on."""
    days = [first + n * DAY for n in range(180)]
    return [day for day in days if midnight(day + DAY, zone) - midnight(day, zone) != DAY // TICK]


def _months(making: Making, contracts: Sequence[Contract], count: int) -> list[ContractMonth]:
    months, month = [], making.first
    for _ in range(count):
        for contract in contracts:
            start, end = bounds(month, contract.zone, contract.billing_day)
            months.append(ContractMonth(contract=contract, month=month, starts_at=moment(start), ends_at=moment(end)))
        month = following(month)
    ContractMonth.objects.bulk_create(months, batch_size=2_000)
    making.turned(*(dice_month.starts_at for dice_month in making.dice.sample(months, 30)))
    return months


def _goodwill(making: Making, months: Sequence[ContractMonth]) -> None:
    dice = making.dice
    given = [
        Credit(
            contract_month=month,
            number=1,
            kind=CreditKind.GOODWILL,
            state=dice.choice((CreditState.APPROVED, CreditState.PROPOSED, CreditState.RETURNED)),
            amount_minor=dice.choice((1, 5_000, 10**9)),
            currency=month.contract.currency,
            proposed_at=making.at,
        )
        for month in dice.sample(months, len(months) // 25)
    ]
    Credit.objects.bulk_create(given)
    Credit.objects.bulk_create(
        Credit(
            contract_month=credit.contract_month,
            number=2,
            kind=CreditKind.REVERSAL,
            state=CreditState.APPROVED,
            amount_minor=-credit.amount_minor,
            currency=credit.currency,
            reverses=credit,
            proposed_at=making.at,
        )
        for credit in given
        if credit.state == CreditState.APPROVED and dice.random() < 0.3
    )
