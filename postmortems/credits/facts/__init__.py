"""From the two books to cases: what is known of incidents, and what a contract's month reads of it (R-902, R-903).

Reads only, in a constant number of queries however many incidents, contracts and months: chains of merged
incidents or of parts, and outages that reach over the months asked for, take some more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import prefetch_related_objects

from incidents.enums import OPEN, UNCOUNTED, Verb
from incidents.models import Incident, Severity, TimelineEntry
from postmortems.credits.arithmetic.case import BEGINNING, END, Case, Excluded, Impact, Judged, Outage, Planned, Rules
from postmortems.credits.arithmetic.months import bounds, following, micros, moment
from postmortems.credits.arithmetic.spans import Spans, union
from postmortems.enums import Scope
from postmortems.models import ContractMonth, Exclusion
from status.enums import Level
from status.models import Impact as Held

from . import kin, planned
from .ruling import Ruling, rules_of
from .terms import Agreed, agreed

__all__ = ["Known", "cases", "incidents_of", "known", "load", "open_ended", "rules_of"]


@dataclass(frozen=True, slots=True)
class Known:
    """A month with its case. ``version``: of the rules it is judged by."""

    month: ContractMonth
    case: Case
    version: int | None


def known(incident_ids: Collection[int], *, at: datetime) -> dict[int, Outage]:
    """Outages of these incidents as known now, by id; false alarms and merged ones are none. Ten queries or so.

    ``at`` (UTC) is the end of what is not over.
    """
    incidents = list(
        Incident.objects.filter(pk__in=incident_ids)
        .exclude(state__in=UNCOUNTED)
        .order_by("pk")
        .only(
            "reference", "state", "severity", "started_at", "ended_at", "declared_at", "resolved_at", "closed_at",
            "merged_into",
        )
    )  # fmt: skip
    if not incidents:
        return {}
    merged = _merged_into(incidents)
    levels = _severities([*incidents, *(one for ones in merged.values() for one in ones)])
    of = kin.families([incident.pk for incident in incidents]).of
    impacts = _impacts(incidents, at=at)
    works = _works(incidents, impacts, at=at)
    excluded = _excluded(incidents)
    found = {}
    for incident in incidents:
        hit = impacts.get(incident.source, [])
        start, end, said, unsaid = _times(incident, at)
        reach = min([start, *(one.start for one in hit)]), max([end, unsaid, *(one.end for one in hit)])
        found[incident.pk] = Outage(
            reference=incident.reference,
            family=of.get(incident.pk, incident.reference),
            start=start,
            end=end,
            said=said,
            unsaid=unsaid,
            running=incident.state in OPEN,
            severities=(*levels[incident.pk], *_until_merged(merged[incident.pk], levels)),
            impacts=tuple(hit),
            planned=tuple(_during(works, {one.component for one in hit}, *reach)),
            excluded=tuple(excluded.get(incident.pk, ())),
        )
    return found


def open_ended(outage: Outage) -> Outage:
    """What still runs, without the moment of the look: equal at every look until a fact changes."""
    if not outage.running:
        return outage
    now = outage.end
    return replace(
        outage,
        end=END,
        unsaid=END,
        impacts=tuple(replace(one, end=END) if one.end >= now else one for one in outage.impacts),
        planned=tuple(replace(one, end=END) if one.end >= now else one for one in outage.planned),
    )


def cases(
    months: Sequence[ContractMonth], *, at: datetime, rules: Rules | None = None
) -> list[tuple[ContractMonth, Case]]:
    """Each month with its case as known now; ``rules`` instead of those in force, for dry runs."""
    return [(one.month, one.case) for one in load(months, at=at, rules=rules)]


def load(months: Sequence[ContractMonth], *, at: datetime, rules: Rules | None = None) -> list[Known]:
    """As ``cases``, with what else is kept of it. Outages are shared between the cases."""
    if not months:
        return []
    prefetch_related_objects(list(months), "contract")
    terms = agreed({month.contract_id for month in months})
    ruling = Ruling(months)
    spans = [bounds(month.month, month.contract.zone, month.contract.billing_day) for month in months]
    outages = _Outages(known(kin.around(union(spans), at=at), at=at).values())
    found = []
    for month, span in zip(months, spans, strict=True):
        contract, mine = month.contract, terms.get(month.contract_id, Agreed())
        version = ruling.version(month, mine.terms)
        said = rules or (ruling.rules(version) if version else None)
        used = None if said and said.scope == Scope.ANY else mine.used
        case = Case(
            contract=contract.reference,
            customer=contract.customer_id,
            month=f"{month.month:%Y-%m}",
            currency=contract.currency,
            zone=contract.zone,
            start=span[0],
            end=span[1],
            days=(
                month.month.replace(day=contract.billing_day).toordinal(),
                following(month.month).replace(day=contract.billing_day).toordinal(),
            ),
            terms=mine.terms,
            rules=said,
            outages=outages.of(contract.customer_id, used, span),
            granted=ruling.granted(month),
        )
        found.append(Known(month, case, version.pk if version else None))
    return found


def incidents_of(found: Iterable[Case]) -> dict[str, int]:
    """Ids of the incidents in these cases, by reference. One query."""
    references = {outage.reference for case in found for outage in case.outages}
    return dict(Incident.objects.filter(reference__in=references).values_list("reference", "pk"))


# --- of one incident ---------------------------------------------------------------------


def _times(incident: Incident, at: datetime) -> tuple[int, int, int, int]:
    """When it happened, and when that was said. What is open ends at the moment of the look."""
    start, said = micros(incident.started_at), micros(incident.declared_at)
    now = micros(at)
    end = micros(incident.ended_at) if incident.ended_at else now
    unsaid = micros(incident.resolved_at) if incident.resolved_at else now
    return start, max(end, start), said, max(unsaid, said)


def _merged_into(incidents: Sequence[Incident]) -> dict[int, list[Incident]]:
    """What was merged into each, and into that. One query for each step."""
    goes_on: dict[int, int] = {incident.pk: incident.pk for incident in incidents}
    found: dict[int, list[Incident]] = {incident.pk: [] for incident in incidents}
    frontier = list(goes_on)
    while frontier:
        step = [
            one for one in Incident.objects.filter(merged_into__in=frontier).order_by("pk") if one.pk not in goes_on
        ]
        for one in step:
            goes_on[one.pk] = goes_on[one.merged_into_id or 0]
            found[goes_on[one.pk]].append(one)
        frontier = [one.pk for one in step]
    return found


def _severities(incidents: Sequence[Incident]) -> dict[int, list[Judged]]:
    """From when to when each was at which level, as the version says that it was judged by (R-102). Two queries."""
    changes: dict[int, list[tuple[datetime, list[int]]]] = {}
    entries = (
        TimelineEntry.objects.filter(incident__in=incidents, verb=Verb.SEVERITY)
        .order_by("at", "id")
        .values_list("incident_id", "at", "facts__levels")
    )
    for incident_id, at, moved in entries:
        if moved:
            changes.setdefault(incident_id, []).append((at, moved))
    wanted = {incident.severity_id for incident in incidents}
    wanted |= {pk for ones in changes.values() for _, moved in ones for pk in moved}
    levels = {
        pk: (rank, counts)
        for pk, rank, counts in Severity.objects.filter(pk__in=wanted).values_list("pk", "rank", "counts_for_credits")
    }
    found: dict[int, list[Judged]] = {}
    for incident in incidents:
        turns = changes.get(incident.pk, [])
        edges = [BEGINNING, *(micros(at) for at, _ in turns), END]
        held = [*(moved[0] for _, moved in turns), incident.severity_id]
        found[incident.pk] = [
            Judged(start, end, *levels[pk])
            for start, end, pk in zip(edges, edges[1:], held, strict=False)
            if start < end
        ]
    return found


def _until_merged(incidents: Iterable[Incident], levels: Mapping[int, list[Judged]]) -> Iterable[Judged]:
    """What these were judged at until they were merged: merging lowers nothing (reliability.md 5.3)."""
    for incident in incidents:
        begin, end = micros(incident.started_at), micros(incident.closed_at or incident.started_at)
        for one in levels[incident.pk]:
            start, until = max(one.start, begin), min(one.end, end)
            if start < until:
                yield replace(one, start=start, end=until)


def _impacts(incidents: Sequence[Incident], *, at: datetime) -> dict[str, list[Impact]]:
    """What each held down, by its name in the ledger. One query."""
    found: dict[str, list[Impact]] = {}
    rows = (
        Held.objects.real()
        .filter(source__in=[incident.source for incident in incidents])
        .exclude(level=Level.MAINTENANCE)
        .values_list("source", "component_id", "began_at", "ended_at", "level")
    )
    for source, component, began_at, ended_at, level in rows:
        start = micros(began_at)
        # What began after this look itself began is held all the same.
        end = micros(ended_at) if ended_at else max(micros(at), start + 1)
        if start < end:
            found.setdefault(source, []).append(Impact(component, start, end, Level(level).gravity))
    for hit in found.values():
        hit.sort(key=lambda one: (one.start, one.component, one.end))
    return found


def _works(incidents: Sequence[Incident], impacts: Mapping[str, list[Impact]], *, at: datetime) -> list[Planned]:
    """Announced maintenance of whatever these held down, all the time that they reach over. Two queries at most."""
    hit = [one for ones in impacts.values() for one in ones]
    if not hit:
        return []
    times = [_times(incident, at) for incident in incidents]
    begin = min(min(one.start for one in hit), min(start for start, *_ in times))
    end = max(max(one.end for one in hit), max(max(end, unsaid) for _, end, _, unsaid in times))
    return planned.works({one.component for one in hit}, (moment(begin), moment(end)), at=at)


def _during(works: Iterable[Planned], components: Collection[int], start: int, end: int) -> Iterable[Planned]:
    for one in works:
        if one.component in components and one.start < end and one.end > start:
            yield replace(one, start=max(one.start, start), end=min(one.end, end))


def _excluded(incidents: Sequence[Incident]) -> dict[int, list[Excluded]]:
    """Time that people took out of each. One query."""
    found: dict[int, list[Excluded]] = {}
    rows = (
        Exclusion.objects.filter(incident__in=incidents, withdrawn_at=None)
        .order_by("pk")
        .values_list("incident_id", "customer_id", "starts_at", "ends_at", "kind")
    )
    for incident_id, customer, starts_at, ends_at, kind in rows:
        start = micros(starts_at) if starts_at else BEGINNING
        end = micros(ends_at) if ends_at else END
        found.setdefault(incident_id, []).append(Excluded(customer or 0, start, end, kind))
    return found


# --- of one month ------------------------------------------------------------------------


class _Outages:
    """Outages in order, and which of them a month has to know. Answers are shared by months that ask for the same."""

    def __init__(self, outages: Iterable[Outage]) -> None:
        self.all = sorted(outages, key=lambda one: (one.start, one.reference))
        self.hit = [frozenset(impact.component for impact in one.impacts) for one in self.all]
        self.reach = [
            (
                min([one.start, one.said, *(impact.start for impact in one.impacts)]),
                max([one.end, one.unsaid, *(impact.end for impact in one.impacts)]),
            )
            for one in self.all
        ]
        #: Whoever excluded time has it in a version of their own; the others share one without it.
        self.own = {
            (taken.customer, one.reference): self._for(one, taken.customer)
            for one in self.all
            for taken in one.excluded
            if taken.customer
        }
        self.shared = [self._for(one, 0) for one in self.all]
        self.customers = {customer for customer, _ in self.own}
        self.found: dict[tuple[frozenset[int] | None, tuple[int, int]], list[int]] = {}

    def of(self, customer: int, used: frozenset[int] | None, span: tuple[int, int]) -> tuple[Outage, ...]:
        """Those that hit what is used (None: all) and reach into the span, with what makes one outage with them."""
        places = self.found.get((used, span))
        if places is None:
            places = self.found[used, span] = self._reaching(used, span)
        mine = [self.shared[place] for place in places]
        if customer in self.customers:
            mine = [self.own.get((customer, one.reference), one) for one in mine]
        return tuple(mine)

    def _reaching(self, used: frozenset[int] | None, span: tuple[int, int]) -> list[int]:
        left = [place for place in range(len(self.all)) if used is None or used & self.hit[place]]
        taken: list[int] = []
        spans: Spans = [span]
        tied: set[str] = set()
        while True:
            near = [
                place
                for place in left
                if self.all[place].family in tied
                or any(self.reach[place][0] <= end and self.reach[place][1] >= start for start, end in spans)
            ]
            if not near:
                return sorted(taken)
            taken += near
            left = [place for place in left if place not in set(near)]
            tied |= {self.all[place].family for place in near}
            spans = union([*spans, *(self.reach[place] for place in near)])

    @staticmethod
    def _for(outage: Outage, customer: int) -> Outage:
        mine = tuple(one for one in outage.excluded if one.customer in (0, customer))
        return outage if mine == outage.excluded else replace(outage, excluded=mine)
