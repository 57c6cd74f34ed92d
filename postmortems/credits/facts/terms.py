"""What contracts say, as the arithmetic reads it: terms with their days, fees and components (R-902)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from postmortems.credits.arithmetic.case import END, TermSpan
from postmortems.credits.arithmetic.months import midnight
from postmortems.models import Term


@dataclass(frozen=True, slots=True)
class Agreed:
    """The terms of a contract in order; ``used``: components of any of them, None where everything counts as used."""

    terms: tuple[TermSpan, ...] = ()
    used: frozenset[int] | None = frozenset()


def agreed(contracts: Collection[int]) -> dict[int, Agreed]:
    """Terms by contract; one without terms is not in there. Two queries."""
    shared: dict[frozenset[int], frozenset[int]] = {}
    used: dict[int, set[int]] = {}
    through = Term.components.through.objects.filter(term__contract__in=contracts)
    for term_id, component_id in through.values_list("term_id", "component_id"):
        used.setdefault(term_id, set()).add(component_id)
    rows = (
        Term.objects.filter(contract__in=contracts)
        .order_by("contract", "starts_on")
        .values_list(
            "pk", "contract_id", "contract__zone", "starts_on", "last_day", "fee_minor", "plan", "uses_everything"
        )
    )
    found: dict[int, list[TermSpan]] = {}
    for pk, contract, zone, starts_on, last_day, fee, plan, everything in rows:
        mine = frozenset(used.get(pk, ()))
        components = None if everything else shared.setdefault(mine, mine)
        found.setdefault(contract, []).append(_span(zone, starts_on, last_day, fee, plan, components))
    return {contract: Agreed(tuple(terms), _together(terms)) for contract, terms in found.items()}


def _span(
    zone: str, starts_on: date, last_day: date | None, fee: int, plan: str, components: frozenset[int] | None
) -> TermSpan:
    after = last_day + timedelta(days=1) if last_day else None
    return TermSpan(
        start=midnight(starts_on, zone),
        end=midnight(after, zone) if after else END,
        first_day=starts_on.toordinal(),
        after_day=after.toordinal() if after else END,
        fee=fee,
        plan=plan,
        components=components,
    )


def _together(terms: list[TermSpan]) -> frozenset[int] | None:
    """Components of any term; the terms' own set where they all use the same."""
    sets = {term.components for term in terms}
    if None in sets:
        return None
    if len(sets) == 1:
        return terms[0].components
    return frozenset(component for one in sets if one for component in one)
