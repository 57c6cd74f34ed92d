"""What an incident does to components and customers, and its moments, as its screen shows them (R-207, R-803)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce

from incidents.discretion import RESTRICTED, hidden_sources
from incidents.enums import Role
from incidents.models import Assignment, Incident
from notifications.enums import Tier
from notifications.models import Contact, Customer, Subscriber, Topic
from status.enums import Level
from status.models import Component, Impact

#: So many customers are named; the others are counted.
NAMED = 20


@dataclass(frozen=True)
class Hit:
    """A component: what this incident claims, who else holds it down, and what the public sees."""

    component: Component
    claimed: Level
    others: list[tuple[str, Level]]

    @property
    def now(self) -> Level:
        return Level.gravest([self.claimed, *(level for _, level in self.others)])


def hits(incident: Incident, by: User) -> list[Hit]:
    """What the incident holds down now, worst first, and by whom else it is held. Two queries.

    A restricted incident is named to nobody who may not know of it (R-213).
    """
    mine = Impact.objects.open().real().filter(source=incident.source).values("component")
    rows = Impact.objects.open().real().filter(component__in=mine).select_related("component").order_by("source")
    by_component: dict[Component, list[Impact]] = {}
    for row in rows:
        by_component.setdefault(row.component, []).append(row)
    hidden = set(hidden_sources(by)) if any(row.source != incident.source for row in rows) else set()
    found = [_hit(incident, component, impacts, hidden) for component, impacts in by_component.items()]
    return sorted(found, key=lambda hit: (-hit.claimed.gravity, hit.component.name))


def _hit(incident: Incident, component: Component, impacts: Sequence[Impact], hidden: Collection[str]) -> Hit:
    claimed = next(Level(row.level) for row in impacts if row.source == incident.source)
    others = [
        (RESTRICTED if row.source in hidden else holder(row), Level(row.level))
        for row in impacts
        if row.source != incident.source
    ]
    return Hit(component, claimed, others)


def holder(impact: Impact) -> str:
    """Who holds a component down, as people name it: ``INC-2026-0001``."""
    return impact.source.partition(":")[2] or impact.source


def roles(incident: Incident) -> list[Assignment]:
    """Who has which role now, in the order of the roles. One query."""
    held = incident.assignments.current().select_related("user")
    return sorted(held, key=lambda row: list(Role).index(Role(row.role)))


@dataclass(frozen=True)
class Customers:
    """Customers that use what was hit, the most important first. ``named`` have ``people`` and ``readers``."""

    named: list[Customer] = field(default_factory=list)
    total: int = 0

    @property
    def more(self) -> int:
        return self.total - len(self.named)


def customers(incident: Incident) -> Customers:
    """Whoever uses a component, or a whole group, that this incident hit. Two queries, whatever their number.

    ``people`` are contacts, ``readers`` subscribers who are told now.
    """
    hit = Impact.objects.real().filter(source=incident.source)
    topics = Topic.objects.filter(
        Q(component__in=hit.values("component")) | Q(group__components__in=hit.values("component"))
    )
    uses = Customer.topics.through.objects.filter(customer=OuterRef("pk"), topic__in=topics.values("pk"))
    found = Customer.objects.filter(Exists(uses))
    contacts = _counted(Contact.objects.filter(customer=OuterRef("pk")))
    active = Subscriber.objects.filter(
        customer=OuterRef("pk"), confirmed_at__isnull=False, unsubscribed_at__isnull=True, erased_at__isnull=True
    )
    named = found.annotate(weight=_WEIGHT, people=contacts, readers=_counted(active)).order_by("weight", "name", "pk")
    return Customers(list(named[:NAMED]), found.count())


_WEIGHT = Case(
    *(When(tier=tier, then=Value(weight)) for weight, tier in enumerate(Tier)),
    default=Value(len(Tier)),
    output_field=IntegerField(),
)


def _counted(rows: object) -> Coalesce:
    per_customer = rows.order_by().values("customer").annotate(n=Count("pk")).values("n")  # type: ignore[attr-defined]  # a queryset
    return Coalesce(Subquery(per_customer, output_field=IntegerField()), Value(0))


def clocks(incident: Incident) -> list[tuple[str, datetime | None, str]]:
    """The moments of an incident: when it happened, and when we said so (R-1302)."""
    return [
        ("Began", incident.started_at, "happened"),
        ("Noticed", incident.detected_at, "happened"),
        ("Declared", incident.declared_at, "said"),
        ("Acknowledged", incident.acknowledged_at, "said"),
        ("Mitigated", incident.mitigated_at, "happened"),
        ("Fix verified", incident.verified_at, "happened"),
        ("Stopped hurting", incident.ended_at, "happened"),
        ("Resolved", incident.resolved_at, "said"),
        ("Closed", incident.closed_at, "said"),
    ]
