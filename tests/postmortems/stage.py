"""Setting the scene of service credits in one line each: levels, rules, contracts, incidents as they are lived.

Money is typed in minor units. Levels and incidents go through the real acts (``tests.scene``); levels of this
stage owe nothing and write to nobody, so that stories about money stay quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission, User

from incidents import lifecycle, maintenance
from incidents.enums import Publicity, Standing
from incidents.models import Incident, Maintenance, Policy, PolicyVersion, Severity
from notifications.models import Customer
from postmortems.enums import RuleStanding
from postmortems.models import Contract, RuleBook, RuleVersion, Term, Tier
from status.enums import Level, Phase
from status.models import Component
from status.publishing import Draft
from tests import scene

#: Every story is in this month unless it says otherwise.
OCTOBER = date(2026, 10, 1)
#: Tuesday, 6 October 2026, noon: when trouble begins unless a story says otherwise.
NOON = datetime(2026, 10, 6, 12, tzinfo=UTC)
#: Preset B (R-901): (rank, code, longer than, percent).
TIERS_B = ((1, "P0", timedelta(hours=1), "10"), (1, "P0", timedelta(hours=4), "25"), (2, "P1", timedelta(hours=4), "5"))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def policy_b() -> Policy:
    """Policy B with its levels P0…P3 in force; P0 and P1 count for credits."""
    made, new = Policy.objects.get_or_create(slug="enterprise-sla", defaults={"name": "Enterprise SLA"})
    if new or not made.versions.exists():
        version = PolicyVersion.objects.create(policy=made, number=1)
        Severity.objects.bulk_create(
            Severity(
                version=version, rank=rank, code=f"P{rank - 1}", label=f"P{rank - 1}", meaning="As it says.",
                publicity=Publicity.ALWAYS, counts_for_credits=rank < 3,
            )
            for rank in (1, 2, 3, 4)
        )  # fmt: skip
        # Filled while it is a draft; in force it is frozen.
        PolicyVersion.objects.filter(pk=version.pk).update(standing=Standing.IN_FORCE, in_force_at=scene.NIGHT)
    return made


def level(code: str = "P0") -> Severity:
    """The level of policy B with this code."""
    return Severity.objects.select_related("version__policy").get(version__policy=policy_b(), code=code)


def rules(
    *,
    policy: Policy | None = None,
    plan: str = "",
    tiers: Sequence[tuple[int, str, timedelta, str]] = TIERS_B,
    uptimes: Sequence[tuple[int, str, str, str]] = (),
    name: str = "",
    own: bool = False,
    **fields: Any,
) -> RuleVersion:
    """Rules in force since ever: preset B unless changed, of which a person approves every credit.

    ``uptimes``: (rank, code, below percent, credit percent). ``own``: of single contracts, under ``name``.
    A second call for the same book puts its next version in force.
    """
    house = None if own else (policy or policy_b())
    name = name or " ".join(filter(None, [house.slug if house else "own", plan]))
    book, _ = RuleBook.objects.get_or_create(name=name, defaults={"policy": house, "plan": plan})
    values: dict[str, Any] = {"number": book.versions.count() + 1, "drafted_at": scene.NIGHT} | fields
    version = RuleVersion.objects.create(book=book, **values)
    Tier.objects.bulk_create(
        [
            *(
                Tier(version=version, measure="duration", rank=rank, code=code, percent=Decimal(percent),
                     longer_than_seconds=int(length.total_seconds()))
                for rank, code, length, percent in tiers
            ),
            *(
                Tier(version=version, measure="uptime", rank=rank, code=code, percent=Decimal(percent),
                     below_percent=Decimal(below))
                for rank, code, below, percent in uptimes
            ),
        ]
    )  # fmt: skip
    # Filled while it is a draft; in force it is frozen.
    RuleVersion.objects.filter(pk=version.pk).update(standing=RuleStanding.IN_FORCE, in_force_at=scene.NIGHT)
    version.refresh_from_db()
    return version


def buyer(reference: str = "ACME", **changes: Any) -> Customer:
    made, _ = Customer.objects.get_or_create(reference=reference, defaults={"name": reference.title()} | changes)
    return made


def contract(
    reference: str = "C-1",
    *,
    customer: Customer | None = None,
    fee: int = 100_000,
    components: Sequence[Component] | None = None,
    plan: str = "",
    starts_on: date = date(2020, 1, 1),
    last_day: date | None = None,
    currency: str = "EUR",
    zone: str = "UTC",
    billing_day: int = 1,
    **changes: Any,
) -> Contract:
    """A contract of one term. ``components`` None: it uses the API; empty: everything."""
    made = Contract.objects.create(
        reference=reference,
        customer=customer or buyer(f"{reference} Ltd"),
        policy=changes.pop("policy", None) or policy_b(),
        currency=currency,
        zone=zone,
        billing_day=billing_day,
        **changes,
    )
    term(made, fee=fee, components=components, plan=plan, starts_on=starts_on, last_day=last_day)
    return made


def term(
    contract: Contract,
    *,
    fee: int = 100_000,
    components: Sequence[Component] | None = None,
    plan: str = "",
    starts_on: date = date(2020, 1, 1),
    last_day: date | None = None,
) -> Term:
    """One more term; ``components`` as for ``contract``."""
    made = Term.objects.create(
        contract=contract,
        starts_on=starts_on,
        last_day=last_day,
        plan=plan,
        fee_minor=fee,
        uses_everything=components is not None and not components,
    )
    if not made.uses_everything:
        made.components.set(components or [scene.component()])
    return made


def declared(
    code: str = "P0",
    started: datetime = NOON,
    components: Sequence[Component] | Mapping[Component, Level] | None = None,
    **changes: Any,
) -> Incident:
    """Ann declares in public, at the moment it begins, that these (the API) are down."""
    named = components if isinstance(components, Mapping) else None
    hit = dict(named or dict.fromkeys(components or [scene.component()], Level.MAJOR))
    values: dict[str, Any] = {"severity": level(code), "at": started, "levels": hit} | changes
    return scene.incident(**values)


def resolve(incident: Incident, at: datetime, *, by: str = "ann", ended_at: datetime | None = None) -> Incident:
    return lifecycle.resolve(
        incident, body="It is over.", by=scene.operator(by), at=at, ended_at=ended_at, override="It is over."
    )


def resolved(
    code: str = "P0",
    started: datetime = NOON,
    length: timedelta = timedelta(minutes=61),
    components: Sequence[Component] | Mapping[Component, Level] | None = None,
    *,
    by: str = "ann",
    **changes: Any,
) -> Incident:
    """An incident from its declaration to its end, ``length`` later, said at once."""
    return resolve(declared(code, started, components, **changes), started + length, by=by)


def works(
    *,
    starts: datetime,
    ends: datetime,
    told: datetime | None = None,
    components: Sequence[Component] | None = None,
    at: datetime | None = None,
) -> Maintenance:
    """Planned work; announced at ``told``, or (None) only planned, ``at`` ten days before."""
    return maintenance.schedule(
        title="Database upgrade",
        severity=None,
        brand=scene.brand(),
        components=components or [scene.component()],
        planned_start_at=starts,
        planned_end_at=ends,
        what_changes="PostgreSQL 17.",
        rollback_plan="The old primary stays.",
        by=scene.operator(),
        at=told or at or starts - 10 * DAY,
        draft=Draft(Phase.SCHEDULED, "The database moves.") if told else None,
        channels=(),
    )


def finance(name: str = "fin", *rights: str) -> User:
    """Somebody of finance, with these permissions of ``postmortems`` (default: all about credits)."""
    user = scene.operator(name)
    wanted = Permission.objects.filter(content_type__app_label="postmortems")
    if rights:
        wanted = wanted.filter(codename__in=rights)
    user.user_permissions.set(wanted)
    return User.objects.get(pk=user.pk)
