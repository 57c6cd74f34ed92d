"""Which months are out of date: what changed, whom it touches, and the rows of months that it makes (R-903).

Marking is cheap and generous; assessing a month that did not change after all leaves it as it is. Every mark
waits for whoever assesses the month just now, so that no change is lost between reading and writing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from postmortems.credits import facts
from postmortems.credits.arithmetic.case import Outage, Span
from postmortems.credits.arithmetic.months import (
    bounds,
    first,
    following,
    micros,
    midnight,
    moment,
    month_of,
    preceding,
)
from postmortems.credits.arithmetic.spans import Spans, union
from postmortems.credits.facts import kin
from postmortems.enums import RuleStanding, Scope
from postmortems.models import Contract, ContractMonth, RuleVersion, Term, Touch
from status.models import Impact

#: Statements take so many values at once.
_MOST = 5_000
#: What an incident without a component hits: those whose rules count every incident (R-902).
EVERYTHING = 0
#: A contract and a month, and by which zone and day that month is counted.
Places = dict[tuple[int, date], tuple[str, int]]
#: From when to when each component was hit; EVERYTHING: from when to when anything was.
Hits = Mapping[int, Spans]


def mark_incidents(ids: Collection[int], *, at: datetime) -> int:
    """What is known of these changed: months that they touched, and those that they touch now. How many."""
    outages = facts.known(kin.families(ids).members, at=at)
    reached = kin.around(kin.hull_of(ids, at=at), at=at) if ids else set()
    touched = Touch.objects.filter(incident__in={*ids, *outages, *reached})
    with transaction.atomic():
        marked = _mark(ContractMonth.objects.filter(pk__in=touched.values("contract_month")), at=at)
        grave = [outage for outage in outages.values() if any(one.counts for one in outage.severities)]
        light = [outage for outage in outages.values() if not any(one.counts for one in outage.severities)]
        marked += _mark_places(_places(hits_of(grave)), at=at)
        # What earns nothing by itself may still join two outages to one.
        marked += _mark_places(_places(hits_of(light)), at=at, create=False)
    return marked


def mark_contracts(contract_ids: Collection[int], *, since: date | None, at: datetime) -> int:
    """What these contracts say changed from a day on (None: always): their months, and those that are new. How many."""
    rows = ContractMonth.objects.filter(contract__in=contract_ids)
    if since:
        # The billing month of the day may have begun in the month before.
        rows = rows.filter(month__gte=preceding(first(since)))
    with transaction.atomic():
        marked = _mark(rows, at=at)
        begin = since - timedelta(days=1) if since else _earliest(contract_ids)
        if begin:
            marked += _mark_places(_places(_hits_since(begin, at=at), contract_ids), at=at)
    return marked


def mark_rules(version: RuleVersion, *, at: datetime) -> int:
    """A version of rules was put in force: months that may be judged by it. How many."""
    book = version.book
    theirs = Q(own_rules=book) | Q(policy=book.policy_id) if book.policy_id else Q(own_rules=book)
    contracts = list(Contract.objects.filter(theirs).values_list("pk", flat=True))
    return mark_contracts(contracts, since=version.applies_from, at=at) if contracts else 0


def mark_running(outages: Iterable[Outage], *, at: datetime) -> int:
    """Months that have begun while these go on, as far as they have no rows yet. How many."""
    now = micros(at)
    hits = {component: [(now - 1, now + 1)] for component in hits_of(outages)}
    return _mark_places(_places(hits), at=at, known=False)


def mark_month(month: date, *, at: datetime) -> int:
    """Rows for every contract that has something to do with an incident of the month. How many are new."""
    hits = _hits_since(preceding(month), at=at)
    places = {place: counted for place, counted in _places(hits).items() if place[1] == month}
    return _mark_places(places, at=at, known=False)


def mark_months(keys: Collection[int], *, at: datetime) -> int:
    """These months, by id. How many."""
    with transaction.atomic():
        return _mark(ContractMonth.objects.filter(pk__in=keys), at=at) if keys else 0


def mark_all(hits: Hits, *, at: datetime) -> int:
    """More changed than is looked at one by one: every month there is, and those that are new. How many."""
    with transaction.atomic():
        return _mark(ContractMonth.objects.all(), at=at) + _mark_places(_places(hits), at=at, known=False)


def hits_of(outages: Iterable[Outage]) -> Hits:
    """From when to when these hit each component, and anything."""
    hits: dict[int, list[Span]] = {}
    for outage in outages:
        spans = [(outage.start, outage.end), (outage.said, outage.unsaid)]
        spans += [(one.start, one.end) for one in outage.impacts]
        hull = (min(start for start, _ in spans), max(end for _, end in spans))
        for component in {EVERYTHING, *(one.component for one in outage.impacts)}:
            hits.setdefault(component, []).append((hull[0], max(hull[1], hull[0] + 1)))
    return {component: union(spans) for component, spans in hits.items()}


# --- whom it touches ---------------------------------------------------------------------


def _earliest(contract_ids: Collection[int]) -> date | None:
    """The day before the first of these contracts begins."""
    terms = Term.objects.filter(contract__in=contract_ids).order_by("starts_on")
    day = terms.values_list("starts_on", flat=True).first()
    return day - timedelta(days=1) if day else None


def _hits_since(day: date, *, at: datetime) -> Hits:
    """All that incidents have hit since the beginning of a day. Five queries."""
    begin, now = midnight(day, "UTC"), micros(at)
    if begin >= now:
        return {}
    hulls = kin.reaching([(begin, now)], at=at)
    sources = {f"{kin.SOURCE}{reference}": pk for pk, reference in kin.named(hulls)}
    hits: dict[int, list[Span]] = {EVERYTHING: list(hulls.values())}
    held = (
        Impact.objects.real()
        .filter(source__startswith=kin.SOURCE)
        .filter(Q(ended_at__isnull=True) | Q(ended_at__gte=moment(begin)))
    )
    for source, component in held.order_by().values_list("source", "component_id").distinct():
        if source in sources:
            hits.setdefault(component, []).append(hulls[sources[source]])
    return {component: union(spans) for component, spans in hits.items()}


def _places(hits: Hits, contracts: Collection[int] | None = None) -> Places:
    """Billing months of contracts (None: all) whose terms use what was hit, while it was hit. Three queries."""
    hits = {component: spans for component, spans in hits.items() if spans}
    if not hits:
        return {}
    found: Places = {}
    hit: dict[tuple[str, int, int], list[date]] = {}
    months: dict[tuple[str, int, date, date | None, int], list[date]] = {}
    for contract, zone, day, starts_on, last_day, component in _users(hits, contracts):
        known = (zone, day, starts_on, last_day, component)
        if known not in months:
            spans, place = hits[component], (zone, day, component)
            if place not in hit:
                hit[place] = _months(spans, zone, day)
            months[known] = _within(hit[place], spans, zone, day, starts_on, last_day)
        for month in months[known]:
            found[contract, month] = zone, day
    return found


def _users(hits: Hits, contracts: Collection[int] | None) -> Iterator[tuple[int, str, int, date, date | None, int]]:
    """(contract, zone, billing day, first and last day of a term, component that it uses)."""
    mine = Q(contract__in=contracts) if contracts is not None else Q()
    columns = ("contract_id", "contract__zone", "contract__billing_day", "starts_on", "last_day")
    terms = Term.objects.filter(mine).order_by()
    using = terms.filter(components__in=[component for component in hits if component != EVERYTHING])
    yield from using.values_list(*columns, "components").iterator(_MOST)
    yield from terms.filter(_counting_all()).values_list(*columns, Value(EVERYTHING)).iterator(_MOST)


def _counting_all() -> Q:
    """Terms for which every incident counts: so they say, or the rules that they may be judged by."""
    books = RuleVersion.objects.filter(standing=RuleStanding.IN_FORCE, scope=Scope.ANY)
    rows = list(books.order_by().values_list("book_id", "book__policy_id").distinct())
    own, policies = {book for book, _ in rows}, {policy for _, policy in rows if policy}
    return Q(uses_everything=True) | Q(contract__own_rules__in=own) | Q(contract__policy__in=policies)


def _months(spans: Spans, zone: str, day: int) -> list[date]:
    """Billing months that the spans reach into, in order. Once over spans and months, however many."""
    month, found = month_of(spans[0][0], zone, day), []
    for start, end in spans:
        while bounds(month, zone, day)[1] <= start:
            month = following(month)
        while bounds(month, zone, day)[0] < end:
            found.append(month)
            month = following(month)
        # The next span may begin in the month in which this one ends.
        month = found[-1]
    return list(dict.fromkeys(found))


def _within(
    months: Sequence[date], spans: Spans, zone: str, day: int, starts_on: date, last_day: date | None
) -> list[date]:
    """Those of the months that the spans reach into in which they meet a term."""
    begin = midnight(starts_on, zone)
    end = midnight(last_day + timedelta(days=1), zone) if last_day else max(begin, spans[-1][1]) + 1
    if begin >= end:
        return []
    early, late = month_of(begin, zone, day), month_of(end - 1, zone, day)
    inside = months[bisect_left(months, early) : bisect_right(months, late)]
    # Months at the edges are the term's in part only.
    return [month for month in inside if early < month < late or _meet(spans, month, (begin, end), zone, day)]


def _meet(spans: Spans, month: date, term: Span, zone: str, day: int) -> bool:
    start, end = bounds(month, zone, day)
    start, end = max(start, term[0]), min(end, term[1])
    place = bisect_right(spans, (start, start))
    return any(one < end and until > start for one, until in spans[max(place - 1, 0) : place + 1])


# --- the marks ---------------------------------------------------------------------------


def _mark(rows: QuerySet[ContractMonth], *, at: datetime) -> int:
    """Mark these rows, unless they are marked already; whoever assesses one just now is waited for."""
    keys = list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    for place in range(0, len(keys), _MOST):
        batch = ContractMonth.objects.filter(pk__in=keys[place : place + _MOST])
        batch.update(stale_since=Coalesce(F("stale_since"), Value(at)))
    return len(keys)


def _mark_places(places: Places, *, at: datetime, create: bool = True, known: bool = True) -> int:
    """Mark these months. ``create``: those without a row get one; ``known``: those with a row are marked, too."""
    if not places:
        return 0
    there = _rows(places)
    missing = sorted(place for place in places if place not in there) if create else []
    for place in range(0, len(missing), _MOST):
        made = [_row(one, places[one], at) for one in missing[place : place + _MOST]]
        ContractMonth.objects.bulk_create(made, ignore_conflicts=True)
    keys = [pk for pk, _ in there.values()] if known else []
    if missing:
        # What somebody else made meanwhile may be assessed already, without what is marked here.
        now = _rows(places)
        keys += [pk for place in missing if (pk := now[place][0]) and now[place][1] != at]
    keys.sort()
    return len(missing) + sum(
        _mark(ContractMonth.objects.filter(pk__in=keys[place : place + _MOST]), at=at)
        for place in range(0, len(keys), _MOST)
    )


def _rows(places: Places) -> dict[tuple[int, date], tuple[int, datetime | None]]:
    """Those of these months that have a row: its id, and since when it is marked. One query."""
    rows = ContractMonth.objects.filter(month__in={month for _, month in places})
    found = rows.values_list("contract_id", "month", "pk", "stale_since").iterator(_MOST)
    return {(contract, month): (pk, marked) for contract, month, pk, marked in found if (contract, month) in places}


def _row(place: tuple[int, date], counted: tuple[str, int], at: datetime) -> ContractMonth:
    contract, month = place
    start, end = bounds(month, *counted)
    return ContractMonth(
        contract_id=contract, month=month, starts_at=moment(start), ends_at=moment(end), stale_since=at
    )
