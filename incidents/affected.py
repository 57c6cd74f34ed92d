"""Is customer X affected? From a customer to what they use, what is wrong with it, and what we said (R-1305).

Everything that may leave the house is read from the public book; the internal book adds a link and a
severity for whoever may know of the incident (R-213).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, Count, IntegerField, Max, Q, QuerySet, Value, When

from incidents import letters
from incidents.models import Incident, Maintenance
from notifications import lookup
from notifications.enums import Channel, Kind, Tier
from notifications.models import Brand, Contact, Customer, Delivery
from status import reading
from status.enums import Level, NoticeKind
from status.models import Component, Impact, Notice
from status.reading import Told

#: As many as a search shows.
SHOWN = 20
#: Fewer letters would mean half of all customers.
FEWEST = 2
#: What ended so recently is still asked about.
LATELY = timedelta(hours=24)
#: Levels that something customers use can be held at, gravest first.
_GRAVEST = sorted(Level, key=lambda level: -level.gravity)


@dataclass(frozen=True)
class Heard:
    """The last message to this customer by one way: ``E-mail``, ``Letter by e-mail``."""

    by: str
    at: datetime
    messages: int


@dataclass(frozen=True)
class Trouble:
    """One notice that touches what the customer uses; ``incident`` None: this reader may not know more of it.

    ``levels``: of what they use, how bad it is by this incident alone. ``heard``: what they were told about it.
    ``letters``: how many of those messages were letters.
    """

    notice: Notice
    incident: Incident | None
    levels: list[tuple[Component, Level]]
    words: Told | None
    heard: list[Heard]
    letters: int

    @property
    def over(self) -> bool:
        return self.notice.resolved_at is not None

    @property
    def url(self) -> str:
        return reading.permalink(self.notice)

    @property
    def worst(self) -> Level:
        return Level.gravest(level for _, level in self.levels)


@dataclass(frozen=True)
class Affected:
    """The whole answer. ``assumed``: nobody wrote down what they use, so everything counts as used."""

    customer: Customer
    at: datetime
    brand: Brand | None
    components: list[tuple[Component, Level]]
    open: list[Trouble]
    lately: list[Trouble]
    ahead: list[Maintenance]
    heard: list[Heard]
    assumed: bool

    @property
    def hurt(self) -> list[tuple[Component, Level]]:
        """What they use and does not work as usual, gravest first."""
        found = [(component, level) for component, level in self.components if level != Level.OPERATIONAL]
        return sorted(found, key=lambda pair: (-pair[1].gravity, pair[0].name))

    @property
    def is_affected(self) -> bool:
        return bool(self.open or self.hurt)

    @property
    def worst(self) -> Level:
        return Level.gravest(level for _, level in self.components)

    @property
    def writes_letters(self) -> bool:
        """Whether customers of this tier are written to directly (R-803)."""
        return self.customer.tier == Tier.ENTERPRISE


@dataclass
class _Told:
    """Deliveries to one customer by (kind, channel), and those about each notice's lanes."""

    overall: list[Heard] = field(default_factory=list)
    by_lane: dict[str, list[Heard]] = field(default_factory=dict)


def find(typed: str) -> tuple[list[Customer], bool]:
    """(customers, whether there are more) by a part of the name, the beginning of the reference, or a contact's
    address or its domain. One query; nothing for fewer than two letters.
    """
    words = " ".join(typed.split())
    if len(words) < FEWEST:
        return [], False
    meant = Q(name__icontains=words) | Q(reference__istartswith=words)
    domain = words.rpartition("@")[2]
    if "." in domain and " " not in words:
        at_domain = Contact.objects.filter(Q(email__iendswith=f"@{domain}") | Q(email__iendswith=f".{domain}"))
        meant |= Q(pk__in=at_domain.values("customer"))
    exact = Case(
        When(reference__iexact=words, then=Value(0)),
        When(name__istartswith=words, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    found = list(Customer.objects.filter(meant).order_by(exact, "name", "pk")[: SHOWN + 1])
    return found[:SHOWN], len(found) > SHOWN


def by_reference(reference: str) -> QuerySet[Customer]:
    """The customer that an address names, if any. No reference holds a NUL, and PostgreSQL refuses to look for one."""
    return Customer.objects.none() if "\x00" in reference else Customer.objects.filter(reference=reference)


def affected(customer: Customer, *, user: AbstractBaseUser | AnonymousUser, at: datetime) -> Affected:
    """All about one customer at ``at`` (UTC), as far as ``user`` may know. The same queries whatever the sizes."""
    components, assumed = _used(customer)
    ids = [component.pk for component in components]
    held = _held(ids)
    notices = list(_notices(ids, at))
    known = {
        incident.notice_id: incident
        for incident in Incident.objects.visible_to(user)
        .filter(notice__in=notices)
        .select_related("severity__version__policy")
    }
    told = _told(customer, notices)
    troubles = [_trouble(notice, known.get(notice.pk), components, held, told) for notice in notices]
    by_level = [
        (component, Level.gravest(level for (one, _), level in held.items() if one == component.pk))
        for component in components
    ]
    return Affected(
        customer=customer,
        at=at,
        brand=Brand.objects.filter(is_default=True).first(),
        components=by_level,
        open=sorted((one for one in troubles if not one.over), key=_urgency),
        lately=[one for one in troubles if one.over],
        ahead=list(_ahead(ids)),
        heard=told.overall,
        assumed=assumed,
    )


def _used(customer: Customer) -> tuple[list[Component], bool]:
    """What they use, by component or by its group; everything where nobody wrote it down. Two queries."""
    topics = set(customer.topics.values_list("pk", flat=True))
    shown = Component.objects.shown().select_related("group")
    if topics:
        return list(shown.filter(Q(topic__in=topics) | Q(group__topic__in=topics))), False
    return list(shown), True


def _held(ids: list[int]) -> dict[tuple[int, str], Level]:
    """The level of each component by who holds it down. One query."""
    impacts = Impact.objects.open().real().filter(component__in=ids)
    return {
        (one, source): Level(level) for one, source, level in impacts.values_list("component_id", "source", "level")
    }


def _notices(ids: list[int], at: datetime) -> QuerySet[Notice]:
    """Incidents of the public book that touch these, open or over since a day. Three queries."""
    fresh = Q(resolved_at__isnull=True) | Q(resolved_at__gte=at - LATELY)
    touching = Notice.components.through.objects.filter(component__in=ids).values("notice")
    found = Notice.objects.visible().filter(fresh, kind=NoticeKind.INCIDENT, pk__in=touching)
    return found.select_related("brand").prefetch_related("updates", "components").order_by("-published_at")


def _ahead(ids: list[int]) -> QuerySet[Maintenance]:
    """Maintenance of these that was announced and is not over, soonest first. Two queries."""
    touching = Maintenance.components.through.objects.filter(component__in=ids).values("maintenance")
    found = Maintenance.objects.open().filter(pk__in=touching, notice__isnull=False, notice__withdrawn_at__isnull=True)
    return found.select_related("notice").prefetch_related("components").order_by("planned_start_at")


def _told(customer: Customer, notices: Iterable[Notice]) -> _Told:
    """When and how they were last told, in all and about each of ``notices``. Four queries."""
    theirs = Delivery.objects.filter(lookup.told_to([customer]), sent_at__isnull=False).order_by()
    figures = {"last": Max("sent_at"), "messages": Count("pk")}
    told = _Told()
    for kind, channel, last, messages in theirs.values_list("announcement__kind", "channel").annotate(**figures):
        told.overall.append(Heard(_way(kind, channel), last, messages))
    told.overall.sort(key=lambda heard: heard.at, reverse=True)
    lanes = [lane for notice in notices for lane in (notice.lane, letters.lane(notice))]
    about = theirs.filter(announcement__lane__in=lanes)
    rows = about.values_list("announcement__lane", "announcement__kind", "channel").annotate(**figures)
    for lane, kind, channel, last, messages in rows:
        told.by_lane.setdefault(lane, []).append(Heard(_way(kind, channel), last, messages))
    return told


def _trouble(
    notice: Notice,
    incident: Incident | None,
    used: list[Component],
    held: dict[tuple[int, str], Level],
    told: _Told,
) -> Trouble:
    touched = {component.pk for component in notice.components.all()}
    source = f"incident:{notice.reference}"
    written = told.by_lane.get(letters.lane(notice), [])
    words = reading.told(notice.updates.all())
    return Trouble(
        notice=notice,
        incident=incident,
        levels=[(one, held.get((one.pk, source), Level.OPERATIONAL)) for one in used if one.pk in touched],
        words=words[0] if words else None,
        heard=sorted([*told.by_lane.get(notice.lane, []), *written], key=lambda heard: heard.at, reverse=True),
        letters=sum(heard.messages for heard in written),
    )


def _urgency(trouble: Trouble) -> tuple[int, datetime]:
    return _GRAVEST.index(trouble.worst), trouble.notice.published_at


def _way(kind: str, channel: str) -> str:
    name = Channel(channel).label
    return f"Letter by {name[:1].lower()}{name[1:]}" if kind == Kind.DIRECT else name
